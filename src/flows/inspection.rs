//! How the content of image data is judged (images-v2.md §11.5).

use tracing::warn;

use crate::config;
use crate::domain::image::Image;
use crate::domain::inspect::{Findings, Refusal};
use crate::domain::policy::Dialect;
use crate::error::{Error, ErrorKind, Result};

/// The rules for data of one image.
#[derive(Debug, Clone)]
pub(super) struct Inspection {
    /// What the image says it is.
    disk_format: String,
    /// Whether content of another format is refused.
    require_match: bool,
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
        let virtual_size = findings.judge(&self.disk_format, self.require_match).map_err(refused)?;
        Ok(virtual_size.filter(|_| self.record_virtual_size))
    }
}
