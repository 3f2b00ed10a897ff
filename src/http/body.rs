//! Request bodies: image data as a stream, JSON documents as bounded bytes.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, header};

use crate::error::{Error, Result};
use crate::flows::sources::ByteStream;

/// Largest JSON document accepted.
const MAX_DOCUMENT: usize = 1 << 20;
/// Longest wait for a JSON document.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Announced length of the body.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the request has a body: a length above zero, or chunks (be they empty). See images-v1.md §5.1.
pub fn is_present(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) || length(headers).is_some_and(|n| n > 0)
}

/// The body as a stream of frames.
pub fn stream(body: Body) -> ByteStream {
    body.into_data_stream().map(|frame| frame.map_err(Into::into)).boxed()
}

/// The whole body, if it is a small document.
///
/// # Errors
/// `TooLarge` above 1 MiB, `Invalid` when it does not arrive.
pub async fn document(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    if length(headers).is_some_and(|n| n > MAX_DOCUMENT as u64) {
        return Err(Error::too_large("The request body is too large."));
    }
    let incomplete = || Error::invalid("The request body did not arrive.");
    let read = axum::body::to_bytes(body, MAX_DOCUMENT);
    match tokio::time::timeout(DOCUMENT_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.to_string().contains("length limit") => {
            Err(Error::too_large("The request body is too large.").with_source(error))
        }
        Ok(Err(error)) => Err(incomplete().with_source(error)),
        Err(elapsed) => Err(incomplete().with_source(elapsed)),
    }
}
