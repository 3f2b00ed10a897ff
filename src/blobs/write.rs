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

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::assembly::{Assembly, CONTENT_TYPE, Place, no_etag};
use super::budget::{Admission, PartBuffer};
use super::call::{Limits, Operation};
use super::sign::Payload;
use super::{Error, ErrorKind, Result, Store};

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
    assembly: Assembly,
    admission: Admission,
    buffer: Option<PartBuffer>,
    size: u64,
}

impl ObjectWriter {
    /// Begins an object at `key`, with the memory it was admitted with. Nothing is sent yet.
    pub fn new(store: &Store, key: &str, admission: Admission) -> Self {
        Self { assembly: Assembly::new(store, key), admission, buffer: None, size: 0 }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether [`ObjectWriter::begin_multipart`] was called.
    pub fn is_multipart(&self) -> bool {
        self.assembly.is_multipart()
    }

    /// Moves `frame` into the current part, waiting for memory of earlier parts when there is no other.
    ///
    /// # Errors
    /// The error of a part that failed meanwhile; `Internal` for more bytes than were announced.
    pub async fn push(&mut self, frame: &mut Bytes) -> Result<Pushed> {
        self.assembly.note_arrived()?;
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
        self.assembly.begin().await
    }

    /// Sends the current part and returns it. Waits while as many as allowed are on their way.
    ///
    /// # Errors
    /// The error of a part that failed; `Internal` without a multipart upload, `Full` past 10,000 parts.
    pub async fn send_part(&mut self) -> Result<Bytes> {
        let place = self.assembly.next_place("UploadPart")?;
        while self.assembly.in_flight() >= self.admission.parts_in_flight() {
            self.assembly.arrived().await?;
        }
        let part = self.take_buffer();
        self.assembly.start(upload_part(place, part.clone()));
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
        let (store, key) = (self.assembly.store().clone(), Arc::clone(self.assembly.key()));
        self.assembly.start(put_object(store, key, object.clone()));
        Ok(object)
    }

    /// Waits for everything sent and completes the object. Call after [`ObjectWriter::send_last`].
    ///
    /// # Errors
    /// Those of the store; the object may exist all the same.
    pub async fn finish(&mut self) -> Result<Written> {
        let etag = self.assembly.complete(self.size).await?;
        Ok(Written { etag, size: self.size })
    }

    /// Gives the object up: stops what is on its way and aborts the multipart upload. Best effort within 10 s; the
    /// sweep does what is left.
    pub async fn abort(self) {
        self.assembly.abort().await;
    }

    /// Resolves when a part fails, for a flow that waits for its next frame; never otherwise. Safe to cancel.
    pub async fn failure(&mut self) -> Error {
        loop {
            match self.assembly.arrived().await {
                Ok(Some(_)) => {}
                Ok(None) => return std::future::pending().await,
                Err(error) => return error,
            }
        }
    }

    /// A buffer for the next part, grown where memory is free; else one of this upload's own as soon as a part of
    /// it has arrived and is hashed.
    async fn next_buffer(&mut self) -> Result<PartBuffer> {
        let size = self.admission.layout().part_after(self.assembly.started());
        let mut buffer = loop {
            if let Some(buffer) = self.admission.try_buffer(size) {
                break buffer;
            }
            tokio::select! {
                buffer = self.admission.own_buffer() => break buffer?,
                arrived = self.assembly.arrived(), if self.assembly.in_flight() > 0 => { arrived?; }
            }
        };
        let left = self.admission.layout().length().map(|length| length.saturating_sub(self.size));
        buffer.reserve(left.unwrap_or(u64::MAX));
        Ok(buffer)
    }

    fn take_buffer(&mut self) -> Bytes {
        self.buffer.take().map(PartBuffer::freeze).unwrap_or_default()
    }
}

/// Sends a whole object; returns its validator.
pub(super) async fn put_object(store: Store, key: Arc<str>, data: Bytes) -> Result<String> {
    const OPERATION: &str = "PutObject";
    let payload = Payload::of(&store, &data).await?;
    let operation = Operation::new(OPERATION).on(&key);
    let put = store.call(operation, Limits::transfer(data.len() as u64), || {
        let request = store.client().put_object().bucket(store.bucket()).key(&*key);
        let request = request.content_type(CONTENT_TYPE).body(ByteStream::from(data.clone()));
        request.customize().interceptor(payload.clone()).send()
    });
    let put = put.await?;
    store.metrics().s3_bytes(OPERATION, &store.id, data.len() as u64);
    put.e_tag.ok_or_else(|| no_etag(OPERATION))
}

async fn upload_part(place: Place, data: Bytes) -> Result<String> {
    const OPERATION: &str = "UploadPart";
    let Place { store, key, upload_id, number } = place;
    let payload = Payload::of(&store, &data).await?;
    let operation = Operation::new(OPERATION).on(&key).of(&upload_id).part(number);
    let sent = store.call(operation, Limits::transfer(data.len() as u64), || {
        let request = store.client().upload_part().bucket(store.bucket()).key(&*key);
        let request = request.upload_id(&*upload_id).part_number(number).body(ByteStream::from(data.clone()));
        request.customize().interceptor(payload.clone()).send()
    });
    let sent = sent.await?;
    store.metrics().s3_bytes(OPERATION, &store.id, data.len() as u64);
    sent.e_tag.ok_or_else(|| no_etag(OPERATION))
}
