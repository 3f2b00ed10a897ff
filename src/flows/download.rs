//! Read image data, wherever it lies.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::blobs;
use crate::catalog::blobs::Blob;
use crate::domain::image::{Image, Status};
use crate::domain::policy::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::FetchErrorKind;

use super::{Call, Flows, Found, RETRY_AFTER};

/// Bytes on their way to a client; after an error the connection must be cut, as its headers are gone.
pub type DataStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// An opened download.
pub struct Download {
    /// The record.
    pub image: Image,
    /// Which bytes of the data these are.
    pub range: Range<u64>,
    /// Exactly as many bytes as the range holds, or an error.
    pub stream: DataStream,
}

/// The part of the data that is asked for. Positions count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    Whole,
    /// From this byte to the end.
    From(u64),
    /// From the first to the second byte, both included, as far as there are so many.
    Between(u64, u64),
    /// From the first to the second byte, both included; an error where there are not so many.
    Exactly(u64, u64),
    /// So many bytes at the end, or all.
    Last(u64),
    /// More than one part.
    Several,
    /// What no data can have.
    Impossible,
}

impl Wanted {
    /// The bytes of data of this `size`; none where everything is asked for (images-v2.md §13.1).
    ///
    /// # Errors
    /// `RangeNotSatisfiable`; `Invalid` for several parts.
    pub fn within(self, size: u64) -> Result<Option<Range<u64>>> {
        let range = match self {
            Self::Whole => return Ok(None),
            Self::From(first) => first..size,
            Self::Between(first, last) => first..size.min(last.saturating_add(1)),
            Self::Exactly(first, last) if last < size => first..last + 1,
            Self::Last(count) => size.saturating_sub(count)..size,
            Self::Several => {
                return Err(Error::invalid("Requests with multiple ranges are not supported."));
            }
            Self::Exactly(..) | Self::Impossible => size..size,
        };
        if range.is_empty() {
            let text = "The requested range lies outside the image data.";
            return Err(Error::new(ErrorKind::RangeNotSatisfiable { size }, text));
        }
        Ok(Some(range))
    }
}

impl Flows {
    /// Opens the data of an image in the order of images-v1.md §8.2. `download_image` is judged before the answer
    /// tells whether the image exists.
    pub async fn download(&self, call: &Call, id: &str) -> Result<Download> {
        self.allow(call, "get_image")?;
        let found = match self.find(call, id).await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.allow(call, "download_image")?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let image = found.image;
        if image.status == Status::Deactivated {
            return Err(Error::forbidden(format!("Image {} is deactivated", image.id)));
        }
        self.allow_on(call, "download_image", &Target::of_image(&image))?;
        if image.status != Status::Active {
            return Err(Error::not_found(format!("Image {} is not active", image.id)));
        }
        let range = 0..size(&image);
        let stream = self.open_data(&image, range.clone(), &[]).await?;
        let stream = self.told(call, &image, range.end - range.start, stream);
        Ok(Download { image, range, stream })
    }

    /// Opens part of the data of an image in the order of images-v2.md §13; none while it has no data. `prefer` names
    /// the stores that the caller would have it from.
    pub async fn download_part(
        &self,
        call: &Call,
        id: &str,
        wanted: Wanted,
        prefer: Option<Vec<String>>,
    ) -> Result<Option<Download>> {
        let found = self.find_visible(call, id).await?;
        let image = &found.image;
        if image.status == Status::Deactivated && !call.caller.is_admin {
            self.allow_found(call, &found, "get_image")?;
            return Err(Error::forbidden(
                "The requested image has been deactivated. Image data download is forbidden.",
            ));
        }
        self.allow_found(call, &found, "download_image")?;
        let prefer = self.check_preference(call, &found, prefer)?;
        if !matches!(image.status, Status::Active | Status::Deactivated) {
            return Ok(None);
        }
        let whole = 0..size(image);
        let range = wanted.within(whole.end)?.unwrap_or(whole);
        let stream = self.open_data(image, range.clone(), &prefer).await?;
        let stream = self.told(call, image, range.end - range.start, stream);
        Ok(Some(Download { image: found.image, range, stream }))
    }

    /// Judges the stores a caller prefers (images-v2.md §13.2).
    fn check_preference(
        &self,
        call: &Call,
        found: &Found,
        prefer: Option<Vec<String>>,
    ) -> Result<Vec<String>> {
        let Some(prefer) = prefer else { return Ok(Vec::new()) };
        self.allow_found(call, found, "download_from_store")?;
        if !self.stores.are_several() {
            return Err(Error::invalid("Stores cannot be chosen, as there is but one."));
        }
        match prefer.iter().find(|store| self.stores.get(store).is_none()) {
            Some(unknown) => Err(Error::invalid(format!("Store {unknown} is not known."))),
            None => Ok(prefer),
        }
    }

    /// Opens `range` of the data, in the stores of `prefer` first, then by weight.
    async fn open_data(&self, image: &Image, range: Range<u64>, prefer: &[String]) -> Result<DataStream> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut copies = self.catalog.live_blobs(image.id).await?;
        copies.sort_by_key(|blob| {
            let weight = self.stores.get(&blob.store).map_or(i32::MAX, |store| -store.weight());
            (!prefer.contains(&blob.store), weight)
        });
        let mut last = None;
        for blob in &copies {
            match self.open_object(image, blob, range.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error),
            None => self.open_locations(image, range).await,
        }
    }

    /// Opens `range` at the first URL that gives it.
    async fn open_locations(&self, image: &Image, range: Range<u64>) -> Result<DataStream> {
        let mut failed = Error::not_found("The data of the image could not be found.");
        for location in self.catalog.locations(image.id).await? {
            match self.open_location(image, &location.url, range.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Opens `range` of one object. An administrator of v1 may give an image another size than its data have: what is
    /// there is sent, and the stream fails where it ends early.
    async fn open_object(&self, image: &Image, blob: &Blob, range: Range<u64>) -> Result<DataStream> {
        let unknown = || Error::internal(format!("store {} is not configured", blob.store));
        let store = self.stores.get(&blob.store).ok_or_else(unknown)?;
        let held = blob.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_else(|| size(image));
        let there = range.start.min(held)..range.end.min(held);
        let etag = blob.etag.as_deref();
        let reader =
            store.read(&blob.key, etag, held, there.clone()).await.map_err(|error| match error.kind {
                blobs::ErrorKind::NotFound => {
                    Error::not_found("The data of the image could not be found.").with_source(error)
                }
                blobs::ErrorKind::Unavailable => {
                    Error::unavailable("The image storage is not available.", RETRY_AFTER).with_source(error)
                }
                blobs::ErrorKind::Denied => {
                    Error::invalid("The image storage refuses to be read.").with_source(error)
                }
                _ => Error::internal(error),
            })?;
        let metrics = self.metrics.clone();
        let id = store.id.to_string();
        let counted = reader.into_stream().map(move |frame| {
            frame.inspect(|bytes| metrics.download_bytes(&id, bytes.len() as u64)).map_err(Error::internal)
        });
        Ok(if there == range { counted.boxed() } else { exactly(range.end - range.start, counted.boxed()) })
    }

    async fn open_location(&self, image: &Image, url: &str, range: Range<u64>) -> Result<DataStream> {
        let size = size(image);
        let gone = || Error::not_found("The data of the image could not be found.");
        let refused = |_| Error::unavailable("The source of the image data may not be read.", RETRY_AFTER);
        let url = self.fetcher.parse(url).map_err(refused)?;
        let source = self.fetcher.open(&url, size).await.map_err(|error| match error.kind() {
            FetchErrorKind::NotFound => gone().with_source(error),
            _ => Error::unavailable("The source of the image data could not be read.", RETRY_AFTER)
                .with_source(error),
        })?;
        if source.size().is_some_and(|announced| announced != size) {
            let text = "The source of the image data has changed.";
            return Err(Error::unavailable(text, RETRY_AFTER));
        }
        let whole = exactly(size, source.into_stream().map(|frame| frame.map_err(Error::internal)).boxed());
        Ok(if range == (0..size) { whole } else { slice(range, whole) })
    }
}

/// Bytes of data according to the record.
fn size(image: &Image) -> u64 {
    u64::try_from(image.size.unwrap_or_default()).unwrap_or_default()
}

/// The bytes `range` of a stream.
fn slice(range: Range<u64>, inner: DataStream) -> DataStream {
    let cut = stream::unfold((inner, 0_u64), move |(mut inner, mut offset)| {
        let range = range.clone();
        async move {
            while offset < range.end {
                let mut frame = match inner.next().await? {
                    Ok(frame) => frame,
                    Err(error) => return Some((Err(error), (stream::empty().boxed(), range.end))),
                };
                let begin = offset;
                offset += frame.len() as u64;
                let surplus = offset.saturating_sub(range.end);
                frame.truncate(frame.len() - usize::try_from(surplus).unwrap_or_default());
                let early = range.start.saturating_sub(begin).min(frame.len() as u64);
                let frame = frame.split_off(usize::try_from(early).unwrap_or_default());
                if !frame.is_empty() {
                    return Some((Ok(frame), (inner, offset)));
                }
            }
            None
        }
    });
    cut.boxed()
}

/// Passes a stream on and makes it fail where it is not exactly `size` bytes long.
fn exactly(size: u64, inner: DataStream) -> DataStream {
    let checked = stream::unfold(Some((inner, size)), |state| async move {
        let (mut inner, left) = state?;
        match inner.next().await {
            Some(Ok(frame)) => match left.checked_sub(frame.len() as u64) {
                Some(left) => Some((Ok(frame), Some((inner, left)))),
                None => Some((Err(Error::internal("the data are longer than announced")), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => Some((Err(Error::internal("the data ended early")), None)),
            None => None,
        }
    });
    checked.boxed()
}
