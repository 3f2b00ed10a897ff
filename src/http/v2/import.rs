//! `/v2/images/{id}/import` and `/v2/images/{id}/stage` (images-v2.md §14).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::domain::import::Method;
use crate::error::Error;
use crate::flows::Call;
use crate::http::document::Document;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge, UnsupportedMediaType};

use super::data;
use super::shapes::{ImportHeaders, ImportRequest, OfImage, StageHeaders};

/// Import data into an image, or copies of its data into more stores.
///
/// A task does it; the image names it as `os_glance_import_task` meanwhile.
#[utoipa::path(
    post, path = "/v2/images/{id}/import", operation_id = "importImage", tag = "data", params(OfImage, ImportHeaders),
    request_body = ImportRequest,
    responses(
        (status = 202, description = "A task imports the data, or there is nothing to do"),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn import(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Fault> {
    api.flows.import_image(&call, &id, &body, data::wanted_store(&headers)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Stage data for an import by `glance-direct`.
///
/// The image must be queued; it needs no formats yet.
#[utoipa::path(
    put, path = "/v2/images/{id}/stage", operation_id = "stageImage", tag = "data", params(OfImage, StageHeaders),
    request_body(content_type = "application/octet-stream", description = "The data"),
    responses(
        (status = 204, description = "The data wait for their import"),
        Invalid, Forbidden, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub async fn stage(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    // API parity: before the request is looked at
    if !api.flows.config.import.offers(Method::GlanceDirect.name()) {
        return Err(Error::not_found("The import method glance-direct is not available at this site.").into());
    }
    api.flows.stage_data(&call, &id, data::read(&headers, body)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
