//! `/v2/metadefs/namespaces/{namespace}/tags` (metadefs.md §8).

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::domain::metadef::document;
use crate::flows::Call;
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;

use super::query::{self, Parameters};
use super::shapes::{AppendHeader, OfNamespace, OfNewTag, OfTag, TagListParameters};
use super::{json, nothing, view};

/// Words for yes in `X-Openstack-Append`, whatever their case.
const YES: [&str; 6] = ["1", "t", "true", "on", "y", "yes"];

/// List the tags of a namespace.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/tags", operation_id = "listMetadefTags", tag = "metadefs",
    params(OfNamespace, TagListParameters),
    responses(
        (status = 200, description = "A page of the list", body = schemas::MetadefTags),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn list(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Fault> {
    let query = query::tags(&Parameters::of(raw.as_deref())?)?;
    let tags = api.flows.list_tags(&call, &namespace, &query).await?;
    Ok(json(StatusCode::OK, &names(tags.iter().map(|tag| &tag.name))))
}

/// Create several tags.
///
/// All or none. They take the place of all there are, unless they are to be added. For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces/{namespace}/tags", operation_id = "createMetadefTags", tag = "metadefs",
    params(OfNamespace, AppendHeader), request_body = schemas::MetadefTags,
    responses(
        (status = 201, description = "The tags of the request", body = schemas::MetadefTags),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn create_several(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Fault> {
    let draft = document::tags(&body)?;
    let created = api.flows.create_tags(&call, &namespace, draft, appends(&headers)).await?;
    Ok(json(StatusCode::CREATED, &names(&created)))
}

/// Delete all tags of a namespace.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/tags", operation_id = "deleteMetadefTags", tag = "metadefs",
    params(OfNamespace),
    responses((status = 204, description = "There are no tags"), Invalid, Forbidden, NotFound),
)]
pub async fn delete_all(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
) -> Result<Response, Fault> {
    api.flows.delete_tags(&call, &namespace).await?;
    Ok(nothing())
}

/// Show a tag.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/tags/{tag}", operation_id = "showMetadefTag", tag = "metadefs",
    params(OfTag),
    responses((status = 200, description = "The tag", body = schemas::MetadefTag), Invalid, Forbidden, NotFound),
)]
pub async fn show(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let tag = api.flows.show_tag(&call, &namespace, &name).await?;
    Ok(json(StatusCode::OK, &view::tag(&tag)))
}

/// Create a tag.
///
/// For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces/{namespace}/tags/{tag}", operation_id = "createMetadefTag",
    tag = "metadefs", params(OfNewTag),
    responses(
        (status = 201, description = "The new tag", body = schemas::MetadefTag),
        Invalid, Forbidden, NotFound, Conflict,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let created = api.flows.create_tag(&call, &namespace, &name).await?;
    Ok(json(StatusCode::CREATED, &view::tag(&created)))
}

/// Rename a tag.
///
/// For administrators.
#[utoipa::path(
    put, path = "/v2/metadefs/namespaces/{namespace}/tags/{tag}", operation_id = "renameMetadefTag",
    tag = "metadefs", params(OfTag), request_body = schemas::NewMetadefTag,
    responses(
        (status = 200, description = "The tag as it is now", body = schemas::MetadefTag),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn rename(
    State(api): State<Api>,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let renamed = api.flows.rename_tag(&call, &namespace, &name, document::tag(&body)?).await?;
    Ok(json(StatusCode::OK, &view::tag(&renamed)))
}

/// Delete a tag.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/tags/{tag}", operation_id = "deleteMetadefTag",
    tag = "metadefs", params(OfTag),
    responses((status = 204, description = "The tag is deleted"), Invalid, Forbidden, NotFound),
)]
pub async fn delete(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_tag(&call, &namespace, &name).await?;
    Ok(nothing())
}

fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> Value {
    let entries: Vec<Value> = names.into_iter().map(|name| json!({ "name": name })).collect();
    json!({ "tags": entries })
}

/// Whether new tags leave those there are.
fn appends(headers: &HeaderMap) -> bool {
    let word = headers.get("x-openstack-append").and_then(|value| value.to_str().ok()).unwrap_or_default();
    YES.iter().any(|yes| word.trim().eq_ignore_ascii_case(yes))
}
