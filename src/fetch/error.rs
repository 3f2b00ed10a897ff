//! Why a fetch failed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::target::Refusal;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchErrorKind {
    /// The source answers that it does not exist: status 404 or 410.
    NotFound,
    /// The rules of this installation forbid the source or one of its redirects.
    Refused(Refusal),
    /// No answer. One case for an unknown name, a refused, reset or silent connection and a bad certificate, so
    /// that nobody can explore the network through the difference (A10).
    Unreachable,
    /// Any other status than success.
    BadStatus(u16),
    /// The body comes only with a content encoding such as gzip.
    Encoded,
    /// After the body broke off the source could not or would not go on with the same bytes.
    Changed,
    /// More bytes than the caller accepts.
    TooLarge,
    /// The body broke off and could not be resumed, or ran past its announced length.
    Broken,
    /// No progress, or too little, for too long.
    Stalled,
}

/// A failed fetch. `Display` is fit for tenants; the cause is for the log; neither holds more of the URL than its
/// host (A09, A54).
#[derive(Debug, Clone)]
pub struct FetchError {
    kind: FetchErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl FetchError {
    /// What went wrong.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// Whether the same fetch, begun anew from the first byte, may succeed.
    pub fn retryable(&self) -> bool {
        use FetchErrorKind as Kind;
        match self.kind {
            Kind::Unreachable | Kind::Changed | Kind::Broken | Kind::Stalled => true,
            Kind::BadStatus(status) => status == 408 || status == 429 || status >= 500,
            Kind::NotFound | Kind::Refused(_) | Kind::Encoded | Kind::TooLarge => false,
        }
    }

    pub(super) fn unreachable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind: FetchErrorKind::Unreachable, source: Some(Arc::new(source)) }
    }
}

impl From<FetchErrorKind> for FetchError {
    fn from(kind: FetchErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use FetchErrorKind as Kind;
        match self.kind {
            Kind::NotFound => f.write_str("the source does not exist"),
            Kind::Refused(refusal) => write!(f, "the source is refused: {refusal}"),
            Kind::Unreachable => f.write_str("the source could not be reached"),
            Kind::BadStatus(status) => write!(f, "the source answered with status {status}"),
            Kind::Encoded => f.write_str("the source answered with a content encoding"),
            Kind::Changed => f.write_str("the source changed while it was read"),
            Kind::TooLarge => f.write_str("the source is larger than allowed"),
            Kind::Broken => f.write_str("the source sent another length than it announced"),
            Kind::Stalled => f.write_str("the source sent too slowly"),
        }
    }
}

impl StdError for FetchError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
