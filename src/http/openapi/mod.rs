//! The OpenAPI document: built from the routes, completed with what all of them share, served as it is and as a page.
//!
//! # How to add a route
//!
//! 1. Write the handler with `#[utoipa::path(…)]` on top: method, path, a unique `operation_id`, `tag`, `params(…)`,
//!    `request_body`, and `responses(…)` with every status of the specification. The first line of its doc comment
//!    becomes the summary, the rest the description. Refusals are the types of [`faults`], by name; 401, 431, 500 and
//!    503 are added to every operation here. Give one a description of its own where it can be told what is wrong.
//! 2. Describe parameters and bodies in `shapes.rs` of the dialect; what `/v2/schemas` publishes comes from there, by
//!    the types of [`schemas`].
//! 3. Add `routes!(handler, …)` of one path to `routes()` of the dialect. `.route(…)` would leave it out of the
//!    document; a test looks for that.
//! 4. Add a row for the operation to `tests/openapi/table.rs`: who gets which status.

mod complete;
mod definitions;
pub mod faults;
pub mod page;
pub mod schemas;

use axum::Router;
use serde_json::{Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::config::Config;
use crate::domain::schema::ImageSchema;

use super::front::Api;
use super::open::{self, Open};
use super::{v1, v2};

/// What the paths have in common.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vitrine",
        description = "The OpenStack Image service: images, their data, and who may see them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "images", description = "Records of images (v2)"),
        (name = "data", description = "Data of images: upload, download, stage, import (v2)"),
        (name = "members", description = "Projects that an image is shared with (v2)"),
        (name = "tags", description = "Tags of an image (v2)"),
        (name = "locations", description = "Where the data of an image are (v2)"),
        (name = "tasks", description = "Work in the background (v2)"),
        (name = "info", description = "What this installation offers (v2)"),
        (name = "metadefs", description = "Definitions of the properties that resources may have (v2)"),
        (name = "schemas", description = "JSON schemas of what is shown (v2)"),
        (name = "cache", description = "The image cache, which this service does not have (v2)"),
        (name = "v1 images", description = "Images and their data; attributes travel in headers (v1)"),
        (name = "v1 members", description = "Projects that an image is shared with (v1)"),
        (name = "service", description = "Versions, health, and this document; no token needed"),
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Base;

/// How callers say who they are.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = ApiKeyValue::with_description(
            "X-Auth-Token",
            "A token of the identity service, scoped to a project. Behind a trusted proxy (identity mode `header`) the \
             proxy sends `X-Identity-Status: Confirmed`, `X-User-Id`, `X-Project-Id` and `X-Roles` instead.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::ApiKey(ApiKey::Header(token)));
    }
}

/// All routes of the API port, with the document that describes them.
pub struct Routes {
    /// Those that need no token.
    pub open: Router<Open>,
    /// Those of the Images API.
    pub api: Router<Api>,
    /// The OpenAPI document.
    pub document: Value,
}

/// The routes and the document of an installation: v1 is described where it is served, formats and additional
/// properties as they are configured.
pub fn routes(config: &Config, schema: &ImageSchema) -> Routes {
    let (v2, described_v2) = v2::routes().split_for_parts();
    let (v1, described_v1) = v1::routes().split_for_parts();
    let (open, described_open) =
        OpenApiRouter::with_openapi(Base::openapi()).merge(open::routes()).split_for_parts();
    let mut described = described_open;
    described.merge(described_v2);
    if config.server.v1 {
        described.merge(described_v1);
    }
    let mut document = serde_json::to_value(described).expect("the document is made of strings and maps");
    if let Some(endpoint) = &config.server.public_endpoint {
        document["servers"] = json!([{ "url": endpoint.trim_end_matches('/') }]);
    }
    schemas::insert(&mut document["components"]["schemas"], schema);
    complete::complete(&mut document);
    Routes { open, api: v1.merge(v2), document }
}

/// The OpenAPI document of an installation.
pub fn document(config: &Config, schema: &ImageSchema) -> Value {
    routes(config, schema).document
}
