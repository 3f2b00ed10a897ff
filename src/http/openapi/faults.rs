//! Refusals as the document describes them: one named response each, so that an operation lists its refusals by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

/// Declares a type for each refusal, for use in `responses(…)`, and the list of all.
macro_rules! faults {
    ($($name:ident = $status:literal, $description:literal;)*) => {
        $(
            #[doc = $description]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let response = Ref::from_response_name(stringify!($name)).into();
                    BTreeMap::from([(stringify!($status).to_owned(), response)])
                }
            }
        )*

        /// Name, status and description of every refusal.
        const ALL: &[(&str, u16, &str)] = &[$((stringify!($name), $status, $description)),*];
    };
}

faults! {
    Invalid = 400, "The request is malformed, or a value in it is not acceptable; the text says which.";
    Unauthorized = 401, "No token, or one that the identity service does not confirm.";
    Forbidden = 403, "The caller may know about the resource, but not do this to it.";
    NotFound = 404, "There is no such resource, or the caller may not know about it.";
    MethodNotAllowed = 405, "The method is not served here; `Allow` names those that are.";
    Conflict = 409, "The state of the resource does not allow it, or somebody else was faster.";
    Gone = 410, "The image was deleted meanwhile.";
    TooLarge = 413, "A limit or quota is exceeded.";
    UnsupportedMediaType = 415, "The content type is not accepted, or the data are not of the declared format.";
    RangeNotSatisfiable = 416, "The range lies outside of the data; `Content-Range` tells their size.";
    HeaderTooLarge = 431, "The request id is longer than 64 characters.";
    ServerError = 500, "A fault of the service. The log has it under the request id.";
    BadGateway = 502, "Another host that the request depends on answered with nonsense.";
    Unavailable = 503, "A dependency is away or memory is short; try again after `Retry-After` seconds.";
    GatewayTimeout = 504, "Another host that the request depends on did not answer.";
}

/// Refusals that every operation with a token may meet.
pub(super) const OF_EVERY_OPERATION: [&str; 4] =
    ["Unauthorized", "HeaderTooLarge", "ServerError", "Unavailable"];

/// Status of a refusal by name.
pub(super) fn status(name: &str) -> Option<u16> {
    ALL.iter().find(|(known, ..)| *known == name).map(|(_, status, _)| *status)
}

/// The named responses, for the components of the document.
pub(super) fn components() -> Map<String, Value> {
    let response = |(name, status, description): &(&str, u16, &str)| {
        let mut response = json!({ "description": description, "content": content() });
        if let Some((header, description, kind)) = header(*status) {
            response["headers"] =
                json!({ header: { "description": description, "schema": { "type": kind } } });
        }
        ((*name).to_owned(), response)
    };
    ALL.iter().map(response).collect()
}

/// The header that says more about a status.
fn header(status: u16) -> Option<(&'static str, &'static str, &'static str)> {
    match status {
        401 => Some(("WWW-Authenticate", "Where tokens come from, with identity mode `keystone`", "string")),
        405 => Some(("Allow", "Methods served here", "string")),
        416 => Some(("Content-Range", "`bytes */` and the size of the data", "string")),
        503 => Some(("Retry-After", "Seconds to wait", "integer")),
        _ => None,
    }
}

/// Bodies of a refusal: what `Accept` prefers; HTML where it takes all alike, text where it is missing.
pub(super) fn content() -> Value {
    let text = json!({ "schema": { "type": "string" } });
    json!({
        "application/json": { "schema": { "$ref": "#/components/schemas/Fault" } },
        "text/html": text,
        "text/plain": text,
    })
}
