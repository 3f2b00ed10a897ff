//! `/v1/images/{id}/members` and `/v1/shared-images`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::flows::Call;
use crate::flows::members::Share;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::{body, fault::Fault};

use super::shapes::{Members, Membership, Memberships, OfImage, OfMember, SharedImages};

/// List the members of an image.
#[utoipa::path(
    get, path = "/v1/images/{id}/members", operation_id = "v1ListMembers", tag = "v1 members", params(OfImage),
    responses((status = 200, description = "The members", body = Members), Forbidden, NotFound),
)]
pub async fn list(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    let members = api.flows.list_members(&call, &id).await?;
    let entries: Vec<Value> =
        members.iter().map(|m| json!({ "member_id": m.member, "can_share": m.can_share })).collect();
    Ok(super::json(StatusCode::OK, &json!({ "members": entries })))
}

/// Share an image with a project, or change what it may do.
#[utoipa::path(
    put, path = "/v1/images/{id}/members/{member}", operation_id = "v1PutMember", tag = "v1 members",
    params(OfMember), request_body(content = Option<Membership>, description = "What the member may do"),
    responses(
        (status = 204, description = "The project is a member"),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn put(
    State(api): State<Api>,
    call: Call,
    Path((id, member)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let document = read(&headers, body).await?;
    api.flows.put_member(&call, &id, &member, membership(document.as_ref())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// API parity: the method is routed but not implemented, so its 405 names no others.
pub async fn show() -> Fault {
    Fault::status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Stop sharing an image with a project.
#[utoipa::path(
    delete, path = "/v1/images/{id}/members/{member}", operation_id = "v1DeleteMember", tag = "v1 members",
    params(OfMember),
    responses((status = 204, description = "The project is no member"), Forbidden, NotFound, Conflict),
)]
pub async fn delete(
    State(api): State<Api>,
    call: Call,
    Path((id, member)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_member(&call, &id, &member).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Replace all members of an image.
#[utoipa::path(
    put, path = "/v1/images/{id}/members", operation_id = "v1ReplaceMembers", tag = "v1 members", params(OfImage),
    request_body(content = Memberships, description = "The members it shall have"),
    responses(
        (status = 204, description = "These are the members"),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn replace(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let document = read(&headers, body).await?;
    let entries = entries(document);
    let count = entries.as_ref().map_or(0, Vec::len);
    let wanted = entries.and_then(|entries| entries.iter().map(share).collect());
    api.flows.replace_members(&call, &id, count, wanted).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// List images that are shared with a project.
#[utoipa::path(
    get, path = "/v1/shared-images/{member}", operation_id = "v1ListSharedImages", tag = "v1 members",
    params(("member" = String, Path, description = "Id of the project")),
    responses((status = 200, description = "The images", body = SharedImages), Forbidden, NotFound),
)]
pub async fn shared_images(
    State(api): State<Api>,
    call: Call,
    Path(member): Path<String>,
) -> Result<Response, Fault> {
    let memberships = api.flows.memberships(&call, &member).await?;
    let entries: Vec<Value> = memberships
        .iter()
        .map(|m| json!({ "image_id": m.image_id.to_string(), "can_share": m.can_share }))
        .collect();
    Ok(super::json(StatusCode::OK, &json!({ "shared_images": entries })))
}

/// The JSON document of a request, if it has a body.
async fn read(headers: &HeaderMap, body: Body) -> Result<Option<Value>> {
    let bytes = body::document(headers, body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let malformed = |error| Error::invalid("Malformed JSON in request body.").with_source(error);
    let document: Value = serde_json::from_slice(&bytes).map_err(malformed)?;
    if !document.is_object() && !document.is_array() {
        return Err(Error::invalid("Unexpected body type. Expected list/dict."));
    }
    Ok(Some(document))
}

/// `can_share` of a member document, if it says anything of it (images-v1.md §9.5).
fn membership(document: Option<&Value>) -> Result<Option<bool>> {
    match document.and_then(|d| d.get("member")) {
        Some(Value::Null | Value::Number(_) | Value::Bool(_)) => {
            Err(Error::invalid("Invalid membership association: an object is expected."))
        }
        Some(member) => Ok(member.get("can_share").map(is_truthy)),
        None => Ok(None),
    }
}

/// Entries of a replacement; an object without `memberships` is one entry (images-v1.md §9.7).
fn entries(document: Option<Value>) -> Result<Vec<Value>> {
    let invalid = || Error::invalid("Invalid membership association: a list of memberships is expected.");
    match document {
        Some(Value::Object(mut object)) if object.contains_key("memberships") => {
            match object.remove("memberships") {
                Some(Value::Array(entries)) => Ok(entries),
                _ => Err(invalid()),
            }
        }
        Some(Value::Object(object)) => Ok(vec![Value::Object(object)]),
        _ => Err(invalid()),
    }
}

fn share(entry: &Value) -> Result<Share> {
    let invalid = || Error::invalid("Invalid membership association: member_id is expected to be a text.");
    let object: &Map<String, Value> = entry.as_object().ok_or_else(invalid)?;
    let member =
        object.get("member_id").and_then(Value::as_str).filter(|m| !m.is_empty()).ok_or_else(invalid)?;
    Ok((member.to_owned(), object.get("can_share").map(is_truthy)))
}

/// Truth as Python sees it: the text `"false"` is true (images-v1.md §13 oddity 10).
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}
