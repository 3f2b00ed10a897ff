//! Locations outside our stores: data that stays at an `http(s)` URL.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::image::{Image, ImageId};

use super::images::lock_owner;
use super::retry::ONCE;
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
            super::execute(&transaction, sql!("insert_location"), &[&location, &id.0, &url]).await?;
            commit(transaction).await?;
            Ok(Some(row::image(&image)?))
        };
        self.run(ONCE, activate).await
    }

    /// External locations in the order they were added.
    pub async fn locations(&self, id: ImageId) -> Result<Vec<Location>> {
        row::locations(&self.rows(sql!("locations"), &[&id.0]).await?)
    }
}
