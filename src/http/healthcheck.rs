//! `/healthcheck`: the process answers (operations.md §6). It says nothing of database or stores, so that a slow store
//! does not take every replica out of its balancer; `/readyz` on the ops port does.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;
use utoipa::ToSchema;

use super::open::Open;

/// What a probe is told in JSON.
#[derive(ToSchema)]
pub struct Health {
    /// Always false
    pub detailed: bool,
    /// `OK`, or why not
    pub reasons: Vec<String>,
}

/// Tell whether this process answers.
///
/// Nothing is said of database and stores. `HEAD` is answered with 204.
#[utoipa::path(
    get, path = "/healthcheck", operation_id = "getHealth", tag = "service", security(()),
    responses(
        (status = 200, description = "The process answers", content(
            (Health = "application/json"), (String = "text/html"), (String = "text/plain"),
        )),
        (status = 503, description = "The operator took this process out of service", content(
            (Health = "application/json"), (String = "text/html"), (String = "text/plain"),
        )),
    ),
)]
pub async fn answer(State(open): State<Open>, method: Method, headers: HeaderMap) -> Response {
    let disabled = match &open.disable_file {
        Some(file) => tokio::fs::try_exists(file).await.unwrap_or(false),
        None => false,
    };
    let (status, reason) = match (disabled, &method) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "DISABLED BY FILE"),
        (false, &Method::HEAD) => (StatusCode::NO_CONTENT, ""),
        (false, _) => (StatusCode::OK, "OK"),
    };
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (content_type, body) = if accept.contains("application/json") {
        ("application/json", json!({ "detailed": false, "reasons": [reason] }).to_string())
    } else if accept.contains("text/html") {
        ("text/html; charset=UTF-8", format!("<html><body>{reason}</body></html>"))
    } else {
        ("text/plain; charset=UTF-8", reason.to_owned())
    };
    if method == Method::HEAD {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}
