//! Writing an object of any size with a bounded number of parts in memory.
//!
//! The flow drives it, so that the ledger knows an upload before its first part is sent:
//!
//! ```text
//! for each frame:
//!     while push(frame) == PartFull:
//!         first time: begin_multipart → record the upload id
//!         send_part → the part, for the digests
//! send_last → the last part, for the digests
//! digests, length and format are right → finish, else → abort
//! ```
//!
//! An object that fits into the first buffer is one `PutObject`, also an empty one. Each part is one `Bytes` shared
//! by the request and the digests; it can be sent again as often as need be.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::budget::{Admission, PartBuffer};
use super::call::Limits;
use super::layout::MAX_PARTS;
use super::sign::Payload;
use super::{Error, ErrorKind, Result, Store};

const CONTENT_TYPE: &str = "application/octet-stream";

/// Longest clean-up after a failure; the sweep does the rest.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// An object that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Opaque validator of the store.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// All of it is in the part.
    Taken,
    /// The part is full and some of the frame is left: send the part, then push the rest.
    PartFull,
}

/// One object being written. Dropping it stops the requests on their way.
#[derive(Debug)]
pub struct ObjectWriter {
    store: Store,
    key: Arc<str>,
    admission: Admission,
    buffer: Option<PartBuffer>,
    upload_id: Option<Arc<str>>,
    sending: JoinSet<Result<Sent>>,
    /// ETags of the parts in order; none while on their way.
    etags: Vec<Option<String>>,
    size: u64,
    /// Whether the store may know a multipart upload whose id never reached us.
    strays: bool,
}

#[derive(Debug)]
struct Sent {
    index: usize,
    etag: String,
}

impl ObjectWriter {
    /// Begins an object at `key`, with the memory it was admitted with. Nothing is sent yet.
    pub fn new(store: &Store, key: &str, admission: Admission) -> Self {
        Self {
            store: store.clone(),
            key: key.into(),
            admission,
            buffer: None,
            upload_id: None,
            sending: JoinSet::new(),
            etags: Vec::new(),
            size: 0,
            strays: false,
        }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether [`ObjectWriter::begin_multipart`] was called.
    pub fn is_multipart(&self) -> bool {
        self.upload_id.is_some()
    }

    /// Moves `frame` into the current part, waiting for memory of earlier parts when there is no other.
    ///
    /// # Errors
    /// The error of a part that failed meanwhile; `Internal` for more bytes than were announced.
    pub async fn push(&mut self, frame: &mut Bytes) -> Result<Pushed> {
        self.note_sent()?;
        if frame.is_empty() {
            return Ok(Pushed::Taken);
        }
        let announced = self.admission.layout().length();
        if announced.is_some_and(|length| self.size + frame.len() as u64 > length) {
            return Err(Error::new(ErrorKind::Internal, "push").with_source("more bytes than announced"));
        }
        if self.buffer.is_none() {
            self.buffer = Some(self.next_buffer().await?);
        }
        if let Some(buffer) = &mut self.buffer {
            let before = frame.len();
            buffer.fill(frame);
            self.size += (before - frame.len()) as u64;
        }
        Ok(if frame.is_empty() { Pushed::Taken } else { Pushed::PartFull })
    }

    /// Begins the multipart upload and returns its id; to be recorded before the first part is sent.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_multipart(&mut self) -> Result<String> {
        // until the answer is here, also where this future is dropped
        self.strays = true;
        let (attempts, begun) = self.store.begin_upload(&self.key).await;
        self.strays = attempts > 1 || matches!(&begun, Err(error) if error.kind == ErrorKind::Unavailable);
        let upload_id = begun?;
        self.upload_id = Some(upload_id.as_str().into());
        Ok(upload_id)
    }

    /// Sends the current part and returns it. Waits while as many as allowed are on their way.
    ///
    /// # Errors
    /// The error of a part that failed; `Internal` without a multipart upload, `Full` past 10,000 parts.
    pub async fn send_part(&mut self) -> Result<Bytes> {
        let upload_id =
            self.upload_id.clone().ok_or_else(|| Error::new(ErrorKind::Internal, "UploadPart"))?;
        if self.etags.len() >= MAX_PARTS {
            return Err(Error::new(ErrorKind::Full, "UploadPart").with_source("more than 10,000 parts"));
        }
        while self.sending.len() >= self.admission.parts_in_flight() {
            self.await_sent().await?;
        }
        let part = self.take_buffer();
        let (number, data) = (self.etags.len() + 1, part.clone());
        let (store, key) = (self.store.clone(), Arc::clone(&self.key));
        self.spawn(async move { store.upload_part(&key, &upload_id, number, data).await });
        Ok(part)
    }

    /// Sends what is left in the buffer — without a multipart upload that is the whole object, even if empty — and
    /// returns it. Does not wait for it to arrive, so that the digests run meanwhile.
    ///
    /// # Errors
    /// As [`ObjectWriter::send_part`].
    pub async fn send_last(&mut self) -> Result<Bytes> {
        if self.is_multipart() {
            return match self.buffer {
                Some(_) => self.send_part().await,
                None => Ok(Bytes::new()),
            };
        }
        let object = self.take_buffer();
        let data = object.clone();
        let (store, key) = (self.store.clone(), Arc::clone(&self.key));
        self.spawn(async move { store.put_object(&key, data).await });
        Ok(object)
    }

    /// Waits for everything sent and completes the object. Call after [`ObjectWriter::send_last`].
    ///
    /// # Errors
    /// Those of the store; the object may exist all the same.
    pub async fn finish(&mut self) -> Result<Written> {
        while !self.sending.is_empty() {
            self.await_sent().await?;
        }
        let etags: Option<Vec<String>> = self.etags.iter().cloned().collect();
        let etags = etags.ok_or_else(|| Error::new(ErrorKind::Internal, "finish"))?;
        let etag = match self.upload_id.clone() {
            Some(upload_id) => self.store.complete_upload(&self.key, &upload_id, etags, self.size).await?,
            None => etags.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "finish"))?,
        };
        self.abort_strays().await;
        Ok(Written { etag, size: self.size })
    }

    /// Gives the object up: stops what is on its way and aborts the multipart upload. Best effort within 10 s; the
    /// sweep does what is left.
    pub async fn abort(mut self) {
        let clean_up = async {
            self.sending.shutdown().await;
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

    /// Resolves when a part fails, for a flow that waits for its next frame; never otherwise. Safe to cancel.
    pub async fn failure(&mut self) -> Error {
        loop {
            if self.sending.is_empty() {
                return std::future::pending().await;
            }
            if let Err(error) = self.await_sent().await {
                return error;
            }
        }
    }

    /// Sends the next part on a task of its own; it stops when the writer is dropped.
    fn spawn(&mut self, request: impl Future<Output = Result<String>> + Send + 'static) {
        let index = self.etags.len();
        self.etags.push(None);
        let in_flight = self.store.metrics().part_in_flight(&self.store.id);
        let sent = async move {
            let _in_flight = in_flight;
            request.await.map(|etag| Sent { index, etag })
        };
        self.sending.spawn(sent.in_current_span());
    }

    async fn abort_strays(&mut self) {
        if std::mem::take(&mut self.strays) {
            let aborted = timeout(ABORT_LIMIT, self.store.abort_uploads_of(&self.key)).await;
            if !matches!(aborted, Ok(Ok(()))) {
                tracing::debug!(store = %self.store.id, "a stray multipart upload may be left");
            }
        }
    }

    /// A buffer for the next part, grown where memory is free; else one of this upload's own as soon as a part of
    /// it has arrived and is hashed.
    async fn next_buffer(&mut self) -> Result<PartBuffer> {
        let size = self.admission.layout().part_after(self.etags.len());
        let mut buffer = loop {
            if let Some(buffer) = self.admission.try_buffer(size) {
                break buffer;
            }
            tokio::select! {
                buffer = self.admission.own_buffer() => break buffer?,
                Some(sent) = self.sending.join_next() => note(&mut self.etags, sent)?,
            }
        };
        let left = self.admission.layout().length().map(|length| length.saturating_sub(self.size));
        buffer.reserve(left.unwrap_or(u64::MAX));
        Ok(buffer)
    }

    fn take_buffer(&mut self) -> Bytes {
        self.buffer.take().map(PartBuffer::freeze).unwrap_or_default()
    }

    /// Notes the parts that have arrived, without waiting.
    fn note_sent(&mut self) -> Result<()> {
        while let Some(sent) = self.sending.try_join_next() {
            note(&mut self.etags, sent)?;
        }
        Ok(())
    }

    async fn await_sent(&mut self) -> Result<()> {
        match self.sending.join_next().await {
            Some(sent) => note(&mut self.etags, sent),
            None => Ok(()),
        }
    }
}

fn note(etags: &mut [Option<String>], sent: Result<Result<Sent>, JoinError>) -> Result<()> {
    let sent = sent.map_err(|error| Error::new(ErrorKind::Internal, "UploadPart").with_source(error))??;
    if let Some(etag) = etags.get_mut(sent.index) {
        *etag = Some(sent.etag);
    }
    Ok(())
}

impl Store {
    async fn put_object(&self, key: &str, data: Bytes) -> Result<String> {
        const OPERATION: &str = "PutObject";
        let payload = Payload::of(self, &data).await?;
        let put = self.call(OPERATION, Limits::body(data.len()), || {
            let request = self.client().put_object().bucket(self.bucket()).key(key);
            let request = request.content_type(CONTENT_TYPE).body(ByteStream::from(data.clone()));
            request.customize().interceptor(payload.clone()).send()
        });
        let put = put.await?;
        self.metrics().s3_bytes(OPERATION, &self.id, data.len() as u64);
        put.e_tag.ok_or_else(|| no_etag(OPERATION))
    }

    async fn begin_upload(&self, key: &str) -> (u32, Result<String>) {
        const OPERATION: &str = "CreateMultipartUpload";
        let create = self.counted_call(OPERATION, Limits::SMALL, || {
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

    async fn upload_part(&self, key: &str, upload_id: &str, number: usize, data: Bytes) -> Result<String> {
        const OPERATION: &str = "UploadPart";
        let payload = Payload::of(self, &data).await?;
        let number = part_number(number);
        let sent = self.call(OPERATION, Limits::body(data.len()), || {
            let request = self.client().upload_part().bucket(self.bucket()).key(key);
            let request =
                request.upload_id(upload_id).part_number(number).body(ByteStream::from(data.clone()));
            request.customize().interceptor(payload.clone()).send()
        });
        let sent = sent.await?;
        self.metrics().s3_bytes(OPERATION, &self.id, data.len() as u64);
        sent.e_tag.ok_or_else(|| no_etag(OPERATION))
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
        let completed = self.call(OPERATION, Limits::COMPLETE, || {
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

    /// Bytes of the object at `key`, if there is one; for the audit.
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

    async fn head(&self, key: &str) -> Result<(Option<String>, Option<u64>)> {
        let head = self.call("HeadObject", Limits::SMALL, || {
            self.client().head_object().bucket(self.bucket()).key(key).send()
        });
        let head = head.await?;
        Ok((head.e_tag, head.content_length.and_then(|length| u64::try_from(length).ok())))
    }
}

fn part_number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn no_etag(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation).with_source("answer without an etag")
}
