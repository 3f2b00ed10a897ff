//! `/v2/metadefs/namespaces` (metadefs.md §4).

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::domain::metadef::document;
use crate::error::Error;
use crate::flows::Call;
use crate::flows::metadefs::namespace_scope;
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::link::LinkBase;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;
use crate::http::v2::query::link;

use super::query::{self, Parameters};
use super::shapes::{NamespaceListParameters, OfNamespace, ShowParameters};
use super::view::{self, COLLECTION};
use super::{json, nothing};

/// What stands in a segment of a URL as it is (RFC 3986 §2.3).
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// List namespaces.
///
/// Public ones and those of the caller's project; for an administrator all.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces", operation_id = "listMetadefNamespaces", tag = "metadefs",
    params(NamespaceListParameters),
    responses(
        (status = 200, description = "A page of the list", body = schemas::MetadefNamespaces),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn list(State(api): State<Api>, call: Call, RawQuery(raw): RawQuery) -> Result<Response, Fault> {
    let parameters = Parameters::of(raw.as_deref())?;
    let query = query::namespaces(&parameters, namespace_scope(&call), &api.flows.config.limits)?;
    let page = api.flows.list_namespaces(&call, &query).await?;
    let rows: Vec<Value> =
        page.rows.iter().map(|(row, associations)| view::listed(row, associations)).collect();
    let parameters = parameters.without_marker();
    let first = link(COLLECTION, &parameters, None);
    let mut body = json!({ "namespaces": rows, "first": first, "schema": "/v2/schemas/metadefs/namespaces" });
    if let Some(last) = &page.next {
        body["next"] = link(COLLECTION, &parameters, Some(last)).into();
    }
    Ok(json(StatusCode::OK, &body))
}

/// Create a namespace.
///
/// With all that is to be in it, or nothing of it. For administrators.
#[utoipa::path(
    post, path = "/v2/metadefs/namespaces", operation_id = "createMetadefNamespace", tag = "metadefs",
    request_body = schemas::NewMetadefNamespace,
    responses(
        (status = 201, description = "The new namespace", body = schemas::MetadefNamespace, headers(
            ("Location" = String, description = "URL of the namespace"),
        )),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    base: LinkBase,
    Document(body): Document,
) -> Result<Response, Fault> {
    let draft = document::new_namespace(&body, call.caller.project.as_deref())?;
    let created = api.flows.create_namespace(&call, draft).await?;
    let name = utf8_percent_encode(&created.fields.namespace, &SEGMENT);
    let location = HeaderValue::try_from(format!("{}{COLLECTION}/{name}", base.origin()));
    let mut response = json(StatusCode::CREATED, &view::created(&created, &body));
    response.headers_mut().insert(header::LOCATION, location.map_err(Error::internal)?);
    Ok(response)
}

/// Show a namespace.
///
/// With all that is in it.
#[utoipa::path(
    get, path = "/v2/metadefs/namespaces/{namespace}", operation_id = "showMetadefNamespace", tag = "metadefs",
    params(OfNamespace, ShowParameters),
    responses(
        (status = 200, description = "The namespace", body = schemas::MetadefNamespace),
        Invalid, Forbidden, NotFound,
    ),
)]
pub async fn show(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(name): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Fault> {
    let resource_type = query::show(&Parameters::of(raw.as_deref())?)?;
    let (found, contents) = api.flows.show_namespace(&call, &name, resource_type.as_deref()).await?;
    Ok(json(StatusCode::OK, &view::whole(&found, &contents)))
}

/// Replace a namespace.
///
/// What is left out is reset. What is in the namespace stays: collections in the body are ignored. For administrators.
#[utoipa::path(
    put, path = "/v2/metadefs/namespaces/{namespace}", operation_id = "updateMetadefNamespace", tag = "metadefs",
    params(OfNamespace), request_body = schemas::NewMetadefNamespace,
    responses(
        (status = 200, description = "The namespace as it is now", body = schemas::MetadefNamespace),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
    ),
)]
pub async fn update(
    State(api): State<Api>,
    call: Call,
    Path(name): Path<String>,
    Document(body): Document,
) -> Result<Response, Fault> {
    let draft = document::namespace(&body, call.caller.project.as_deref())?;
    let updated = api.flows.update_namespace(&call, &name, draft).await?;
    Ok(json(StatusCode::OK, &view::namespace(&updated)))
}

/// Delete a namespace.
///
/// With all that is in it, unless it is protected. For administrators.
#[utoipa::path(
    delete, path = "/v2/metadefs/namespaces/{namespace}", operation_id = "deleteMetadefNamespace", tag = "metadefs",
    params(OfNamespace),
    responses((status = 204, description = "The namespace is deleted"), Invalid, Forbidden, NotFound),
)]
pub async fn delete(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    api.flows.delete_namespace(&call, &name).await?;
    Ok(nothing())
}
