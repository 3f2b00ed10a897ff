//! The Images API v1 dialect: parses into commands, calls one flow, renders.

pub mod headers;
pub mod images;
pub mod members;
pub mod query;
pub mod shapes;
pub mod view;

use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::front::Api;
use super::route::{not_allowed, only, only_without_head};

/// All routes of the v1 API (images-v1.md §2). Paths match exactly.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(images::redirect_to_root).map(|_| any(images::redirect_to_root)))
        .routes(only("GET, HEAD", routes!(images::list_at_root)))
        .routes(only_without_head("GET, POST", routes!(images::list, images::create)))
        // API parity: the refusal of HEAD names GET alone
        .routes(only("GET, HEAD", routes!(images::list_detail).map(|r| r.head(|| not_allowed("GET")))))
        .routes(only(
            "GET, HEAD, PUT, DELETE",
            routes!(images::download, images::show, images::update, images::delete),
        ))
        .routes(only_without_head("GET, PUT", routes!(members::list, members::replace)))
        .routes(only_without_head(
            "GET, PUT, DELETE",
            routes!(members::put, members::delete).map(|r| r.get(members::show)),
        ))
        .routes(only("GET, HEAD", routes!(members::shared_images)))
}

/// A JSON answer in the reference's spacing.
fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], view::to_bytes(body)).into_response()
}
