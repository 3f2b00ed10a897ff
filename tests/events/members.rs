//! Events of members.

use serde_json::{Value, json};

use super::{drained, service_with};
use crate::support::api::{OTHER, OWNER, THIRD};
use crate::support::hook::{Hook, types};

fn members_only(hook: &Hook) -> Vec<Value> {
    hook.taken()
        .into_iter()
        .filter(|event| event["event_type"].as_str().unwrap().starts_with("image.member"))
        .collect()
}

#[tokio::test]
async fn members_come_answer_and_go() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.share_with(OWNER, &id, OTHER, Some("accepted")).await;
    service.delete(&format!("/v2/images/{id}/members/beta")).by(OWNER).send().await.expect(204);
    drained(&service).await;
    let events = members_only(&hook);
    assert_eq!(types(&events), ["image.member.create", "image.member.update", "image.member.delete"]);
    let statuses: Vec<_> = events.iter().map(|event| &event["payload"]["status"]).collect();
    assert_eq!(statuses, ["pending", "accepted", "accepted"]);
    for (at, event) in events.iter().enumerate() {
        let payload = event["payload"].as_object().unwrap();
        let keys: Vec<_> = payload.keys().map(String::as_str).collect();
        let expected =
            ["created_at", "deleted", "deleted_at", "image_id", "member_id", "status", "updated_at"];
        assert_eq!(keys, expected);
        assert_eq!((&payload["image_id"], &payload["member_id"]), (&json!(id), &json!("beta")));
        assert_eq!(payload["deleted"], json!(at == 2));
        assert_eq!(payload["deleted_at"].is_string(), at == 2);
    }
}

#[tokio::test]
async fn members_that_go_with_their_image_are_not_told_of() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.share_with(OWNER, &id, OTHER, None).await;
    service.share_with(OWNER, &id, THIRD, None).await;
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    drained(&service).await;
    assert_eq!(types(&members_only(&hook)), ["image.member.create"; 2]);
    assert_eq!(hook.types().last().unwrap(), "image.delete");
}

#[tokio::test]
async fn members_of_v1_are_told_of_alike() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.image_id(OWNER, Some(b"data"), &[]).await;
    service.share(&id, OWNER, "beta", None).await;
    service.share(&id, OWNER, "beta", Some(true)).await;
    let all = json!({ "memberships": [{ "member_id": "gamma" }] });
    service.put(&format!("/v1/images/{id}/members")).by(OWNER).json(&all).send().await.expect(204);
    drained(&service).await;
    let told: Vec<_> = members_only(&hook)
        .iter()
        .map(|event| format!("{} {}", event["event_type"].as_str().unwrap(), event["payload"]["member_id"]))
        .collect();
    let expected = [
        "image.member.create \"beta\"",
        "image.member.update \"beta\"",
        "image.member.delete \"beta\"",
        "image.member.create \"gamma\"",
    ];
    assert_eq!(told, expected);
}
