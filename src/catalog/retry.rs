//! Repetition of operations that failed without effect.
//!
//! A transaction that breaks before its commit was sent did nothing, so it may always run again. A commit that
//! breaks has an unknown outcome: only operations that give the same answer when they find their own work done may
//! run again after it.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::error::{Error, ErrorKind, Result, Retry, classify, classify_pool};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How far an operation may be repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// No new attempt begins later than this after the first.
    patience: Duration,
    /// Whether it may run again when its outcome is unknown.
    repeatable: bool,
}

/// Reads, and writes that may be repeated.
pub(super) const REPEATABLE: Terms = Terms { patience: Duration::from_secs(5), repeatable: true };
/// Ends of uploads: a restart of the database must not cost the data.
pub(super) const PATIENT: Terms = Terms { patience: Duration::from_secs(15), repeatable: true };
/// Writes whose second run would not know the first.
pub(super) const ONCE: Terms = Terms { patience: Duration::from_secs(5), repeatable: false };

/// Why one attempt failed.
#[derive(Debug)]
pub(super) struct Failure {
    error: Error,
    retry: Retry,
    outcome_unknown: bool,
}

/// Result of one attempt.
pub(super) type Attempt<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failed commit, also that of a statement outside a transaction. Unless the server rolled it back for
    /// concurrency, nobody knows whether it took place.
    pub(super) fn at_commit(error: tokio_postgres::Error) -> Self {
        let rolled_back = error.code().is_some_and(|code| code.code().starts_with("40"));
        Self { outcome_unknown: !rolled_back, ..Self::from(error) }
    }

    /// The error for the caller, where nothing is repeated.
    pub(super) fn into_error(self) -> Error {
        self.error
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let (kind, retry) = classify(&error);
        Self { error: Error::caused(kind, error), retry, outcome_unknown: false }
    }
}

impl From<deadpool_postgres::PoolError> for Failure {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        let (kind, retry) = classify_pool(&error);
        Self { error: Error::caused(kind, error), retry, outcome_unknown: false }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry: Retry::No, outcome_unknown: false }
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Error::plain(kind).into()
    }
}

/// Runs `operation` until it succeeds, fails for good, or `terms` are used up. One attempt takes at most `longest`.
pub(super) async fn run<T, F>(terms: Terms, longest: Duration, mut operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Attempt<T>>,
{
    let give_up = Instant::now() + terms.patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let failure = match tokio::time::timeout(longest, operation()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
            Err(elapsed) => return Err(Error::caused(ErrorKind::Unavailable, elapsed)),
        };
        let pointless = failure.retry == Retry::No || (failure.outcome_unknown && !terms.repeatable);
        let wait = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        if pointless || Instant::now() + wait > give_up {
            return Err(failure.error);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use super::*;

    fn broken(outcome_unknown: bool) -> Failure {
        Failure { error: Error::plain(ErrorKind::Unavailable), retry: Retry::Yes, outcome_unknown }
    }

    const PAUSES: Duration = Duration::from_millis(400);
    const SAFE: Terms = Terms { patience: PAUSES, repeatable: true };
    const UNSAFE: Terms = Terms { patience: PAUSES, repeatable: false };

    async fn tries(terms: Terms, outcome_unknown: bool, failures: u32) -> (u32, Result<()>) {
        let count = Cell::new(0);
        let result = run(terms, Duration::from_secs(60), || async {
            count.set(count.get() + 1);
            if count.get() <= failures { Err(broken(outcome_unknown)) } else { Ok(()) }
        })
        .await;
        (count.get(), result)
    }

    #[tokio::test]
    async fn a_lost_commit_is_repeated_only_where_that_is_safe() {
        let (count, result) = tries(UNSAFE, true, 1).await;
        assert_eq!((count, result.unwrap_err().kind), (1, ErrorKind::Unavailable));
        assert!(tries(UNSAFE, false, 1).await.1.is_ok());
        assert!(tries(SAFE, true, 1).await.1.is_ok());
    }

    #[tokio::test]
    async fn patience_ends() {
        let start = Instant::now();
        let (count, result) = tries(SAFE, false, u32::MAX).await;
        assert_eq!(result.unwrap_err().kind, ErrorKind::Unavailable);
        assert!(count > 2 && start.elapsed() < PAUSES * 4, "{count} tries in {:?}", start.elapsed());
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_is_unavailable() {
        let hang = std::future::pending::<Attempt<()>>;
        let result = run(SAFE, Duration::from_millis(10), hang).await;
        assert_eq!(result.unwrap_err().kind, ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn what_cannot_heal_is_not_repeated() {
        let count = Cell::new(0);
        let result: Result<()> = run(SAFE, Duration::from_secs(1), || async {
            count.set(count.get() + 1);
            Err(ErrorKind::QuotaExceeded.into())
        })
        .await;
        assert_eq!((count.get(), result.unwrap_err().kind), (1, ErrorKind::QuotaExceeded));
    }
}
