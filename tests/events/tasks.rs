//! Events of tasks.

use serde_json::{Value, json};

use super::{deliver_all, drained, service_with};
use crate::support::api::{OWNER, Service};
use crate::support::eventually;
use crate::support::hook::{Hook, types};
use crate::support::source::{self, Source};

fn tasks_only(hook: &Hook) -> Vec<Value> {
    hook.taken()
        .into_iter()
        .filter(|event| event["event_type"].as_str().unwrap().starts_with("task."))
        .collect()
}

async fn copy(service: &Service, url: &str, end: &str) {
    let request = service.post("/v1/images").by(OWNER).header("x-glance-api-copy-from", url).formats();
    let id = request.send().await.expect(201).image()["id"].as_str().unwrap().to_owned();
    eventually(end, async || (service.status(&id).await == end).then_some(())).await;
}

#[tokio::test]
async fn a_task_begins_and_ends_once() {
    let hook = Hook::start().await;
    let source = Source::start().await;
    let service = service_with(&hook, source::allow).await;
    copy(&service, &source.put("/image", b"data"), "active").await;
    drained(&service).await;
    service.sql("UPDATE tasks SET expires_at = now()").await;
    service.flows.sweep().await.unwrap();
    drained(&service).await;
    let events = tasks_only(&hook);
    assert_eq!(types(&events), ["task.create", "task.run", "task.processing", "task.success", "task.delete"]);
    let statuses: Vec<_> = events.iter().map(|event| &event["payload"]["status"]).collect();
    assert_eq!(statuses, ["pending", "pending", "processing", "success", "success"]);
    for (at, event) in events.iter().enumerate() {
        let payload = event["payload"].as_object().unwrap();
        let keys: Vec<_> = payload.keys().map(String::as_str).collect();
        let expected = [
            "created_at",
            "deleted",
            "deleted_at",
            "expires_at",
            "id",
            "message",
            "owner",
            "result",
            "status",
            "type",
            "updated_at",
        ];
        assert_eq!(keys, expected);
        assert_eq!((&payload["result"], &payload["message"]), (&Value::Null, &Value::Null));
        assert_eq!((&payload["owner"], &payload["deleted"]), (&json!("alpha"), &json!(at == 4)));
        assert_eq!(payload["deleted_at"].is_string(), at == 4);
        assert_eq!(payload["expires_at"].is_string(), at >= 3);
    }
}

/// However often it is tried.
#[tokio::test]
async fn a_task_that_fails_says_so() {
    let hook = Hook::start().await;
    let source = Source::start().await;
    let service = service_with(&hook, |settings| {
        source::allow(settings);
        settings.jobs.enabled = false;
    })
    .await;
    let request = service.post("/v1/images").by(OWNER);
    let request = request.header("x-glance-api-copy-from", source.put("/image", b"data"));
    request.formats().send().await.expect(201);
    // as a runner takes it up and gives it back, again and again
    for change in ["'processing'", "'pending'", "'processing'", "'failure', message = 'a secret reason'"] {
        let change = format!(
            "SET vitrine.event_sinks = 'webhook'; UPDATE tasks SET updated_at = statement_timestamp(), status = {change}"
        );
        service.sql(&change).await;
    }
    deliver_all(&service).await;
    let events = tasks_only(&hook);
    assert_eq!(types(&events), ["task.create", "task.run", "task.processing", "task.failure"]);
    assert!(!Value::from(events).to_string().contains("reason"));
}
