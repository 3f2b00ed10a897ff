//! `sweep`, `scrub` and `purge`: bucket and ledger, and what is forgotten.

use serde_json::json;
use vitrine::config::Config;

use super::run;
use crate::support::api::{OWNER, Service};
use crate::support::config;
use crate::support::db::test_database;
use crate::support::s3::test_bucket;

/// A service whose own background work is off, and the configuration of commands beside it.
async fn service() -> (Service, Config) {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    // a pass of the service itself must not come first
    settings.jobs.sweep_interval = std::time::Duration::from_secs(24 * 3600);
    let service = Service::start_over(database, bucket, settings.clone()).await;
    (service, settings)
}

#[tokio::test]
async fn a_sweep_says_what_it_did() {
    let (service, config) = service().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let idle = run(&config, &["sweep"]).expect(0).json();
    let nothing = json!({"expired_uploads": 0, "expired_pending_deletes": 0, "removed_objects": 0,
                         "failed_removals": 0, "expired_tasks": 0, "purged_images": 0});
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
    assert_eq!(run(&config, &["purge", "--older-than", "0s"]).expect(0).stdout, "purged 1 images\n");
    assert_eq!(service.record(&id).await, serde_json::Value::Null);
    assert_ne!(service.record(&alive).await, serde_json::Value::Null);
    let answer = service.post("/v1/images").by(OWNER).meta("id", &id).send().await;
    answer.expect_text(409, &format!("An image with identifier {id} already exists"));
    assert_eq!(run(&config, &["purge", "--older-than", "0s"]).expect(0).stdout, "purged 0 images\n");
}
