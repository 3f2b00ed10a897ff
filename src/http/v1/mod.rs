//! The Images API v1 dialect: parses into commands, calls one flow, renders.

pub mod headers;
pub mod images;
pub mod members;
pub mod query;
pub mod view;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, put};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::fault::Fault;
use super::front::Api;

/// All routes of the v1 API (images-v1.md §2). Paths match exactly.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/v1", any(images::redirect_to_root))
        .route("/v1/", only("GET, HEAD", get(images::list).head(images::list)))
        .route(
            "/v1/images",
            only("GET, POST", get(images::list).post(images::create).head(|| not_allowed("GET, POST"))),
        )
        .route("/v1/images/detail", only("GET, HEAD", get(images::list_detail).head(|| not_allowed("GET"))))
        .route(
            "/v1/images/{id}",
            only(
                "GET, HEAD, PUT, DELETE",
                get(images::download).head(images::show).put(images::update).delete(images::delete),
            ),
        )
        .route(
            "/v1/images/{id}/members",
            only("GET, PUT", get(members::list).put(members::replace).head(|| not_allowed("GET, PUT"))),
        )
        .route(
            "/v1/images/{id}/members/{member}",
            only(
                "GET, PUT, DELETE",
                // API parity: the method is routed but not implemented, so its 405 names no others
                put(members::put)
                    .delete(members::delete)
                    .get(|| async { Fault::status(StatusCode::METHOD_NOT_ALLOWED) })
                    .head(|| not_allowed("GET, PUT, DELETE")),
            ),
        )
        .route("/v1/shared-images/{member}", only("GET, HEAD", get(members::shared_images)))
        .fallback(unknown_path)
}

/// Every other method is refused, naming those that are known.
fn only(allow: &'static str, routes: MethodRouter<Api>) -> MethodRouter<Api> {
    routes.fallback(move || not_allowed(allow))
}

async fn not_allowed(allow: &'static str) -> Response {
    let mut response = Fault::status(StatusCode::METHOD_NOT_ALLOWED).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

async fn unknown_path(method: Method) -> Fault {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        .contains(&method);
    Fault::status(if known { StatusCode::NOT_FOUND } else { StatusCode::NOT_IMPLEMENTED })
}

/// A JSON answer in the reference's spacing.
fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], view::to_bytes(body)).into_response()
}
