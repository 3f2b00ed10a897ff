//! An HTTP server that events are posted to.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use vitrine::config::Config;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Key of the signatures, as the configuration has it.
const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw==";
const KEY: &[u8] = b"secret of the tests";

/// A server that takes events, or refuses some. It checks the signature of each.
pub struct Hook {
    server: MockServer,
    record: Arc<Record>,
}

/// Which requests are refused, with 500.
#[derive(Default, Clone, Copy)]
pub enum Refusals {
    /// None.
    #[default]
    Never,
    /// The very first.
    First,
    /// Every second one about an event, beginning with the first.
    EverySecond,
}

#[derive(Default)]
struct Record {
    refusals: Refusals,
    seen: Mutex<Vec<Value>>,
    taken: Mutex<Vec<Value>>,
}

/// How a request is answered.
struct Answer(Arc<Record>);

impl Hook {
    /// A server that takes everything.
    pub async fn start() -> Self {
        Self::refusing(Refusals::Never).await
    }

    /// A server that refuses some requests.
    pub async fn refusing(refusals: Refusals) -> Self {
        let record = Arc::new(Record { refusals, ..Record::default() });
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/events"))
            .respond_with(Answer(Arc::clone(&record)))
            .mount(&server)
            .await;
        Self { server, record }
    }

    /// Lets a service post here.
    pub fn listen(&self, settings: &mut Config) {
        settings.notifications.webhook.url = Some(format!("{}/events", self.server.uri()));
        settings.notifications.webhook.secret = Some(SECRET.into());
    }

    /// Envelopes that were taken, in their order.
    pub fn taken(&self) -> Vec<Value> {
        self.record.taken.lock().unwrap().clone()
    }

    /// Requests, refused ones included.
    pub fn seen(&self) -> usize {
        self.record.seen.lock().unwrap().len()
    }

    /// Types of what was taken, in their order.
    pub fn types(&self) -> Vec<String> {
        types(&self.taken())
    }
}

/// The types of envelopes.
pub fn types(envelopes: &[Value]) -> Vec<String> {
    envelopes.iter().map(|envelope| envelope["event_type"].as_str().unwrap().to_owned()).collect()
}

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let Self(record) = self;
        let text = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
        mac.update(&request.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let envelope: Value = serde_json::from_slice(&request.body).unwrap();
        // a panic here would be a refusal that looks like chance
        if text("webhook-signature") != expected || envelope["message_id"] != text("webhook-id") {
            return ResponseTemplate::new(401);
        }
        let mut seen = record.seen.lock().unwrap();
        let earlier = seen.iter().filter(|other| other["message_id"] == envelope["message_id"]).count();
        let refused = match record.refusals {
            Refusals::Never => false,
            Refusals::First => seen.is_empty(),
            Refusals::EverySecond => earlier % 2 == 0,
        };
        seen.push(envelope.clone());
        if refused {
            return ResponseTemplate::new(500);
        }
        record.taken.lock().unwrap().push(envelope);
        ResponseTemplate::new(204)
    }
}
