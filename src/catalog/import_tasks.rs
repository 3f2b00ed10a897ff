//! Transactions of import tasks (images-v2.md §14.3): what lies where, one store after the other, and the two ends.
//!
//! Locks are taken in the order owner, image, ledger, task, as a delete takes the last three. Every step finds out
//! whether it was done before, so that an attempt goes on where the one before it died.

use std::time::Duration;

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::domain::image::{Image, ImageId, Properties, Status};
use crate::domain::inherited::Inherited;
use crate::domain::quota::{self, Resource};
use crate::domain::task::Task;

use super::blobs::Blob;
use super::images::{insert, lock, lock_owner};
use super::location_tasks::holds;
use super::retry::{Attempt, PATIENT, REPEATABLE};
use super::row::{self, sql};
use super::usage::{judge, judge_limit, judge_own_upload};
use super::{Catalog, Error, ErrorKind, Result, bytes, commit, seconds};

/// An object with what is known of its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The object, `staged` or `live`.
    pub blob: Blob,
    /// Its digests in hex by algorithm.
    pub digests: Value,
    /// What content inspection saw.
    pub findings: Option<Value>,
    /// What the image takes over from the one elsewhere that it is a copy of.
    pub inherited: Option<Inherited>,
    /// The task that made it.
    pub task: Option<Uuid>,
}

/// What an import finds when an attempt begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    /// The record.
    pub image: Image,
    /// Its objects, oldest first.
    pub held: Vec<Held>,
}

/// Limits on what an import is about to take, judged before it takes anything. Negative: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// `image_count_uploading`, for imports that move data.
    pub uploading: i64,
    /// `image_stage_total` in MiB, for imports that move data.
    pub stage: i64,
    /// `image_size_total` in MiB, for imports of staged data.
    pub size: i64,
}

impl ImportLimits {
    fn are_set(self) -> bool {
        [self.uploading, self.stage, self.size].iter().any(|limit| *limit >= 0)
    }
}

/// An object that a task begins to write.
#[derive(Debug, Clone)]
pub struct NewWrite {
    /// Id of the object; also the fence of its writer.
    pub blob_id: Uuid,
    /// Store id.
    pub store: String,
    /// Object key.
    pub key: String,
    /// Bytes to reserve: the announced length, 0 when unknown.
    pub reserve: u64,
    /// How long the writer is believed alive without a heartbeat.
    pub lease: Duration,
    /// Storage quota of the owner in bytes; 0: none.
    pub quota: u64,
}

/// What becomes known of an image by its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataAttributes {
    /// Bytes.
    pub size: u64,
    /// Bytes of the disk inside.
    pub virtual_size: Option<u64>,
    /// MD5 in hex; absent when switched off.
    pub checksum: Option<String>,
    /// Algorithm of the secure hash.
    pub os_hash_algo: String,
    /// Secure hash in hex.
    pub os_hash_value: String,
    /// What the image takes over from another one.
    pub inherited: Option<Inherited>,
    /// How many properties an image may have; negative: any number.
    pub property_quota: i64,
    /// Disk and container format of the record that the data were judged by.
    pub judged_by: (Option<String>, Option<String>),
}

/// A complete object that becomes a copy of an image.
#[derive(Debug, Clone)]
pub struct NewCopy {
    /// Its row.
    pub blob: Uuid,
    /// Store id.
    pub store: String,
    /// Bytes.
    pub size: u64,
    /// Validator of the store.
    pub etag: Option<String>,
    /// Digests in hex by algorithm.
    pub digests: Value,
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq)]
pub enum Placed {
    /// It is one of the image's.
    Done,
    /// There was one in that store already: this one is garbage.
    Twice(Vec<Blob>),
    /// Nothing happened: the image has other formats than those that the data were judged by.
    Outdated,
    /// The image is gone, or the task was lost.
    Lost,
}

/// What became of the end of an import.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// The image has its data; these objects are garbage now.
    Done(Vec<Blob>),
    /// Nothing happened: the image has other formats than those that the data were judged by.
    Outdated,
    /// The image is gone, or the task was lost.
    Lost,
}

impl Catalog {
    /// Makes the image that a task of the tasks API is for, `importing` into `store`, and gives it to the task. False:
    /// the task was lost. Repeatable.
    ///
    /// # Errors
    /// `Duplicate` when the id is or was in use; `OverLimit`.
    pub async fn create_image_of(
        &self,
        task: &Task,
        image: &Image,
        store: &str,
        count_limit: i64,
    ) -> Result<bool> {
        let create = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let given = super::row(&transaction, sql!("image_of_task"), &[&task.id]).await?;
            let given: Option<Uuid> = given.map(|row| row.try_get("image_id")).transpose()?.flatten();
            if given == Some(image.id.0) {
                return Ok(true);
            }
            insert(&transaction, image, count_limit).await?;
            let (status, stores) = (image.status.as_str(), [store]);
            let values: super::Values<'_> =
                &[&image.id.0, &status, &stores.as_slice(), &false, &Json(&Properties::new())];
            super::execute(&transaction, sql!("start_import"), values).await?;
            let values: super::Values<'_> = &[&task.id, &task.attempt, &image.id.0];
            if super::execute(&transaction, sql!("give_image_to_task"), values).await? == 0 {
                return Ok(false);
            }
            commit(transaction).await?;
            Ok(true)
        };
        self.run(REPEATABLE, create).await
    }

    /// The image that a task works on by now.
    pub async fn image_of_task(&self, task: &Task) -> Result<Option<ImageId>> {
        let row = self.row(sql!("image_of_task"), &[&task.id]).await?;
        let image: Option<Option<Uuid>> = row
            .map(|row| row.try_get("image_id"))
            .transpose()
            .map_err(|e| Error::caused(ErrorKind::Internal, e))?;
        Ok(image.flatten().map(ImageId))
    }

    /// What an attempt has to work with. Objects that an attempt before it left half written become garbage. None:
    /// the image is gone, or the task was lost.
    ///
    /// # Errors
    /// `OverLimit`, as long as the task has brought nothing.
    pub async fn begin_import(&self, task: &Task, limits: ImportLimits) -> Result<Option<Begun>> {
        let Some(id) = task.image_id else { return Ok(None) };
        let begin = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("image_state"), &[&id.0]).await? else {
                return Ok(None);
            };
            let owner: Option<&str> = found.try_get("owner")?;
            if let Some(owner) = owner.filter(|_| limits.are_set()) {
                lock_owner(&transaction, owner).await?;
            }
            let Some(image) = lock(&transaction, id).await? else { return Ok(None) };
            super::execute(&transaction, sql!("discard_attempt"), &[&task.id]).await?;
            if image.is_deleted() || !holds(&transaction, task).await? {
                return Ok(None);
            }
            let held = held(&transaction, id).await?;
            // what was admitted once is not judged again, when it would count against itself
            let admitted = held.iter().any(|held| held.task == Some(task.id))
                || image.importing_to.as_ref().is_none_or(Vec::is_empty);
            if let Some(owner) = owner.filter(|_| !admitted) {
                judge_import(&transaction, owner, id, limits).await?;
            }
            commit(transaction).await?;
            Ok(Some(Begun { image, held }))
        };
        self.run(REPEATABLE, begin).await
    }

    /// Objects of an image that hold data, oldest first.
    pub async fn held(&self, id: ImageId) -> Result<Vec<Held>> {
        let read = || async {
            let connection = self.connection().await?;
            held(&*connection, id).await
        };
        self.run(REPEATABLE, read).await
    }

    /// A ledger row `writing` for an object of this task. False: the task was lost.
    ///
    /// # Errors
    /// `QuotaExceeded`.
    pub async fn start_write(&self, task: &Task, write: &NewWrite) -> Result<bool> {
        let Some(id) = task.image_id else { return Ok(false) };
        let reserve = bytes(write.reserve)?;
        let start = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("image_state"), &[&id.0]).await? else {
                return Ok(false);
            };
            let owner: Option<&str> = found.try_get("owner")?;
            // an earlier attempt of this start, whose outcome got lost, must not be held against itself
            if super::row(&transaction, sql!("blob_of_upload"), &[&write.blob_id]).await?.is_some() {
                return holds(&transaction, task).await;
            }
            if let (Some(owner), 1..) = (owner, write.quota) {
                lock_owner(&transaction, owner).await?;
                judge(&transaction, owner, 0, write.reserve, write.quota).await?;
            }
            let values: super::Values<'_> =
                &[&write.blob_id, &id.0, &write.store, &write.key, &reserve, &task.id, &seconds(write.lease)];
            super::execute(&transaction, sql!("insert_task_blob"), values).await?;
            if !holds(&transaction, task).await? {
                return Ok(false);
            }
            commit(transaction).await?;
            Ok(true)
        };
        self.run(REPEATABLE, start).await
    }

    /// Makes a complete object one of the image's copies, and with `activate` the image `active`. Repeatable.
    pub async fn place_copy(
        &self,
        task: &Task,
        copy: &NewCopy,
        activate: Option<&DataAttributes>,
    ) -> Result<Placed> {
        let Some(id) = task.image_id else { return Ok(Placed::Lost) };
        let size = bytes(copy.size)?;
        let place = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(image) = lock_importing(&transaction, id).await? else { return Ok(Placed::Lost) };
            let here = super::rows(&transaction, sql!("placed_in_store"), &[&id.0, &copy.store]).await?;
            let twice = match here.first().map(|row| row.try_get::<_, Uuid>("id")).transpose()? {
                Some(placed) => placed != copy.blob,
                None => {
                    let values: super::Values<'_> = &[&copy.blob, &size, &copy.etag, &copy.digests, &task.id];
                    if super::execute(&transaction, sql!("place_blob"), values).await? == 0 {
                        return Ok(Placed::Lost);
                    }
                    false
                }
            };
            super::execute(&transaction, sql!("import_to_store_done"), &[&id.0, &copy.store]).await?;
            if !activate_image(&transaction, &image, activate).await? {
                return Ok(Placed::Outdated);
            }
            let garbage = if twice {
                let discard = sql!("fail_blob" returning "blob");
                row::blobs(&super::rows(&transaction, discard, &[&copy.blob]).await?)?
            } else {
                Vec::new()
            };
            if !holds(&transaction, task).await? {
                return Ok(Placed::Lost);
            }
            commit(transaction).await?;
            Ok(if twice { Placed::Twice(garbage) } else { Placed::Done })
        };
        self.run(PATIENT, place).await
    }

    /// Notes that the data could not be put into `store`, where the others are to get them all the same. False: the
    /// task was lost.
    pub async fn note_failed_store(&self, task: &Task, store: &str) -> Result<bool> {
        let Some(id) = task.image_id else { return Ok(false) };
        let note = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            super::execute(&transaction, sql!("import_to_store_failed"), &[&id.0, &store]).await?;
            if !holds(&transaction, task).await? {
                return Ok(false);
            }
            commit(transaction).await?;
            Ok(true)
        };
        self.run(REPEATABLE, note).await
    }

    /// The data are in every store they are to be in: the image is `active` if it was not before, and what was staged
    /// becomes garbage. Repeatable.
    pub async fn finish_import(&self, task: &Task, activate: Option<&DataAttributes>) -> Result<Finish> {
        let Some(id) = task.image_id else { return Ok(Finish::Lost) };
        let finish = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(image) = lock_importing(&transaction, id).await? else { return Ok(Finish::Lost) };
            if !activate_image(&transaction, &image, activate).await? {
                return Ok(Finish::Outdated);
            }
            super::execute(&transaction, sql!("end_import"), &[&id.0]).await?;
            super::execute(&transaction, sql!("forget_findings"), &[&id.0]).await?;
            let staged = sql!("discard_staged" returning "blob");
            let garbage = row::blobs(&super::rows(&transaction, staged, &[&id.0]).await?)?;
            if !holds(&transaction, task).await? {
                return Ok(Finish::Lost);
            }
            commit(transaction).await?;
            Ok(Finish::Done(garbage))
        };
        self.run(PATIENT, finish).await
    }

    /// Ends the task in `failure`, adding `failed` to the stores that the image names. An `importing` image is
    /// `queued` again without data; what was staged becomes garbage, and so do the copies of an active image that the
    /// task made, unless `keep_copies` or nothing else would be left. Returns the garbage. None: fenced out. Repeatable.
    pub async fn fail_import(
        &self,
        task: &Task,
        message: &str,
        failed: &[String],
        keep_copies: bool,
        ttl: Duration,
    ) -> Result<Option<Vec<Blob>>> {
        let image = task.image_id.map(|id| id.0);
        let fail = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let locked = super::row(&transaction, sql!("lock_image"), &[&image]).await?;
            let status = locked.as_ref().map(row::status).transpose()?;
            if !holds(&transaction, task).await? {
                // an earlier try of this may have ended it, and somebody else may have the image by now
                let failed =
                    super::row(&transaction, sql!("failed_attempt"), &[&task.id, &task.attempt]).await?;
                return Ok(failed.map(|_| Vec::new()));
            }
            let mut garbage = Vec::new();
            if let Some(Status::Importing | Status::Active | Status::Deactivated) = status {
                let importing = status == Some(Status::Importing);
                let discard = sql!("discard_task_blobs" returning "blob");
                let values: super::Values<'_> = &[&image, &task.id, &importing, &!keep_copies];
                garbage = row::blobs(&super::rows(&transaction, discard, values).await?)?;
                super::execute(&transaction, sql!("fail_import"), &[&image, &failed]).await?;
            }
            let values: super::Values<'_> = &[&task.id, &task.attempt, &message, &seconds(ttl)];
            if super::row(&transaction, sql!("fail_task"), values).await?.is_none() {
                return Ok(None);
            }
            commit(transaction).await?;
            Ok(Some(garbage))
        };
        self.run(REPEATABLE, fail).await
    }
}

async fn judge_import(
    transaction: &Transaction<'_>,
    owner: &str,
    id: ImageId,
    limits: ImportLimits,
) -> Attempt<()> {
    judge_own_upload(transaction, owner, limits.uploading).await?;
    let held = super::row(transaction, sql!("held_bytes"), &[&id.0]).await?.ok_or(ErrorKind::Internal)?;
    let held = quota::mib(held.try_get::<_, i64>(0)?.unsigned_abs());
    judge_limit(transaction, owner, Resource::StageTotal, limits.stage, held).await?;
    judge_limit(transaction, owner, Resource::SizeTotal, limits.size, held).await
}

/// Locks the image, if an import may still work on it.
async fn lock_importing(transaction: &Transaction<'_>, id: ImageId) -> Attempt<Option<Image>> {
    let open =
        |image: &Image| matches!(image.status, Status::Importing | Status::Active | Status::Deactivated);
    Ok(lock(transaction, id).await?.filter(open))
}

/// Makes an image, locked as it is here, `active` if it is `importing`. False: it has other formats than those that the
/// data were judged by.
async fn activate_image(
    transaction: &Transaction<'_>,
    image: &Image,
    activate: Option<&DataAttributes>,
) -> Attempt<bool> {
    let Some(data) = activate else { return Ok(true) };
    let size = bytes(data.size)?;
    let virtual_size = data.virtual_size.map(bytes).transpose()?;
    let (algorithm, hash) = (&data.os_hash_algo, &data.os_hash_value);
    let inherited = data.inherited.as_ref();
    if image.status != Status::Importing {
        // it was made active before
        return Ok(true);
    }
    if let Some(inherited) = inherited {
        let fits = inherited.check_quota(&image.properties, data.property_quota);
        fits.map_err(|_| ErrorKind::TooManyProperties)?;
    }
    let disk_format = inherited.and_then(|inherited| inherited.disk_format.as_deref());
    let container_format = inherited.and_then(|inherited| inherited.container_format.as_deref());
    let properties = Json(inherited.map(|inherited| inherited.properties.clone()).unwrap_or_default());
    let values: super::Values<'_> = &[
        &image.id.0,
        &size,
        &data.checksum,
        algorithm,
        hash,
        &virtual_size,
        &disk_format,
        &container_format,
        &properties,
        &data.judged_by.0,
        &data.judged_by.1,
    ];
    Ok(super::execute(transaction, sql!("activate_import"), values).await? == 1)
}

async fn held(client: &impl GenericClient, id: ImageId) -> Attempt<Vec<Held>> {
    let held = super::rows(client, sql!(select "blob" "held_blobs"), &[&id.0]).await?;
    held.iter().map(held_blob).collect()
}

fn held_blob(row: &Row) -> Attempt<Held> {
    Ok(Held {
        blob: row::blob(row)?,
        digests: row.try_get::<_, Option<Value>>("digests")?.unwrap_or_default(),
        findings: row.try_get("findings")?,
        inherited: row.try_get::<_, Option<Json<_>>>("inherited")?.map(|inherited| inherited.0),
        task: row.try_get("task_id")?,
    })
}
