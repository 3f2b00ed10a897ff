//! Absolute URLs of this service, as the client that asks sees it.

use std::fmt;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HOST};
use ipnet::IpNet;

use crate::config;

/// What absolute links in a response start with: scheme and host, and the path that a proxy mounts the service under.
/// No slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBase {
    origin: String,
    prefix: String,
}

impl LinkBase {
    /// Scheme and host alone; links to new images of v2 have no mount prefix (images-v2.md §2.5).
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Display for LinkBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

/// Base of links: the configured public endpoint, else the request's own scheme and `Host`, for which the headers of a
/// trusted proxy count: `X-Forwarded-*`, or else `Forwarded` (RFC 7239).
pub fn base(server: &config::Server, headers: &HeaderMap, peer: IpAddr) -> LinkBase {
    if let Some(endpoint) = &server.public_endpoint {
        return LinkBase { origin: endpoint.trim_end_matches('/').to_owned(), prefix: String::new() };
    }
    // of several proxies the outermost comes first
    let text = |name: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok())?;
        value.split(',').next().map(str::trim).filter(|first| !first.is_empty())
    };
    let trusted = is_trusted(&server.trusted_proxies, peer);
    let forwarded = |name: &str, parameter: &str| {
        let own = text(name).or_else(|| forwarded(headers.get(FORWARDED)?.to_str().ok()?, parameter));
        own.filter(|_| trusted)
    };
    let scheme = match forwarded("x-forwarded-proto", "proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let host = forwarded("x-forwarded-host", "host").or_else(|| text(HOST.as_str())).unwrap_or("localhost");
    let prefix = text("x-forwarded-prefix").filter(|_| trusted).map(|p| p.trim_matches('/'));
    LinkBase {
        origin: format!("{scheme}://{host}"),
        prefix: prefix.filter(|p| !p.is_empty()).map(|p| format!("/{p}")).unwrap_or_default(),
    }
}

/// A parameter of the first, outermost element of a `Forwarded` header.
fn forwarded<'a>(header: &'a str, parameter: &str) -> Option<&'a str> {
    let pairs = header.split(',').next()?.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(parameter));
    named.next().map(|(_, value)| value.trim().trim_matches('"'))
}

/// Whether `peer` is one of the proxies whose `X-Forwarded-*` and `Forwarded` headers count.
pub(super) fn is_trusted(proxies: &[IpNet], peer: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(&peer.to_canonical()))
}
