//! Definitions from files, and the end of all definitions (metadefs.md §13). No events are told: these are commands of
//! the operator.

use deadpool_postgres::Transaction;

use crate::catalog::retry::{Attempt, REPEATABLE};
use crate::catalog::{Catalog, ErrorKind, Result, Values, commit, execute, row};
use crate::domain::metadef::{Definitions, NamespaceFields, Visibility};

use super::row::{id, sql};
use super::{Loaded, MergeMode, associations, objects, properties, tags};

/// How often a namespace is looked for that others create and delete at the same time.
const TRIES: usize = 5;

/// The namespace of a file.
enum Place {
    /// It is new and empty.
    New(i64),
    /// It existed, and is locked.
    Known(i64),
}

impl Catalog {
    /// Loads a namespace from a file, in one transaction. Rows that are inserted have no time of change; resource types
    /// that are created are marked as protected (§13). No events are told: this is a command of the operator. No name may be
    /// there twice among what is said of one kind.
    pub async fn load_definitions(&self, definitions: &Definitions, mode: MergeMode) -> Result<Loaded> {
        let load = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            row(&transaction, sql!("quiet"), &[]).await?;
            let loaded = match (find_or_create(&transaction, &definitions.namespace).await?, mode) {
                (Place::New(id), _) => {
                    load_contents(&transaction, id, definitions, false).await?;
                    Loaded::Created
                }
                (Place::Known(_), MergeMode::Skip) => Loaded::Unchanged,
                (Place::Known(id), MergeMode::Merge) => {
                    merged(load_contents(&transaction, id, definitions, false).await?)
                }
                (Place::Known(id), MergeMode::PreferNew) => {
                    let renewed = renew(&transaction, id, &definitions.namespace).await?;
                    merged(renewed + load_contents(&transaction, id, definitions, true).await?)
                }
                (Place::Known(id), MergeMode::Overwrite) => {
                    execute(&transaction, sql!("delete_namespace"), &[&id]).await?;
                    let id =
                        create(&transaction, &definitions.namespace).await?.ok_or(ErrorKind::Internal)?;
                    load_contents(&transaction, id, definitions, false).await?;
                    Loaded::Created
                }
            };
            commit(transaction).await?;
            Ok(loaded)
        };
        self.run(REPEATABLE, load).await
    }

    /// Deletes everything of this catalogue, resource types included, protected or not; tells how many namespaces there
    /// were.
    pub async fn unload_definitions(&self) -> Result<u64> {
        let unload = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            // the one lock that nobody is without who may still add something
            transaction.batch_execute(sql!("lock_all")).await?;
            row(&transaction, sql!("quiet"), &[]).await?;
            let deleted = execute(&transaction, sql!("delete_all_namespaces"), &[]).await?;
            execute(&transaction, sql!("delete_all_types"), &[]).await?;
            commit(transaction).await?;
            Ok(deleted)
        };
        self.run(REPEATABLE, unload).await
    }
}

/// The namespace of this name, locked; a new one where there is none.
async fn find_or_create(transaction: &Transaction<'_>, fields: &NamespaceFields) -> Attempt<Place> {
    for _ in 0..TRIES {
        if let Some(found) = row(transaction, sql!("lock_namespace_by_name"), &[&fields.namespace]).await? {
            return Ok(Place::Known(id(&found)?));
        }
        if let Some(created) = create(transaction, fields).await? {
            return Ok(Place::New(created));
        }
    }
    Err(ErrorKind::Unavailable.into())
}

/// A new namespace. None: somebody else has just created it.
async fn create(transaction: &Transaction<'_>, fields: &NamespaceFields) -> Attempt<Option<i64>> {
    let NamespaceFields { namespace, display_name, description, visibility, protected, owner } = fields;
    let visibility = visibility.map(Visibility::as_str);
    let values: Values<'_> = &[namespace, display_name, description, &visibility, protected, owner];
    let created = row(transaction, sql!("load_namespace"), values).await?;
    Ok(created.as_ref().map(id).transpose()?)
}

/// Gives a namespace the values of the file; tells how many rows changed.
async fn renew(transaction: &Transaction<'_>, id: i64, fields: &NamespaceFields) -> Attempt<u64> {
    let NamespaceFields { display_name, description, visibility, protected, owner, .. } = fields;
    let visibility = visibility.map(Visibility::as_str);
    let values: Values<'_> = &[&id, display_name, description, &visibility, protected, owner];
    execute(transaction, sql!("renew_namespace"), values).await
}

/// Adds what is missing; with `renew`, what differs takes the values of the file. Tells how many rows changed.
async fn load_contents(
    transaction: &Transaction<'_>,
    id: i64,
    definitions: &Definitions,
    renew: bool,
) -> Attempt<u64> {
    Ok(associations::load(transaction, id, &definitions.associations, renew).await?
        + objects::load(transaction, id, &definitions.objects, renew).await?
        + tags::load(transaction, id, &definitions.tags).await?
        + properties::load(transaction, id, &definitions.properties, renew).await?)
}

fn merged(changes: u64) -> Loaded {
    if changes == 0 { Loaded::Unchanged } else { Loaded::Merged }
}
