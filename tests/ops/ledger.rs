//! `sweep`, `scrub` and `purge`: bucket and ledger, and what is forgotten.

use serde_json::json;
use vitrine::config::Config;

use super::run;
use crate::support::api::{OWNER, Service};
use crate::support::config;
use crate::support::db::test_database;
use crate::support::s3::test_bucket;

/// A service whose own background work is off, and the configuration of commands beside it.
pub(super) async fn service() -> (Service, Config) {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    // a pass of the service itself must not come first
    settings.jobs.sweep_interval = std::time::Duration::from_secs(24 * 3600);
    let service = Service::start_over(database, bucket, settings.clone()).await;
    (service, settings)
}

/// As [`service`], with deletes that are final after a day.
async fn service_that_delays() -> (Service, Config) {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    settings.jobs.sweep_interval = std::time::Duration::from_secs(24 * 3600);
    settings.images.delayed_delete = true;
    settings.images.scrub_time = std::time::Duration::from_secs(24 * 3600);
    let service = Service::start_over(database, bucket, settings.clone()).await;
    (service, settings)
}

#[tokio::test]
async fn a_sweep_says_what_it_did() {
    let (service, config) = service().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let idle = run(&config, &["sweep"]).expect(0).json();
    let nothing = json!({"expired_uploads": 0, "expired_pending_deletes": 0, "removed_objects": 0,
                         "failed_removals": 0, "requeued_imports": 0, "expired_tasks": 0, "purged_images": 0});
    assert_eq!(idle, nothing);
    assert_eq!(service.bucket.keys().await.len(), 1);

    // as a replica leaves it that dies right after the delete was committed
    service
        .sql(
            "UPDATE images SET status = 'deleted', deleted_at = now();
             UPDATE blobs SET state = 'garbage', due_at = now() - interval '1 s', garbage_at = now()",
        )
        .await;
    let busy = run(&config, &["sweep"]).expect(0).json();
    assert_eq!(busy["removed_objects"], json!(1));
    assert!(service.bucket.keys().await.is_empty());
    assert_eq!(service.record(&id).await["status"], json!("deleted"));
}

#[tokio::test]
async fn a_scrub_reports_what_does_not_agree() {
    let (service, config) = service().await;
    let kept = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let clean = run(&config, &["scrub"]).expect(0).json();
    let expected = json!([{"store": "main", "objects": 1, "rows": 1, "orphans": [], "missing": [],
                           "stale_uploads": [], "deleted": 0}]);
    assert_eq!(clean, expected);

    // an object that nobody wrote down, and not even in a place of ours
    let [own] = &service.bucket.keys().await[..] else { panic!("one object") };
    let folder = own.split(&kept).next().unwrap();
    let orphan = format!("{folder}{kept}/by-hand");
    let client = service.bucket.client();
    let put = client.put_object().bucket(&service.bucket.name).key(&orphan);
    put.body(b"x".to_vec().into()).send().await.unwrap();
    for arguments in [&["scrub"][..], &["scrub", "--delete"][..]] {
        let report = run(&config, arguments).expect(1).json();
        assert_eq!(report[0]["orphans"], json!([orphan]), "{report}");
        assert_eq!((&report[0]["missing"], &report[0]["deleted"]), (&json!([]), &json!(0)), "{report}");
    }
    assert_eq!(service.bucket.content(&orphan).await.unwrap(), b"x", "young, so its row may be on its way");

    // a live row whose object is gone
    client.delete_object().bucket(&service.bucket.name).key(own).send().await.unwrap();
    let report = run(&config, &["scrub", "--delete"]).expect(1).json();
    assert_eq!(report[0]["missing"], json!([own]), "{report}");
    assert_eq!(service.status(&kept).await, "active", "a report changes no image");
}

#[tokio::test]
async fn a24_a_purge_forgets_everything_but_the_id() {
    let (service, config) = service().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("name", "gone")]).await;
    let alive = service.image_id(OWNER, None, &[]).await;
    service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(run(&config, &["purge"]).expect(0).stdout, "purged 0 images\n", "30 days by default");
    assert_eq!(run(&config, &["purge", "--older-than", "1h"]).expect(0).stdout, "purged 0 images\n");
    assert_eq!(run(&config, &["purge", "--older-than", "0"]).expect(0).stdout, "purged 1 images\n");
    assert_eq!(service.record(&id).await, serde_json::Value::Null);
    assert_ne!(service.record(&alive).await, serde_json::Value::Null);
    let answer = service.post("/v1/images").by(OWNER).meta("id", &id).send().await;
    answer.expect_text(409, &format!("An image with identifier {id} already exists"));
    assert_eq!(run(&config, &["purge", "--older-than", "0s"]).expect(0).stdout, "purged 0 images\n");
}

/// OPS §2: a delayed delete can be undone until the sweep ends it.
#[tokio::test]
async fn a_delayed_delete_is_undone() {
    let (service, mut config) = service_that_delays().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("name", "n")]).await;
    let path = format!("/v1/images/{id}");
    let active = run(&config, &["restore", &id]).expect(1);
    assert!(active.stderr.contains("is active, not pending_delete"), "{}", active.stderr);

    service.delete(&path).by(OWNER).send().await.expect(200);
    assert_eq!(service.record(&id).await["status"], json!("pending_delete"));
    service.get(&path).by(OWNER).send().await.expect(404);
    let ended = run(&config, &["restore", &id]).expect(0);
    assert_eq!(ended.stdout, format!("image {id} is active again\n"));
    let back = service.get(&path).by(OWNER).send().await.expect(200);
    assert_eq!((back.body.as_slice(), back.meta("name").as_deref()), (&b"abc"[..], Some("n")));
    run(&config, &["restore", &id]).expect(1);

    // once the sweep has ended the delete there is nothing left to restore
    service.delete(&path).by(OWNER).send().await.expect(200);
    config.images.scrub_time = std::time::Duration::ZERO;
    assert_eq!(run(&config, &["sweep"]).expect(0).json()["expired_pending_deletes"], json!(1));
    let late = run(&config, &["restore", &id]).expect(1);
    assert!(late.stderr.contains("is deleted, not pending_delete"), "{}", late.stderr);
    for unknown in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        let ended = run(&config, &["restore", unknown]).expect(1);
        assert!(ended.stderr.contains(&format!("there is no image {unknown}")), "{}", ended.stderr);
    }
    run(&config, &["restore"]).expect(2);
}

/// Without delayed deletes an image is pending while its data are being removed: it must not come back.
#[tokio::test]
async fn a_delete_that_is_not_delayed_is_not_undone() {
    let (service, config) = service().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.sql("UPDATE images SET status = 'pending_delete', deleted_at = now()").await;
    let ended = run(&config, &["restore", &id]).expect(1);
    assert!(ended.stderr.contains("deletes are not delayed"), "{}", ended.stderr);
    assert_eq!(service.record(&id).await["status"], json!("pending_delete"));
}

/// Restore and sweep at once: the image is back with its data, or gone with it.
#[tokio::test]
async fn a_restore_races_with_the_sweep() {
    let (service, _) = service_that_delays().await;
    for _ in 0..12 {
        let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
        service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
        service.sql("UPDATE images SET deleted_at = now() - interval '2 days' WHERE deleted").await;
        let (restored, swept) = tokio::join!(service.flows.restore_image(&id), service.flows.sweep());
        swept.unwrap();
        let status = service.record(&id).await["status"].clone();
        assert_eq!(restored.is_ok(), status == json!("active"), "{status}");
        assert!([json!("active"), json!("deleted")].contains(&status), "{status}");
        let answer = service.get(&format!("/v1/images/{id}")).by(OWNER).send().await;
        assert_eq!(answer.status, if restored.is_ok() { 200 } else { 404 });
    }
    service.assert_settled().await;
}
