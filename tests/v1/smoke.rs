//! One walk through the life of an image.

use crate::support::api::{OTHER, OWNER, Service};

#[tokio::test]
async fn an_image_is_created_read_and_deleted() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"hello"), &[("name", "greeting")]).await;
    let path = format!("/v1/images/{id}");
    let answer = service.get(&path).by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, b"hello");
    assert_eq!(answer.meta("name").as_deref(), Some("greeting"));
    service.get(&path).by(OTHER).send().await.expect(404);
    service.assert_settled().await;
    service.delete(&path).by(OWNER).send().await.expect(200);
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}
