//! `/v2/images/{id}/tags/{tag}` (images-v2.md §17).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::flows::Call;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Forbidden, Invalid, NotFound, TooLarge};

use super::shapes::OfTag;

/// Tag an image.
#[utoipa::path(
    put, path = "/v2/images/{id}/tags/{tag}", operation_id = "addTag", tag = "tags", params(OfTag),
    responses((status = 204, description = "The image has the tag"), Invalid, Forbidden, NotFound, TooLarge),
)]
pub async fn add(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.add_tag(&call, &id, &tag).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Take a tag off an image.
#[utoipa::path(
    delete, path = "/v2/images/{id}/tags/{tag}", operation_id = "removeTag", tag = "tags", params(OfTag),
    responses((status = 204, description = "The image has the tag no more"), Invalid, Forbidden, NotFound),
)]
pub async fn remove(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.remove_tag(&call, &id, &tag).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
