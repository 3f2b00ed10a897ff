//! Mode `none`, for development: the token names the caller (contract.md §4).

use super::{Request, field, roles, unauthenticated, with_implied};
use crate::domain::caller::Caller;
use crate::error::Result;

/// Believes what `X-Auth-Token: user:project:role[,role]` says. Without that header the caller is an administrator
/// of project `default`; anonymous callers do not exist in this mode. Who is a `member` is also a `reader`, as a fresh
/// Keystone has it.
#[derive(Debug, Clone, Copy)]
pub struct None;

impl None {
    /// Tells who sends `request`; fails with `Unauthenticated` for a token in another form.
    pub(super) fn authenticate(self, request: Request<'_>) -> Result<Caller> {
        match field(request.headers, "x-auth-token")? {
            Some(token) => parse(token).ok_or_else(unauthenticated),
            Option::None => Ok(administrator()),
        }
    }
}

fn administrator() -> Caller {
    Caller {
        user: Some("admin".to_owned()),
        project: Some("default".to_owned()),
        roles: vec!["admin".to_owned()],
        ..Caller::default()
    }
}

fn parse(token: &str) -> Option<Caller> {
    // python-glanceclient percent-encodes the token as it does every field
    let token = percent_encoding::percent_decode_str(token).decode_utf8().ok()?;
    let mut parts = token.split(':').map(str::trim);
    let (user, project, list) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || user.is_empty() || project.is_empty() {
        return Option::None;
    }
    let project = (!project.eq_ignore_ascii_case("none")).then(|| project.to_owned());
    let roles = with_implied(roles(list.split(',')));
    Some(Caller { user: Some(user.to_owned()), project, roles, ..Caller::default() })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::error::ErrorKind;

    fn ask(fields: &[(&'static str, &str)]) -> Result<Caller> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        None.authenticate(Request { headers: &headers, peer, method: &Method::GET, path: "/v2/images" })
    }

    #[test]
    fn token_may_be_percent_encoded() {
        let caller = ask(&[("x-auth-token", "olga%3Aalpha%3Amember%2Creader")]).unwrap();
        assert_eq!((caller.user.as_deref(), caller.project.as_deref()), (Some("olga"), Some("alpha")));
        assert_eq!(caller.roles, ["member", "reader"]);
    }

    #[test]
    fn no_token_is_the_administrator_of_project_default() {
        let caller = ask(&[]).unwrap();
        assert_eq!(caller.project.as_deref(), Some("default"));
        assert!(caller.has_role("admin") && !caller.is_admin && !caller.read_only);
    }

    #[test]
    fn the_token_names_the_caller() {
        let caller = ask(&[("x-auth-token", "olga:alpha: Member,READER")]).unwrap();
        assert_eq!(caller.user.as_deref(), Some("olga"));
        assert_eq!(caller.project.as_deref(), Some("alpha"));
        assert_eq!(caller.roles, ["member", "reader"]);
        assert!(!caller.is_admin);
    }

    #[test]
    fn project_none_in_any_case_is_no_project() {
        for token in ["luis:none:member", "luis:None:member", "luis:NONE:member"] {
            assert_eq!(ask(&[("x-auth-token", token)]).unwrap().project, Option::None);
        }
    }

    #[test]
    fn members_are_readers_too() {
        let roles = |token: &str| ask(&[("x-auth-token", token)]).unwrap().roles;
        assert_eq!(roles("olga:alpha:member"), ["member", "reader"]);
        for alone in ["admin", "reader", "service"] {
            assert_eq!(roles(&format!("adam:alpha:{alone}")), [alone]);
        }
    }

    #[test]
    fn a_caller_may_hold_no_role() {
        assert!(ask(&[("x-auth-token", "luis:alpha:")]).unwrap().roles.is_empty());
    }

    #[test]
    fn other_tokens_are_refused() {
        for token in ["", " ", "nonsense", "a:b", "a:b:c:d", ":alpha:admin", " :alpha:admin", "olga::admin"] {
            let error = ask(&[("x-auth-token", token)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{token:?}");
        }
        let twice = ask(&[("x-auth-token", "a:b:c"), ("x-auth-token", "a:b:admin")]);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a31_identity_headers_are_ignored() {
        let caller = ask(&[
            ("x-auth-token", "olga:alpha:member"),
            ("x-roles", "admin"),
            ("x-user-id", "root"),
            ("x-project-id", "beta"),
            ("x-service-roles", "service"),
        ]);
        let caller = caller.unwrap();
        assert_eq!((caller.user.as_deref(), caller.project.as_deref()), (Some("olga"), Some("alpha")));
        assert_eq!(caller.roles, ["member", "reader"]);
        assert!(caller.service_roles.is_empty());
    }
}
