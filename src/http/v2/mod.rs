//! The Images API v2 dialect: parses into commands, calls one flow, renders.

pub mod actions;
pub mod cache;
pub mod data;
pub mod images;
pub mod import;
pub mod info;
pub mod locations;
pub mod members;
pub mod metadefs;
pub mod query;
pub mod schemas;
pub mod shapes;
pub mod stores;
pub mod tags;
pub mod tasks;
pub mod view;

use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use serde::Serialize;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::error::Error;

use super::fault::Fault;
use super::front::{Api, unknown_path};
use super::link::LinkBase;
use super::route::{self, only_without_head as only};

/// All routes of the v2 API (images-v2.md §3). Paths match exactly, and `HEAD` is not implemented (§2.5).
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(redirect_to_root).map(|_| any(redirect_to_root)))
        .routes(only("GET", routes!(schemas::image)))
        .routes(only("GET", routes!(schemas::images)))
        .routes(only("GET", routes!(schemas::member)))
        .routes(only("GET", routes!(schemas::members)))
        .routes(only("GET", routes!(schemas::task)))
        .routes(only("GET", routes!(schemas::tasks)))
        .routes(only("GET, POST", routes!(images::list, images::create)))
        .routes(only("GET, PATCH, DELETE", routes!(images::show, images::patch, images::delete)))
        .routes(only("GET, PUT", routes!(data::download, data::upload)))
        .routes(only("PUT", routes!(import::stage)))
        .routes(only("POST", routes!(import::import)))
        .routes(only("POST", routes!(actions::deactivate)))
        .routes(only("POST", routes!(actions::reactivate)))
        .routes(only("PUT, DELETE", routes!(tags::add, tags::remove)))
        .routes(only("GET, POST", routes!(members::list, members::add)))
        .routes(only("GET, PUT, DELETE", routes!(members::show, members::update, members::remove)))
        .routes(only("GET, POST", routes!(locations::list, locations::add)))
        // API parity: to other methods it is unknown
        .routes(routes!(tasks::of_image).map(|_| any(unknown_path).get(tasks::of_image).head(unknown_path)))
        .routes(only("GET, POST", routes!(tasks::list, tasks::create)))
        .routes(only("GET, DELETE", routes!(tasks::show, tasks::delete)))
        .merge(site_routes())
        .merge(metadefs::routes())
}

/// Routes of stores, limits and the cache that is not there (images-v2.md §20 to §22).
fn site_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(only("DELETE", routes!(stores::delete)))
        .routes(only("GET", routes!(info::import)))
        .routes(only("GET", routes!(info::stores)))
        .routes(only("GET", routes!(info::store_details)))
        // API parity: to other methods it is unknown
        .routes(routes!(info::usage).map(|_| any(unknown_path).get(info::usage).head(unknown_path)))
        .routes(only("GET, DELETE", routes!(cache::list, cache::clear)))
        .routes(only("DELETE, PUT", routes!(cache::add, cache::remove)))
        .routes(only("GET", routes!(cache::nodes)))
        .routes(only("POST", routes!(cache::clean)))
        .routes(only("POST", routes!(cache::prune)))
}

/// Go to the root of v2, where nothing is.
#[utoipa::path(
    get, path = "/v2", operation_id = "goToRoot", tag = "images",
    responses((status = 302, description = "The root is elsewhere", headers(
        ("Location" = String, description = "URL of `/v2/`"),
    ))),
)]
async fn redirect_to_root(base: LinkBase) -> Response {
    route::to_root(&base, "v2")
}

/// A JSON answer.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => Fault::from(Error::internal(error)).into_response(),
    }
}
