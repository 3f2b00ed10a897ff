//! Errors → responses: the only place with error status codes. The form of the body follows `Accept`
//! (images-v1.md §11).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tracing::{error, info};

use crate::error::{Chain, Error, ErrorKind};

/// A failed request on its way through the middleware, which gives it a body (see [`render`]).
#[derive(Debug, Clone)]
pub struct Fault {
    status: StatusCode,
    error: Option<Arc<Error>>,
    bare: bool,
}

impl Fault {
    /// A fault of the protocol without anything of the domain behind it.
    pub fn status(status: StatusCode) -> Self {
        Self { status, error: None, bare: false }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        // API parity: a lost race is answered in plain text whatever is accepted
        let bare = error.kind() == ErrorKind::Concurrent;
        Self { status: status(error.kind()), error: Some(Arc::new(error)), bare }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict | ErrorKind::Concurrent => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge | ErrorKind::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The phrase after the code, as the reference spells it.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        StatusCode::RANGE_NOT_SATISFIABLE => "Request Range Not Satisfiable",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}

/// The sentence of a status where there is nothing more to say.
fn sentence(status: StatusCode, method: &Method) -> String {
    let text = match status {
        StatusCode::BAD_REQUEST => {
            "The server could not comply with the request since it is either malformed or otherwise incorrect."
        }
        StatusCode::UNAUTHORIZED => {
            "This server could not verify that you are authorized to access the document you requested. Either you \
             supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply \
             the credentials required."
        }
        StatusCode::FORBIDDEN => "Access was denied to this resource.",
        StatusCode::NOT_FOUND => "The resource could not be found.",
        StatusCode::METHOD_NOT_ALLOWED => {
            return format!("The method {method} is not allowed for this resource.");
        }
        StatusCode::CONFLICT => "There was a conflict when trying to complete your request.",
        StatusCode::NOT_IMPLEMENTED => {
            return format!("The request method {method} is not implemented for this server.");
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "The server is currently unavailable. Please try again at a later time."
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            "The server has either erred or is incapable of performing the requested operation."
        }
        other => title(other),
    };
    text.to_owned()
}

/// Gives the fault in `response`, if there is one, its body and headers. Logs faults of ours, once.
pub fn render(method: &Method, headers: &HeaderMap, mut response: Response) -> Response {
    let Some(fault) = response.extensions_mut().remove::<Fault>() else { return response };
    if let Some(error) = &fault.error {
        log(error);
        add_headers(error.kind(), response.headers_mut());
    }
    let message = fault.error.as_ref().map(|e| e.message()).filter(|m| !m.is_empty());
    let message = message.map_or_else(|| sentence(fault.status, method), str::to_owned);
    let form = if fault.bare { Form::Bare } else { Form::of(headers) };
    let (content_type, body) = form.write(fault.status, &message);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let body = if method == Method::HEAD { String::new() } else { body };
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

fn log(failed: &Error) {
    match failed.kind() {
        ErrorKind::Internal => error!(error = %Chain(failed), "request failed"),
        ErrorKind::Unavailable { .. } => info!(error = %Chain(failed), "request refused for now"),
        _ => {}
    }
}

fn add_headers(kind: ErrorKind, headers: &mut HeaderMap) {
    match kind {
        ErrorKind::Unavailable { retry_after } => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        ErrorKind::RangeNotSatisfiable { size } => {
            let range = HeaderValue::try_from(format!("bytes */{size}"));
            headers.extend(range.ok().map(|range| (header::CONTENT_RANGE, range)));
        }
        _ => {}
    }
}

/// Forms of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
    Bare,
}

impl Form {
    /// What the request prefers; HTML where it takes both alike, text where it takes neither or says nothing.
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        let accept = lines.collect::<Vec<_>>().join(",").to_ascii_lowercase();
        let html = quality(&accept, "text", "html");
        let json = quality(&accept, "application", "json");
        match (html > 0.0, json > 0.0) {
            (true, _) if html >= json => Self::Html,
            (_, true) => Self::Json,
            _ => Self::Text,
        }
    }

    fn write(self, status: StatusCode, message: &str) -> (&'static str, String) {
        let code = format!("{} {}", status.as_u16(), title(status));
        match self {
            Self::Html => {
                let message = escape(message);
                let page = format!(
                    "<html>\n <head>\n  <title>{code}</title>\n </head>\n <body>\n  <h1>{code}</h1>\n  \
                     {message}<br /><br />\n\n\n\n </body>\n</html>"
                );
                ("text/html; charset=UTF-8", page)
            }
            Self::Json => {
                let message = format!("{message}<br /><br />\n\n\n");
                let body = json!({ "message": message, "code": code, "title": title(status) });
                ("application/json", body.to_string())
            }
            Self::Text => ("text/plain; charset=UTF-8", format!("{code}\n\n{message}\n\n   ")),
            Self::Bare => ("text/plain; charset=UTF-8", message.to_owned()),
        }
    }
}

/// How much an `Accept` value, in lower case, wants a media type: the quality of the most specific range that covers it (RFC 9110
/// §12.5.1).
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) =
            parts.next().unwrap_or_default().split_once('/').unwrap_or_default();
        let specificity = match (range_kind, range_subtype) {
            (k, s) if k == kind && s == subtype => 3,
            (k, "*") if k == kind => 2,
            ("*", "*") => 1,
            _ => continue,
        };
        let q = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if specificity > best.0 {
            best = (specificity, q);
        }
    }
    best.1
}

/// Escapes text for HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}
