//! The one error type that crosses layers.
//!
//! An [`Error`] carries what the tenant may read and, apart from it, what only the log may keep. Status codes
//! belong to `http/fault.rs`; nothing below it knows them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Shorthand for results of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of the caller's request. Each variant says when to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No identity, or one that could not be verified.
    Unauthenticated,
    /// The caller may know the thing exists but may not do this to it.
    Forbidden,
    /// The thing does not exist, or the caller may not know that it does.
    NotFound,
    /// The request itself is wrong: syntax, value, or combination of values.
    Invalid,
    /// The request is right but the state of the thing forbids it.
    Conflict,
    /// The thing was there and is no more, or the function is switched off for good.
    Gone,
    /// Somebody else changed the thing between read and write, and went on doing so.
    Concurrent,
    /// What the caller took for granted ceased to hold while the request ran.
    PreconditionFailed,
    /// The body is larger than the service accepts.
    TooLarge,
    /// A quota or count limit of the project or the image is exhausted.
    LimitExceeded,
    /// The content is not what was declared, or is of a kind that is refused.
    UnsupportedFormat,
    /// The requested byte range lies outside the content of `size` bytes.
    RangeNotSatisfiable {
        /// Length of the whole content in bytes.
        size: u64,
    },
    /// A function of the interface that this service does not offer.
    NotImplemented,
    /// A dependency is out of reach or busy; the same request may succeed later.
    Unavailable {
        /// How long the caller should wait before it tries again.
        retry_after: Duration,
    },
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// Whether the same operation may succeed when tried again without change; drives retries of jobs.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Internal)
    }
}

/// A failed operation: its kind, the text for the tenant, and the cause for the log.
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error whose `message` the tenant may read.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause. It is logged and never rendered into a response.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A fault of ours: the tenant reads the standard sentence, the log gets the cause.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "").with_source(source)
    }

    /// See [`ErrorKind::Forbidden`].
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// See [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// See [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// See [`ErrorKind::Conflict`].
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// See [`ErrorKind::TooLarge`].
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// See [`ErrorKind::LimitExceeded`].
    pub fn limit_exceeded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::LimitExceeded, message)
    }

    /// See [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::new(ErrorKind::Unavailable { retry_after }, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text for the tenant; empty means the standard sentence of the kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { write!(f, "{:?}", self.kind) } else { f.write_str(&self.message) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, Chain(self))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}

/// Displays an error with all its causes, for one log line.
pub struct Chain<'a>(pub &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
