//! Version negotiation and the version document (images-v1.md §1).

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::v1::view;

const VENDOR: &str = "application/vnd.openstack.images-";

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// The version document with this status.
    Document(StatusCode),
    /// The Images API v1, with the path below its root.
    V1(String),
}

/// Decides by path and `Accept`, before anybody is authenticated.
pub fn negotiate(uri: &Uri, headers: &HeaderMap, v1: bool) -> Destination {
    let path = uri.path().trim_start_matches('/');
    let (first, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    if first == "versions" {
        return Destination::Document(StatusCode::OK);
    }
    let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (token, rest) = match accept.strip_prefix(VENDOR) {
        // API parity: a token that is not known is not made good by the path
        Some(token) => (token, uri.path()),
        None => (first, rest),
    };
    if is_known(token, v1) {
        return Destination::V1(rest.to_owned());
    }
    Destination::Document(StatusCode::MULTIPLE_CHOICES)
}

fn is_known(token: &str, v1: bool) -> bool {
    v1 && matches!(token, "v1" | "v1.0" | "v1.1")
}

/// The version document, newest first; `base` is what links start with.
pub fn document(status: StatusCode, base: &str, v1: bool) -> Response {
    let entry = |id: &str, path: &str| -> Value {
        json!({
            "id": id,
            "status": "DEPRECATED",
            "links": [{ "rel": "self", "href": format!("{base}/{path}/") }],
        })
    };
    let versions: Vec<Value> = if v1 { vec![entry("v1.1", "v1"), entry("v1.0", "v1")] } else { Vec::new() };
    let body = view::to_bytes(&json!({ "versions": versions }));
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
