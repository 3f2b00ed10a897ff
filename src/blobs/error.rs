//! Errors of the object store layer.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

/// Results of store operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the flow may branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such object, upload or bucket.
    NotFound,
    /// The object is not the one its validator names.
    Changed,
    /// The multipart upload, or the bucket, went away under its writer.
    Aborted,
    /// The store does not copy, or not for us: send the data instead.
    Unsupported,
    /// The store has no room.
    Full,
    /// The store forbids it with our credentials.
    Denied,
    /// Unreachable, timed out, throttled, or failing with 5xx after all retries.
    Unavailable,
    /// No part memory was free in time.
    NoMemory,
    /// Anything else.
    Internal,
}

impl ErrorKind {
    /// Value of `error.type` in telemetry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::Aborted => "aborted",
            Self::Unsupported => "unsupported",
            Self::Full => "full",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::NoMemory => "no_memory",
            Self::Internal => "internal",
        }
    }
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("object store {operation}: {kind:?}")]
pub struct Error {
    /// What the flow may branch on.
    pub kind: ErrorKind,
    /// The S3 operation that failed.
    pub operation: &'static str,
    /// How long the store asked us to wait.
    pub retry_after: Option<Duration>,
    /// The SDK's error.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Self { kind, operation, retry_after: None, source: None }
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// What the log learns of a failed call. The SDK's own error also keeps the raw response, whose body may quote the
/// signature or the access key back at us (A53), so only the standard fields are taken over.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

/// Longest text of a store that is taken over.
const MESSAGE_LIMIT: usize = 300;

/// Maps what the SDK reports to what a flow may branch on.
pub(super) fn from_sdk<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let (kind, cause) = match error {
        SdkError::ServiceError(context) => service(error, context.err()),
        SdkError::TimeoutError(_) => (ErrorKind::Unavailable, "timed out".to_owned()),
        SdkError::DispatchFailure(failure) if !failure.is_user() => (ErrorKind::Unavailable, chain(error)),
        SdkError::ResponseError(_) => (ErrorKind::Unavailable, chain(error)),
        _ => (ErrorKind::Internal, chain(error)),
    };
    let retry_after = error.raw_response().and_then(retry_after);
    Error { kind, operation, retry_after, source: Some(Box::new(Cause(cause))) }
}

fn service<E>(error: &SdkError<E, HttpResponse>, meta: &E) -> (ErrorKind, String)
where
    E: ProvideErrorMetadata,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = meta.code().unwrap_or_default();
    let message: String = match code {
        // repeats what was signed and with which key
        "SignatureDoesNotMatch" => String::new(),
        _ => meta.message().unwrap_or_default().chars().take(MESSAGE_LIMIT).collect(),
    };
    let request = error.raw_response().and_then(RequestId::request_id).unwrap_or("none");
    (kind_of(status, code), format!("{code} (status {status}, request {request}): {message}"))
}

/// Kind by error code, else by status.
fn kind_of(status: u16, code: &str) -> ErrorKind {
    match code {
        "NoSuchKey" | "NoSuchUpload" | "NoSuchBucket" | "NotFound" => ErrorKind::NotFound,
        "PreconditionFailed" | "InvalidRange" => ErrorKind::Changed,
        "XMinioStorageFull" | "InsufficientStorage" | "QuotaExceeded" | "StorageFull" => ErrorKind::Full,
        // the SDK learns the store's clock from the answer, so the next attempt is signed for it
        "RequestTimeTooSkewed" => ErrorKind::Unavailable,
        // some answer these with a status of success or of a client error
        "SlowDown"
        | "InternalError"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "OperationAborted"
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch" => ErrorKind::Unavailable,
        _ => match status {
            404 => ErrorKind::NotFound,
            412 | 416 => ErrorKind::Changed,
            401 | 403 => ErrorKind::Denied,
            507 => ErrorKind::Full,
            501 => ErrorKind::Internal,
            // an error inside a success came too late for a status: it is the store's
            200 | 408 | 429 | 500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        },
    }
}

/// Seconds of `Retry-After`; the form with a date is not used by stores.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.headers().get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    crate::error::Chain(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_win_over_status() {
        assert_eq!(kind_of(200, "SlowDown"), ErrorKind::Unavailable);
        assert_eq!(kind_of(200, "InternalError"), ErrorKind::Unavailable);
        assert_eq!(kind_of(200, "Unheard"), ErrorKind::Unavailable);
        assert_eq!(kind_of(200, "PreconditionFailed"), ErrorKind::Changed);
        assert_eq!(kind_of(400, "RequestTimeout"), ErrorKind::Unavailable);
        assert_eq!(kind_of(403, "RequestTimeTooSkewed"), ErrorKind::Unavailable);
        assert_eq!(kind_of(404, "NoSuchUpload"), ErrorKind::NotFound);
        assert_eq!(kind_of(507, "XMinioStorageFull"), ErrorKind::Full);
    }

    #[test]
    fn statuses_without_a_code() {
        for (status, kind) in [
            (403, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (412, ErrorKind::Changed),
            (416, ErrorKind::Changed),
            (429, ErrorKind::Unavailable),
            (500, ErrorKind::Unavailable),
            (501, ErrorKind::Internal),
            (503, ErrorKind::Unavailable),
            (507, ErrorKind::Full),
            (400, ErrorKind::Internal),
        ] {
            assert_eq!(kind_of(status, ""), kind, "{status}");
        }
    }
}
