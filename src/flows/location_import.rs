//! The task behind `POST /v2/images/{id}/locations`: looks at a URL, hashes its data, and makes it the data of an image
//! (images-v2.md §16.1).
//!
//! The location is stored together with the move to `active`, never before: whatever fails earlier leaves a queued
//! image without trace (A11). The reference keeps `http` locations of data that differ from what was claimed; here
//! nothing unproven stays behind.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::spawn_blocking;
use tracing::info;

use crate::catalog::location_tasks::Registered;
use crate::catalog::locations::NewLocation;
use crate::domain::digest::{Checksum, SecureHash};
use crate::domain::image::{Image, Status};
use crate::domain::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::faultpoint;
use crate::fetch::{Source, Target as Url};

use super::Flows;
use super::copy_from::source_error;
use super::sources::{quota_error, require_formats};

/// Kind of a task that registers a URL as the data of an image.
pub const LOCATION_IMPORT: &str = "location_import";

/// Bytes that are hashed at a time, off the async threads.
pub(super) const BATCH: usize = 1 << 20;

/// What a caller says data are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Algorithm of the digest.
    pub os_hash_algo: String,
    /// The digest in hex.
    pub os_hash_value: String,
}

/// Parameters of the task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LocationImport {
    pub image_id: String,
    pub loc_url: String,
    pub validation_data: Option<Claim>,
}

impl Flows {
    /// One attempt of a `location_import` task. Each step finds what an earlier attempt has done.
    ///
    /// # Errors
    /// `kind.retryable()` tells whether another attempt may do better.
    pub async fn location_import(&self, task: &Task) -> Result<()> {
        faultpoint::pass("location.claimed");
        let input: LocationImport = serde_json::from_value(task.input.clone())
            .map_err(|error| Error::invalid("The task cannot be read.").with_source(error))?;
        let id = task.image_id.ok_or_else(gone)?;
        let image = self.catalog.image(id, None).await?.ok_or_else(gone)?.image;
        let refused = |refusal| Error::forbidden("The location may not be read.").with_source(refusal);
        let url = self.fetcher.parse(&input.loc_url).map_err(refused)?;
        match image.status {
            Status::Importing => self.register(task, &image, &url, input.validation_data).await?,
            // an earlier attempt made it active, and may have ended before it filled in the hashes
            Status::Active | Status::Deactivated if image.os_hash_value.is_none() => {}
            Status::Active | Status::Deactivated => return Ok(()),
            _ => return Err(gone()),
        }
        self.fill_missing_hashes(task, &image, &url).await?;
        info!(image.id = %image.id, "location registered");
        Ok(())
    }

    /// Makes an `importing` image `active`, with what is known of its data by then.
    async fn register(&self, task: &Task, image: &Image, url: &Url, claim: Option<Claim>) -> Result<()> {
        if !self.config.import.allow_http_locations {
            return Err(Error::forbidden("Locations outside the stores are not allowed."));
        }
        require_formats(image)?;
        let size = self.measure_location(url).await?;
        let known = match claim {
            Some(claim) if self.config.import.do_secure_hash => self.prove(url, size, claim).await?,
            Some(claim) => believed(claim),
            None => Registered::default(),
        };
        faultpoint::pass("location.hashed");
        let location = NewLocation { id: task.id, url: url.url().to_string(), metadata: json!({}), size };
        let quota = self.config.limits.user_storage_quota.0;
        let registered = self.catalog.register_location(task, &location, &known, quota).await;
        if registered.map_err(|error| quota_error(error, &self.config.limits))? {
            Ok(())
        } else {
            Err(gone())
        }
    }

    /// Bytes of the data at a location, which must be some and no more than an image may have.
    pub(super) async fn measure_location(&self, url: &Url) -> Result<i64> {
        let size = self.fetcher.probe(url).await.map_err(source_error)?.filter(|size| *size > 0);
        let size = size.ok_or_else(|| Error::invalid("The location does not tell the size of its data."))?;
        let cap = self.config.limits.image_size_cap.0;
        if size > cap {
            return Err(Error::invalid(format!("The data is larger than {cap} bytes.")));
        }
        i64::try_from(size).map_err(Error::internal)
    }

    /// Reads the data and compares it with what was claimed.
    async fn prove(&self, url: &Url, size: i64, claim: Claim) -> Result<Registered> {
        let unknown = || Error::invalid("The algorithm is not known.");
        let hash = SecureHash::claimed(&claim.os_hash_algo).ok_or_else(unknown)?;
        let (checksum, value) = self.digest(url, size, hash).await?;
        if !value.eq_ignore_ascii_case(&claim.os_hash_value) {
            return Err(Error::invalid("The data at the location does not have the given hash."));
        }
        Ok(Registered { checksum, os_hash_algo: Some(claim.os_hash_algo), os_hash_value: Some(value) })
    }

    /// The last step for an image that went active without hashes. That it fails leaves the image as it is.
    async fn fill_missing_hashes(&self, task: &Task, image: &Image, url: &Url) -> Result<()> {
        let current = self.catalog.image(image.id, None).await?.ok_or_else(gone)?.image;
        let active = matches!(current.status, Status::Active | Status::Deactivated);
        if !active || current.os_hash_value.is_some() || !self.config.import.do_secure_hash {
            return Ok(());
        }
        let algorithm = self.config.images.hash_algorithm;
        let size = current.size.unwrap_or_default();
        let (checksum, value) = self.digest(url, size, SecureHash::new(algorithm)).await?;
        faultpoint::pass("location.filled");
        let known = Registered {
            checksum,
            os_hash_algo: Some(algorithm.as_str().to_owned()),
            os_hash_value: Some(value),
        };
        // not filled: deleted meanwhile, or the location was removed; nothing is left to do either way
        self.catalog.fill_hashes(task, &known).await?;
        Ok(())
    }

    /// MD5, where the configuration wants it, and another digest of data of exactly `size` bytes.
    async fn digest(&self, url: &Url, size: i64, hash: SecureHash) -> Result<(Option<String>, String)> {
        let size = u64::try_from(size).map_err(Error::internal)?;
        let mut source = self.fetcher.open(url, size).await.map_err(source_error)?;
        let mut digests =
            Digests { size: 0, checksum: self.config.images.checksum.then(Checksum::default), hash };
        while let Some(batch) = next_batch(&mut source).await? {
            digests = digests.with(batch).await?;
        }
        if digests.size != size {
            return Err(Error::invalid("The data at the location is not as long as was told."));
        }
        Ok((digests.checksum.map(Checksum::finish), digests.hash.finish()))
    }
}

/// Digests in the making, off the async threads.
pub(super) struct Digests {
    pub(super) size: u64,
    pub(super) checksum: Option<Checksum>,
    pub(super) hash: SecureHash,
}

impl Digests {
    /// With the next piece of data.
    pub(super) async fn with(mut self, data: Bytes) -> Result<Self> {
        let hashed = spawn_blocking(move || {
            self.size += data.len() as u64;
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&data);
            }
            self.hash.update(&data);
            self
        });
        hashed.await.map_err(Error::internal)
    }
}

/// The next bytes in pieces that are worth a change of threads; none at the end.
async fn next_batch(source: &mut Source) -> Result<Option<Bytes>> {
    let mut batch = BytesMut::new();
    while batch.len() < BATCH {
        match source.chunk().await.map_err(source_error)? {
            Some(chunk) => batch.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok((!batch.is_empty()).then(|| batch.freeze()))
}

/// What a caller is believed to know of the data.
fn believed(claim: Claim) -> Registered {
    Registered {
        checksum: None,
        os_hash_algo: Some(claim.os_hash_algo),
        os_hash_value: Some(claim.os_hash_value),
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Gone, "The image is gone.")
}
