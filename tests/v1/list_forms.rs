//! Less usual forms of list parameters.

use crate::support::api::{ADMIN, OWNER, Service};

#[tokio::test]
async fn v1_234_operators_in_filters() {
    let service = Service::start().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c", "centos: 7", "eq:c"] {
        made.push(service.image_id(OWNER, None, &[("name", name)]).await);
    }
    // the newest comes first
    assert_eq!(service.ids(OWNER, "name=in:a,b").await, [made[1].clone(), made[0].clone()]);
    assert_eq!(service.ids(OWNER, "name=eq:c").await, [made[2].clone()]);
    assert_eq!(service.ids(OWNER, "name=eq:eq:c").await, [made[4].clone()]);
    assert_eq!(service.ids(OWNER, "name=centos%3A%207").await, [made[3].clone()]);
    assert_eq!(service.ids(OWNER, "status=in:queued,active").await.len(), 5);
    assert!(service.ids(OWNER, "status=eq:active").await.is_empty());
}

#[tokio::test]
async fn v1_256_a_min_disk_that_is_no_number_matches_nothing() {
    let service = Service::start().await;
    service.image(OWNER, None, &[]).await;
    for path in ["/v1/images?min_disk=abc", "/v1/images/detail?min_disk=abc", "/v1/images?min_disk="] {
        let answer = service.get(path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.body, br#"{"images": []}"#, "{path}");
    }
}

#[tokio::test]
async fn v1_262_the_last_of_a_repeated_parameter_counts() {
    let service = Service::start().await;
    let one = service.image_id(OWNER, None, &[("name", "one")]).await;
    let two = service.image_id(OWNER, None, &[("name", "two")]).await;
    assert_eq!(service.ids(OWNER, "limit=0&limit=1").await, std::slice::from_ref(&two));
    assert!(service.ids(OWNER, "limit=1&limit=0").await.is_empty());
    assert_eq!(service.ids(OWNER, "name=two&name=one").await, [one]);
    assert_eq!(service.ids(OWNER, "limit=nonsense&limit=1").await, [two]);
}

#[tokio::test]
async fn v1_270_a_deleted_marker() {
    let service = Service::start().await;
    let older = service.image_id(OWNER, None, &[]).await;
    let marker = service.image_id(OWNER, None, &[]).await;
    let newer = service.image_id(OWNER, None, &[]).await;
    service.delete(&format!("/v1/images/{marker}")).by(OWNER).send().await.expect(200);
    let answer = service.get(&format!("/v1/images?marker={marker}")).by(OWNER).send().await;
    answer.expect_text(400, "Invalid marker. Image could not be found.");
    let since = "changes-since=2001-01-01";
    assert_eq!(service.ids(OWNER, &format!("{since}&marker={marker}")).await, std::slice::from_ref(&older));
    assert_eq!(
        service.ids(OWNER, &format!("{since}&limit=1&marker={newer}")).await,
        std::slice::from_ref(&marker)
    );
    assert_eq!(service.ids(ADMIN, &format!("is_public=none&marker={marker}")).await, [older]);
}
