//! `/v1/images`: lists, create, show, download, update, delete.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tracing::error;

use crate::config::Config;
use crate::domain::image::Image;
use crate::error::{Chain, Error, Result};
use crate::flows::Call;
use crate::flows::images::{ImageChange, NewImage};
use crate::flows::sources::{Data, Sources};
use crate::http::front::Api;
use crate::http::link::LinkBase;
use crate::http::openapi::faults::{
    Conflict, Forbidden, Gone, Invalid, NotFound, TooLarge, UnsupportedMediaType,
};
use crate::http::{body, fault::Fault, route};

use super::headers::{self, Metadata};
use super::shapes::{BriefImages, DetailedImages, Head, ListParameters, OfImage, OneImage, Purge, Whole};
use super::{query, shapes, view};

const OCTETS: &str = "application/octet-stream";
const HTML: &str = "text/html; charset=UTF-8";

/// Go to the root of v1.
#[utoipa::path(
    get, path = "/v1", operation_id = "v1GoToRoot", tag = "v1 images",
    responses((status = 302, description = "The root is elsewhere", headers(
        ("Location" = String, description = "URL of `/v1/`"),
    ))),
)]
pub async fn redirect_to_root(base: LinkBase) -> Response {
    route::to_root(&base, "v1")
}

/// List images in the brief form.
///
/// The same as `/v1/images`; `HEAD` is answered too.
#[utoipa::path(
    get, path = "/v1/", operation_id = "v1ListImagesAtRoot", tag = "v1 images", params(ListParameters),
    responses((status = 200, description = "A page of the list", body = BriefImages), Invalid, Forbidden),
)]
pub async fn list_at_root(state: State<Api>, call: Call, query: RawQuery) -> Result<Response, Fault> {
    list(state, call, query).await
}

/// List images in the brief form.
///
/// Shows what is public, what the caller's project owns, and what is shared with it.
#[utoipa::path(
    get, path = "/v1/images", operation_id = "v1ListImages", tag = "v1 images", params(ListParameters),
    responses((status = 200, description = "A page of the list", body = BriefImages), Invalid, Forbidden),
)]
pub async fn list(State(api): State<Api>, call: Call, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let images = page(&api, &call, query).await?;
    let entries: Vec<Value> = images.iter().map(view::brief).collect();
    Ok(super::json(StatusCode::OK, &json!({ "images": entries })))
}

/// List images in the detailed form.
#[utoipa::path(
    get, path = "/v1/images/detail", operation_id = "v1ListImagesInDetail", tag = "v1 images",
    params(ListParameters),
    responses((status = 200, description = "A page of the list", body = DetailedImages), Invalid, Forbidden),
)]
pub async fn list_detail(
    State(api): State<Api>,
    call: Call,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let images = page(&api, &call, query).await?;
    let entries: Vec<Value> = images
        .iter()
        .map(|image| view::detail(image, &api.flows.readable_properties(&call, image)))
        .collect();
    Ok(super::json(StatusCode::OK, &json!({ "images": entries })))
}

async fn page(api: &Api, call: &Call, raw: Option<String>) -> Result<Vec<Image>> {
    // API parity: the policy answers before the filters are looked at
    api.flows.allow_list(call)?;
    let query = query::parse(raw.as_deref().unwrap_or_default(), &call.caller, &api.flows.config.limits)?;
    api.flows.list_images(call, &query).await
}

/// Make an image, perhaps with its data.
///
/// Without data, `x-image-meta-location` or `x-glance-api-copy-from`, the image is queued until data are uploaded.
#[utoipa::path(
    post, path = "/v1/images", operation_id = "v1CreateImage", tag = "v1 images", params(shapes::Metadata),
    request_body(content_type = "application/octet-stream", description = "The data, if any"),
    responses(
        (status = 201, description = "The new image", body = OneImage, headers(
            ("Location" = String, description = "URL of the image"),
            ("Etag" = String, description = "MD5 in hex, without quotes"),
        )),
        Invalid, Forbidden, NotFound, Conflict, Gone, TooLarge, UnsupportedMediaType,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    base: LinkBase,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let (metadata, sources) = read(&api.flows.config, &call, &headers, body)?;
    let mut attributes = metadata.attributes;
    // an empty id is none; on an update it would be another than the image's
    attributes.id = attributes.id.filter(|id| !id.is_empty());
    let new = NewImage { attributes, sources, size_unless_known: Some(0), refused: None };
    let image = api.flows.create_image(&call, new).await?;
    // API parity: what the creator sent is shown whole, also where reading it is protected
    let mut response =
        super::json(StatusCode::CREATED, &json!({ "image": view::detail(&image, &image.properties) }));
    add_etag(&mut response, &image);
    let location =
        HeaderValue::try_from(format!("{base}/v1/images/{}", image.id)).map_err(Error::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Change an image, or upload its data.
#[utoipa::path(
    put, path = "/v1/images/{id}", operation_id = "v1UpdateImage", tag = "v1 images",
    params(OfImage, shapes::Metadata, Purge),
    request_body(content_type = "application/octet-stream", description = "The data, while the image is queued"),
    responses(
        (status = 200, description = "The image as it is now", body = OneImage, headers(
            ("Etag" = String, description = "MD5 in hex, without quotes"),
        )),
        Invalid, Forbidden, NotFound, Conflict, Gone, TooLarge, UnsupportedMediaType,
    ),
)]
pub async fn update(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let (metadata, sources) = read(&api.flows.config, &call, &headers, body)?;
    let purge_properties = sources.data.is_none() && asks_to_purge(&headers);
    let change = ImageChange { attributes: metadata.attributes, sources, purge_properties };
    let image = api.flows.update_image(&call, &id, change).await?;
    let properties = api.flows.readable_properties(&call, &image);
    let mut response = super::json(StatusCode::OK, &json!({ "image": view::detail(&image, &properties) }));
    add_etag(&mut response, &image);
    Ok(response)
}

/// Show the metadata of an image.
#[utoipa::path(
    head,
    path = "/v1/images/{id}",
    operation_id = "v1ShowImage",
    tag = "v1 images",
    params(OfImage),
    responses(Head, Forbidden, NotFound)
)]
pub async fn show(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    let image = api.flows.show_image(&call, &id).await?;
    let mut response = metadata_response(&api, &call, &image);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(HTML));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Ok(response)
}

/// Download the data of an image, with its metadata.
///
/// Ranges and conditions are ignored: the answer is always the whole image.
#[utoipa::path(
    get,
    path = "/v1/images/{id}",
    operation_id = "v1DownloadImage",
    tag = "v1 images",
    params(OfImage),
    responses(Whole, Forbidden, NotFound)
)]
pub async fn download(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    let download = api.flows.download(&call, &id).await?;
    let mut response = metadata_response(&api, &call, &download.image);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    let size = HeaderValue::from(download.image.size.unwrap_or_default());
    response.headers_mut().insert(header::CONTENT_LENGTH, size);
    let id = download.image.id;
    let stream = download.stream.inspect_err(move |failed| {
        error!(image.id = %id, error = %Chain(failed), "download cut short");
    });
    *response.body_mut() = Body::from_stream(stream);
    Ok(response)
}

/// Delete an image and its data.
#[utoipa::path(
    delete, path = "/v1/images/{id}", operation_id = "v1DeleteImage", tag = "v1 images", params(OfImage),
    responses((status = 200, description = "The image is gone"), Forbidden, NotFound, Conflict),
)]
pub async fn delete(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    api.flows.delete_image(&call, &id).await?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, HTML)], "").into_response())
}

/// Metadata headers and body of a create or update, checked as far as they can be without the image
/// (images-v1.md §5.3 steps 2 to 4).
fn read(config: &Config, call: &Call, headers: &HeaderMap, body: Body) -> Result<(Metadata, Sources)> {
    let mut metadata = headers::parse(headers, config.server.v1_percent_decode)?;
    if !call.caller.is_admin {
        // API parity: what others say of the owner is passed over
        metadata.attributes.owner = None;
    }
    metadata.attributes.settle(&config.images.disk_formats, &config.images.container_formats)?;
    let length = body::length(headers);
    let announced = length.filter(|n| *n > 0).or(metadata.attributes.size.and_then(|n| n.try_into().ok()));
    let cap = config.limits.image_size_cap.0;
    if announced.is_some_and(|n| n > cap) {
        return Err(Error::invalid(format!("Denying attempt to upload image larger than {cap} bytes.")));
    }
    let data = body::is_present(headers).then(|| Data {
        stream: body::stream(body),
        length,
        unusable: (!is_octet_stream(headers)).then_some("Content-Type must be application/octet-stream"),
    });
    let sources = Sources {
        data,
        location: metadata.location.take(),
        copy_from: metadata.copy_from.take(),
        store: metadata.store.take(),
    };
    Ok((metadata, sources))
}

fn is_octet_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|kind| kind.trim() == OCTETS)
}

/// Properties that are not sent are purged unless the request says otherwise (images-v1.md §6.3).
fn asks_to_purge(headers: &HeaderMap) -> bool {
    let mut named =
        headers.iter().filter(|(name, _)| name.as_str().replace('_', "-") == "x-glance-registry-purge-props");
    named.next().is_none_or(|(_, value)| value.to_str().is_ok_and(headers::is_true))
}

fn metadata_response(api: &Api, call: &Call, image: &Image) -> Response {
    let mut response = StatusCode::OK.into_response();
    *response.headers_mut() = headers::render(image, &api.flows.readable_properties(call, image));
    add_etag(&mut response, image);
    response
}

// API parity: the bare MD5, without the quotes that RFC 9110 demands
fn add_etag(response: &mut Response, image: &Image) {
    if let Some(Ok(checksum)) = image.checksum.as_deref().map(HeaderValue::try_from) {
        response.headers_mut().insert(header::ETAG, checksum);
    }
}
