//! `/v2/images/{id}/locations` (images-v2.md §16).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::domain::digest;
use crate::error::{Error, Result};
use crate::flows::Call;
use crate::flows::location_import::Claim;
use crate::flows::locations::NewLocation;
use crate::http::document::Document;
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::openapi::faults::{Conflict, Forbidden, Invalid, NotFound};

use super::shapes::{Location, NewLocation as NewLocationBody, OfImage};
use super::{json, view};

/// Most characters of a digest.
const LONGEST_HASH: usize = 128;

/// Say where the data of a queued image are.
///
/// The data are fetched and digested in the background.
#[utoipa::path(
    post, path = "/v2/images/{id}/locations", operation_id = "addLocation", tag = "locations", params(OfImage),
    request_body = NewLocationBody,
    responses((status = 202, description = "A task looks at the data"), Invalid, Forbidden, NotFound, Conflict),
)]
pub async fn add(
    State(api): State<Api>,
    call: Call,
    Path(id): Path<String>,
    Document(body): Document,
) -> Result<Response, Fault> {
    api.flows.add_location(&call, &id, parse(&body)?).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// List where the data of an image are.
///
/// For other services and administrators.
#[utoipa::path(
    get, path = "/v2/images/{id}/locations", operation_id = "listLocations", tag = "locations", params(OfImage),
    responses((status = 200, description = "The locations", body = Vec<Location>), Invalid, Forbidden, NotFound),
)]
pub async fn list(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    let locations = api.flows.list_locations(&call, &id).await?;
    Ok(json(StatusCode::OK, &view::locations(&locations)))
}

/// Row 1 of images-v2.md §16.1. Keys that are not known are ignored at the top.
fn parse(body: &Value) -> Result<NewLocation> {
    let url = body.get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| Error::invalid("A location needs a url, which must be a string."))?;
    let claim = match body.get("validation_data") {
        None | Some(Value::Null) => None,
        Some(Value::Object(members)) if members.is_empty() => None,
        Some(Value::Object(members)) => Some(claim(members)?),
        Some(_) => return Err(Error::invalid("validation_data must be an object.")),
    };
    Ok(NewLocation { url: url.to_owned(), claim })
}

fn claim(members: &Map<String, Value>) -> Result<Claim> {
    const NAMES: [&str; 2] = ["os_hash_algo", "os_hash_value"];
    if members.keys().any(|name| !NAMES.contains(&name.as_str())) {
        return Err(Error::invalid("validation_data may hold os_hash_algo and os_hash_value only."));
    }
    let [algorithm, value] = NAMES.map(|name| {
        let text = members.get(name).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| Error::invalid(format!("validation_data needs {name}, which must be a string.")))
    });
    let (os_hash_algo, os_hash_value) = (algorithm?, value?);
    if digest::claimable(&os_hash_algo).is_none() {
        return Err(Error::invalid("os_hash_algo must be sha1, sha256, sha512 or md5."));
    }
    if os_hash_value.chars().count() > LONGEST_HASH {
        return Err(Error::invalid(format!("os_hash_value may have at most {LONGEST_HASH} characters.")));
    }
    Ok(Claim { os_hash_algo, os_hash_value })
}
