//! `/v2/metadefs/namespaces/{namespace}/objects` (metadefs.md §5).

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::domain::metadef::document;
use crate::flows::Call;
use crate::http::audit;
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;

use super::query::{self, Parameters};
use super::shapes::{ObjectListParameters, OfNamespace, OfObject};
use super::{json, nothing, view};

/// List the objects of a namespace.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/objects", operation_id = "listMetadefObjects", tag = "metadefs",
    params(OfNamespace, ObjectListParameters),
    responses(
        (status = 200, description = "The objects", body = schemas::MetadefObjects),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn list(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Fault> {
    query::check_objects(&Parameters::of(raw.as_deref())?)?;
    let objects = api.flows.list_objects(&call, &namespace).await?;
    let entries: Vec<Value> = objects.iter().map(|object| view::object(&namespace, object)).collect();
    // API parity: this one path has no slash before it
    Ok(json(StatusCode::OK, &json!({ "objects": entries, "schema": "v2/schemas/metadefs/objects" })))
}

/// Create an object.
///
/// For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces/{namespace}/objects", operation_id = "createMetadefObject",
    tag = "metadefs", params(OfNamespace), request_body = schemas::NewMetadefObject,
    responses(
        (status = 201, description = "The new object", body = schemas::MetadefObject),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let created = api.flows.create_object(&call, &namespace, document::object(&body)?).await?;
    Ok(audit::named(&created.fields.name, json(StatusCode::CREATED, &view::object(&namespace, &created))))
}

/// Delete all objects of a namespace.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/objects", operation_id = "deleteMetadefObjects",
    tag = "metadefs", params(OfNamespace),
    responses((status = 204, description = "There are no objects"), Invalid, Forbidden, NotFound),
)]
pub async fn delete_all(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
) -> Result<Response, Fault> {
    api.flows.delete_objects(&call, &namespace).await?;
    Ok(nothing())
}

/// Show an object.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/objects/{object}", operation_id = "showMetadefObject",
    tag = "metadefs", params(OfObject),
    responses(
        (status = 200, description = "The object", body = schemas::MetadefObject),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn show(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let object = api.flows.show_object(&call, &namespace, &name).await?;
    Ok(json(StatusCode::OK, &view::object(&namespace, &object)))
}

/// Replace an object.
///
/// What is left out is reset. For administrators.
#[utoipa::path(
    put, path = "/v2/metadefs/namespaces/{namespace}/objects/{object}", operation_id = "updateMetadefObject",
    tag = "metadefs", params(OfObject), request_body = schemas::NewMetadefObject,
    responses(
        (status = 200, description = "The object as it is now", body = schemas::MetadefObject),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn update(
    State(api): State<Api>,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let updated = api.flows.update_object(&call, &namespace, &name, document::object(&body)?).await?;
    Ok(json(StatusCode::OK, &view::object(&namespace, &updated)))
}

/// Delete an object.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/objects/{object}", operation_id = "deleteMetadefObject",
    tag = "metadefs", params(OfObject),
    responses((status = 204, description = "The object is deleted"), Invalid, Forbidden, NotFound),
)]
pub async fn delete(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_object(&call, &namespace, &name).await?;
    Ok(nothing())
}
