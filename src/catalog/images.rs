//! Image records.

use deadpool_postgres::Transaction;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::domain::image::{Image, ImageId, Properties, Status};
use crate::domain::member::Member;
use crate::domain::quota::Resource;

use super::blobs::Blob;
use super::retry::{Attempt, ONCE, REPEATABLE};
use super::row::{self, sql};
use super::usage::judge_limit;
use super::{Catalog, ErrorKind, Result, commit};

/// An image together with the membership of the project that asks.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRow {
    /// The record, whatever its state.
    pub image: Image,
    /// Membership of the asking project, if any.
    pub membership: Option<Member>,
}

/// What became of a delete.
#[derive(Debug)]
pub enum Deleted {
    /// The row as it is now was not accepted, or is deleted already; nothing changed.
    Stale,
    /// Deleted.
    Done {
        /// Objects that are garbage now and can be removed at once.
        garbage: Vec<Blob>,
        /// The revision that the row is in now.
        revision: i64,
    },
}

impl Catalog {
    /// Inserts a record; `created_at`, `updated_at` and `revision` are the database's. A record that is
    /// born `active` has no data (v1: size 0). `count_limit` bounds the project's records that are not deleted
    /// (negative: none), judged under the project's advisory lock.
    ///
    /// # Errors
    /// `Duplicate` when the id is or was in use; `OverLimit`.
    pub async fn insert_image(&self, image: &Image, count_limit: i64) -> Result<Image> {
        let insert = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let inserted = insert(&transaction, image, count_limit).await?;
            commit(transaction).await?;
            Ok(inserted)
        };
        self.run(ONCE, insert).await
    }

    /// The record with this id in any state, also deleted, with the membership of `project`.
    pub async fn image(&self, id: ImageId, project: Option<&str>) -> Result<Option<ImageRow>> {
        const STATEMENT: &str = concat!(
            "SELECT\n",
            include_str!("sql/image_columns.sql"),
            ", ",
            include_str!("sql/member_columns.sql"),
            include_str!("sql/image_with_member.sql")
        );
        let found = self.row(STATEMENT, &[&id.0, &project]).await?;
        let both = |r| Ok(ImageRow { image: row::image(r)?, membership: row::member_if_any(r)? });
        found.as_ref().map(both).transpose()
    }

    /// Writes all changeable attributes of `image`, if the row still has `image.revision`; `status` and data
    /// attributes of an upload in progress are left to their own statements (here: everything but `status`,
    /// `os_hash_*`, `created_at`, `deleted_at`). Sets `updated_at`, raises `revision`. None: somebody was faster.
    ///
    /// A change of the owner is for [`Catalog::give_image`].
    pub async fn update_image(&self, image: &Image) -> Result<Option<Image>> {
        let row = UpdatedRow::of(image);
        self.change_image(sql!("update_image" returning "image"), &row.values()).await
    }

    /// As [`Catalog::update_image`] for an image that changes hands: its objects are charged to the new owner, as
    /// images-v2.md §11.7 wants it. What the new owner may use is not judged.
    pub async fn give_image(&self, image: &Image) -> Result<Option<Image>> {
        let give = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(given) = update(&transaction, image).await? else { return Ok(None) };
            commit(transaction).await?;
            Ok(Some(given))
        };
        self.run(ONCE, give).await
    }

    /// Moves the image to `to` if it is in one of `from`. None: it is not.
    ///
    /// Not for the ends of an image's life: those are [`Catalog::delete_image`] and [`Catalog::restore_image`].
    pub async fn set_status(&self, id: ImageId, from: &[Status], to: Status) -> Result<Option<Image>> {
        let from: Vec<&str> = from.iter().map(|status| status.as_str()).collect();
        let statement = sql!("set_status" returning "image");
        self.change_image(statement, &[&id.0, &from, &to.as_str()]).await
    }

    /// Deletes the image if `accept` takes the row as it is once it is locked, when nobody can change it any more. With
    /// `delayed`, and if it has data of any kind, it becomes `pending_delete` and keeps members, properties and data;
    /// else it becomes `deleted`, its members, tags, properties and locations go, and its objects become garbage due
    /// now.
    pub async fn delete_image(
        &self,
        id: ImageId,
        delayed: bool,
        accept: impl Fn(&Image) -> bool,
    ) -> Result<Deleted> {
        let delete = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let locked = lock(&transaction, id).await?;
            let Some(image) = locked.filter(|image| !image.is_deleted() && accept(image)) else {
                return Ok(Deleted::Stale);
            };
            let garbage = if delayed && has_data(&transaction, &image).await? {
                super::execute(&transaction, sql!("hide_image"), &[&id.0]).await?;
                cancel_tasks(&transaction, &[id.0]).await?;
                let unfinished = sql!("discard_unfinished_blobs" returning "blob");
                row::blobs(&super::rows(&transaction, unfinished, &[&id.0]).await?)?
            } else {
                bury(&transaction, &[id.0]).await?
            };
            commit(transaction).await?;
            Ok(Deleted::Done { garbage, revision: image.revision + 1 })
        };
        self.run(ONCE, delete).await
    }

    /// Takes back a delete that left the image `pending_delete` in `revision`: it is in `status` again. None: it has
    /// moved on since.
    pub async fn undelete_image(&self, id: ImageId, revision: i64, status: Status) -> Result<Option<Image>> {
        let values: super::Values<'_> = &[&id.0, &revision, &status.as_str()];
        self.change_image(sql!("undelete_image" returning "image"), values).await
    }

    /// Ends a delete that left the image `pending_delete`; see [`Catalog::delete_image`]. Gives the objects that
    /// became garbage. Repeatable; nothing happens where the delete was ended or taken back.
    pub async fn bury_image(&self, id: ImageId) -> Result<Vec<Blob>> {
        let end = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if super::row(&transaction, sql!("lock_pending_delete"), &[&id.0]).await?.is_none() {
                return Ok(Vec::new());
            }
            let garbage = bury(&transaction, &[id.0]).await?;
            commit(transaction).await?;
            Ok(garbage)
        };
        self.run(REPEATABLE, end).await
    }

    /// `pending_delete` back to `active`. None: it is not pending.
    pub async fn restore_image(&self, id: ImageId) -> Result<Option<Image>> {
        self.change_image(sql!("restore_image" returning "image"), &[&id.0]).await
    }

    /// Runs a statement that changes at most one image.
    async fn change_image(&self, sql: &str, values: super::Values<'_>) -> Result<Option<Image>> {
        self.change(ONCE, sql, values).await?.as_ref().map(row::image).transpose()
    }
}

/// What [`Catalog::update_image`] writes.
struct UpdatedRow<'a> {
    image: &'a Image,
    visibility: &'static str,
    properties: Json<&'a Properties>,
}

impl<'a> UpdatedRow<'a> {
    fn of(image: &'a Image) -> Self {
        Self { image, visibility: image.visibility.as_str(), properties: Json(&image.properties) }
    }

    /// In the order of `update_image.sql`.
    fn values(&self) -> [&(dyn ToSql + Sync); 16] {
        let image = self.image;
        [
            &image.id.0,
            &image.revision,
            &image.owner,
            &image.name,
            &self.visibility,
            &image.os_hidden,
            &image.protected,
            &image.disk_format,
            &image.container_format,
            &image.min_disk,
            &image.min_ram,
            &image.size,
            &image.virtual_size,
            &image.checksum,
            &image.tags,
            &self.properties,
        ]
    }
}

/// What is written of a whole record.
pub(super) struct WholeRow<'a> {
    image: &'a Image,
    status: &'static str,
    visibility: &'static str,
    properties: Json<&'a Properties>,
}

impl<'a> WholeRow<'a> {
    pub(super) fn of(image: &'a Image) -> Self {
        let (status, visibility) = (image.status.as_str(), image.visibility.as_str());
        Self { image, status, visibility, properties: Json(&image.properties) }
    }

    /// In the order of `insert_image.sql`; from [`NEW_COLUMNS`] on, what the database sets in a new record.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 23] {
        let image = self.image;
        [
            &image.id.0,
            &image.owner,
            &image.name,
            &self.status,
            &self.visibility,
            &image.os_hidden,
            &image.protected,
            &image.disk_format,
            &image.container_format,
            &image.min_disk,
            &image.min_ram,
            &image.size,
            &image.virtual_size,
            &image.checksum,
            &image.os_hash_algo,
            &image.os_hash_value,
            &image.tags,
            &self.properties,
            &image.created_at,
            &image.updated_at,
            &image.deleted_at,
            &image.importing_to,
            &image.failed_import,
        ]
    }
}

/// How many of the values of [`WholeRow`] a new record is made of.
const NEW_COLUMNS: usize = 18;

/// [`Catalog::insert_image`] as part of a transaction.
pub(super) async fn insert(transaction: &Transaction<'_>, image: &Image, count_limit: i64) -> Attempt<Image> {
    if let Some(owner) = &image.owner {
        judge_limit(transaction, owner, Resource::CountTotal, count_limit, 1).await?;
    }
    let statement = sql!("insert_image" returning "image");
    let row = WholeRow::of(image);
    let inserted = super::row(transaction, statement, &row.values()[..NEW_COLUMNS]).await?;
    let inserted = inserted.ok_or(ErrorKind::Internal)?;
    // After the insert, which waits for a purge of the same id: looking first could miss it.
    if super::row(transaction, sql!("is_purged"), &[&image.id.0]).await?.is_some() {
        return Err(ErrorKind::Duplicate.into());
    }
    Ok(row::image(&inserted)?)
}

/// An image as it is, locked against all changes.
pub(super) async fn lock(transaction: &Transaction<'_>, id: ImageId) -> Attempt<Option<Image>> {
    let locked = super::row(transaction, sql!(select "image" "lock_whole_image"), &[&id.0]).await?;
    Ok(locked.as_ref().map(row::image).transpose()?)
}

/// [`Catalog::give_image`] as part of a transaction.
pub(super) async fn update(transaction: &Transaction<'_>, image: &Image) -> Attempt<Option<Image>> {
    let row = UpdatedRow::of(image);
    let updated = super::row(transaction, sql!("update_image" returning "image"), &row.values()).await?;
    let Some(updated) = updated else { return Ok(None) };
    super::execute(transaction, sql!("charge_blobs"), &[&image.id.0, &image.owner]).await?;
    Ok(Some(row::image(&updated)?))
}

/// Whether an image, whose row is locked, has data of any kind.
async fn has_data(transaction: &Transaction<'_>, image: &Image) -> Attempt<bool> {
    if !matches!(image.status, Status::Active | Status::Deactivated) {
        return Ok(false);
    }
    let found = super::row(transaction, sql!("has_data"), &[&image.id.0]).await?;
    Ok(found.ok_or(ErrorKind::Internal)?.try_get("has_data")?)
}

/// How long a task that others ended stays to be seen.
pub(super) const CANCELLED_TTL_SECS: f64 = 48.0 * 3600.0;

/// Serialises what is judged against limits of `owner` until the transaction ends.
pub(super) async fn lock_owner(transaction: &Transaction<'_>, owner: &str) -> Attempt<()> {
    super::rows(transaction, sql!("lock_owner"), &[&owner]).await?;
    Ok(())
}

/// The number a statement gives for `owner`.
pub(super) async fn count(transaction: &Transaction<'_>, sql: &str, owner: &str) -> Attempt<i64> {
    let row = super::row(transaction, sql, &[&owner]).await?.ok_or(ErrorKind::Internal)?;
    Ok(row.try_get(0)?)
}

/// Ends the life of images whose rows the transaction has locked. Gives the objects that became garbage.
pub(super) async fn bury(transaction: &Transaction<'_>, ids: &[Uuid]) -> Attempt<Vec<Blob>> {
    super::execute(transaction, sql!("bury_images"), &[&ids]).await?;
    cancel_tasks(transaction, ids).await?;
    super::execute(transaction, sql!("remove_members"), &[&ids]).await?;
    super::execute(transaction, sql!("remove_locations"), &[&ids]).await?;
    let garbage = super::rows(transaction, sql!("discard_blobs" returning "blob"), &[&ids]).await?;
    Ok(row::blobs(&garbage)?)
}

/// Ends the hashing of images that are being deleted (images-v2.md §16.1): its runner loses the task with the next
/// heartbeat, or at the latest where it would write.
async fn cancel_tasks(transaction: &Transaction<'_>, ids: &[Uuid]) -> Attempt<()> {
    super::execute(transaction, sql!("cancel_tasks"), &[&ids, &CANCELLED_TTL_SECS]).await?;
    Ok(())
}
