//! Bytes on their way into one object of the ledger: read, cut into parts, hashed, inspected and sent, under the lease
//! of their writer. What the bytes are for, and what becomes of the object, is up to who begins and ends the transfer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, warn};
use uuid::Uuid;

use crate::blobs::budget::Admission;
use crate::blobs::{self, Hasher, ObjectKey, ObjectWriter, Pushed, Store, Written};
use crate::catalog::blobs::BlobState;
use crate::catalog::uploads::{Begin, Stored};
use crate::catalog::usage::Quota;
use crate::config::Limits;
use crate::domain::digest::Digests;
use crate::domain::image::{ImageId, Status};
use crate::domain::inherited::Inherited;
use crate::domain::inspect::{Findings, Inspector};
use crate::domain::quota::Resource;
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::faultpoint;

use super::inspection::Inspection;
use super::sources::{ByteStream, quota_error};
use super::{Flows, RETRY_AFTER};

/// Heartbeats within one lease.
const HEARTBEATS: u32 = 6;
/// A transfer may keep us waiting for its bytes this long in all, …
const WAITING_LIMIT: Duration = Duration::from_secs(300);
/// … and a second longer for so many bytes received: who trickles gives the part memory back (A47).
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;

/// What is known of data beforehand, and how their refusal is put.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Their length where known.
    pub length: Option<u64>,
    /// Size that was promised.
    pub size: Option<i64>,
    /// MD5 that was promised, in hex.
    pub checksum: Option<String>,
    /// State the image goes to when the data are refused (v1: killed, v2: queued).
    pub on_failure: Status,
    /// What an image that was deleted meanwhile is for the sender (v1: a failed precondition, v2: gone).
    pub if_deleted: ErrorKind,
    /// Whether the sender bounds its own waits, as fetches and stores do; others are bounded here.
    pub bounds_itself: bool,
}

/// Bytes that have passed; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Passed(Arc<AtomicU64>);

impl Passed {
    /// So many more.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many until now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Data that flow into one object.
pub(super) struct Transfer {
    /// Image the data are for.
    pub image_id: ImageId,
    /// Store the object lies in.
    pub store: Store,
    /// Its row in the ledger; also the fence of its writer.
    pub blob: Uuid,
    /// Its key.
    pub key: String,
    /// What the data are for.
    pub begin: Begin,
    /// What is known of the data.
    pub expected: Expected,
    /// Counts the bytes.
    pub passed: Passed,
}

/// What is done about the content of data.
pub(super) enum Content {
    /// It is not looked at.
    Unseen,
    /// It is judged before the object is complete.
    Judged(Inspection),
    /// What is seen is kept, to be judged later.
    Recorded,
}

/// Data of which every byte is in the store. Nobody refers to the object yet.
pub(super) struct Received {
    /// What the record of an image wants to know.
    pub stored: Stored,
    /// What was seen of [`Content::Recorded`].
    pub findings: Option<Findings>,
    /// What the image takes over from the one elsewhere that they are a copy of.
    pub inherited: Option<Inherited>,
}

impl Transfer {
    /// Into an object of its own.
    pub fn new(image_id: ImageId, store: Store, begin: Begin, expected: Expected, passed: Passed) -> Self {
        let blob = Uuid::new_v4();
        let key = store.key(ObjectKey { image: image_id, blob });
        Self { image_id, store, blob, key, begin, expected, passed }
    }
}

impl Flows {
    /// Waits for the part memory of data of this length.
    ///
    /// # Errors
    /// Those of the store, and without memory.
    pub(super) async fn admit(&self, store: &Store, length: Option<u64>) -> blobs::Result<Admission> {
        let layout = store.layout(length)?;
        let admitted = self.budget.admit(layout).await;
        admitted.inspect_err(|_| self.metrics.admission_rejected())
    }

    /// Runs `work` as a task of its own, so that it ends in order also when nobody waits for it any more. It is handed
    /// what tells it to stop: that fires when the future is dropped, and when the process ends.
    pub(super) async fn detached<T, F>(&self, work: impl FnOnce(Self, CancellationToken) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let cancel = self.abort.child_token();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let ended = self.tracker.spawn(work(self.clone(), cancel).instrument(Span::current())).await;
        ended.map_err(Error::internal)?
    }

    /// Keeps the writer's lease while `work` runs; ends it when the lease is lost or `cancel` fires.
    pub(super) async fn under_lease<T>(
        &self,
        transfer: &Transfer,
        cancel: &CancellationToken,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            done = work => done,
            lost = self.keep_lease(transfer) => Err(lost),
            () = cancel.cancelled() => Err(disconnected()),
        }
    }

    /// Moves all bytes into the store and checks them. The object exists afterwards; nobody refers to it yet.
    pub(super) async fn receive(
        &self,
        transfer: &Transfer,
        content: Content,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
    ) -> Result<Received> {
        let broken = |error| store_error(error, transfer);
        let images = &self.config.images;
        let with_checksum = images.checksum || transfer.expected.checksum.is_some();
        let mut hasher = Hasher::new(with_checksum, images.hash_algorithm);
        let mut inspector = (!matches!(content, Content::Unseen)).then(Inspector::new);
        let mut waited = Duration::ZERO;
        while let Some(mut frame) = self.next_frame(transfer, stream, writer, &mut waited).await? {
            let length = frame.len() as u64;
            self.check_total(transfer, writer.size() + length)?;
            self.metrics.upload_bytes(&transfer.store.id, length);
            transfer.passed.add(length);
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
        check_promises(&transfer.expected, &digests)?;
        let (virtual_size, findings) = match (content, inspector.map(Inspector::finish)) {
            (Content::Judged(inspection), Some(findings)) => (inspection.judge(findings)?, None),
            (_, findings) => (None, findings),
        };
        faultpoint::pass("upload.sent");
        let written = writer.finish().await.map_err(broken)?;
        faultpoint::pass("upload.completed");
        Ok(Received { stored: stored(written, digests, virtual_size), findings, inherited: None })
    }

    async fn send_part(
        &self,
        transfer: &Transfer,
        writer: &mut ObjectWriter,
        hasher: &mut Hasher,
    ) -> Result<()> {
        let broken = |error| store_error(error, transfer);
        if !writer.is_multipart() {
            let upload_id = writer.begin_multipart().await.map_err(broken)?;
            faultpoint::pass("upload.multipart_begun");
            if !self.catalog.record_upload_id(transfer.blob, &upload_id).await? {
                return Err(lease_lost(transfer));
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
        let quota = transfer.quota(limits);
        if quota.is_none() || transfer.expected.length.is_some() {
            return Ok(());
        }
        let reserved = self.catalog.reserve(transfer.blob, total, quota).await;
        match reserved.map_err(|error| quota_error(error, limits))? {
            true => Ok(()),
            false => Err(lease_lost(transfer)),
        }
    }

    /// The next bytes of the body. Gives up on a body that stands still, and at once when a part has failed.
    async fn next_frame(
        &self,
        transfer: &Transfer,
        stream: &mut ByteStream,
        writer: &mut ObjectWriter,
        waited: &mut Duration,
    ) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let next = async {
            match transfer.expected.bounds_itself {
                true => Ok(stream.next().await),
                false => timeout(self.config.server.idle_timeout, stream.next()).await,
            }
        };
        let frame = tokio::select! {
            frame = next => frame,
            error = writer.failure() => return Err(store_error(error, transfer)),
        };
        *waited += begun.elapsed();
        let patience = WAITING_LIMIT + Duration::from_secs(writer.size() / SLOWEST_BYTES_PER_SECOND);
        if *waited > patience && !transfer.expected.bounds_itself {
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
        match transfer.expected.size.and_then(|size| u64::try_from(size).ok()) {
            Some(size) if total > size => Err(size_differs(&transfer.expected, total)),
            _ => Ok(()),
        }
    }

    pub(super) fn check_cap(&self, total: u64) -> Result<()> {
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
                    return lease_lost(transfer);
                }
                Err(error) if Instant::now() >= held_until => return error.into(),
                Err(error) => warn!(error = %Chain(&error), "heartbeat of an upload failed"),
            }
        }
    }

    /// Ends a failed transfer: first the records, so that users see it at once, then what lies in the store. Whatever
    /// does not succeed here is the sweep's work.
    pub(super) async fn give_up(&self, transfer: &Transfer, abort: impl Future<Output = ()>) {
        let failed = self.catalog.fail_upload(transfer.blob).await;
        faultpoint::pass("upload.failed");
        abort.await;
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

impl Transfer {
    /// What bounds the bytes of a project.
    pub fn quota(&self, limits: &Limits) -> Quota {
        let (resource, limit) = match self.begin {
            Begin::Saving => (Resource::SizeTotal, limits.image_size_total),
            Begin::Uploading => (Resource::StageTotal, limits.image_stage_total),
        };
        Quota { bytes: limits.user_storage_quota.0, resource, limit }
    }
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

fn check_promises(expected: &Expected, digests: &Digests) -> Result<()> {
    if expected.size.is_some_and(|size| u64::try_from(size) != Ok(digests.size)) {
        return Err(size_differs(expected, digests.size));
    }
    let found = digests.checksum.as_deref().unwrap_or_default();
    match expected.checksum.as_deref() {
        Some(promised) if !promised.eq_ignore_ascii_case(found) => Err(Error::invalid(format!(
            "Supplied checksum ({promised}) and checksum generated from uploaded image ({found}) did not match. \
             Setting image status to '{}'.",
            expected.on_failure.as_str()
        ))),
        _ => Ok(()),
    }
}

fn size_differs(expected: &Expected, found: u64) -> Error {
    Error::invalid(format!(
        "Supplied size ({}) and size generated from uploaded image ({found}) did not match. Setting image status to \
         '{}'.",
        expected.size.unwrap_or_default(),
        expected.on_failure.as_str()
    ))
}

fn disconnected() -> Error {
    Error::invalid("Client disconnected before sending all data to backend")
}

pub(super) fn lease_lost(transfer: &Transfer) -> Error {
    let text = format!(
        "Image {} could not be found after upload. The image may have been deleted during the upload.",
        transfer.image_id
    );
    Error::new(transfer.expected.if_deleted, text)
}

/// A failed store operation in words for the uploader (images-v1.md §5.6).
pub(super) fn store_error(error: blobs::Error, transfer: &Transfer) -> Error {
    let retry_after = error.retry_after.unwrap_or(RETRY_AFTER).max(Duration::from_secs(1));
    let unavailable = ErrorKind::Unavailable { retry_after };
    // who deletes the image aborts the upload under its writer
    if matches!(error.kind, blobs::ErrorKind::NotFound | blobs::ErrorKind::Aborted) {
        return lease_lost(transfer).with_source(error);
    }
    let (kind, text) = match error.kind {
        blobs::ErrorKind::Full => (ErrorKind::TooLarge, "Image storage media is full.".to_owned()),
        blobs::ErrorKind::Denied => {
            (unavailable, "Insufficient permissions on image storage media.".to_owned())
        }
        blobs::ErrorKind::Unavailable => (unavailable, "The image storage is not available.".to_owned()),
        blobs::ErrorKind::NoMemory => (unavailable, "The service is busy with other uploads.".to_owned()),
        _ => (ErrorKind::Internal, format!("Failed to upload image {}", transfer.image_id)),
    };
    Error::new(kind, text).with_source(error)
}
