//! Errors of the database layer: SQLSTATE and constraint names mapped in one table.

use std::error::Error as StdError;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::domain::quota::Overrun;

/// Results of catalog operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the flow may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A row with this key exists already.
    Duplicate,
    /// A value does not fit its column.
    OutOfRange,
    /// The project's storage quota would be exceeded.
    QuotaExceeded,
    /// A limit of the project would be exceeded.
    OverLimit(Overrun),
    /// The image would have more properties than it may.
    TooManyProperties,
    /// No connection, connection lost, pool exhausted, server shutting down.
    Unavailable,
    /// Anything else: a fault of ours.
    Internal,
}

impl ErrorKind {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::OutOfRange => "out_of_range",
            Self::QuotaExceeded => "quota_exceeded",
            Self::OverLimit(_) => "over_limit",
            Self::TooManyProperties => "too_many_properties",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
#[error("database: {kind:?}")]
pub struct Error {
    /// What the flow may branch on.
    pub kind: ErrorKind,
    /// The driver's or the pool's error.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause in the driver.
    pub(super) fn plain(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn caused(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

/// Whether the operation that failed can have had an effect, and whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The same again would fail the same way, or was waited for long enough.
    No,
    /// Nothing happened; the same may work on another connection or a moment later.
    Yes,
}

/// Violated constraints and what they mean. A unique index that is not listed is a fault of ours.
const CONSTRAINTS: [(&str, ErrorKind); 9] = [
    ("images_pkey", ErrorKind::Duplicate),
    ("image_members_pkey", ErrorKind::Duplicate),
    ("tasks_pkey", ErrorKind::Duplicate),
    ("tasks_one_open_per_image", ErrorKind::Duplicate),
    ("metadef_namespaces_name", ErrorKind::Duplicate),
    ("metadef_objects_name", ErrorKind::Duplicate),
    ("metadef_properties_name", ErrorKind::Duplicate),
    ("metadef_tags_name", ErrorKind::Duplicate),
    ("metadef_namespace_resource_types_pkey", ErrorKind::Duplicate),
];

/// SQLSTATE classes and codes (PostgreSQL documentation, appendix A), the longest prefix first.
const STATES: [(&str, ErrorKind, Retry); 19] = [
    ("22001", ErrorKind::OutOfRange, Retry::No),
    ("22003", ErrorKind::OutOfRange, Retry::No),
    ("22008", ErrorKind::OutOfRange, Retry::No),
    // Text with a NUL character, as a parameter and inside JSON.
    ("22021", ErrorKind::OutOfRange, Retry::No),
    ("22P05", ErrorKind::OutOfRange, Retry::No),
    // A value too long for an index.
    ("54000", ErrorKind::OutOfRange, Retry::No),
    ("40001", ErrorKind::Unavailable, Retry::Yes),
    ("40P01", ErrorKind::Unavailable, Retry::Yes),
    // After a failover this connection leads to a standby.
    ("25006", ErrorKind::Unavailable, Retry::No),
    ("25P03", ErrorKind::Unavailable, Retry::Yes),
    ("55P03", ErrorKind::Unavailable, Retry::No),
    // Statement timeout: waited long enough.
    ("57014", ErrorKind::Unavailable, Retry::No),
    ("57P01", ErrorKind::Unavailable, Retry::Yes),
    ("57P02", ErrorKind::Unavailable, Retry::Yes),
    ("57P03", ErrorKind::Unavailable, Retry::Yes),
    ("57P05", ErrorKind::Unavailable, Retry::Yes),
    ("53300", ErrorKind::Unavailable, Retry::Yes),
    ("53", ErrorKind::Unavailable, Retry::No),
    ("08", ErrorKind::Unavailable, Retry::Yes),
];

/// Maps what the driver reports while a connection is in use.
pub(super) fn classify(error: &tokio_postgres::Error) -> (ErrorKind, Retry) {
    let Some(code) = error.code() else { return without_state(error) };
    if *code == SqlState::UNIQUE_VIOLATION {
        let name = error.as_db_error().and_then(|e| e.constraint()).unwrap_or_default();
        let known = CONSTRAINTS.iter().find(|(constraint, _)| *constraint == name);
        return (known.map_or(ErrorKind::Internal, |(_, kind)| *kind), Retry::No);
    }
    STATES
        .iter()
        .find(|(prefix, _, _)| code.code().starts_with(prefix))
        .map_or((ErrorKind::Internal, Retry::No), |(_, kind, retry)| (*kind, *retry))
}

/// Without a SQLSTATE the server has not answered: either the connection is gone or we misused the driver.
fn without_state(error: &tokio_postgres::Error) -> (ErrorKind, Retry) {
    let lost = error.is_closed()
        || error
            .source()
            .and_then(|cause| cause.downcast_ref::<std::io::Error>())
            .is_some_and(|io| io.kind() != std::io::ErrorKind::InvalidInput);
    if lost { (ErrorKind::Unavailable, Retry::Yes) } else { (ErrorKind::Internal, Retry::No) }
}

/// Maps a failure to get a connection. Nothing has happened in any of them.
pub(super) fn classify_pool(error: &PoolError) -> (ErrorKind, Retry) {
    match error {
        PoolError::Backend(cause) => match cause.code() {
            // A refused login or a missing database does not heal within a request.
            Some(code) if code.code().starts_with("28") || code.code().starts_with("3D") => {
                (ErrorKind::Unavailable, Retry::No)
            }
            _ => (ErrorKind::Unavailable, Retry::Yes),
        },
        // The waits of the pool are bounds themselves.
        PoolError::Timeout(_) | PoolError::Closed => (ErrorKind::Unavailable, Retry::No),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => (ErrorKind::Internal, Retry::No),
    }
}
