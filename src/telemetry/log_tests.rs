#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Level, debug, error, info, info_span, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use super::super::trace::adopt;
use super::{Json, filter, own_spans};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn parsed(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The lines that `work` logs under `directives`.
fn logged(directives: &str, work: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let layer = Json::new(lines.clone()).with_filter(filter(directives));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    lines.parsed()
}

#[test]
fn lines_carry_their_fields_and_those_of_the_spans_around() {
    let lines = logged("info", || {
        let request = info_span!("request", request_id = "req-1", project.id = Empty, otel.kind = "server");
        let _request = request.enter();
        request.record("project.id", "p1");
        let flow = info_span!("flow", image.id = "i1", user.id = "outer");
        let _flow = flow.enter();
        info!(user.id = "inner", size_bytes = 7u64, ok = true, "image is \"active\"\nnow");
    });
    let line = &lines[0];
    assert_eq!(lines.len(), 1);
    assert_eq!(line["message"], "image is \"active\"\nnow");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "vitrine::telemetry::log::tests");
    assert_eq!(line["request_id"], "req-1");
    assert_eq!(line["project.id"], "p1");
    assert_eq!(line["image.id"], "i1");
    assert_eq!(line["user.id"], "inner");
    assert_eq!(line["size_bytes"], 7);
    assert_eq!(line["ok"], true);
    assert!(line.get("otel.kind").is_none() && line.get("trace_id").is_none());
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 27 && timestamp.ends_with('Z'), "{timestamp}");
}

#[test]
fn errors_are_written_with_their_causes() {
    let lines = logged("info", || {
        let cause = std::io::Error::other("connection reset");
        let error = crate::error::Error::conflict("outer").with_source(cause);
        error!(error = &error as &(dyn std::error::Error + 'static), "it failed");
    });
    assert_eq!(lines[0]["error"], "outer: connection reset");
}

/// A53: no filter brings out what libraries say below INFO.
#[test]
fn libraries_are_capped_whatever_the_filter_says() {
    for directives in
        ["trace", "aws_smithy_runtime=trace,hyper::proto=trace,tokio_postgres=debug,vitrine=trace"]
    {
        let lines = logged(directives, || {
            tracing::event!(target: "aws_smithy_runtime::client", Level::TRACE, "CANARY");
            tracing::event!(target: "aws_smithy_runtime::client", Level::DEBUG, "CANARY");
            tracing::event!(target: "hyper::proto", Level::INFO, "CANARY");
            tracing::event!(target: "tokio_postgres::query", Level::DEBUG, "CANARY");
            tracing::event!(target: "vitrine_of_somebody_else", Level::DEBUG, "CANARY");
            tracing::event!(target: "hyper::proto", Level::WARN, "shown");
            tracing::event!(target: "vitrine::flows", Level::TRACE, "shown");
        });
        let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert!(!messages.contains(&"CANARY"), "{directives}: {messages:?}");
        assert!(messages.contains(&"shown"), "{directives}: {messages:?}");
    }
}

#[test]
fn fields_of_library_spans_stay_out() {
    let lines = logged("trace", || {
        let _span = tracing::span!(target: "aws_sdk_s3", Level::INFO, "call", secret = "CANARY").entered();
        info!("stored");
    });
    assert!(lines[0].get("secret").is_none());
}

#[test]
fn filters_drop_events_but_not_the_context_of_others() {
    let lines = logged("warn", || {
        let _request = info_span!("request", request_id = "req-2").entered();
        info!("dropped");
        debug!("dropped");
        warn!("kept");
    });
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["message"], &lines[0]["request_id"]), (&"kept".into(), &"req-2".into()));
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traceparent() -> HeaderMap {
    [(http::HeaderName::from_static("traceparent"), http::HeaderValue::from_static(PARENT))]
        .into_iter()
        .collect()
}

#[test]
fn traces_are_continued_and_named_in_lines() {
    let provider = SdkTracerProvider::builder().build();
    let lines = Lines::default();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_filter(own_spans());
    let json = Json::new(lines.clone()).with_filter(filter("info"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans).with(json), || {
        let request = info_span!("request", request_id = "req-3");
        adopt(&request, &traceparent());
        let _request = request.enter();
        info!("in a trace");
        let _inner = info_span!("inner").entered();
        info!("further in");
    });
    let lines = lines.parsed();
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(lines[1]["trace_id"], lines[0]["trace_id"]);
    assert_eq!(lines[0]["span_id"].as_str().unwrap().len(), 16);
    assert_ne!(lines[0]["span_id"], "b7ad6b7169203331", "the span is our own");
    assert_ne!(lines[1]["span_id"], lines[0]["span_id"]);
}

#[test]
fn without_traces_the_callers_id_is_still_logged() {
    let lines = logged("info", || {
        let request = info_span!("request", trace_id = Empty);
        adopt(&request, &traceparent());
        let _request = request.enter();
        info!("in somebody's trace");
    });
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(lines[0].get("span_id").is_none());
}
