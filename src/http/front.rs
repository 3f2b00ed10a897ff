//! The front of the API port: what happens to every request before and after its handler, in order.
//!
//! head checks → request id and span → CORS → health check, documentation → version negotiation → authentication → handler →
//! fault body → headers of every response → metrics, log line and audit event.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use tracing::{Instrument, Span, info, info_span};
use uuid::Uuid;

use crate::config;
use crate::domain::image::ImageId;
use crate::domain::policy::Dialect;
use crate::error::{Error, Result};
use crate::flows::{Call, Flows};
use crate::identity::{self, Identity};
use crate::telemetry::metrics::BodySizes;
use crate::telemetry::trace;

use super::audit::{Actions, Audit, Notes};
use super::fault::{self, Fault};
use super::link::LinkBase;
use super::open::{self, Open};
use super::serve::Peer;
use super::versions::{Destination, Versions};
use super::{body, client, link, openapi};

/// Header that names a request, in both directions.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
/// What paths of metadata definitions begin with, behind the version.
const DEFINITIONS: &str = "/metadefs/";
/// Longest request id taken over from a client, in bytes.
const LONGEST_REQUEST_ID: usize = 64;

/// What handlers work with.
#[derive(Clone)]
pub struct Api {
    /// Use cases.
    pub flows: Flows,
    /// Source of identity.
    pub identity: Arc<Identity>,
}

/// The service of the API port.
pub fn service(api: Api) -> Router {
    let openapi::Routes { open, api: routes, document } =
        openapi::routes(&api.flows.config, &api.flows.schema);
    let open = open.with_state(Open::new(&api.flows.config, &document));
    let actions = Arc::new(Actions::of(&document));
    let routes = routes.route_layer(middleware::from_fn(note_route));
    let routes = routes.fallback(unknown_path).with_state(api.clone());
    Router::new().fallback(answer).with_state(Front { api, open, routes, actions })
}

#[derive(Clone)]
struct Front {
    api: Api,
    open: Router,
    routes: Router,
    actions: Arc<Actions>,
}

/// The route template of a response, for metrics and logs.
#[derive(Clone)]
struct Route(MatchedPath);

async fn note_route(path: MatchedPath, parameters: RawPathParams, request: Request, next: Next) -> Response {
    if let Some(image) = image_of(path.as_str(), &parameters) {
        Span::current().record("image.id", tracing::field::display(image));
    }
    if let Some(notes) = request.extensions().get::<Notes>() {
        notes.routed(path.as_str(), request.uri());
    }
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Route(path));
    response
}

/// The image that a request is about, by the parameter of its route; what is no id of an image is not for the log.
fn image_of(route: &str, parameters: &RawPathParams) -> Option<ImageId> {
    let of_image = route.contains("/images/{id}") || route == "/v2/stores/{store}/{id}";
    let (_, id) = parameters.iter().filter(|_| of_image).find(|(name, _)| *name == "id")?;
    id.parse().ok()
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let headers = request.headers().clone();
    let metrics = &front.api.flows.metrics;
    let _active = metrics.http_active(&method);
    let (request_id, refused) = request_id(&headers);
    let from = client::address(&front.api.flows.config.server, &headers, peer(&request));
    let audit = Audit::begin(&front.actions, &method, from);
    let notes = audit.notes();
    let span = info_span!(
        "request",
        otel.name = method.as_str(),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        request_id,
        global_request_id = global_request_id(&headers),
        http.request.method = %method,
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
        trace_id = tracing::field::Empty,
        project.id = tracing::field::Empty,
        user.id = tracing::field::Empty,
        image.id = tracing::field::Empty,
    );
    trace::adopt(&span, &headers);
    let handled = async {
        let response = match refused {
            Some(fault) => fault.into_response(),
            None => unpanicked(front.dispatch(request, &request_id, notes)).await,
        };
        let mut response = fault::render(&method, &headers, response);
        front.add_headers(&headers, &request_id, response.headers_mut());
        let route = response.extensions_mut().remove::<Route>();
        let route = route.as_ref().map(|route| route.0.as_str());
        let (status, duration) = (response.status(), started.elapsed());
        metrics.http_request(&method, route, status, duration);
        let sizes = BodySizes { request: announced(&headers), response: announced(response.headers()) };
        metrics.http_bodies(&method, route, status, sizes);
        log(&method, route, status, duration);
        audit.end(&mut response);
        trace::end(&Span::current(), &method, route, status);
        response
    };
    handled.instrument(span).await
}

async fn unpanicked(response: impl Future<Output = Response>) -> Response {
    let caught = AssertUnwindSafe(response).catch_unwind().await;
    caught.unwrap_or_else(|_| Fault::from(Error::internal("a handler panicked")).into_response())
}

fn announced(headers: &HeaderMap) -> u64 {
    body::length(headers).unwrap_or_default()
}

fn log(method: &Method, route: Option<&str>, status: StatusCode, duration: Duration) {
    let duration_ms = duration.as_secs_f64() * 1000.0;
    info!(%method, http.route = route.unwrap_or("-"), status = status.as_u16(), duration_ms, "request answered");
}

impl Front {
    async fn dispatch(&self, mut request: Request, request_id: &str, notes: Notes) -> Response {
        let config = &self.api.flows.config;
        let peer = peer(&request);
        if request.method() == Method::OPTIONS {
            return (StatusCode::OK, [(header::CONTENT_LENGTH, "0")]).into_response();
        }
        let base = link::base(&config.server, request.headers(), peer);
        request.extensions_mut().insert(base);
        request.extensions_mut().insert(notes);
        if let Some(path) = open::before_versions(request.uri().path()) {
            *request.uri_mut() = Uri::from_static(path);
            return self.open.clone().oneshot(request).await.into_response();
        }
        match Versions::of(config).negotiate(request.uri(), request.headers()) {
            Destination::Document(path) => {
                *request.uri_mut() = Uri::from_static(path);
                self.open.clone().oneshot(request).await.into_response()
            }
            Destination::Api(dialect, rest) => {
                match self.prepare(&mut request, peer, dialect, &rest, request_id).await {
                    Ok(()) => self.routes.clone().oneshot(request).await.into_response(),
                    Err(error) => self.refuse(error),
                }
            }
        }
    }

    /// Authenticates the request and moves it to the one path its version is routed under.
    async fn prepare(
        &self,
        request: &mut Request,
        peer: IpAddr,
        dialect: Dialect,
        rest: &str,
        request_id: &str,
    ) -> Result<()> {
        let routed = routed(dialect, rest);
        // access rules of application credentials judge the path that is routed, not another spelling of it (A33)
        let judged = match dialect {
            Dialect::V1 => request.uri().path(),
            Dialect::V2 => routed.as_str(),
        };
        let mut caller = self
            .api
            .identity
            .authenticate(identity::Request {
                headers: request.headers(),
                peer,
                method: request.method(),
                path: judged,
            })
            .await?;
        caller.is_admin = self.api.flows.policy.rules().is_admin(dialect, &caller);
        let span = Span::current();
        span.record("project.id", caller.project.as_deref());
        span.record("user.id", caller.user.as_deref());
        if let Some(notes) = request.extensions().get::<Notes>() {
            notes.identified(&caller);
        }
        // API parity: ids have no syntax, so one that is no text is not found; the router would say 400 (A37).
        // Names of definitions are text or wrong (metadefs.md §2.2).
        let is_text = |encoded: &str| percent_decode_str(encoded).decode_utf8().is_ok();
        let of_definitions = rest.starts_with(DEFINITIONS);
        if !is_text(rest) {
            return Err(if of_definitions { Error::invalid("") } else { Error::not_found("") });
        }
        if of_definitions && !request.uri().query().is_none_or(is_text) {
            return Err(Error::invalid(""));
        }
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        *request.uri_mut() = Uri::try_from(format!("{routed}{query}"))
            .map_err(|error| Error::not_found("").with_source(error))?;
        request.extensions_mut().insert(Call { caller, dialect, request_id: request_id.to_owned() });
        Ok(())
    }

    fn refuse(&self, error: Error) -> Response {
        let mut response = Fault::from(error).into_response();
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(Ok(challenge)) = self.api.identity.challenge().map(HeaderValue::try_from)
        {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn add_headers(&self, request: &HeaderMap, request_id: &str, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::try_from(request_id) {
            headers.insert(REQUEST_ID.clone(), id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        allow_origin(&self.api.flows.config.server, request, headers);
    }
}

/// The one path that a request is routed under, whichever way it named its version.
fn routed(dialect: Dialect, rest: &str) -> String {
    match dialect {
        Dialect::V1 => format!("/v1{rest}"),
        // a slash in a name of a definition is told from one between names (metadefs.md §2.4)
        Dialect::V2 if rest.starts_with(DEFINITIONS) => format!("/v2{rest}"),
        // API parity: an encoded slash separates segments like any other (images-v2.md §2.5)
        Dialect::V2 => format!("/v2{}", rest.replace("%2F", "/").replace("%2f", "/")),
    }
}

/// The answer where there is no route (images-v2.md §2.5).
pub(super) async fn unknown_path(method: Method) -> Fault {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        .contains(&method);
    Fault::status(if known { StatusCode::NOT_FOUND } else { StatusCode::NOT_IMPLEMENTED })
}

/// CORS for the configured origins, and for no other (hardening A57).
fn allow_origin(server: &config::Server, request: &HeaderMap, headers: &mut HeaderMap) {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, PUT, POST, DELETE, PATCH");
    const EXPOSED: HeaderValue = HeaderValue::from_static(
        "X-Image-Meta-Checksum, X-Auth-Token, X-Subject-Token, X-Service-Token, X-OpenStack-Request-ID",
    );
    let Some(origin) = request.get(header::ORIGIN) else { return };
    if !server.cors_origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let wanted = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        headers.extend(wanted.map(|wanted| (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted)));
    }
}

fn peer(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip())
}

/// The client's id for all that it does in several services, if it sent one as they write it: `req-` and a UUID.
fn global_request_id(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(&REQUEST_ID)?.to_str().ok()?.trim();
    let uuid = sent.strip_prefix("req-").filter(|uuid| uuid.len() == 36)?;
    Uuid::try_parse(uuid).is_ok().then_some(sent)
}

/// The id of a request: the client's, with `req-` before it, or a new one. A client's id that is too long is refused.
fn request_id(headers: &HeaderMap) -> (String, Option<Fault>) {
    let fresh = || format!("req-{}", Uuid::new_v4());
    let sent = headers.get(&REQUEST_ID).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default();
    if sent.len() > LONGEST_REQUEST_ID {
        return (fresh(), Some(Fault::status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)));
    }
    let sent = std::str::from_utf8(sent).unwrap_or_default();
    let usable = !sent.is_empty() && sent.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    match (usable, sent.starts_with("req-")) {
        (false, _) => (fresh(), None),
        (true, true) => (sent.to_owned(), None),
        (true, false) => (format!("req-{sent}"), None),
    }
}

impl<S: Sync> FromRequestParts<S> for LinkBase {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let base = parts.extensions.get::<Self>().cloned();
        base.ok_or_else(|| Error::internal("the request did not pass the front").into())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Dialect, REQUEST_ID, request_id, routed};

    /// OPS-019: too long is too long, whatever it is made of.
    #[test]
    fn ops_019_request_ids_are_measured_in_bytes() {
        let outcome = |sent: Vec<u8>| {
            let value = HeaderValue::from_bytes(&sent).expect("a field value");
            let (id, refused) = request_id(&HeaderMap::from_iter([(REQUEST_ID.clone(), value)]));
            (id.len() == "req-".len() + 36, refused.is_some())
        };
        for unit in ["a", "\u{e9}", "\u{20ac}"] {
            let fitting = unit.repeat(64 / unit.len());
            assert_eq!(outcome(fitting.clone().into_bytes()), (!fitting.is_ascii(), false), "{unit}");
            assert_eq!(outcome(format!("{fitting}{unit}").into_bytes()), (true, true), "{unit}");
        }
        assert_eq!(outcome(vec![0xe9; 64]), (true, false), "no text, so a new one");
        assert_eq!(outcome(vec![0xe9; 65]), (true, true));
    }

    /// A33: what is judged is what is routed, so that a slash is either in a name or between names, never both.
    #[test]
    fn only_names_of_definitions_hold_slashes() {
        for (rest, path) in [
            ("/images/a%2Fb%2fc", "/v2/images/a/b/c"),
            ("/metadefs/namespaces/a%2Fb%2fc", "/v2/metadefs/namespaces/a%2Fb%2fc"),
            // not the beginning that counts: split as anywhere, to a path without such a route
            ("/metadefs%2Fnamespaces/a%2Fb", "/v2/metadefs/namespaces/a/b"),
            ("/images%2F..%2Fmetadefs/a%2Fb", "/v2/images/../metadefs/a/b"),
            ("/schemas/metadefs%2Ftag", "/v2/schemas/metadefs/tag"),
        ] {
            assert_eq!(routed(Dialect::V2, rest), path);
        }
        assert_eq!(routed(Dialect::V1, "/images/a%2Fb"), "/v1/images/a%2Fb");
    }
}
