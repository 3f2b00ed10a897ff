//! Copies of images in several stores.

use crate::domain::image::{ImageId, Status};

use super::blobs::Blob;
use super::retry::ONCE;
use super::row::{self, sql};
use super::{Catalog, Result, commit};

/// What became of the removal of one copy.
#[derive(Debug, Clone, PartialEq)]
pub enum CopyRemoved {
    /// The image has lost it; these objects are garbage now and can be removed at once.
    Done(Vec<Blob>),
    /// The image is gone or in another state than `active`.
    NotActive,
    /// No other copy would be left.
    OnlyCopy,
    /// There is no copy in that store.
    Absent,
}

impl Catalog {
    /// Takes the copy in `store` from an active image: the object becomes garbage due now, unless it is the last copy.
    /// The image row is locked meanwhile, so that of two removals at once one stays (images-v2.md §20.2).
    pub async fn remove_copy(&self, id: ImageId, store: &str) -> Result<CopyRemoved> {
        let remove = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let locked = super::row(&transaction, sql!("lock_image"), &[&id.0]).await?;
            if locked.as_ref().map(row::status).transpose()? != Some(Status::Active) {
                return Ok(CopyRemoved::NotActive);
            }
            let copies = super::rows(&transaction, sql!(select "blob" "live_blobs"), &[&id.0]).await?;
            let copies = row::blobs(&copies)?;
            let elsewhere = super::rows(&transaction, sql!("locations"), &[&id.0]).await?.len();
            if copies.len() + elsewhere < 2 {
                return Ok(CopyRemoved::OnlyCopy);
            }
            let here = copies.iter().filter(|copy| copy.store == store).count();
            if here == 0 {
                return Ok(CopyRemoved::Absent);
            }
            // a URL vouches for nothing: the last object of ours stays (A23)
            if here == copies.len() {
                return Ok(CopyRemoved::OnlyCopy);
            }
            let discard = sql!("discard_copy" returning "blob");
            let garbage = super::rows(&transaction, discard, &[&id.0, &store]).await?;
            super::execute(&transaction, sql!("touch_image"), &[&id.0]).await?;
            commit(transaction).await?;
            Ok(CopyRemoved::Done(row::blobs(&garbage)?))
        };
        self.run(ONCE, remove).await
    }
}
