//! Events for a broker that speaks AMQP 0-9-1, as oslo.messaging's `messagingv2` driver publishes them: a topic exchange,
//! one queue for each topic and priority bound to it under its own name, and the message as text in an envelope.

use std::str::FromStr;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::config::notifications;
use crate::domain::event::{Event, Priority};

use super::error::{Error, ErrorKind, Result};

/// Messages that outlive the broker.
const PERSISTENT: u8 = 2;
/// What events can be marked with; queues are named after it.
const PRIORITIES: [Priority; 2] = [Priority::Info, Priority::Error];

/// A broker, connected to when it is needed. A connection on which anything failed is not used again.
pub(super) struct Broker {
    url: SecretString,
    exchange: String,
    topics: Vec<String>,
    durable: bool,
    link: Mutex<Option<Link>>,
}

/// A connection with its only channel, in confirm mode.
struct Link {
    connection: Connection,
    channel: Channel,
}

impl Broker {
    /// The broker of the configuration, if it names one.
    pub(super) fn new(config: &notifications::Amqp) -> Result<Option<Self>> {
        let Some(url) = &config.url else { return Ok(None) };
        // the text of the error could repeat the password
        AMQPUri::from_str(url.expose_secret())
            .map_err(|_| Error::new(ErrorKind::Unusable, "the broker's URL cannot be read"))?;
        Ok(Some(Self {
            url: url.clone(),
            exchange: config.exchange.clone(),
            topics: config.topics.clone(),
            durable: config.durable,
            link: Mutex::default(),
        }))
    }

    pub(super) async fn deliver(&self, event: &Event, envelope: &Value) -> Result<()> {
        let channel = self.channel().await?;
        let published = self.publish(&channel, event, envelope).await;
        if published.is_err() {
            self.disconnect().await;
        }
        published
    }

    /// Leaves the connection, so that the next delivery makes a new one.
    pub(super) async fn disconnect(&self) {
        // closed by being dropped: a broker that does not answer would not answer to a farewell either
        self.link.lock().await.take();
    }

    async fn channel(&self) -> Result<Channel> {
        let mut link = self.link.lock().await;
        if let Some(link) = &*link
            && link.connection.status().connected()
            && link.channel.status().connected()
        {
            return Ok(link.channel.clone());
        }
        let made = self.connect().await.map_err(|error| Error::new(ErrorKind::Unreachable, error))?;
        Ok(link.insert(made).channel.clone())
    }

    /// Connects and declares what is published to, so that nothing is lost before somebody listens.
    async fn connect(&self) -> lapin::Result<Link> {
        let properties = ConnectionProperties::default().with_connection_name("vitrine".into());
        let connection = Connection::connect(self.url.expose_secret(), properties).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = ExchangeDeclareOptions { durable: self.durable, ..Default::default() };
        let exchange = self.exchange.as_str();
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default())
            .await?;
        for queue in
            self.topics.iter().flat_map(|topic| PRIORITIES.map(|priority| key(topic, priority.as_str())))
        {
            let queue = queue.as_str();
            let options = QueueDeclareOptions { durable: self.durable, ..Default::default() };
            channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.into(), exchange.into(), queue.into(), options, FieldTable::default())
                .await?;
        }
        Ok(Link { connection, channel })
    }

    /// Publishes to every topic and waits until the broker has taken it.
    async fn publish(&self, channel: &Channel, event: &Event, envelope: &Value) -> Result<()> {
        let lost = |error: lapin::Error| Error::new(ErrorKind::Unreachable, error);
        let body = body(event, envelope).to_string();
        let id = event.message_id.to_string();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(id.into());
        for topic in &self.topics {
            let key = key(topic, &event.priority);
            let options = BasicPublishOptions::default();
            let confirmed = channel
                .basic_publish(
                    self.exchange.as_str().into(),
                    key.as_str().into(),
                    options,
                    body.as_bytes(),
                    properties.clone(),
                )
                .await
                .map_err(lost)?
                .await
                .map_err(lost)?;
            if !matches!(confirmed, Confirmation::Ack(_)) {
                return Err(Error::new(ErrorKind::Refused, "the broker did not take the message"));
            }
        }
        Ok(())
    }
}

/// Routing key, and name of the queue, of a topic: `notifications.info`.
fn key(topic: &str, priority: &str) -> String {
    format!("{topic}.{}", priority.to_ascii_lowercase())
}

/// The envelope as oslo.messaging wraps it. Its `_unique_id` is how listeners tell a message that comes twice.
fn body(event: &Event, envelope: &Value) -> Value {
    let mut message = envelope.clone();
    message["_unique_id"] = event.message_id.simple().to_string().into();
    json!({ "oslo.version": "2.0", "oslo.message": message.to_string() })
}
