//! The request side of interoperable import: every check of images-v2.md §14.2, and the task that does the work.
//!
//! Staged data lie in S3, where every replica finds them: row 20 of the table, and its answers for a host that is away,
//! have no counterpart here.

mod copy_image;
mod fetch;
pub mod peer;
mod place;
pub mod run;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::imports::{ImportLock, ImportStarted, NewImport};
use crate::catalog::tasks::NewTask;
use crate::domain::image::{Image, Properties, Status};
use crate::domain::import::{Choice, ImportRequest, Method};
use crate::domain::quota::Resource;
use crate::error::{Error, Result};
use crate::faultpoint;

use super::quotas::name_limit;
use super::{Call, Flows, may_write};

/// Kind of a task that imports data into an image.
pub const IMAGE_IMPORT: &str = "api_image_import";

/// Parameters of such a task, as §15.1 shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportInput {
    /// The image.
    pub image_id: String,
    /// The request; see [`ImportRequest::accepted`].
    pub import_req: Value,
    /// Ids of the stores to fill, in order.
    pub backend: Vec<String>,
}

impl Flows {
    /// Accepts an import, in the order of images-v2.md §14.2; `header_store` is what `X-Image-Meta-Store` names. The
    /// image is `importing` when this returns, except for copies.
    ///
    /// # Errors
    /// `Invalid`, `LimitExceeded`, `NotFound`, `Conflict` and `Forbidden` by the rows there.
    pub async fn import_image(
        &self,
        call: &Call,
        id: &str,
        body: &Value,
        header_store: Option<&str>,
    ) -> Result<()> {
        may_write(&call.caller)?;
        let request = ImportRequest::parse(body, &self.config.import.methods)?;
        self.check_limit(call, Resource::SizeTotal, None).await?;
        let found = self.find_for(call, id, "get_image").await?;
        let image = &found.image;
        let lock = self.catalog.import_lock(image.id).await?;
        check_state(image, &request.method, lock)?;
        check_formats(image)?;
        request.method.check()?;
        self.allow_found(call, &found, request.method.policy())?;
        if lock == ImportLock::Held {
            return Err(busy());
        }
        let stores = self.import_targets(image, &request, header_store).await?;
        if stores.is_empty() {
            return Ok(());
        }
        let secret = self.check_origin(call, &request.method).await?;
        self.enqueue_import(call, image, &request, stores, secret).await
    }

    /// Rows 14 to 19.
    async fn import_targets(
        &self,
        image: &Image,
        request: &ImportRequest,
        header: Option<&str>,
    ) -> Result<Vec<String>> {
        let held: Vec<String> = match request.method {
            Method::CopyImage => {
                self.catalog.live_blobs(image.id).await?.into_iter().map(|blob| blob.store).collect()
            }
            _ => Vec::new(),
        };
        let writable = self.stores.iter().filter(|store| !store.read_only()).map(|store| &*store.id);
        request.targets(&Choice {
            several: self.stores.are_several(),
            writable: &writable.collect::<Vec<_>>(),
            default: &self.stores.default_store().id,
            header,
            held: &held,
        })
    }

    /// Judges where data are to be downloaded from: the text of the URL, and what its host stands for. What cannot be
    /// reached yet is the task's to find out. One text for all refusals, so that nobody learns the rules or the network
    /// by trying (A10).
    pub(super) async fn check_import_source(&self, uri: &str) -> Result<()> {
        let refused = || Error::invalid("URI for web-download does not pass filtering.");
        let url = self.fetcher.parse(uri).map_err(|refusal| refused().with_source(refusal))?;
        self.fetcher.check(&url).await.map_err(|error| refused().with_source(error))
    }

    /// Row 21: where the data come from, and what the task has to know of it that nobody may read.
    async fn check_origin(&self, call: &Call, method: &Method) -> Result<Option<SecretString>> {
        match method {
            Method::WebDownload { uri } => {
                self.check_import_source(uri.as_deref().unwrap_or_default()).await?;
                Ok(None)
            }
            Method::GlanceDownload { glance_region, glance_service_interface, .. } => {
                let region = glance_region.as_deref().unwrap_or_default();
                Ok(Some(self.peer_of(call, region, glance_service_interface)?.to_secret()))
            }
            Method::GlanceDirect | Method::CopyImage => Ok(None),
        }
    }

    async fn enqueue_import(
        &self,
        call: &Call,
        image: &Image,
        request: &ImportRequest,
        stores: Vec<String>,
        secret: Option<SecretString>,
    ) -> Result<()> {
        // what is said of stores means nothing where there is but one
        let request = &ImportRequest {
            stores: request.stores.clone().filter(|_| self.stores.are_several()),
            ..request.clone()
        };
        let input = ImportInput {
            image_id: image.id.to_string(),
            import_req: request.document(),
            backend: stores.clone(),
        };
        let input = serde_json::to_value(input).map_err(Error::internal)?;
        let import = NewImport {
            task: NewTask { secret, ..call.task(IMAGE_IMPORT, Some(image.id), input) },
            image: image.id,
            from: request.method.starts_from(),
            stores,
            inject: self.injected(call, request),
            size_limit: self.config.limits.image_size_total,
        };
        let started = self.catalog.start_import(&import).await;
        match started.map_err(|error| name_limit(error.into(), image.owner.as_deref()))? {
            ImportStarted::Enqueued => {
                faultpoint::pass("import.enqueued");
                self.task_added.notify_one();
                Ok(())
            }
            ImportStarted::NotInState(Some(status)) => Err(wrong_state(image, &request.method, status)),
            ImportStarted::NotInState(None) => Err(super::no_image(image.id)),
            ImportStarted::NoFormat(name) => Err(no_format(name)),
            ImportStarted::Busy => Err(busy()),
        }
    }
}

impl Flows {
    /// Properties that the image gets on this way (images-v2.md §14.5).
    fn injected(&self, call: &Call, request: &ImportRequest) -> Properties {
        if request.method == Method::CopyImage {
            return Properties::new();
        }
        let injected = self.config.import.injected(&call.caller.roles);
        injected.into_iter().map(|(name, value)| (name, Some(value))).collect()
    }
}

/// Rows 6 to 9. What an expired task left `importing` is judged where it is changed.
fn check_state(image: &Image, method: &Method, lock: ImportLock) -> Result<()> {
    let wanted = method.starts_from();
    let left = image.status == Status::Importing && lock == ImportLock::Expired && wanted != Status::Active;
    if image.status == wanted || left {
        return Ok(());
    }
    Err(wrong_state(image, method, image.status))
}

fn wrong_state(image: &Image, method: &Method, status: Status) -> Error {
    if status == Status::Uploading && *method == Method::GlanceDirect {
        return Error::conflict(format!("The data of image {} are still being staged.", image.id));
    }
    let (id, status, wanted) = (image.id, status.as_str(), method.starts_from().as_str());
    let method = method.name();
    Error::conflict(format!("The method {method} needs an image that is {wanted}; image {id} is {status}."))
}

/// Row 10. What is taken away later is found where the image is changed.
fn check_formats(image: &Image) -> Result<()> {
    image.missing_format().map_or(Ok(()), |name| Err(no_format(name)))
}

pub(super) fn no_format(name: &str) -> Error {
    Error::conflict(format!("'{name}' needs to be set before import."))
}

fn busy() -> Error {
    Error::conflict("Image has active task.")
}
