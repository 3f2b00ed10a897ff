//! Events as log lines, for installations that collect those anyway.

use serde_json::Value;
use tracing::info;

/// Writes the envelope in one line, whose fields are those of the envelope. Log lines cannot be refused.
pub(super) fn deliver(envelope: &Value) {
    let text = |name: &str| envelope[name].as_str().unwrap_or_default();
    info!(
        target: "vitrine::notification",
        message_id = text("message_id"),
        publisher_id = text("publisher_id"),
        event_type = text("event_type"),
        priority = text("priority"),
        event_time = text("timestamp"),
        payload = %envelope["payload"],
        "notification"
    );
}
