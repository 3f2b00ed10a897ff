use std::time::Duration;

use http::{Method, StatusCode};

use time::macros::datetime;

use super::{BodySizes, Kind, Peer, PoolStatus, local};

#[test]
fn every_name_is_exposed() {
    let (metrics, exposition) = local();
    let second = Duration::from_secs(1);
    let keystone = Peer { kind: Kind::Keystone, address: "keystone.example.org".to_owned() };
    metrics.http_request(&Method::GET, Some("/v2/images/{image_id}"), StatusCode::OK, second);
    metrics.http_bodies(&Method::GET, None, StatusCode::OK, BodySizes { request: 1, response: 2 });
    let _request = metrics.http_active(&Method::GET);
    metrics.http_client_request(&Method::GET, Some(&keystone), None, second);
    metrics.db_operation("SELECT", Some("images"), None, second);
    metrics.db_waited(second);
    metrics.db_used(second);
    metrics.db_timeout();
    metrics.observe_pool(|| PoolStatus { used: 3, idle: 2, waiting: 1, max: 16 });
    metrics.observe_permits(|| 31);
    metrics.observe_ready(|| true);
    metrics.s3_request("PutObject", "s3", Some("timeout"), second);
    metrics.s3_retry("PutObject", "s3");
    metrics.s3_bytes("PutObject", "s3", 7);
    metrics.upload_bytes("s3", 10);
    metrics.download_bytes("s3", 11);
    let _upload = metrics.upload_active("upload");
    let _part = metrics.part_in_flight("s3");
    metrics.admission_rejected();
    metrics.set_tasks("pending", 4);
    metrics.set_oldest_due_task(second);
    metrics.set_garbage(5, second);
    metrics.set_expired_writers(6);
    metrics.set_scrub_orphans("s3", 0);
    metrics.set_events("log", 7, second);
    metrics.event_delivery("log", "delivered");
    metrics.observe_token_cache(|| (1, 1));
    metrics.policy_denied();
    metrics.observe_refusals(|| 1);
    metrics.hashed(second);
    metrics.set_certificate_end(Kind::Store, Some("s3"), second);
    metrics.set_credential_end(Kind::Keystone, Some(datetime!(1970-01-01 0:01 UTC)));
    let text = exposition.text();
    for line in [
        "http_server_request_duration_seconds_count{",
        "http_server_active_requests{",
        "http_server_request_body_size_bytes_count{",
        "http_server_response_body_size_bytes_count{",
        "http_client_request_duration_seconds_count{",
        "db_client_operation_duration_seconds_count{",
        "db_client_connection_wait_time_seconds_count{",
        "db_client_connection_use_time_seconds_count{",
        "db_client_connection_timeouts_total{",
        "vitrine_s3_request_duration_seconds_count{",
        "vitrine_s3_retries_total{",
        "vitrine_s3_bytes_total{",
        r#"vitrine_upload_bytes_total{store="s3"} 10"#,
        r#"vitrine_download_bytes_total{store="s3"} 11"#,
        r#"vitrine_upload_active{method="upload"} 1"#,
        r#"vitrine_parts_in_flight{store="s3"} 1"#,
        "vitrine_memory_permits_free 31",
        "vitrine_ready 1",
        "vitrine_admission_rejected_total 1",
        r#"vitrine_tasks{state="pending"} 4"#,
        "vitrine_tasks_oldest_due_age_seconds 1",
        "vitrine_ledger_garbage 5",
        "vitrine_ledger_garbage_oldest_age_seconds 1",
        "vitrine_ledger_writing_expired 6",
        r#"vitrine_scrub_orphans{store="s3"} 0"#,
        r#"vitrine_events_pending{sink="log"} 7"#,
        r#"vitrine_events_oldest_age_seconds{sink="log"} 1"#,
        r#"vitrine_events_deliveries_total{outcome="delivered",sink="log"} 1"#,
        "vitrine_token_cache_hits_total 1",
        "vitrine_token_cache_misses_total 1",
        "vitrine_policy_denied_total 1",
        "vitrine_ssrf_refused_total 1",
        "vitrine_hash_duration_seconds_count 1",
        r#"vitrine_certificate_expiration_timestamp_seconds{service_peer_name="s3",store="s3"} 1"#,
        r#"vitrine_credential_expiration_timestamp_seconds{service_peer_name="keystone"} 60"#,
        r#"target_info{service_name="vitrine"} 1"#,
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line} missing in:\n{text}");
    }
    let count =
        |name: &str| text.lines().find(|l| l.starts_with(name)).map(str::to_owned).unwrap_or_default();
    assert!(count("db_client_connection_max{").ends_with(" 16"));
    assert!(count("db_client_connection_pending_requests{").ends_with(" 1"));
    assert!(text.contains(r#"db_client_connection_state="used""#) && text.contains(r#"le="600""#), "{text}");
}

/// A62: what users choose freely is no label.
#[test]
fn unknown_methods_share_one_label() {
    let (metrics, exposition) = local();
    let made_up = Method::from_bytes(b"CANARY").unwrap_or_default();
    metrics.http_request(&made_up, None, StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
    drop(metrics.http_active(&made_up));
    let text = exposition.text();
    assert!(text.contains(r#"http_request_method="_OTHER""#) && !text.contains("CANARY"), "{text}");
    assert!(!text.contains("http_route"), "{text}");
}

#[test]
fn what_is_active_ends_with_its_guard() {
    let (metrics, exposition) = local();
    let first = metrics.upload_active("upload");
    let second = metrics.upload_active("upload");
    assert!(exposition.text().contains(r#"vitrine_upload_active{method="upload"} 2"#));
    drop(first);
    drop(second);
    assert!(exposition.text().contains(r#"vitrine_upload_active{method="upload"} 0"#));
}

#[test]
fn failures_carry_their_type() {
    let (metrics, exposition) = local();
    metrics.http_request(&Method::GET, Some("/"), StatusCode::NOT_FOUND, Duration::ZERO);
    assert!(!exposition.text().contains("error_type"));
    metrics.http_request(&Method::GET, Some("/"), StatusCode::BAD_GATEWAY, Duration::ZERO);
    assert!(exposition.text().contains(r#"error_type="502""#));
}
