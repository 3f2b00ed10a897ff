//! Copying an object to another store without moving its bytes through this process.
//!
//! The flow drives it, so that the ledger knows an upload before its first part exists:
//!
//! ```text
//! begin → record the upload id, if there is one
//! while next_part: report progress
//! finish, else → abort
//! ```
//!
//! What is larger than a range of 1 GiB is copied range by range; the rest, also an empty object, is one `CopyObject`.
//! Every request names the validator of the source, so ranges of two objects are never mixed.

use std::convert::identity;
use std::ops::Range;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::assembly::{Assembly, Place, no_etag};
use super::call::{Limits, Operation};
use super::write::Written;
use super::{Error, ErrorKind, Layout, Result, Store};

/// Bytes of one range: few requests, yet each ends within its deadline.
const RANGE: u64 = 1 << 30;

/// Ranges copied at a time.
const RANGES_IN_FLIGHT: usize = 4;

/// All but what RFC 3986 §2.3 leaves alone, and the slashes of the key.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// One object being copied inside the object store. Dropping it stops waiting for the requests on their way.
#[derive(Debug)]
pub struct ObjectCopy {
    assembly: Assembly,
    source: Arc<Source>,
    /// Bytes of one request but the last.
    range: u64,
    /// Requests needed; none before the beginning.
    parts: usize,
    copied: u64,
}

impl ObjectCopy {
    /// Begins the copy of an object of `size` bytes to `key`. Nothing is sent yet. `source_etag` is the validator of
    /// the source, where known.
    pub fn new(
        target: &Store,
        key: &str,
        source: &Store,
        source_key: &str,
        source_etag: Option<&str>,
        size: u64,
    ) -> Self {
        let source = Source {
            store: source.clone(),
            key: source_key.to_owned(),
            etag: source_etag.map(str::to_owned),
            size,
        };
        let assembly = Assembly::new(target, key);
        Self { assembly, source: Arc::new(source), range: RANGE, parts: 0, copied: 0 }
    }

    /// With smaller ranges.
    #[cfg(all(test, feature = "dev"))]
    pub(super) fn with_range(self, range: u64) -> Self {
        Self { range, ..self }
    }

    /// Bytes copied so far.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Looks at the source and begins the multipart upload; its id is to be recorded before the first part. None
    /// where one request does.
    ///
    /// # Errors
    /// `NotFound` and `Changed` of the source; `Full` when no object can hold that many bytes; `Aborted` without a
    /// bucket; others of the store.
    pub async fn begin(&mut self) -> Result<Option<String>> {
        let layout = Layout::new(self.range, true, Some(self.source.size))?;
        // not left to the conditions of the copies: some stores ignore them
        self.source = Arc::new(self.source.checked().await?);
        self.range = layout.part_after(0);
        if layout.fits_one_part() {
            self.parts = 1;
            return Ok(None);
        }
        let upload_id = self.assembly.begin().await.map_err(aborted)?;
        self.parts = usize::try_from(self.source.size.div_ceil(self.range)).unwrap_or(usize::MAX);
        Ok(Some(upload_id))
    }

    /// Copies on until one more range has arrived; false when none is left. Safe to cancel. Call after
    /// [`ObjectCopy::begin`].
    ///
    /// # Errors
    /// `NotFound` and `Changed` of the source; `Unsupported` when the store refuses to copy; `Aborted` when the upload
    /// is no more; others of the store.
    pub async fn next_part(&mut self) -> Result<bool> {
        while self.assembly.started() < self.parts && self.assembly.in_flight() < RANGES_IN_FLIGHT {
            self.start_next()?;
        }
        let Some(index) = self.assembly.arrived().await? else { return Ok(false) };
        let range = self.range_of(index);
        self.copied += range.end - range.start;
        Ok(true)
    }

    /// Completes the object and makes sure that it has the size of its source. Call after the last part.
    ///
    /// # Errors
    /// `Unsupported` when it has another size, `Aborted` when the upload is no more, others of the store; the object
    /// may exist all the same.
    pub async fn finish(&mut self) -> Result<Written> {
        let size = self.source.size;
        if self.copied != size {
            return Err(Error::new(ErrorKind::Internal, "finish").with_source("ranges are missing"));
        }
        let answered = self.assembly.complete(size).await.map_err(aborted)?;
        let (etag, found) = self.assembly.store().head(self.assembly.key()).await.map_err(aborted)?;
        if found != Some(size) {
            return Err(Error::new(ErrorKind::Unsupported, "HeadObject").with_source("copy of another size"));
        }
        Ok(Written { etag: etag.unwrap_or(answered), size })
    }

    /// Gives the copy up: stops what is on its way and aborts the multipart upload. Best effort within 10 s; the
    /// sweep does what is left, also of ranges that the store goes on to copy.
    pub async fn abort(self) {
        self.assembly.abort().await;
    }

    fn start_next(&mut self) -> Result<()> {
        let source = Arc::clone(&self.source);
        if self.assembly.is_multipart() {
            let range = self.range_of(self.assembly.started());
            let place = self.assembly.next_place("UploadPartCopy")?;
            self.assembly.start(async move { source.copy_range(place, range).await });
        } else {
            let (store, key) = (self.assembly.store().clone(), Arc::clone(self.assembly.key()));
            self.assembly.start(async move { source.copy_whole(store, key).await });
        }
        Ok(())
    }

    fn range_of(&self, index: usize) -> Range<u64> {
        let start = self.range.saturating_mul(index as u64);
        start..start.saturating_add(self.range).min(self.source.size)
    }
}

/// What is copied.
#[derive(Debug, Clone)]
struct Source {
    store: Store,
    key: String,
    etag: Option<String>,
    size: u64,
}

impl Source {
    /// The source with its validator, if it is there and is the one that was meant.
    async fn checked(&self) -> Result<Self> {
        let (etag, size) = self.store.head(&self.key).await?;
        let same = self.etag.is_none() || etag.is_none() || self.etag == etag;
        if !same || size != Some(self.size) {
            return Err(Error::new(ErrorKind::Changed, "HeadObject"));
        }
        Ok(Self { etag: self.etag.clone().or(etag), ..self.clone() })
    }

    async fn copy_whole(&self, store: Store, key: Arc<str>) -> Result<String> {
        const OPERATION: &str = "CopyObject";
        let operation = Operation::new(OPERATION).on(&key);
        let copied = store.call(operation, Limits::transfer(self.size), || {
            let request = store.client().copy_object().bucket(store.bucket()).key(&*key);
            request.copy_source(self.path()).set_copy_source_if_match(self.etag.clone()).send()
        });
        let copied = copied.await.map(|copied| copied.copy_object_result.and_then(|copy| copy.e_tag));
        self.explain(copied.and_then(|etag| etag.ok_or_else(|| no_etag(OPERATION)))).await
    }

    async fn copy_range(&self, place: Place, range: Range<u64>) -> Result<String> {
        const OPERATION: &str = "UploadPartCopy";
        let Place { store, key, upload_id, number } = place;
        let operation = Operation::new(OPERATION).on(&key).of(&upload_id).part(number);
        let copied = store.call(operation, Limits::transfer(range.end - range.start), || {
            let request = store.client().upload_part_copy().bucket(store.bucket()).key(&*key);
            let request = request.upload_id(&*upload_id).part_number(number).copy_source(self.path());
            let request = request.copy_source_range(format!("bytes={}-{}", range.start, range.end - 1));
            request.set_copy_source_if_match(self.etag.clone()).send()
        });
        let copied = copied.await.map(|copied| copied.copy_part_result.and_then(|copy| copy.e_tag));
        self.explain(copied.and_then(|etag| etag.ok_or_else(|| no_etag(OPERATION)))).await
    }

    /// Bucket and key, as a request names them.
    fn path(&self) -> String {
        format!("{}/{}", self.store.bucket(), utf8_percent_encode(&self.key, ENCODED))
    }

    /// Says what the refusal of a copy means. Stores that cannot copy tell so in many ways; sending the data then
    /// shows whether anything else is wrong.
    async fn explain(&self, copied: Result<String>) -> Result<String> {
        let error = match copied {
            Ok(etag) => return Ok(etag),
            Err(error) => error,
        };
        Err(match error.kind {
            ErrorKind::Denied | ErrorKind::Internal => Error { kind: ErrorKind::Unsupported, ..error },
            // the source, or the upload
            ErrorKind::NotFound => self.checked().await.map_or_else(identity, |_| aborted(error)),
            _ => error,
        })
    }
}

/// An error of the target: what is not found there was there before.
fn aborted(error: Error) -> Error {
    match error.kind {
        ErrorKind::NotFound => Error { kind: ErrorKind::Aborted, ..error },
        _ => error,
    }
}
