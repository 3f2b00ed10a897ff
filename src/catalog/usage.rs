//! What a project uses, and whether more of it fits its limits.
//!
//! The storage quota counts bytes until the object is gone. The limits of images-v2.md §21.1 count images that are not
//! deleted, in the units of the API. Both are judged under the owner's advisory lock, so that requests at once do not
//! exceed them together.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use crate::domain::quota::{self, Resource};

use super::images::{count, lock_owner};
use super::retry::{Attempt, REPEATABLE};
use super::row::sql;
use super::{Catalog, Error, ErrorKind, Result};

/// What bounds the bytes of one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Storage quota in bytes; 0: none.
    pub bytes: u64,
    /// Whether the bytes become those of an image or wait in staging.
    pub resource: Resource,
    /// How much of that there may be, in MiB; negative: no limit.
    pub limit: i64,
}

impl Quota {
    /// No bound.
    pub const NONE: Self = Self::of_bytes(0);

    /// A storage quota alone.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { bytes, resource: Resource::SizeTotal, limit: -1 }
    }

    /// Whether there is no bound.
    pub fn is_none(self) -> bool {
        self.bytes == 0 && self.limit < 0
    }
}

impl Catalog {
    /// Bytes of a project: objects `writing` (reserved), `staged`, `live` and `garbage`, plus the sizes of active
    /// images that lie outside our stores.
    pub async fn storage_used(&self, owner: &str) -> Result<u64> {
        let counted = self.row(sql!("storage_used"), &[&owner]).await?;
        let bytes: i64 =
            counted.map_or(Ok(0), |row| row.try_get(0)).map_err(|e| Error::caused(ErrorKind::Internal, e))?;
        Ok(bytes.unsigned_abs())
    }

    /// Whether a project may have `delta` more of a resource, in its unit; for requests that are judged before anything
    /// is known of their image.
    ///
    /// # Errors
    /// `OverLimit`.
    pub async fn check_limit(&self, owner: &str, resource: Resource, limit: i64, delta: i64) -> Result<()> {
        if limit < 0 {
            return Ok(());
        }
        let check = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let used = used_of(&transaction, owner, resource, None).await?;
            let judged = quota::judge(resource, limit, used, delta);
            Ok(judged.map_err(|over| Error::plain(ErrorKind::OverLimit(over)))?)
        };
        self.run(REPEATABLE, check).await
    }

    /// What a project has of every limited resource, in the unit of its limit.
    pub async fn project_usage(&self, owner: &str) -> Result<[(Resource, i64); 4]> {
        let read = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let mut usage = Resource::ALL.map(|resource| (resource, 0));
            for (resource, used) in &mut usage {
                *used = used_of(&transaction, owner, *resource, None).await?;
            }
            Ok(usage)
        };
        self.run(REPEATABLE, read).await
    }
}

/// Fails with `OverLimit` where `owner` may not have `delta` more of a resource, in the unit of its limit. Locks the
/// owner where there is a limit.
pub(super) async fn judge_limit(
    transaction: &Transaction<'_>,
    owner: &str,
    resource: Resource,
    limit: i64,
    delta: i64,
) -> Attempt<()> {
    if limit < 0 {
        return Ok(());
    }
    lock_owner(transaction, owner).await?;
    let used = used_of(transaction, owner, resource, None).await?;
    Ok(quota::judge(resource, limit, used, delta).map_err(|over| Error::plain(ErrorKind::OverLimit(over)))?)
}

/// Judges `image_count_uploading` for an image of `owner` that is counted already.
pub(super) async fn judge_own_upload(transaction: &Transaction<'_>, owner: &str, limit: i64) -> Attempt<()> {
    if limit < 0 {
        return Ok(());
    }
    let resource = Resource::CountUploading;
    lock_owner(transaction, owner).await?;
    let others = used_of(transaction, owner, resource, None).await? - 1;
    Ok(quota::judge(resource, limit, others, 1).map_err(|over| Error::plain(ErrorKind::OverLimit(over)))?)
}

/// Judges the limit for a writer whose data turn out to be larger than it was charged for. It may overshoot
/// the limit, as no size was known; not so where others have reached the limit meanwhile, or several at once would
/// overshoot it by any amount.
async fn judge_overshoot(
    transaction: &Transaction<'_>,
    owner: &str,
    blob: Uuid,
    total: u64,
    Quota { resource, limit, .. }: Quota,
) -> Attempt<()> {
    if limit < 0 {
        return Ok(());
    }
    let others = used_of(transaction, owner, resource, Some(blob)).await?;
    let delta = quota::mib(total);
    match quota::judge(resource, limit, others, 0) {
        Ok(()) => Ok(()),
        Err(over) => Err(ErrorKind::OverLimit(quota::Overrun { delta, ..over }).into()),
    }
}

/// Judges both bounds for a writer that is charged `held` bytes and has or wants `total`.
pub(super) async fn judge_growth(
    transaction: &Transaction<'_>,
    (blob, owner, held): (Uuid, Option<&str>, i64),
    total: u64,
    quota: Quota,
) -> Attempt<()> {
    let Some(owner) = owner.filter(|_| !quota.is_none()) else { return Ok(()) };
    lock_owner(transaction, owner).await?;
    if quota.bytes > 0 {
        judge(transaction, owner, held, total, quota.bytes).await?;
    }
    if u64::try_from(held).is_ok_and(|held| held >= total) {
        return Ok(());
    }
    judge_overshoot(transaction, owner, blob, total, quota).await
}

async fn used_of(
    transaction: &Transaction<'_>,
    owner: &str,
    resource: Resource,
    except: Option<Uuid>,
) -> Attempt<i64> {
    let in_mib = |bytes: i64| quota::mib(bytes.unsigned_abs());
    match resource {
        Resource::SizeTotal | Resource::StageTotal => {
            let statement =
                if resource == Resource::SizeTotal { sql!("size_used") } else { sql!("stage_used") };
            let row = super::row(transaction, statement, &[&owner, &except]).await?;
            Ok(in_mib(row.ok_or(ErrorKind::Internal)?.try_get(0)?))
        }
        Resource::CountTotal => count(transaction, sql!("count_images"), owner).await,
        Resource::CountUploading => count(transaction, sql!("count_uploads"), owner).await,
    }
}

/// Fails with `QuotaExceeded` when `owner` would use more than `quota` bytes after replacing `held` bytes, which it
/// is charged already, by `wanted`. The transaction holds the owner's lock.
pub(super) async fn judge(
    transaction: &Transaction<'_>,
    owner: &str,
    held: i64,
    wanted: u64,
    quota: u64,
) -> Attempt<()> {
    let used = i128::from(count(transaction, sql!("storage_used"), owner).await?);
    if used - i128::from(held) + i128::from(wanted) > i128::from(quota) {
        return Err(ErrorKind::QuotaExceeded.into());
    }
    Ok(())
}
