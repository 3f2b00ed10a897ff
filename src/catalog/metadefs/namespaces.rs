//! Namespaces: create, show, change, delete.

use deadpool_postgres::Transaction;
use futures_util::future::join5;
use tokio_postgres::IsolationLevel;

use crate::catalog::retry::{Attempt, ONCE, REPEATABLE};
use crate::catalog::{Catalog, ErrorKind, Result, Values, commit, execute, row as one_row, rows};
use crate::domain::metadef::{Contents, Definitions, Namespace, NamespaceFields, Visibility};

use super::lock::{lock_whole, only_row};
use super::row::{self, sql};
use super::{Changed, associations, objects, properties, tags};

impl Catalog {
    /// The namespace of this name.
    pub async fn namespace(&self, name: &str) -> Result<Option<Namespace>> {
        // nothing has a name that cannot be stored
        if name.contains('\0') {
            return Ok(None);
        }
        let found = self.row(sql!(select "namespace" "namespace_by_name"), &[&name]).await?;
        found.as_ref().map(row::namespace).transpose()
    }

    /// A namespace with all that is in it, by its internal id, as of one moment.
    pub async fn whole_namespace(&self, namespace: i64) -> Result<Option<(Namespace, Contents)>> {
        let read = || async {
            let mut connection = self.connection().await?;
            let snapshot = connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let snapshot = snapshot.read_only(true).start().await?;
            let (one, several): (Values<'_>, _) = (&[&namespace], vec![namespace]);
            let found = rows(&snapshot, sql!(select "namespace" "namespace_by_id"), one);
            let (found, associations, objects, tags, properties) = join5(
                found,
                rows(&snapshot, sql!(select "association" "associations"), &[&several]),
                rows(&snapshot, sql!(select "object" "objects"), one),
                rows(&snapshot, sql!(select "tag" "tags"), one),
                rows(&snapshot, sql!(select "property" "properties"), one),
            )
            .await;
            let read = (found?.pop(), associations?, objects?, tags?, properties?);
            commit(snapshot).await?;
            Ok(read)
        };
        let (found, associations, objects, tags, properties) = self.run(REPEATABLE, read).await?;
        let Some(found) = found else { return Ok(None) };
        let contents = Contents {
            associations: row::all(&associations, row::association)?,
            objects: row::all(&objects, row::object)?,
            tags: row::all(&tags, row::tag)?,
            properties: row::all(&properties, row::property)?,
        };
        Ok(Some((row::namespace(&found)?, contents)))
    }

    /// Creates a namespace with all that is in it, or nothing of it (§4.2). Resource types that are not known yet are
    /// created along.
    ///
    /// # Errors
    /// `Duplicate` when the name of the namespace, or a name within it, is taken.
    pub async fn create_namespace(&self, definitions: &Definitions) -> Result<Namespace> {
        let create = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let created = insert(&transaction, &definitions.namespace).await?;
            associations::insert(&transaction, created.id, &definitions.associations).await?;
            objects::insert(&transaction, created.id, &definitions.objects).await?;
            tags::insert(&transaction, created.id, &definitions.tags).await?;
            properties::insert(&transaction, created.id, &definitions.properties).await?;
            commit(transaction).await?;
            Ok(created)
        };
        self.run(ONCE, create).await
    }

    /// Replaces what is said of a namespace, its name included; `NotFound` never.
    ///
    /// # Errors
    /// `Duplicate` when the new name is taken.
    pub async fn update_namespace(
        &self,
        namespace: i64,
        fields: &NamespaceFields,
    ) -> Result<Changed<Namespace>> {
        let NamespaceFields { namespace: name, display_name, description, protected, owner, .. } = fields;
        let visibility = fields.visibility.map(Visibility::as_str);
        let update = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if lock_whole(&transaction, namespace).await?.is_none() {
                return Ok(Changed::NoNamespace);
            }
            // nobody waits for a name whose owner may wait for this one's
            if one_row(&transaction, sql!("other_namespace"), &[&namespace, name]).await?.is_some() {
                return Err(ErrorKind::Duplicate.into());
            }
            let values: Values<'_> =
                &[&namespace, name, display_name, description, &visibility, protected, owner];
            let updated = sql!("update_namespace" returning "namespace");
            let updated = only_row(&transaction, updated, values).await?;
            commit(transaction).await?;
            Ok(Changed::Done(updated))
        };
        self.run(ONCE, update).await?.try_map(row::namespace)
    }

    /// Deletes a namespace with all that is in it; `NotFound` never.
    pub async fn delete_namespace(&self, namespace: i64) -> Result<Changed<()>> {
        let delete = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(locked) = lock_whole(&transaction, namespace).await? else {
                return Ok(Changed::NoNamespace);
            };
            if locked.is_protected {
                return Ok(Changed::Protected);
            }
            // what is in it goes by its foreign keys, one statement a table
            execute(&transaction, sql!("delete_namespace"), &[&namespace]).await?;
            commit(transaction).await?;
            Ok(Changed::Done(()))
        };
        self.run(ONCE, delete).await
    }
}

async fn insert(transaction: &Transaction<'_>, fields: &NamespaceFields) -> Attempt<Namespace> {
    let NamespaceFields { namespace, display_name, description, visibility, protected, owner } = fields;
    let visibility = visibility.map(Visibility::as_str);
    let values: Values<'_> = &[namespace, display_name, description, &visibility, protected, owner];
    let inserted = only_row(transaction, sql!("insert_namespace" returning "namespace"), values).await?;
    Ok(row::namespace(&inserted)?)
}
