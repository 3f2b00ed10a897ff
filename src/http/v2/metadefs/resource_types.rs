//! `/v2/metadefs/resource_types`, and their associations with namespaces (metadefs.md §7).

use axum::extract::{Path, State};
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

use super::shapes::{OfNamespace, OfResourceType};
use super::{json, nothing, view};

/// List resource types.
///
/// All of the cloud, whoever named them.
#[utoipa::path(
    get, path = "/v2/metadefs/resource_types", operation_id = "listMetadefResourceTypes", tag = "metadefs",
    responses(
        (status = 200, description = "The resource types", body = schemas::MetadefResourceTypes),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn list(State(api): State<Api>, _: NoBody, call: Call) -> Result<Response, Fault> {
    let kinds = api.flows.list_resource_types(&call).await?;
    let entries: Vec<Value> = kinds.iter().map(view::resource_type).collect();
    Ok(json(StatusCode::OK, &json!({ "resource_types": entries })))
}

/// List the resource types that a namespace is for.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}/resource_types", operation_id = "listMetadefAssociations",
    tag = "metadefs", params(OfNamespace),
    responses(
        (status = 200, description = "The associations", body = schemas::MetadefAssociations),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn associations(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(namespace): Path<String>,
) -> Result<Response, Fault> {
    let associations = api.flows.list_associations(&call, &namespace).await?;
    let entries: Vec<Value> = associations.iter().map(view::association).collect();
    Ok(json(StatusCode::OK, &json!({ "resource_type_associations": entries })))
}

/// Associate a resource type with a namespace.
///
/// One that is not known yet is created. For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces/{namespace}/resource_types", operation_id = "createMetadefAssociation",
    tag = "metadefs", params(OfNamespace), request_body = schemas::NewMetadefAssociation,
    responses(
        (status = 201, description = "The new association", body = schemas::MetadefAssociation),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn associate(
    State(api): State<Api>,
    call: Call,
    Path(namespace): Path<String>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let created = api.flows.create_association(&call, &namespace, document::association(&body)?).await?;
    Ok(audit::named(&created.fields.name, json(StatusCode::CREATED, &view::association(&created))))
}

/// Dissociate a resource type from a namespace.
///
/// The resource type stays known. For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}/resource_types/{resource_type}",
    operation_id = "deleteMetadefAssociation", tag = "metadefs", params(OfResourceType),
    responses((status = 204, description = "The association is gone"), Invalid, Forbidden, NotFound),
)]
pub async fn dissociate(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    api.flows.delete_association(&call, &namespace, &name).await?;
    Ok(nothing())
}
