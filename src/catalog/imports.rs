//! The start of an import: the image, its stores and the task change together, or not at all (images-v2.md §14.2,
//! §14.6).
//!
//! The open task of an image is its import lock: there is at most one, which an index sees to. A lock whose task was
//! left alone for too long is broken by the next import; the attempt that held it is fenced out.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::types::Json;

use crate::domain::image::{Image, ImageId, Properties, Status};
use crate::domain::quota::Resource;

use super::images::{CANCELLED_TTL_SECS, lock};
use super::retry::{Attempt, REPEATABLE};
use super::row::sql;
use super::tasks::NewTask;
use super::usage::judge_limit;
use super::{Catalog, ErrorKind, Result, commit, seconds};

/// A lock whose task waits is broken after so long …
const PENDING_LOCK: Duration = Duration::from_secs(120 * 60);
/// … and one whose task was at work and was not heard of, after so long.
const PROCESSING_LOCK: Duration = Duration::from_secs(60 * 60);

/// An import that begins.
#[derive(Debug, Clone)]
pub struct NewImport {
    /// What is to be done.
    pub task: NewTask,
    /// Image the data are for.
    pub image: ImageId,
    /// State the image has to be in: `queued`, `uploading`, or `active`, in which it stays.
    pub from: Status,
    /// Ids of the stores to fill.
    pub stores: Vec<String>,
    /// Properties that the image gets.
    pub inject: Properties,
    /// MiB of the owner in images; negative: no limit.
    pub size_limit: i64,
}

/// What became of the start of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportStarted {
    /// The task is enqueued, due now.
    Enqueued,
    /// The image is in this state (`None`: it is gone).
    NotInState(Option<Status>),
    /// The image, whose state is right, lacks this format.
    NoFormat(&'static str),
    /// Another task holds the image.
    Busy,
}

/// The import lock of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportLock {
    /// No task works on the image.
    Free,
    /// A task does.
    Held,
    /// A task did, so long ago that the next import goes over it.
    Expired,
}

impl Catalog {
    /// Who may work on the image.
    pub async fn import_lock(&self, id: ImageId) -> Result<ImportLock> {
        let values: super::Values<'_> = &[&id.0, &seconds(PENDING_LOCK), &seconds(PROCESSING_LOCK)];
        let Some(open) = self.row(sql!("import_lock"), values).await? else { return Ok(ImportLock::Free) };
        let expired = open.try_get("expired").map_err(|e| super::Error::caused(ErrorKind::Internal, e))?;
        Ok(if expired { ImportLock::Expired } else { ImportLock::Held })
    }

    /// Enqueues the task of an import, due now. An image that is to get its data is `importing` then. One that an
    /// expired task left `importing` counts as `uploading` where it has staged data, else as `queued`; what that task
    /// wrote of it is garbage.
    ///
    /// Repeatable: the task tells whether an earlier attempt took place.
    ///
    /// # Errors
    /// `OverLimit` where the owner of the image has reached the limit.
    pub async fn start_import(&self, import: &NewImport) -> Result<ImportStarted> {
        let start = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let started = start(&transaction, import).await?;
            if started == ImportStarted::Enqueued {
                commit(transaction).await?;
            }
            Ok(started)
        };
        match self.run(REPEATABLE, start).await {
            // enqueued meanwhile by somebody who locks no image
            Err(error) if error.kind == ErrorKind::Duplicate => Ok(ImportStarted::Busy),
            started => started,
        }
    }
}

async fn start(transaction: &Transaction<'_>, import: &NewImport) -> Attempt<ImportStarted> {
    let image = import.image.0;
    let Some(found) = super::row(transaction, sql!("image_state"), &[&image]).await? else {
        return Ok(ImportStarted::NotInState(None));
    };
    if let Some(owner) = found.try_get::<_, Option<&str>>("owner")?
        && let Err(refusal) = judge_limit(transaction, owner, Resource::SizeTotal, import.size_limit, 0).await
    {
        return match super::row(transaction, sql!("has_task"), &[&import.task.id]).await {
            Ok(Some(_)) => Ok(ImportStarted::Enqueued),
            _ => Err(refusal),
        };
    }
    let locked = lock(transaction, import.image).await?;
    // an earlier attempt of this start, whose outcome got lost, must not be held against itself
    if super::row(transaction, sql!("has_task"), &[&import.task.id]).await?.is_some() {
        return Ok(ImportStarted::Enqueued);
    }
    let limits: [f64; 2] = [seconds(PENDING_LOCK), seconds(PROCESSING_LOCK)];
    let values: super::Values<'_> = &[&image, &limits[0], &limits[1], &CANCELLED_TTL_SECS];
    let preempted = super::execute(transaction, sql!("preempt_task"), values).await? == 1;
    if super::row(transaction, sql!("import_lock"), &[&image, &limits[0], &limits[1]]).await?.is_some() {
        return Ok(ImportStarted::Busy);
    }
    if preempted {
        super::execute(transaction, sql!("discard_partial_blobs"), &[&image]).await?;
    }
    let values: super::Values<'_> =
        &[&image, &import.from.as_str(), &import.stores, &preempted, &Json(&import.inject)];
    if super::execute(transaction, sql!("start_import"), values).await? == 0 {
        let fitting = locked.as_ref().filter(|image| image.status == import.from);
        let status = locked.as_ref().map(|image| image.status);
        return Ok(fitting
            .and_then(Image::missing_format)
            .map_or(ImportStarted::NotInState(status), ImportStarted::NoFormat));
    }
    super::tasks::insert(transaction, &import.task).await?;
    Ok(ImportStarted::Enqueued)
}
