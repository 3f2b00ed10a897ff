//! What may be read off the text of a URL before anything is sent.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::address;
use crate::config;

/// Longest URL that is accepted, in bytes (A09).
pub const MAX_URL_BYTES: usize = 2048;

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Neither `http` nor `https`, or no scheme at all (A08).
    Scheme,
    /// No URL of the accepted form: no host, user information, a fragment, control characters, an unusual
    /// spelling of an address, too long (A03, A09).
    Malformed,
    /// Well formed, but the rules of this installation forbid it.
    Forbidden(Part),
    /// A redirect that repeats itself, goes on for too long, or leaves `https` (A06).
    Redirect,
}

/// The part of a URL that is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `import.allowed_hosts` or `import.denied_hosts`.
    Host,
    /// `import.allowed_ports`.
    Port,
    /// The address named, or one of those that the name stands for.
    Address,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "scheme is not supported",
            Self::Malformed => "malformed url",
            Self::Forbidden(Part::Host) => "host is not allowed",
            Self::Forbidden(Part::Port) => "port is not allowed",
            Self::Forbidden(Part::Address) => "address is not allowed",
            Self::Redirect => "redirect is not allowed",
        })
    }
}

impl StdError for Refusal {}

/// A URL that passed the rules. What its host name resolves to is judged when it is fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
}

/// Shows the host only: path and query may hold a signature.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.host())
    }
}

impl Target {
    /// Judges the text of a URL. Every entrance that takes a URL from a user starts here (A07).
    ///
    /// # Errors
    /// See [`Refusal`]; [`Refusal::Redirect`] does not occur.
    pub fn parse(text: &str, rules: &config::Import) -> Result<Self, Refusal> {
        let host = written_host(text)?;
        let url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        if !spells(host, url.host().as_ref()) || !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Malformed);
        }
        let target = Self { url };
        target.check(rules)?;
        Ok(target)
    }

    /// Judges the target of a redirect. A fragment is dropped, as no server ever sees it.
    ///
    /// # Errors
    /// As [`Target::parse`], and [`Refusal::Redirect`] when `https` would be left.
    pub(super) fn follow(&self, location: &str, rules: &config::Import) -> Result<Self, Refusal> {
        let mut url = self.url.join(location).map_err(|_| Refusal::Malformed)?;
        url.set_fragment(None);
        // Joining spells addresses canonically, so here they are judged as what they mean.
        let next = Self::parse(url.as_str(), rules)?;
        if self.url.scheme() == "https" && next.url.scheme() != "https" {
            return Err(Refusal::Redirect);
        }
        Ok(next)
    }

    /// Judges host, port and, where the host is one, address.
    pub(super) fn check(&self, rules: &config::Import) -> Result<(), Refusal> {
        let host = self.url.host().ok_or(Refusal::Malformed)?;
        let port = self.url.port_or_known_default().filter(|port| *port != 0).ok_or(Refusal::Malformed)?;
        if !allows_host(&host, rules) {
            return Err(Refusal::Forbidden(Part::Host));
        }
        if !rules.allowed_ports.is_empty() && !rules.allowed_ports.contains(&port) {
            return Err(Refusal::Forbidden(Part::Port));
        }
        let allowed = match host {
            Host::Ipv4(ip) => address::is_allowed(IpAddr::V4(ip), rules.allow_private_networks),
            Host::Ipv6(ip) => address::is_allowed(IpAddr::V6(ip), rules.allow_private_networks),
            Host::Domain(name) => rules.allow_private_networks || !is_localhost(name),
        };
        if allowed { Ok(()) } else { Err(Refusal::Forbidden(Part::Address)) }
    }

    /// The host as connected to: lower case, IDNA-encoded, IPv6 in brackets. Fit for logs.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The whole URL. Not fit for logs: path and query may hold a signature.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// The host as written, without brackets; refuses what a lenient parser would repair or skip.
fn written_host(text: &str) -> Result<&str, Refusal> {
    let (scheme, rest) = text.split_once(':').ok_or(Refusal::Scheme)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Refusal::Scheme);
    }
    let strange = |c: char| c.is_control() || c.is_whitespace() || c == '\\' || c == '#';
    if text.len() > MAX_URL_BYTES || text.contains(strange) {
        return Err(Refusal::Malformed);
    }
    let rest = rest.strip_prefix("//").ok_or(Refusal::Malformed)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(Refusal::Malformed);
    }
    match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']').map(|(host, _)| host).ok_or(Refusal::Malformed),
        None => Ok(authority.split_once(':').map_or(authority, |(host, _)| host)),
    }
}

/// Whether `written` is the plain spelling of the host that was understood. Addresses in decimal, hex, octal, short
/// or full-width form are refused as in the reference (CVE-2026-34881), and so is a trailing dot.
fn spells(written: &str, host: Option<&Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(ip)) => written.parse() == Ok(*ip),
        Some(Host::Ipv6(ip)) => written.parse() == Ok(*ip),
        Some(Host::Domain(name)) => !name.is_empty() && !name.ends_with('.'),
        None => false,
    }
}

/// Names that mean this machine wherever they are resolved (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Where there is an allow list only it counts, as in the reference (images-v2.md §14.4).
fn allows_host(host: &Host<&str>, rules: &config::Import) -> bool {
    if rules.allowed_hosts.is_empty() {
        !names_host(&rules.denied_hosts, host)
    } else {
        names_host(&rules.allowed_hosts, host)
    }
}

fn names_host(list: &[String], host: &Host<&str>) -> bool {
    list.iter().any(|entry| {
        let entry = entry.trim_end_matches('.');
        let parsed = entry.parse().map_or_else(|_| Host::parse(entry), |ip| Ok(Host::Ipv6(ip)));
        parsed.is_ok_and(|parsed| parsed == host.to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> Option<Refusal> {
        Target::parse(text, &config::Import::default()).err()
    }

    fn private() -> config::Import {
        config::Import { allow_private_networks: true, allowed_ports: Vec::new(), ..Default::default() }
    }

    #[test]
    fn plain_urls_pass() {
        for text in [
            "http://example.com",
            "https://example.com/a/b?c=d&e=%20",
            "HTTP://EXAMPLE.COM:80/",
            "http://8.8.8.8/",
            "https://[2606:4700::1111]:443/x",
            "http://xn--bcher-kva.example/",
            "http://bücher.example/",
            "http://[::ffff:8.8.8.8]/",
            "http://example.com:/",
            "http://example.com?x",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a01_addresses_in_the_url_are_refused() {
        for host in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[fc00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "localhost",
            "LOCALHOST",
            "a.localhost",
        ] {
            assert_eq!(
                refusal(&format!("http://{host}/")),
                Some(Refusal::Forbidden(Part::Address)),
                "{host}"
            );
        }
    }

    #[test]
    fn a02_addresses_hidden_in_ipv6_are_refused() {
        for host in [
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::FFFF:7F00:0001]",
            "[0:0:0:0:0:ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::10.0.0.1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        ] {
            assert_eq!(
                refusal(&format!("http://{host}/")),
                Some(Refusal::Forbidden(Part::Address)),
                "{host}"
            );
        }
        for host in ["[fe80::1%eth0]", "[fe80::1%25eth0]", "[::1%251]", "[::1", "::1", "[127.0.0.1]"] {
            assert_eq!(refusal(&format!("http://{host}/")), Some(Refusal::Malformed), "{host}");
        }
    }

    #[test]
    fn a03_v2_258_unusual_spellings_are_malformed_even_where_the_address_is_allowed() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "017700000001",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "127.0.0.1.",
            "127.000.000.001",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "127.0.0.\u{ad}1",
            "0",
            "1.2.3.4.5",
            "256.1.1.1",
            "example.com.",
            "8.8.2056",
            "134744072",
        ] {
            let url = format!("http://{host}/");
            assert_eq!(refusal(&url), Some(Refusal::Malformed), "{host}");
            assert_eq!(Target::parse(&url, &private()), Err(Refusal::Malformed), "{host}");
        }
    }

    #[test]
    fn a08_v1_124_only_http_and_https_are_supported() {
        for text in [
            "file:///etc/passwd",
            "filesystem:///x",
            "swift+config://x",
            "bad+scheme://x",
            "s3://key:secret@host/b",
            "ftp://h/",
            "gopher://h/",
            "data:,x",
            "\\\\host\\share",
            "//example.com/",
            "example.com",
            "",
            " http://a/",
            "httpx://a/",
            "javascript:0",
            "rbd://a",
        ] {
            assert_eq!(refusal(text), Some(Refusal::Scheme), "{text}");
        }
    }

    #[test]
    fn a09_v1_125_malformed_urls() {
        let long = format!("http://example.com/{}", "a".repeat(MAX_URL_BYTES));
        for text in [
            "http://",
            "http:",
            "http:/",
            "http:///x",
            "http:example.com",
            "http:/example.com",
            "http://?x",
            "http://user:pass@example.com/",
            "http://user@example.com/",
            "http://@example.com/",
            "http://:@example.com/",
            "http://example.com/#x",
            "http://example.com#@evil.example/",
            "http://example.com/#",
            "http://exam\tple.com/",
            "http://example.com/\r\nX: y",
            "http://example.com/\n",
            "http://example.com/\0",
            "http://example.com/a b",
            "http://example.com\\@evil.example/",
            "http:\\\\example.com/",
            "http://example.com:99999/",
            "http://example.com:x/",
            "http://example.com:0/",
            "http://exa%00mple.com/",
            "http://a:80:80/",
            &long,
        ] {
            assert_eq!(refusal(text), Some(Refusal::Malformed), "{text}");
        }
        let longest = &long[..MAX_URL_BYTES];
        assert_eq!(refusal(longest), None);
    }

    #[test]
    fn a10_v2_257_ports() {
        let forbidden = Some(Refusal::Forbidden(Part::Port));
        assert_eq!(refusal("http://example.com:22/"), forbidden);
        assert_eq!(refusal("http://example.com:8080/"), forbidden);
        assert_eq!(refusal("https://example.com:80/"), None);
        let rules = config::Import { allowed_ports: vec![8080], ..Default::default() };
        assert!(Target::parse("http://example.com:8080/", &rules).is_ok());
        assert_eq!(Target::parse("http://example.com/", &rules), Err(Refusal::Forbidden(Part::Port)));
        let rules = config::Import { allowed_ports: vec![], ..Default::default() };
        assert!(Target::parse("http://example.com:22/", &rules).is_ok());
        assert!(Target::parse("http://example.com:0/", &rules).is_err());
    }

    #[test]
    fn an_allow_list_of_hosts_overrides_the_deny_list_but_not_the_addresses() {
        let list = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let forbidden = Err(Refusal::Forbidden(Part::Host));
        let rules =
            config::Import { denied_hosts: list(&["Evil.Example.", "8.8.8.8"]), ..Default::default() };
        assert_eq!(Target::parse("http://eVil.example/", &rules), forbidden);
        assert_eq!(Target::parse("http://8.8.8.8/", &rules), forbidden);
        assert!(Target::parse("http://sub.evil.example/", &rules).is_ok());
        let rules = config::Import {
            allowed_hosts: list(&["good.example", "2606:4700::1", "127.0.0.1"]),
            denied_hosts: list(&["good.example"]),
            ..Default::default()
        };
        assert!(Target::parse("http://GOOD.example/", &rules).is_ok());
        assert!(Target::parse("http://[2606:4700:0::1]/", &rules).is_ok());
        assert_eq!(Target::parse("http://other.example/", &rules), forbidden);
        assert_eq!(Target::parse("http://127.0.0.1/", &rules), Err(Refusal::Forbidden(Part::Address)));
    }

    #[test]
    fn a06_each_hop_is_judged() {
        let rules = config::Import::default();
        let hop = |from: &str, to: &str| Target::parse(from, &rules).unwrap().follow(to, &rules);
        let secure = "https://example.com/a/b";
        assert_eq!(hop(secure, "../c?d#e").unwrap().url().as_str(), "https://example.com/c?d");
        assert_eq!(hop(secure, "//other.example/").unwrap().host(), "other.example");
        assert_eq!(hop(secure, "http://example.com/"), Err(Refusal::Redirect));
        assert!(hop("http://example.com/", secure).is_ok());
        let address = Err(Refusal::Forbidden(Part::Address));
        for to in
            ["http://127.0.0.1/", "http://2130706433/", "//0x7f.1/", "http:\\\\127.1\\", "https://[::1]/"]
        {
            assert_eq!(hop("http://example.com/", to), address, "{to}");
        }
        assert_eq!(hop(secure, "https://example.com:22/"), Err(Refusal::Forbidden(Part::Port)));
        assert_eq!(hop(secure, "file:///etc/passwd"), Err(Refusal::Scheme));
        assert_eq!(hop(secure, "https://u:p@example.com/"), Err(Refusal::Malformed));
    }

    #[test]
    fn a54_debug_shows_no_signature() {
        let target =
            Target::parse("https://example.com/canary?sig=canary", &config::Import::default()).unwrap();
        assert_eq!(format!("{target:?}"), "Target(example.com)");
    }

    /// Some spelling of an IPv4 address that resolvers or URL parsers may understand.
    fn spelling(ip: u32, form: usize) -> String {
        let [a, b, c, d] = ip.to_be_bytes();
        let plain = format!("{a}.{b}.{c}.{d}");
        match form {
            0 => plain,
            1 => ip.to_string(),
            2 => format!("{ip:#x}"),
            3 => format!("0{ip:o}"),
            4 => format!("{a}.{}", ip & 0xff_ffff),
            5 => format!("{a}.{b}.{}", ip & 0xffff),
            6 => format!("0{a:o}.{b:#x}.{c}.{d}"),
            7 => format!("{plain}."),
            8 => plain
                .chars()
                .map(|c| c.to_digit(10).and_then(|d| char::from_u32(0xff10 + d)).unwrap_or(c))
                .collect(),
            9 => format!("[::ffff:{plain}]"),
            10 => format!("[::{plain}]"),
            _ => format!("[64:ff9b::{plain}]"),
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "(https?:)?(//)?\\PC*|.*") {
            let _ = Target::parse(&text, &private());
        }

        #[test]
        fn a03_a_numeric_host_is_refused_or_judged_as_the_address_it_means(ip: u32, form in 0_usize..12, open: bool) {
            let rules = config::Import { allow_private_networks: open, ..Default::default() };
            let parsed = Target::parse(&format!("http://{}/", spelling(ip, form)), &rules);
            let allowed = address::is_allowed(IpAddr::V4(ip.into()), open);
            prop_assert!(parsed.is_err() || allowed);
            if form == 0 {
                prop_assert_eq!(parsed.is_ok(), allowed);
            }
        }
    }
}
