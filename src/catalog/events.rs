//! The outbox of events. Triggers fill it (`migrations/V004__events.sql`); what is here empties it.
//!
//! Only the oldest event of each subject is ever claimed, so events of one subject reach a sink in order. A claim is a
//! lease: `due_at` ends it, `attempts` fences it.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::domain::event::{Event, Priority};

use super::retry::{ONCE, REPEATABLE};
use super::row::{self, sql};
use super::{Catalog, Result, seconds};

/// An event that no trigger sees.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its type.
    pub event_type: &'static str,
    /// What it is delivered in order with.
    pub subject: String,
    /// What happened.
    pub payload: Value,
    /// How much it matters.
    pub priority: Priority,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredEvent {
    /// Its id.
    pub message_id: Uuid,
    /// The sink that did not get it.
    pub sink: String,
    /// Image or task.
    pub subject: String,
    /// Its type.
    pub event_type: String,
}

/// What waits for one sink.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkBacklog {
    /// The sink.
    pub sink: String,
    /// Events.
    pub pending: i64,
    /// Age of the oldest, in seconds.
    pub oldest_secs: f64,
}

impl Catalog {
    /// Puts an event into the outbox for every sink, unless its type is disabled.
    pub async fn emit_event(&self, event: &NewEvent) -> Result<()> {
        let priority = event.priority.as_str();
        let values: super::Values<'_> = &[&event.event_type, &event.subject, &event.payload, &priority];
        self.change(ONCE, sql!("emit_event"), values).await?;
        Ok(())
    }

    /// Claims for `lease` up to `limit` events that are due at `sink`, of each subject the oldest alone.
    pub async fn claim_events(&self, sink: &str, limit: i64, lease: Duration) -> Result<Vec<Event>> {
        row::events(&self.rows(sql!("claim_events"), &[&sink, &limit, &seconds(lease)]).await?)
    }

    /// Forgets an event that was delivered.
    pub async fn delete_event(&self, event: &Event) -> Result<()> {
        self.execute(REPEATABLE, sql!("delete_event"), &[&event.id]).await?;
        Ok(())
    }

    /// Gives an event back that could not be delivered. It is due after `delay`, and with it what comes after it for the
    /// same subject, so that claims need not step over that.
    pub async fn postpone_events(&self, event: &Event, delay: Duration) -> Result<()> {
        let values: super::Values<'_> =
            &[&event.id, &event.attempts, &event.sink, &event.subject, &seconds(delay)];
        self.execute(REPEATABLE, sql!("postpone_events"), values).await?;
        Ok(())
    }

    /// Gives an event back that was not tried; it is due now.
    pub async fn release_event(&self, event: &Event) -> Result<()> {
        self.execute(ONCE, sql!("release_event"), &[&event.id, &event.attempts]).await?;
        Ok(())
    }

    /// Gives up events older than `age`, whatever sink they are for.
    pub async fn expire_events(&self, age: Duration, limit: i64) -> Result<Vec<ExpiredEvent>> {
        row::expired_events(&self.rows(sql!("expire_events"), &[&seconds(age), &limit]).await?)
    }

    /// What waits, by sink; sinks for which nothing waits are left out.
    pub async fn event_backlog(&self) -> Result<Vec<SinkBacklog>> {
        row::sink_backlogs(&self.rows(sql!("event_backlog"), &[]).await?)
    }
}
