//! Read image data, wherever it lies.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::blobs;
use crate::domain::image::{Image, Status};
use crate::domain::policy::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::FetchErrorKind;

use super::{Call, Flows, RETRY_AFTER};

/// Bytes on their way to a client; after an error the connection must be cut, as its headers are gone.
pub type DataStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// An opened download.
pub struct Download {
    /// The record.
    pub image: Image,
    /// Exactly as many bytes as the record's size, or an error.
    pub stream: DataStream,
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
        let stream = self.open_data(&image).await?;
        Ok(Download { image, stream })
    }

    async fn open_data(&self, image: &Image) -> Result<DataStream> {
        let size = u64::try_from(image.size.unwrap_or_default()).unwrap_or_default();
        if size == 0 {
            return Ok(stream::empty().boxed());
        }
        let mut copies = self.catalog.live_blobs(image.id).await?;
        copies.sort_by_key(|blob| self.stores.get(&blob.store).map_or(i32::MAX, |store| -store.weight()));
        let mut last = None;
        for blob in &copies {
            match self.open_object(&blob.store, &blob.key, blob.etag.as_deref(), size, 0..size).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error),
            None => self.open_location(image, size).await,
        }
    }

    async fn open_object(
        &self,
        store: &str,
        key: &str,
        etag: Option<&str>,
        size: u64,
        range: Range<u64>,
    ) -> Result<DataStream> {
        let unknown = || Error::internal(format!("store {store} is not configured"));
        let store = self.stores.get(store).ok_or_else(unknown)?;
        let reader = store.read(key, etag, size, range).await.map_err(|error| match error.kind {
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
        Ok(counted.boxed())
    }

    async fn open_location(&self, image: &Image, size: u64) -> Result<DataStream> {
        let gone = || Error::not_found("The data of the image could not be found.");
        let location = self.catalog.locations(image.id).await?.into_iter().next().ok_or_else(gone)?;
        let refused = |_| Error::unavailable("The source of the image data may not be read.", RETRY_AFTER);
        let url = self.fetcher.parse(&location.url).map_err(refused)?;
        let source = self.fetcher.open(&url, size).await.map_err(|error| match error.kind() {
            FetchErrorKind::NotFound => gone().with_source(error),
            _ => Error::unavailable("The source of the image data could not be read.", RETRY_AFTER)
                .with_source(error),
        })?;
        if source.size().is_some_and(|announced| announced != size) {
            let text = "The source of the image data has changed.";
            return Err(Error::unavailable(text, RETRY_AFTER));
        }
        Ok(exactly(size, source.into_stream().map(|frame| frame.map_err(Error::internal)).boxed()))
    }
}

/// Passes a stream on and makes it fail where it is not exactly `size` bytes long.
fn exactly(size: u64, inner: DataStream) -> DataStream {
    let checked = stream::unfold(Some((inner, size)), |state| async move {
        let (mut inner, left) = state?;
        match inner.next().await {
            Some(Ok(frame)) => match left.checked_sub(frame.len() as u64) {
                Some(left) => Some((Ok(frame), Some((inner, left)))),
                None => Some((Err(Error::internal("remote data is longer than announced")), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => Some((Err(Error::internal("remote data ended early")), None)),
            None => None,
        }
    });
    checked.boxed()
}
