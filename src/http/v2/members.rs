//! `/v2/images/{id}/members`: sharing (images-v2.md §18.2).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::domain::member::{Member, MemberStatus};
use crate::domain::{text, timestamp};
use crate::error::{Error, Result};
use crate::flows::Call;
use crate::http::audit;
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;

use super::json;
use super::shapes::{MemberAnswer, NewMember, OfImage, OfMember};

/// List the members of an image.
///
/// A member sees its own entry alone. An image that is not shared has no members: 403.
#[utoipa::path(
    get, path = "/v2/images/{id}/members", operation_id = "listMembers", tag = "members", params(OfImage),
    responses((status = 200, description = "The members", body = schemas::Members), Invalid, Forbidden, NotFound),
)]
pub async fn list(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let members = api.flows.show_members(&call, &id).await?;
    let entries: Vec<Value> = members.iter().map(view).collect();
    Ok(json(StatusCode::OK, &json!({ "members": entries, "schema": "/v2/schemas/members" })))
}

/// Share an image with a project.
///
/// The membership is pending until the project answers; until then the image is in no list of theirs.
#[utoipa::path(
    post, path = "/v2/images/{id}/members", operation_id = "addMember", tag = "members", params(OfImage),
    request_body = NewMember,
    responses(
        (status = 200, description = "The member", body = schemas::Member),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn add(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    Document(document): Document,
) -> Result<Response, Fault> {
    let member = api.flows.add_member(&call, &id, new_member(&document)?).await?;
    // API parity: 200, not 201
    Ok(audit::named(&member.member, json(StatusCode::OK, &view(&member))))
}

/// Show a member.
#[utoipa::path(
    get, path = "/v2/images/{id}/members/{member}", operation_id = "showMember", tag = "members", params(OfMember),
    responses((status = 200, description = "The member", body = schemas::Member), Invalid, NotFound),
)]
pub async fn show(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((id, member)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let member = api.flows.show_member(&call, &id, &member).await?;
    Ok(json(StatusCode::OK, &view(&member)))
}

/// Answer to a shared image.
///
/// Only the member itself answers, not the owner.
#[utoipa::path(
    put, path = "/v2/images/{id}/members/{member}", operation_id = "updateMember", tag = "members",
    params(OfMember), request_body = MemberAnswer,
    responses(
        (status = 200, description = "The member as it is now", body = schemas::Member),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn update(
    State(api): State<Api>,
    call: Call,
    Path((id, member)): Path<(String, String)>,
    Document(document): Document,
) -> Result<Response, Fault> {
    let member = api.flows.answer_share(&call, &id, &member, new_status(&document)?).await?;
    Ok(json(StatusCode::OK, &view(&member)))
}

/// Stop sharing an image with a project.
#[utoipa::path(
    delete, path = "/v2/images/{id}/members/{member}", operation_id = "removeMember", tag = "members",
    params(OfMember),
    responses((status = 204, description = "The project is no member"), Invalid, Forbidden, NotFound),
)]
pub async fn remove(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((id, member)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.remove_member(&call, &id, &member).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn view(member: &Member) -> Value {
    json!({
        "member_id": member.member,
        "image_id": member.image_id.to_string(),
        "status": member.status.as_str(),
        "created_at": timestamp::render(member.created_at),
        "updated_at": timestamp::render(member.updated_at),
        "schema": "/v2/schemas/member",
    })
}

/// The project that a document names to share with.
fn new_member(document: &Value) -> Result<&str> {
    let member = document.get("member").and_then(Value::as_str).filter(|member| !member.is_empty());
    let member = member.ok_or_else(|| Error::invalid("Member to be added not specified"))?;
    if member.chars().count() > text::MAX_NAME {
        return Err(Error::invalid(format!("A member id may have at most {} characters.", text::MAX_NAME)));
    }
    text::check_storable_as("Member id", member)?;
    Ok(member)
}

fn new_status(document: &Value) -> Result<MemberStatus> {
    let status = document.get("status").ok_or_else(|| Error::invalid("Status not specified"))?;
    let known = status.as_str().and_then(|status| status.parse().ok());
    known.ok_or_else(|| Error::invalid("The status of a member must be one of pending, accepted, rejected."))
}
