//! How the content of image data is judged (images-v2.md §11.5), on its way in and where it lies.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::blobs;
use crate::catalog::blobs::Blob;
use crate::config;
use crate::domain::image::{Image, Status};
use crate::domain::inspect::{Findings, Inspector, Refusal};
use crate::domain::policy::Dialect;
use crate::error::{Error, ErrorKind, Result};

use super::{Call, Flows, RETRY_AFTER};

/// Longest look into one object: a few reads of at most 512 KiB each.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// The rules for data of one image.
#[derive(Debug, Clone)]
pub(super) struct Inspection {
    /// What the image says it is.
    disk_format: String,
    /// Whether content of another format is refused.
    require_match: bool,
    /// Whether the formats may change once the image is in use, so that what is declared now tells little.
    formats_change: bool,
    /// Whether the virtual size that is found becomes that of the image. Clients of v1 tell it themselves.
    record_virtual_size: bool,
    /// Checks of partition tables that may fail.
    nonfatal_checks: Vec<String>,
}

impl Inspection {
    /// For data of an image whose container is `bare`; others hide the disk from inspection. v1 never compared content
    /// with its format, and its clients tell the virtual size themselves: what could do harm is refused all the same.
    pub fn of(image: &Image, images: &config::Images, rules: Dialect) -> Option<Self> {
        let disk_format = image.disk_format.clone()?;
        let bare = image.container_format.as_deref() == Some("bare");
        bare.then(|| Self {
            disk_format,
            require_match: images.require_format_match && rules == Dialect::V2,
            formats_change: rules == Dialect::V1,
            record_virtual_size: rules == Dialect::V2,
            nonfatal_checks: images.gpt_safety_checks_nonfatal.clone(),
        })
    }

    /// The virtual size to record.
    ///
    /// # Errors
    /// `UnsupportedFormat` for content that is not what was declared or could do harm.
    pub fn judge(&self, mut findings: Findings) -> Result<Option<u64>> {
        if let Some(fault) = findings.forgive(&self.nonfatal_checks) {
            warn!(%fault, "image data is stored although a check of its partition table fails");
        }
        let refused = |refusal: Refusal| Error::new(ErrorKind::UnsupportedFormat, refusal.to_string());
        if let Some(harm) = findings.harm().filter(|_| self.formats_change) {
            return Err(refused(harm));
        }
        let virtual_size = findings.judge(&self.disk_format, self.require_match).map_err(refused)?;
        Ok(virtual_size.filter(|_| self.record_virtual_size))
    }
}

impl Flows {
    /// Judges what an image holds already, where a change of its formats (v1) calls for it: they were other ones when
    /// the data came, so these were perhaps not looked at, or as something else. Nothing is read unless the formats
    /// change to such that are inspected. Data at a URL are not ours to judge.
    ///
    /// # Errors
    /// As [`Inspection::judge`]; `Concurrent` while data are on their way, which are judged by the formats that the image
    /// had when they began; `Unavailable` when the data cannot be read.
    pub(super) async fn judge_formats(&self, call: &Call, old: &Image, new: &Image) -> Result<()> {
        let formats = |image: &Image| (image.disk_format.clone(), image.container_format.clone());
        let inspection = Inspection::of(new, &self.config.images, call.dialect);
        let Some(inspection) = inspection.filter(|_| formats(old) != formats(new)) else { return Ok(()) };
        if old.status == Status::Saving {
            return Err(Error::new(ErrorKind::Concurrent, "Image operation conflicts"));
        }
        let copies = self.catalog.live_blobs(old.id).await?;
        if copies.is_empty() {
            return Ok(());
        }
        inspection.judge(self.inspect_any(&copies).await?).map(drop)
    }

    /// What the first of these copies that can be read turns out to be.
    async fn inspect_any(&self, copies: &[Blob]) -> Result<Findings> {
        let mut failed = Error::unavailable("The image storage is not available.", RETRY_AFTER);
        for copy in copies {
            match timeout(LOOK_LIMIT, self.inspect(copy)).await {
                Ok(Ok(findings)) => return Ok(findings),
                Ok(Err(error)) => failed = failed.with_source(error),
                Err(elapsed) => failed = failed.with_source(elapsed),
            }
        }
        Err(failed)
    }

    /// What an object turns out to be, of which only the places are read that tell.
    async fn inspect(&self, copy: &Blob) -> blobs::Result<Findings> {
        let broken =
            |why: &'static str| blobs::Error::new(blobs::ErrorKind::Internal, "inspect").with_source(why);
        let store = self.stores.get(&copy.store).ok_or_else(|| broken("the store is not configured"))?;
        let size = copy.size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| broken("the ledger knows no size"))?;
        let mut inspector = Inspector::new();
        while let Some(range) = inspector.wanted(size) {
            inspector.skip_to(range.start);
            let mut reader = store.read(&copy.key, copy.etag.as_deref(), size, range).await?;
            while let Some(frame) = reader.next().await {
                inspector.push(&frame?);
            }
        }
        Ok(inspector.finish())
    }
}
