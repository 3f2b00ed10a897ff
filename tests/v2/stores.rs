//! Images in several stores (images-v2.md §4.2, §13.2, §20.2).

use serde_json::{Value, json};
use vitrine::error::ErrorKind;

use super::{ADMIN, ALIEN, OWNER, READER, anonymous, image, send, set_visibility, system_admin};
use crate::support::api::{Answer, Service, new_id};
use crate::support::s3::TestBucket;

async fn two_stores() -> (Service, TestBucket) {
    Service::start_with_two_stores(|_| {}).await
}

async fn show(service: &Service, caller: &str, id: &str) -> Value {
    send(service, caller, "GET", &format!("/v2/images/{id}")).await.expect(200).json()
}

async fn delete_from(service: &Service, caller: &str, store: &str, id: &str) -> Answer {
    send(service, caller, "DELETE", &format!("/v2/stores/{store}/{id}")).await
}

/// §4.2: by weight, high to low; hidden with the data of a deactivated image.
#[tokio::test]
async fn v2_237_the_attribute_stores() {
    let (service, second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("property-stores", "nowhere")]).await;
    assert_eq!(show(&service, OWNER, &id).await["stores"], json!("main"));
    service.copy_to_second(&second, &id).await;
    assert_eq!(show(&service, OWNER, &id).await["stores"], json!("second,main"));

    let empty = service.image_id(OWNER, None, &[("property-stores", "nowhere")]).await;
    let queued = show(&service, OWNER, &empty).await;
    assert_eq!(queued.get("stores"), None, "a property of v1 poses as the attribute: {queued}");

    send(&service, OWNER, "POST", &format!("/v2/images/{id}/actions/deactivate")).await.expect(204);
    assert_eq!(show(&service, OWNER, &id).await.get("stores"), None);
    assert_eq!(show(&service, ADMIN, &id).await["stores"], json!("second,main"));

    let single = Service::start().await;
    let id = single.image_id(OWNER, Some(b"abc"), &[]).await;
    assert_eq!(show(&single, OWNER, &id).await.get("stores"), None);
}

#[tokio::test]
async fn v2_238_v2_239_preferred_stores() {
    let single = Service::start().await;
    let id = single.image_id(OWNER, Some(b"abc"), &[]).await;
    send(&single, OWNER, "GET", &format!("/v2/images/{id}/file?prefer=x")).await.expect(400);

    let (service, _second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    for query in ["prefer=no-such-store", "prefer=second,nope"] {
        send(&service, OWNER, "GET", &format!("/v2/images/{id}/file?{query}")).await.expect(400);
    }
    for query in ["prefer=second", "prefer=", "prefer=main,second"] {
        let data = send(&service, OWNER, "GET", &format!("/v2/images/{id}/file?{query}")).await.expect(200);
        assert_eq!(data.body, b"abc", "{query}");
    }
}

#[tokio::test]
async fn v2_320_without_several_stores_and_without_that_store() {
    let single = Service::start().await;
    let id = single.image_id(OWNER, Some(b"abc"), &[]).await;
    delete_from(&single, ADMIN, "main", &id).await.expect(404);
    delete_from(&single, ADMIN, "no-such-store", &id).await.expect(404);
    let (service, _second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    delete_from(&service, ADMIN, "no-such-store", &id).await.expect(409);
    // the store is judged before the image
    delete_from(&service, ADMIN, "no-such-store", &new_id()).await.expect(409);
}

#[tokio::test]
async fn v2_321_what_cannot_be_removed() {
    let (service, second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let before = service.record(&id).await;
    delete_from(&service, ADMIN, "main", &id).await.expect(403);
    delete_from(&service, ADMIN, "second", &id).await.expect(403);
    for caller in [OWNER, READER] {
        delete_from(&service, caller, "main", &id).await.expect(403);
    }
    delete_from(&service, ALIEN, "main", &id).await.expect(404);
    delete_from(&service, ADMIN, "main", &new_id()).await.expect(404);
    delete_from(&service, ADMIN, "main", &image(&service, "shared").await).await.expect(409);
    let system = service.flows.delete_from_store(&system_admin(), "main", &id).await;
    assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
    let nobody = service.flows.delete_from_store(&anonymous(), "main", &id).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    set_visibility(&service, &id, "public").await;
    delete_from(&service, ALIEN, "main", &id).await.expect(403);
    set_visibility(&service, &id, "shared").await;
    assert_eq!(service.record(&id).await, before);

    // two copies in one store and none in the other
    service.copy_to_second(&second, &id).await;
    service.sql("UPDATE blobs SET store = 'second' WHERE store = 'main'").await;
    delete_from(&service, ADMIN, "main", &id).await.expect(404);
    delete_from(&service, ADMIN, "second", &id).await.expect(403);
}

#[tokio::test]
async fn v2_322_one_copy_less() {
    let (service, second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.copy_to_second(&second, &id).await;
    let answer = service.delete(&format!("/v2/stores/main/{id}")).by(ADMIN).body("{}").send().await;
    answer.expect_text(400, "body is not expected");
    let revision = service.record(&id).await["revision"].as_i64().unwrap();
    let answer = delete_from(&service, ADMIN, "main", &id).await.expect(204);
    assert!(answer.body.is_empty());
    assert!(service.bucket.keys().await.is_empty(), "the object is gone");
    assert_eq!(service.count("SELECT count(*) FROM blobs WHERE store = 'main'").await, 0);
    assert_eq!(show(&service, OWNER, &id).await["stores"], json!("second"));
    assert_eq!(service.record(&id).await["revision"], json!(revision + 1));
    let data = send(&service, OWNER, "GET", &format!("/v2/images/{id}/file")).await.expect(200);
    assert_eq!(data.body, b"abc");
    delete_from(&service, ADMIN, "second", &id).await.expect(403);

    // deactivated images keep what they have
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.copy_to_second(&second, &id).await;
    send(&service, OWNER, "POST", &format!("/v2/images/{id}/actions/deactivate")).await.expect(204);
    delete_from(&service, ADMIN, "main", &id).await.expect(409);
}

/// Whatever happens to an object in its store, the ledger knows what is to be done.
#[tokio::test]
async fn a_copy_whose_object_is_missing() {
    let (service, second) = two_stores().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.copy_to_second(&second, &id).await;
    for key in second.keys().await {
        second.client().delete_object().bucket(&second.name).key(key).send().await.unwrap();
    }
    delete_from(&service, ADMIN, "second", &id).await.expect(204);
    service.assert_settled().await;
    assert_eq!(show(&service, OWNER, &id).await["stores"], json!("main"));
}

/// Of two removals at once one is the last copy's.
#[tokio::test]
async fn removals_at_once_leave_a_copy() {
    let (service, second) = two_stores().await;
    for _ in 0..5 {
        let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
        service.copy_to_second(&second, &id).await;
        let (one, two) = tokio::join!(
            delete_from(&service, ADMIN, "main", &id),
            delete_from(&service, ADMIN, "second", &id)
        );
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 403]);
        let data = send(&service, OWNER, "GET", &format!("/v2/images/{id}/file")).await.expect(200);
        assert_eq!(data.body, b"abc");
    }
}
