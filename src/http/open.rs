//! What is answered without a token: versions, health, and the description of the API.

use std::path::PathBuf;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{self, HeaderName};
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::config::Config;

use super::healthcheck;
use super::openapi::page;
use super::route::only;
use super::versions::{self, Versions};

/// What these handlers work with.
#[derive(Clone)]
pub struct Open {
    /// Versions on offer.
    pub versions: Versions,
    /// File whose presence makes the health check fail.
    pub disable_file: Option<PathBuf>,
    /// The OpenAPI document.
    document: Bytes,
    /// The same as a page.
    page: Bytes,
}

impl Open {
    /// What an installation with this document answers.
    pub fn new(config: &Config, document: &Value) -> Self {
        Self {
            versions: Versions::of(config),
            disable_file: config.server.disable_by_file_path.clone(),
            document: document.to_string().into(),
            page: page::render(document).into(),
        }
    }
}

const HEALTH_CHECK: &str = "/healthcheck";

/// Paths that are answered before a version is looked for; without them they would name an unknown version.
const BEFORE_VERSIONS: [&str; 4] = [HEALTH_CHECK, "/openapi.json", "/docs", "/docs/style.css"];

/// The path under which a request is routed that is answered before a version is looked for. Whatever is below the
/// health check is the health check (images-v2.md §25.1).
pub fn before_versions(path: &str) -> Option<&'static str> {
    let path = if path.starts_with("/healthcheck/") { HEALTH_CHECK } else { path };
    BEFORE_VERSIONS.into_iter().find(|known| *known == path)
}

/// All routes that need no token. The version documents and the health check answer every method.
pub fn routes() -> OpenApiRouter<Open> {
    OpenApiRouter::new()
        .routes(routes!(versions::choices).map(|_| any(versions::choices)))
        .routes(routes!(versions::list).map(|_| any(versions::list)))
        .routes(routes!(healthcheck::answer).map(|_| any(healthcheck::answer)))
        .routes(only("GET, HEAD", routes!(document)))
        .routes(only("GET, HEAD", routes!(docs)))
        .routes(only("GET, HEAD", routes!(style)))
}

/// Describe this API.
///
/// The document covers every operation of this installation, with its formats and additional properties.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenApi", tag = "service", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Object, content_type = "application/json")),
)]
pub async fn document(State(open): State<Open>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], open.document).into_response()
}

/// Read about this API.
#[utoipa::path(
    get, path = "/docs", operation_id = "getDocs", tag = "service", security(()),
    responses((status = 200, description = "The OpenAPI document as a page", body = String, content_type = "text/html")),
)]
pub async fn docs(State(open): State<Open>) -> Response {
    // the page needs its style sheet and nothing else, from here or elsewhere
    const POLICY: &str =
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=UTF-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, open.page).into_response()
}

/// The style sheet of the page.
#[utoipa::path(
    get, path = "/docs/style.css", operation_id = "getDocsStyle", tag = "service", security(()),
    responses((status = 200, description = "The style sheet", body = String, content_type = "text/css")),
)]
pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=UTF-8")], page::STYLE).into_response()
}
