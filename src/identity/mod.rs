//! Who the caller is: one of three sources, chosen by configuration (`identity.mode`).
//!
//! Every source answers with a [`Caller`] whose roles are trimmed and in lower case and whose `is_admin` is still
//! false: that flag is a matter of policy. Tokens never reach a log line, an error or a cache key.

pub mod cache;
pub mod header;
pub mod keystone;
pub mod none;

use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, Method};

use crate::config::{self, IdentityMode};
use crate::domain::caller::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::metrics::Metrics;

pub use cache::CacheStats;

use header::Header;
use keystone::Keystone;
use none::None;

/// Longest identity header that is looked at, in bytes. Hardening A32.
const LONGEST_FIELD: usize = 8 * 1024;

/// A source of identity.
#[derive(Debug)]
pub enum Identity {
    /// Tokens validated by Keystone.
    Keystone(Box<Keystone>),
    /// Headers of a trusted authenticating proxy.
    Header(Header),
    /// Development: the token names the caller.
    None(None),
}

/// What a source looks at in a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Header fields as received.
    pub headers: &'a HeaderMap,
    /// Address of the other end of the connection, never one taken from `X-Forwarded-For`.
    pub peer: IpAddr,
    /// Method; access rules of application credentials depend on it.
    pub method: &'a Method,
    /// Path as received: percent sequences kept, no query. Access rules depend on it.
    pub path: &'a str,
}

/// A setting of section `identity` that cannot be used. The source says why.
#[derive(Debug, thiserror::Error)]
#[error("setting identity.{key} cannot be used")]
pub struct SetupError {
    key: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl SetupError {
    fn new(key: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { key, source: source.into() }
    }
}

impl Identity {
    /// Prepares the configured source. Reads the files that the settings name and opens no connection. Callers come
    /// with the image services of their catalogue if that is wanted; in mode `none` there is no catalogue.
    pub fn new(settings: &config::Identity, with_catalogue: bool) -> Result<Self, SetupError> {
        Ok(match settings.mode {
            IdentityMode::Keystone => Self::Keystone(Box::new(Keystone::new(settings, with_catalogue)?)),
            IdentityMode::Header => Self::Header(Header::new(settings, with_catalogue)?),
            IdentityMode::None => Self::None(None),
        })
    }

    /// The same source, which reports what it asks of others to these instruments.
    #[must_use]
    pub fn observed_by(self, metrics: &Metrics) -> Self {
        match self {
            Self::Keystone(keystone) => Self::Keystone(Box::new(keystone.observed_by(metrics))),
            other => other,
        }
    }

    /// Tells who sends `request`.
    ///
    /// Fails with [`ErrorKind::Unauthenticated`] without a valid identity, unless anonymous access is allowed and
    /// none was claimed, and with [`ErrorKind::Unavailable`] while Keystone cannot be asked.
    pub async fn authenticate(&self, request: Request<'_>) -> Result<Caller> {
        match self {
            Self::Keystone(keystone) => keystone.authenticate(request, Instant::now()).await,
            Self::Header(header) => header.authenticate(request),
            Self::None(none) => none.authenticate(request),
        }
    }

    /// Value of `WWW-Authenticate` in 401 responses (images-v1.md §10.2, V1-271); none without Keystone.
    pub fn challenge(&self) -> Option<String> {
        match self {
            Self::Keystone(keystone) => Some(keystone.challenge()),
            Self::Header(_) | Self::None(_) => Option::None,
        }
    }

    /// Reaches Keystone and proves that the service account may validate tokens. The other sources have nothing
    /// to check.
    pub async fn check(&self) -> Result<()> {
        match self {
            Self::Keystone(keystone) => keystone.check().await,
            Self::Header(_) | Self::None(_) => Ok(()),
        }
    }

    /// Reads the file of the service account's password now; the other sources have none.
    pub fn reread_secrets(&self) {
        match self {
            Self::Keystone(keystone) => keystone.reread_password(),
            Self::Header(_) | Self::None(_) => {}
        }
    }

    /// How the token cache fares; zeros without Keystone.
    pub fn cache_stats(&self) -> CacheStats {
        match self {
            Self::Keystone(keystone) => keystone.cache_stats(),
            Self::Header(_) | Self::None(_) => CacheStats::default(),
        }
    }
}

/// The refusal of a request without a valid identity.
fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "")
}

/// The trimmed text of header `name`. An identity header that occurs twice is ambiguous: whoever added the second
/// one may not be who was authenticated by the first. So that, and what no identity service issues (oversized,
/// binary), refuses the request (A32).
fn field<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    field_up_to(LONGEST_FIELD, headers, name)
}

/// As [`field`], with another bound on its length.
fn field_up_to<'a>(longest: usize, headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(Option::None) };
    if values.next().is_some() || value.len() > longest {
        return Err(unauthenticated());
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| unauthenticated())?;
    // lists of roles may be padded with tabs (V1-209)
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(unauthenticated());
    }
    Ok(Some(text.trim()))
}

/// Role names in the form in which they are compared.
fn roles<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect()
}

/// With `reader` for who is a `member`, as Keystone has it in every token it gives out. The sources of identity that
/// have no Keystone behind them need not spell it out.
fn with_implied(mut roles: Vec<String>) -> Vec<String> {
    let holds = |wanted: &str| roles.iter().any(|role| role == wanted);
    if holds("member") && !holds("reader") {
        roles.push("reader".to_owned());
    }
    roles
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn field_takes_one_plain_value() {
        assert_eq!(field(&map(&[]), "x-user-id").unwrap(), Option::None);
        assert_eq!(field(&map(&[("x-user-id", " olga ")]), "x-user-id").unwrap(), Some("olga"));
        assert_eq!(field(&map(&[("x-user-id", "Ölga")]), "x-user-id").unwrap(), Some("Ölga"));
        assert_eq!(field(&map(&[("x-user-id", "")]), "x-user-id").unwrap(), Some(""));
    }

    #[test]
    fn a32_field_refuses_what_is_ambiguous_or_oversized() {
        let long = "a".repeat(LONGEST_FIELD + 1);
        let mut binary = HeaderMap::new();
        binary.insert("x-user-id", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let maps = [
            map(&[("x-user-id", "olga"), ("x-user-id", "olga")]),
            map(&[("x-user-id", &long)]),
            map(&[("x-user-id", "ol\u{85}ga")]),
            binary,
        ];
        for headers in maps {
            assert_eq!(field(&headers, "x-user-id").unwrap_err().kind(), ErrorKind::Unauthenticated);
        }
        assert!(field(&map(&[("x-user-id", &long[1..])]), "x-user-id").is_ok());
    }

    #[test]
    fn roles_are_trimmed_lower_cased_and_never_blank() {
        assert_eq!(roles(" Admin ,, MEMBER,\u{a0}, reader".split(',')), ["admin", "member", "reader"]);
    }

    #[test]
    fn only_keystone_challenges() {
        let settings = config::Identity { mode: IdentityMode::None, ..config::Identity::default() };
        let identity = Identity::new(&settings, true).unwrap();
        assert_eq!(identity.challenge(), Option::None);
        assert_eq!(identity.cache_stats(), CacheStats::default());
    }
}
