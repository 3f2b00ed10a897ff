//! What a delete takes away, and from whom it is kept.

use crate::support::api::{OTHER, OWNER, Service};

#[tokio::test]
async fn v1_231_a_member_deletes_nothing() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let path = format!("/v1/images/{id}");
    for can_share in [false, true] {
        service.share(&id, OWNER, "beta", Some(can_share)).await;
        let before = service.record(&id).await;
        let answer = service.delete(&path).by(OTHER).send().await;
        answer.expect_text(404, &format!("Image with identifier {id} not found"));
        assert_eq!(service.record(&id).await, before);
    }
    assert_eq!(service.get(&path).by(OWNER).send().await.expect(200).body, b"abc");
}

#[tokio::test]
async fn v1_252_the_data_goes_with_the_image() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let kept = service.image_id(OWNER, Some(b"def"), &[]).await;
    assert_eq!(service.bucket.keys().await.len(), 2);
    service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let left = service.bucket.keys().await;
    assert!(left.len() == 1 && left[0].contains(&kept), "{left:?}");
    service.assert_settled().await;
}
