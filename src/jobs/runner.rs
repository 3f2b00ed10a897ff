//! The task runner: claims due tasks, keeps their lease while a flow works, and writes down how they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::domain::image::Status;
use crate::domain::task::Task;
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::flows::Flows;
use crate::flows::copy_from::COPY_FROM;
use crate::flows::import::IMAGE_IMPORT;
use crate::flows::location_import::LOCATION_IMPORT;
use crate::flows::tasks;
use crate::flows::transfer::Passed;

/// Time between two looks at the queue when nothing wakes the runner, before jitter.
const POLL: Duration = Duration::from_secs(2);
/// Pause before a task is tried again whose image is being written by somebody else.
const BUSY_PAUSE: Duration = Duration::from_secs(3);
/// Heartbeats within one lease.
const HEARTBEATS: u32 = 6;

/// Runs tasks until `stop` fires; what runs then is given back without counting as an attempt.
pub async fn run(flows: Flows, stop: CancellationToken) {
    let concurrency = flows.config.jobs.concurrency.max(1);
    let slots = Arc::new(Semaphore::new(concurrency));
    let shares = Shares::new(concurrency);
    while let Some(slot) = next_slot(&slots, &stop).await {
        match flows.catalog.claim_task(flows.config.jobs.lease, &shares.used_up()).await {
            Ok(Some(task)) => {
                let share = shares.take(task.owner.as_deref());
                start(&flows, task, (slot, share), stop.clone());
            }
            Ok(None) => wait(&flows, &stop).await,
            Err(error) => {
                warn!(error = %Chain(&error), "tasks could not be claimed");
                wait(&flows, &stop).await;
            }
        }
    }
}

/// What the projects hold of the slots of one runner. No project gets all of them, so that a slow source of one never
/// makes the others wait.
#[derive(Clone)]
struct Shares {
    most: usize,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

impl Shares {
    fn new(concurrency: usize) -> Self {
        Self { most: concurrency.saturating_sub(1).max(1), held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Projects that may not have another slot; the empty text is nobody.
    fn used_up(&self) -> Vec<String> {
        let held = self.held();
        held.iter().filter(|(_, held)| **held >= self.most).map(|(owner, _)| owner.clone()).collect()
    }

    fn take(&self, owner: Option<&str>) -> Share {
        let owner = owner.unwrap_or_default().to_owned();
        *self.held().entry(owner.clone()).or_default() += 1;
        Share { shares: self.clone(), owner }
    }
}

/// A slot as its project holds it.
struct Share {
    shares: Shares,
    owner: String,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        if let Some(count) = held.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.owner);
            }
        }
    }
}

async fn next_slot(slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        slot = Arc::clone(slots).acquire_owned() => slot.ok(),
    }
}

async fn wait(flows: &Flows, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = flows.task_added.notified() => {}
        () = sleep(POLL.mul_f64(rand::random_range(0.75..1.25))) => {}
    }
}

fn start(flows: &Flows, task: Task, held: (OwnedSemaphorePermit, Share), stop: CancellationToken) {
    let span = info_span!(
        "task",
        task.id = %task.id,
        task.kind = task.kind,
        task.attempt = task.attempt,
        request_id = task.request_id,
        project.id = task.owner,
    );
    let flows = flows.clone();
    flows.tracker.clone().spawn(
        async move {
            if let Err(error) = attempt(&flows, &task, &stop).await {
                warn!(error = %Chain(&error), "the end of a task could not be written down");
            }
            drop(held);
            // what was passed over may have its turn now
            flows.task_added.notify_one();
        }
        .instrument(span),
    );
}

/// One attempt, and its end in the queue. An attempt that lost its lease writes nothing: its fence stops it.
async fn attempt(flows: &Flows, task: &Task, stop: &CancellationToken) -> Result<()> {
    let passed = Passed::default();
    let outcome = tokio::select! {
        outcome = work(flows, task, &passed) => outcome,
        () = keep_lease(flows, task, &passed) => return Ok(()),
        () = stop.cancelled() => {
            flows.catalog.release_task(task.id, task.attempt, Duration::ZERO, false).await?;
            return Ok(());
        }
    };
    let ttl = flows.config.jobs.task_ttl;
    match outcome {
        Ok(result) => {
            let progress = progress(task, &passed);
            flows.catalog.succeed_task(task.id, task.attempt, &result, &progress, ttl).await?;
        }
        Err(error) if error.kind() == ErrorKind::Concurrent => {
            // another writer, or the remains of a lost attempt, still holds the image
            flows.catalog.release_task(task.id, task.attempt, BUSY_PAUSE, false).await?;
        }
        Err(error) if error.kind().retryable() && !task.is_last_attempt() => {
            info!(error = %Chain(&error), "a task failed and will be tried again");
            flows.catalog.release_task(task.id, task.attempt, backoff(task.failures), true).await?;
        }
        Err(error) => {
            warn!(error = %Chain(&error), "a task failed");
            give_up(flows, task, &error).await?;
        }
    }
    Ok(())
}

/// Ends a task for good, and leaves its image as the API that began it wants. A task that was fenced out meanwhile is
/// left to whoever holds it.
async fn give_up(flows: &Flows, task: &Task, error: &Error) -> Result<()> {
    let (ttl, message) = (flows.config.jobs.task_ttl, error.message());
    match task.kind.as_str() {
        IMAGE_IMPORT | tasks::IMPORT => flows.fail_import(task, error).await.map(drop),
        LOCATION_IMPORT => Ok(flows.catalog.fail_location_import(task, message, ttl).await.map(drop)?),
        _ => {
            let failed = flows.catalog.fail_task(task.id, task.attempt, message, Some(Status::Killed), ttl);
            Ok(failed.await.map(drop)?)
        }
    }
}

/// What came of a task, to be shown.
async fn work(flows: &Flows, task: &Task, passed: &Passed) -> Result<Value> {
    if task.is_lost() {
        return Err(Error::invalid("The task could not be finished in many attempts."));
    }
    match task.kind.as_str() {
        COPY_FROM => flows.copy_from(task, passed).await.map(|_| Value::Null),
        LOCATION_IMPORT => flows.location_import(task).await.map(|()| Value::Null),
        IMAGE_IMPORT | tasks::IMPORT => flows.import(task, passed).await,
        // left to a replica of a newer release
        other => Err(Error::new(ErrorKind::Concurrent, format!("Tasks of type {other} are not known here."))),
    }
}

/// How far a task has come; the one that only hashes copies nothing.
fn progress(task: &Task, passed: &Passed) -> Value {
    match task.kind.as_str() {
        LOCATION_IMPORT => Value::Null,
        _ => json!({ "copied_bytes": passed.bytes() }),
    }
}

/// Returns when the lease is lost.
async fn keep_lease(flows: &Flows, task: &Task, passed: &Passed) {
    let lease = flows.config.jobs.lease;
    loop {
        sleep(lease / HEARTBEATS).await;
        match flows.catalog.heartbeat_task(task.id, task.attempt, lease, &progress(task, passed)).await {
            Ok(true) => {}
            Ok(false) => {
                warn!("a task was taken over by another runner");
                return;
            }
            Err(error) => warn!(error = %Chain(&error), "heartbeat of a task failed"),
        }
    }
}

fn backoff(failures: i32) -> Duration {
    let base = Duration::from_secs(2 << failures.clamp(0, 5));
    base.mul_f64(rand::random_range(0.5..1.0))
}
