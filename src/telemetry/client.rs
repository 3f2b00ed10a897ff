//! Requests that this service sends to HTTP servers other than its stores.

use std::time::Instant;

use http::Method;
use reqwest::Response;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use super::metrics::Metrics;
use super::peer::Peer;

/// Sends a request, under a span of its own, and counts it. `peer` is given for servers of the configuration only, never
/// for one that a user named. Without `metrics` only the span is left.
pub async fn observed<E>(
    metrics: Option<&Metrics>,
    method: &Method,
    peer: Option<&Peer>,
    call: impl Future<Output = Result<Response, E>>,
) -> Result<Response, E> {
    let begun = Instant::now();
    let span = debug_span!(
        "call",
        otel.name = method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
        server.address = peer.map(|peer| peer.address.as_str()),
        service.peer.name = peer.map(|peer| peer.kind.name()),
    );
    let outcome = call.instrument(span.clone()).await;
    let status = outcome.as_ref().ok().map(Response::status);
    span.record("http.response.status_code", status.map(|status| status.as_u16()));
    if status.is_none_or(|status| status.as_u16() >= 400) {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(metrics) = metrics {
        metrics.http_client_request(method, peer, status, begun.elapsed());
    }
    outcome
}
