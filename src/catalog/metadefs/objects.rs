//! Objects of a namespace.

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};
use tokio_postgres::types::Json;

use crate::catalog::retry::Attempt;
use crate::catalog::{Catalog, Result, Values, execute};
use crate::domain::metadef::{Object, ObjectFields};

use super::Changed;
use super::row::{self, sql};

impl Catalog {
    /// The objects of a namespace in the order of creation.
    pub async fn objects(&self, namespace: i64) -> Result<Vec<Object>> {
        row::all(&self.rows(sql!(select "object" "objects"), &[&namespace]).await?, row::object)
    }

    /// One object.
    pub async fn object(&self, namespace: i64, name: &str) -> Result<Option<Object>> {
        let found = self.row_in_namespace(namespace, name, sql!(select "object" "object")).await?;
        found.as_ref().map(row::object).transpose()
    }

    /// Adds an object; never `NotFound` or `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the name is taken.
    pub async fn create_object(&self, namespace: i64, fields: &ObjectFields) -> Result<Changed<Object>> {
        let statement = sql!("insert_objects" returning "object");
        let columns = Columns::of(std::slice::from_ref(fields));
        let Columns { names, descriptions, required, properties } = &columns;
        let values: Values<'_> = &[&namespace, names, descriptions, required, properties];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::object)
    }

    /// Replaces an object, its name included; never `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the new name is taken.
    pub async fn update_object(
        &self,
        namespace: i64,
        name: &str,
        fields: &ObjectFields,
    ) -> Result<Changed<Object>> {
        let statement = sql!("update_object" returning "object");
        let (required, properties) = (Json(&fields.required), Json(&fields.properties));
        let values: Values<'_> =
            &[&namespace, &name, &fields.name, &fields.description, &required, &properties];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::object)
    }

    /// Deletes an object. A missing object of a protected namespace is `NotFound` (§2.1 steps 11 and 12).
    pub async fn delete_object(&self, namespace: i64, name: &str) -> Result<Changed<()>> {
        self.delete_in_namespace(namespace, name, sql!("delete_object")).await
    }

    /// Deletes all objects; never `NotFound`.
    pub async fn delete_objects(&self, namespace: i64) -> Result<Changed<()>> {
        self.empty_namespace(namespace, "objects", sql!("delete_objects")).await
    }
}

/// Objects as arrays, one for each column.
struct Columns<'a> {
    names: Vec<&'a str>,
    descriptions: Vec<Option<&'a str>>,
    required: Vec<Json<&'a Vec<String>>>,
    properties: Vec<Json<&'a Map<String, Value>>>,
}

impl<'a> Columns<'a> {
    fn of(objects: &'a [ObjectFields]) -> Self {
        Self {
            names: objects.iter().map(|object| object.name.as_str()).collect(),
            descriptions: objects.iter().map(|object| object.description.as_deref()).collect(),
            required: objects.iter().map(|object| Json(&object.required)).collect(),
            properties: objects.iter().map(|object| Json(&object.properties)).collect(),
        }
    }
}

/// Adds objects.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    namespace: i64,
    objects: &[ObjectFields],
) -> Attempt<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let Columns { names, descriptions, required, properties } = &Columns::of(objects);
    let values: Values<'_> = &[&namespace, names, descriptions, required, properties];
    execute(transaction, sql!("insert_objects"), values).await?;
    Ok(())
}

/// Adds those that are missing; with `renew`, those that differ take the given values. Tells how many rows changed.
pub(super) async fn load(
    transaction: &Transaction<'_>,
    namespace: i64,
    objects: &[ObjectFields],
    renew: bool,
) -> Attempt<u64> {
    if objects.is_empty() {
        return Ok(0);
    }
    let Columns { names, descriptions, required, properties } = &Columns::of(objects);
    let values: Values<'_> = &[&namespace, names, descriptions, required, properties, &renew];
    execute(transaction, sql!("load_objects"), values).await
}
