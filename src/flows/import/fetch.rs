//! Getting data from where a user says, into staging.

use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::blobs::ObjectWriter;
use crate::blobs::budget::Admission;
use crate::catalog::import_tasks::Held;
use crate::catalog::uploads::{Begin, Stored};
use crate::domain::image::{Image, Status};
use crate::domain::import::Method;
use crate::domain::inherited::Inherited;
use crate::domain::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::faultpoint;
use crate::fetch::Source;
use crate::flows::Flows;
use crate::flows::copy_from::source_error;
use crate::flows::sources::ByteStream;
use crate::flows::transfer::{Content, Expected, Received, Transfer, store_error};

use super::run::{Run, gone, is_of_store, of_store, read_only, transfer_error, unknown};

/// Data to be fetched, and what is known of them beforehand.
pub(super) struct Origin {
    /// Where they come from.
    pub source: Source,
    /// What was promised of them.
    pub promise: Promise,
}

/// What somebody who has data says of them.
#[derive(Default)]
pub(super) struct Promise {
    /// Bytes.
    pub size: Option<i64>,
    /// MD5 in hex.
    pub checksum: Option<String>,
    /// Algorithm of a secure hash, and the hash in hex.
    pub secure_hash: Option<(String, String)>,
    /// What the image takes over with them.
    pub inherited: Option<Inherited>,
}

impl Promise {
    /// Whether the data will be held against a digest, ours being made with `algorithm`.
    pub fn has_digest(&self, algorithm: &str) -> bool {
        self.checksum.is_some() || self.secure_hash.as_ref().is_some_and(|(known, _)| known == algorithm)
    }

    /// Judges the secure hash of what came, where it is of the kind that we compute.
    fn check(&self, stored: &Stored) -> Result<()> {
        match &self.secure_hash {
            Some((algorithm, hash))
                if algorithm == stored.os_hash_algo && !hash.eq_ignore_ascii_case(&stored.os_hash_value) =>
            {
                Err(Error::invalid(format!(
                    "The {algorithm} digest of the data is not the one that was promised."
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Flows {
    /// Stages the data in the first of the stores that takes them, as that is where they are to be in the end. Also
    /// gives the stores that are still to get them.
    ///
    /// # Errors
    /// Those of the source and of the stores.
    pub(super) async fn fetch(
        &self,
        run: &Run<'_>,
        image: &Image,
        wanted: Vec<String>,
    ) -> Result<(Held, Vec<String>)> {
        let mut last = Error::invalid("There is no store to import into.");
        for (failed, store) in wanted.iter().enumerate() {
            let origin = self.open_source(run, image).await?;
            match self.stage_in(run, image, store, origin).await {
                Ok(held) => return Ok((held, wanted.into_iter().skip(failed).collect())),
                Err(error) if is_of_store(&error) && !run.all_must_succeed => {
                    self.tolerate(run, store, &error).await?;
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn open_source(&self, run: &Run<'_>, image: &Image) -> Result<Origin> {
        match &run.method {
            Method::WebDownload { uri } => {
                let source = self.open_url(uri.as_deref().unwrap_or_default()).await?;
                Ok(Origin { source, promise: Promise::default() })
            }
            Method::GlanceDownload { glance_image_id, .. } => {
                self.open_image(run, image, glance_image_id.as_deref().unwrap_or_default()).await
            }
            Method::GlanceDirect | Method::CopyImage => {
                Err(Error::invalid("The staged data of the image are gone."))
            }
        }
    }

    async fn open_url(&self, url: &str) -> Result<Source> {
        let refused = |refusal| Error::forbidden("The source may not be read.").with_source(refusal);
        let url = self.fetcher.parse(url).map_err(refused)?;
        self.fetcher.open(&url, self.config.limits.image_size_cap.0).await.map_err(source_error)
    }

    async fn stage_in(&self, run: &Run<'_>, image: &Image, store: &str, origin: Origin) -> Result<Held> {
        let target = self.stores.get(store).ok_or_else(|| unknown(store))?.clone();
        if target.read_only() {
            return Err(read_only(store));
        }
        let Origin { source, promise } = origin;
        let expected = Expected {
            length: source.size(),
            size: promise.size,
            checksum: promise.checksum.clone(),
            on_failure: Status::Queued,
            if_deleted: ErrorKind::Gone,
            bounds_itself: true,
        };
        let transfer = Transfer::new(image.id, target, Begin::Uploading, expected, run.passed.clone());
        let admitted = self.admit(&transfer.store, source.size()).await;
        let admission = admitted.map_err(|error| transfer_error(store_error(error, &transfer)))?;
        let stream = source.into_stream().map_err(Into::into).boxed();
        let task = run.task.clone();
        let staged = self.detached(|flows, cancel| async move {
            flows.stage_fetched(&task, &transfer, (stream, promise), admission, &cancel).await
        });
        let blob = staged.await.map_err(|error| match transfer_error(error) {
            error if is_of_store(&error) => of_store(store, error),
            error => error,
        })?;
        let held = self.catalog.held(image.id).await?;
        held.into_iter().find(|held| held.blob.id == blob).ok_or_else(gone)
    }

    async fn stage_fetched(
        &self,
        task: &Task,
        transfer: &Transfer,
        (mut stream, promise): (ByteStream, Promise),
        admission: Admission,
        cancel: &CancellationToken,
    ) -> Result<Uuid> {
        let _active = self.metrics.upload_active("import");
        self.start_write(task, transfer).await?;
        faultpoint::pass("import.started");
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let received = Box::pin(self.receive(transfer, Content::Recorded, &mut stream, &mut writer));
        let finished = match self.under_lease(transfer, cancel, received).await {
            Ok(received) => self.finish_fetched(task, transfer, received, promise).await,
            Err(error) => Err(error),
        };
        if finished.is_err() {
            self.give_up(transfer, Box::pin(writer.abort())).await;
        }
        finished
    }

    async fn finish_fetched(
        &self,
        task: &Task,
        transfer: &Transfer,
        mut received: Received,
        promise: Promise,
    ) -> Result<Uuid> {
        promise.check(&received.stored)?;
        received.inherited = promise.inherited;
        self.finish_staging(transfer, &received, Some(task)).await.map(|_| transfer.blob)
    }
}
