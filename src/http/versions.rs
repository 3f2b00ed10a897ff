//! Version negotiation and the version document (images-v1.md §1, images-v2.md §1).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::config;
use crate::domain::policy::Dialect;

use super::link::LinkBase;
use super::open::Open;
use super::v1::view;

const VENDOR: &str = "application/vnd.openstack.images-";

/// Minor versions of v2 that stand for the basic interface, newest first. What is not here or below is announced
/// with a cache, which this service does not have.
const ALWAYS: [&str; 9] = ["v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"];
/// Those that stand for several stores.
const WITH_SEVERAL_STORES: [&str; 5] = ["v2.13", "v2.12", "v2.11", "v2.10", "v2.8"];
/// Newest of all.
const CURRENT: &str = "v2.17";
/// Announced beside it.
const STORE_DETAILS: &str = "v2.15";
const V1: [&str; 2] = ["v1.1", "v1.0"];

/// Which versions this installation serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Whether v1 is served.
    pub v1: bool,
    /// Whether several stores are configured, which v2 announces.
    pub several_stores: bool,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// The version document under this path, `/versions` or `/`.
    Document(&'static str),
    /// An API, with the path below its root.
    Api(Dialect, String),
}

impl Versions {
    /// The versions of a configuration.
    pub fn of(config: &config::Config) -> Self {
        Self { v1: config.server.v1, several_stores: config.stores.len() > 1 }
    }

    /// Decides by path and `Accept`, before anybody is authenticated.
    pub fn negotiate(self, uri: &Uri, headers: &HeaderMap) -> Destination {
        let path = uri.path().trim_start_matches('/');
        let (first, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
        if first == "versions" {
            return Destination::Document("/versions");
        }
        let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (selector, rest) = match accept.strip_prefix(VENDOR) {
            // API parity: a selector that is not known is not made good by the path
            Some(selector) => (selector, uri.path()),
            None => (first, rest),
        };
        match self.api(selector) {
            Some(dialect) => Destination::Api(dialect, rest.to_owned()),
            None => Destination::Document("/"),
        }
    }

    fn api(self, selector: &str) -> Option<Dialect> {
        if self.v1 && (selector == "v1" || V1.contains(&selector)) {
            return Some(Dialect::V1);
        }
        (selector == "v2" || self.minors().any(|minor| minor == selector)).then_some(Dialect::V2)
    }

    /// Minor versions of v2, newest first.
    fn minors(self) -> impl Iterator<Item = &'static str> {
        let several = self.several_stores.then_some(WITH_SEVERAL_STORES);
        [CURRENT, STORE_DETAILS].into_iter().chain(several.into_iter().flatten()).chain(ALWAYS)
    }

    /// The version document, newest first; `base` is what links start with.
    fn document(self, status: StatusCode, base: &str) -> Response {
        let entry = |id: &str, status: &str, path: &str| -> Value {
            json!({
                "id": id,
                "status": status,
                "links": [{ "rel": "self", "href": format!("{base}/{path}/") }],
            })
        };
        let mut versions: Vec<Value> = self
            .minors()
            .map(|minor| entry(minor, if minor == CURRENT { "CURRENT" } else { "SUPPORTED" }, "v2"))
            .collect();
        if self.v1 {
            versions.extend(V1.map(|version| entry(version, "DEPRECATED", "v1")));
        }
        let body = view::to_bytes(&json!({ "versions": versions }));
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Choose a version.
///
/// The same is answered on every path that names no version which is served here.
#[utoipa::path(
    get, path = "/", operation_id = "chooseVersion", tag = "service", security(()),
    responses((status = 300, description = "Versions to choose from", body = VersionList)),
)]
pub async fn choices(State(open): State<Open>, base: LinkBase) -> Response {
    open.versions.document(StatusCode::MULTIPLE_CHOICES, &base.to_string())
}

/// List the versions.
#[utoipa::path(
    get, path = "/versions", operation_id = "listVersions", tag = "service", security(()),
    responses((status = 200, description = "Versions served here", body = VersionList)),
)]
pub async fn list(State(open): State<Open>, base: LinkBase) -> Response {
    open.versions.document(StatusCode::OK, &base.to_string())
}

/// Versions, newest first; those of v1 come last.
#[derive(ToSchema)]
pub struct VersionList {
    /// The versions
    pub versions: Vec<Version>,
}

/// A version.
#[derive(ToSchema)]
pub struct Version {
    /// Such as `v2.17`
    pub id: String,
    /// `CURRENT`, `SUPPORTED` or `DEPRECATED`
    pub status: String,
    /// Where it is
    pub links: Vec<Link>,
}

/// A link.
#[derive(ToSchema)]
pub struct Link {
    /// Always `self`
    pub rel: String,
    /// Absolute URL of its root
    pub href: String,
}
