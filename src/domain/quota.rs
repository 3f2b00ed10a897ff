//! Limits on what one image (images-v2.md §4.5) and one project (§21.1) may have. Negative limits do not limit.

use std::fmt;

use crate::error::{Error, Result};

/// Bytes in the unit of the size limits.
const MIB: u64 = 1 << 20;

/// Judges how many `of` something, such as `tags`, one image would have.
///
/// # Errors
/// `LimitExceeded`.
pub fn check_count(of: &str, attempted: usize, maximum: i64) -> Result<()> {
    if maximum < 0 || i64::try_from(attempted).is_ok_and(|n| n <= maximum) {
        return Ok(());
    }
    Err(Error::limit_exceeded(format!(
        "The limit has been exceeded on the number of allowed image {of}. Attempted: {attempted}, Maximum: {maximum}"
    )))
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// MiB of images, counting every copy.
    SizeTotal,
    /// MiB on their way into images by staging and import.
    StageTotal,
    /// Images.
    CountTotal,
    /// Images that data flow into.
    CountUploading,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SizeTotal, Self::StageTotal, Self::CountTotal, Self::CountUploading];

    /// The name that operators and clients know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SizeTotal => "image_size_total",
            Self::StageTotal => "image_stage_total",
            Self::CountTotal => "image_count_total",
            Self::CountUploading => "image_count_uploading",
        }
    }
}

/// A limit that something would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overrun {
    /// What is limited.
    pub resource: Resource,
    /// To how much.
    pub limit: i64,
    /// How much there is.
    pub usage: i64,
    /// How much more there would be.
    pub delta: i64,
}

impl fmt::Display for Overrun {
    /// As the reference puts it; suites look for these words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, limit, usage, delta } = self;
        let name = resource.as_str();
        write!(f, "Resource {name} is over limit of {limit} due to current usage {usage} and delta {delta}")
    }
}

/// Whole MiB in so many bytes.
pub fn mib(bytes: u64) -> i64 {
    // 2^64 bytes are 2^44 MiB
    i64::try_from(bytes / MIB).unwrap_or(i64::MAX)
}

/// Judges `delta` more of a resource. At its limit a project gets nothing more, be it ever so little or of unknown
/// size: so a limit of 0 forbids, and what overshoots a limit does so once.
///
/// # Errors
/// The overrun there would be.
pub fn judge(resource: Resource, limit: i64, usage: i64, delta: i64) -> Result<(), Overrun> {
    if limit < 0 || (usage < limit && usage.saturating_add(delta) <= limit) {
        return Ok(());
    }
    Err(Overrun { resource, limit, usage, delta })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(limit: i64, usage: i64, delta: i64) -> bool {
        judge(Resource::SizeTotal, limit, usage, delta).is_ok()
    }

    #[test]
    fn a_limit_is_reached_and_not_exceeded() {
        assert!(fits(10, 9, 1) && fits(10, 0, 10) && fits(10, 9, 0));
        assert!(!fits(10, 9, 2) && !fits(10, 10, 1) && !fits(10, 10, 0) && !fits(10, 12, 0));
        assert!(!fits(0, 0, 0) && !fits(0, 0, 1));
        assert!(fits(-1, i64::MAX, i64::MAX) && !fits(10, 9, i64::MAX));
    }

    #[test]
    fn sizes_are_rounded_down() {
        assert_eq!((mib(0), mib(MIB - 1), mib(MIB), mib(u64::MAX)), (0, 0, 1, (1 << 44) - 1));
    }
}
