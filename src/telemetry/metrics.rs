//! Every instrument of the service, declared once.
//!
//! Names follow the OpenTelemetry conventions; `/metrics` shows them with `_` for dots and the unit at the end.
//! Attributes come from closed sets only: no id, no name and nothing a user wrote is ever a label (A62).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _, UpDownCounter};
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::TextEncoder;
use time::OffsetDateTime;
use time::macros::datetime;

use super::peer::{Kind, Peer};

/// Seconds; the last three are for data routes.
const REQUEST_SECONDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 120.0, 600.0];
/// Seconds of calls to the database.
const QUERY_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// The end of what has none, as in certificates (RFC 5280 §4.1.2.5).
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);
/// Bytes of bodies: 1 KiB to 64 GiB.
const BODY_BYTES: [f64; 9] = [
    1024.0,
    16_384.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
    268_435_456.0,
    1_073_741_824.0,
    8_589_934_592.0,
    68_719_476_736.0,
];

/// The source of `/metrics`.
#[derive(Clone)]
pub struct Exposition {
    registry: prometheus::Registry,
    provider: SdkMeterProvider,
}

impl Exposition {
    /// Content type of [`Exposition::text`].
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

    /// All metrics in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(error = %error, "metrics could not be written");
        }
        text
    }

    pub(super) fn shutdown(&self) {
        // failures were logged by the exporter
        let _ = self.provider.shutdown();
    }
}

/// The instruments and their exposition, pushed over OTLP as well where the environment asks for it.
pub(super) fn pipeline(resource: Resource) -> (Metrics, Exposition) {
    let push = super::pushed("METRICS", super::variable);
    let exporter = push.then(|| MetricExporter::builder().with_http().build());
    let exporter = exporter.and_then(|built| {
        // logging does not run yet
        built.inspect_err(|error| eprintln!("metrics are not pushed: {error}")).ok()
    });
    build(resource, exporter)
}

/// Instruments for tests and for commands without telemetry.
pub fn local() -> (Metrics, Exposition) {
    build(Resource::builder_empty().with_service_name(super::SERVICE).build(), None)
}

fn build(resource: Resource, exporter: Option<MetricExporter>) -> (Metrics, Exposition) {
    let registry = prometheus::Registry::new();
    let mut builder = SdkMeterProvider::builder().with_resource(resource);
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build();
    match reader {
        Ok(reader) => builder = builder.with_reader(reader),
        Err(error) => eprintln!("metrics are not exposed: {error}"),
    }
    if let Some(exporter) = exporter {
        builder = builder.with_periodic_exporter(exporter);
    }
    let provider = builder.build();
    (Metrics::new(&provider.meter(super::SERVICE)), Exposition { registry, provider })
}

/// Connections of the database pool at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolStatus {
    /// Connections at work.
    pub used: usize,
    /// Open connections without work.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
    /// Most connections there may be.
    pub max: usize,
}

/// Every instrument. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    instruments: Arc<Instruments>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Instruments {
    meter: Meter,
    http_duration: Histogram<f64>,
    http_active: UpDownCounter<i64>,
    http_request_size: Histogram<u64>,
    http_response_size: Histogram<u64>,
    client_duration: Histogram<f64>,
    db_duration: Histogram<f64>,
    db_timeouts: Counter<u64>,
    db_wait: Histogram<f64>,
    db_use: Histogram<f64>,
    s3_duration: Histogram<f64>,
    s3_retries: Counter<u64>,
    s3_bytes: Counter<u64>,
    upload_bytes: Counter<u64>,
    download_bytes: Counter<u64>,
    upload_active: UpDownCounter<i64>,
    parts_in_flight: UpDownCounter<i64>,
    admission_rejected: Counter<u64>,
    tasks: Gauge<u64>,
    tasks_oldest: Gauge<f64>,
    garbage: Gauge<u64>,
    garbage_oldest: Gauge<f64>,
    writing_expired: Gauge<u64>,
    scrub_orphans: Gauge<u64>,
    events_pending: Gauge<u64>,
    events_oldest: Gauge<f64>,
    event_deliveries: Counter<u64>,
    policy_denied: Counter<u64>,
    hash_duration: Histogram<f64>,
    certificate_end: Gauge<f64>,
    credential_end: Gauge<f64>,
}

impl Metrics {
    /// The instruments of `meter`.
    pub fn new(meter: &Meter) -> Self {
        let seconds = |name, about, buckets: &[f64]| {
            let histogram = meter.f64_histogram(name).with_description(about).with_unit("s");
            histogram.with_boundaries(buckets.to_vec()).build()
        };
        let body = |name, about| {
            let histogram = meter.u64_histogram(name).with_description(about).with_unit("By");
            histogram.with_boundaries(BODY_BYTES.to_vec()).build()
        };
        // no unit: names that end in `bytes` say theirs, the others count things
        let counter = |name, about| meter.u64_counter(name).with_description(about).build();
        let level = |name, about| meter.i64_up_down_counter(name).with_description(about).build();
        let gauge = |name, about| meter.u64_gauge(name).with_description(about).build();
        let time = |name, about| meter.f64_gauge(name).with_description(about).with_unit("s").build();
        let instruments = Instruments {
            http_duration: seconds(
                "http.server.request.duration",
                "time from the head of a request to that of its answer",
                &REQUEST_SECONDS,
            ),
            http_active: level("http.server.active_requests", "requests that are being answered"),
            http_request_size: body("http.server.request.body.size", "announced size of request bodies"),
            http_response_size: body("http.server.response.body.size", "announced size of response bodies"),
            client_duration: seconds(
                "http.client.request.duration",
                "time of requests to Keystone, to what users name and to the webhook",
                &REQUEST_SECONDS,
            ),
            db_duration: seconds(
                "db.client.operation.duration",
                "time of statements and transactions, repetitions included",
                &QUERY_SECONDS,
            ),
            db_timeouts: counter(
                "db.client.connection.timeouts",
                "operations that got no connection in time",
            ),
            db_wait: seconds(
                "db.client.connection.wait_time",
                "time that operations waited for a connection",
                &QUERY_SECONDS,
            ),
            db_use: seconds(
                "db.client.connection.use_time",
                "time that connections were held",
                &QUERY_SECONDS,
            ),
            s3_duration: seconds(
                "vitrine.s3.request.duration",
                "time of single attempts at a store, up to the head of the answer where its body is streamed",
                &REQUEST_SECONDS,
            ),
            s3_retries: counter("vitrine.s3.retries", "attempts at a store that were repeated"),
            s3_bytes: counter("vitrine.s3.bytes", "bytes sent to and read from a store"),
            upload_bytes: counter("vitrine.upload.bytes", "bytes of image data received"),
            download_bytes: counter("vitrine.download.bytes", "bytes of image data sent"),
            upload_active: level("vitrine.upload.active", "uploads that are running"),
            parts_in_flight: level("vitrine.parts.in_flight", "parts on their way to a store"),
            admission_rejected: counter("vitrine.admission.rejected", "uploads that found no memory in time"),
            tasks: gauge("vitrine.tasks", "tasks that are not finished"),
            tasks_oldest: time("vitrine.tasks.oldest_due_age", "how long the oldest due task has been due"),
            garbage: gauge("vitrine.ledger.garbage", "objects that wait for deletion"),
            garbage_oldest: time(
                "vitrine.ledger.garbage.oldest_age",
                "how long the oldest of them has waited",
            ),
            writing_expired: gauge(
                "vitrine.ledger.writing.expired",
                "objects whose writer let its lease run out",
            ),
            scrub_orphans: gauge("vitrine.scrub.orphans", "objects astray that the last scrub found"),
            events_pending: gauge("vitrine.events.pending", "events that wait for a sink"),
            events_oldest: time("vitrine.events.oldest_age", "how long the oldest of them has waited"),
            event_deliveries: counter("vitrine.events.deliveries", "deliveries of events that ended"),
            policy_denied: counter("vitrine.policy.denied", "requests that a policy refused"),
            hash_duration: seconds(
                "vitrine.hash.duration",
                "time spent on the digests of one body",
                &REQUEST_SECONDS,
            ),
            certificate_end: time(
                "vitrine.certificate.expiration_timestamp",
                "Unix time at which the certificate ends that a server of the configuration showed last",
            ),
            credential_end: time(
                "vitrine.credential.expiration_timestamp",
                "Unix time at which the service's own credential ends, 9999-12-31 where it does not",
            ),
            meter: meter.clone(),
        };
        Self { instruments: Arc::new(instruments) }
    }

    /// A request was answered. `route` is the template of the matched route, nothing where none matched.
    pub fn http_request(&self, method: &Method, route: Option<&str>, status: StatusCode, duration: Duration) {
        let attributes = http_attributes(method, route, status);
        self.instruments.http_duration.record(duration.as_secs_f64(), &attributes);
    }

    /// Bytes of the bodies of a request that was answered.
    pub fn http_bodies(&self, method: &Method, route: Option<&str>, status: StatusCode, sizes: BodySizes) {
        let attributes = http_attributes(method, route, status);
        self.instruments.http_request_size.record(sizes.request, &attributes);
        self.instruments.http_response_size.record(sizes.response, &attributes);
    }

    /// A request is being worked on for as long as the answer lives.
    pub fn http_active(&self, method: &Method) -> Active {
        let attributes = [word("http.request.method", known(method)), word("url.scheme", "http")];
        Active::start(&self.instruments.http_active, attributes.into())
    }

    /// A call to Keystone or to a web server ended. `peer` is given for servers of the configuration only, never for
    /// one that a user named; `status` is nothing where no answer came.
    pub fn http_client_request(
        &self,
        method: &Method,
        peer: Option<&Peer>,
        status: Option<StatusCode>,
        duration: Duration,
    ) {
        let mut attributes = vec![word("http.request.method", known(method))];
        if let Some(peer) = peer {
            attributes.push(word("service.peer.name", peer.kind.name()));
            attributes.push(label("server.address", &peer.address));
        }
        match status {
            Some(status) => attributes.extend(status_attributes(status, 400)),
            None => attributes.push(word("error.type", "unreachable")),
        }
        self.instruments.client_duration.record(duration.as_secs_f64(), &attributes);
    }

    /// A statement on `table`, or a transaction on several, ended. `error` is a word for the kind of failure.
    pub fn db_operation(
        &self,
        operation: &'static str,
        table: Option<&'static str>,
        error: Option<&'static str>,
        duration: Duration,
    ) {
        let mut attributes = vec![word("db.system.name", "postgresql"), word("db.operation.name", operation)];
        attributes.extend(table.map(|table| word("db.collection.name", table)));
        attributes.extend(error.map(|error| word("error.type", error)));
        self.instruments.db_duration.record(duration.as_secs_f64(), &attributes);
    }

    /// How long a caller waited for a connection.
    pub fn db_waited(&self, duration: Duration) {
        self.instruments.db_wait.record(duration.as_secs_f64(), &[pool()]);
    }

    /// How long a connection was held.
    pub fn db_used(&self, duration: Duration) {
        self.instruments.db_use.record(duration.as_secs_f64(), &[pool()]);
    }

    /// A caller got no connection in time.
    pub fn db_timeout(&self) {
        self.instruments.db_timeouts.add(1, &[pool()]);
    }

    /// Where the state of the database pool is read whenever metrics are collected. Call once.
    pub fn observe_pool(&self, status: impl Fn() -> PoolStatus + Send + Sync + 'static) {
        let status = Arc::new(status);
        let meter = &self.instruments.meter;
        let counts = Arc::clone(&status);
        let state = |state| [pool(), word("db.client.connection.state", state)];
        meter
            .u64_observable_gauge("db.client.connection.count")
            .with_description("connections of the pool")
            .with_callback(move |gauge| {
                let now = counts();
                gauge.observe(now.used as u64, &state("used"));
                gauge.observe(now.idle as u64, &state("idle"));
            })
            .build();
        let max = Arc::clone(&status);
        meter
            .u64_observable_gauge("db.client.connection.max")
            .with_description("most connections that the pool opens")
            .with_callback(move |gauge| gauge.observe(max().max as u64, &[pool()]))
            .build();
        meter
            .u64_observable_gauge("db.client.connection.pending_requests")
            .with_description("operations that wait for a connection")
            .with_callback(move |gauge| gauge.observe(status().waiting as u64, &[pool()]))
            .build();
    }

    /// Where the number of free memory permits is read whenever metrics are collected. Call once.
    pub fn observe_permits(&self, free: impl Fn() -> usize + Send + Sync + 'static) {
        self.instruments
            .meter
            .u64_observable_gauge("vitrine.memory.permits.free")
            .with_description("permits of part memory that nobody holds, of 1 MiB each")
            .with_callback(move |gauge| gauge.observe(free() as u64, &[]))
            .build();
    }

    /// A call to a store ended. `method` is the S3 operation, `error` a word for the kind of failure.
    pub fn s3_request(
        &self,
        method: &'static str,
        store: &str,
        error: Option<&'static str>,
        duration: Duration,
    ) {
        let mut attributes = s3_attributes(method, store);
        attributes.extend(error.map(|error| word("error.type", error)));
        self.instruments.s3_duration.record(duration.as_secs_f64(), &attributes);
    }

    /// A call to a store was tried again.
    pub fn s3_retry(&self, method: &'static str, store: &str) {
        self.instruments.s3_retries.add(1, &s3_attributes(method, store));
    }

    /// Bytes that went to or came from a store.
    pub fn s3_bytes(&self, method: &'static str, store: &str, bytes: u64) {
        self.instruments.s3_bytes.add(bytes, &s3_attributes(method, store));
    }

    /// Bytes of image data received.
    pub fn upload_bytes(&self, store: &str, bytes: u64) {
        self.instruments.upload_bytes.add(bytes, &[label("store", store)]);
    }

    /// Bytes of image data sent.
    pub fn download_bytes(&self, store: &str, bytes: u64) {
        self.instruments.download_bytes.add(bytes, &[label("store", store)]);
    }

    /// An upload runs for as long as the answer lives. `method` is its kind: `upload`, `stage`, an import method.
    pub fn upload_active(&self, method: &'static str) -> Active {
        Active::start(&self.instruments.upload_active, vec![word("method", method)])
    }

    /// A part is on its way to a store for as long as the answer lives.
    pub fn part_in_flight(&self, store: &str) -> Active {
        Active::start(&self.instruments.parts_in_flight, vec![label("store", store)])
    }

    /// An upload found no memory in time.
    pub fn admission_rejected(&self) {
        self.instruments.admission_rejected.add(1, &[]);
    }

    /// Tasks in `state`.
    pub fn set_tasks(&self, state: &'static str, count: u64) {
        self.instruments.tasks.record(count, &[word("state", state)]);
    }

    /// How long the oldest due task has been due.
    pub fn set_oldest_due_task(&self, age: Duration) {
        self.instruments.tasks_oldest.record(age.as_secs_f64(), &[]);
    }

    /// Objects that wait for deletion, and the age of the oldest.
    pub fn set_garbage(&self, count: u64, oldest: Duration) {
        self.instruments.garbage.record(count, &[]);
        self.instruments.garbage_oldest.record(oldest.as_secs_f64(), &[]);
    }

    /// Objects whose writer let its lease run out.
    pub fn set_expired_writers(&self, count: u64) {
        self.instruments.writing_expired.record(count, &[]);
    }

    /// What the last scrub of a store found astray.
    pub fn set_scrub_orphans(&self, store: &str, count: u64) {
        self.instruments.scrub_orphans.record(count, &[label("store", store)]);
    }

    /// Events that wait for a sink, and the age of the oldest.
    pub fn set_events(&self, sink: &'static str, pending: u64, oldest: Duration) {
        self.instruments.events_pending.record(pending, &[word("sink", sink)]);
        self.instruments.events_oldest.record(oldest.as_secs_f64(), &[word("sink", sink)]);
    }

    /// A delivery ended. `outcome` is `delivered`, `released`, or a word for the kind of failure.
    pub fn event_delivery(&self, sink: &'static str, outcome: &'static str) {
        self.instruments.event_deliveries.add(1, &[word("sink", sink), word("outcome", outcome)]);
    }

    /// Where it is read whenever metrics are collected whether this replica takes requests. Call once.
    pub fn observe_ready(&self, ready: impl Fn() -> bool + Send + Sync + 'static) {
        self.instruments
            .meter
            .u64_observable_gauge("vitrine.ready")
            .with_description("1 while every dependency answers and the replica is not about to stop, else 0")
            .with_callback(move |gauge| gauge.observe(ready().into(), &[]))
            .build();
    }

    /// Where the hits and misses of the token cache are read whenever metrics are collected. Call once.
    pub fn observe_token_cache(&self, counts: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        let counts = Arc::new(counts);
        let hits = Arc::clone(&counts);
        self.observe_total("vitrine.token_cache.hits", "tokens that were known", move || hits().0);
        let about = "tokens that Keystone was asked about";
        self.observe_total("vitrine.token_cache.misses", about, move || counts().1);
    }

    /// Where the number of refused fetches is read whenever metrics are collected. Call once.
    pub fn observe_refusals(&self, refusals: impl Fn() -> u64 + Send + Sync + 'static) {
        let about = "targets, redirects and addresses that users named and that are forbidden";
        self.observe_total("vitrine.ssrf.refused", about, refusals);
    }

    fn observe_total(
        &self,
        name: &'static str,
        about: &'static str,
        total: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let counter = self.instruments.meter.u64_observable_counter(name).with_description(about);
        counter.with_callback(move |counter| counter.observe(total(), &[])).build();
    }

    /// A policy refused a caller.
    pub fn policy_denied(&self) {
        self.instruments.policy_denied.add(1, &[]);
    }

    /// Time spent on the digests of one body.
    pub fn hashed(&self, duration: Duration) {
        self.instruments.hash_duration.record(duration.as_secs_f64(), &[]);
    }

    /// A server of the configuration showed a certificate that ends at `end`. `store` is the id of a store.
    pub fn set_certificate_end(&self, peer: Kind, store: Option<&str>, end: Duration) {
        let mut attributes = vec![word("service.peer.name", peer.name())];
        attributes.extend(store.map(|store| label("store", store)));
        self.instruments.certificate_end.record(end.as_secs_f64(), &attributes);
    }

    /// The credential that this service shows to a server of the configuration ends at `end`, if at all.
    pub fn set_credential_end(&self, peer: Kind, end: Option<OffsetDateTime>) {
        let end = end.unwrap_or(NEVER).unix_timestamp() as f64;
        self.instruments.credential_end.record(end, &[word("service.peer.name", peer.name())]);
    }
}

/// Bytes of the two bodies of an exchange.
#[derive(Debug, Clone, Copy, Default)]
pub struct BodySizes {
    /// Bytes received.
    pub request: u64,
    /// Bytes sent.
    pub response: u64,
}

/// Something that is counted until it is dropped.
#[must_use = "it ends when it is dropped"]
pub struct Active {
    counter: UpDownCounter<i64>,
    attributes: Vec<KeyValue>,
}

impl Active {
    fn start(counter: &UpDownCounter<i64>, attributes: Vec<KeyValue>) -> Self {
        counter.add(1, &attributes);
        Self { counter: counter.clone(), attributes }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.counter.add(-1, &self.attributes);
    }
}

fn word(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue::new(key, value)
}

/// For ids from the configuration.
fn label(key: &'static str, value: &str) -> KeyValue {
    KeyValue::new(key, value.to_owned())
}

fn pool() -> KeyValue {
    word("db.client.connection.pool.name", "main")
}

fn s3_attributes(method: &'static str, store: &str) -> Vec<KeyValue> {
    vec![word("rpc.system.name", "aws-api"), word("rpc.method", method), label("vitrine.store", store)]
}

fn http_attributes(method: &Method, route: Option<&str>, status: StatusCode) -> Vec<KeyValue> {
    let mut attributes = vec![word("http.request.method", known(method)), word("url.scheme", "http")];
    attributes.extend(route.map(|route| label("http.route", route)));
    attributes.extend(status_attributes(status, 500));
    attributes
}

/// The status, and `error.type` from `failure` up.
fn status_attributes(status: StatusCode, failure: u16) -> Vec<KeyValue> {
    let code = status.as_u16();
    let mut attributes = vec![KeyValue::new("http.response.status_code", Value::I64(code.into()))];
    if code >= failure {
        attributes.push(KeyValue::new("error.type", code.to_string()));
    }
    attributes
}

/// Methods are user input: what is not standard is counted under one name.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "_OTHER",
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
