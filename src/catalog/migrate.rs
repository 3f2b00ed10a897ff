//! Schema: embedded migrations under an advisory lock, and the version check at start.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::error::{Error, ErrorKind, classify};
use super::retry::Failure;
use super::{Catalog, Result};

mod embedded {
    refinery::embed_migrations!("src/catalog/migrations");
}

/// Key of the advisory lock under which one host at a time changes the schema.
const LOCK: i64 = 0x7669_7472_696e_6501;
/// Longest wait for another host that migrates.
const LOCK_WAIT: Duration = Duration::from_secs(600);
/// Longest run of all migrations together; a new index on a large table takes minutes.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Where the schema stands against this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaVersion {
    /// As this binary needs it, or newer by one.
    Usable,
    /// Older: `vitrine migrate` must run first.
    Older,
    /// Newer by more than one release.
    TooNew,
}

impl Catalog {
    /// Brings the schema up to date; safe to run from several hosts at a time. Returns the names of the
    /// migrations that were applied. A schema that is newer than this binary stays as it is.
    ///
    /// # Errors
    /// `Unavailable` also when another host migrates for longer than ten minutes.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        // Taken out of the pool: with the connection go the lock and the lifted timeouts, however this ends.
        let connection = self.pool.get().await.map_err(|e| Failure::from(e).into_error())?;
        let mut connection = Object::take(connection);
        let client: &mut Client = &mut connection;
        timeout(LONGEST, apply(client))
            .await
            .unwrap_or_else(|e| Err(Error::caused(ErrorKind::Unavailable, e)))
    }

    /// Compares the schema with what this binary needs.
    pub async fn schema_version(&self) -> Result<SchemaVersion> {
        let (applied, needed) = (self.applied_version().await?, needed_version());
        Ok(match applied {
            Some(version) if version > needed + 1 => SchemaVersion::TooNew,
            Some(version) if version >= needed => SchemaVersion::Usable,
            _ => SchemaVersion::Older,
        })
    }

    async fn applied_version(&self) -> Result<Option<i32>> {
        let version = || async { Ok(applied_version(&**self.connection().await?).await?) };
        self.run(super::REPEATABLE, version).await
    }
}

async fn apply(client: &mut Client) -> Result<Vec<String>> {
    let wait = LOCK_WAIT.as_millis();
    // One by one: a limit holds from the statement after the one that sets it.
    for statement in [
        format!("SET statement_timeout = {wait}"),
        "SET idle_in_transaction_session_timeout = 0".to_owned(),
        format!("SELECT pg_advisory_lock({LOCK})"),
        "SET statement_timeout = 0".to_owned(),
    ] {
        client.batch_execute(&statement).await.map_err(lost)?;
    }
    if applied_version(client).await.map_err(lost)?.is_some_and(|version| version >= needed_version()) {
        return Ok(Vec::new());
    }
    let report = embedded::migrations::runner()
        .run_async(client)
        .await
        .map_err(|e| Error::caused(ErrorKind::Internal, e))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

async fn applied_version(client: &Client) -> Result<Option<i32>, tokio_postgres::Error> {
    let exists = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    client.query_one("SELECT max(version) FROM refinery_schema_history", &[]).await?.try_get(0)
}

fn needed_version() -> i32 {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or_default()
}

fn lost(error: tokio_postgres::Error) -> Error {
    Error::caused(classify(&error).0, error)
}
