//! Uploads: from the bytes of a request to a live object and an active image.
//!
//! A ledger row precedes the first byte, a heartbeat keeps the writer's lease, and the image becomes `active` in one
//! transaction after the store has confirmed every byte. Whatever goes wrong before that leaves the image in the
//! state the dialect wants and an object that the ledger knows as garbage.

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::blobs::budget::Admission;
use crate::blobs::{ObjectWriter, Store};
use crate::catalog;
use crate::catalog::uploads::{Begin, Finished, NewUpload, Started, Stored};
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::policy::Dialect;
use crate::domain::quota::Resource;
use crate::error::{Error, ErrorKind, Result};
use crate::faultpoint;

use super::inspection::Inspection;
use super::quotas::name_limit;
use super::sources::{ByteStream, quota_error, require_formats};
use super::transfer::{Content, Expected, Passed, Received, Transfer, lease_lost, store_error};
use super::{Call, Flows, may_write};

/// Data for a queued image.
pub struct Upload {
    /// Image the data is for.
    pub image_id: ImageId,
    /// Store the data goes to.
    pub store: String,
    /// What is known of the data.
    pub expected: Expected,
    /// Whose rules judge the content. They are applied to the record as it is once it is `saving`: before that, its
    /// formats may still change.
    pub rules: Dialect,
    /// Counts the bytes.
    pub passed: Passed,
}

/// Data of a request for an image that exists (v2).
pub struct NewData {
    /// Wanted store; the default store where none is named.
    pub store: Option<String>,
    /// Size the client promised.
    pub promised: Option<u64>,
    /// Announced length of the body.
    pub length: Option<u64>,
    /// The bytes, not read yet.
    pub stream: ByteStream,
}

impl NewData {
    /// As it is expected of an image that is `queued` again when it fails.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            length: self.length,
            size: self.promised.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            checksum: None,
            on_failure: Status::Queued,
            if_deleted: ErrorKind::Gone,
            bounds_itself: false,
        }
    }
}

impl Flows {
    /// Fills a queued image with the data of a request, in the order of images-v2.md §11.2.
    ///
    /// # Errors
    /// As [`Flows::upload`]; `Invalid` for an unknown store and without formats, `Gone` when the image was deleted
    /// meanwhile. The image is `queued` afterwards.
    pub async fn upload_data(&self, call: &Call, id: &str, data: NewData) -> Result<Image> {
        may_write(&call.caller)?;
        let store = self.upload_store(data.store.as_deref())?;
        self.check_limit(call, Resource::SizeTotal, data.promised).await?;
        let image = self.find_for(call, id, "upload_image").await?.image;
        require_formats(&image)?;
        if image.status != Status::Queued {
            return Err(not_queued(image.id, image.status));
        }
        refuse_signature(&image)?;
        self.check_cap(data.promised.max(data.length).unwrap_or_default())?;
        let upload = Upload {
            image_id: image.id,
            store,
            expected: data.expected(),
            rules: Dialect::V2,
            passed: Passed::default(),
        };
        let stored = self.upload(upload, data.stream).await;
        stored.map_err(|error| name_limit(error, image.owner.as_deref()))
    }

    /// The store that data of v2 goes to; naming one only means something where there are several.
    fn upload_store(&self, wanted: Option<&str>) -> Result<String> {
        match wanted.filter(|_| self.stores.are_several()) {
            None => Ok(self.stores.default_store().id.to_string()),
            Some(id) => match self.stores.get(id) {
                Some(store) => Ok(store.id.to_string()),
                None => Err(Error::invalid(format!("Store {id} is not known."))),
            },
        }
    }

    /// Stores the data and makes the image `active`.
    ///
    /// Waits for part memory before anything is read or written. From then on the work is a task of its own, so that
    /// it ends in order also when nobody waits for it any more; dropping the future cancels it.
    ///
    /// # Errors
    /// `Unavailable` without memory or store, `Conflict` when the image takes no data, `Invalid` for data that break
    /// off or differ from what was promised, `TooLarge` and `LimitExceeded` at cap and quota, and
    /// [`Expected::if_deleted`].
    pub async fn upload(&self, upload: Upload, stream: ByteStream) -> Result<Image> {
        let Upload { image_id, store, expected, rules, passed } = upload;
        let unknown = || Error::invalid(format!("Store for scheme {store} not found"));
        let store = self.stores.get(&store).ok_or_else(unknown)?.clone();
        let transfer = Transfer::new(image_id, store, Begin::Saving, expected, passed);
        if transfer.store.read_only() {
            return Err(self.refuse(&transfer, read_only(&transfer.store)).await);
        }
        let length = transfer.expected.length;
        let admission = match self.admit(&transfer.store, length).await {
            Ok(admission) => admission,
            Err(error) if error.kind == crate::blobs::ErrorKind::Full => {
                return Err(self.refuse(&transfer, store_error(error, &transfer)).await);
            }
            Err(error) => return Err(store_error(error, &transfer)),
        };
        self.detached(|flows, cancel| async move {
            flows.run_upload(transfer, rules, stream, admission, cancel).await
        })
        .await
    }

    /// Refuses data for good before anything of it was read: the image fails as it would later.
    async fn refuse(&self, transfer: &Transfer, error: Error) -> Error {
        let fails = transfer.expected.on_failure;
        match self.catalog.set_status(transfer.image_id, &[Status::Queued], fails).await {
            Ok(_) => error,
            Err(error) => error.into(),
        }
    }

    async fn run_upload(
        &self,
        transfer: Transfer,
        rules: Dialect,
        mut stream: ByteStream,
        admission: Admission,
        cancel: CancellationToken,
    ) -> Result<Image> {
        let _active = self.metrics.upload_active("upload");
        let image = self.start_upload(&transfer).await?;
        faultpoint::pass("upload.started");
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let received = async {
            if rules == Dialect::V2 {
                require_formats(&image)?;
            }
            let inspection = Inspection::of(&image, &self.config.images, rules);
            let content = inspection.map_or(Content::Unseen, Content::Judged);
            Box::pin(self.receive(&transfer, content, &mut stream, &mut writer)).await
        };
        let finished = match self.under_lease(&transfer, &cancel, received).await {
            Ok(Received { stored, .. }) => self.finish_upload(&transfer, &stored).await,
            Err(error) => Err(error),
        };
        if finished.is_err() {
            self.give_up(&transfer, Box::pin(writer.abort())).await;
        }
        finished
    }

    /// Transaction A; gives the record as it is now that its formats are settled.
    pub(super) async fn start_upload(&self, transfer: &Transfer) -> Result<Image> {
        let limits = &self.config.limits;
        let expected = &transfer.expected;
        let promised = expected.size.and_then(|size| u64::try_from(size).ok());
        let new = NewUpload {
            blob_id: transfer.blob,
            image_id: transfer.image_id,
            begin: transfer.begin,
            store: transfer.store.id.to_string(),
            key: transfer.key.clone(),
            reserve: expected.length.max(promised).unwrap_or_default(),
            on_failure: expected.on_failure,
            lease: self.config.jobs.lease,
            quota: limits.user_storage_quota.0,
            uploading_limit: limits.image_count_uploading,
            size_limit: limits.image_size_total,
            stage_limit: limits.image_stage_total,
        };
        match self.catalog.start_upload(&new).await {
            Ok(Started::Begun(image)) => Ok(image),
            Ok(Started::NotQueued(None | Some(Status::Deleted | Status::PendingDelete))) => {
                Err(lease_lost(transfer))
            }
            Ok(Started::NotQueued(Some(status))) => Err(not_queued(new.image_id, status)),
            Err(error) => {
                // the reference kills an image whose data are refused by the storage quota
                let over_quota = error.kind == catalog::ErrorKind::QuotaExceeded;
                let unknown_outcome = error.kind == catalog::ErrorKind::Unavailable;
                let error = quota_error(error, limits);
                if unknown_outcome {
                    // the start may have taken place all the same; what this does not undo is the sweep's
                    let _ = self.catalog.fail_upload(new.blob_id).await;
                }
                if over_quota { Err(self.refuse(transfer, error).await) } else { Err(error) }
            }
        }
    }

    /// Transaction B, and what its outcome means for the client.
    async fn finish_upload(&self, transfer: &Transfer, stored: &Stored) -> Result<Image> {
        let limits = &self.config.limits;
        let finished = self.catalog.finish_upload(transfer.blob, stored, transfer.quota(limits)).await;
        match finished.map_err(|error| quota_error(error, limits))? {
            Finished::Done(image) => {
                faultpoint::pass("upload.committed");
                info!(image.id = %image.id, size_bytes = stored.size, "image data stored");
                Ok(image)
            }
            Finished::Lost(_) => Err(lease_lost(transfer)),
        }
    }
}

pub(super) fn not_queued(id: ImageId, status: Status) -> Error {
    Error::conflict(format!("Attempt to upload duplicate image: Image {id} is {}", status.as_str()))
}

fn read_only(store: &Store) -> Error {
    let text = format!("Error in store configuration. Adding images to store {} is disabled.", store.id);
    Error::new(ErrorKind::Gone, text)
}

/// An image that announces a signature is only worth anything once that is verified. Without a key manager no
/// certificate can be had, so verification fails (images-v2.md §11.8).
pub(super) fn refuse_signature(image: &Image) -> Result<()> {
    const SIGNED_BY: [&str; 4] = [
        "img_signature",
        "img_signature_hash_method",
        "img_signature_key_type",
        "img_signature_certificate_uuid",
    ];
    if SIGNED_BY.iter().all(|name| image.properties.contains_key(*name)) {
        let text = "Signature verification failed: the certificate of the signature cannot be retrieved.";
        return Err(Error::invalid(text));
    }
    Ok(())
}
