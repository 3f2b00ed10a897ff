#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Check, FRESH, Readiness, router};
use crate::telemetry::metrics;

async fn get(readiness: &Readiness, path: &str) -> (StatusCode, String) {
    let router = router(readiness.clone(), metrics::local().1);
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn switch(name: &str, on: &Arc<AtomicBool>) -> Check {
    let on = Arc::clone(on);
    Check::new(name, move || {
        let answer = if on.load(Ordering::Relaxed) { Ok(()) } else { Err("CANARY".to_owned()) };
        async { answer }
    })
}

#[tokio::test]
async fn ready_while_every_dependency_was_fine_lately() {
    let (database, store) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let checks = [switch("database", &database), switch("store:s3", &store)];
    let readiness = Readiness::new(&checks);
    assert_eq!(get(&readiness, "/livez").await.0, StatusCode::OK);
    let (status, body) = get(&readiness, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("database") && body.contains("store:s3"), "{body}");

    readiness.round(&checks).await;
    let (status, body) = get(&readiness, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""failing":["store:s3"]"#) && !body.contains("CANARY"), "{body}");

    store.store(true, Ordering::Relaxed);
    readiness.round(&checks).await;
    assert_eq!(get(&readiness, "/readyz").await.0, StatusCode::OK);
    database.store(false, Ordering::Relaxed);
    readiness.round(&checks).await;
    assert_eq!(get(&readiness, "/readyz").await.0, StatusCode::OK, "one failure is not an outage");
}

#[tokio::test]
async fn good_answers_go_stale() {
    let on = Arc::new(AtomicBool::new(true));
    let checks = [switch("database", &on)];
    let readiness = Readiness::new(&checks);
    readiness.round(&checks).await;
    let now = Instant::now();
    assert!(readiness.obstacles_at(now).is_empty());
    assert!(readiness.obstacles_at(now + FRESH / 2).is_empty());
    assert_eq!(readiness.obstacles_at(now + FRESH + Duration::from_secs(1)), ["database"]);
}

#[tokio::test]
async fn checks_that_hang_count_as_failed() {
    let checks = [Check::new("schema", std::future::pending)];
    let mut readiness = Readiness::new(&checks);
    readiness.pace.patience = Duration::from_millis(1);
    readiness.round(&checks).await;
    assert_eq!(readiness.obstacles(), ["schema"]);
}

#[tokio::test]
async fn a_draining_replica_is_not_ready_but_alive() {
    let readiness = Readiness::new(&[]);
    assert_eq!(get(&readiness, "/readyz").await.0, StatusCode::OK);
    readiness.drain();
    let (status, body) = get(&readiness, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("draining"), "{body}");
    assert_eq!(get(&readiness, "/livez").await.0, StatusCode::OK);
}

/// Calls of `/readyz` ask nobody; the probe asks by itself and stops when told.
#[tokio::test]
async fn only_the_probe_asks() {
    let (asked, mut questions) = mpsc::unbounded_channel();
    let check = Check::new("database", move || {
        asked.send(()).unwrap();
        async { Ok(()) }
    });
    let checks = vec![check];
    let mut readiness = Readiness::new(&checks);
    readiness.pace.interval = Duration::from_millis(1);
    for _ in 0..10 {
        get(&readiness, "/readyz").await;
    }
    assert!(questions.is_empty());
    let stop = CancellationToken::new();
    let probe = readiness.clone().probe(checks, stop.clone());
    let observer = async {
        for _ in 0..3 {
            questions.recv().await.unwrap();
        }
        stop.cancel();
    };
    tokio::join!(probe, observer);
    assert!(readiness.obstacles().is_empty());
}

#[tokio::test]
async fn metrics_are_exposed() {
    let (instruments, exposition) = metrics::local();
    instruments.policy_denied();
    let router = router(Readiness::new(&[]), exposition);
    let response = router.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains("vitrine_policy_denied_total 1"));
}
