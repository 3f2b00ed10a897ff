//! Transactions of `location_import` tasks: registering a URL as the data of an image in the background (images-v2.md
//! §16.1).
//!
//! The location's row has the id of its task, so that an attempt whose commit got lost finds its own work done. Locks
//! are taken in the order owner, image, task, as a delete takes the last two.

use std::time::Duration;

use deadpool_postgres::Transaction;

use crate::domain::image::ImageId;
use crate::domain::quota::Resource;
use crate::domain::task::Task;

use super::images::lock_owner;
use super::locations::{NewLocation, insert};
use super::retry::{Attempt, ONCE, PATIENT, REPEATABLE};
use super::row::sql;
use super::tasks::NewTask;
use super::usage::{judge, judge_limit};
use super::{Catalog, Result, commit, seconds};

/// What is known of data at a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// MD5 in hex.
    pub checksum: Option<String>,
    /// Algorithm of the secure hash.
    pub os_hash_algo: Option<String>,
    /// Secure hash in hex.
    pub os_hash_value: Option<String>,
}

impl Catalog {
    /// Enqueues the task, due now, and moves its image from `queued` to `importing`. False: the image is not queued.
    /// `uploading_limit` bounds what the owner has in transit (negative: none).
    ///
    /// # Errors
    /// `Duplicate` when the image has an open task already; `OverLimit`.
    pub async fn start_location_import(
        &self,
        id: ImageId,
        task: &NewTask,
        uploading_limit: i64,
    ) -> Result<bool> {
        let start = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("image_state"), &[&id.0]).await? else {
                return Ok(false);
            };
            if let Some(owner) = found.try_get::<_, Option<&str>>("owner")? {
                judge_limit(&transaction, owner, Resource::CountUploading, uploading_limit, 1).await?;
            }
            if super::execute(&transaction, sql!("start_location_import"), &[&id.0]).await? == 0 {
                return Ok(false);
            }
            super::tasks::insert(&transaction, task).await?;
            commit(transaction).await?;
            Ok(true)
        };
        self.run(ONCE, start).await
    }

    /// Makes the image `active` with its only location, under the quota of its owner (bytes; 0: none). None: the
    /// image is not `importing` any more, or the task was lost. Repeatable.
    ///
    /// # Errors
    /// `QuotaExceeded`, with nothing changed.
    pub async fn register_location(
        &self,
        task: &Task,
        location: &NewLocation,
        known: &Registered,
        quota: u64,
    ) -> Result<bool> {
        let Some(id) = task.image_id else { return Ok(false) };
        let register = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if super::row(&transaction, sql!("has_location"), &[&location.id, &id.0]).await?.is_some() {
                return Ok(true);
            }
            judge_location(&transaction, id, location.size, quota).await?;
            let (checksum, algo, hash) = (&known.checksum, &known.os_hash_algo, &known.os_hash_value);
            let values: super::Values<'_> = &[&id.0, &location.size, checksum, algo, hash];
            let active = super::execute(&transaction, sql!("activate_location_import"), values).await?;
            if active == 0 || !holds(&transaction, task).await? {
                return Ok(false);
            }
            insert(&transaction, id, location).await?;
            commit(transaction).await?;
            Ok(true)
        };
        self.run(PATIENT, register).await
    }

    /// Fills in the hashes of an image that is active already, if it still has the location of this task. False: it
    /// has not, has hashes, or the task was lost.
    pub async fn fill_hashes(&self, task: &Task, known: &Registered) -> Result<bool> {
        let Some(id) = task.image_id else { return Ok(false) };
        let fill = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let (checksum, algo, hash) = (&known.checksum, &known.os_hash_algo, &known.os_hash_value);
            let values: super::Values<'_> = &[&id.0, checksum, algo, hash, &task.id];
            let filled = super::execute(&transaction, sql!("fill_hashes"), values).await?;
            if filled == 0 || !holds(&transaction, task).await? {
                return Ok(false);
            }
            commit(transaction).await?;
            Ok(true)
        };
        self.run(PATIENT, fill).await
    }

    /// Ends the task in `failure`; an image that is still `importing` is `queued` again, without sizes and hashes.
    /// Repeatable. False: fenced out.
    pub async fn fail_location_import(&self, task: &Task, message: &str, ttl: Duration) -> Result<bool> {
        let image = task.image_id.map(|id| id.0);
        let fail = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            super::row(&transaction, sql!("lock_image"), &[&image]).await?;
            let values: super::Values<'_> = &[&task.id, &task.attempt, &message, &seconds(ttl)];
            if super::row(&transaction, sql!("fail_task"), values).await?.is_none() {
                return Ok(false);
            }
            // not where a later task has the image already
            super::execute(&transaction, sql!("requeue_import"), &[&image]).await?;
            commit(transaction).await?;
            Ok(true)
        };
        self.run(REPEATABLE, fail).await
    }
}

/// Whether this attempt still holds its task; if so, for the rest of the transaction.
pub(super) async fn holds(transaction: &Transaction<'_>, task: &Task) -> Attempt<bool> {
    let held = super::row(transaction, sql!("hold_task"), &[&task.id, &task.attempt]).await?;
    Ok(held.is_some())
}

async fn judge_location(transaction: &Transaction<'_>, id: ImageId, size: i64, quota: u64) -> Attempt<()> {
    let Some(state) = super::row(transaction, sql!("image_state"), &[&id.0]).await? else { return Ok(()) };
    let (Some(owner), 1..) = (state.try_get::<_, Option<&str>>("owner")?, quota) else { return Ok(()) };
    lock_owner(transaction, owner).await?;
    judge(transaction, owner, 0, size.unsigned_abs(), quota).await
}
