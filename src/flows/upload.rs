//! The upload pipeline: from a stream of bytes to a live object and an active image.
//!
//! A ledger row precedes the first byte, a heartbeat keeps the writer's lease, and the image becomes `active` in one
//! transaction after the store has confirmed every byte. Whatever goes wrong before that leaves the image in the
//! state the dialect wants and an object that the ledger knows as garbage.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, info, warn};
use uuid::Uuid;

use crate::blobs::{self, Hasher, ObjectKey, ObjectWriter, Pushed, Store, Written};
use crate::catalog;
use crate::catalog::blobs::BlobState;
use crate::catalog::uploads::{Finished, NewUpload, Started, Stored};
use crate::domain::digest::Digests;
use crate::domain::image::{Image, ImageId, Status};
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::faultpoint;

use super::sources::{ByteStream, quota_error};
use super::{Flows, RETRY_AFTER};

/// Heartbeats within one lease.
const HEARTBEATS: u32 = 6;
/// An upload may keep us waiting for its bytes this long in all, …
const WAITING_LIMIT: Duration = Duration::from_secs(300);
/// … and a second longer for so many bytes received: who trickles gives the part memory back (A47).
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;

/// Data for a queued image.
pub struct Upload {
    /// Image the data is for.
    pub image_id: ImageId,
    /// Store the data goes to.
    pub store: String,
    /// Its length where known beforehand.
    pub length: Option<u64>,
    /// Size the client promised.
    pub expected_size: Option<i64>,
    /// MD5 the client promised, in hex.
    pub expected_checksum: Option<String>,
    /// State the image goes to when the upload fails (v1: killed, v2: queued).
    pub on_failure: Status,
}

/// An upload that was admitted, with the identity of its object.
struct Transfer {
    upload: Upload,
    store: Store,
    blob: Uuid,
    key: String,
}

impl Flows {
    /// Stores the data and makes the image `active`.
    ///
    /// Waits for part memory before anything is read or written. From then on the work is a task of its own, so that
    /// it ends in order also when nobody waits for it any more; dropping the future cancels it.
    ///
    /// # Errors
    /// `Unavailable` without memory or store, `Conflict` when the image takes no data, `Invalid` for data that break
    /// off or differ from what was promised, `TooLarge` and `LimitExceeded` at cap and quota, `PreconditionFailed`
    /// when the image was deleted meanwhile.
    pub async fn upload(&self, upload: Upload, stream: ByteStream) -> Result<Image> {
        let unknown = || Error::invalid(format!("Store for scheme {} not found", upload.store));
        let store = self.stores.get(&upload.store).ok_or_else(unknown)?.clone();
        if store.read_only() {
            let text =
                format!("Error in store configuration. Adding images to store {} is disabled.", store.id);
            return Err(self.refuse(&upload, Error::new(ErrorKind::Gone, text)).await);
        }
        let layout = match store.layout(upload.length) {
            Ok(layout) => layout,
            Err(error) => return Err(self.refuse(&upload, store_error(error, upload.image_id)).await),
        };
        let admission = self.budget.admit(layout).await.map_err(|error| {
            self.metrics.admission_rejected();
            store_error(error, upload.image_id)
        })?;
        let cancel = self.abort.child_token();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let blob = Uuid::new_v4();
        let key = store.key(ObjectKey { image: upload.image_id, blob });
        let transfer = Transfer { upload, store, blob, key };
        let flows = self.clone();
        let work = async move { flows.run_upload(transfer, stream, admission, cancel).await };
        let ended = self.tracker.spawn(work.instrument(Span::current())).await;
        ended.map_err(Error::internal)?
    }

    /// Refuses data for good before anything of it was read: the image fails as it would later.
    async fn refuse(&self, upload: &Upload, error: Error) -> Error {
        match self.catalog.set_status(upload.image_id, &[Status::Queued], upload.on_failure).await {
            Ok(_) => error,
            Err(error) => error.into(),
        }
    }

    async fn run_upload(
        &self,
        transfer: Transfer,
        mut stream: ByteStream,
        admission: blobs::budget::Admission,
        cancel: CancellationToken,
    ) -> Result<Image> {
        let _active = self.metrics.upload_active("upload");
        self.start_upload(&transfer).await?;
        faultpoint::pass("upload.started");
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let transferred = tokio::select! {
            transferred = self.transfer(&transfer, &mut stream, &mut writer) => transferred,
            lost = self.keep_lease(&transfer) => Err(lost),
            () = cancel.cancelled() => Err(disconnected()),
        };
        let finished = match transferred {
            Ok(stored) => self.finish_upload(&transfer, &stored).await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(image) => Ok(image),
            Err(error) => {
                self.give_up(&transfer, writer).await;
                Err(error)
            }
        }
    }

    async fn start_upload(&self, transfer: &Transfer) -> Result<()> {
        let limits = &self.config.limits;
        let promised = transfer.upload.expected_size.and_then(|size| u64::try_from(size).ok());
        let new = NewUpload {
            blob_id: transfer.blob,
            image_id: transfer.upload.image_id,
            store: transfer.store.id.to_string(),
            key: transfer.key.clone(),
            reserve: transfer.upload.length.max(promised).unwrap_or_default(),
            on_failure: transfer.upload.on_failure,
            lease: self.config.jobs.lease,
            quota: limits.user_storage_quota.0,
            uploading_limit: limits.image_count_uploading,
        };
        match self.catalog.start_upload(&new).await {
            Ok(Started::Begun(_)) => Ok(()),
            Ok(Started::NotQueued(None | Some(Status::Deleted | Status::PendingDelete))) => {
                Err(lease_lost(new.image_id))
            }
            Ok(Started::NotQueued(Some(status))) => {
                let (id, status) = (new.image_id, status.as_str());
                Err(Error::conflict(format!("Attempt to upload duplicate image: Image {id} is {status}")))
            }
            Err(error) => {
                // the reference kills an image whose data are refused by the storage quota
                let over_quota = error.kind == catalog::ErrorKind::QuotaExceeded;
                let unknown_outcome = error.kind == catalog::ErrorKind::Unavailable;
                let error = quota_error(error, limits);
                if unknown_outcome {
                    // the start may have taken place all the same; what this does not undo is the sweep's
                    let _ = self.catalog.fail_upload(new.blob_id).await;
                }
                if over_quota { Err(self.refuse(&transfer.upload, error).await) } else { Err(error) }
            }
        }
    }

    /// Moves all bytes into the store and checks them. The object exists afterwards; nobody refers to it yet.
    async fn transfer(
        &self,
        transfer: &Transfer,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
    ) -> Result<Stored> {
        let image_id = transfer.upload.image_id;
        let broken = |error| store_error(error, image_id);
        let images = &self.config.images;
        let mut hasher = Hasher::new(
            images.checksum || transfer.upload.expected_checksum.is_some(),
            images.hash_algorithm,
        );
        let mut waited = Duration::ZERO;
        while let Some(mut frame) = self.next_frame(image_id, stream, writer, &mut waited).await? {
            self.check_total(transfer, writer.size() + frame.len() as u64)?;
            self.metrics.upload_bytes(&transfer.store.id, frame.len() as u64);
            while writer.push(&mut frame).await.map_err(broken)? == Pushed::PartFull {
                self.send_part(transfer, writer, &mut hasher).await?;
            }
        }
        let last = writer.send_last().await.map_err(broken)?;
        let waiting = Instant::now();
        faultpoint::pass("upload.last_sent");
        hasher.push(last).await.map_err(broken)?;
        let digests = hasher.finish().await.map_err(broken)?;
        self.metrics.hashed(waiting.elapsed());
        check_promises(&transfer.upload, &digests)?;
        faultpoint::pass("upload.sent");
        let written = writer.finish().await.map_err(broken)?;
        faultpoint::pass("upload.completed");
        Ok(stored(written, digests))
    }

    async fn send_part(
        &self,
        transfer: &Transfer,
        writer: &mut ObjectWriter,
        hasher: &mut Hasher,
    ) -> Result<()> {
        let broken = |error| store_error(error, transfer.upload.image_id);
        if !writer.is_multipart() {
            let upload_id = writer.begin_multipart().await.map_err(broken)?;
            faultpoint::pass("upload.multipart_begun");
            if !self.catalog.record_upload_id(transfer.blob, &upload_id).await? {
                return Err(lease_lost(transfer.upload.image_id));
            }
            faultpoint::pass("upload.multipart_recorded");
        }
        self.reserve(transfer, writer.size()).await?;
        let part = writer.send_part().await.map_err(broken)?;
        faultpoint::pass("upload.part_sent");
        hasher.push(part).await.map_err(broken)
    }

    /// Holds the quota against an upload of unknown length as it grows.
    async fn reserve(&self, transfer: &Transfer, total: u64) -> Result<()> {
        let limits = &self.config.limits;
        let quota = limits.user_storage_quota.0;
        if quota == 0 || transfer.upload.length.is_some() {
            return Ok(());
        }
        let reserved = self.catalog.reserve(transfer.blob, total, quota).await;
        match reserved.map_err(|error| quota_error(error, limits))? {
            true => Ok(()),
            false => Err(lease_lost(transfer.upload.image_id)),
        }
    }

    /// The next bytes of the body. Gives up on a body that stands still, and at once when a part has failed.
    async fn next_frame(
        &self,
        image_id: ImageId,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
        waited: &mut Duration,
    ) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let frame = tokio::select! {
            frame = timeout(self.config.server.idle_timeout, stream.next()) => frame,
            error = writer.failure() => return Err(store_error(error, image_id)),
        };
        *waited += begun.elapsed();
        if *waited > WAITING_LIMIT + Duration::from_secs(writer.size() / SLOWEST_BYTES_PER_SECOND) {
            return Err(disconnected().with_source("the body trickled"));
        }
        match frame {
            Ok(Some(Ok(frame))) => Ok(Some(frame)),
            Ok(Some(Err(error))) => Err(disconnected().with_source(error)),
            Ok(None) => Ok(None),
            Err(elapsed) => Err(disconnected().with_source(elapsed)),
        }
    }

    /// Stops at the byte that crosses the cap or the promised size.
    fn check_total(&self, transfer: &Transfer, total: u64) -> Result<()> {
        let cap = self.config.limits.image_size_cap.0;
        if total > cap {
            let text = format!("Denying attempt to upload image larger than {cap} bytes.");
            return Err(Error::too_large(text));
        }
        match transfer.upload.expected_size.and_then(|size| u64::try_from(size).ok()) {
            Some(size) if total > size => Err(size_differs(&transfer.upload, total)),
            _ => Ok(()),
        }
    }

    /// Extends the lease until it is lost; returns why the writer must stop.
    async fn keep_lease(&self, transfer: &Transfer) -> Error {
        let lease = self.config.jobs.lease;
        let mut held_until = Instant::now() + lease;
        loop {
            sleep(lease / HEARTBEATS).await;
            let asked = Instant::now();
            match self.catalog.extend_lease(transfer.blob, lease).await {
                Ok(true) => held_until = asked + lease,
                Ok(false) => {
                    return lease_lost(transfer.upload.image_id);
                }
                Err(error) if Instant::now() >= held_until => return error.into(),
                Err(error) => warn!(error = %Chain(&error), "heartbeat of an upload failed"),
            }
        }
    }

    /// Transaction B, and what its outcome means for the client.
    async fn finish_upload(&self, transfer: &Transfer, stored: &Stored) -> Result<Image> {
        let limits = &self.config.limits;
        let finished = self.catalog.finish_upload(transfer.blob, stored, limits.user_storage_quota.0).await;
        match finished.map_err(|error| quota_error(error, limits))? {
            Finished::Active(image) => {
                faultpoint::pass("upload.committed");
                info!(image.id = %image.id, size_bytes = stored.size, "image data stored");
                Ok(image)
            }
            Finished::Lost(_) => Err(lease_lost(transfer.upload.image_id)),
        }
    }

    /// Ends a failed upload: first the records, so that users see it at once, then what lies in the store. Whatever
    /// does not succeed here is the sweep's work.
    async fn give_up(&self, transfer: &Transfer, writer: ObjectWriter) {
        let failed = self.catalog.fail_upload(transfer.blob).await;
        faultpoint::pass("upload.failed");
        writer.abort().await;
        faultpoint::pass("upload.aborted");
        match failed {
            Ok(Some(garbage)) => self.remove_soon(vec![garbage]).await,
            Ok(None) => self.remove_late_write(transfer).await,
            Err(error) => {
                warn!(blob.key = transfer.key, error = %Chain(&error), "failed upload is left to the sweep");
            }
        }
    }

    /// Removes what this writer wrote after the ledger had given its object up and somebody else removed it, as when
    /// the image is deleted during its upload. An object that is live stays.
    async fn remove_late_write(&self, transfer: &Transfer) {
        let removed = async {
            let row = self.catalog.blob_at(&transfer.store.id, &transfer.key).await?;
            if row.is_none_or(|blob| blob.state == BlobState::Deleted) {
                transfer.store.remove(&transfer.key, None).await.map_err(Error::internal)?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = removed.await {
            warn!(blob.key = transfer.key, error = %Chain(&error), "late write is left to the sweep");
        }
    }
}

fn stored(written: Written, digests: Digests) -> Stored {
    Stored {
        size: written.size,
        etag: written.etag,
        checksum: digests.checksum,
        os_hash_algo: digests.algorithm.as_str(),
        os_hash_value: digests.value,
    }
}

fn check_promises(upload: &Upload, digests: &Digests) -> Result<()> {
    if upload.expected_size.is_some_and(|size| u64::try_from(size) != Ok(digests.size)) {
        return Err(size_differs(upload, digests.size));
    }
    let found = digests.checksum.as_deref().unwrap_or_default();
    match upload.expected_checksum.as_deref() {
        Some(promised) if !promised.eq_ignore_ascii_case(found) => Err(Error::invalid(format!(
            "Supplied checksum ({promised}) and checksum generated from uploaded image ({found}) did not match. \
             Setting image status to '{}'.",
            upload.on_failure.as_str()
        ))),
        _ => Ok(()),
    }
}

fn size_differs(upload: &Upload, found: u64) -> Error {
    Error::invalid(format!(
        "Supplied size ({}) and size generated from uploaded image ({found}) did not match. Setting image status to \
         '{}'.",
        upload.expected_size.unwrap_or_default(),
        upload.on_failure.as_str()
    ))
}

fn disconnected() -> Error {
    Error::invalid("Client disconnected before sending all data to backend")
}

fn lease_lost(image: ImageId) -> Error {
    let text = format!(
        "Image {image} could not be found after upload. The image may have been deleted during the upload."
    );
    Error::new(ErrorKind::PreconditionFailed, text)
}

/// A failed store operation in words for the uploader (images-v1.md §5.6).
fn store_error(error: blobs::Error, image: ImageId) -> Error {
    let retry_after = error.retry_after.unwrap_or(RETRY_AFTER).max(Duration::from_secs(1));
    let unavailable = ErrorKind::Unavailable { retry_after };
    // who deletes the image aborts the upload under its writer
    if error.kind == blobs::ErrorKind::NotFound {
        return lease_lost(image).with_source(error);
    }
    let (kind, text) = match error.kind {
        blobs::ErrorKind::Full => (ErrorKind::TooLarge, "Image storage media is full.".to_owned()),
        blobs::ErrorKind::Denied => {
            (unavailable, "Insufficient permissions on image storage media.".to_owned())
        }
        blobs::ErrorKind::Unavailable => (unavailable, "The image storage is not available.".to_owned()),
        blobs::ErrorKind::NoMemory => (unavailable, "The service is busy with other uploads.".to_owned()),
        _ => (ErrorKind::Internal, format!("Failed to upload image {image}")),
    };
    Error::new(kind, text).with_source(error)
}
