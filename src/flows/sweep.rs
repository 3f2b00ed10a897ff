//! The sweep: finishes what a crash or a failure left. It takes no input, is idempotent, and runs in every replica;
//! it is the only crash recovery there is.

use futures_util::{StreamExt, stream};
use serde::Serialize;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::Result;

use super::Flows;

/// Rows taken at a time.
const BATCH: i64 = 100;
/// Objects claimed at a time: as many as can be removed within their claim, however slow the store is.
const GARBAGE_BATCH: i64 = 32;
/// Longest removal of one object.
const REMOVAL_LIMIT: Duration = Duration::from_secs(20);
/// Batches of one kind in one pass, so that a pass ends.
const MOST_BATCHES: usize = 1000;
/// How long claimed garbage is left alone by other replicas, in leases: a dead replica's is taken over like its uploads.
const GARBAGE_LEASES: u32 = 2;
/// Objects removed at the same time.
const PARALLEL_REMOVALS: usize = 8;

/// What one pass did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Uploads whose writer is gone.
    pub expired_uploads: u64,
    /// Images whose delayed delete fell due.
    pub expired_pending_deletes: u64,
    /// Objects removed.
    pub removed_objects: u64,
    /// Objects that could not be removed yet.
    pub failed_removals: u64,
    /// Images that were `importing` without a task.
    pub requeued_imports: u64,
    /// Finished tasks removed.
    pub expired_tasks: u64,
    /// Records of images deleted longer ago than `jobs.deleted_ttl`, emptied.
    pub purged_images: u64,
}

impl Flows {
    /// One pass over everything that is due.
    pub async fn sweep(&self) -> Result<SweepReport> {
        let scrub_time = self.config.images.scrub_time;
        let mut report = SweepReport {
            expired_uploads: repeat(|| async { Ok(self.catalog.expire_uploads(BATCH).await?) }).await?,
            expired_pending_deletes: repeat(|| async {
                Ok(self.catalog.expire_pending_deletes(scrub_time, BATCH).await?)
            })
            .await?,
            requeued_imports: repeat(|| async { Ok(self.catalog.requeue_stuck_imports(BATCH).await?) })
                .await?,
            expired_tasks: repeat(|| async { Ok(self.catalog.expire_tasks(BATCH).await?) }).await?,
            purged_images: self.purge(self.config.jobs.deleted_ttl).await?,
            ..SweepReport::default()
        };
        self.remove_due_garbage(&mut report).await?;
        Ok(report)
    }

    async fn remove_due_garbage(&self, report: &mut SweepReport) -> Result<()> {
        for _ in 0..MOST_BATCHES {
            let claimed =
                self.catalog.claim_garbage(GARBAGE_BATCH, self.config.jobs.lease * GARBAGE_LEASES).await?;
            if claimed.is_empty() {
                break;
            }
            let removals = claimed.into_iter().map(|blob| async move {
                timeout(REMOVAL_LIMIT, self.remove_garbage(&blob)).await.unwrap_or(false)
            });
            let outcomes: Vec<bool> =
                stream::iter(removals).buffer_unordered(PARALLEL_REMOVALS).collect().await;
            let removed = outcomes.iter().filter(|gone| **gone).count() as u64;
            report.removed_objects += removed;
            report.failed_removals += outcomes.len() as u64 - removed;
            if removed == 0 {
                // the stores are in trouble: the next pass is the retry
                break;
            }
        }
        Ok(())
    }

    /// Empties the records of images deleted longer ago than `age`; their ids stay taken. Returns how many.
    pub async fn purge(&self, age: Duration) -> Result<u64> {
        repeat(|| async { Ok(self.catalog.purge_images(age, BATCH).await?) }).await
    }

    /// Brings the gauges of backlog up to date.
    pub async fn observe_backlog(&self) -> Result<()> {
        let backlog = self.catalog.backlog().await?;
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        let age = |secs: f64| Duration::try_from_secs_f64(secs).unwrap_or_default();
        self.metrics.set_garbage(count(backlog.garbage), age(backlog.garbage_oldest_secs));
        self.metrics.set_expired_writers(count(backlog.writing_expired));
        self.metrics.set_tasks("pending", count(backlog.tasks_pending));
        self.metrics.set_tasks("processing", count(backlog.tasks_processing));
        self.metrics.set_oldest_due_task(age(backlog.tasks_oldest_due_secs));
        Ok(())
    }
}

/// Repeats a batch until it finds nothing more; adds up what it did.
async fn repeat<F: Future<Output = Result<u64>>>(mut batch: impl FnMut() -> F) -> Result<u64> {
    let mut total = 0;
    for _ in 0..MOST_BATCHES {
        match batch().await? {
            0 => break,
            done => total += done,
        }
    }
    Ok(total)
}
