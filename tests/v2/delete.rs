//! The end of images: V2-240 to V2-243, A20 and A40.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;

use super::READER;
use super::uploads::{file, pattern, until_bucket_is_empty};
use crate::support::api::{ADMIN, OTHER, OWNER, Service, THIRD, new_id};
use crate::support::s3::{Fault, FaultyS3};
use crate::support::v2::{add, raw, replace};

fn path(id: &str) -> String {
    format!("/v2/images/{id}")
}

/// Asserts that nobody is told of an image any more.
async fn assert_gone(service: &Service, id: &str) {
    for caller in [OWNER, ADMIN] {
        service.get(&path(id)).by(caller).send().await.expect(404);
        service.get(&file(id)).by(caller).send().await.expect(404);
        service.upload(caller, id, b"data").await.expect(404);
        service.change(caller, id, &[replace("/name", "x")]).await.expect(404);
        service.delete(&path(id)).by(caller).send().await.expect(404);
        assert!(!service.listed(caller, "").await.contains(&id.to_owned()));
    }
}

#[tokio::test]
async fn v2_240_a_deleted_image_is_gone_with_everything_of_it() {
    let service = Service::start().await;
    let document = json!({ "tags": ["a"], "p": "v", "visibility": "shared", "name": "n" });
    let id = service.active(OWNER, document, b"data").await;
    service.share(&id, OWNER, "beta", None).await;
    service.delete(&path(&id)).by(OWNER).body("{}").send().await.expect(400);
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"data");
    let answer = service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    assert!(answer.body.is_empty());
    assert_gone(&service, &id).await;
    service.get(&path(&id)).by(OTHER).send().await.expect(404);
    let record = service.record(&id).await;
    assert_eq!(
        (&record["tags"], &record["properties"], &record["members"]),
        (&json!([]), &json!({}), &json!([]))
    );
    assert!(service.bucket.keys().await.is_empty());
    // an id is never used twice
    service.try_create(OWNER, &json!({ "id": id })).await.expect(409);
    service.assert_settled().await;
    for unknown in [new_id(), "x".to_owned()] {
        service.delete(&path(&unknown)).by(ADMIN).send().await.expect(404);
    }
}

#[tokio::test]
async fn v2_241_a_protected_image_stays_even_for_administrators() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({ "protected": true }), b"data").await;
    let before = service.record(&id).await;
    for caller in [OWNER, ADMIN] {
        service.delete(&path(&id)).by(caller).send().await.expect(403);
    }
    assert_eq!(service.record(&id).await, before);
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"data");
    service.change(OWNER, &id, &[replace("/protected", false)]).await.expect(200);
    service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    service.assert_settled().await;
}

/// V2-242 and A20, by both APIs.
#[tokio::test]
async fn v2_242_and_a20_strangers_and_readers_delete_nothing() {
    let service = Service::start().await;
    let with = async |visibility: &str, protected: bool| {
        let document = json!({ "visibility": visibility, "owner": "alpha", "protected": protected });
        service.active(ADMIN, document, b"data").await
    };
    let shared = with("shared", false).await;
    service.share(&shared, OWNER, "beta", Some(true)).await;
    let ownerless = with("public", false).await;
    service.sql(&format!("UPDATE images SET owner = NULL WHERE id = '{ownerless}'")).await;
    let mut kept = Vec::new();
    for (caller, id, status) in [
        (OTHER, with("public", false).await, 403),
        (OTHER, with("public", true).await, 403),
        (OTHER, with("community", false).await, 403),
        (OTHER, with("private", false).await, 404),
        // protection tells nobody that there is an image
        (OTHER, with("private", true).await, 404),
        (THIRD, shared.clone(), 404),
        (OTHER, shared, 403),
        (OTHER, ownerless.clone(), 403),
        (OWNER, ownerless, 403),
        (READER, with("private", false).await, 403),
        (READER, with("public", false).await, 403),
    ] {
        let before = service.record(&id).await;
        service.delete(&path(&id)).by(caller).send().await.expect(status);
        let by_v1 = service.delete(&format!("/v1/images/{id}")).by(caller).send().await.status;
        assert!([403, 404].contains(&by_v1), "{caller}: {by_v1}");
        assert_eq!(service.record(&id).await, before, "{caller}");
        kept.push(id);
    }
    kept.sort();
    kept.dedup();
    for id in &kept {
        assert_eq!(service.download(ADMIN, id).await.expect(200).body, b"data");
    }
    assert_eq!(service.bucket.keys().await.len(), kept.len());
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_243_images_can_be_deleted_in_every_status() {
    let service = Service::start().await;
    for status in ["queued", "saving", "uploading", "importing", "active", "deactivated"] {
        let has_data = ["active", "deactivated"].contains(&status);
        let id = if has_data {
            service.active(OWNER, json!({}), b"data").await
        } else {
            service.queued(OWNER).await
        };
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        let answer = service.delete(&path(&id)).by(OWNER).send().await;
        assert_eq!(answer.status, 204, "{status}: {}", answer.text());
        assert_gone(&service, &id).await;
        assert_eq!(service.status(&id).await, "deleted", "{status}");
    }
    // what v1 has killed is not there for v2 (§4.4)
    let id = service.queued(OWNER).await;
    service.sql(&format!("UPDATE images SET status = 'killed' WHERE id = '{id}'")).await;
    assert_gone(&service, &id).await;
    assert_eq!(service.status(&id).await, "killed");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

/// §12: what is deleted with delay looks deleted, and can come back.
#[tokio::test]
async fn a_delayed_delete_hides_the_image_and_keeps_its_data() {
    let service = Service::start_with(|settings| {
        settings.images.delayed_delete = true;
        settings.images.scrub_time = Duration::from_secs(3600);
    })
    .await;
    let document = json!({ "name": "n", "visibility": "community" });
    let id = service.active(OWNER, document, b"data").await;
    let empty = service.queued(OWNER).await;
    for id in [&id, &empty] {
        service.delete(&path(id)).by(OWNER).send().await.expect(204);
        assert_gone(&service, id).await;
        service.get(&path(id)).by(OTHER).send().await.expect(404);
        service.try_create(OWNER, &json!({ "id": id })).await.expect(409);
    }
    // without data there is nothing to wait for
    assert_eq!(service.status(&empty).await, "deleted");
    assert_eq!(service.status(&id).await, "pending_delete");
    service.flows.sweep().await.unwrap();
    assert_eq!(service.bucket.keys().await.len(), 1);
    let due = format!("UPDATE images SET deleted_at = deleted_at - interval '2 hours' WHERE id = '{id}'");
    service.sql(&due).await;
    service.flows.sweep().await.unwrap();
    assert_gone(&service, &id).await;
    assert_eq!(service.status(&id).await, "deleted");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

/// §12: data that are gone already are no reason to keep the record.
#[tokio::test]
async fn an_image_whose_object_is_missing_can_be_deleted() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    let [key] = <[String; 1]>::try_from(service.bucket.keys().await).unwrap();
    service.bucket.client().delete_object().bucket(&service.bucket.name).key(key).send().await.unwrap();
    service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    assert_gone(&service, &id).await;
    service.assert_settled().await;
}

/// All copies go, each in its store.
#[tokio::test]
async fn v2_240_a_deleted_image_is_gone_from_every_store() {
    let (service, second) = Service::start_with_two_stores(|_| {}).await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.copy_to_second(&second, &id).await;
    assert_eq!((service.bucket.keys().await.len(), second.keys().await.len()), (1, 1));
    service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    assert_gone(&service, &id).await;
    assert!(service.bucket.keys().await.is_empty());
    assert!(second.keys().await.is_empty());
}

/// A40: bytes are charged until they are gone, whoever has given them up, and their removal needs nobody's token.
#[tokio::test]
async fn a40_usage_counts_bytes_until_the_object_is_gone() {
    let broken = Arc::new(AtomicBool::new(true));
    let faulty = FaultyS3::start({
        let broken = Arc::clone(&broken);
        move |call| match call.operation {
            "DeleteObject" | "DeleteObjects" if broken.load(Ordering::SeqCst) => Fault::InternalError,
            _ => Fault::Pass,
        }
    });
    let service = Service::start_faulty(&faulty).await;
    let used = async || service.flows.catalog.storage_used("alpha").await.unwrap();
    let id = service.active(OWNER, json!({}), &pattern(1000)).await;
    assert_eq!(used().await, 1000);
    service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    assert_gone(&service, &id).await;
    assert_eq!((used().await, service.bucket.keys().await.len()), (1000, 1));
    broken.store(false, Ordering::SeqCst);
    service.sql("UPDATE blobs SET due_at = now() WHERE state = 'garbage'").await;
    service.assert_settled().await;
    assert_eq!((used().await, service.bucket.keys().await.len()), (0, 0));
    // a loop of create, upload and delete piles up nothing
    for _ in 0..5 {
        let id = service.active(OWNER, json!({}), &pattern(1000)).await;
        service.delete(&path(&id)).by(OWNER).send().await.expect(204);
    }
    assert_eq!((used().await, service.bucket.keys().await.len()), (0, 0));
    service.assert_settled().await;
}

/// Of two deletes at one time one is the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletes_at_one_time() {
    let service = Service::start().await;
    for _ in 0..5 {
        let id = service.active(OWNER, json!({}), b"data").await;
        let answers = join_all((0..6).map(|_| service.delete(&path(&id)).by(OWNER).send())).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 204, "{statuses:?}");
        assert!(statuses[1..].iter().all(|status| *status == 404), "{statuses:?}");
        assert_gone(&service, &id).await;
    }
    until_bucket_is_empty(&service).await;
    service.assert_settled().await;
}

/// A40: a delete meets an upload anywhere; the delete wins, and the uploader is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a40_a_delete_that_meets_an_upload() {
    let service = Service::start().await;
    for size in [1, 10_000, 300_000, 1_000_000, 10, 500_000, 100_000, 1000] {
        let id = service.create_id(OWNER, raw(json!({}))).await;
        let data = pattern(size);
        let delete = service.delete(&path(&id)).by(OWNER).send();
        let (uploaded, deleted) = join(service.upload(OWNER, &id, &data), delete).await;
        deleted.expect(204);
        assert!([204, 404, 410].contains(&uploaded.status), "{}: {}", uploaded.status, uploaded.text());
        assert_gone(&service, &id).await;
    }
    until_bucket_is_empty(&service).await;
    service.assert_settled().await;
    assert_eq!(service.flows.catalog.storage_used("alpha").await.unwrap(), 0);
}

/// §12: a delete takes place however often others tag the image meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delete_among_writers_that_never_end() {
    let service = Service::start().await;
    for data in [None, Some(b"data")] {
        let id = match data {
            Some(data) => service.active(OWNER, json!({}), data).await,
            None => service.create_id(OWNER, json!({})).await,
        };
        let tag =
            async |n: usize| service.put(&format!("{}/tags/t{n}", path(&id))).by(OWNER).send().await.status;
        let first = join_all((0..8).map(&tag)).await;
        assert_eq!(first, [204; 8]);
        let writers = (0..8).map(async |n| {
            loop {
                match tag(n).await {
                    204 => {}
                    status => return status,
                }
            }
        });
        let delete = async { service.delete(&path(&id)).by(OWNER).send().await.expect(204) };
        let (ends, _) = join(join_all(writers), delete).await;
        assert_eq!(ends, [404; 8]);
        assert_gone(&service, &id).await;
    }
    service.assert_settled().await;
}

/// Writers of different properties at one time all have their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patches_at_one_time() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({})).await;
    let patches =
        (0..24).map(async |n| service.change(OWNER, &id, &[add(&format!("/p{n}"), "v")]).await.status);
    assert_eq!(join_all(patches).await, [200; 24]);
    let image = service.show(OWNER, &id).await;
    assert!((0..24).all(|n| image[format!("p{n}")] == "v"), "{image}");
}

/// A delete meets patches: they come before it or find nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delete_that_meets_patches() {
    let service = Service::start().await;
    for _ in 0..5 {
        let id = service.active(OWNER, json!({}), b"data").await;
        let patches = (0..4).map(|n| {
            let (service, id) = (&service, &id);
            async move { service.change(OWNER, id, &[add(&format!("/p{n}"), "v")]).await.status }
        });
        let delete = service.delete(&path(&id)).by(OWNER).send();
        let (patched, deleted) = join(join_all(patches), delete).await;
        assert!(patched.iter().all(|status| [200, 404, 409].contains(status)), "{patched:?}");
        deleted.expect(204);
        assert_gone(&service, &id).await;
    }
    service.assert_settled().await;
}
