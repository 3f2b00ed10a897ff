//! Everything that speaks SQL. Each method is one statement or one transaction; none holds a connection
//! across other I/O.
//!
//! Rules that hold for all of them:
//! - READ COMMITTED with compare-and-set; every time stamp and lease is the database's clock.
//! - Locks are taken in one order: advisory lock of the project, image row, ledger rows. Metadata definitions have
//!   their own: row of the namespace, resource types by name.
//! - Static statements are prepared once per connection; lists are planned for their values (see [`list`]).
//! - An operation that broke without effect is repeated for some seconds, so that neither a connection that died in
//!   the pool nor a short restart of the server becomes an error of a request (see `retry`).

pub mod adoption;
pub mod blobs;
pub mod copies;
pub mod error;
pub mod events;
pub mod glance;
pub mod images;
pub mod import_tasks;
pub mod imports;
pub mod list;
pub mod location_tasks;
pub mod locations;
mod login;
pub mod members;
pub mod metadefs;
pub mod migrate;
mod pool;
mod retry;
pub mod row;
pub mod scrub;
pub mod sweep;
mod table;
mod task_list;
pub mod tasks;
pub mod uploads;
pub mod usage;

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use deadpool_postgres::{GenericClient, Object, Pool, PoolError, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

pub use error::{Error, ErrorKind, Result};
use login::Login;
use retry::{Attempt, Failure, REPEATABLE, Terms};
use table::table;

use crate::config;
use crate::telemetry::metrics::Metrics;

/// Values of a statement, in the order of its placeholders.
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The PostgreSQL side of the service: a bounded pool of connections.
#[derive(Clone)]
pub struct Catalog {
    pool: Pool,
    login: Login,
    longest: Duration,
    metrics: Option<Metrics>,
}

/// Connections of the pool, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Most connections there may be.
    pub max: usize,
    /// Connections there are.
    pub size: usize,
    /// Of these, how many are idle.
    pub available: usize,
    /// Operations waiting for one.
    pub waiting: usize,
}

impl Catalog {
    /// Opens the pool. No connection is made yet.
    ///
    /// # Errors
    /// When the URL is missing or malformed.
    pub fn new(config: &config::Database) -> Result<Self> {
        Self::telling(config, &config::Notifications::default())
    }

    /// The same, whose changes become events for the sinks that `events` switches on.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn telling(config: &config::Database, events: &config::Notifications) -> Result<Self> {
        let login = Login::new(config, events)?;
        Ok(Self {
            pool: pool::open(config, login.clone())?,
            login,
            longest: pool::longest_operation(config),
            metrics: None,
        })
    }

    /// The same catalog, which reports to these instruments.
    #[must_use]
    pub fn observed_by(self, metrics: &Metrics) -> Self {
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// Reads the file of the database's URL now; it counts for sessions from then on.
    pub fn reread_url(&self) {
        self.login.reread();
    }

    /// One round trip; for probes.
    pub async fn ping(&self) -> Result<()> {
        self.run(REPEATABLE, || async { Ok(self.connection().await?.batch_execute("SELECT 1").await?) }).await
    }

    /// Connections of the pool, for metrics.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            max: status.max_size,
            size: status.size,
            available: status.available,
            waiting: status.waiting,
        }
    }

    /// Runs an operation, again where it broke without effect; see [`retry`].
    async fn run<T, F>(&self, terms: Terms, operation: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        self.run_observed("TRANSACTION", None, terms, operation).await
    }

    async fn run_observed<T, F>(
        &self,
        operation: &'static str,
        table: Option<&'static str>,
        terms: Terms,
        attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Attempt<T>>,
    {
        let begun = Instant::now();
        let span = debug_span!(
            "database",
            otel.name = operation,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.operation.name = operation,
            db.collection.name = table,
            error.type = Empty,
        );
        let outcome = retry::run(terms, self.longest, attempt).instrument(span.clone()).await;
        let failure = outcome.as_ref().err().map(|error| error.kind.as_str());
        if let Some(metrics) = &self.metrics {
            metrics.db_operation(operation, table, failure, begun.elapsed());
        }
        span.record("error.type", failure);
        span.record("otel.status_code", failure.map(|_| "ERROR"));
        outcome
    }

    async fn connection(&self) -> Attempt<Connection> {
        let begun = Instant::now();
        let connection = self.pool.get().await;
        if let Some(metrics) = &self.metrics {
            metrics.db_waited(begun.elapsed());
            if matches!(connection, Err(PoolError::Timeout(_))) {
                metrics.db_timeout();
            }
        }
        Ok(Connection { object: connection?, since: Instant::now(), metrics: self.metrics.clone() })
    }

    /// All rows of a repeatable statement.
    async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>> {
        self.run_observed(verb(sql), table(sql), REPEATABLE, || async {
            rows(&*self.connection().await?, sql, values).await
        })
        .await
    }

    /// The only row of a repeatable statement.
    async fn row(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.pop())
    }

    /// Runs one statement that commits by itself and tells how many rows it changed.
    async fn execute(&self, terms: Terms, sql: &str, values: Values<'_>) -> Result<u64> {
        let statement = || async {
            let connection = self.connection().await?;
            let statement = connection.prepare_cached(sql).await?;
            connection.execute(&statement, values).await.map_err(Failure::at_commit)
        };
        self.run_observed(verb(sql), table(sql), terms, statement).await
    }

    /// Runs one statement that commits by itself and gives the row it changed.
    async fn change(&self, terms: Terms, sql: &str, values: Values<'_>) -> Result<Option<Row>> {
        let statement = || async {
            let connection = self.connection().await?;
            let statement = connection.prepare_cached(sql).await?;
            connection.query_opt(&statement, values).await.map_err(Failure::at_commit)
        };
        self.run_observed(verb(sql), table(sql), terms, statement).await
    }
}

/// A connection taken from the pool. Tells how long it was held.
struct Connection {
    object: Object,
    since: Instant,
    metrics: Option<Metrics>,
}

impl Deref for Connection {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Object {
        &mut self.object
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.db_used(self.since.elapsed());
        }
    }
}

/// The kind of a statement, for metrics.
fn verb(sql: &str) -> &'static str {
    const VERBS: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "SELECT"];
    let first = sql.split_whitespace().next().unwrap_or_default();
    VERBS.into_iter().find(|verb| *verb == first).unwrap_or("WITH")
}

/// All rows of a prepared statement.
async fn rows(client: &impl GenericClient, sql: &str, values: Values<'_>) -> Attempt<Vec<Row>> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, values).await?)
}

/// The only row of a prepared statement.
async fn row(client: &impl GenericClient, sql: &str, values: Values<'_>) -> Attempt<Option<Row>> {
    Ok(rows(client, sql, values).await?.pop())
}

/// Runs a prepared statement and tells how many rows it changed.
async fn execute(client: &impl GenericClient, sql: &str, values: Values<'_>) -> Attempt<u64> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, values).await?)
}

async fn commit(transaction: Transaction<'_>) -> Attempt<()> {
    transaction.commit().await.map_err(Failure::at_commit)
}

/// A duration for `make_interval`, in seconds. A century stands for all that is longer.
fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().min(100.0 * 365.0 * 86400.0)
}

/// A count of bytes as the database keeps it.
fn bytes(count: u64) -> Result<i64> {
    i64::try_from(count).map_err(|e| Error::caused(ErrorKind::OutOfRange, e))
}
