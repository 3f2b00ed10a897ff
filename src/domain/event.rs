//! Events for those who listen to the service (operations.md §7).

use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// Every type there is.
const TYPES: [&str; 33] = [
    "image.activate",
    "image.create",
    "image.delete",
    "image.member.create",
    "image.member.delete",
    "image.member.update",
    "image.prepare",
    "image.send",
    "image.update",
    "image.upload",
    "metadef_namespace.create",
    "metadef_namespace.delete",
    "metadef_namespace.delete_objects",
    "metadef_namespace.delete_properties",
    "metadef_namespace.delete_tags",
    "metadef_namespace.update",
    "metadef_object.create",
    "metadef_object.delete",
    "metadef_object.update",
    "metadef_property.create",
    "metadef_property.delete",
    "metadef_property.update",
    "metadef_resource_type.create",
    "metadef_resource_type.delete",
    "metadef_tag.create",
    "metadef_tag.delete",
    "metadef_tag.update",
    "task.create",
    "task.delete",
    "task.failure",
    "task.processing",
    "task.run",
    "task.success",
];

/// The event about data that were sent.
pub const SEND: &str = "image.send";

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// What happened as it should.
    Info,
    /// What went wrong.
    Error,
}

impl Priority {
    /// The word in the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Error => "ERROR",
        }
    }
}

/// An event on its way to one sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Place in the outbox.
    pub id: i64,
    /// The same for every sink and every attempt.
    pub message_id: Uuid,
    /// The sink it waits for.
    pub sink: String,
    /// What is delivered in order: the id of an image or task, the name of a namespace.
    pub subject: String,
    /// `image.create`
    pub event_type: String,
    /// `INFO` or `ERROR`.
    pub priority: String,
    /// What happened to what.
    pub payload: Value,
    /// Attempts so far, this one included; the fence of its lease.
    pub attempts: i32,
    /// When it happened.
    pub created_at: OffsetDateTime,
    /// When this attempt began.
    pub claimed_at: OffsetDateTime,
}

impl Event {
    /// The event as those who listen get it, in the envelope of the reference.
    pub fn envelope(&self, publisher_id: &str) -> Value {
        json!({
            "message_id": self.message_id,
            "publisher_id": publisher_id,
            "event_type": self.event_type,
            "priority": self.priority,
            "timestamp": timestamp(self.created_at),
            "payload": self.payload,
        })
    }
}

/// `2016-05-10 21:14:04.000000`, UTC, as the envelope of the reference has it.
fn timestamp(instant: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
    instant.to_offset(UtcOffset::UTC).format(form).unwrap_or_default()
}

/// Whether `word` is a type of event or a group of them: the text before a dot.
pub fn is_type_or_group(word: &str) -> bool {
    TYPES
        .iter()
        .any(|known| known.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ops_022_types_and_groups_are_known_by_their_words() {
        for word in ["image", "image.member", "image.create", "image.member.update", "task", "metadef_tag"] {
            assert!(is_type_or_group(word), "{word}");
        }
        for word in ["", "im", "image.", "image.mem", "image.create.x", "images", "Image"] {
            assert!(!is_type_or_group(word), "{word}");
        }
    }

    #[test]
    fn the_envelope_has_the_time_of_the_event_in_utc() {
        let event = Event {
            id: 7,
            message_id: Uuid::nil(),
            sink: "log".to_owned(),
            subject: "s".to_owned(),
            event_type: "image.create".to_owned(),
            priority: "INFO".to_owned(),
            payload: json!({"id": "s"}),
            attempts: 1,
            created_at: datetime!(2016-05-10 23:14:04.5 +2),
            claimed_at: datetime!(2016-05-11 00:00:00 UTC),
        };
        let expected = json!({
            "message_id": "00000000-0000-0000-0000-000000000000", "publisher_id": "image.here",
            "event_type": "image.create", "priority": "INFO", "timestamp": "2016-05-10 21:14:04.500000",
            "payload": {"id": "s"},
        });
        assert_eq!(event.envelope("image.here"), expected);
    }
}
