//! Absolute URLs of this service, as the client that asks sees it.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use ipnet::IpNet;

use crate::config;

/// Base of links, without a slash at the end: the configured public endpoint, else the request's own scheme and
/// `Host`, for which the headers of a trusted proxy count.
pub fn base(server: &config::Server, headers: &HeaderMap, peer: IpAddr) -> String {
    if let Some(endpoint) = &server.public_endpoint {
        return endpoint.trim_end_matches('/').to_owned();
    }
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let trusted = is_trusted(&server.trusted_proxies, peer);
    let forwarded = |name: &str| text(name).filter(|_| trusted);
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let host = forwarded("x-forwarded-host").or_else(|| text(HOST.as_str())).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// Whether `peer` is one of the proxies whose `X-Forwarded-*` headers count.
fn is_trusted(proxies: &[IpNet], peer: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(&peer.to_canonical()))
}
