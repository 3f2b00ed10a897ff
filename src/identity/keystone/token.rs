//! What Keystone says of a valid token, and what follows from it (Identity API v3, `GET /v3/auth/tokens`).

use std::sync::Arc;

use http::Method;
use regex::Regex;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::caller::Caller;
use crate::domain::peers::{self, Endpoint, Peers};
use crate::identity::{Request, roles};

/// Type under which this service stands in the catalogue.
const SERVICE: &str = "image";

/// A valid token.
#[derive(Debug)]
pub(super) struct Token {
    /// Whom it names; service roles are those of another token and stay empty.
    pub(super) caller: Caller,
    /// When it ends.
    pub(super) expires_at: OffsetDateTime,
    /// When the password of its user ends, if ever.
    pub(super) password_expires_at: Option<OffsetDateTime>,
    /// Image services of its catalogue, if that was asked for.
    endpoints: Arc<[Endpoint]>,
    /// What an application credential is confined to; without a list it is confined to nothing.
    rules: Option<Vec<Rule>>,
    /// Whether it counts only together with a proof (Kerberos ticket, client certificate).
    bound: bool,
}

/// One request that an application credential may be used for.
#[derive(Debug)]
struct Rule {
    method: String,
    path: Regex,
}

impl Token {
    /// Reads the body of an answer.
    pub(super) fn parse(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice::<Document>(body).map(|document| document.token.into())
    }

    /// Whether the token can be judged by its text alone. This service sees no proof that a bound token needs, so
    /// such a token is not accepted (A33).
    pub(super) fn stands_alone(&self) -> bool {
        !self.bound
    }

    /// The image services of its catalogue, to be called with this very token, whose text is not kept here.
    pub(super) fn peers(&self, text: &str) -> Option<Peers> {
        Peers::new(Arc::clone(&self.endpoints), text)
    }

    /// Whether access rules let the token be used for `request` (A33).
    pub(super) fn permits(&self, request: Request<'_>) -> bool {
        let Some(rules) = &self.rules else { return true };
        rules.iter().any(|rule| rule.permits(request.method, request.path))
    }
}

impl Rule {
    /// A rule for this service; none for a rule that grants something else.
    fn new(rule: &RawRule) -> Option<Self> {
        if rule.service != SERVICE {
            return None;
        }
        Regex::new(&pattern(&rule.path)).ok().map(|path| Self { method: rule.method.clone(), path })
    }

    fn permits(&self, method: &Method, path: &str) -> bool {
        self.method == method.as_str() && self.path.is_match(path)
    }
}

/// The regular expression for a path of an access rule: `*` and `{name}` stand for one segment, `**` for anything.
fn pattern(path: &str) -> String {
    let mut out = String::from(r"\A");
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]+".to_owned(), 1),
            '{' => match rest.find('}') {
                Some(end) => ("[^/]+".to_owned(), end + 1),
                None => (r"\{".to_owned(), 1),
            },
            other => (regex::escape(other.encode_utf8(&mut [0; 4])), other.len_utf8()),
        };
        out.push_str(&piece);
        rest = &rest[length..];
    }
    out + r"\z"
}

#[derive(Deserialize)]
struct Document {
    token: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(deserialize_with = "timestamp")]
    expires_at: OffsetDateTime,
    user: User,
    project: Option<Scope>,
    domain: Option<Domain>,
    system: Option<System>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    catalog: Value,
    application_credential: Option<Credential>,
    bind: Option<Map<String, Value>>,
    oauth2_credential: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct User {
    #[serde(flatten)]
    named: Scope,
    /// Nobody is refused for want of it, so it may be anything.
    #[serde(default)]
    password_expires_at: Value,
}

/// A user or project within its domain.
#[derive(Deserialize)]
struct Scope {
    id: String,
    domain: Option<Domain>,
}

#[derive(Deserialize)]
struct Domain {
    id: Option<String>,
}

#[derive(Deserialize)]
struct System {
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct Credential {
    access_rules: Option<Vec<RawRule>>,
}

#[derive(Deserialize)]
struct RawRule {
    service: String,
    method: String,
    path: String,
}

impl From<Body> for Token {
    fn from(body: Body) -> Self {
        let (project, project_domain) = body.project.map_or((None, None), Scope::split);
        let (user, user_domain) = body.user.named.split();
        let caller = Caller {
            user,
            project,
            user_domain,
            project_domain,
            domain: body.domain.and_then(|domain| domain.id),
            system_scope: body.system.filter(|system| system.all).map(|_| "all".to_owned()),
            roles: roles(body.roles.iter().map(|role| role.name.as_str())),
            ..Caller::default()
        };
        let rules = body.application_credential.and_then(|credential| credential.access_rules);
        let rules = rules.map(|rules| rules.iter().filter_map(Rule::new).collect());
        let bound = [body.bind, body.oauth2_credential].iter().flatten().any(|proof| !proof.is_empty());
        let endpoints = peers::endpoints(&body.catalog);
        let password_expires_at = body.user.password_expires_at.as_str().and_then(in_utc);
        Self { caller, expires_at: body.expires_at, password_expires_at, endpoints, rules, bound }
    }
}

impl Scope {
    fn split(self) -> (Option<String>, Option<String>) {
        (Some(self.id), self.domain.and_then(|domain| domain.id))
    }
}

fn timestamp<'de, D: Deserializer<'de>>(d: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(d)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)
}

/// A time as Keystone writes those of passwords, without a zone.
fn in_utc(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
        .ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn matches(rule: &str, path: &str) -> bool {
        Regex::new(&pattern(rule)).unwrap().is_match(path)
    }

    #[test]
    fn a33_wild_cards_of_access_rules() {
        assert!(matches("/v2/images", "/v2/images"));
        assert!(!matches("/v2/images", "/v2/images/a"));
        assert!(!matches("/v2/images", "/v2/imagesx"));
        assert!(!matches("/v2/images", "/x/v2/images"));
        assert!(matches("/v2/images/*", "/v2/images/a"));
        assert!(!matches("/v2/images/*", "/v2/images/"));
        assert!(!matches("/v2/images/*", "/v2/images/a/file"));
        assert!(matches("/v2/images/{image_id}/file", "/v2/images/a/file"));
        assert!(!matches("/v2/images/{image_id}/file", "/v2/images/a/b/file"));
        assert!(matches("/v2/**", "/v2/images/a/file"));
        assert!(!matches("/v2/**", "/v1/images"));
        assert!(matches("/v2/im.ges", "/v2/im.ges"));
        assert!(!matches("/v2/im.ges", "/v2/images"));
        assert!(matches("/v2/{images", "/v2/{images"));
        assert!(matches("/v2/ü*", "/v2/üx"));
    }

    #[test]
    fn every_scope_is_mapped() {
        let read = |scope: &str| {
            let body = format!(
                r#"{{"token": {{"expires_at": "2030-01-01T00:00:00.000000Z", "user": {{"id": "u"}}, {scope}}}}}"#
            );
            Token::parse(body.as_bytes()).unwrap().caller
        };
        let project = read(r#""project": {"id": "p", "domain": {"id": "d"}}, "roles": [{"name": "Member"}]"#);
        assert_eq!((project.project.as_deref(), project.project_domain.as_deref()), (Some("p"), Some("d")));
        assert_eq!(project.roles, ["member"]);
        assert_eq!(read(r#""domain": {"id": "d"}"#).domain.as_deref(), Some("d"));
        assert_eq!(read(r#""system": {"all": true}"#).system_scope.as_deref(), Some("all"));
        assert_eq!(read(r#""system": {"all": false}"#).system_scope, None);
        let unscoped = read(r#""methods": ["password"]"#);
        assert_eq!((unscoped.project, unscoped.domain, unscoped.system_scope), (None, None, None));
    }
}
