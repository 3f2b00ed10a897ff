//! `/v2/metadefs/namespaces/{namespace}/properties` (metadefs.md §6).

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::domain::metadef::document;
use crate::flows::Call;
use crate::http::audit;
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;

use super::query::{self, Parameters};
use super::shapes::{OfNamespace, OfProperty, PropertyParameters};
use super::{json, nothing, view};

/// List the properties of a namespace.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/properties", operation_id = "listMetadefProperties",
    tag = "metadefs", params(OfNamespace),
    responses(
        (status = 200, description = "The properties", body = schemas::MetadefProperties),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn list(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(namespace): Path<String>,
) -> Result<Response, Fault> {
    let properties = api.flows.list_properties(&call, &namespace).await?;
    Ok(json(StatusCode::OK, &json!({ "properties": view::properties(&properties) })))
}

/// Create a property.
///
/// For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces/{namespace}/properties", operation_id = "createMetadefProperty",
    tag = "metadefs", params(OfNamespace), request_body = schemas::MetadefProperty,
    responses(
        (status = 201, description = "The new property", body = schemas::MetadefProperty),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let created = api.flows.create_property(&call, &namespace, document::property(&body)?).await?;
    Ok(audit::named(&created.name, json(StatusCode::CREATED, &view::property(&created))))
}

/// Delete all properties of a namespace.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/properties", operation_id = "deleteMetadefProperties",
    tag = "metadefs", params(OfNamespace),
    responses((status = 204, description = "There are no properties"), Invalid, Forbidden, NotFound),
)]
pub async fn delete_all(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
) -> Result<Response, Fault> {
    api.flows.delete_properties(&call, &namespace).await?;
    Ok(nothing())
}

/// Show a property.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/properties/{property}", operation_id = "showMetadefProperty",
    tag = "metadefs", params(OfProperty, PropertyParameters),
    responses(
        (status = 200, description = "The property", body = schemas::MetadefProperty),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn show(
    State(api): State<Api>,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Fault> {
    let resource_type = query::resource_type(&Parameters::of(raw.as_deref())?);
    let property = api.flows.show_property(&call, &namespace, &name, resource_type.as_deref()).await?;
    Ok(json(StatusCode::OK, &view::property(&property)))
}

/// Replace a property.
///
/// For administrators.
#[utoipa::path(
    put, path = "/v2/metadefs/namespaces/{namespace}/properties/{property}", operation_id = "updateMetadefProperty",
    tag = "metadefs", params(OfProperty), request_body = schemas::MetadefProperty,
    responses(
        (status = 200, description = "The property as it is now", body = schemas::MetadefProperty),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn update(
    State(api): State<Api>,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let updated = api.flows.update_property(&call, &namespace, &name, document::property(&body)?).await?;
    Ok(json(StatusCode::OK, &view::property(&updated)))
}

/// Delete a property.
///
/// For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/properties/{property}",
    operation_id = "deleteMetadefProperty", tag = "metadefs", params(OfProperty),
    responses((status = 204, description = "The property is deleted"), Invalid, Forbidden, NotFound),
)]
pub async fn delete(
    State(api): State<Api>,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_property(&call, &namespace, &name).await?;
    Ok(nothing())
}
