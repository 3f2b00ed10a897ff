//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use crate::config;

use super::link::is_trusted;

/// Address of the client: the peer's, unless that is one of `server.trusted_proxies`. Then it is what the proxies say in
/// `X-Forwarded-For`, or else `Forwarded` (RFC 7239), read from the end: the last address that is none of theirs, as anything
/// before it may be the client's own invention.
pub fn address(server: &config::Server, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let trusted = |address: IpAddr| is_trusted(&server.trusted_proxies, address);
    let mut client = peer.to_canonical();
    if !trusted(client) {
        return client;
    }
    for hop in hops(headers).iter().rev() {
        let Some(address) = parse(hop) else { break };
        client = address;
        if !trusted(client) {
            break;
        }
    }
    client
}

/// What proxies noted of who spoke to them, the nearest last.
fn hops(headers: &HeaderMap) -> Vec<String> {
    let elements = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',')).map(|element| element.trim().to_owned()).collect()
    };
    let named = elements("x-forwarded-for");
    if !named.is_empty() {
        return named;
    }
    let speaker = |element: String| {
        let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let named = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        named.map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_default()
    };
    elements(FORWARDED.as_str()).into_iter().map(speaker).collect()
}

/// An address, with or without brackets and port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use http::{HeaderName, HeaderValue};

    use super::*;

    fn told(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let server = config::Server {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..config::Server::default()
        };
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        address(&server, &map, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let claim = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(told("198.51.100.9", &claim), "198.51.100.9");
        assert_eq!(told("10.1.1.1", &claim), "192.0.2.1");
        assert_eq!(told("::ffff:10.1.1.1", &claim), "192.0.2.1");
        assert_eq!(
            told("fd00::1", &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https")]),
            "2001:db8::7"
        );
        assert_eq!(told("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn what_a_client_claims_before_the_proxies_add_to_it_does_not_count() {
        let through_two = [("x-forwarded-for", "127.0.0.1, 203.0.113.5, 10.2.2.2")];
        assert_eq!(told("10.1.1.1", &through_two), "203.0.113.5");
        let in_two_headers = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "203.0.113.5:80")];
        assert_eq!(told("10.1.1.1", &in_two_headers), "203.0.113.5");
        let hidden = [("forwarded", "for=203.0.113.5, for=_hidden, for=10.2.2.2")];
        assert_eq!(told("10.1.1.1", &hidden), "10.2.2.2");
        assert_eq!(told("10.1.1.1", &[("x-forwarded-for", "nonsense")]), "10.1.1.1");
    }
}
