//! `/v2/images`: lists, create, show, change, delete.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::domain::document::{self, Document};
use crate::domain::image::Image;
use crate::domain::patch::{ACCEPT_PATCH, MediaType, Patch};
use crate::error::{Error, Result};
use crate::flows::Call;
use crate::flows::images::NewImage;
use crate::flows::sources::Sources;
use crate::http::document::{self as json_document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::link::LinkBase;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound, TooLarge};
use crate::http::openapi::schemas;

use super::shapes::{ListParameters, OfImage, OldPatch, Patch as PatchBody};
use super::{json, query, view};

/// Header that lists the import methods this service offers.
const IMPORT_METHODS: &str = "openstack-image-import-methods";
/// Header that lists the stores.
const STORE_IDS: &str = "openstack-image-store-ids";

/// List images.
///
/// Shows what is public, what the caller's project owns, and what is shared with it and accepted. Any other query
/// parameter asks for an additional property with exactly this value.
#[utoipa::path(
    get, path = "/v2/images", operation_id = "listImages", tag = "images", params(ListParameters),
    responses((status = 200, description = "A page of the list", body = schemas::Images), Invalid, Forbidden),
)]
pub async fn list(State(api): State<Api>, call: Call, RawQuery(raw): RawQuery) -> Result<Response, Fault> {
    // API parity: the policy answers before the filters are looked at
    api.flows.allow_list(&call)?;
    let listing = query::parse(raw.as_deref().unwrap_or_default(), &call.caller, &api.flows.config.limits)?;
    let images = api.flows.list_images(&call, &listing.query).await?;
    let full = listing.query.limit > 0 && images.len() == listing.query.limit as usize;
    let last = images.last().map(|image| image.id).filter(|_| full);
    let images = api.flows.present_visible(&call, images).await?;
    let page = view::Page {
        first: listing.first(),
        images: images.iter().map(|image| view::image(image, &api.flows.schema)).collect(),
        // also where the policy lets no row be seen: without it the list would seem to end here
        next: last.map(|last| listing.next(last)),
        schema: "/v2/schemas/images",
    };
    Ok(json(StatusCode::OK, &page))
}

/// Make an image.
///
/// It is queued until data are uploaded or imported.
#[utoipa::path(
    post, path = "/v2/images", operation_id = "createImage", tag = "images", request_body = schemas::NewImage,
    responses(
        (status = 201, description = "The new image", body = schemas::Image, headers(
            ("Location" = String, description = "URL of the image"),
            ("OpenStack-image-import-methods" = String, description = "Ways to import data, separated by commas"),
            ("OpenStack-image-store-ids" = String, description = "Stores, where several are configured"),
        )),
        Invalid, Forbidden, Conflict, TooLarge,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    base: LinkBase,
    json_document::Document(body): json_document::Document,
) -> Result<Response, Fault> {
    let Document { attributes, refused } = document::parse(&body, &api.flows.schema)?;
    let new = NewImage { attributes, refused, sources: Sources::default(), size_unless_known: None };
    let image = api.flows.create_image(&call, new).await?;
    let location = HeaderValue::try_from(format!("{}/v2/images/{}", base.origin(), image.id));
    let mut response = answer(&api, &call, StatusCode::CREATED, image).await?;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location.map_err(Error::internal)?);
    announce(&api, headers);
    Ok(response)
}

/// What may be done next with a new image.
fn announce(api: &Api, headers: &mut HeaderMap) {
    let methods = &api.flows.config.import.methods;
    if let (false, Ok(methods)) = (methods.is_empty(), HeaderValue::try_from(methods.join(","))) {
        headers.insert(IMPORT_METHODS, methods);
    }
    let stores: Vec<&str> = api.flows.stores.iter().map(|store| &*store.id).collect();
    if let (true, Ok(stores)) = (stores.len() > 1, HeaderValue::try_from(stores.join(","))) {
        headers.insert(STORE_IDS, stores);
    }
}

/// Show an image.
#[utoipa::path(
    get, path = "/v2/images/{id}", operation_id = "showImage", tag = "images", params(OfImage),
    responses((status = 200, description = "The image", body = schemas::Image), Invalid, NotFound),
)]
pub async fn show(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let image = api.flows.show_image(&call, &id).await?;
    answer(&api, &call, StatusCode::OK, image).await
}

/// Change an image.
///
/// Operations are applied in their order, all or none. Attributes that the service keeps are read-only.
#[utoipa::path(
    patch, path = "/v2/images/{id}", operation_id = "patchImage", tag = "images", params(OfImage),
    request_body(content(
        (PatchBody = "application/openstack-images-v2.1-json-patch"),
        (OldPatch = "application/openstack-images-v2.0-json-patch"),
    )),
    responses(
        (status = 200, description = "The image as it is now", body = schemas::Image),
        Invalid, Forbidden, NotFound, Conflict, TooLarge,
        (status = 415, description = "The content type is none of the two", headers(
            ("Accept-Patch" = String, description = "The two content types"),
        )),
    ),
)]
pub async fn patch(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Fault> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some(media) = MediaType::from_content_type(content_type) else {
        return Ok(unsupported_patch());
    };
    let bytes = crate::http::body::document(&headers, body).await?;
    let patch = Patch::parse(media, &json_document::parse(&bytes)?, &api.flows.schema)?;
    let patched = api.flows.patch_image(&call, &id, &patch).await?;
    let presented = api.flows.present_in_order(&call, patched.image, &patched.order).await?;
    Ok(json(StatusCode::OK, &view::image(&presented, &api.flows.schema)))
}

fn unsupported_patch() -> Response {
    let mut response = Fault::status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    response.headers_mut().insert("accept-patch", HeaderValue::from_static(ACCEPT_PATCH));
    response
}

/// Delete an image and its data.
#[utoipa::path(
    delete, path = "/v2/images/{id}", operation_id = "deleteImage", tag = "images", params(OfImage),
    responses((status = 204, description = "The image is gone"), Invalid, Forbidden, NotFound, Conflict),
)]
pub async fn delete(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    api.flows.delete_image(&call, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn answer(api: &Api, call: &Call, status: StatusCode, image: Image) -> Result<Response, Fault> {
    let presented = api.flows.present(call, image).await?;
    Ok(json(status, &view::image(&presented, &api.flows.schema)))
}
