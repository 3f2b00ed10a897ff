//! Events posted to an HTTP server, signed as <https://www.standardwebhooks.com> says.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use http::header::CONTENT_TYPE;
use reqwest::redirect;
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::Value;
use sha2::Sha256;
use url::Url;

use crate::config::notifications;
use crate::domain::event::Event;

use crate::telemetry::client::observed;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::peer::{Kind, Peer};

use super::error::{Error, ErrorKind, Result};

/// Longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// What marks a key that is written in base64.
const KEY_PREFIX: &str = "whsec_";

/// A server that is posted to. Whatever it answers within 2xx means that it has the event.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: String,
    peer: Option<Peer>,
    key: SecretSlice<u8>,
    metrics: Metrics,
}

impl Webhook {
    /// The server of the configuration, if it names one.
    pub(super) fn new(config: &notifications::Webhook, metrics: &Metrics) -> Result<Option<Self>> {
        let Some(url) = &config.url else { return Ok(None) };
        let unusable = |text: &str| Error::new(ErrorKind::Unusable, text);
        let secret = config.secret.as_ref().ok_or_else(|| unusable("the webhook has no secret"))?;
        let key = key(secret.expose_secret()).ok_or_else(|| unusable("the webhook's secret is no base64"))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .user_agent("vitrine")
            .build()
            .map_err(|error| Error::new(ErrorKind::Unusable, error))?;
        let address = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let peer = address.map(|address| Peer { kind: Kind::Webhook, address });
        Ok(Some(Self { client, url: url.clone(), peer, key: key.into(), metrics: metrics.clone() }))
    }

    pub(super) async fn deliver(&self, event: &Event, envelope: &Value) -> Result<()> {
        let id = event.message_id.to_string();
        let timestamp = event.claimed_at.unix_timestamp().to_string();
        let body = envelope.to_string();
        let signature = sign(self.key.expose_secret(), &id, &timestamp, &body)?;
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
        let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp);
        // the address may hold a token
        let unreachable = |error: reqwest::Error| Error::new(ErrorKind::Unreachable, error.without_url());
        let call = request.header("webhook-signature", signature).body(body).send();
        let answer = observed(Some(&self.metrics), &Method::POST, self.peer.as_ref(), call).await;
        let answer = answer.map_err(unreachable)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Refused, format!("answered {}", answer.status().as_u16())))
        }
    }
}

/// The bytes of a key; none where what should be base64 is not.
fn key(secret: &str) -> Option<Vec<u8>> {
    match secret.strip_prefix(KEY_PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

fn sign(key: &[u8], id: &str, timestamp: &str, body: &str) -> Result<String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).map_err(|error| Error::new(ErrorKind::Unusable, error))?;
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let signature = sign(&key, id, at, r#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn keys_are_text_or_base64() {
        assert_eq!(key("plain").unwrap(), b"plain");
        assert_eq!(key("whsec_AAEC").unwrap(), [0, 1, 2]);
        assert_eq!(key("whsec_?"), None);
    }
}
