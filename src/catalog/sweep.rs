//! Statements of the reconcilers: idempotent, in batches under `SKIP LOCKED`, on the database clock.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::blobs::{Blob, BlobState};
use super::images::bury;
use super::retry::{Attempt, REPEATABLE};
use super::row::{self, sql};
use super::{Catalog, Error, ErrorKind, Result, commit, seconds};

/// Backlog figures for metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerBacklog {
    /// Rows in `garbage`.
    pub garbage: i64,
    /// Age of the oldest of them in seconds.
    pub garbage_oldest_secs: f64,
    /// Rows in `writing` whose lease has run out.
    pub writing_expired: i64,
    /// Tasks `pending`.
    pub tasks_pending: i64,
    /// Tasks `processing`.
    pub tasks_processing: i64,
    /// How long the oldest due task has been due, in seconds.
    pub tasks_oldest_due_secs: f64,
}

impl Catalog {
    /// Writers whose lease ran out: object → garbage (abandoned), image → its `on_failure`. Staged objects past
    /// their time → garbage. Returns how many.
    pub async fn expire_uploads(&self, limit: i64) -> Result<u64> {
        let expire = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let expired = super::rows(&transaction, sql!("expired_writers"), &[&limit]).await?;
            if expired.is_empty() {
                return Ok(0);
            }
            let blobs = ids(&expired, "id")?;
            let images = ids(&expired, "image_id")?;
            // Image before object, as everywhere; an image that is being changed right now waits for the next sweep.
            let locked = ids(&super::rows(&transaction, sql!("lock_images"), &[&images]).await?, "id")?;
            let lost =
                ids(&super::rows(&transaction, sql!("expire_blobs"), &[&blobs, &locked]).await?, "id")?;
            super::execute(&transaction, sql!("fail_images"), &[&lost]).await?;
            commit(transaction).await?;
            Ok(lost.len() as u64)
        };
        self.run(REPEATABLE, expire).await
    }

    /// Claims garbage that is due and `deleted` rows past their grace, pushing `due_at` by `lease` so that no other
    /// replica takes them meanwhile.
    pub async fn claim_garbage(&self, limit: i64, lease: Duration) -> Result<Vec<Blob>> {
        let claim = || async {
            let connection = self.connection().await?;
            super::rows(&*connection, sql!("claim_garbage" returning "blob"), &[&limit, &seconds(lease)])
                .await
        };
        row::blobs(&self.run(REPEATABLE, claim).await?)
    }

    /// The object and its multipart upload are gone. The row goes too, unless its writer was abandoned or
    /// ended in the middle of a write: then it stays as `deleted` until `grace` has passed. The caller says so by
    /// `blob.abandoned` where the ledger does not know. `blob.state` is the state in which the object was removed,
    /// so that repeating the call does not take the first removal for the last.
    pub async fn forget_blob(&self, blob: &Blob, grace: Duration) -> Result<()> {
        if blob.state == BlobState::Deleted {
            self.execute(REPEATABLE, sql!("forget_deleted"), &[&blob.id]).await?;
        } else {
            let values: super::Values<'_> = &[&blob.id, &blob.abandoned, &seconds(grace)];
            self.execute(REPEATABLE, sql!("forget_garbage"), values).await?;
        }
        Ok(())
    }

    /// Images `pending_delete` for longer than `scrub_time` → `deleted`, their objects → garbage. Returns how many.
    pub async fn expire_pending_deletes(&self, scrub_time: Duration, limit: i64) -> Result<u64> {
        let expire = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let values: super::Values<'_> = &[&seconds(scrub_time), &limit];
            let expired = super::rows(&transaction, sql!("lock_expired_pending_deletes"), values).await?;
            if !expired.is_empty() {
                bury(&transaction, &ids(&expired, "id")?).await?;
                commit(transaction).await?;
            }
            Ok(expired.len() as u64)
        };
        self.run(REPEATABLE, expire).await
    }

    /// Images `importing` that no task works on → `queued`, what they have of data → garbage. Every end of an import moves its image, so there should be
    /// none. Returns how many.
    pub async fn requeue_stuck_imports(&self, limit: i64) -> Result<u64> {
        let requeued = self.change(REPEATABLE, sql!("stuck_imports"), &[&limit]).await?;
        let requeued: i64 = requeued
            .map_or(Ok(0), |row| row.try_get(0))
            .map_err(|e| Error::caused(ErrorKind::Internal, e))?;
        Ok(requeued.unsigned_abs())
    }

    /// Removes finished tasks past their expiry. Returns how many.
    pub async fn expire_tasks(&self, limit: i64) -> Result<u64> {
        self.execute(REPEATABLE, sql!("expire_tasks"), &[&limit]).await
    }

    /// Empties the records of images deleted longer ago than `age`, keeping only that the id is taken. Returns how
    /// many.
    pub async fn purge_images(&self, age: Duration, limit: i64) -> Result<u64> {
        self.execute(REPEATABLE, sql!("purge_images"), &[&seconds(age), &limit]).await
    }

    /// Marks rows for removal that the scrub found without an object or that nobody owns; for `scrub --delete`.
    pub async fn discard_blob(&self, id: Uuid) -> Result<()> {
        self.execute(REPEATABLE, sql!("discard_blob"), &[&id]).await?;
        Ok(())
    }

    /// Figures for metrics.
    pub async fn backlog(&self) -> Result<LedgerBacklog> {
        let figures =
            self.row(sql!("backlog"), &[]).await?.ok_or_else(|| Error::plain(ErrorKind::Internal))?;
        row::backlog(&figures)
    }
}

fn ids(rows: &[Row], column: &str) -> Attempt<Vec<Uuid>> {
    Ok(rows.iter().map(|row| row.try_get(column)).collect::<Result<_, _>>()?)
}
