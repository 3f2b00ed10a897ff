//! `/v2/schemas`: the JSON schemas of what the API shows (images-v2.md §5).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::domain::schema;
use crate::http::document::NoBody;
use crate::http::front::Api;

use super::json;
use super::shapes::JsonSchema;
use crate::http::openapi::faults::Invalid;

/// Describe an image.
#[utoipa::path(
    get, path = "/v2/schemas/image", operation_id = "getImageSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema), Invalid),
)]
pub async fn image(State(api): State<Api>, _: NoBody) -> Response {
    json(StatusCode::OK, api.flows.schema.image())
}

/// Describe a list of images.
#[utoipa::path(
    get, path = "/v2/schemas/images", operation_id = "getImagesSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema), Invalid),
)]
pub async fn images(State(api): State<Api>, _: NoBody) -> Response {
    json(StatusCode::OK, api.flows.schema.images())
}

/// Describe a member.
#[utoipa::path(
    get, path = "/v2/schemas/member", operation_id = "getMemberSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema), Invalid),
)]
pub async fn member(_: NoBody) -> Response {
    json(StatusCode::OK, &schema::member())
}

/// Describe a list of members.
#[utoipa::path(
    get, path = "/v2/schemas/members", operation_id = "getMembersSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema), Invalid),
)]
pub async fn members(_: NoBody) -> Response {
    json(StatusCode::OK, &schema::members())
}

/// Describe a task.
#[utoipa::path(
    get, path = "/v2/schemas/task", operation_id = "getTaskSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema)),
)]
pub async fn task() -> Response {
    json(StatusCode::OK, &schema::task())
}

/// Describe a list of tasks.
#[utoipa::path(
    get, path = "/v2/schemas/tasks", operation_id = "getTasksSchema", tag = "schemas",
    responses((status = 200, description = "The JSON schema", body = JsonSchema)),
)]
pub async fn tasks() -> Response {
    json(StatusCode::OK, &schema::tasks())
}
