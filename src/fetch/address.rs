//! Which addresses may be connected to (IANA special-purpose address registries, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A unicast address of the public Internet.
    Global,
    /// Loopback, private, carrier-grade NAT or unique-local: allowed with `import.allow_private_networks`.
    Private,
    /// Never a source of images: unspecified, link-local, metadata services, multicast, documentation, tunnels, …
    Never,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), len)
}

const fn v6(first: [u16; 4], last: u16, len: u8) -> Ipv6Net {
    let [a, b, c, d] = first;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last), len)
}

/// First match decides; what matches nothing is global.
const V4: &[(Ipv4Net, Reach)] = &[
    // metadata services that clouds put outside of link-local space (Alibaba, Azure)
    (v4(100, 100, 100, 200, 32), Reach::Never),
    (v4(168, 63, 129, 16, 32), Reach::Never),
    (v4(0, 0, 0, 0, 8), Reach::Never),
    (v4(10, 0, 0, 0, 8), Reach::Private),
    (v4(100, 64, 0, 0, 10), Reach::Private),
    (v4(127, 0, 0, 0, 8), Reach::Private),
    (v4(169, 254, 0, 0, 16), Reach::Never),
    (v4(172, 16, 0, 0, 12), Reach::Private),
    (v4(192, 0, 0, 0, 24), Reach::Never),
    (v4(192, 0, 2, 0, 24), Reach::Never),
    (v4(192, 88, 99, 0, 24), Reach::Never),
    (v4(192, 168, 0, 0, 16), Reach::Private),
    (v4(198, 18, 0, 0, 15), Reach::Never),
    (v4(198, 51, 100, 0, 24), Reach::Never),
    (v4(203, 0, 113, 0, 24), Reach::Never),
    (v4(224, 0, 0, 0, 4), Reach::Never),
    (v4(240, 0, 0, 0, 4), Reach::Never),
];

/// First match decides; what matches nothing is no unicast address in use.
const V6: &[(Ipv6Net, Reach)] = &[
    (v6([0; 4], 1, 128), Reach::Private),
    // metadata services of AWS and Google inside unique-local space
    (v6([0xfd00, 0xec2, 0, 0], 0x254, 128), Reach::Never),
    (v6([0xfd20, 0xce, 0, 0], 0x254, 128), Reach::Never),
    (v6([0xfc00, 0, 0, 0], 0, 7), Reach::Private),
    // protocol assignments with Teredo, ORCHID and benchmarking; documentation; 6to4
    (v6([0x2001, 0, 0, 0], 0, 23), Reach::Never),
    (v6([0x2001, 0xdb8, 0, 0], 0, 32), Reach::Never),
    (v6([0x2002, 0, 0, 0], 0, 16), Reach::Never),
    (v6([0x3fff, 0, 0, 0], 0, 20), Reach::Never),
    (v6([0x2000, 0, 0, 0], 0, 3), Reach::Global),
];

/// NAT64 with the well-known prefix (RFC 6052); the local-use prefix 64:ff9b:1::/48 falls through to `Never`.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 0, 96);

/// How far `ip` reaches. IPv4 inside IPv6 is judged as IPv4 where packets for it can go there (mapped, NAT64);
/// the tunnels and the deprecated forms (`::a.b.c.d`, 6to4, Teredo) are never allowed.
pub fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => first_match(V4, |net| net.contains(&ip)).unwrap_or(Reach::Global),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(inner) => reach(IpAddr::V4(inner)),
            None => first_match(V6, |net| net.contains(&ip)).unwrap_or(Reach::Never),
        },
    }
}

/// Whether `ip` is a unicast address of the public Internet.
pub fn is_global(ip: IpAddr) -> bool {
    reach(ip) == Reach::Global
}

/// Whether `ip` may be connected to, given `import.allow_private_networks`.
pub fn is_allowed(ip: IpAddr, allow_private: bool) -> bool {
    match reach(ip) {
        Reach::Global => true,
        Reach::Private => allow_private,
        Reach::Never => false,
    }
}

fn first_match<N>(table: &[(N, Reach)], matches: impl Fn(&N) -> bool) -> Option<Reach> {
    table.iter().find(|(net, _)| matches(net)).map(|(_, reach)| *reach)
}

fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = ip.octets();
    let nat64 = NAT64.contains(&ip).then(|| Ipv4Addr::new(a, b, c, d));
    ip.to_ipv4_mapped().or(nat64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn judge(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn a01_special_ipv4_is_not_global() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_global(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a01_special_ipv6_is_not_global() {
        for text in [
            "::",
            "::1",
            "::2",
            "100::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "ffff::1",
            "2001:db8::1",
            "3fff::1",
            "2001:2::1",
            "2001:10::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(!is_global(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn neighbours_of_special_ranges_are_global() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "8.8.8.8",
            "2001:200::1",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(judge(text), Reach::Global, "{text}");
        }
    }

    #[test]
    fn a02_ipv4_inside_ipv6_is_judged_as_ipv4() {
        for inner in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "0.0.0.0", "224.0.0.1"] {
            let want = judge(inner);
            assert_ne!(want, Reach::Global);
            assert_eq!(judge(&format!("::ffff:{inner}")), want);
            assert_eq!(judge(&format!("64:ff9b::{inner}")), want);
        }
        assert_eq!(judge("::ffff:7f00:1"), Reach::Private);
        for text in
            ["::127.0.0.1", "::8.8.8.8", "::808:808", "64:ff9b:1::8.8.8.8", "2002:808:808::1", "2001::1"]
        {
            assert_eq!(judge(text), Reach::Never, "{text}");
        }
    }

    #[test]
    fn a01_private_networks_never_include_metadata_services() {
        let allowed = |text: &str| is_allowed(text.parse().unwrap(), true);
        for text in ["127.0.0.1", "10.0.0.1", "172.20.0.1", "192.168.0.1", "100.64.0.1", "::1", "fd12::1"] {
            assert!(allowed(text), "{text}");
            assert!(!is_allowed(text.parse().unwrap(), false), "{text}");
        }
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!allowed(text), "{text}");
        }
    }
}
