//! `/v2/info`: what this service offers, and what a project uses of its limits (images-v2.md §20.1, §21.2).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::blobs::Store;
use crate::flows::Call;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Forbidden, Invalid, NotFound};

use super::json;
use super::shapes::{ImportInfo, StoreDetailList, StoreList, UsageList};

/// List the ways to import data.
#[utoipa::path(
    get, path = "/v2/info/import", operation_id = "showImportInfo", tag = "info",
    responses((status = 200, description = "The ways", body = ImportInfo), Invalid),
)]
pub async fn import(State(api): State<Api>, _: NoBody, _: Call) -> Response {
    let methods = &api.flows.config.import.methods;
    let body = json!({
        "import-methods": {
            "description": "Import methods available.",
            "type": "array",
            "value": methods,
        }
    });
    json(StatusCode::OK, &body)
}

/// List the stores.
///
/// Where one store is configured there is nothing to choose from: 404.
#[utoipa::path(
    get, path = "/v2/info/stores", operation_id = "listStores", tag = "info",
    responses((status = 200, description = "The stores", body = StoreList), Invalid, NotFound),
)]
pub async fn stores(State(api): State<Api>, _: NoBody, _: Call) -> Result<Response, Fault> {
    let entries: Vec<Value> =
        api.flows.list_stores()?.map(|store| Value::Object(entry(&api, store))).collect();
    Ok(json(StatusCode::OK, &json!({ "stores": entries })))
}

/// List the stores with their particulars.
#[utoipa::path(
    get, path = "/v2/info/stores/detail", operation_id = "listStoreDetails", tag = "info",
    responses((status = 200, description = "The stores", body = StoreDetailList), Invalid, Forbidden, NotFound),
)]
pub async fn store_details(State(api): State<Api>, _: NoBody, call: Call) -> Result<Response, Fault> {
    let stores = api.flows.list_store_details(&call)?;
    let entries: Vec<Value> = stores.map(|store| Value::Object(details(&api, store))).collect();
    Ok(json(StatusCode::OK, &json!({ "stores": entries })))
}

/// Show what the caller's project uses of its limits.
#[utoipa::path(
    get, path = "/v2/info/usage", operation_id = "showUsage", tag = "info",
    responses((status = 200, description = "Usage by resource", body = UsageList)),
)]
pub async fn usage(State(api): State<Api>, call: Call) -> Result<Response, Fault> {
    let usage = api.flows.project_usage(&call).await?;
    let entries: Map<String, Value> = usage
        .iter()
        .map(|u| (u.resource.as_str().to_owned(), json!({ "usage": u.usage, "limit": u.limit })))
        .collect();
    Ok(json(StatusCode::OK, &json!({ "usage": entries })))
}

fn entry(api: &Api, store: &Store) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("id".to_owned(), (*store.id).into());
    entry.extend(store.description().map(|text| ("description".to_owned(), text.into())));
    // API parity: flags are texts, and there only where they hold
    for (flag, holds) in
        [("default", store.id == api.flows.stores.default_store().id), ("read-only", store.read_only())]
    {
        if holds {
            entry.insert(flag.to_owned(), "true".into());
        }
    }
    entry
}

/// Particulars under the names the reference has for its S3 stores. Sizes are in MiB: data above the first are sent in
/// parts of the second, so many of one upload at a time as there are "threads".
fn details(api: &Api, store: &Store) -> Map<String, Value> {
    let part_size = store.part_size() >> 20;
    let mut entry = entry(api, store);
    entry.insert("type".to_owned(), "s3".into());
    entry.insert("weight".to_owned(), store.weight().into());
    let properties = json!({
        "s3_store_large_object_size": part_size,
        "s3_store_large_object_chunk_size": part_size,
        "s3_store_thread_pools": api.flows.config.data.parts_in_flight,
    });
    entry.insert("properties".to_owned(), properties);
    entry
}
