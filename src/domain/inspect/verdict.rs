//! From what was seen to what is allowed: the table of images-v2.md §11.5.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Format;

/// Formats that nobody can recognise by their content.
const NOT_INSPECTABLE: [&str; 4] = ["ami", "ari", "aki", "ploop"];

/// What is wrong with content of a format that was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The stream ends too early, or a structure is not where it must be.
    #[error("{0}")]
    Unreadable(Cow<'static, str>),
    /// A safety check failed.
    #[error("{reason} (check {check})")]
    Unsafe {
        /// Name of the check.
        check: Cow<'static, str>,
        /// Why it failed.
        reason: Cow<'static, str>,
    },
}

impl Fault {
    pub(super) const CUT_SHORT: Self = Self::Unreadable(Cow::Borrowed("the data ends within a header"));

    pub(super) fn unreadable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unreadable(reason.into())
    }

    pub(super) fn failed(check: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsafe { check: Cow::Borrowed(check), reason: reason.into() }
    }
}

/// Fails the check unless `holds`.
pub(super) fn ensure(
    holds: bool,
    check: &'static str,
    reason: impl Into<Cow<'static, str>>,
) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::failed(check, reason)) }
}

/// A format that matched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Match {
    pub(super) format: Format,
    /// Virtual size in bytes, 0 when the header does not tell; or what is wrong.
    pub(super) outcome: Result<u64, Fault>,
}

impl Match {
    pub(super) fn new(format: Format, outcome: Result<u64, Fault>) -> Option<Self> {
        Some(Self { format, outcome })
    }

    /// Virtual size in bytes, 0 when the header does not tell; or why the content is refused under that declaration.
    fn size(&self, declared: &str) -> Result<u64, Refusal> {
        match &self.outcome {
            Ok(size) => Ok(*size),
            Err(Fault::Unreadable(reason)) => Err(Refusal::Unreadable {
                declared: declared.to_owned(),
                format: self.format,
                reason: reason.clone(),
            }),
            Err(Fault::Unsafe { check, reason }) => {
                Err(Refusal::Unsafe { format: self.format, check: check.clone(), reason: reason.clone() })
            }
        }
    }
}

/// Why content was refused. The texts are for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The content is not what was declared. Only while a match is required.
    #[error("Image content is {detected}, which does not match the declared disk_format {declared}")]
    Mismatch {
        /// The `disk_format` of the image.
        declared: String,
        /// What the content is.
        detected: String,
    },
    /// The content starts like the format but cannot be understood. Only while a match is required.
    #[error("Image content cannot be inspected as {format} (declared disk_format {declared}): {reason}")]
    Unreadable {
        /// The `disk_format` of the image.
        declared: String,
        /// What the content is.
        format: Format,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// The content could harm those who use it. Always refused.
    #[error("Image content is {format} and fails the safety check {check}: {reason}")]
    Unsafe {
        /// What the content is.
        format: Format,
        /// Name of the check.
        check: Cow<'static, str>,
        /// Why it failed.
        reason: Cow<'static, str>,
    },
}

impl Refusal {
    fn is_unsafe(&self) -> bool {
        matches!(self, Self::Unsafe { .. })
    }
}

/// What a whole stream turned out to be. It can be kept as a document, to be judged later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Findings {
    matches: Vec<Match>,
    /// Virtual size from a VHD footer at the very end. It is kept apart, because what precedes it is a plain disk
    /// and a raw image may end like this by right.
    trailing_vhd: Option<u64>,
    total: u64,
}

impl Findings {
    pub(super) fn new(matches: Vec<Match>, trailing_vhd: Option<u64>, total: u64) -> Self {
        Self { matches, trailing_vhd, total }
    }

    /// Bytes seen.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Every format that matched, with its virtual size (0 when unknown) or what is wrong with it.
    pub fn matches(&self) -> impl Iterator<Item = (Format, Result<u64, &Fault>)> {
        self.matches.iter().map(|m| (m.format, m.outcome.as_ref().copied()))
    }

    /// Lets a failed check of a partition table pass (`gpt_safety_checks_nonfatal`), and tells why it failed.
    pub fn forgive(&mut self, checks: &[impl AsRef<str>]) -> Option<Fault> {
        let table = self.matches.iter_mut().find(|m| m.format == Format::Gpt)?;
        match &table.outcome {
            Err(Fault::Unsafe { check, .. }) if checks.iter().any(|c| c.as_ref() == *check) => {
                std::mem::replace(&mut table.outcome, Ok(self.total)).err()
            }
            _ => None,
        }
    }

    /// What could harm those who use the content, whatever they take it for: the first failed check of the formats that
    /// match. A partition table does not count: its mark are two bytes that any data may have.
    pub fn harm(&self) -> Option<Refusal> {
        let serious = self.matches.iter().filter(|found| found.format != Format::Gpt);
        serious.map(|found| found.size("")).find_map(|size| size.err().filter(Refusal::is_unsafe))
    }

    /// The verdict on an image of container format `bare`: its virtual size, if it has one, or a refusal.
    ///
    /// `require_match` is the option `require_image_format_match`. Failed safety checks do not depend on it.
    pub fn judge(&self, disk_format: &str, require_match: bool) -> Result<Option<u64>, Refusal> {
        match self.compare(disk_format) {
            Ok(size) => Ok(size.filter(|size| *size > 0)),
            Err(refusal) if require_match || refusal.is_unsafe() => Err(refusal),
            Err(_) => Ok(None),
        }
    }

    fn compare(&self, declared: &str) -> Result<Option<u64>, Refusal> {
        let mismatch = || Refusal::Mismatch { declared: declared.to_owned(), detected: self.describe() };
        // Formats of which several match are checked one and all: else the mark of a second one, a few bytes long,
        // would switch off the checks of the first.
        let detected = self.detected().ok_or_else(|| self.harm().unwrap_or_else(mismatch))?;
        match (detected, declared) {
            // The disk inside a fixed VHD usually has a partition table; any other format there is a disguise.
            (None | Some(Match { format: Format::Gpt, .. }), "vhd") if self.trailing_vhd.is_some() => {
                Ok(self.trailing_vhd)
            }
            (Some(found), _) if found.format.as_str() == declared => found.size(declared).map(Some),
            (Some(found), "raw") => found.size(declared).map(|_| Some(self.total)),
            (None, "raw") => Ok(Some(self.total)),
            (None, _) if NOT_INSPECTABLE.contains(&declared) => Ok(None),
            _ => Err(mismatch()),
        }
    }

    /// The one format the content has: `Some(None)` is raw, none means that several match.
    fn detected(&self) -> Option<Option<&Match>> {
        match self.matches.as_slice() {
            [] => Some(None),
            [one] => Some(Some(one)),
            [one, other] => match (one.format, other.format) {
                // a disc that also boots from a stick
                (Format::Iso, Format::Gpt) => Some(Some(one)),
                (Format::Gpt, Format::Iso) => Some(Some(other)),
                _ => None,
            },
            _ => None,
        }
    }

    fn describe(&self) -> String {
        match self.detected() {
            Some(Some(found)) => found.format.to_string(),
            Some(None) => "raw".to_owned(),
            None => {
                let names: Vec<_> = self.matches.iter().map(|m| m.format.as_str()).collect();
                format!("{} at the same time", names.join(" and "))
            }
        }
    }
}
