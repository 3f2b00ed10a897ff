//! Who is told of events, and how.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::units::{duration, secret};

/// `notifications`: who is told of events. Every sink that is switched on gets all of them.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notifications {
    /// What events name as their origin.
    pub publisher_id: String,
    /// Types that are not wanted, or groups of them: `image`, `image.member`, `task`.
    pub disabled: Vec<String>,
    /// How long an event that cannot be delivered is kept.
    #[serde(with = "duration")]
    pub ttl: Duration,
    /// Sink: the log.
    pub log: bool,
    /// Sink: an HTTP server.
    pub webhook: Webhook,
    /// Sink: a message broker.
    pub amqp: Amqp,
}

/// `notifications.webhook`: an HTTP server that events are posted to.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where to; no such sink where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Key of the signatures: text, or bytes in base64 after `whsec_`.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretString>,
    /// File that holds the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

/// `notifications.amqp`: a broker that speaks AMQP 0-9-1.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amqp {
    /// `amqp://user:password@host:port/vhost`; no such sink where unset.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretString>,
    /// File that holds the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Topic exchange; `control_exchange` of the reference.
    pub exchange: String,
    /// First words of the routing keys, each with a copy of every event: `notifications` gives `notifications.info`.
    pub topics: Vec<String>,
    /// Whether exchange and queues outlive the broker; those that listen have to declare them alike
    /// (`amqp_durable_queues`).
    pub durable: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            publisher_id: "image.localhost".to_owned(),
            disabled: Vec::new(),
            ttl: Duration::from_secs(7 * 24 * 3600),
            log: false,
            webhook: Webhook::default(),
            amqp: Amqp::default(),
        }
    }
}

impl Default for Amqp {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            exchange: "glance".to_owned(),
            topics: vec!["notifications".to_owned()],
            durable: true,
        }
    }
}

/// Name of the log among the sinks.
pub const LOG: &str = "log";
/// Name of the webhook among the sinks.
pub const WEBHOOK: &str = "webhook";
/// Name of the broker among the sinks.
pub const AMQP: &str = "amqp";

impl Notifications {
    /// Names of the sinks that are switched on.
    pub fn sinks(&self) -> Vec<&'static str> {
        let sinks = [(LOG, self.log), (WEBHOOK, self.webhook.url.is_some()), (AMQP, self.amqp.url.is_some())];
        sinks.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }
}
