//! Copying image data from where a user says, in the background (v1 `copy-from`).

use std::error::Error as _;

use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tracing::info;
use uuid::Uuid;

use crate::blobs;
use crate::catalog;
use crate::catalog::tasks::NewTask;
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::policy::Dialect;
use crate::domain::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::faultpoint;
use crate::fetch::{FetchError, FetchErrorKind, Target as Url};

use super::transfer::{Expected, Passed};
use super::upload::Upload;
use super::{Call, Flows, RETRY_AFTER};

/// Kind of a task that copies from a URL.
pub const COPY_FROM: &str = "copy_from";

/// Parameters of such a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CopyFrom {
    pub(super) url: String,
    pub(super) store: String,
}

impl Flows {
    /// Enqueues the copy of `url` into a queued image. The answer does not wait for it.
    pub(crate) async fn enqueue_copy(
        &self,
        call: &Call,
        image: Image,
        url: &Url,
        store: Option<String>,
    ) -> Result<Image> {
        let store = match store {
            None => self.stores.default_store().id.to_string(),
            Some(word) => self
                .store_id(&word)
                .ok_or_else(|| Error::invalid(format!("Required store {word} is invalid")))?,
        };
        let input = CopyFrom { url: url.url().to_string(), store };
        let task = NewTask {
            id: Uuid::new_v4(),
            kind: COPY_FROM,
            owner: image.owner.clone(),
            user_id: call.caller.user.clone(),
            request_id: Some(call.request_id.clone()),
            image_id: Some(image.id),
            input: serde_json::to_value(input).map_err(Error::internal)?,
            secret: None,
        };
        match self.catalog.insert_task(&task).await {
            Ok(()) => {
                self.task_added.notify_one();
                Ok(image)
            }
            Err(error) if error.kind == catalog::ErrorKind::Duplicate => {
                Err(Error::conflict("The data of this image is being copied already.").with_source(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One attempt of a copy task. A failed attempt leaves the image `queued` for the next one.
    ///
    /// # Errors
    /// `kind.retryable()` tells whether another attempt may do better; `Concurrent` that it is not the time for one.
    pub async fn copy_from(&self, task: &Task, passed: &Passed) -> Result<ImageId> {
        faultpoint::pass("copy.claimed");
        let input: CopyFrom = serde_json::from_value(task.input.clone())
            .map_err(|error| Error::invalid("The task cannot be read.").with_source(error))?;
        let gone = || Error::new(ErrorKind::Gone, "The image is gone.");
        let image_id = task.image_id.ok_or_else(gone)?;
        let image = self.catalog.image(image_id, None).await?.ok_or_else(gone)?.image;
        match image.status {
            Status::Queued => {}
            // an earlier attempt ended well and could not say so
            Status::Active | Status::Deactivated => return Ok(image_id),
            Status::Saving | Status::Uploading | Status::Importing => return Err(busy()),
            _ => return Err(gone()),
        }
        let refused = |_| Error::forbidden("The source of the image data may not be read.");
        let url = self.fetcher.parse(&input.url).map_err(refused)?;
        let source =
            self.fetcher.open(&url, self.config.limits.image_size_cap.0).await.map_err(source_error)?;
        let upload = Upload {
            image_id,
            store: input.store,
            expected: Expected {
                length: source.size(),
                // API parity: what the source says of its size replaces what the client said
                size: None,
                checksum: image.checksum.clone(),
                on_failure: Status::Queued,
                if_deleted: ErrorKind::PreconditionFailed,
                bounds_itself: true,
            },
            rules: Dialect::V1,
            passed: passed.clone(),
        };
        let stream = source.into_stream().map_err(Into::into).boxed();
        let image = self.upload(upload, stream).await.map_err(attempt_error)?;
        info!(image.id = %image.id, task.id = %task.id, "image data copied");
        Ok(image.id)
    }
}

/// The image is being written; whether by a user or by an attempt that died shows in time.
fn busy() -> Error {
    Error::new(ErrorKind::Concurrent, "The image is being written.")
}

/// What the failure of an upload means for the task behind it: whose fault it was, and whether to try again.
pub(super) fn attempt_error(error: Error) -> Error {
    let cause = error.source();
    if let Some(broken) = cause.and_then(|cause| cause.downcast_ref::<FetchError>()) {
        return source_error(broken.clone());
    }
    let no_memory = cause
        .and_then(|cause| cause.downcast_ref::<blobs::Error>())
        .is_some_and(|error| error.kind == blobs::ErrorKind::NoMemory);
    match error.kind() {
        // a deleted image is found out by the next attempt
        ErrorKind::Conflict | ErrorKind::PreconditionFailed => busy().with_source(error),
        _ if no_memory => busy().with_source(error),
        _ => error,
    }
}

/// What a failure of the source means for the task behind it.
pub(super) fn source_error(error: FetchError) -> Error {
    // a body that broke off was resumed as often as makes sense already
    let exhausted = error.kind() == FetchErrorKind::Broken;
    let kind = if error.retryable() && !exhausted {
        ErrorKind::Unavailable { retry_after: RETRY_AFTER }
    } else {
        ErrorKind::Invalid
    };
    Error::new(kind, "The source of the image data could not be read.").with_source(error)
}
