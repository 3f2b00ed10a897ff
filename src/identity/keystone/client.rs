//! The wire to Keystone: the service's own token, and questions about the tokens of others.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use url::Url;

use super::token::Token;
use crate::config;
use crate::config::secret_files::{self, SecretFiles};
use crate::identity::SetupError;
use crate::identity::cache::Cache;
use crate::telemetry::client::observed;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::peer::{Kind, Peer};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an answer, with everything that it takes: a place, our own token, a second attempt.
const TOTAL: Duration = Duration::from_secs(10);
/// Questions under way at once; more wait, so that a flood of unknown tokens does not become one of connections.
const PLACES: usize = 32;
/// Largest answer that is read. Without the catalogue, answers are a few KiB, with it some 100.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// How long before its end our own token is renewed, if it lives ten times as long.
const RENEWAL: Duration = Duration::from_secs(60);
/// How long a refusal of the account is believed: no faster, or a wrong password locks the account.
const REFUSED_LIFE: Duration = Duration::from_secs(10);
/// How long an outage is believed.
pub(super) const FAILED_LIFE: Duration = Duration::from_secs(1);
/// Keystone accepts tokens with access rules only from services that declare that they heed them.
const ACCESS_RULES: (&str, &str) = ("openstack-identity-access-rules", "1.0");

/// Why Keystone could not be asked. Never holds a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("keystone cannot be reached")]
    Transport(#[source] reqwest::Error),
    #[error("keystone did not answer in time")]
    Slow,
    #[error("keystone answered {0}")]
    Status(StatusCode),
    #[error("keystone sent an answer of more than {LARGEST_ANSWER} bytes")]
    TooLarge,
    #[error("keystone sent an answer that cannot be understood")]
    Malformed(#[source] serde_json::Error),
    #[error("keystone issued a token without its text")]
    NoToken,
    #[error("keystone refused the service account with status {0}")]
    Account(StatusCode),
}

impl Failure {
    /// How long callers with the same question are given this failure without asking again.
    fn life(&self) -> Duration {
        if matches!(self, Self::Account(_)) { REFUSED_LIFE } else { FAILED_LIFE }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

/// A connection pool to one Keystone with the account that asks.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    tokens: Url,
    peer: Peer,
    account: Account,
    own: Cache<(), Result<Arc<Own>, Arc<Failure>>>,
    places: Semaphore,
    /// Whether answers are to hold the catalogue, which makes them many times as large.
    with_catalogue: bool,
    /// [`TOTAL`], but for tests.
    pub(super) total: Duration,
    pub(super) metrics: Option<Metrics>,
}

#[derive(Debug)]
struct Account {
    username: String,
    /// Looked at for every log-in.
    password: SecretFiles,
    project_name: String,
    user_domain_name: String,
    project_domain_name: String,
}

/// The service's own token. Used to validate other tokens and for nothing else (A36).
#[derive(Debug)]
struct Own {
    /// Marked sensitive, so that it is never printed.
    text: HeaderValue,
    roles: Vec<String>,
}

impl Client {
    pub(super) fn new(settings: &config::Keystone, with_catalogue: bool) -> Result<Self, SetupError> {
        let tokens = tokens_url(&settings.auth_url)?;
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("vitrine/", env!("CARGO_PKG_VERSION")))
            // a redirect or a proxy from the environment would hand tokens to whoever it names
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL);
        if let Some(file) = &settings.ca_file {
            http = http.tls_certs_only(certificates(file)?);
        } else if tokens.scheme() == "http" {
            // a container without certificates of its own must not fail for want of what it does not need
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http.build().map_err(|e| SetupError::new("keystone.auth_url", e))?,
            peer: Peer { kind: Kind::Keystone, address: tokens.host_str().unwrap_or_default().to_owned() },
            tokens,
            account: Account::new(settings)?,
            own: Cache::new(1),
            places: Semaphore::new(PLACES),
            with_catalogue,
            total: TOTAL,
            metrics: None,
        })
    }

    /// Asks what `token` is: the token, or nothing if Keystone does not accept it. `allow_expired` also accepts one
    /// that ended a while ago. Takes at most [`TOTAL`]; `token` must be fit for a header.
    pub(super) async fn validate(
        &self,
        token: &str,
        allow_expired: bool,
        now: Instant,
    ) -> Result<Option<Token>, Arc<Failure>> {
        let question = Box::pin(self.ask(token, allow_expired, now));
        tokio::time::timeout(self.total, question).await.unwrap_or_else(|_| Err(Arc::new(Failure::Slow)))
    }

    /// Reads the file of the password now; it counts from the next log-in on.
    pub(super) fn reread_password(&self) {
        self.account.password.reread();
    }

    /// Authenticates the account and validates the token it gets; returns the roles of the account.
    pub(super) async fn check(&self) -> Result<Vec<String>, Arc<Failure>> {
        let now = Instant::now();
        let own = tokio::time::timeout(self.total, self.own(now, None));
        let own = own.await.unwrap_or_else(|_| Err(Arc::new(Failure::Slow)))?;
        // printable, or it would not have come as a header
        let text = own.text.to_str().map_err(|_| Failure::NoToken)?;
        match self.validate(text, false, now).await? {
            Some(_) => Ok(own.roles.clone()),
            None => Err(Arc::new(Failure::Account(StatusCode::NOT_FOUND))),
        }
    }

    async fn ask(&self, token: &str, expired: bool, now: Instant) -> Result<Option<Token>, Arc<Failure>> {
        let _place = self.places.acquire().await;
        let own = self.own(now, None).await?;
        let mut answer = self.get(token, expired, &own).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // our own token was revoked, or Keystone's keys were rotated away under it
            let own = self.own(now, Some(&own)).await?;
            answer = self.get(token, expired, &own).await?;
        }
        match answer.status() {
            StatusCode::OK => {
                let body = read(answer).await?;
                Ok(Some(Token::parse(&body).map_err(Failure::Malformed)?))
            }
            // The rest of the question is the same for every token: what is wrong with it is wrong with the token.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                Ok(None)
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Failure::Account(status).into())
            }
            status => Err(Failure::Status(status).into()),
        }
    }

    async fn get(&self, token: &str, expired: bool, own: &Own) -> Result<Response, Failure> {
        let mut url = self.tokens.clone();
        url.set_query(match (self.with_catalogue, expired) {
            (false, false) => Some("nocatalog"),
            (false, true) => Some("nocatalog&allow_expired=1"),
            (true, false) => None,
            (true, true) => Some("allow_expired=1"),
        });
        let mut subject = HeaderValue::from_str(token).map_err(|_| Failure::NoToken)?;
        subject.set_sensitive(true);
        let request = self.http.get(url).header("x-auth-token", &own.text).header("x-subject-token", subject);
        self.send(&Method::GET, request.header(ACCESS_RULES.0, ACCESS_RULES.1)).await
    }

    /// Sends a request, once more if the connection broke: a kept connection may have died unnoticed. Nothing sent here
    /// changes anything in Keystone.
    async fn send(&self, method: &Method, request: RequestBuilder) -> Result<Response, Failure> {
        let observe = |request: RequestBuilder| {
            observed(self.metrics.as_ref(), method, Some(&self.peer), request.send())
        };
        let again = request.try_clone();
        match (observe(request).await, again) {
            (Err(error), Some(again)) if !error.is_timeout() => Ok(observe(again).await?),
            (result, _) => Ok(result?),
        }
    }

    /// Our own token; another one than `rejected`.
    async fn own(&self, now: Instant, rejected: Option<&Arc<Own>>) -> Result<Arc<Own>, Arc<Failure>> {
        let outdated = |known: &Result<Arc<Own>, Arc<Failure>>| match (known, rejected) {
            (Ok(known), Some(rejected)) => Arc::ptr_eq(known, rejected),
            _ => false,
        };
        let load = || async {
            match self.log_in().await {
                Ok((own, life)) => (Ok(Arc::new(own)), life),
                Err(failure) => {
                    let life = failure.life();
                    (Err(Arc::new(failure)), life)
                }
            }
        };
        self.own.fetch((), now, outdated, load).await
    }

    async fn log_in(&self) -> Result<(Own, Duration), Failure> {
        let mut url = self.tokens.clone();
        url.set_query(Some("nocatalog"));
        let answer = self.send(&Method::POST, self.http.post(url).json(&self.account.claim())).await?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Failure::Account(status));
            }
            status => return Err(Failure::Status(status)),
        }
        let mut text = answer.headers().get("x-subject-token").cloned().ok_or(Failure::NoToken)?;
        text.set_sensitive(true);
        let token = Token::parse(&read(answer).await?).map_err(Failure::Malformed)?;
        if let Some(metrics) = &self.metrics {
            metrics.set_credential_end(Kind::Keystone, token.password_expires_at);
        }
        let life = remaining(token.expires_at);
        Ok((Own { text, roles: token.caller.roles }, life - RENEWAL.min(life / 10)))
    }
}

impl Account {
    fn new(settings: &config::Keystone) -> Result<Self, SetupError> {
        if settings.username.is_empty() {
            return Err(SetupError::new(
                "keystone.username",
                "the account that validates tokens has no name",
            ));
        }
        Ok(Self {
            username: settings.username.clone(),
            password: SecretFiles::new(
                "identity.keystone.password_file",
                vec![(settings.password_file.clone(), password(settings)?)],
            ),
            project_name: settings.project_name.clone(),
            user_domain_name: settings.user_domain_name.clone(),
            project_domain_name: settings.project_domain_name.clone(),
        })
    }

    /// Password authentication with scope project.
    fn claim(&self) -> serde_json::Value {
        let secrets = self.password.current().values;
        let user = json!({
            "name": self.username,
            "password": secrets.first().map(ExposeSecret::expose_secret),
            "domain": {"name": self.user_domain_name},
        });
        let project = json!({"name": self.project_name, "domain": {"name": self.project_domain_name}});
        json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }})
    }
}

/// How long a token that ends at `expires_at` is still good for. The end is Keystone's wall-clock time, known to no
/// database of ours, so the local clock is the right one here: a wrong one costs more questions to Keystone or, at
/// worst, belief for the cache's limit.
pub(super) fn remaining(expires_at: OffsetDateTime) -> Duration {
    (expires_at - OffsetDateTime::now_utc()).try_into().unwrap_or(Duration::ZERO)
}

async fn read(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Where tokens are validated. An address without a version, as other services are given it, means v3.
fn tokens_url(auth_url: &str) -> Result<Url, SetupError> {
    let wrong = |reason: &'static str| SetupError::new("keystone.auth_url", reason);
    let mut url = Url::parse(auth_url).map_err(|e| SetupError::new("keystone.auth_url", e))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong("it must hold neither an account nor a query"));
    }
    let versioned = url.path().trim_end_matches('/').ends_with("/v3");
    let tail: &[&str] = if versioned { &["auth", "tokens"] } else { &["v3", "auth", "tokens"] };
    let mut path = url.path_segments_mut().map_err(|()| wrong("it has no path"))?;
    path.pop_if_empty().extend(tail);
    drop(path);
    Ok(url)
}

fn password(settings: &config::Keystone) -> Result<SecretString, SetupError> {
    if let Some(password) = &settings.password {
        return Ok(password.clone());
    }
    let Some(file) = &settings.password_file else {
        return Err(SetupError::new(
            "keystone.password",
            "the account that validates tokens has no password",
        ));
    };
    secret_files::read(file).map_err(|e| SetupError::new("keystone.password_file", e))
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, SetupError> {
    let key = "keystone.ca_file";
    let pem = std::fs::read(file).map_err(|e| SetupError::new(key, e))?;
    let list = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| SetupError::new(key, e))?;
    if list.is_empty() { Err(SetupError::new(key, "it holds no certificate")) } else { Ok(list) }
}
