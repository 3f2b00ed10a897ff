//! Where the data of images lies: objects of the ledger, and `http(s)` URLs outside our stores.

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::image::{Image, ImageId};

use super::blobs::Blob;
use super::images::lock_owner;
use super::retry::{Attempt, ONCE};
use super::row::{self, sql};
use super::usage::judge;
use super::{Catalog, Error, ErrorKind, Result, commit};

/// One external location of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// Identifier.
    pub id: Uuid,
    /// Where the data lies.
    pub url: String,
    /// Free data of the user that added it (v2).
    pub metadata: Value,
}

/// One place where data of an image lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// Row of the ledger or of the locations.
    pub id: Uuid,
    /// Image it belongs to.
    pub image_id: ImageId,
    /// Where.
    pub place: Place,
    /// Free data of the user (v2).
    pub metadata: Value,
}

/// Where data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an object of ours.
    Object {
        /// Store id of the configuration.
        store: String,
        /// Object key.
        key: String,
    },
    /// At a URL outside our stores.
    Url(String),
}

/// What a patch does to the locations of one image (images-v2.md §10).
#[derive(Debug, Default)]
pub struct LocationChanges {
    /// URLs to add, in their order.
    pub added: Vec<NewLocation>,
    /// New metadata of places that stay.
    pub changed: Vec<Placement>,
    /// Places to give up.
    pub removed: Vec<Placement>,
}

/// A URL to add to an image.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLocation {
    /// Identifier.
    pub id: Uuid,
    /// Where the data lies.
    pub url: String,
    /// Free data of the user.
    pub metadata: Value,
    /// Bytes the owner is charged for it.
    pub size: i64,
}

impl Catalog {
    /// Registers `url` as the data of a queued image and makes it `active` with `size`, in one transaction. The
    /// owner's storage quota (bytes; 0: none) is judged under its advisory lock. None: the image is not queued.
    ///
    /// # Errors
    /// `QuotaExceeded`; `OutOfRange` when `size` is negative.
    pub async fn activate_with_location(
        &self,
        id: ImageId,
        url: &str,
        size: i64,
        quota: u64,
    ) -> Result<Option<Image>> {
        let charged = u64::try_from(size).map_err(|e| Error::caused(ErrorKind::OutOfRange, e))?;
        let location = Uuid::new_v4();
        let activate = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(found) = super::row(&transaction, sql!("image_state"), &[&id.0]).await? else {
                return Ok(None);
            };
            if let (Some(owner), 1..) = (found.try_get::<_, Option<&str>>("owner")?, quota) {
                lock_owner(&transaction, owner).await?;
                judge(&transaction, owner, 0, charged, quota).await?;
            }
            let statement = sql!("activate_with_location" returning "image");
            let Some(image) = super::row(&transaction, statement, &[&id.0, &size]).await? else {
                return Ok(None);
            };
            super::execute(&transaction, sql!("insert_location"), &[&location, &id.0, &url, &json!({})])
                .await?;
            commit(transaction).await?;
            Ok(Some(row::image(&image)?))
        };
        self.run(ONCE, activate).await
    }

    /// External locations in the order they were added.
    pub async fn locations(&self, id: ImageId) -> Result<Vec<Location>> {
        row::locations(&self.rows(sql!("locations"), &[&id.0]).await?)
    }

    /// Where the data of these images lies, in one order that never changes: own objects as they were made, then URLs
    /// as they were added.
    pub async fn placements(&self, ids: &[ImageId]) -> Result<Vec<Placement>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        row::placements(&self.rows(sql!("placements"), &[&ids]).await?)
    }

    /// As [`Catalog::update_image`] together with changes of its locations, in one transaction: also writes `status`
    /// and `os_hash_*`, judges the owner's storage quota (bytes; 0: none), and gives the objects that became garbage.
    /// None: somebody was faster.
    ///
    /// # Errors
    /// `QuotaExceeded`, with nothing changed.
    pub async fn update_with_locations(
        &self,
        image: &Image,
        changes: &LocationChanges,
        quota: u64,
    ) -> Result<Option<(Image, Vec<Blob>)>> {
        let update = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            judge_added(&transaction, image, changes, quota).await?;
            let values: super::Values<'_> = &[&image.id.0, &image.revision];
            if super::row(&transaction, sql!("lock_unchanged"), values).await?.is_none() {
                return Ok(None);
            }
            let garbage = apply(&transaction, image.id, changes).await?;
            let (status, algo, hash) = (image.status.as_str(), &image.os_hash_algo, &image.os_hash_value);
            super::execute(&transaction, sql!("set_data_attributes"), &[&image.id.0, &status, algo, hash])
                .await?;
            let Some(updated) = super::images::update(&transaction, image).await? else { return Ok(None) };
            commit(transaction).await?;
            Ok(Some((updated, garbage)))
        };
        self.run(ONCE, update).await
    }
}

/// Holds what is added against the quota of the owner, whose lock precedes that of the image.
async fn judge_added(
    transaction: &Transaction<'_>,
    image: &Image,
    changes: &LocationChanges,
    quota: u64,
) -> Attempt<()> {
    let added: u64 = changes.added.iter().map(|location| location.size.unsigned_abs()).sum();
    let (Some(owner), 1.., 1..) = (&image.owner, quota, added) else { return Ok(()) };
    lock_owner(transaction, owner).await?;
    judge(transaction, owner, 0, added, quota).await
}

/// Carries the changes out on an image whose row is locked. Gives the objects that became garbage.
async fn apply(transaction: &Transaction<'_>, id: ImageId, changes: &LocationChanges) -> Attempt<Vec<Blob>> {
    for placement in &changes.changed {
        let statement = match placement.place {
            Place::Object { .. } => sql!("set_object_metadata"),
            Place::Url(_) => sql!("set_location_metadata"),
        };
        super::execute(transaction, statement, &[&placement.id, &id.0, &placement.metadata]).await?;
    }
    for location in &changes.added {
        insert(transaction, id, location).await?;
    }
    let mut garbage = Vec::new();
    for placement in &changes.removed {
        match placement.place {
            Place::Url(_) => {
                super::execute(transaction, sql!("drop_location"), &[&placement.id, &id.0]).await?;
            }
            Place::Object { .. } => {
                let discard = sql!("discard_live_blob" returning "blob");
                let discarded = super::rows(transaction, discard, &[&placement.id, &id.0]).await?;
                garbage.extend(row::blobs(&discarded)?);
            }
        }
    }
    Ok(garbage)
}

pub(super) async fn insert(
    transaction: &Transaction<'_>,
    id: ImageId,
    location: &NewLocation,
) -> Attempt<()> {
    let values: super::Values<'_> = &[&location.id, &id.0, &location.url, &location.metadata];
    super::execute(transaction, sql!("insert_location"), values).await?;
    Ok(())
}
