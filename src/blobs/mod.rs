//! Everything that speaks S3: stores (configured buckets), the part-memory budget, writing and reading objects.
//! Knows nothing of the catalog: who calls decides which ledger row an object belongs to.
//!
//! Writing: [`Store::layout`] → [`budget::Budget::admit`] → [`write::ObjectWriter`], its parts also to
//! [`hash::Hasher`]. Copying where [`Store::can_copy_from`] the source: [`copy::ObjectCopy`]; no byte passes through
//! here. Reading: [`Store::read`]. Removing: [`Store::remove`].

mod assembly;
pub mod budget;
mod call;
pub mod client;
pub mod copy;
pub mod error;
pub mod hash;
pub mod key;
pub mod layout;
pub mod list;
pub mod locate;
pub mod probe;
pub mod read;
mod sign;
#[cfg(all(test, feature = "dev"))]
mod tests;
pub mod write;

pub use budget::Budget;
pub use client::{Store, Stores};
pub use copy::ObjectCopy;
pub use error::{Error, ErrorKind, Result};
pub use hash::Hasher;
pub use key::ObjectKey;
pub use layout::Layout;
pub use locate::Stat;
pub use read::Reader;
pub use write::{ObjectWriter, Pushed, Written};

use std::time::Duration;

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use tokio::time::{sleep, timeout};

use call::{Limits, Operation};

/// How long a probe of a bucket may take.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// How often a multipart upload is aborted before the sweep has to come again.
const ABORT_ROUNDS: u32 = 5;

/// Pause between two rounds: parts on their way when the first abort came may land after it.
const ABORT_PAUSE: Duration = Duration::from_millis(200);

impl Store {
    /// Whether the bucket answers (`HeadBucket`), within a bound of 5 s.
    ///
    /// # Errors
    /// `NotFound` without a bucket, `Denied`, or `Unavailable`.
    pub async fn check(&self) -> Result<()> {
        let head = self.call(Operation::new("HeadBucket"), Limits::SMALL, || {
            self.client().head_bucket().bucket(self.bucket()).send()
        });
        let answer = timeout(CHECK_LIMIT, head).await;
        answer.map_err(|_| Error::new(ErrorKind::Unavailable, "HeadBucket"))?.map(drop)
    }

    /// Creates the bucket if it is missing.
    ///
    /// # Errors
    /// As [`Store::check`]; `Denied` when the name belongs to somebody else.
    pub async fn create_bucket(&self) -> Result<()> {
        match self.check().await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        // AWS takes no constraint for its first region, and other stores take none at all
        let region = self.region();
        let place = (region != "us-east-1").then(|| {
            let constraint = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(constraint).build()
        });
        let created = self.call(Operation::new("CreateBucket"), Limits::SMALL, || {
            let request = self.client().create_bucket().bucket(self.bucket());
            request.set_create_bucket_configuration(place.clone()).send()
        });
        match created.await {
            Ok(_) => Ok(()),
            // another replica was faster, or an answer got lost
            Err(error) => self.check().await.map_err(|_| error),
        }
    }

    /// Removes an object; success also when it is absent. Aborts `upload_id` first where given, until the store
    /// knows it no more.
    ///
    /// # Errors
    /// `Unavailable` while the store still holds parts of the upload; the call may be repeated.
    pub async fn remove(&self, key: &str, upload_id: Option<&str>) -> Result<()> {
        if let Some(upload_id) = upload_id {
            self.abort_upload(key, upload_id).await?;
        }
        let deleted = self.call(Operation::new("DeleteObject").on(key), Limits::SMALL, || {
            self.client().delete_object().bucket(self.bucket()).key(key).send()
        });
        absent_is_success(deleted.await.map(drop))
    }

    /// Aborts a multipart upload until the store knows it no more, as parts can land after an abort.
    pub(crate) async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<()> {
        for round in 1..=ABORT_ROUNDS {
            let abort = Operation::new("AbortMultipartUpload").on(key).of(upload_id);
            let aborted = self.call(abort, Limits::SMALL, || {
                self.client()
                    .abort_multipart_upload()
                    .bucket(self.bucket())
                    .key(key)
                    .upload_id(upload_id)
                    .send()
            });
            absent_is_success(aborted.await.map(drop))?;
            let list = Operation::new("ListParts").on(key).of(upload_id);
            let parts = self.call(list, Limits::SMALL, || {
                self.client().list_parts().bucket(self.bucket()).key(key).upload_id(upload_id).send()
            });
            match parts.await {
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
                // some stores answer for uploads they no longer know: nothing is held, nothing is billed
                Ok(parts) if parts.parts().is_empty() && round == ABORT_ROUNDS => return Ok(()),
                Ok(_) => sleep(ABORT_PAUSE * round).await,
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "AbortMultipartUpload"))
    }

    /// Aborts every multipart upload of one key, for when an answer with an upload id got lost.
    pub(crate) async fn abort_uploads_of(&self, key: &str) -> Result<()> {
        let mut uploads = self.uploads(key);
        loop {
            let page = match uploads.next_page().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // a store that cannot list them, or may not be asked, is left to its lifecycle rule
                Err(error) if error.kind != ErrorKind::Unavailable => break,
                Err(error) => return Err(error),
            };
            for upload in page.iter().filter(|upload| upload.key == key) {
                self.abort_upload(key, &upload.upload_id).await?;
            }
        }
        Ok(())
    }
}

fn absent_is_success(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
