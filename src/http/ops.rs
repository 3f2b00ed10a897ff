//! The operators' port: `/livez`, `/readyz` and `/metrics`. Never reachable for tenants (A62).
//!
//! Live means that the runtime answers. Ready means that every dependency was fine within the last seconds, from a
//! probe in the background: no call opens a connection, and no load on this port reaches a dependency.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::future::{BoxFuture, join_all};
use http::{StatusCode, header};
use rand::Rng as _;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::Exposition;

/// When the probe asks, and how long it waits.
#[derive(Clone, Copy)]
struct Pace {
    /// Time between two rounds, give or take a quarter: replicas must not ask in step.
    interval: Duration,
    /// How long one check may take.
    patience: Duration,
}

const PACE: Pace = Pace { interval: Duration::from_secs(2), patience: Duration::from_secs(5) };

/// How long a good answer counts. It outlives a slow round, so that one lost packet does not empty the pool.
const FRESH: Duration = Duration::from_secs(10);

/// A question to a dependency.
pub struct Check {
    name: String,
    ask: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// `name` is what `/readyz` shows: `database`, `schema`, `store:<id>`. The text of a failure goes to the log and
    /// must hold no secret.
    pub fn new<F>(name: impl Into<String>, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name: name.into(), ask: Box::new(move || Box::pin(ask())) }
    }
}

/// What the last probes found. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    state: Arc<Probed>,
    pace: Pace,
}

struct Probed {
    draining: AtomicBool,
    dependencies: Mutex<Vec<Dependency>>,
}

struct Dependency {
    name: String,
    fine_at: Option<Instant>,
    failing: bool,
}

impl Readiness {
    /// Not ready until each of `checks` has passed once in [`Readiness::probe`].
    pub fn new(checks: &[Check]) -> Self {
        let dependencies = checks
            .iter()
            .map(|check| Dependency { name: check.name.clone(), fine_at: None, failing: false })
            .collect();
        Self {
            state: Arc::new(Probed {
                draining: AtomicBool::new(false),
                dependencies: Mutex::new(dependencies),
            }),
            pace: PACE,
        }
    }

    /// Not ready from now on: the process is about to stop.
    pub fn drain(&self) {
        self.state.draining.store(true, Ordering::Relaxed);
    }

    /// Asks `checks`, the ones this was made of, again and again until `stop` is cancelled.
    pub async fn probe(self, checks: Vec<Check>, stop: CancellationToken) {
        let rounds = async {
            loop {
                self.round(&checks).await;
                let jitter = rand::rng().random_range(0.75..1.25);
                sleep(self.pace.interval.mul_f64(jitter)).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Asks every check once, all at a time.
    pub async fn round(&self, checks: &[Check]) {
        let answers = checks.iter().map(|check| async {
            let answer = timeout(self.pace.patience, (check.ask)()).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            self.note(&check.name, answer);
        });
        join_all(answers).await;
    }

    fn note(&self, name: &str, answer: Result<(), String>) {
        let mut dependencies = self.state.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dependency) = dependencies.iter_mut().find(|d| d.name == name) else { return };
        // changes are logged, not states: a long outage is one line
        match answer {
            Ok(()) => {
                if dependency.failing {
                    tracing::info!(dependency = name, "a dependency is back");
                }
                dependency.failing = false;
                dependency.fine_at = Some(Instant::now());
            }
            Err(reason) => {
                if !dependency.failing {
                    tracing::warn!(dependency = name, reason, "a dependency does not answer");
                }
                dependency.failing = true;
            }
        }
    }

    /// What stands in the way of being ready: dependencies by name, or `draining`.
    pub fn obstacles(&self) -> Vec<String> {
        self.obstacles_at(Instant::now())
    }

    fn obstacles_at(&self, now: Instant) -> Vec<String> {
        if self.state.draining.load(Ordering::Relaxed) {
            return vec!["draining".to_owned()];
        }
        let dependencies = self.state.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = |d: &&Dependency| d.fine_at.is_none_or(|at| now.saturating_duration_since(at) > FRESH);
        dependencies.iter().filter(stale).map(|d| d.name.clone()).collect()
    }
}

/// The routes of the operators' port.
pub fn router(readiness: Readiness, exposition: Exposition) -> Router {
    Router::new()
        .route("/livez", get(|| async { "OK" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(exposition))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let obstacles = readiness.obstacles();
    let (status, word) = if obstacles.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (status, Json(json!({"status": word, "failing": obstacles}))).into_response()
}

async fn metrics(State(exposition): State<Exposition>) -> Response {
    ([(header::CONTENT_TYPE, Exposition::CONTENT_TYPE)], exposition.text()).into_response()
}

#[cfg(test)]
#[path = "ops_tests.rs"]
mod tests;
