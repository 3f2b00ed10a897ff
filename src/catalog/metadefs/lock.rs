//! The lock under which a namespace and what is in it change.
//!
//! It is the first that every transaction here takes, and it is exclusive, so changes of one namespace come one after
//! another, and their events have one order. Resource types are the only rows that several namespaces share; they are
//! added in the order of their names. Whoever takes a new name looks first whether it is free.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::catalog::retry::{Attempt, ONCE};
use crate::catalog::{Catalog, ErrorKind, Result, Values, commit, execute, row};

use super::Changed;
use super::row::sql;

/// A namespace that is locked until the transaction ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locked {
    /// Whether nothing of it may be deleted (metadefs.md §9.4).
    pub is_protected: bool,
}

/// Locks a namespace against other changes of it and what is in it. None: it is gone.
pub(super) async fn lock(transaction: &Transaction<'_>, namespace: i64) -> Attempt<Option<Locked>> {
    locked(transaction, sql!("lock_namespace"), namespace).await
}

/// The same for a change of its name, or its end.
pub(super) async fn lock_whole(transaction: &Transaction<'_>, namespace: i64) -> Attempt<Option<Locked>> {
    locked(transaction, sql!("lock_whole_namespace"), namespace).await
}

async fn locked(transaction: &Transaction<'_>, sql: &str, namespace: i64) -> Attempt<Option<Locked>> {
    let Some(found) = row(transaction, sql, &[&namespace]).await? else { return Ok(None) };
    Ok(Some(Locked { is_protected: found.try_get("protected")? }))
}

impl Catalog {
    /// The row of one thing in a namespace. Nothing has a name that cannot be stored.
    pub(super) async fn row_in_namespace(
        &self,
        namespace: i64,
        name: &str,
        sql: &str,
    ) -> Result<Option<Row>> {
        if name.contains('\0') {
            return Ok(None);
        }
        self.row(sql, &[&namespace, &name]).await
    }

    /// Adds one thing to a namespace, or changes it; gives its row. No row: `NotFound`.
    pub(super) async fn change_in_namespace(
        &self,
        namespace: i64,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Changed<Row>> {
        let change = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if lock(&transaction, namespace).await?.is_none() {
                return Ok(Changed::NoNamespace);
            }
            let Some(changed) = row(&transaction, sql, values).await? else { return Ok(Changed::NotFound) };
            commit(transaction).await?;
            Ok(Changed::Done(changed))
        };
        self.run(ONCE, change).await
    }

    /// Deletes the thing of this name, unless the namespace is protected; a missing one is `NotFound` in either case.
    pub(super) async fn delete_in_namespace(
        &self,
        namespace: i64,
        name: &str,
        sql: &str,
    ) -> Result<Changed<()>> {
        if name.contains('\0') {
            return Ok(Changed::NotFound);
        }
        let delete = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(locked) = lock(&transaction, namespace).await? else { return Ok(Changed::NoNamespace) };
            if execute(&transaction, sql, &[&namespace, &name]).await? == 0 {
                return Ok(Changed::NotFound);
            }
            // without a commit nothing was deleted
            if locked.is_protected {
                return Ok(Changed::Protected);
            }
            commit(transaction).await?;
            Ok(Changed::Done(()))
        };
        self.run(ONCE, delete).await
    }

    /// Deletes all things of a kind, which is one event, unless the namespace is protected.
    pub(super) async fn empty_namespace(
        &self,
        namespace: i64,
        things: &str,
        sql: &str,
    ) -> Result<Changed<()>> {
        let delete = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(locked) = lock(&transaction, namespace).await? else { return Ok(Changed::NoNamespace) };
            if locked.is_protected {
                return Ok(Changed::Protected);
            }
            row(&transaction, sql!("tell_deleted"), &[&namespace, &things]).await?;
            execute(&transaction, sql, &[&namespace]).await?;
            commit(transaction).await?;
            Ok(Changed::Done(()))
        };
        self.run(ONCE, delete).await
    }
}

impl<T> Changed<T> {
    /// The same with the record of the row.
    pub(super) fn try_map<U>(self, record: impl FnOnce(&T) -> Result<U>) -> Result<Changed<U>> {
        Ok(match self {
            Self::Done(row) => Changed::Done(record(&row)?),
            Self::NoNamespace => Changed::NoNamespace,
            Self::NotFound => Changed::NotFound,
            Self::Protected => Changed::Protected,
        })
    }
}

/// The row that a statement always gives.
pub(super) async fn only_row(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Attempt<Row> {
    Ok(row(transaction, sql, values).await?.ok_or(ErrorKind::Internal)?)
}
