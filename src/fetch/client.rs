//! Sending guarded requests.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use url::{Host, Origin};

use super::body::Source;
use super::error::{FetchError, FetchErrorKind as Kind};
use super::resolve::{CheckedDns, Lookup};
use super::target::{Refusal, Target};
use super::validator::{Validator, number};
use crate::config;
use crate::error::{Error, Result as CrateResult};
use crate::telemetry::client::observed;
use crate::telemetry::metrics::Metrics;

/// Bounds on a fetch.
///
/// Only time spent waiting for the source counts, not the time its reader takes. A source may keep us waiting for
/// `slack` plus one second for every `floor` bytes it sent, and never longer than `total`; so a trickle of 1 B/s
/// ends after `slack`, and no transfer lasts longer than `slack + size / floor`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest name look-up.
    pub dns: Duration,
    /// Longest time for a connection, its look-up and its TLS handshake.
    pub connect: Duration,
    /// Longest wait for the head of an answer, with all redirects, and for the next bytes of its body.
    pub idle: Duration,
    /// Waiting that a source is granted however little it sends.
    pub slack: Duration,
    /// Bytes a second that a source must send over and above `slack`; not 0.
    pub floor: u64,
    /// Longest waiting in all.
    pub total: Duration,
    /// How often a broken body is reopened without a byte of progress in between.
    pub tries: u32,
    /// Wait before the first reopening; doubles with each one that brought nothing.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dns: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            slack: Duration::from_secs(600),
            floor: 16 << 10,
            total: Duration::from_secs(24 * 3600),
            tries: 3,
            backoff: Duration::from_millis(500),
        }
    }
}

/// Header that a token goes in.
const AUTH_TOKEN: &str = "x-auth-token";

/// The guarded fetcher. Clones share its counters.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
    credential: Option<Credential>,
    metrics: Option<Metrics>,
}

/// A token, and the one place that it may be sent to.
#[derive(Clone)]
struct Credential {
    token: HeaderValue,
    origin: Origin,
}

struct Shared {
    rules: config::Import,
    limits: Limits,
    dns: CheckedDns,
    client: Client,
    refusals: Arc<AtomicU64>,
}

/// Where in the body an answer is to begin, and what proves that it is the same body, unless its reader does.
pub(super) struct Resume<'a> {
    pub(super) offset: u64,
    pub(super) validator: Option<&'a Validator>,
}

impl Fetcher {
    /// A fetcher under these rules.
    ///
    /// # Errors
    /// The TLS backend could not be set up.
    pub fn new(rules: &config::Import) -> CrateResult<Self> {
        Self::with_limits(rules, Limits::default())
    }

    /// A fetcher with other bounds than the defaults.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_limits(rules: &config::Import, limits: Limits) -> CrateResult<Self> {
        Self::build(rules, limits, Lookup::System, Arc::default())
    }

    pub(super) fn build(
        rules: &config::Import,
        limits: Limits,
        lookup: Lookup,
        refusals: Arc<AtomicU64>,
    ) -> CrateResult<Self> {
        let dns = CheckedDns { lookup, allow_private: rules.allow_private_networks, limit: limits.dns };
        let client = client(&dns, &limits).map_err(Error::internal)?;
        let shared = Shared { rules: rules.clone(), limits, dns, client, refusals };
        Ok(Self { shared: Arc::new(shared), credential: None, metrics: None })
    }

    /// The same fetcher, which reports its requests to these instruments; where they went stays out of them.
    #[must_use]
    pub fn observed_by(self, metrics: &Metrics) -> Self {
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// A fetcher for the image services that callers' catalogues name.
    ///
    /// Users choose among those, but the operator wrote them: they lie in private networks and on ports of their own
    /// as often as not, and rules made for the Internet say nothing about them. Addresses that no service has, such as
    /// those of metadata services, stay forbidden.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn for_peers(&self) -> CrateResult<Self> {
        let Shared { rules, limits, dns, refusals, .. } = &*self.shared;
        let rules = config::Import {
            allow_private_networks: true,
            allowed_ports: Vec::new(),
            allowed_hosts: Vec::new(),
            denied_hosts: Vec::new(),
            ..rules.clone()
        };
        let peers = Self::build(&rules, limits.clone(), dns.lookup.clone(), Arc::clone(refusals))?;
        Ok(Self { metrics: self.metrics.clone(), ..peers })
    }

    /// The same fetcher with a token, which goes to the origin of `target` and nowhere else: no redirect is followed
    /// with it (A13).
    ///
    /// # Errors
    /// The token cannot be sent in a header.
    pub fn with_token(&self, target: &Target, token: &SecretString) -> CrateResult<Self> {
        let mut token = HeaderValue::from_str(token.expose_secret()).map_err(Error::internal)?;
        token.set_sensitive(true);
        let credential = Credential { token, origin: target.url().origin() };
        Ok(Self { credential: Some(credential), ..self.clone() })
    }

    /// How many targets, redirects and resolved names were forbidden so far.
    pub fn refusals(&self) -> u64 {
        self.shared.refusals.load(Ordering::Relaxed)
    }

    /// [`Target::parse`] under the rules of this fetcher, with forbidden targets counted.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn parse(&self, url: &str) -> Result<Target, Refusal> {
        Target::parse(url, &self.shared.rules).inspect_err(|refusal| {
            if matches!(refusal, Refusal::Forbidden(_)) {
                self.count(*refusal, "");
            }
        })
    }

    /// Resolves the host and judges its addresses without connecting, for entrances that answer at once and fetch
    /// later.
    ///
    /// # Errors
    /// [`Kind::Refused`], or [`Kind::Unreachable`] when the name is unknown.
    pub async fn check(&self, target: &Target) -> Result<(), FetchError> {
        target.check(&self.shared.rules).map_err(|refusal| self.refuse(refusal, target))?;
        if let Some(Host::Domain(name)) = target.url().host() {
            self.shared.dns.addresses(name).await.map_err(|error| match find_refusal(&error) {
                Some(refusal) => self.refuse(refusal, target),
                None => FetchError::unreachable(error),
            })?;
        }
        Ok(())
    }

    /// The size of the source in bytes, where it tells: by HEAD, or by GET where HEAD is of no use.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn probe(&self, target: &Target) -> Result<Option<u64>, FetchError> {
        let head = self.request(Method::HEAD, target, None).await?;
        if let Ok(()) | Err(Kind::NotFound | Kind::Encoded) = verdict(&head) {
            verdict(&head)?;
            let size = head.headers().get(CONTENT_LENGTH).and_then(|value| number(value.to_str().ok()?));
            if size.is_some() {
                return Ok(size);
            }
        }
        let response = self.request(Method::GET, target, None).await?;
        verdict(&response)?;
        Ok(response.content_length())
    }

    /// Starts to read the source. `max_bytes` is the most that the caller accepts.
    ///
    /// # Errors
    /// See [`Kind`]; [`Kind::TooLarge`] where the announced size is above `max_bytes`.
    pub async fn open(&self, target: &Target, max_bytes: u64) -> Result<Source, FetchError> {
        let response = self.request(Method::GET, target, None).await?;
        verdict(&response)?;
        Source::new(self.clone(), target.clone(), response, max_bytes)
    }

    /// As [`Fetcher::open`], for a caller who proves the whole body by a digest: it is resumed also where the source
    /// gives no validator.
    ///
    /// # Errors
    /// As [`Fetcher::open`].
    pub async fn open_proven(&self, target: &Target, max_bytes: u64) -> Result<Source, FetchError> {
        self.open(target, max_bytes).await.map(Source::proven)
    }

    /// Reads a whole body of at most `max_bytes`, in the time that otherwise the head of an answer may take.
    ///
    /// # Errors
    /// As [`Fetcher::open`] and [`Source::chunk`].
    pub async fn read(&self, target: &Target, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let whole = async {
            let mut source = self.open(target, max_bytes).await?;
            let mut body = Vec::new();
            while let Some(data) = source.chunk().await? {
                body.extend_from_slice(&data);
            }
            Ok(body)
        };
        timeout(self.shared.limits.idle, whole).await.unwrap_or_else(|_| Err(Kind::Stalled.into()))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Sends a request and follows redirects, judging each hop. Any other answer is returned, whatever its status.
    pub(super) async fn request(
        &self,
        method: Method,
        target: &Target,
        resume: Option<Resume<'_>>,
    ) -> Result<Response, FetchError> {
        let answer = self.follow(method, target, resume);
        timeout(self.shared.limits.idle, answer)
            .await
            .unwrap_or_else(|elapsed| Err(FetchError::unreachable(elapsed)))
    }

    async fn follow(
        &self,
        method: Method,
        target: &Target,
        resume: Option<Resume<'_>>,
    ) -> Result<Response, FetchError> {
        let rules = &self.shared.rules;
        let mut seen: Vec<Target> = Vec::new();
        let mut hop = target.clone();
        loop {
            hop.check(rules).map_err(|refusal| self.refuse(refusal, &hop))?;
            let response = self.send(method.clone(), &hop, resume.as_ref()).await?;
            let Some(location) = redirection(&response)? else { return Ok(response) };
            if self.credential.is_some() {
                return Err(self.refuse(Refusal::Redirect, &hop));
            }
            let next = hop.follow(location, rules).map_err(|refusal| self.refuse(refusal, &hop))?;
            seen.push(hop);
            if seen.len() > rules.max_redirects || seen.contains(&next) {
                return Err(self.refuse(Refusal::Redirect, &next));
            }
            hop = next;
        }
    }

    async fn send(
        &self,
        method: Method,
        hop: &Target,
        from: Option<&Resume<'_>>,
    ) -> Result<Response, FetchError> {
        let mut request = self.shared.client.request(method.clone(), hop.url().clone());
        if let Some(Resume { offset, validator }) = from {
            request = request.header(RANGE, format!("bytes={offset}-"));
            if let Some(validator) = validator {
                request = request.header(IF_RANGE, validator.value());
            }
        }
        if let Some(credential) = self.credential.as_ref().filter(|known| known.origin == hop.url().origin())
        {
            request = request.header(AUTH_TOKEN, credential.token.clone());
        }
        let answer = observed(self.metrics.as_ref(), &method, None, request.send()).await;
        answer.map_err(|error| match find_refusal(&error) {
            Some(refusal) => self.refuse(refusal, hop),
            None => FetchError::unreachable(error.without_url()),
        })
    }

    fn refuse(&self, refusal: Refusal, target: &Target) -> FetchError {
        self.count(refusal, target.host());
        Kind::Refused(refusal).into()
    }

    fn count(&self, refusal: Refusal, host: &str) {
        self.shared.refusals.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(server.address = host, reason = %refusal, "refused to fetch what a user named");
    }
}

/// What a whole answer is worth: 200 without content encoding is fine.
pub(super) fn verdict(response: &Response) -> Result<(), Kind> {
    match response.status() {
        StatusCode::OK if is_encoded(response.headers()) => Err(Kind::Encoded),
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Kind::NotFound),
        status => Err(Kind::BadStatus(status.as_u16())),
    }
}

/// Whether the body is anything but the plain bytes of the source.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    })
}

/// The `Location` of a redirect.
fn redirection(response: &Response) -> Result<Option<&str>, FetchError> {
    let status = response.status();
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location.map(Some).ok_or_else(|| Kind::BadStatus(status.as_u16()).into())
}

/// The refusal of [`CheckedDns`], which arrives as the innermost cause of a failed connection.
fn find_refusal(error: &(dyn StdError + 'static)) -> Option<Refusal> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(refusal) = inner.and_then(|inner| inner.downcast_ref::<Refusal>()) {
            return Some(*refusal);
        }
        next = error.source();
    }
    None
}

/// A client without memory: no kept connections, cookies, proxies of the environment, redirects or `Referer` (A12).
fn client(dns: &CheckedDns, limits: &Limits) -> reqwest::Result<Client> {
    let with_roots = |add: fn(ClientBuilder) -> ClientBuilder| {
        let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let builder = Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .default_headers(plain)
            .dns_resolver(Arc::new(dns.clone()))
            .no_proxy()
            .referer(false)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(limits.connect);
        add(builder).build()
    };
    // A machine without certificates of its own still knows the public ones.
    with_roots(|builder| builder).or_else(|_| with_roots(add_public_roots))
}

fn add_public_roots(builder: ClientBuilder) -> ClientBuilder {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    match rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(tls) => builder.tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth()),
        Err(_) => builder,
    }
}
