//! Logs, traces and metrics.
//!
//! Logs go to standard output (or standard error for commands whose result is their output), metrics are pulled
//! from `/metrics`, and both traces and metrics are pushed where the standard `OTEL_*` variables ask for it.

pub mod certificates;
pub mod client;
pub mod log;
pub mod metrics;
pub mod peer;
pub mod trace;

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

use crate::config;
use log::Output;
use metrics::{Exposition, Metrics};

/// Name of the service in traces, metrics and logs.
pub const SERVICE: &str = "vitrine";

/// What [`init`] started. Dropping it loses what was not sent yet: call [`Guard::shutdown`].
pub struct Guard {
    metrics: Metrics,
    exposition: Exposition,
    tracer: Option<SdkTracerProvider>,
}

/// Starts telemetry for a server: log lines on standard output.
pub fn init(config: &config::Telemetry) -> Guard {
    init_on(config, Output::Stdout)
}

/// Starts telemetry with log lines on `output`. A second call in one process leaves the first one's logs and
/// traces in place.
pub fn init_on(config: &config::Telemetry, output: Output) -> Guard {
    let resource = resource();
    let tracer = trace::provider(&resource);
    let (metrics, exposition) = metrics::pipeline(resource);
    let spans = tracer.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_filter(log::traced_spans())
    });
    let lines = log::layer(config, output);
    let first = tracing_subscriber::registry().with(spans).with(lines).try_init().is_ok();
    if !first {
        tracing::debug!("telemetry was already running");
    }
    Guard { metrics, exposition, tracer }
}

impl Guard {
    /// The instruments.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The source of `/metrics`.
    pub fn exposition(&self) -> &Exposition {
        &self.exposition
    }

    /// Sends what is left and stops. Blocks for at most `bound`; a collector that is out of reach costs no more.
    pub fn shutdown(self, bound: Duration) {
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if let Some(tracer) = &self.tracer {
                // failures were logged by the exporter; there is nobody left to tell
                let _ = tracer.shutdown_with_timeout(bound);
            }
            self.exposition.shutdown();
            let _ = done.send(());
        });
        if wait.recv_timeout(bound).is_err() {
            tracing::warn!("telemetry was not delivered in time");
        }
    }
}

/// Who is speaking. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what is built in.
fn resource() -> Resource {
    let named = |key: &str| {
        let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        attributes.split(',').any(|pair| pair.trim().starts_with(&format!("{key}=")))
    };
    let mut builder = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() && !named("service.name") {
        builder = builder.with_service_name(SERVICE);
    }
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance().to_string()),
    ];
    for (key, value) in own {
        if !named(key) {
            builder = builder.with_attribute(opentelemetry::KeyValue::new(key, value));
        }
    }
    builder.build()
}

/// A new id for each process: two replicas on one host stay apart.
fn instance() -> Uuid {
    Uuid::new_v4()
}

/// Whether `signal` (`TRACES`, `METRICS`) is to be pushed: an endpoint is given and nothing switches it off.
fn pushed(signal: &str, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let none = variable(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|value| value == "none");
    let endpoint =
        set("OTEL_EXPORTER_OTLP_ENDPOINT") || set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    endpoint && !disabled && !none
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::pushed;

    #[test]
    fn signals_are_pushed_only_where_asked() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        assert!(!pushed("TRACES", with(&[])));
        assert!(!pushed("TRACES", with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")])));
        assert!(pushed("TRACES", with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")])));
        let traces = with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces")]);
        assert!(pushed("TRACES", traces));
        assert!(!pushed("METRICS", traces));
        let off = with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")]);
        assert!(!pushed("TRACES", off));
        let none = with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_METRICS_EXPORTER", "none")]);
        assert!(!pushed("METRICS", none));
        assert!(pushed("TRACES", none));
    }
}
