//! The database side of an upload: start, heartbeat, reservation, and the two ends.

use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::domain::image::{Image, ImageId, Status};
use crate::domain::inherited::Inherited;
use crate::domain::quota::{self, Resource};
use crate::domain::task::Task;

use super::blobs::Blob;
use super::images::lock_owner;
use super::location_tasks::holds;
use super::retry::{Attempt, PATIENT, REPEATABLE};
use super::row::{self, sql};
use super::usage::{Quota, judge, judge_growth, judge_limit};
use super::{Catalog, ErrorKind, Result, bytes, commit, seconds};

/// What an upload does to its image when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The data become those of the image: `queued → saving`.
    Saving,
    /// The data wait for their import: `queued → uploading`.
    Uploading,
}

impl Begin {
    fn status(self) -> Status {
        match self {
            Self::Saving => Status::Saving,
            Self::Uploading => Status::Uploading,
        }
    }
}

/// An upload that begins.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Id of the object; also its fence.
    pub blob_id: Uuid,
    /// Image the data is for.
    pub image_id: ImageId,
    /// What it does to the image.
    pub begin: Begin,
    /// Store id.
    pub store: String,
    /// Object key.
    pub key: String,
    /// Bytes to reserve: the announced length, 0 when unknown.
    pub reserve: u64,
    /// State the image goes to when the upload fails or its writer dies (v1: killed, v2: queued).
    pub on_failure: Status,
    /// How long the writer is believed alive without a heartbeat.
    pub lease: Duration,
    /// Storage quota of the owner in bytes; 0: none.
    pub quota: u64,
    /// Uploads of the owner at a time; negative: no limit.
    pub uploading_limit: i64,
    /// MiB of the owner in images; negative: no limit. Not for data that wait for their import.
    pub size_limit: i64,
    /// MiB of the owner in staging; negative: no limit. Only for data that wait for their import.
    pub stage_limit: i64,
}

/// What became of the start of an upload.
#[expect(clippy::large_enum_variant, reason = "made once per upload and taken apart at once")]
#[derive(Debug)]
pub enum Started {
    /// The image is `saving` or `uploading` and the ledger row is written.
    Begun(Image),
    /// The image is in this state and takes no data (`None`: it is gone).
    NotQueued(Option<Status>),
}

/// What is known once all bytes are stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// Bytes of the disk inside; what the record has stays where none is given.
    pub virtual_size: Option<u64>,
    /// Validator of the store.
    pub etag: String,
    /// MD5 in hex; absent when switched off.
    pub checksum: Option<String>,
    /// Algorithm of the secure hash.
    pub os_hash_algo: &'static str,
    /// Secure hash in hex.
    pub os_hash_value: String,
}

impl Stored {
    /// All digests by algorithm, as the ledger keeps them.
    pub fn digests(&self) -> Value {
        json!({ "md5": self.checksum, self.os_hash_algo: self.os_hash_value })
    }
}

/// Data that wait for their import.
#[derive(Debug, Clone, Copy)]
pub struct Staged<'a> {
    /// What is known of them.
    pub stored: &'a Stored,
    /// What content inspection saw.
    pub findings: &'a Value,
    /// What the image takes over from the one elsewhere that they are a copy of.
    pub inherited: Option<&'a Inherited>,
    /// How long they wait.
    pub ttl: Duration,
    /// The import that fetched them; none for those of a request.
    pub task: Option<&'a Task>,
}

impl Staged<'_> {
    /// The state that the image must be in.
    fn image_is(&self) -> Status {
        if self.task.is_some() { Status::Importing } else { Status::Uploading }
    }
}

/// What became of the end of an upload.
#[expect(clippy::large_enum_variant, reason = "made once per upload and taken apart at once")]
#[derive(Debug)]
pub enum Finished {
    /// The object is complete and the image has moved on.
    Done(Image),
    /// The lease was lost or the image deleted meanwhile (its state, if the row is still there); the object is
    /// garbage.
    Lost(Option<Status>),
}

impl Catalog {
    /// Transaction A: image out of `queued` as [`NewUpload::begin`] says and a ledger row `writing` with a lease, or neither. Quota is judged
    /// under the owner's advisory lock, so that the sum of all uploads never exceeds it. Images without an owner
    /// are nobody's usage.
    ///
    /// # Errors
    /// `QuotaExceeded`, `OverLimit`.
    pub async fn start_upload(&self, upload: &NewUpload) -> Result<Started> {
        let reserve = bytes(upload.reserve)?;
        let start = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let image = upload.image_id.0;
            let Some(found) = super::row(&transaction, sql!("image_state"), &[&image]).await? else {
                return Ok(Started::NotQueued(None));
            };
            let owner: Option<&str> = found.try_get("owner")?;
            if let Some(owner) = owner
                && let Err(refusal) = judge_start(&transaction, owner, upload).await
            {
                // an earlier attempt of this start, whose outcome got lost, must not be held against itself
                return match begun(&transaction, upload).await? {
                    Some(image) => Ok(Started::Begun(image)),
                    None => Err(refusal),
                };
            }
            let start = sql!("start_upload" returning "image");
            let status = upload.begin.status().as_str();
            let Some(begun) = super::row(&transaction, start, &[&image, &status]).await? else {
                return not_queued(&transaction, upload).await;
            };
            // its row is locked only now: whoever has got it meanwhile is charged
            let begun = row::image(&begun)?;
            let (on_failure, lease) = (upload.on_failure.as_str(), seconds(upload.lease));
            super::execute(
                &transaction,
                sql!("insert_blob"),
                &[
                    &upload.blob_id,
                    &image,
                    &begun.owner,
                    &upload.store,
                    &upload.key,
                    &reserve,
                    &on_failure,
                    &lease,
                ],
            )
            .await?;
            commit(transaction).await?;
            Ok(Started::Begun(begun))
        };
        self.run(REPEATABLE, start).await
    }

    /// Heartbeat: extends the lease. False: it is lost and the writer must stop.
    pub async fn extend_lease(&self, blob: Uuid, lease: Duration) -> Result<bool> {
        Ok(self.execute(REPEATABLE, sql!("extend_lease"), &[&blob, &seconds(lease)]).await? == 1)
    }

    /// Notes the multipart upload before its first part is sent. False: the lease is lost.
    pub async fn record_upload_id(&self, blob: Uuid, upload_id: &str) -> Result<bool> {
        Ok(self.execute(REPEATABLE, sql!("record_upload_id"), &[&blob, &upload_id]).await? == 1)
    }

    /// Raises the reservation of a writer to `total` bytes. False: the lease is lost.
    ///
    /// # Errors
    /// `QuotaExceeded`, `OverLimit`.
    pub async fn reserve(&self, blob: Uuid, total: u64, quota: Quota) -> Result<bool> {
        let wanted = bytes(total)?;
        let reserve = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(row) = super::row(&transaction, sql!("blob_of_upload"), &[&blob]).await? else {
                return Ok(false);
            };
            if row.try_get::<_, &str>("state")? == "writing" {
                let writer = (blob, row.try_get("owner")?, row.try_get("size")?);
                judge_growth(&transaction, writer, total, quota).await?;
            }
            let raised = super::execute(&transaction, sql!("reserve"), &[&blob, &wanted]).await?;
            commit(transaction).await?;
            Ok(raised == 1)
        };
        self.run(REPEATABLE, reserve).await
    }

    /// Transaction B: object `writing → live`, image `saving → active` with size and digests; when either is not
    /// possible the object becomes garbage. Repeatable: after an unknown outcome the same call tells what happened.
    ///
    /// # Errors
    /// `QuotaExceeded`, `OverLimit`, with nothing changed.
    pub async fn finish_upload(&self, blob: Uuid, stored: &Stored, quota: Quota) -> Result<Finished> {
        let size = bytes(stored.size)?;
        let virtual_size = stored.virtual_size.map(bytes).transpose()?;
        let digests = stored.digests();
        let finish = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("blob_of_upload"), &[&blob]).await? else {
                return Ok(Finished::Lost(None));
            };
            let image: Uuid = found.try_get("image_id")?;
            if found.try_get::<_, &str>("state")? == "writing" {
                let writer = (blob, found.try_get("owner")?, found.try_get("size")?);
                judge_growth(&transaction, writer, stored.size, quota).await?;
            }
            let status = lock_image(&transaction, image).await?;
            if status != Some(Status::Saving) {
                return settled(transaction, blob, image, size, status).await;
            }
            let values: super::Values<'_> = &[&blob, &size, &stored.etag, &digests];
            if super::execute(&transaction, sql!("finish_blob"), values).await? == 0 {
                return Ok(Finished::Lost(status));
            }
            let activate = sql!("activate_image" returning "image");
            let (algorithm, hash) = (&stored.os_hash_algo, &stored.os_hash_value);
            let values: super::Values<'_> =
                &[&image, &size, &stored.checksum, algorithm, hash, &virtual_size];
            let active = super::row(&transaction, activate, values).await?.ok_or(ErrorKind::Internal)?;
            commit(transaction).await?;
            Ok(Finished::Done(row::image(&active)?))
        };
        self.run(PATIENT, finish).await
    }

    /// The end of staging: object `writing → staged`, with what content inspection saw of it, until `ttl` is over. The
    /// image, `uploading` or held by the import of `task`, learns its size. When either is not possible the object
    /// becomes garbage. Repeatable.
    ///
    /// # Errors
    /// `QuotaExceeded`, `OverLimit`, with nothing changed.
    pub async fn finish_staging(&self, blob: Uuid, staged: &Staged<'_>, quota: Quota) -> Result<Finished> {
        let size = bytes(staged.stored.size)?;
        let digests = staged.stored.digests();
        let finish = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("blob_of_upload"), &[&blob]).await? else {
                return Ok(Finished::Lost(None));
            };
            let image: Uuid = found.try_get("image_id")?;
            if found.try_get::<_, &str>("state")? == "writing" {
                let writer = (blob, found.try_get("owner")?, found.try_get("size")?);
                judge_growth(&transaction, writer, staged.stored.size, quota).await?;
            }
            let status = lock_image(&transaction, image).await?;
            let values: super::Values<'_> = &[
                &blob,
                &size,
                &staged.stored.etag,
                &digests,
                staged.findings,
                &seconds(staged.ttl),
                &staged.inherited.map(Json),
            ];
            if status != Some(staged.image_is())
                || super::execute(&transaction, sql!("finish_staging"), values).await? == 0
            {
                return settled(transaction, blob, image, size, status).await;
            }
            let record = sql!("record_staged" returning "image");
            let record = super::row(&transaction, record, &[&image, &size]).await?;
            let record = record.ok_or(ErrorKind::Internal)?;
            if let Some(task) = staged.task
                && !holds(&transaction, task).await?
            {
                return Ok(Finished::Lost(status));
            }
            commit(transaction).await?;
            Ok(Finished::Done(row::image(&record)?))
        };
        self.run(PATIENT, finish).await
    }

    /// The upload failed: object → garbage due now, image `saving →` its `on_failure`, in one transaction.
    /// Returns the object if it is to be removed now. Repeatable.
    pub async fn fail_upload(&self, blob: Uuid) -> Result<Option<Blob>> {
        let fail = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("blob_of_upload"), &[&blob]).await? else {
                return Ok(None);
            };
            lock_image(&transaction, found.try_get("image_id")?).await?;
            if super::execute(&transaction, sql!("fail_blob"), &[&blob]).await? == 1 {
                super::execute(&transaction, sql!("fail_images"), &[&vec![blob]]).await?;
            }
            let garbage = super::row(&transaction, sql!(select "blob" "garbage_blob"), &[&blob]).await?;
            commit(transaction).await?;
            Ok(garbage.as_ref().map(row::blob).transpose()?)
        };
        self.run(PATIENT, fail).await
    }
}

/// Judges the limits of a start, in the order of images-v2.md §11.2; takes the owner's lock only where one is set.
async fn judge_start(transaction: &Transaction<'_>, owner: &str, upload: &NewUpload) -> Attempt<()> {
    let size = quota::mib(upload.reserve);
    let (resource, limit) = match upload.begin {
        Begin::Saving => (Resource::SizeTotal, upload.size_limit),
        Begin::Uploading => (Resource::StageTotal, upload.stage_limit),
    };
    judge_limit(transaction, owner, resource, limit, size).await?;
    judge_limit(transaction, owner, Resource::CountUploading, upload.uploading_limit, 1).await?;
    if upload.quota > 0 {
        lock_owner(transaction, owner).await?;
        judge(transaction, owner, 0, upload.reserve, upload.quota).await?;
    }
    Ok(())
}

/// Why an image takes no data. An earlier attempt of the same start, whose outcome got lost, is no reason.
async fn not_queued(transaction: &Transaction<'_>, upload: &NewUpload) -> Attempt<Started> {
    if let Some(image) = begun(transaction, upload).await? {
        return Ok(Started::Begun(image));
    }
    let state = super::row(transaction, sql!("image_state"), &[&upload.image_id.0]).await?;
    Ok(Started::NotQueued(state.as_ref().map(row::status).transpose()?))
}

/// The image, if this very upload has begun already.
async fn begun(transaction: &Transaction<'_>, upload: &NewUpload) -> Attempt<Option<Image>> {
    let ours = sql!(select "image" "image_being_written");
    let image = super::row(transaction, ours, &[&upload.image_id.0, &upload.blob_id]).await?;
    Ok(image.as_ref().map(row::image).transpose()?)
}

async fn lock_image(transaction: &Transaction<'_>, id: Uuid) -> Attempt<Option<Status>> {
    let row = super::row(transaction, sql!("lock_image"), &[&id]).await?;
    Ok(row.as_ref().map(row::status).transpose()?)
}

/// The end of an upload whose image does not wait for it: either it was finished before, or it was lost.
async fn settled(
    transaction: Transaction<'_>,
    blob: Uuid,
    image: Uuid,
    size: i64,
    status: Option<Status>,
) -> Attempt<Finished> {
    let complete = sql!(select "image" "image_of_complete_blob");
    if let Some(image) = super::row(&transaction, complete, &[&image, &blob]).await? {
        return Ok(Finished::Done(row::image(&image)?));
    }
    super::execute(&transaction, sql!("discard_finished_blob"), &[&blob, &size]).await?;
    commit(transaction).await?;
    Ok(Finished::Lost(status))
}
