//! Properties of a namespace.

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};
use tokio_postgres::types::Json;

use crate::catalog::retry::Attempt;
use crate::catalog::{Catalog, Result, Values, execute};
use crate::domain::metadef::Property;

use super::Changed;
use super::row::{self, sql};

impl Catalog {
    /// The properties of a namespace in the order of creation.
    pub async fn properties(&self, namespace: i64) -> Result<Vec<Property>> {
        row::all(&self.rows(sql!(select "property" "properties"), &[&namespace]).await?, row::property)
    }

    /// One property.
    pub async fn property(&self, namespace: i64, name: &str) -> Result<Option<Property>> {
        let found = self.row_in_namespace(namespace, name, sql!(select "property" "property")).await?;
        found.as_ref().map(row::property).transpose()
    }

    /// Adds a property; never `NotFound` or `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the name is taken.
    pub async fn create_property(&self, namespace: i64, property: &Property) -> Result<Changed<Property>> {
        let statement = sql!("insert_properties" returning "property");
        let (names, schemas) = columns(std::slice::from_ref(property));
        let values: Values<'_> = &[&namespace, &names, &schemas];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::property)
    }

    /// Replaces a property, its name included; never `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the new name is taken.
    pub async fn update_property(
        &self,
        namespace: i64,
        name: &str,
        property: &Property,
    ) -> Result<Changed<Property>> {
        let statement = sql!("update_property" returning "property");
        let schema = Json(&property.schema);
        let values: Values<'_> = &[&namespace, &name, &property.name, &schema];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::property)
    }

    /// Deletes a property. A missing property of a protected namespace is `NotFound` (§2.1 steps 11 and 12).
    pub async fn delete_property(&self, namespace: i64, name: &str) -> Result<Changed<()>> {
        self.delete_in_namespace(namespace, name, sql!("delete_property")).await
    }

    /// Deletes all properties; never `NotFound`.
    pub async fn delete_properties(&self, namespace: i64) -> Result<Changed<()>> {
        self.empty_namespace(namespace, "properties", sql!("delete_properties")).await
    }
}

type Schema<'a> = Json<&'a Map<String, Value>>;

/// Properties as arrays, one for each column.
fn columns(properties: &[Property]) -> (Vec<&str>, Vec<Schema<'_>>) {
    properties.iter().map(|property| (property.name.as_str(), Json(&property.schema))).unzip()
}

/// Adds properties.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    namespace: i64,
    properties: &[Property],
) -> Attempt<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let (names, schemas) = columns(properties);
    execute(transaction, sql!("insert_properties"), &[&namespace, &names, &schemas]).await?;
    Ok(())
}

/// Adds those that are missing; with `renew`, those that differ take the given values. Tells how many rows changed.
pub(super) async fn load(
    transaction: &Transaction<'_>,
    namespace: i64,
    properties: &[Property],
    renew: bool,
) -> Attempt<u64> {
    if properties.is_empty() {
        return Ok(0);
    }
    let (names, schemas) = columns(properties);
    execute(transaction, sql!("load_properties"), &[&namespace, &names, &schemas, &renew]).await
}
