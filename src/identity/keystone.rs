//! Mode `keystone`: tokens validated by the identity service (images-v1.md §10, images-v2.md §2.2, operations.md §10).
//!
//! Identity headers that a client sends (`X-Roles`, `X-User-Id`, …) are never read here (A31). An answer is believed
//! for `cache_ttl`, but no longer than its token lives; so a revoked token works for that long at most (A34). During
//! an outage, callers whose answer is still believed are served and others are told to come back (A52, R-10).

mod client;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::cache::{Cache, CacheStats};
use super::{Request, SetupError, field, roles, unauthenticated};
use crate::config;
use crate::domain::caller::Caller;
use crate::error::{Error, Result};
use crate::telemetry::metrics::Metrics;

use client::{Client, FAILED_LIFE, Failure, remaining};
use token::Token;

/// Tokens remembered at once.
const CAPACITY: u64 = 10_000;
/// How long a refusal is believed.
const REFUSED_LIFE: Duration = Duration::from_secs(10);
/// Longest wait for an answer that another request asked for. Longer than one question takes; needed because the
/// question is asked anew whenever the request that asked it is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(12);
/// When callers should come back after an outage.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Validates tokens and remembers the answers.
#[derive(Debug)]
pub struct Keystone {
    client: Client,
    answers: Cache<Question, Answer>,
    cache_ttl: Duration,
    service_token_roles: Vec<String>,
    public_uri: String,
    allow_anonymous: bool,
}

/// What is asked of Keystone, and the key of the cache: a digest, so that memory holds no usable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    digest: [u8; 32],
    allow_expired: bool,
}

#[derive(Debug, Clone)]
enum Answer {
    Valid(Arc<Token>),
    Refused,
    Failed(Arc<Failure>),
}

impl Keystone {
    pub(super) fn new(settings: &config::Identity, with_catalogue: bool) -> Result<Self, SetupError> {
        let keystone = &settings.keystone;
        Ok(Self {
            client: Client::new(keystone, with_catalogue)?,
            answers: Cache::new(CAPACITY),
            cache_ttl: settings.cache_ttl,
            service_token_roles: roles(keystone.service_token_roles.iter().map(String::as_str)),
            public_uri: keystone.www_authenticate_uri.clone().unwrap_or_else(|| keystone.auth_url.clone()),
            allow_anonymous: settings.allow_anonymous_access,
        })
    }

    /// The same, which reports its requests to these instruments.
    pub(super) fn observed_by(mut self, metrics: &Metrics) -> Self {
        self.client.metrics = Some(metrics.clone());
        self
    }

    /// Tells who sends `request`; answers are believed or not as of `now`.
    pub(super) async fn authenticate(&self, request: Request<'_>, now: Instant) -> Result<Caller> {
        let Some(text) = presented_by_user(request.headers)? else {
            return if self.allow_anonymous { Ok(Caller::anonymous()) } else { Err(unauthenticated()) };
        };
        let service_roles = self.service_roles(request, now).await?;
        let forwarded = !service_roles.is_empty();
        let token = self.look_up(text, forwarded, now).await?.ok_or_else(unauthenticated)?;
        // Access rules speak of what the user calls. What a service does to carry that call out, it vouches for.
        if !forwarded && !token.permits(request) {
            return Err(unauthenticated());
        }
        Ok(Caller { service_roles, peers: token.peers(text), ..token.caller.clone() })
    }

    /// Value of `WWW-Authenticate`; single quotes as in images-v1.md §10.2.
    pub(super) fn challenge(&self) -> String {
        format!("Keystone uri='{}'", self.public_uri)
    }

    /// See [`super::Identity::check`].
    pub(super) async fn check(&self) -> Result<()> {
        let roles = self.client.check().await.map_err(unavailable)?;
        // Keystone lets every account validate its own token, so that proves nothing about those of others.
        if !roles.iter().any(|role| role == "admin" || role == "service") {
            tracing::warn!(
                "the keystone account holds neither role admin nor service and may be unable to validate tokens"
            );
        }
        Ok(())
    }

    /// See [`super::Identity::reread_secrets`].
    pub(super) fn reread_password(&self) {
        self.client.reread_password();
    }

    pub(super) fn cache_stats(&self) -> CacheStats {
        self.answers.stats()
    }

    /// Roles of the service that forwards the request. Empty unless its token is valid and holds one of the roles
    /// that make a service (A35): then the request is judged by the user's token alone.
    async fn service_roles(&self, request: Request<'_>, now: Instant) -> Result<Vec<String>> {
        let Some(token) = presented(request.headers, "x-service-token")? else { return Ok(Vec::new()) };
        let service = self.look_up(token, false, now).await?.filter(|token| token.permits(request));
        let is_service =
            |token: &Arc<Token>| self.service_token_roles.iter().any(|r| token.caller.has_role(r));
        Ok(service.filter(is_service).map(|token| token.caller.roles.clone()).unwrap_or_default())
    }

    /// The valid token with this text, if there is one.
    async fn look_up(&self, text: &str, allow_expired: bool, now: Instant) -> Result<Option<Arc<Token>>> {
        let question = Question { digest: Sha256::digest(text).into(), allow_expired };
        let load = || self.ask(text, allow_expired, now);
        let answer = self.answers.fetch(question, now, |_| false, load);
        match tokio::time::timeout(LONGEST_WAIT, answer).await {
            Ok(Answer::Valid(token)) => Ok(Some(token)),
            Ok(Answer::Refused) => Ok(None),
            Ok(Answer::Failed(failure)) => Err(unavailable(failure)),
            Err(_) => Err(unavailable(Arc::new(Failure::Slow))),
        }
    }

    async fn ask(&self, text: &str, allow_expired: bool, now: Instant) -> (Answer, Duration) {
        match self.client.validate(text, allow_expired, now).await {
            Ok(Some(token)) if token.stands_alone() => {
                let life = remaining(token.expires_at);
                // the end of an expired token says nothing about how long to believe Keystone's word for it
                let life = if allow_expired { self.cache_ttl } else { life.min(self.cache_ttl) };
                (Answer::Valid(Arc::new(token)), life)
            }
            Ok(_) => (Answer::Refused, REFUSED_LIFE),
            Err(failure) => (Answer::Failed(failure), FAILED_LIFE),
        }
    }
}

/// The user's token. `X-Storage-Token` is the name that old clients know it by.
fn presented_by_user(headers: &HeaderMap) -> Result<Option<&str>> {
    match presented(headers, "x-auth-token")? {
        None => presented(headers, "x-storage-token"),
        token => Ok(token),
    }
}

/// The token in header `name`. What cannot be a token is refused here and costs no question (A32).
fn presented<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    match field(headers, name)? {
        Some(text) if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(unauthenticated())
        }
        token => Ok(token),
    }
}

fn unavailable(failure: Arc<Failure>) -> Error {
    Error::unavailable("The identity service is out of reach. Try again later.", RETRY_AFTER)
        .with_source(failure)
}
