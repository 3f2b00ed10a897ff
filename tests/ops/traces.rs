//! Traces as a collector gets them over OTLP (hardening.md §4).

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::api::{self, OCTETS, OWNER, new_id};
use crate::support::db::test_database;
use crate::support::s3::test_bucket;
use crate::support::server::Server;
use crate::support::{config, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that keeps the spans it gets.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl Respond for Spans {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let export = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
        let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        ResponseTemplate::new(200)
    }
}

impl Spans {
    /// Spans of the trace that are here by now.
    fn of_trace(&self) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        spans.iter().filter(|span| hex::encode(&span.trace_id) == TRACE).cloned().collect()
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn database_and_store_join_the_trace_of_the_caller() {
    let (collector, spans) = (MockServer::start().await, Spans::default());
    Mock::given(path("/v1/traces")).respond_with(spans.clone()).mount(&collector).await;
    let (database, bucket) = (test_database().await, test_bucket().await);
    let env =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.uri()), ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start_with_env(&config(&database, &bucket), &env).await;

    let id = new_id();
    let request = api::Request::to(server.api, "POST", "/v1/images").by(OWNER).body("data");
    let request = request.header("Content-Type", OCTETS).header("x-image-meta-id", &id);
    let request =
        request.header("x-image-meta-disk_format", "raw").header("x-image-meta-container_format", "bare");
    request.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.expect(201);

    let root = eventually("the span of the request arrives", async || {
        spans.of_trace().into_iter().find(|span| span.kind() == SpanKind::Server)
    })
    .await;
    assert_eq!(root.name, "POST /v1/images");
    assert_eq!(hex::encode(&root.parent_span_id), CALLER);
    assert_eq!(attribute(&root, "http.request.method").as_deref(), Some("POST"));
    assert_eq!(attribute(&root, "http.route").as_deref(), Some("/v1/images"));
    assert_eq!(attribute(&root, "http.response.status_code").as_deref(), Some("201"));

    let store = eventually("the span of the store arrives", async || {
        spans.of_trace().into_iter().find(|span| span.name == "S3.PutObject")
    })
    .await;
    assert_eq!((store.kind(), &store.parent_span_id), (SpanKind::Client, &root.span_id));
    assert_eq!(attribute(&store, "rpc.system.name").as_deref(), Some("aws-api"));
    assert_eq!(attribute(&store, "rpc.method").as_deref(), Some("PutObject"));
    assert_eq!(attribute(&store, "aws.s3.bucket").as_deref(), Some(bucket.name.as_str()));
    assert!(attribute(&store, "aws.s3.key").unwrap().contains(&id));

    let statements = spans.of_trace().into_iter().filter(|span| attribute(span, "db.system.name").is_some());
    let statements: Vec<Span> = statements.collect();
    assert!(statements.len() >= 2, "{statements:?}");
    for span in &statements {
        assert_eq!((span.kind(), &span.parent_span_id), (SpanKind::Client, &root.span_id), "{span:?}");
        assert_eq!(attribute(span, "db.system.name").as_deref(), Some("postgresql"));
        assert_eq!(attribute(span, "db.operation.name").as_deref(), Some(span.name.as_str()));
        // a single statement has a table, a transaction none
        let table = attribute(span, "db.collection.name");
        assert_eq!(table.is_some(), span.name != "TRANSACTION", "{span:?}");
    }
    // nothing but what is ours: neither the libraries' spans nor those of sending traces
    const KNOWN: [&str; 7] =
        ["S3.", "POST /v1/images", "SELECT", "INSERT", "UPDATE", "DELETE", "TRANSACTION"];
    let names: Vec<String> = spans.of_trace().into_iter().map(|span| span.name).collect();
    assert!(names.iter().all(|name| KNOWN.iter().any(|known| name.starts_with(known))), "{names:?}");
}
