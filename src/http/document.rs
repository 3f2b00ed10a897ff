//! Extractors for requests that carry a JSON document, and for those that must not carry anything
//! (images-v2.md §2.4).

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use serde_json::Value;

use crate::error::{Error, Result};

use super::body;
use super::fault::Fault;

/// Transfer codings that announce a body.
const CODINGS: [&str; 5] = ["chunked", "compress", "deflate", "gzip", "identity"];

/// A request without a body; one that has a body is refused before anything else is looked at.
pub struct NoBody;

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        if has_body(&parts.method, &parts.headers) {
            return Err(Error::invalid("A body is not expected with this request.").into());
        }
        Ok(Self)
    }
}

/// The JSON object or array that a request carries, whatever its content type says.
pub struct Document(pub Value);

impl<S: Sync> FromRequest<S> for Document {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        if !has_body(&parts.method, &parts.headers) {
            return Err(missing().into());
        }
        let bytes = body::document(&parts.headers, body).await?;
        if bytes.is_empty() {
            return Err(missing().into());
        }
        Ok(Self(parse(&bytes)?))
    }
}

/// Whether a request announces a body.
fn has_body(method: &Method, headers: &HeaderMap) -> bool {
    if body::length(headers).is_some_and(|length| length > 0) {
        return true;
    }
    let coding = headers.get(header::TRANSFER_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let coded = coding.split(',').any(|c| CODINGS.iter().any(|known| c.trim().eq_ignore_ascii_case(known)));
    coded && [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn missing() -> Error {
    Error::invalid("A body is expected with this request.")
}

/// Parses a document; of repeated keys the last counts.
///
/// # Errors
/// `Invalid` for what is no JSON, is nested too deep, or is a scalar.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let malformed = |error| Error::invalid("Malformed JSON in request body.").with_source(error);
    let document: Value = serde_json::from_slice(bytes).map_err(malformed)?;
    if document.is_object() || document.is_array() {
        return Ok(document);
    }
    Err(Error::invalid("Unexpected body type. Expected list/dict."))
}
