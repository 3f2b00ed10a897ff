//! Deleting images: V1-169 to V1-177, V1-252 and the table of §7.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};
use crate::support::s3::{Fault, FaultyS3};

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

#[tokio::test]
async fn v1_169_and_v1_171_a_deleted_image_is_gone_for_all_but_administrators() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("property-a", "b")]).await;
    service.put(&format!("{}/members/beta", path(&id))).by(OWNER).send().await.expect(204);
    let answer = service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    assert!(answer.body.is_empty());
    for caller in [OWNER, OTHER] {
        service.head(&path(&id)).by(caller).send().await.expect(404);
        service.get(&path(&id)).by(caller).send().await.expect(404);
    }
    let head = service.head(&path(&id)).by(ADMIN).send().await.expect(200);
    assert_eq!(head.meta("deleted").as_deref(), Some("True"));
    assert_eq!(head.meta("status").as_deref(), Some("deleted"));
    assert!(head.meta("deleted_at").is_some());
    assert_eq!(head.meta("property-a"), None);
    // V1-252: the data went with it
    assert!(service.bucket.keys().await.is_empty());

    service.delete(&path(&id)).by(OWNER).send().await.expect(404);
    service.delete(&path(&id)).by(ADMIN).send().await.expect_text(404, &format!("Image {id} not found."));
    service.assert_settled().await;
}

/// V1-171, while the store still removes the data of an image that is deleted without delay
#[tokio::test]
async fn an_image_whose_data_are_being_removed_is_gone() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service
        .sql(&format!("UPDATE images SET status = 'pending_delete', deleted_at = now() WHERE id = '{id}'"))
        .await;
    service.delete(&path(&id)).by(ADMIN).send().await.expect_text(404, &format!("Image {id} not found."));
}

#[tokio::test]
async fn v1_170_an_unknown_image_cannot_be_deleted() {
    let service = Service::start().await;
    for id in [new_id(), "1".to_owned(), "-1".to_owned(), "x".repeat(300)] {
        for caller in [OWNER, ADMIN] {
            service.delete(&path(&id)).by(caller).send().await.expect(404);
        }
    }
}

#[tokio::test]
async fn v1_172_a_protected_image_stays() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("protected", "True"), ("is_public", "False")]).await;
    let before = service.snapshot(&id).await;
    for caller in [OWNER, ADMIN] {
        service.delete(&path(&id)).by(caller).send().await.expect_text(403, "Image is protected");
    }
    assert_eq!(service.snapshot(&id).await, before);
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abc");
    service.put(&path(&id)).by(OWNER).meta("protected", "False").send().await.expect(200);
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    // the protection is looked at before the owner
    let public = service.image_id(ADMIN, None, &[("is_public", "True"), ("protected", "True")]).await;
    service.delete(&path(&public)).by(OTHER).send().await.expect_text(403, "Image is protected");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_173_strangers_delete_nothing() {
    let service = Service::start().await;
    let public = service.image_id(ADMIN, Some(b"abc"), &[("is_public", "True")]).await;
    service.delete(&path(&public)).by(OTHER).send().await.expect_text(403, "Forbidden to delete image");
    assert_eq!(service.get(&path(&public)).by(OTHER).send().await.expect(200).body, b"abc");

    let shared = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.delete(&path(&shared)).by(OTHER).send().await.expect(404);
    service.put(&format!("{}/members/beta", path(&shared))).by(OWNER).send().await.expect(204);
    service.delete(&path(&shared)).by(OTHER).send().await.expect(404);
    let ownerless = service.image_id(ADMIN, Some(b"abc"), &[("owner", "")]).await;
    service.delete(&path(&ownerless)).by(OTHER).send().await.expect(404);
    for id in [public, shared, ownerless] {
        assert_eq!(service.status(&id).await, "active");
    }
    assert_eq!(service.bucket.keys().await.len(), 3);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_174_a_queued_image_is_deleted_at_once() {
    for delayed in [false, true] {
        let service = Service::start_with(|settings| settings.images.delayed_delete = delayed).await;
        let id = service.image_id(OWNER, None, &[]).await;
        service.delete(&path(&id)).by(OWNER).send().await.expect(200);
        assert_eq!(service.status(&id).await, "deleted");
    }
}

#[tokio::test]
async fn v1_175_a_delayed_delete_keeps_the_data_until_they_are_due() {
    let service = Service::start_with(|settings| {
        settings.images.delayed_delete = true;
        settings.images.scrub_time = Duration::from_secs(3600);
    })
    .await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(service.status(&id).await, "pending_delete");
    service.flows.sweep().await.unwrap();
    assert_eq!(service.status(&id).await, "pending_delete");
    assert_eq!(service.bucket.keys().await.len(), 1);
    let again = service.delete(&path(&id)).by(ADMIN).send().await;
    again.expect_text(403, "Forbidden to delete a pending_delete image.");
    for caller in [OWNER, ADMIN] {
        service.get(&path(&id)).by(caller).send().await.expect(404);
    }
    service.head(&path(&id)).by(OWNER).send().await.expect(404);
    let taken = service.post("/v1/images").by(OWNER).meta("id", &id).send().await;
    taken.expect_text(409, "already exists");

    let back = format!("UPDATE images SET deleted_at = deleted_at - interval '2 hours' WHERE id = '{id}'");
    service.sql(&back).await;
    service.flows.sweep().await.unwrap();
    assert_eq!(service.status(&id).await, "deleted");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

/// A store that forbids the removal keeps the image as it was; once it allows it, the image goes. No object is ever in
/// use by another, so nothing is refused for that.
#[tokio::test]
async fn v1_176_a_store_that_refuses_keeps_the_image() {
    let refuses = Arc::new(AtomicBool::new(true));
    let faulty = FaultyS3::start({
        let refuses = Arc::clone(&refuses);
        move |call| match call.operation {
            "DeleteObject" | "DeleteObjects" if refuses.load(Ordering::SeqCst) => Fault::Denied,
            _ => Fault::Pass,
        }
    });
    let service = Service::start_faulty(&faulty).await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("property-colour", "blue")]).await;
    service.put(&format!("{}/members/beta", path(&id))).by(OWNER).send().await.expect(204);
    let refused = service.delete(&path(&id)).by(OWNER).send().await;
    refused.expect_text(403, "Forbidden to delete image");
    assert_eq!(service.status(&id).await, "active");
    let kept = service.get(&path(&id)).by("otto:beta:member").send().await.expect(200);
    assert_eq!((kept.body.as_slice(), kept.meta("property-colour").as_deref()), (&b"abc"[..], Some("blue")));
    service.assert_settled().await;
    refuses.store(false, Ordering::SeqCst);
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(service.status(&id).await, "deleted");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_177_a_deleted_image_is_not_found_unless_downloads_are_denied_first() {
    let service = Service::start_with_rules(&json!({ "download_image": "not role:deaf" })).await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    for (caller, status) in
        [(OWNER, 404), (ADMIN, 404), ("olga:alpha:deaf", 403), ("adam:delta:admin,deaf", 403)]
    {
        service.get(&path(&id)).by(caller).send().await.expect(status);
    }
}

/// Row 1 of §7, before the lookup.
#[tokio::test]
async fn a_denied_delete_deletes_nothing() {
    let service = Service::start_with_rules(&json!({ "delete_image": "!" })).await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    for target in [id.clone(), new_id()] {
        for caller in [OWNER, ADMIN] {
            let answer = service.delete(&path(&target)).by(caller).send().await;
            answer.expect_text(403, "Access was denied to this resource.");
        }
    }
    assert_eq!(service.status(&id).await, "active");
    assert_eq!(service.bucket.keys().await.len(), 1);
}

/// Any status but those of a deleted image can be deleted (§7).
#[tokio::test]
async fn killed_and_deactivated_images_can_be_deleted() {
    let service = Service::start().await;
    let killed = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &killed).formats().body("abc");
    request.send().await.expect(400);
    let deactivated = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.sql(&format!("UPDATE images SET status = 'deactivated' WHERE id = '{deactivated}'")).await;
    for id in [killed, deactivated] {
        service.delete(&path(&id)).by(OWNER).send().await.expect(200);
        assert_eq!(service.status(&id).await, "deleted");
    }
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}
