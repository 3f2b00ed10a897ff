//! Several stores: which there are, which hold an image, and removal from one of them (images-v2.md §20).

use crate::blobs::Store;
use crate::catalog::copies::CopyRemoved;
use crate::domain::policy::Target;
use crate::error::{Error, Result};
use crate::faultpoint;

use super::{Call, Flows, may_write};

impl Flows {
    /// All stores in order of id, where clients can choose between several.
    ///
    /// # Errors
    /// `NotFound` where there is but one.
    pub fn list_stores(&self) -> Result<impl Iterator<Item = &Store>> {
        self.require_several_stores()?;
        Ok(self.stores.iter())
    }

    /// As [`Flows::list_stores`], for those who may know the particulars.
    ///
    /// # Errors
    /// `NotFound`, before `Forbidden`.
    pub fn list_store_details(&self, call: &Call) -> Result<impl Iterator<Item = &Store>> {
        let stores = self.list_stores()?;
        self.allow_on(call, "stores_info_detail", &Target::none())?;
        Ok(stores)
    }

    /// Removes an image from one of the stores that hold it, in the order of images-v2.md §20.2. The ledger gives the
    /// object up first; what a crash or the store leaves undone after that is the sweep's work.
    ///
    /// # Errors
    /// `Conflict` for an unknown store and for images that are not active, `Forbidden` for the last copy, `NotFound`
    /// for an image that is not there.
    pub async fn delete_from_store(&self, call: &Call, store: &str, id: &str) -> Result<()> {
        may_write(&call.caller)?;
        self.require_several_stores()?;
        if self.stores.get(store).is_none() {
            return Err(Error::conflict(format!("Store {store} is not known.")));
        }
        let found = self.find_for(call, id, "get_image_location").await?;
        self.allow_found(call, &found, "delete_image_location")?;
        match self.catalog.remove_copy(found.image.id, store).await? {
            CopyRemoved::Done(garbage) => {
                faultpoint::pass("copy.discarded");
                self.remove_soon(garbage).await;
                Ok(())
            }
            CopyRemoved::NotActive => Err(Error::conflict(format!("Image {id} is not active."))),
            CopyRemoved::OnlyCopy => {
                Err(Error::forbidden("The last location of an image cannot be removed."))
            }
            CopyRemoved::Absent => Err(Error::not_found(format!("Image {id} is not in store {store}."))),
        }
    }

    fn require_several_stores(&self) -> Result<()> {
        if self.stores.are_several() {
            return Ok(());
        }
        Err(Error::not_found("Multi backend is not supported at this site."))
    }
}
