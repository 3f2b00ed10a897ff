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
use crate::catalog::usage::Quota;
use crate::config::{self, Limits};
use crate::domain::digest::Digests;
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::inspect::{Findings, Inspector, Refusal};
use crate::domain::policy::Dialect;
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::faultpoint;

use super::quotas::name_limit;
use super::sources::{ByteStream, quota_error, require_formats};
use super::{Call, Flows, RETRY_AFTER, may_write};

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
    /// Whose rules judge the content (see [`Inspection`]). They are applied to the record as it is once it is
    /// `saving`: before that, its formats may still change.
    pub rules: Dialect,
    /// What an image that was deleted meanwhile is for the uploader (v1: a failed precondition, v2: gone).
    pub if_deleted: ErrorKind,
}

/// How the content of an upload is judged (images-v2.md §11.5).
#[derive(Debug, Clone)]
struct Inspection {
    /// What the image says it is.
    disk_format: String,
    /// Whether content of another format is refused.
    require_match: bool,
    /// Whether the virtual size that is found becomes that of the image. Clients of v1 tell it themselves.
    record_virtual_size: bool,
    /// Checks of partition tables that may fail.
    nonfatal_checks: Vec<String>,
}

impl Inspection {
    /// For data of an image whose container is `bare`; others hide the disk from inspection. v1 never compared content
    /// with its format, and its clients tell the virtual size themselves: what could do harm is refused all the same.
    fn of(image: &Image, images: &config::Images, rules: Dialect) -> Option<Self> {
        let disk_format = image.disk_format.clone()?;
        let bare = image.container_format.as_deref() == Some("bare");
        bare.then(|| Self {
            disk_format,
            require_match: images.require_format_match && rules == Dialect::V2,
            record_virtual_size: rules == Dialect::V2,
            nonfatal_checks: images.gpt_safety_checks_nonfatal.clone(),
        })
    }

    /// The virtual size to record.
    ///
    /// # Errors
    /// `UnsupportedFormat` for content that is not what was declared or could do harm.
    fn judge(&self, mut findings: Findings) -> Result<Option<u64>> {
        if let Some(fault) = findings.forgive(&self.nonfatal_checks) {
            warn!(%fault, "image data is stored although a check of its partition table fails");
        }
        let refused = |refusal: Refusal| Error::new(ErrorKind::UnsupportedFormat, refusal.to_string());
        let virtual_size = findings.judge(&self.disk_format, self.require_match).map_err(refused)?;
        Ok(virtual_size.filter(|_| self.record_virtual_size))
    }
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

/// An upload that was admitted, with the identity of its object.
struct Transfer {
    upload: Upload,
    store: Store,
    blob: Uuid,
    key: String,
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
        let image = self.find_for(call, id, "upload_image").await?.image;
        require_formats(&image)?;
        if image.status != Status::Queued {
            return Err(not_queued(image.id, image.status));
        }
        refuse_signature(&image)?;
        self.check_cap(data.promised.max(data.length).unwrap_or_default())?;
        let promised = data.promised.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        let upload = Upload {
            image_id: image.id,
            store,
            length: data.length,
            expected_size: promised,
            expected_checksum: None,
            on_failure: Status::Queued,
            rules: Dialect::V2,
            if_deleted: ErrorKind::Gone,
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
    /// [`Upload::if_deleted`].
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
            Err(error) => return Err(self.refuse(&upload, store_error(error, &upload)).await),
        };
        let admission = self.budget.admit(layout).await.map_err(|error| {
            self.metrics.admission_rejected();
            store_error(error, &upload)
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
        let image = self.start_upload(&transfer).await?;
        faultpoint::pass("upload.started");
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let transferred = tokio::select! {
            transferred = self.transfer(&transfer, &image, &mut stream, &mut writer) => transferred,
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

    /// Transaction A; gives the record as it is now that its formats are settled.
    async fn start_upload(&self, transfer: &Transfer) -> Result<Image> {
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
            size_limit: limits.image_size_total,
        };
        match self.catalog.start_upload(&new).await {
            Ok(Started::Begun(image)) => Ok(image),
            Ok(Started::NotQueued(None | Some(Status::Deleted | Status::PendingDelete))) => {
                Err(lease_lost(&transfer.upload))
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
                if over_quota { Err(self.refuse(&transfer.upload, error).await) } else { Err(error) }
            }
        }
    }

    /// Moves all bytes into the store and checks them. The object exists afterwards; nobody refers to it yet.
    async fn transfer(
        &self,
        transfer: &Transfer,
        image: &Image,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
    ) -> Result<Stored> {
        let broken = |error| store_error(error, &transfer.upload);
        let images = &self.config.images;
        if transfer.upload.rules == Dialect::V2 {
            require_formats(image)?;
        }
        let inspection = Inspection::of(image, images, transfer.upload.rules);
        let mut hasher = Hasher::new(
            images.checksum || transfer.upload.expected_checksum.is_some(),
            images.hash_algorithm,
        );
        let mut inspector = inspection.as_ref().map(|_| Inspector::new());
        let mut waited = Duration::ZERO;
        while let Some(mut frame) = self.next_frame(&transfer.upload, stream, writer, &mut waited).await? {
            self.check_total(transfer, writer.size() + frame.len() as u64)?;
            self.metrics.upload_bytes(&transfer.store.id, frame.len() as u64);
            if let Some(inspector) = &mut inspector {
                inspector.push(&frame);
            }
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
        let virtual_size = match (inspection, inspector) {
            (Some(inspection), Some(inspector)) => inspection.judge(inspector.finish())?,
            _ => None,
        };
        faultpoint::pass("upload.sent");
        let written = writer.finish().await.map_err(broken)?;
        faultpoint::pass("upload.completed");
        Ok(stored(written, digests, virtual_size))
    }

    async fn send_part(
        &self,
        transfer: &Transfer,
        writer: &mut ObjectWriter,
        hasher: &mut Hasher,
    ) -> Result<()> {
        let broken = |error| store_error(error, &transfer.upload);
        if !writer.is_multipart() {
            let upload_id = writer.begin_multipart().await.map_err(broken)?;
            faultpoint::pass("upload.multipart_begun");
            if !self.catalog.record_upload_id(transfer.blob, &upload_id).await? {
                return Err(lease_lost(&transfer.upload));
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
        let quota = storage_quota(limits);
        if quota.is_none() || transfer.upload.length.is_some() {
            return Ok(());
        }
        let reserved = self.catalog.reserve(transfer.blob, total, quota).await;
        match reserved.map_err(|error| quota_error(error, limits))? {
            true => Ok(()),
            false => Err(lease_lost(&transfer.upload)),
        }
    }

    /// The next bytes of the body. Gives up on a body that stands still, and at once when a part has failed.
    async fn next_frame(
        &self,
        upload: &Upload,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
        waited: &mut Duration,
    ) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let frame = tokio::select! {
            frame = timeout(self.config.server.idle_timeout, stream.next()) => frame,
            error = writer.failure() => return Err(store_error(error, upload)),
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
        self.check_cap(total)?;
        match transfer.upload.expected_size.and_then(|size| u64::try_from(size).ok()) {
            Some(size) if total > size => Err(size_differs(&transfer.upload, total)),
            _ => Ok(()),
        }
    }

    fn check_cap(&self, total: u64) -> Result<()> {
        let cap = self.config.limits.image_size_cap.0;
        if total <= cap {
            return Ok(());
        }
        Err(Error::too_large(format!("Denying attempt to upload image larger than {cap} bytes.")))
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
                    return lease_lost(&transfer.upload);
                }
                Err(error) if Instant::now() >= held_until => return error.into(),
                Err(error) => warn!(error = %Chain(&error), "heartbeat of an upload failed"),
            }
        }
    }

    /// Transaction B, and what its outcome means for the client.
    async fn finish_upload(&self, transfer: &Transfer, stored: &Stored) -> Result<Image> {
        let limits = &self.config.limits;
        let finished = self.catalog.finish_upload(transfer.blob, stored, storage_quota(limits)).await;
        match finished.map_err(|error| quota_error(error, limits))? {
            Finished::Active(image) => {
                faultpoint::pass("upload.committed");
                info!(image.id = %image.id, size_bytes = stored.size, "image data stored");
                Ok(image)
            }
            Finished::Lost(_) => Err(lease_lost(&transfer.upload)),
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

/// What bounds the bytes of a project.
fn storage_quota(limits: &Limits) -> Quota {
    Quota { bytes: limits.user_storage_quota.0, size_total: limits.image_size_total }
}

fn stored(written: Written, digests: Digests, virtual_size: Option<u64>) -> Stored {
    Stored {
        size: written.size,
        virtual_size,
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

fn lease_lost(upload: &Upload) -> Error {
    let text = format!(
        "Image {} could not be found after upload. The image may have been deleted during the upload.",
        upload.image_id
    );
    Error::new(upload.if_deleted, text)
}

fn not_queued(id: ImageId, status: Status) -> Error {
    Error::conflict(format!("Attempt to upload duplicate image: Image {id} is {}", status.as_str()))
}

/// An image that announces a signature is only worth anything once that is verified. Without a key manager no
/// certificate can be had, so verification fails (images-v2.md §11.8).
fn refuse_signature(image: &Image) -> Result<()> {
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

/// A failed store operation in words for the uploader (images-v1.md §5.6).
fn store_error(error: blobs::Error, upload: &Upload) -> Error {
    let retry_after = error.retry_after.unwrap_or(RETRY_AFTER).max(Duration::from_secs(1));
    let unavailable = ErrorKind::Unavailable { retry_after };
    // who deletes the image aborts the upload under its writer
    if error.kind == blobs::ErrorKind::NotFound {
        return lease_lost(upload).with_source(error);
    }
    let (kind, text) = match error.kind {
        blobs::ErrorKind::Full => (ErrorKind::TooLarge, "Image storage media is full.".to_owned()),
        blobs::ErrorKind::Denied => {
            (unavailable, "Insufficient permissions on image storage media.".to_owned())
        }
        blobs::ErrorKind::Unavailable => (unavailable, "The image storage is not available.".to_owned()),
        blobs::ErrorKind::NoMemory => (unavailable, "The service is busy with other uploads.".to_owned()),
        _ => (ErrorKind::Internal, format!("Failed to upload image {}", upload.image_id)),
    };
    Error::new(kind, text).with_source(error)
}
