//! The audit stream: one event of target `vitrine::audit` for every request that was to change something, and for every
//! one that was refused for who sent it (hardening.md §4).
//!
//! Who is in the fields of the request's span (`user.id`, `project.id`, `request_id`, …), which every event inside carries;
//! the event adds `user.roles`, `action`, `object`, `outcome`, `http.response.status_code` and `client.address`. Nothing of
//! a request's body or headers gets in, and of its target the path alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tracing::info;

use crate::domain::caller::Caller;

/// Target of the events; a filter such as `vitrine::audit=off` names it.
pub const TARGET: &str = "vitrine::audit";
/// Longest object of an event, in bytes; names in paths are shorter.
const LONGEST_OBJECT: usize = 1024;
/// What may stand as it is in one segment of a path.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Operations of the API by method and template of their path: the names of the OpenAPI document.
#[derive(Debug)]
pub struct Actions(HashMap<(Method, String), String>);

impl Actions {
    /// The operations of an OpenAPI document.
    pub fn of(document: &Value) -> Self {
        let mut actions = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes());
                if let (Ok(method), Some(name)) = (method, operation["operationId"].as_str()) {
                    actions.insert((method, path.clone()), name.to_owned());
                }
            }
        }
        Self(actions)
    }

    fn name(&self, method: &Method, route: &str) -> Option<&str> {
        // where it is no operation of its own, HEAD is answered by that of GET
        let method = if method == Method::HEAD && !self.0.contains_key(&(Method::HEAD, route.to_owned())) {
            Method::GET
        } else {
            method.clone()
        };
        self.0.get(&(method, route.to_owned())).map(String::as_str)
    }
}

/// What becomes known of a request while it is handled; in its extensions.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Roles of the caller, once that is known.
    roles: OnceLock<String>,
    /// Template of the route and the path that matched it.
    place: OnceLock<(String, String)>,
}

impl Notes {
    /// The caller is known now.
    pub fn identified(&self, caller: &Caller) {
        let _ = self.0.roles.set(caller.roles.join(","));
    }

    /// The request has reached the operation at `route`.
    pub fn routed(&self, route: &str, uri: &Uri) {
        let _ = self.0.place.set((route.to_owned(), uri.path().to_owned()));
    }
}

/// The last segment of what a request made, where its name came in a body; in the extensions of a response.
#[derive(Clone)]
struct Named(String);

/// `response` to a request that named what it made in its body: the object of the event is `name` below the request's path.
pub fn named(name: &str, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.extensions_mut().insert(Named(utf8_percent_encode(name, &SEGMENT).to_string()));
    response
}

/// A request that may be due an event. Where it is dropped before [`Audit::end`], because the client went away, what came
/// of it is not known, and the event says so.
pub struct Audit {
    actions: Arc<Actions>,
    method: Method,
    client: IpAddr,
    notes: Notes,
    ended: bool,
}

impl Audit {
    /// Begins with a request from `client`.
    pub fn begin(actions: &Arc<Actions>, method: &Method, client: IpAddr) -> Self {
        let (actions, method) = (Arc::clone(actions), method.clone());
        Self { actions, method, client, notes: Notes::default(), ended: false }
    }

    /// Where to note what becomes known of the request.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// The request is answered.
    pub fn end(mut self, response: &mut Response) {
        self.ended = true;
        let named = response.extensions_mut().remove::<Named>();
        let status = response.status();
        let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !refused && !self.changes() {
            return;
        }
        let made = (status == StatusCode::CREATED).then(|| location(response)).flatten();
        let outcome = if status.as_u16() < 400 { "success" } else { "failure" };
        self.tell(outcome, Some(status), made, named.as_ref());
    }

    /// Whether the request was to change something, on behalf of somebody.
    fn changes(&self) -> bool {
        !self.method.is_safe() && self.notes.0.roles.get().is_some()
    }

    fn tell(&self, outcome: &str, status: Option<StatusCode>, made: Option<String>, named: Option<&Named>) {
        let known = &self.notes.0;
        let action = match (known.roles.get(), known.place.get()) {
            (None, _) => "authenticate",
            (_, Some((route, _))) => self.actions.name(&self.method, route).unwrap_or("unknown"),
            (_, None) => "unknown",
        };
        // the path of what is no operation is anybody's text
        let path = known.place.get().map(|(_, path)| match named {
            Some(Named(name)) => format!("{path}/{name}"),
            None => path.clone(),
        });
        let object = made.or(path).map(|mut object| {
            // all of it is ASCII: what is not is percent-encoded
            object.truncate(LONGEST_OBJECT);
            object
        });
        info!(
            target: TARGET,
            action,
            object,
            outcome,
            http.response.status_code = status.map(|status| status.as_u16()),
            client.address = %self.client,
            user.roles = known.roles.get(),
            "audit"
        );
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.ended && self.changes() {
            self.tell("unknown", None, None, None);
        }
    }
}

/// Path of what a request made.
fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Some(location.parse::<Uri>().ok()?.path().to_owned())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::Actions;

    #[test]
    fn actions_are_the_operations_of_the_document() {
        let document = json!({ "paths": {
            "/a/{id}": { "get": { "operationId": "showA" }, "delete": { "operationId": "deleteA" }, "summary": "x" },
            "/b": { "get": { "operationId": "listB" }, "head": { "operationId": "countB" } },
        }});
        let actions = Actions::of(&document);
        for (method, route, name) in [
            (Method::DELETE, "/a/{id}", Some("deleteA")),
            (Method::HEAD, "/a/{id}", Some("showA")),
            (Method::HEAD, "/b", Some("countB")),
            (Method::PUT, "/a/{id}", None),
            (Method::GET, "/c", None),
        ] {
            assert_eq!(actions.name(&method, route), name, "{method} {route}");
        }
    }
}
