//! `/v2/images/{id}/file`: upload and download.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::error;

use crate::error::{Chain, Error, ErrorKind, Result};
use crate::flows::Call;
use crate::flows::download::{Download, Wanted};
use crate::flows::upload::NewData;
use crate::http::document::NoBody;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{
    Conflict, Forbidden, Gone, Invalid, NotFound, RangeNotSatisfiable, TooLarge, UnsupportedMediaType,
};
use crate::http::{body, range};

use super::shapes::{DownloadHeaders, DownloadParameters, OfImage, UploadHeaders};

const OCTETS: &str = "application/octet-stream";
/// The checksum of the whole data, in hex against RFC 1864, as clients of this API expect it.
static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// Size that the client promises.
const IMAGE_SIZE: &str = "x-openstack-image-size";
/// Store that the client wants.
const STORE: &str = "x-image-meta-store";

/// Upload the data of an image.
///
/// The image must be queued and have both formats. Data that are not what `disk_format` says are refused.
#[utoipa::path(
    put, path = "/v2/images/{id}/file", operation_id = "uploadImage", tag = "data", params(OfImage, UploadHeaders),
    request_body(content_type = "application/octet-stream", description = "The data"),
    responses(
        (status = 204, description = "The image is active"),
        Invalid, Forbidden, NotFound, Conflict, Gone, TooLarge, UnsupportedMediaType,
    ),
)]
pub async fn upload(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let data = read(&headers, body)?;
    api.flows.upload_data(&call, &id, data).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The data of a request with what its headers say about it (images-v2.md §11.1).
pub(super) fn read(headers: &HeaderMap, body: Body) -> Result<NewData> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let content_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(OCTETS)) {
        return Err(Error::new(
            ErrorKind::UnsupportedFormat,
            "The content type of image data must be application/octet-stream.",
        ));
    }
    let length = body::length(headers).filter(|length| *length > 0);
    let promised = headers.get(IMAGE_SIZE).map(promised_size).transpose()?;
    Ok(NewData {
        store: wanted_store(headers).map(str::to_owned),
        promised: promised.or(length),
        length,
        stream: body::stream(body),
    })
}

/// The store that a request names.
pub(super) fn wanted_store(headers: &HeaderMap) -> Option<&str> {
    headers.get(STORE)?.to_str().ok().map(str::trim).filter(|store| !store.is_empty())
}

fn promised_size(value: &HeaderValue) -> Result<u64> {
    let size = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
    size.and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| Error::invalid("The header X-OpenStack-Image-Size must be a number of bytes."))
}

/// Download the data of an image, or one range of them.
#[utoipa::path(
    get, path = "/v2/images/{id}/file", operation_id = "downloadImage", tag = "data",
    params(OfImage, DownloadParameters, DownloadHeaders),
    responses(
        (status = 200, description = "The data", content_type = "application/octet-stream", headers(
            ("Content-MD5" = String, description = "MD5 of all data, in hex"),
        )),
        (status = 206, description = "The range", content_type = "application/octet-stream", headers(
            ("Content-MD5" = String, description = "MD5 of all data, in hex"),
            ("Content-Range" = String, description = "The range and the size of all data"),
        )),
        (status = 204, description = "There are no data yet"),
        Invalid, Forbidden, NotFound, RangeNotSatisfiable,
    ),
)]
pub async fn download(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let wanted = range::parse(&headers);
    let prefer = preferred_stores(query.as_deref().unwrap_or_default());
    let Some(download) = api.flows.download_part(&call, &id, wanted, prefer).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    Ok(answer(download, wanted))
}

/// The stores named by `?prefer=a,b`, if it is there.
fn preferred_stores(query: &str) -> Option<Vec<String>> {
    let prefer = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "prefer").last()?.1;
    let stores = prefer.split(',').map(str::trim).filter(|store| !store.is_empty());
    let stores: Vec<String> = stores.map(str::to_owned).collect();
    (!stores.is_empty()).then_some(stores)
}

fn answer(download: Download, wanted: Wanted) -> Response {
    let Download { image, range, stream } = download;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if let Some(Ok(checksum)) = image.checksum.as_deref().map(HeaderValue::try_from) {
        headers.insert(CONTENT_MD5.clone(), checksum);
    }
    if wanted != Wanted::Whole {
        let size = image.size.unwrap_or_default();
        let span = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        headers.extend(HeaderValue::try_from(span).ok().map(|span| (header::CONTENT_RANGE, span)));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let id = image.id;
    let stream = stream.inspect_err(move |failed| {
        error!(image.id = %id, error = %Chain(failed), "download cut short");
    });
    *response.body_mut() = Body::from_stream(stream);
    response
}
