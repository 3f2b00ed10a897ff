//! Where image data comes from: the request, a location that keeps it, or a place it is copied from.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::catalog;
use crate::config::Limits;
use crate::domain::image::{Image, Status};
use crate::domain::policy::Dialect;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{FetchError, FetchErrorKind, Refusal, Target as Url};

use super::transfer::{Expected, Passed};
use super::upload::Upload;
use super::{Call, Flows};

/// Bytes of a body; an error means the sender is gone or broke the protocol.
pub type ByteStream =
    Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// Image data in a request.
pub struct Data {
    /// The bytes, not read yet.
    pub stream: ByteStream,
    /// Announced length.
    pub length: Option<u64>,
    /// Why these bytes cannot be taken as image data, if so; the attempt still kills a v1 image.
    pub unusable: Option<&'static str>,
}

/// Sources named by one request. More than one is an error, but only once the record exists.
#[derive(Default)]
pub struct Sources {
    /// Data in the request.
    pub data: Option<Data>,
    /// URL at which the data stays.
    pub location: Option<String>,
    /// URL the data is copied from.
    pub copy_from: Option<String>,
    /// Wanted store.
    pub store: Option<String>,
}

/// Sources after every check that needs no image.
pub(crate) struct CheckedSources {
    data: Option<Data>,
    location: Option<Url>,
    copy_from: Option<Url>,
    store: Option<String>,
    /// What the remote says of its size.
    pub remote_size: Option<i64>,
    /// The size the client announced; 0 counts as none.
    announced_size: Option<i64>,
}

impl CheckedSources {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.data.is_some() || self.names_url()
    }

    /// Whether the data comes with the request.
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Whether the data comes from a URL.
    pub fn names_url(&self) -> bool {
        self.location.is_some() || self.copy_from.is_some()
    }
}

impl Sources {
    pub(crate) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    pub(crate) fn wants_copy(&self) -> bool {
        self.copy_from.as_deref().is_some_and(|url| !url.is_empty())
    }
}

impl Flows {
    /// Policies that a request needs for its sources before anything is looked up.
    pub(crate) fn allow_sources(&self, call: &Call, sources: &Sources) -> Result<()> {
        if sources.wants_copy() {
            self.allow(call, "copy_from")?;
        }
        if sources.has_data() || sources.wants_copy() {
            self.allow(call, "upload_image")?;
        }
        Ok(())
    }

    /// Row 12 of images-v1.md §5.3. An update judges the store only when it fills the image (§3.1, §5.6).
    pub(crate) fn check_store(&self, sources: &Sources) -> Result<()> {
        match &sources.store {
            Some(store) if self.store_id(store).is_none() => {
                Err(Error::invalid(format!("Required store {store} is invalid")))
            }
            _ => Ok(()),
        }
    }

    /// Rows 9 to 11 and 13 of images-v1.md §5.3: location policy, addresses.
    pub(crate) fn check_sources(
        &self,
        call: &Call,
        sources: Sources,
        announced_size: Option<i64>,
    ) -> Result<CheckedSources> {
        let announced_size = announced_size.filter(|size| *size > 0);
        if sources.location.is_some() {
            self.allow(call, "set_image_location")?;
        }
        let location = sources.location.as_deref().map(|url| self.check_url(url)).transpose()?;
        let copy_from = sources.copy_from.as_deref().map(|url| self.check_url(url)).transpose()?;
        if let Some(url) = sources.location.as_deref().filter(|_| !self.config.import.allow_http_locations) {
            return Err(not_supported(url));
        }
        let Sources { data, store, .. } = sources;
        Ok(CheckedSources { data, location, copy_from, store, remote_size: None, announced_size })
    }

    /// Asks the remote for its size unless the client announced one (images-v1.md §5.3 rows 14 and 15).
    pub(crate) async fn measure_remote(&self, sources: &mut CheckedSources) -> Result<()> {
        if sources.announced_size.is_none()
            && let Some(url) = sources.location.as_ref().or(sources.copy_from.as_ref())
        {
            sources.remote_size = self.probe(url).await?;
        }
        Ok(())
    }

    fn check_url(&self, url: &str) -> Result<Url> {
        if url.is_empty() {
            return Err(Error::invalid("External source should not be empty"));
        }
        self.fetcher.parse(url).map_err(|refusal| match refusal {
            Refusal::Malformed => Error::invalid(format!("Invalid location {url}")),
            Refusal::Scheme | Refusal::Forbidden(_) | Refusal::Redirect => not_supported(url),
        })
    }

    async fn probe(&self, url: &Url) -> Result<Option<i64>> {
        let size = self.fetcher.probe(url).await.map_err(remote_error)?;
        Ok(size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)))
    }

    /// The store that a client means: an id of ours, or the reference's scheme word for all of them.
    pub(crate) fn store_id(&self, word: &str) -> Option<String> {
        let store = if word == "s3" { Some(self.stores.default_store()) } else { self.stores.get(word) };
        store.map(|store| store.id.to_string())
    }

    /// Fills a queued image from its source, if one was named.
    pub(crate) async fn fill(&self, call: &Call, image: Image, sources: CheckedSources) -> Result<Image> {
        let CheckedSources { data, location, copy_from, store, announced_size, remote_size } = sources;
        if [data.is_some(), location.is_some(), copy_from.is_some()]
            .into_iter()
            .filter(|given| *given)
            .count()
            > 1
        {
            return Err(Error::invalid("It's invalid to provide multiple image sources."));
        }
        if let Some(url) = copy_from {
            return self.enqueue_copy(call, image, &url, store).await;
        }
        if data.is_some() || location.is_some() {
            require_formats(&image)?;
        }
        match (data, location) {
            (Some(data), _) => self.fill_from_request(image, data, store).await,
            (_, Some(url)) => self.fill_by_location(image, &url, announced_size, remote_size).await,
            _ => Ok(image),
        }
    }

    async fn fill_from_request(&self, image: Image, data: Data, store: Option<String>) -> Result<Image> {
        let store = match store {
            None => self.stores.default_store().id.to_string(),
            Some(word) => self
                .store_id(&word)
                .ok_or_else(|| Error::invalid(format!("Store for scheme {word} not found")))?,
        };
        if let Some(reason) = data.unusable {
            self.catalog.set_status(image.id, &[Status::Queued], Status::Killed).await?;
            return Err(Error::invalid(reason));
        }
        let upload = Upload {
            image_id: image.id,
            store,
            expected: Expected {
                length: data.length,
                size: image.size.filter(|size| *size > 0),
                checksum: image.checksum.clone(),
                on_failure: Status::Killed,
                if_deleted: ErrorKind::PreconditionFailed,
                bounds_itself: false,
            },
            rules: Dialect::V1,
            passed: Passed::default(),
        };
        self.upload(upload, data.stream).await
    }

    async fn fill_by_location(
        &self,
        image: Image,
        url: &Url,
        announced: Option<i64>,
        remote: Option<i64>,
    ) -> Result<Image> {
        let size = match remote {
            Some(size) => size,
            None => self
                .probe(url)
                .await?
                .or(announced)
                .ok_or_else(|| Error::invalid("The source does not tell the size of its data."))?,
        };
        let cap = self.config.limits.image_size_cap.0;
        if u64::try_from(size).is_ok_and(|size| size > cap) {
            return Err(Error::invalid(format!("Denying attempt to upload image larger than {cap} bytes.")));
        }
        if announced.is_some_and(|announced| announced != size) {
            return Err(Error::conflict(format!(
                "Provided image size must match the stored image size. (provided size: {}, stored size: {size})",
                announced.unwrap_or_default()
            )));
        }
        let quota = self.config.limits.user_storage_quota.0;
        let active = self
            .catalog
            .activate_with_location(image.id, url.url().as_str(), size, quota)
            .await
            .map_err(|e| quota_error(e, &self.config.limits))?;
        active.ok_or_else(|| Error::conflict("Image operation conflicts"))
    }
}

fn not_supported(url: &str) -> Error {
    Error::invalid(format!("External sources are not supported: '{url}'"))
}

/// What went wrong at the remote, as the reference words it on create and update.
fn remote_error(error: FetchError) -> Error {
    match error.kind() {
        FetchErrorKind::NotFound => {
            Error::not_found("HTTP datastore could not find image at URI.").with_source(error)
        }
        _ => Error::invalid("The source of the image data could not be reached.").with_source(error),
    }
}

/// Storage quota in the reference's words; other catalog errors pass.
pub(crate) fn quota_error(error: catalog::Error, limits: &Limits) -> Error {
    if error.kind != catalog::ErrorKind::QuotaExceeded {
        return error.into();
    }
    let text = format!(
        "Denying attempt to upload image because it exceeds the quota: {} bytes",
        limits.user_storage_quota.0
    );
    Error::new(ErrorKind::LimitExceeded, text)
}

pub(crate) fn require_formats(image: &Image) -> Result<()> {
    if image.disk_format.is_none() {
        return Err(Error::invalid("Disk format is not specified."));
    }
    if image.container_format.is_none() {
        return Err(Error::invalid("Container format is not specified."));
    }
    Ok(())
}
