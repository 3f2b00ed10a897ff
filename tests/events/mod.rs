//! Events (operations.md §7): which there are, what they say, and that none is lost.

mod amqp;
mod delivery;
mod images;
mod log;
mod members;
mod metadefs;
mod tasks;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use vitrine::config::Config;
use vitrine::flows::events::Delivered;

use crate::support::api::Service;
use crate::support::eventually;
use crate::support::hook::Hook;

/// A service that posts its events to `hook`.
pub async fn service_with(hook: &Hook, change: impl FnOnce(&mut Config)) -> Service {
    Service::start_with(|settings| {
        hook.listen(settings);
        change(settings);
    })
    .await
}

/// Waits until the outbox is empty.
pub async fn drained(service: &Service) {
    eventually("all events are delivered", async || {
        (service.count("SELECT count(*) FROM events").await == 0).then_some(())
    })
    .await;
}

/// Delivers whatever is in the outbox of a service without background work.
pub async fn deliver_all(service: &Service) {
    let stop = CancellationToken::new();
    for sink in &service.flows.sinks {
        while service.flows.deliver_events(sink, &stop).await.unwrap() != Delivered::default() {}
    }
}

/// Envelopes whose payload is about this image or task, in their order.
pub fn about(envelopes: &[Value], id: &str) -> Vec<Value> {
    let is_about = |envelope: &&Value| {
        let payload = &envelope["payload"];
        payload["id"] == id
            || payload["image_id"] == id
            || payload.as_str().is_some_and(|text| text.contains(id))
    };
    envelopes.iter().filter(is_about).cloned().collect()
}
