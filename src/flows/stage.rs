//! Staging: data that wait in a store for their import (images-v2.md §14.1). Any replica can go on with them.

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::blobs::ObjectWriter;
use crate::blobs::budget::Admission;
use crate::catalog::uploads::{Begin, Finished, Staged};
use crate::domain::image::{Image, Status};
use crate::domain::inspect::Findings;
use crate::domain::quota::Resource;
use crate::domain::task::Task;
use crate::error::{Error, Result};
use crate::faultpoint;

use super::quotas::name_limit;
use super::sources::{ByteStream, quota_error};
use super::transfer::{Content, Passed, Received, Transfer, lease_lost, store_error};
use super::upload::{NewData, not_queued};
use super::{Call, Flows, may_write};

impl Flows {
    /// Stages the data of a request in the default store, in the order of images-v2.md §14.1. The image is `uploading`
    /// afterwards, and `queued` where it failed.
    ///
    /// # Errors
    /// As [`Flows::upload`].
    pub async fn stage_data(&self, call: &Call, id: &str, data: NewData) -> Result<Image> {
        may_write(&call.caller)?;
        self.check_limit(call, Resource::StageTotal, data.promised).await?;
        let image = self.find_for(call, id, "modify_image").await?.image;
        if image.status != Status::Queued {
            return Err(not_queued(image.id, image.status));
        }
        self.check_cap(data.promised.max(data.length).unwrap_or_default())?;
        let store = self.stores.default_store().clone();
        let transfer = Transfer::new(image.id, store, Begin::Uploading, data.expected(), Passed::default());
        let admitted = self.admit(&transfer.store, data.length).await;
        let admission = admitted.map_err(|error| store_error(error, &transfer))?;
        let stream = data.stream;
        let staged = self.detached(|flows, cancel| async move {
            flows.run_staging(transfer, stream, admission, cancel).await
        });
        staged.await.map_err(|error| name_limit(error, image.owner.as_deref()))
    }

    async fn run_staging(
        &self,
        transfer: Transfer,
        mut stream: ByteStream,
        admission: Admission,
        cancel: CancellationToken,
    ) -> Result<Image> {
        let _active = self.metrics.upload_active("stage");
        self.start_upload(&transfer).await?;
        faultpoint::pass("stage.started");
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let received = Box::pin(self.receive(&transfer, Content::Recorded, &mut stream, &mut writer));
        let finished = match self.under_lease(&transfer, &cancel, received).await {
            Ok(received) => self.finish_staging(&transfer, &received, None).await,
            Err(error) => Err(error),
        };
        if finished.is_err() {
            self.give_up(&transfer, Box::pin(writer.abort())).await;
        }
        finished
    }

    /// Makes a complete object one that waits for its import; `task` is the import that fetched it.
    pub(super) async fn finish_staging(
        &self,
        transfer: &Transfer,
        received: &Received,
        task: Option<&Task>,
    ) -> Result<Image> {
        let stored = &received.stored;
        let staged = Staged {
            stored,
            findings: &document(received.findings.as_ref())?,
            inherited: received.inherited.as_ref(),
            ttl: self.config.jobs.staging_ttl,
            task,
        };
        let limits = &self.config.limits;
        let finished = self.catalog.finish_staging(transfer.blob, &staged, transfer.quota(limits)).await;
        match finished.map_err(|error| quota_error(error, limits))? {
            Finished::Done(image) => {
                faultpoint::pass("stage.committed");
                info!(image.id = %image.id, size_bytes = stored.size, "image data staged");
                Ok(image)
            }
            Finished::Lost(_) => Err(lease_lost(transfer)),
        }
    }
}

fn document(findings: Option<&Findings>) -> Result<Value> {
    serde_json::to_value(findings).map_err(Error::internal)
}
