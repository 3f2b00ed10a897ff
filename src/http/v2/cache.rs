//! `/v2/cache`: there is no image cache, which only those learn who might use one (images-v2.md §22).

use axum::extract::{Path, State};

use crate::error::{Error, Result};
use crate::flows::Call;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Forbidden, Invalid, NotFound};

use super::shapes::OfImage;

/// List what is cached.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    get,
    path = "/v2/cache",
    operation_id = "listCached",
    tag = "cache",
    responses(Invalid, Forbidden, NotFound)
)]
pub async fn list(State(api): State<Api>, _: NoBody, call: Call) -> Result<(), Fault> {
    refuse(&api, &call, "cache_list")
}

/// Empty the cache.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    delete,
    path = "/v2/cache",
    operation_id = "clearCache",
    tag = "cache",
    responses(Forbidden, NotFound)
)]
pub async fn clear(State(api): State<Api>, call: Call) -> Result<(), Fault> {
    refuse(&api, &call, "cache_delete")
}

/// Queue an image for the cache.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    put,
    path = "/v2/cache/{id}",
    operation_id = "cacheImage",
    tag = "cache",
    params(OfImage),
    responses(Forbidden, NotFound)
)]
pub async fn add(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<(), Fault> {
    api.flows.show_image(&call, &id).await?;
    refuse(&api, &call, "cache_image")
}

/// Take an image out of the cache.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    delete,
    path = "/v2/cache/{id}",
    operation_id = "uncacheImage",
    tag = "cache",
    params(OfImage),
    responses(Forbidden, NotFound)
)]
pub async fn remove(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<(), Fault> {
    api.flows.show_image(&call, &id).await?;
    refuse(&api, &call, "cache_delete")
}

/// List the nodes that cache an image.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    get,
    path = "/v2/cache/nodes/{id}",
    operation_id = "listCacheNodes",
    tag = "cache",
    params(OfImage),
    responses(Invalid, Forbidden, NotFound)
)]
pub async fn nodes(State(api): State<Api>, _: NoBody, call: Call) -> Result<(), Fault> {
    refuse(&api, &call, "list_cached_nodes")
}

/// Remove what is stalled in the cache.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    post,
    path = "/v2/cache/clean",
    operation_id = "cleanCache",
    tag = "cache",
    responses(Forbidden, NotFound)
)]
pub async fn clean(State(api): State<Api>, call: Call) -> Result<(), Fault> {
    refuse(&api, &call, "cache_clean")
}

/// Shrink the cache to its limit.
///
/// There is no image cache: administrators get 404.
#[utoipa::path(
    post,
    path = "/v2/cache/prune",
    operation_id = "pruneCache",
    tag = "cache",
    responses(Forbidden, NotFound)
)]
pub async fn prune(State(api): State<Api>, call: Call) -> Result<(), Fault> {
    refuse(&api, &call, "cache_prune")
}

fn refuse(api: &Api, call: &Call, action: &str) -> Result<(), Fault> {
    api.flows.allow(call, action)?;
    Err(Error::not_found("Caching is not enabled at this site.").into())
}
