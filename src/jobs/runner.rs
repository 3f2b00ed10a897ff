//! The task runner: claims due tasks, keeps their lease while a flow works, and writes down how they end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::domain::image::Status;
use crate::domain::task::Task;
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::flows::Flows;
use crate::flows::copy_from::{COPY_FROM, MOST_ATTEMPTS};
use crate::flows::location_import::LOCATION_IMPORT;

/// Time between two looks at the queue when nothing wakes the runner, before jitter.
const POLL: Duration = Duration::from_secs(2);
/// Pause before a task is tried again whose image is being written by somebody else.
const BUSY_PAUSE: Duration = Duration::from_secs(3);
/// Heartbeats within one lease.
const HEARTBEATS: u32 = 6;

/// Runs tasks until `stop` fires; what runs then is given back without counting as an attempt.
pub async fn run(flows: Flows, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(flows.config.jobs.concurrency.max(1)));
    while let Some(slot) = next_slot(&slots, &stop).await {
        match flows.catalog.claim_task(flows.config.jobs.lease).await {
            Ok(Some(task)) => start(&flows, task, slot, stop.clone()),
            Ok(None) => wait(&flows, &stop).await,
            Err(error) => {
                warn!(error = %Chain(&error), "tasks could not be claimed");
                wait(&flows, &stop).await;
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

fn start(flows: &Flows, task: Task, slot: OwnedSemaphorePermit, stop: CancellationToken) {
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
            drop(slot);
        }
        .instrument(span),
    );
}

/// One attempt, and its end in the queue. An attempt that lost its lease writes nothing: its fence stops it.
async fn attempt(flows: &Flows, task: &Task, stop: &CancellationToken) -> Result<()> {
    let outcome = tokio::select! {
        outcome = work(flows, task) => outcome,
        () = keep_lease(flows, task) => return Ok(()),
        () = stop.cancelled() => {
            flows.catalog.release_task(task.id, task.attempt, Duration::ZERO, false).await?;
            return Ok(());
        }
    };
    let ttl = flows.config.jobs.task_ttl;
    match outcome {
        Ok(()) => {
            flows.catalog.succeed_task(task.id, task.attempt, &json!(null), ttl).await?;
        }
        Err(error) if error.kind() == ErrorKind::Concurrent => {
            // another writer, or the remains of a lost attempt, still holds the image
            flows.catalog.release_task(task.id, task.attempt, BUSY_PAUSE, false).await?;
        }
        Err(error) if error.kind().retryable() && task.attempt < MOST_ATTEMPTS => {
            info!(error = %Chain(&error), "a task failed and will be tried again");
            flows.catalog.release_task(task.id, task.attempt, backoff(task.attempt), true).await?;
        }
        Err(error) => {
            warn!(error = %Chain(&error), "a task failed");
            give_up(flows, task, error.message()).await?;
        }
    }
    Ok(())
}

/// Ends a task for good, and leaves its image as the API that began it wants.
async fn give_up(flows: &Flows, task: &Task, message: &str) -> Result<()> {
    let ttl = flows.config.jobs.task_ttl;
    let written = match task.kind.as_str() {
        LOCATION_IMPORT => flows.catalog.fail_location_import(task, message, ttl).await,
        _ => flows.catalog.fail_task(task.id, task.attempt, message, Some(Status::Killed), ttl).await,
    };
    // fenced out: whoever holds the task now writes down its end
    Ok(written.map(drop)?)
}

async fn work(flows: &Flows, task: &Task) -> Result<()> {
    match task.kind.as_str() {
        COPY_FROM => flows.copy_from(task).await.map(drop),
        LOCATION_IMPORT => flows.location_import(task).await,
        // left to a replica of a newer release
        other => Err(Error::new(ErrorKind::Concurrent, format!("Tasks of type {other} are not known here."))),
    }
}

/// Returns when the lease is lost.
async fn keep_lease(flows: &Flows, task: &Task) {
    let lease = flows.config.jobs.lease;
    loop {
        sleep(lease / HEARTBEATS).await;
        match flows.catalog.heartbeat_task(task.id, task.attempt, lease, &json!(null)).await {
            Ok(true) => {}
            Ok(false) => {
                warn!("a task was taken over by another runner");
                return;
            }
            Err(error) => warn!(error = %Chain(&error), "heartbeat of a task failed"),
        }
    }
}

fn backoff(attempt: i32) -> Duration {
    let base = Duration::from_secs(1 << attempt.clamp(0, 6));
    base.mul_f64(rand::random_range(0.5..1.0))
}
