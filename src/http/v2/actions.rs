//! `/v2/images/{id}/actions` (images-v2.md §19).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::flows::Call;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Forbidden, Invalid, NotFound};

use super::shapes::OfImage;

/// Withhold the data of an image.
///
/// Only administrators download it then. An image that is withheld already stays so.
#[utoipa::path(
    post, path = "/v2/images/{id}/actions/deactivate", operation_id = "deactivateImage", tag = "images",
    params(OfImage),
    responses((status = 204, description = "The image is deactivated"), Invalid, Forbidden, NotFound),
)]
pub async fn deactivate(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    api.flows.deactivate_image(&call, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Release the data of an image again.
#[utoipa::path(
    post, path = "/v2/images/{id}/actions/reactivate", operation_id = "reactivateImage", tag = "images",
    params(OfImage),
    responses((status = 204, description = "The image is active"), Invalid, Forbidden, NotFound),
)]
pub async fn reactivate(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    api.flows.reactivate_image(&call, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
