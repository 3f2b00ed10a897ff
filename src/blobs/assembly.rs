//! What writing and copying have in common: the requests that make up one object, and the multipart upload they
//! belong to where they are several.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::call::{Limits, Operation};
use super::layout::MAX_PARTS;
use super::{Error, ErrorKind, Result, Store};

pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

/// Longest clean-up after a failure; the sweep does the rest.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// An object being put together: by one request, or by the parts of a multipart upload. Dropping it stops the
/// requests on their way.
#[derive(Debug)]
pub(super) struct Assembly {
    store: Store,
    key: Arc<str>,
    upload_id: Option<Arc<str>>,
    running: JoinSet<Result<Arrived>>,
    /// ETags of the parts in order; none while on their way.
    etags: Vec<Option<String>>,
    /// Whether the store may know a multipart upload whose id never reached us.
    strays: bool,
}

#[derive(Debug)]
struct Arrived {
    index: usize,
    etag: String,
}

/// Where a part goes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) key: Arc<str>,
    pub(super) upload_id: Arc<str>,
    pub(super) number: i32,
}

impl Assembly {
    pub(super) fn new(store: &Store, key: &str) -> Self {
        Self {
            store: store.clone(),
            key: key.into(),
            upload_id: None,
            running: JoinSet::new(),
            etags: Vec::new(),
            strays: false,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.upload_id.is_some()
    }

    /// Requests started so far.
    pub(super) fn started(&self) -> usize {
        self.etags.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// Begins the multipart upload and returns its id.
    pub(super) async fn begin(&mut self) -> Result<String> {
        // until the answer is here, also where this future is dropped
        self.strays = true;
        let (attempts, begun) = self.store.begin_upload(&self.key).await;
        self.strays = attempts > 1 || matches!(&begun, Err(error) if error.kind == ErrorKind::Unavailable);
        let upload_id = begun?;
        self.upload_id = Some(upload_id.as_str().into());
        Ok(upload_id)
    }

    /// Where the next part goes; `Internal` without a multipart upload, `Full` past 10,000 parts.
    pub(super) fn next_place(&self, operation: &'static str) -> Result<Place> {
        let upload_id = self.upload_id.clone().ok_or_else(|| Error::new(ErrorKind::Internal, operation))?;
        if self.etags.len() >= MAX_PARTS {
            return Err(Error::new(ErrorKind::Full, operation).with_source("more than 10,000 parts"));
        }
        let number = part_number(self.etags.len() + 1);
        Ok(Place { store: self.store.clone(), key: Arc::clone(&self.key), upload_id, number })
    }

    /// Starts the next request, which answers with an ETag, on a task of its own.
    pub(super) fn start(&mut self, request: impl Future<Output = Result<String>> + Send + 'static) {
        let index = self.etags.len();
        self.etags.push(None);
        let in_flight = self.store.metrics().part_in_flight(&self.store.id);
        let arrived = async move {
            let _in_flight = in_flight;
            request.await.map(|etag| Arrived { index, etag })
        };
        self.running.spawn(arrived.in_current_span());
    }

    /// Waits for one request and returns its position; none when none is on its way. Safe to cancel.
    pub(super) async fn arrived(&mut self) -> Result<Option<usize>> {
        match self.running.join_next().await {
            Some(arrived) => self.note(arrived).map(Some),
            None => Ok(None),
        }
    }

    /// Notes what has arrived, without waiting.
    pub(super) fn note_arrived(&mut self) -> Result<()> {
        while let Some(arrived) = self.running.try_join_next() {
            self.note(arrived)?;
        }
        Ok(())
    }

    /// Waits for everything started, completes the object of `size` bytes and returns its ETag.
    pub(super) async fn complete(&mut self, size: u64) -> Result<String> {
        while self.arrived().await?.is_some() {}
        let missing = || Error::new(ErrorKind::Internal, "finish");
        let etags: Option<Vec<String>> = self.etags.iter().cloned().collect();
        let etags = etags.ok_or_else(missing)?;
        let etag = match self.upload_id.clone() {
            Some(upload_id) => self.store.complete_upload(&self.key, &upload_id, etags, size).await?,
            None => etags.into_iter().next().ok_or_else(missing)?,
        };
        self.abort_strays().await;
        Ok(etag)
    }

    /// Stops what is on its way and aborts the multipart upload. Best effort within 10 s.
    pub(super) async fn abort(mut self) {
        let clean_up = async {
            self.running.shutdown().await;
            if let Some(upload_id) = self.upload_id.clone()
                && let Err(error) = self.store.abort_upload(&self.key, &upload_id).await
            {
                tracing::debug!(store = %self.store.id, %error, "multipart upload was not aborted yet");
            }
            self.abort_strays().await;
        };
        if timeout(ABORT_LIMIT, clean_up).await.is_err() {
            tracing::debug!(store = %self.store.id, "clean-up of an upload was cut short");
        }
    }

    async fn abort_strays(&mut self) {
        if std::mem::take(&mut self.strays) {
            let aborted = timeout(ABORT_LIMIT, self.store.abort_uploads_of(&self.key)).await;
            if !matches!(aborted, Ok(Ok(()))) {
                tracing::debug!(store = %self.store.id, "a stray multipart upload may be left");
            }
        }
    }

    fn note(&mut self, arrived: Result<Result<Arrived>, JoinError>) -> Result<usize> {
        let arrived =
            arrived.map_err(|error| Error::new(ErrorKind::Internal, "part").with_source(error))??;
        if let Some(etag) = self.etags.get_mut(arrived.index) {
            *etag = Some(arrived.etag);
        }
        Ok(arrived.index)
    }
}

impl Store {
    async fn begin_upload(&self, key: &str) -> (u32, Result<String>) {
        const OPERATION: &str = "CreateMultipartUpload";
        let create = self.counted_call(Operation::new(OPERATION).on(key), Limits::SMALL, || {
            let request = self.client().create_multipart_upload().bucket(self.bucket()).key(key);
            request.content_type(CONTENT_TYPE).send()
        });
        let (attempts, created) = create.await;
        let id = created.and_then(|created| {
            let id = created.upload_id.filter(|id| !id.is_empty());
            id.ok_or_else(|| {
                Error::new(ErrorKind::Internal, OPERATION).with_source("answer without an upload id")
            })
        });
        (attempts, id)
    }

    /// Completes an upload and returns the ETag. The SDK turns a 200 with an error inside into an error.
    ///
    /// A repeated request may be told that the upload is unknown because an earlier one was carried out and only
    /// its answer got lost. The key is ours alone, so an object of the right size under it is this one.
    async fn complete_upload(
        &self,
        key: &str,
        upload_id: &str,
        etags: Vec<String>,
        size: u64,
    ) -> Result<String> {
        const OPERATION: &str = "CompleteMultipartUpload";
        let parts = etags.into_iter().zip(1..).map(|(etag, number)| {
            CompletedPart::builder().e_tag(etag).part_number(part_number(number)).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let operation = Operation::new(OPERATION).on(key).of(upload_id);
        let completed = self.call(operation, Limits::COMPLETE, || {
            let request = self.client().complete_multipart_upload().bucket(self.bucket()).key(key);
            request.upload_id(upload_id).multipart_upload(parts.clone()).send()
        });
        let error = match completed.await.map(|completed| completed.e_tag) {
            Ok(Some(etag)) => return Ok(etag),
            Ok(None) => no_etag(OPERATION),
            Err(error) => error,
        };
        match self.head(key).await {
            Ok((Some(etag), found)) if found == Some(size) => Ok(etag),
            _ => Err(error),
        }
    }

    /// Bytes of the object at `key`, if there is one; for the scrub.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn size_of(&self, key: &str) -> Result<Option<u64>> {
        match self.head(key).await {
            Ok((_, size)) => Ok(size),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// ETag and bytes of the object at `key`, as far as the store tells.
    pub(super) async fn head(&self, key: &str) -> Result<(Option<String>, Option<u64>)> {
        let head = self.call(Operation::new("HeadObject").on(key), Limits::SMALL, || {
            self.client().head_object().bucket(self.bucket()).key(key).send()
        });
        let head = head.await?;
        Ok((head.e_tag, head.content_length.and_then(|length| u64::try_from(length).ok())))
    }
}

fn part_number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn no_etag(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation).with_source("answer without an etag")
}
