//! What the routes of both dialects share.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};

use super::fault::Fault;
use super::link::LinkBase;

/// The handlers of one path, each with its part of the OpenAPI document.
pub type Described<S> = UtoipaMethodRouter<S>;

/// Every other method is refused, naming those that are known.
pub fn only<S>(allow: &'static str, routes: Described<S>) -> Described<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.map(|routes| routes.fallback(move || not_allowed(allow)))
}

/// Every other method is refused, `HEAD` too, which would otherwise be answered like `GET`.
pub fn only_without_head<S>(allow: &'static str, routes: Described<S>) -> Described<S>
where
    S: Clone + Send + Sync + 'static,
{
    only(allow, routes.map(|routes| routes.head(move || not_allowed(allow))))
}

/// 405 with the methods that are known.
pub async fn not_allowed(allow: &'static str) -> Response {
    let mut response = Fault::status(StatusCode::METHOD_NOT_ALLOWED).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// 302 from a version without a slash to its root.
pub fn to_root(base: &LinkBase, version: &str) -> Response {
    let mut response = Redirect::to(&format!("{base}/{version}/")).into_response();
    *response.status_mut() = StatusCode::FOUND;
    response
}
