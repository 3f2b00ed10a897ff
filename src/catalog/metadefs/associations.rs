//! Resource types, and their associations with namespaces.

use deadpool_postgres::Transaction;

use crate::catalog::retry::{Attempt, ONCE};
use crate::catalog::{Catalog, Result, Values, commit, execute};
use crate::domain::metadef::{Association, AssociationFields, ResourceType};

use super::Changed;
use super::lock::{lock, only_row};
use super::row::{self, sql};

impl Catalog {
    /// All resource types in the order of creation.
    pub async fn resource_types(&self) -> Result<Vec<ResourceType>> {
        row::all(&self.rows(sql!("resource_types"), &[]).await?, row::resource_type)
    }

    /// The associations of a namespace in the order of creation.
    pub async fn associations(&self, namespace: i64) -> Result<Vec<Association>> {
        let found = self.rows(sql!(select "association" "associations"), &[&vec![namespace]]).await?;
        row::all(&found, row::association)
    }

    /// The association of a namespace with one resource type.
    pub async fn association(&self, namespace: i64, name: &str) -> Result<Option<Association>> {
        let found = self.row_in_namespace(namespace, name, sql!(select "association" "association")).await?;
        found.as_ref().map(row::association).transpose()
    }

    /// Associates a resource type, which is created where it is not known; never `NotFound` or `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when it is associated already.
    pub async fn create_association(
        &self,
        namespace: i64,
        fields: &AssociationFields,
    ) -> Result<Changed<Association>> {
        let create = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if lock(&transaction, namespace).await?.is_none() {
                return Ok(Changed::NoNamespace);
            }
            insert(&transaction, namespace, std::slice::from_ref(fields)).await?;
            let created = sql!(select "association" "association");
            let created = only_row(&transaction, created, &[&namespace, &fields.name]).await?;
            commit(transaction).await?;
            Ok(Changed::Done(created))
        };
        self.run(ONCE, create).await?.try_map(row::association)
    }

    /// Removes an association; the resource type stays. A missing one of a protected namespace is `NotFound`.
    pub async fn delete_association(&self, namespace: i64, name: &str) -> Result<Changed<()>> {
        self.delete_in_namespace(namespace, name, sql!("delete_association")).await
    }
}

/// Associations as arrays, one for each column.
struct Columns<'a> {
    names: Vec<&'a str>,
    prefixes: Vec<Option<&'a str>>,
    targets: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(associations: &'a [AssociationFields]) -> Self {
        Self {
            names: associations.iter().map(|one| one.name.as_str()).collect(),
            prefixes: associations.iter().map(|one| one.prefix.as_deref()).collect(),
            targets: associations.iter().map(|one| one.properties_target.as_deref()).collect(),
        }
    }
}

/// Creates the resource types that are not known yet. Who creates one at the same time is waited for, and found by the
/// next statement.
async fn name_types(transaction: &Transaction<'_>, names: &[&str], protected: bool) -> Attempt<()> {
    execute(transaction, sql!("name_types"), &[&names, &protected]).await?;
    Ok(())
}

/// Adds associations.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    namespace: i64,
    associations: &[AssociationFields],
) -> Attempt<()> {
    if associations.is_empty() {
        return Ok(());
    }
    let Columns { names, prefixes, targets } = &Columns::of(associations);
    name_types(transaction, names, false).await?;
    execute(transaction, sql!("insert_associations"), &[&namespace, names, prefixes, targets]).await?;
    Ok(())
}

/// Adds those that are missing; with `renew`, those that differ take the given values. Tells how many rows changed.
pub(super) async fn load(
    transaction: &Transaction<'_>,
    namespace: i64,
    associations: &[AssociationFields],
    renew: bool,
) -> Attempt<u64> {
    if associations.is_empty() {
        return Ok(0);
    }
    let Columns { names, prefixes, targets } = &Columns::of(associations);
    name_types(transaction, names, true).await?;
    let values: Values<'_> = &[&namespace, names, prefixes, targets, &renew];
    execute(transaction, sql!("load_associations"), values).await
}
