//! Sinks: where events go. Each delivers one event at a time and says whether it arrived; what is to be done when it did
//! not is the caller's matter.

mod amqp;
mod error;
mod log;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Notifications;
use crate::config::notifications::{AMQP, LOG, WEBHOOK};
use crate::domain::event::Event;
use crate::telemetry::metrics::Metrics;

pub use error::{Error, ErrorKind, Result};

/// Longest delivery of one event.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// One place that events are delivered to. Clones share its connection.
#[derive(Clone)]
pub struct Sink {
    publisher_id: Arc<str>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Log,
    Webhook(Arc<webhook::Webhook>),
    Amqp(Arc<amqp::Broker>),
}

impl Sink {
    /// The sinks that are switched on. Connects to nothing yet.
    ///
    /// # Errors
    /// `Unusable` for settings that no sink can be made of.
    pub fn all(config: &Notifications, metrics: &Metrics) -> Result<Vec<Self>> {
        let mut kinds = Vec::new();
        if config.log {
            kinds.push(Kind::Log);
        }
        if let Some(webhook) = webhook::Webhook::new(&config.webhook, metrics)? {
            kinds.push(Kind::Webhook(Arc::new(webhook)));
        }
        if let Some(broker) = amqp::Broker::new(&config.amqp)? {
            kinds.push(Kind::Amqp(Arc::new(broker)));
        }
        let publisher_id: Arc<str> = config.publisher_id.as_str().into();
        Ok(kinds.into_iter().map(|kind| Self { publisher_id: Arc::clone(&publisher_id), kind }).collect())
    }

    /// Its name in the outbox.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Log => LOG,
            Kind::Webhook(_) => WEBHOOK,
            Kind::Amqp(_) => AMQP,
        }
    }

    /// Delivers an event. It has arrived when this succeeds; it may have arrived when it does not.
    ///
    /// # Errors
    /// `Unreachable`, also after [`DELIVERY_LIMIT`]; `Refused`.
    pub async fn deliver(&self, event: &Event) -> Result<()> {
        let envelope = event.envelope(&self.publisher_id);
        let delivery = async {
            match &self.kind {
                Kind::Log => {
                    log::deliver(&envelope);
                    Ok(())
                }
                Kind::Webhook(webhook) => webhook.deliver(event, &envelope).await,
                Kind::Amqp(broker) => broker.deliver(event, &envelope).await,
            }
        };
        match timeout(DELIVERY_LIMIT, delivery).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                if let Kind::Amqp(broker) = &self.kind {
                    broker.disconnect().await;
                }
                Err(Error::new(ErrorKind::Unreachable, elapsed))
            }
        }
    }
}
