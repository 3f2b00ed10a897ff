//! Mode `header`: identity headers set by a trusted authenticating proxy (contract.md §4, images-v1.md §10.1).

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use super::{Request, SetupError, field, field_up_to, roles, unauthenticated, with_implied};
use crate::config;
use crate::domain::caller::Caller;
use crate::domain::peers::{self, Peers};
use crate::error::Result;

/// Longest catalogue that is looked at, in bytes: what fits into one header of a request.
const LONGEST_CATALOGUE: usize = 16 * 1024;

/// Believes the identity headers of requests whose connection comes from one of `trusted`. From anywhere else the
/// headers count as absent (A31).
#[derive(Debug)]
pub struct Header {
    trusted: Vec<IpNet>,
    allow_anonymous: bool,
    with_catalogue: bool,
}

impl Header {
    /// Fails where no network is trusted, because then no request could ever have an identity.
    pub(super) fn new(settings: &config::Identity, with_catalogue: bool) -> Result<Self, SetupError> {
        let trusted = settings.header.trusted_networks.clone();
        if trusted.is_empty() {
            return Err(SetupError::new(
                "header.trusted_networks",
                "mode `header` needs at least one network",
            ));
        }
        Ok(Self { trusted, allow_anonymous: settings.allow_anonymous_access, with_catalogue })
    }

    /// Tells who sends `request`; fails with `Unauthenticated` where no identity is confirmed.
    pub(super) fn authenticate(&self, request: Request<'_>) -> Result<Caller> {
        if self.trusts(request.peer) && field(request.headers, "x-identity-status")? == Some("Confirmed") {
            let caller = confirmed(request.headers)?;
            let peers = if self.with_catalogue { peers(request.headers)? } else { None };
            return Ok(Caller { peers, ..caller });
        }
        if self.allow_anonymous { Ok(Caller::anonymous()) } else { Err(unauthenticated()) }
    }

    /// A dual-stack listener shows IPv4 peers as IPv4-mapped IPv6 addresses; networks may be written either way.
    fn trusts(&self, peer: IpAddr) -> bool {
        let plain = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer) || net.contains(&plain))
    }
}

fn confirmed(headers: &HeaderMap) -> Result<Caller> {
    let user = text(headers, "x-user-id")?;
    if user.is_none() {
        return Err(unauthenticated());
    }
    let tenant = text(headers, "x-tenant-id")?;
    Ok(Caller {
        user,
        project: text(headers, "x-project-id")?.or(tenant),
        user_domain: text(headers, "x-user-domain-id")?,
        project_domain: text(headers, "x-project-domain-id")?,
        domain: text(headers, "x-domain-id")?,
        system_scope: text(headers, "openstack-system-scope")?,
        roles: with_implied(list(headers, "x-roles")?),
        service_roles: service_roles(headers)?,
        ..Caller::default()
    })
}

/// The image services that the proxy found in the catalogue of the token that it hands on. A catalogue that cannot be
/// read is none.
fn peers(headers: &HeaderMap) -> Result<Option<Peers>> {
    let catalogue = field_up_to(LONGEST_CATALOGUE, headers, "x-service-catalog")?;
    let token = field(headers, "x-auth-token")?.filter(|token| !token.is_empty());
    let Some((catalogue, token)) = catalogue.zip(token) else { return Ok(None) };
    let catalogue = serde_json::from_str(catalogue).unwrap_or_default();
    Ok(Peers::new(peers::endpoints(&catalogue), token))
}

/// Roles of the forwarding service. A proxy that also judges service tokens says so in its own status header.
fn service_roles(headers: &HeaderMap) -> Result<Vec<String>> {
    match field(headers, "x-service-identity-status")? {
        None | Some("Confirmed") => list(headers, "x-service-roles"),
        Some(_) => Ok(Vec::new()),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    Ok(field(headers, name)?.filter(|text| !text.is_empty()).map(str::to_owned))
}

fn list(headers: &HeaderMap, name: &str) -> Result<Vec<String>> {
    Ok(roles(field(headers, name)?.unwrap_or_default().split(',')))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use http::{HeaderValue, Method};

    use super::*;
    use crate::error::{Error, ErrorKind};

    const OLGA: [(&str, &str); 3] =
        [("x-identity-status", "Confirmed"), ("x-user-id", "olga"), ("x-project-id", "alpha")];

    fn source(allow_anonymous: bool) -> Header {
        let mut settings = config::Identity { allow_anonymous_access: allow_anonymous, ..Default::default() };
        settings.header.trusted_networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        Header::new(&settings, true).unwrap()
    }

    fn ask(source: &Header, peer: &str, fields: &[(&'static str, &str)]) -> Result<Caller> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = peer.parse().unwrap();
        source.authenticate(Request { headers: &headers, peer, method: &Method::GET, path: "/v1/images" })
    }

    fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        OLGA.iter().chain(more).copied().collect()
    }

    fn kind(result: Result<Caller, Error>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn a_trusted_proxy_names_the_caller() {
        let fields = with(&[
            ("x-tenant-id", "old"),
            ("x-roles", "Admin, member ,"),
            ("x-domain-id", "d"),
            ("x-user-domain-id", "ud"),
            ("x-project-domain-id", "pd"),
            ("openstack-system-scope", "all"),
            ("x-service-roles", "Service"),
        ]);
        let caller = ask(&source(false), "10.1.2.3", &fields).unwrap();
        assert_eq!(
            caller,
            Caller {
                user: Some("olga".into()),
                project: Some("alpha".into()),
                user_domain: Some("ud".into()),
                project_domain: Some("pd".into()),
                domain: Some("d".into()),
                system_scope: Some("all".into()),
                roles: vec!["admin".into(), "member".into(), "reader".into()],
                service_roles: vec!["service".into()],
                is_admin: false,
                read_only: false,
                peers: None,
            }
        );
    }

    #[test]
    fn the_tenant_stands_in_for_the_project() {
        let fields = [("x-identity-status", "Confirmed"), ("x-user-id", "olga"), ("x-tenant-id", "alpha")];
        assert_eq!(ask(&source(false), "10.1.2.3", &fields).unwrap().project.as_deref(), Some("alpha"));
        let blank = [fields[0], fields[1], fields[2], ("x-project-id", " ")];
        assert_eq!(ask(&source(false), "10.1.2.3", &blank).unwrap().project.as_deref(), Some("alpha"));
    }

    #[test]
    fn mapped_addresses_are_judged_as_ipv4() {
        assert!(ask(&source(false), "::ffff:10.1.2.3", &OLGA).is_ok());
        assert!(ask(&source(false), "fd00::1", &OLGA).is_ok());
        assert_eq!(kind(ask(&source(false), "::ffff:192.0.2.1", &OLGA)), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a31_headers_from_elsewhere_count_as_absent() {
        let fields = with(&[("x-roles", "admin")]);
        assert_eq!(kind(ask(&source(false), "192.0.2.1", &fields)), ErrorKind::Unauthenticated);
        assert_eq!(ask(&source(true), "192.0.2.1", &fields).unwrap(), Caller::anonymous());
    }

    const CATALOGUE: &str =
        r#"[{"type": "image", "endpoints": [{"region": "R2", "internalURL": "http://two:9292"}]}]"#;

    #[test]
    fn a13_the_proxy_hands_the_catalogue_on() {
        let fields = with(&[("x-auth-token", "t0ken"), ("x-service-catalog", CATALOGUE)]);
        let caller = ask(&source(false), "10.1.2.3", &fields).unwrap();
        let peers = caller.peers.unwrap();
        assert_eq!(peers.url("R2", "internal"), Some("http://two:9292"));
        let settings = Header { with_catalogue: false, ..source(false) };
        assert_eq!(ask(&settings, "10.1.2.3", &fields).unwrap().peers, None);
        for fields in [
            with(&[("x-service-catalog", CATALOGUE)]),
            with(&[("x-auth-token", "t0ken")]),
            with(&[("x-auth-token", "t0ken"), ("x-service-catalog", "[{")]),
        ] {
            assert_eq!(ask(&source(false), "10.1.2.3", &fields).unwrap().peers, None);
        }
        let twice = [("x-service-catalog", CATALOGUE), ("x-service-catalog", "[]")];
        assert_eq!(kind(ask(&source(false), "10.1.2.3", &with(&twice))), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a31_a_catalogue_from_elsewhere_counts_as_absent() {
        let fields = with(&[("x-auth-token", "t0ken"), ("x-service-catalog", CATALOGUE)]);
        assert_eq!(ask(&source(true), "192.0.2.1", &fields).unwrap(), Caller::anonymous());
    }

    #[test]
    fn an_unconfirmed_identity_is_none() {
        for status in ["Invalid", "confirmed", ""] {
            let fields = [("x-identity-status", status), OLGA[1], OLGA[2]];
            assert_eq!(kind(ask(&source(false), "10.1.2.3", &fields)), ErrorKind::Unauthenticated);
            assert_eq!(ask(&source(true), "10.1.2.3", &fields).unwrap(), Caller::anonymous());
        }
        assert_eq!(kind(ask(&source(false), "10.1.2.3", &OLGA[1..])), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a_confirmed_identity_needs_a_user() {
        assert_eq!(kind(ask(&source(true), "10.1.2.3", &[OLGA[0], OLGA[2]])), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a32_duplicated_headers_are_refused() {
        for name in ["x-identity-status", "x-user-id", "x-project-id", "x-roles", "x-service-roles"] {
            let fields = with(&[("x-roles", "member"), ("x-service-roles", "service"), (name, "Confirmed")]);
            assert_eq!(kind(ask(&source(true), "10.1.2.3", &fields)), ErrorKind::Unauthenticated, "{name}");
        }
    }

    #[test]
    fn service_roles_need_a_confirmed_service() {
        let service = |status| with(&[("x-service-roles", "service"), ("x-service-identity-status", status)]);
        let caller = ask(&source(false), "10.1.2.3", &service("Confirmed")).unwrap();
        assert_eq!(caller.service_roles, ["service"]);
        let caller = ask(&source(false), "10.1.2.3", &service("Invalid")).unwrap();
        assert!(caller.service_roles.is_empty());
    }

    #[test]
    fn no_trusted_network_is_a_mistake() {
        let error = Header::new(&config::Identity::default(), false).unwrap_err();
        assert!(error.to_string().contains("identity.header.trusted_networks"));
    }
}
