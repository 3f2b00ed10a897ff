//! Reading objects: frames pass through uncopied, and a broken stream goes on where it broke.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use tokio::time::{sleep, timeout};

use super::call::{Limits, Operation, pause};
use super::{Error, ErrorKind, Result, Store};

const OPERATION: &str = "GetObject";

/// Longest wait for the next frame.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How often in a row a broken stream is taken up again.
const REOPENINGS: u32 = 3;

impl Store {
    /// Opens the bytes `range` of an object of `size` bytes. `etag` is its validator, where known.
    ///
    /// Returns once the store has answered, so its refusal is known before the first byte.
    ///
    /// # Errors
    /// `NotFound`; `Changed` when the object has another validator or size; those of the store.
    pub async fn read(&self, key: &str, etag: Option<&str>, size: u64, range: Range<u64>) -> Result<Reader> {
        if range.start > range.end || range.end > size {
            return Err(Error::new(ErrorKind::Internal, OPERATION).with_source("range beyond the object"));
        }
        let mut reader = Reader {
            store: self.clone(),
            key: key.to_owned(),
            etag: etag.map(str::to_owned),
            size,
            offset: range.start,
            end: range.end,
            body: None,
        };
        // nothing to fetch; a range of no bytes cannot be asked for either
        if reader.remaining() > 0 {
            reader.open(Limits::SMALL).await?;
        }
        Ok(reader)
    }
}

/// An object being read.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    key: String,
    etag: Option<String>,
    size: u64,
    offset: u64,
    end: u64,
    body: Option<ByteStream>,
}

impl Reader {
    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.end - self.offset
    }

    /// The next frame, never empty; none only after exactly the bytes asked for.
    ///
    /// # Errors
    /// When the stream broke and could not be taken up again within three tries, or the object is not the same any
    /// more. The reader is of no use afterwards.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        if self.remaining() == 0 {
            return self.surplus().await.map(Err);
        }
        let frame = match self.frame_or_reopen().await {
            Ok(frame) if frame.len() as u64 > self.remaining() => Err(surplus()),
            outcome => outcome,
        };
        match frame {
            Ok(frame) => {
                self.offset += frame.len() as u64;
                self.store.metrics().s3_bytes("GetObject", &self.store.id, frame.len() as u64);
                Some(Ok(frame))
            }
            Err(error) => {
                self.body = None;
                self.offset = self.end;
                Some(Err(error))
            }
        }
    }

    /// The rest as a stream, which ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await? {
                Ok(frame) => Some((Ok(frame), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next frame with at least one byte; reopens the object where the stream broke.
    async fn frame_or_reopen(&mut self) -> Result<Bytes> {
        let mut error = match self.frame().await {
            Ok(frame) => return Ok(frame),
            Err(error) => error,
        };
        for attempt in 1..=REOPENINGS {
            let remaining = self.remaining();
            tracing::debug!(store = %self.store.id, attempt, remaining, %error, "object stream broke");
            // a client waits for its bytes: no long pauses
            sleep(pause(attempt.min(2), error.retry_after)).await;
            error = match self.open(Limits::ONCE).await {
                Ok(()) => match self.frame().await {
                    Ok(frame) => return Ok(frame),
                    Err(error) => error,
                },
                Err(error) if error.kind == ErrorKind::Unavailable => error,
                Err(error) => return Err(error),
            };
        }
        Err(error)
    }

    /// The next frame of the open stream; its end is an error, as bytes are missing.
    async fn frame(&mut self) -> Result<Bytes> {
        let broken = || Error::new(ErrorKind::Unavailable, OPERATION);
        let body = self.body.as_mut().ok_or_else(broken)?;
        loop {
            match timeout(IDLE_LIMIT, body.next()).await {
                Ok(Some(Ok(frame))) if frame.is_empty() => {}
                Ok(Some(Ok(frame))) => return Ok(frame),
                Ok(Some(Err(error))) => return Err(broken().with_source(error)),
                Ok(None) => return Err(broken().with_source("body ended early")),
                Err(elapsed) => return Err(broken().with_source(elapsed)),
            }
        }
    }

    /// After the last byte: an error if the store has more. Reading to the end also lets the connection be reused.
    async fn surplus(&mut self) -> Option<Error> {
        let mut body = self.body.take()?;
        match timeout(IDLE_LIMIT, body.next()).await {
            Ok(Some(Ok(frame))) if !frame.is_empty() => Some(surplus()),
            _ => None,
        }
    }

    async fn open(&mut self, limits: Limits) -> Result<()> {
        self.body = None;
        let whole = self.offset == 0 && self.end == self.size;
        let range = (!whole).then(|| format!("bytes={}-{}", self.offset, self.end - 1));
        let opened = self.store.call(Operation::new(OPERATION).on(&self.key), limits, || {
            let request = self.store.client().get_object().bucket(self.store.bucket()).key(&self.key);
            request.set_if_match(self.etag.clone()).set_range(range.clone()).send()
        });
        let opened = opened.await?;
        // a store may ignore the validator or the range
        let length = opened.content_length.and_then(|length| u64::try_from(length).ok());
        let right_length = length.is_none_or(|length| length == self.remaining());
        let right_start = whole || starts_at(opened.content_range.as_deref(), self.offset);
        let same = self.etag.is_none() || opened.e_tag.is_none() || self.etag == opened.e_tag;
        if !(right_length && right_start && same) {
            return Err(Error::new(ErrorKind::Changed, OPERATION));
        }
        self.etag = self.etag.take().or(opened.e_tag);
        self.body = Some(opened.body);
        Ok(())
    }
}

/// Whether a `Content-Range` (RFC 9110 §14.4) begins at `offset`.
fn starts_at(content_range: Option<&str>, offset: u64) -> bool {
    let first = content_range.and_then(|text| text.strip_prefix("bytes ")?.split_once('-'));
    first.and_then(|(first, _)| first.parse().ok()) == Some(offset)
}

fn surplus() -> Error {
    Error::new(ErrorKind::Changed, OPERATION).with_source("more bytes than the object has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert!(starts_at(Some("bytes 5-9/10"), 5));
        assert!(starts_at(Some("bytes 5-9/*"), 5));
        assert!(!starts_at(Some("bytes 0-9/10"), 5));
        assert!(!starts_at(Some("bytes */10"), 5));
        assert!(!starts_at(None, 5));
    }
}
