//! `docs/reference/metrics.md`: every metric as `/metrics` shows it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};
use time::OffsetDateTime;
use vitrine::telemetry::metrics::{BodySizes, Metrics, PoolStatus, local};
use vitrine::telemetry::peer::{Kind, Peer};

use super::{assert_current, cell};

/// Makes every instrument show itself, with every label it can have.
fn use_all(metrics: &Metrics) {
    let (second, failure) = (Duration::from_secs(1), StatusCode::SERVICE_UNAVAILABLE);
    metrics.http_request(&Method::GET, Some("/v2/images"), failure, second);
    metrics.http_bodies(&Method::GET, Some("/v2/images"), failure, BodySizes { request: 1, response: 2 });
    drop(metrics.http_active(&Method::GET));
    let keystone = Peer { kind: Kind::Keystone, address: "keystone.example.org".to_owned() };
    metrics.http_client_request(&Method::GET, Some(&keystone), Some(failure), second);
    metrics.db_operation("SELECT", Some("images"), Some("unavailable"), second);
    metrics.db_waited(second);
    metrics.db_used(second);
    metrics.db_timeout();
    metrics.observe_pool(PoolStatus::default);
    metrics.observe_permits(|| 1);
    metrics.observe_ready(|| true);
    metrics.s3_request("PutObject", "main", Some("unavailable"), second);
    metrics.s3_retry("PutObject", "main");
    metrics.s3_bytes("PutObject", "main", 1);
    metrics.upload_bytes("main", 1);
    metrics.download_bytes("main", 1);
    drop(metrics.upload_active("upload"));
    drop(metrics.part_in_flight("main"));
    metrics.admission_rejected();
    metrics.set_tasks("pending", 1);
    metrics.set_oldest_due_task(second);
    metrics.set_garbage(1, second);
    metrics.set_expired_writers(1);
    metrics.set_scrub_orphans("main", 1);
    metrics.set_events("log", 1, second);
    metrics.event_delivery("log", "delivered");
    metrics.observe_token_cache(|| (1, 1));
    metrics.policy_denied();
    metrics.observe_refusals(|| 1);
    metrics.hashed(second);
    metrics.set_certificate_end(Kind::Store, Some("main"), second);
    metrics.set_credential_end(Kind::Keystone, Some(OffsetDateTime::UNIX_EPOCH));
}

/// Labels of the samples of one metric; `le` is a matter of histograms.
fn labels(text: &str, name: &str) -> Vec<String> {
    let samples =
        text.lines().filter_map(|line| line.strip_prefix(name)?.split_once('{').map(|(_, rest)| rest));
    let names = samples.flat_map(|rest| {
        let pairs = rest.split("\",").filter_map(|pair| pair.split_once("=\""));
        pairs.map(|(label, _)| label.to_owned()).collect::<Vec<_>>()
    });
    names.filter(|label| label != "le").collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn the_table_of_metrics_is_current() {
    let (metrics, exposition) = local();
    use_all(&metrics);
    let text = exposition.text();
    let mut page = "# Metrics\n\nWhat `/metrics` on the operators' port shows, and OTLP pushes under the same names with dots. \
        A metric appears with its first value.\n\n| metric | kind | is | labels |\n|---|---|---|---|\n"
        .to_owned();
    let mut rows = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        if name == "target_info" {
            continue;
        }
        let help =
            text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap_or_default();
        assert!(!help.is_empty(), "{name} is not described");
        let labels =
            labels(&text, name).iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(page, "| `{name}` | {kind} | {} | {labels} |", cell(help)).unwrap();
        rows += 1;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry/metrics.rs");
    // calls are broken over lines
    let source: String = fs::read_to_string(source).unwrap().split_whitespace().collect();
    let declared =
        ["seconds(\"", "body(\"", "counter(\"", "level(\"", "gauge(\"", "time(\"", "observe_total(\""];
    let declared: usize = declared.iter().map(|call| source.matches(call).count()).sum();
    // `u64_observable_gauge(` ends like the call of a gauge
    assert_eq!(rows, declared, "not every instrument is in the table");
    assert_current("metrics.md", &page);
}
