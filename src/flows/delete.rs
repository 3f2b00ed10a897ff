//! Delete and restore images, and remove the objects that leaves behind.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::blobs;
use crate::catalog::blobs::Blob;
use crate::catalog::images::Deleted;
use crate::domain::image::{Access, Image, ImageId, Status};
use crate::domain::member::Member;
use crate::domain::policy::Dialect;
use crate::error::{Chain, Error, Result};
use crate::faultpoint;

use super::{CHANGE_TRIES, Call, Flows, Found, lost_race, may_write, refuse_stranger, target_of};

/// How long an answer waits for the removal of objects; what is slower is finished in the background.
const REMOVAL_WAIT: Duration = Duration::from_secs(5);

impl Flows {
    /// Deletes an image in the order of images-v1.md §7 and images-v2.md §12. The row stays, because ids stay taken.
    pub async fn delete_image(&self, call: &Call, id: &str) -> Result<()> {
        may_write(&call.caller)?;
        for _ in 0..CHANGE_TRIES {
            let found = self.find_for(call, id, "delete_image").await?;
            let Found { image, membership, .. } = &found;
            check_deletable(image, self.config.images.delayed_delete)?;
            if call.dialect == Dialect::V1 && found.access != Access::Write {
                return Err(refuse_stranger(image, "delete"));
            }
            let delayed = self.config.images.delayed_delete;
            let data = if delayed { Vec::new() } else { self.catalog.live_blobs(image.id).await? };
            // with data the image is only hidden at first, as its store may still refuse
            let hide = delayed || !data.is_empty();
            let accept = |now: &Image| self.is_judged_alike(call, image, now, membership.as_ref());
            if let Deleted::Done { garbage, revision } =
                self.catalog.delete_image(image.id, hide, accept).await?
            {
                faultpoint::pass("delete.committed");
                self.remove_soon(garbage).await;
                return match data.first() {
                    Some(blob) => self.remove_data(image, revision, blob).await,
                    None => Ok(()),
                };
            }
        }
        Err(lost_race(call))
    }

    /// Whether a delete that is allowed of an image as it was `before` is allowed of it `now`, and means the same data.
    /// Others may have tagged it, for instance, at any rate.
    fn is_judged_alike(&self, call: &Call, before: &Image, now: &Image, membership: Option<&Member>) -> bool {
        let standing = |image: &Image| (image.status, image.visibility, image.protected);
        let target = call.target(target_of(now, membership));
        now.revision == before.revision
            || standing(now) == standing(before)
                && now.owner == before.owner
                && self.policy.rules().allows(call.dialect, "delete_image", &call.caller, &target)
    }

    /// Removes the data of an image that is hidden already, in this revision, and ends its record. A store that forbids the first removal
    /// gets the image back as it was (images-v1.md §7 row 9); any other trouble is the sweep's work, as is a crash in
    /// between.
    async fn remove_data(&self, image: &Image, revision: i64, first: &Blob) -> Result<()> {
        if let Some(store) = self.stores.get(&first.store)
            && let Ok(Err(error)) = timeout(REMOVAL_WAIT, store.remove(&first.key, None)).await
            && error.kind == blobs::ErrorKind::Denied
            && self.catalog.undelete_image(image.id, revision, image.status).await?.is_some()
        {
            return Err(
                Error::forbidden(format!("Forbidden to delete image: {}", image.id)).with_source(error)
            );
        }
        let garbage = self.catalog.bury_image(image.id).await?;
        self.remove_soon(garbage).await;
        Ok(())
    }

    /// Brings an image back whose delete is delayed; for the operator (operations.md §2). Of this and the sweep that ends
    /// the delete one comes first, and the other finds that out.
    ///
    /// # Errors
    /// `NotFound` for an unknown id; `Conflict` for an image that is not `pending_delete`, and where deletes are not
    /// delayed: such an image is being removed, and its data may be gone.
    pub async fn restore_image(&self, id: &str) -> Result<Image> {
        let unknown = || Error::not_found(format!("there is no image {id}"));
        let image_id: ImageId = id.parse().map_err(|_| unknown())?;
        if !self.config.images.delayed_delete {
            return Err(Error::conflict(
                "deletes are not delayed (`images.delayed_delete`), so none can be undone",
            ));
        }
        if let Some(image) = self.catalog.restore_image(image_id).await? {
            return Ok(image);
        }
        let image = self.catalog.image(image_id, None).await?.ok_or_else(unknown)?.image;
        let status = image.status.as_str();
        Err(Error::conflict(format!("image {id} is {status}, not pending_delete")))
    }

    /// Removes objects that the ledger has given up, without failing anybody: what does not succeed now is the
    /// sweep's work.
    pub(crate) async fn remove_soon(&self, garbage: Vec<Blob>) {
        let flows = self.clone();
        let removal = self.tracker.spawn(async move {
            for blob in garbage {
                flows.remove_garbage(&blob).await;
            }
        });
        let _ = timeout(REMOVAL_WAIT, removal).await;
    }

    /// Removes one object and its ledger row. Returns whether both are gone.
    pub(crate) async fn remove_garbage(&self, blob: &Blob) -> bool {
        let Some(store) = self.stores.get(&blob.store) else {
            warn!(store = blob.store, blob.key = blob.key, "garbage lies in a store that is not configured");
            return false;
        };
        let removed = async {
            if blob.abandoned {
                // its writer may have ended before it wrote down the id of its multipart upload
                store.abort_uploads_of(&blob.key).await.map_err(Error::internal)?;
            }
            store.remove(&blob.key, blob.upload_id.as_deref()).await.map_err(Error::internal)?;
            faultpoint::pass("garbage.removed");
            self.catalog.forget_blob(blob, self.config.jobs.garbage_grace).await?;
            Ok::<_, Error>(())
        };
        match removed.await {
            Ok(()) => true,
            Err(error) => {
                warn!(blob.key = blob.key, error = %Chain(&error), "garbage could not be removed yet");
                false
            }
        }
    }
}

/// Rows 3 to 5 of images-v1.md §7. Where deletes are not delayed, an image whose data are being removed is deleted.
fn check_deletable(image: &Image, delayed: bool) -> Result<()> {
    if image.status == Status::Deleted || (image.status == Status::PendingDelete && !delayed) {
        return Err(Error::not_found(format!("Image {} not found.", image.id)));
    }
    if image.protected {
        return Err(Error::forbidden("Image is protected"));
    }
    if image.status == Status::PendingDelete {
        return Err(Error::forbidden("Forbidden to delete a pending_delete image."));
    }
    Ok(())
}
