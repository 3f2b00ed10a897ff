//! `/v2/metadefs` and `/v2/schemas/metadefs`: metadata definitions (metadefs.md).
//!
//! Names stand in URLs as they are, whatever they hold: segments are told apart before they are decoded, once (§2.4).
//! This family alone says in its content type how text is encoded (§2.2).

pub mod namespaces;
pub mod objects;
pub mod properties;
mod query;
pub mod resource_types;
pub mod schemas;
pub mod shapes;
pub mod tags;
mod view;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::front::Api;
use crate::http::route::only_without_head as only;

/// All routes of metadata definitions (§3); what is allowed is named in the order of its table.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(only("GET, POST", routes!(namespaces::list, namespaces::create)))
        .routes(only("GET, PUT, DELETE", routes!(namespaces::show, namespaces::update, namespaces::delete)))
        .routes(only("GET, POST, DELETE", routes!(objects::list, objects::create, objects::delete_all)))
        .routes(only("GET, PUT, DELETE", routes!(objects::show, objects::update, objects::delete)))
        .routes(only(
            "GET, POST, DELETE",
            routes!(properties::list, properties::create, properties::delete_all),
        ))
        .routes(only("GET, PUT, DELETE", routes!(properties::show, properties::update, properties::delete)))
        .routes(only("GET, POST, DELETE", routes!(tags::list, tags::create_several, tags::delete_all)))
        .routes(only("GET, POST, PUT, DELETE", routes!(tags::show, tags::create, tags::rename, tags::delete)))
        .routes(only("GET", routes!(resource_types::list)))
        .routes(only("GET, POST", routes!(resource_types::associations, resource_types::associate)))
        .routes(only("DELETE", routes!(resource_types::dissociate)))
        .merge(schemas::routes())
}

/// A JSON answer.
fn json(status: StatusCode, body: &Value) -> Response {
    text(status, body.to_string())
}

/// A JSON answer that is written already.
fn text(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// The answer of what leaves nothing to say.
fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
