//! Traces: pushed over OTLP, continued from callers that send `traceparent`.

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The provider that pushes spans, if the environment asks for one.
pub(super) fn provider(resource: &Resource) -> Option<SdkTracerProvider> {
    if !super::pushed("TRACES", super::variable) {
        return None;
    }
    match SpanExporter::builder().with_http().build() {
        Ok(exporter) => {
            let builder = SdkTracerProvider::builder().with_resource(resource.clone());
            Some(builder.with_batch_exporter(exporter).build())
        }
        Err(error) => {
            // logging does not run yet
            eprintln!("traces are not sent: {error}");
            None
        }
    }
}

/// Makes `span` part of the trace that the request's `traceparent` names. Call it before the span is entered.
///
/// Where traces are not sent, the id is still recorded in the span's field `trace_id`, if it declares one, so that
/// log lines can be matched with those of the caller.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Carrier(headers));
    let trace = {
        let parent = context.span();
        let parent = parent.span_context();
        parent.is_valid().then(|| parent.trace_id())
    };
    if let Some(trace) = trace
        && span.set_parent(context).is_err()
    {
        span.record("trace_id", tracing::field::display(trace));
    }
}

/// Notes on the span of a request how it was answered. `route` is the template of the matched route; the name of the span
/// goes by it, so that traces can be told apart.
pub fn end(span: &Span, method: &Method, route: Option<&str>, status: StatusCode) {
    if let Some(route) = route {
        // the field `otel.name` counts only before the span has begun; without a trace there is nothing to name
        let context = span.context();
        if context.has_active_span() {
            context.span().update_name(format!("{method} {route}"));
        }
        span.record("http.route", route);
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
