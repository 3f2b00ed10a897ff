//! Why an event was not delivered.

use std::error::Error as StdError;

/// Results of deliveries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No sink can be made of the settings.
    Unusable,
    /// No connection, or no answer in time.
    Unreachable,
    /// An answer that the event was not taken.
    Refused,
}

impl ErrorKind {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

/// A failed delivery. Its text holds neither addresses with credentials nor payloads.
#[derive(Debug, thiserror::Error)]
#[error("notification sink: {kind:?}")]
pub struct Error {
    /// What the caller may branch on.
    pub kind: ErrorKind,
    /// What the client said.
    source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }
}
