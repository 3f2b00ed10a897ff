//! The one way every request goes to a store: bounded, retried with full jitter, and observed.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use tokio::time::{Instant, sleep, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use super::error::from_sdk;
use super::{Error, ErrorKind, Result, Store};

/// Attempts of one call, the first included.
const ATTEMPTS: u32 = 4;

/// Backoff before attempt n + 1 is random below `BACKOFF × 4ⁿ⁻¹`, at most `BACKOFF_LIMIT`.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_LIMIT: Duration = Duration::from_secs(5);

/// Longest `Retry-After` of a store we sit out.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(10);

/// Slowest transfer that is not taken for dead, in bytes per second.
const SLOWEST: u64 = 1_000_000;

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest attempt, up to the head of the answer where its body is read as a stream.
    pub(super) attempt: Duration,
    /// Most attempts.
    pub(super) attempts: u32,
}

impl Limits {
    /// Requests without a large body.
    pub(super) const SMALL: Self = Self { attempt: Duration::from_secs(30), attempts: ATTEMPTS };

    /// The store puts the parts together before it answers.
    pub(super) const COMPLETE: Self = Self { attempt: Duration::from_secs(120), attempts: ATTEMPTS };

    /// One attempt only.
    pub(super) const ONCE: Self = Self { attempts: 1, ..Self::SMALL };

    /// Requests that send `bytes`, or have the store copy them.
    pub(super) fn transfer(bytes: u64) -> Self {
        let transfer = Duration::from_secs(bytes.div_ceil(SLOWEST));
        Self { attempt: Duration::from_secs(10) + transfer, attempts: ATTEMPTS }
    }
}

/// What a request does to what, as telemetry names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    name: &'static str,
    key: Option<&'a str>,
    upload_id: Option<&'a str>,
    part_number: Option<i32>,
}

impl<'a> Operation<'a> {
    /// An operation on the bucket.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, key: None, upload_id: None, part_number: None }
    }

    /// The same on one object.
    pub(super) fn on(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same on one multipart upload.
    pub(super) fn of(self, upload_id: &'a str) -> Self {
        Self { upload_id: Some(upload_id), ..self }
    }

    /// The same on one of its parts.
    pub(super) fn part(self, number: i32) -> Self {
        Self { part_number: Some(number), ..self }
    }

    /// The span of one attempt, by the OpenTelemetry conventions for S3.
    fn span(&self, store: &Store) -> Span {
        debug_span!(
            "s3",
            otel.name = format_args!("S3.{}", self.name),
            otel.kind = "client",
            otel.status_code = Empty,
            rpc.system.name = "aws-api",
            rpc.method = self.name,
            vitrine.store = %store.id,
            aws.s3.bucket = store.bucket(),
            aws.s3.key = self.key,
            aws.s3.upload_id = self.upload_id,
            aws.s3.part_number = self.part_number,
            aws.request_id = Empty,
            error.type = Empty,
        )
    }
}

/// Retries that may still be made at a store. Every retry takes one and every success gives one back, so that a
/// store in trouble is not buried under repetitions.
#[derive(Debug)]
pub(super) struct RetryBudget(AtomicU32);

const RETRY_BUDGET: u32 = 500;

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(RETRY_BUDGET))
    }
}

impl RetryBudget {
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give(&self) {
        let more = |left| (left < RETRY_BUDGET).then_some(left + 1);
        // full already: nothing to do
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl Store {
    /// Sends what `request` makes, anew for each attempt.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: Operation<'_>,
        limits: Limits,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.counted_call(operation, limits, request).await.1
    }

    /// As [`Store::call`]; also tells how many attempts were made. An attempt that failed may have had its effect
    /// all the same.
    pub(super) async fn counted_call<T, E, F>(
        &self,
        operation: Operation<'_>,
        limits: Limits,
        request: impl Fn() -> F,
    ) -> (u32, Result<T>)
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(operation, limits.attempt, attempt, request()).await {
                Ok(answer) => return (attempt, Ok(answer)),
                Err(error) => error,
            };
            let again = error.kind == ErrorKind::Unavailable && attempt < limits.attempts;
            if !again || !self.retries().take() {
                return (attempt, Err(error));
            }
            self.metrics().s3_retry(operation.name, &self.id);
            sleep(pause(attempt, error.retry_after)).await;
            attempt += 1;
        }
    }

    /// One attempt. Everything sent to a store passes here.
    async fn attempt<T, E>(
        &self,
        operation: Operation<'_>,
        limit: Duration,
        attempt: u32,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T>
    where
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (begun, span, name) = (Instant::now(), operation.span(self), operation.name);
        // boxed: what the SDK makes of a request takes several KiB
        let outcome = match timeout(limit, Box::pin(request)).instrument(span.clone()).await {
            Ok(Ok(answer)) => {
                span.record("aws.request_id", answer.request_id());
                Ok(answer)
            }
            Ok(Err(error)) => Err(from_sdk(name, &error)),
            Err(elapsed) => Err(Error::new(ErrorKind::Unavailable, name).with_source(elapsed)),
        };
        if outcome.is_ok() {
            self.retries().give();
        }
        // an absent object is an answer, not a failure
        let failure = outcome.as_ref().err().filter(|error| error.kind != ErrorKind::NotFound);
        let failure = failure.map(|error| error.kind.as_str());
        self.metrics().s3_request(name, &self.id, failure, begun.elapsed());
        span.record("error.type", failure);
        span.record("otel.status_code", failure.map(|_| "ERROR"));
        tracing::debug!(
            store = %self.id,
            operation = name,
            attempt,
            duration_ms = begun.elapsed().as_millis() as u64,
            outcome = outcome.as_ref().map_or_else(|error: &Error| error.kind.as_str(), |_| "ok"),
            "s3 request"
        );
        outcome
    }
}

/// Pause after the failed attempt with this number: full jitter, but not less than the store asked for.
pub(super) fn pause(attempt: u32, retry_after: Option<Duration>) -> Duration {
    let ceiling = BACKOFF.saturating_mul(4_u32.saturating_pow(attempt.saturating_sub(1))).min(BACKOFF_LIMIT);
    let jitter = ceiling.mul_f64(rand::random::<f64>());
    jitter.max(retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded_by_size() {
        assert_eq!(Limits::transfer(0).attempt, Duration::from_secs(10));
        assert_eq!(Limits::transfer(16 << 20).attempt, Duration::from_secs(27));
    }

    #[test]
    fn pauses_grow_and_honour_the_store() {
        for _ in 0..100 {
            assert!(pause(1, None) <= BACKOFF);
            assert!(pause(2, None) <= BACKOFF * 4);
            assert!(pause(40, None) <= BACKOFF_LIMIT);
            assert!(pause(1, Some(Duration::from_secs(2))) >= Duration::from_secs(2));
            assert!(pause(1, Some(Duration::from_secs(3_600))) <= RETRY_AFTER_LIMIT);
        }
    }

    #[test]
    fn retries_are_limited_over_all_calls() {
        let budget = RetryBudget::default();
        budget.give();
        assert_eq!((0..2 * RETRY_BUDGET).filter(|_| budget.take()).count(), RETRY_BUDGET as usize);
        budget.give();
        assert!(budget.take());
        assert!(!budget.take());
    }
}
