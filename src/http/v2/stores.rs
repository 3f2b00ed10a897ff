//! `/v2/stores/{store}/{id}`: removal of an image from one store (images-v2.md §20.2).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::flows::Call;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound};

use super::shapes::InStore;

/// Remove the data of an image from one store.
///
/// The last store that has them keeps them.
#[utoipa::path(
    delete, path = "/v2/stores/{store}/{id}", operation_id = "deleteFromStore", tag = "info", params(InStore),
    responses((status = 204, description = "The store has no data of the image"), Invalid, Forbidden, NotFound, Conflict),
)]
pub async fn delete(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((store, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_from_store(&call, &store, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
