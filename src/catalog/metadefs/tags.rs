//! Tags of a namespace.

use deadpool_postgres::Transaction;

use crate::catalog::list::{Statement, Value, after, word};
use crate::catalog::retry::{Attempt, ONCE};
use crate::catalog::{Catalog, Result, Values, commit, execute};
use crate::domain::metadef::{Tag, TagQuery, TagSortKey};

use super::Changed;
use super::lock::lock;
use super::row::{self, sql};

impl Catalog {
    /// One page of the tags of a namespace. None: there is no such marker among them.
    pub async fn tags(&self, namespace: i64, query: &TagQuery) -> Result<Option<Vec<Tag>>> {
        let Some(statement) = self.tags_statement(namespace, query).await? else { return Ok(None) };
        if query.limit == Some(0) {
            return Ok(Some(Vec::new()));
        }
        row::all(&self.list_rows(&statement).await?, row::tag).map(Some)
    }

    /// How the database answers a list; see [`Catalog::explain_list`]. For tests.
    #[cfg(feature = "dev")]
    pub async fn explain_tags(&self, namespace: i64, query: &TagQuery) -> Result<Option<serde_json::Value>> {
        match self.tags_statement(namespace, query).await? {
            Some(statement) => self.explain(&statement).await,
            None => Ok(None),
        }
    }

    /// The statement of a list. None: there is no such marker.
    async fn tags_statement(&self, namespace: i64, query: &TagQuery) -> Result<Option<Statement>> {
        let marker = match &query.marker {
            None => None,
            Some(name) => {
                let found = self.row_in_namespace(namespace, name, sql!(select "tag" "tag")).await?;
                let Some(found) = found else { return Ok(None) };
                Some((row::id(&found)?, row::tag(&found)?))
            }
        };
        Ok(Some(statement(namespace, query, marker.as_ref())))
    }

    /// One tag.
    pub async fn tag(&self, namespace: i64, name: &str) -> Result<Option<Tag>> {
        let found = self.row_in_namespace(namespace, name, sql!(select "tag" "tag")).await?;
        found.as_ref().map(row::tag).transpose()
    }

    /// Adds a tag; never `NotFound` or `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the name is taken.
    pub async fn create_tag(&self, namespace: i64, name: &str) -> Result<Changed<Tag>> {
        let statement = sql!("insert_tags" returning "tag");
        let values: Values<'_> = &[&namespace, &vec![name]];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::tag)
    }

    /// Adds tags, or replaces all there are by them unless `append`; never `NotFound` or `Protected` (§8). Without names
    /// nothing happens.
    ///
    /// # Errors
    /// `Duplicate` when a name is there twice, or taken by a tag that stays; nothing changed.
    pub async fn create_tags(&self, namespace: i64, names: &[String], append: bool) -> Result<Changed<()>> {
        let create = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if lock(&transaction, namespace).await?.is_none() {
                return Ok(Changed::NoNamespace);
            }
            if !append && !names.is_empty() {
                execute(&transaction, sql!("delete_tags"), &[&namespace]).await?;
            }
            insert(&transaction, namespace, names).await?;
            commit(transaction).await?;
            Ok(Changed::Done(()))
        };
        self.run(ONCE, create).await
    }

    /// Renames a tag; never `Protected`.
    ///
    /// # Errors
    /// `Duplicate` when the new name is taken.
    pub async fn rename_tag(&self, namespace: i64, name: &str, new: &str) -> Result<Changed<Tag>> {
        let statement = sql!("rename_tag" returning "tag");
        let values: Values<'_> = &[&namespace, &name, &new];
        self.change_in_namespace(namespace, statement, values).await?.try_map(row::tag)
    }

    /// Deletes a tag. A missing tag of a protected namespace is `NotFound`.
    pub async fn delete_tag(&self, namespace: i64, name: &str) -> Result<Changed<()>> {
        self.delete_in_namespace(namespace, name, sql!("delete_tag")).await
    }

    /// Deletes all tags; never `NotFound`.
    pub async fn delete_tags(&self, namespace: i64) -> Result<Changed<()>> {
        self.empty_namespace(namespace, "tags", sql!("delete_tags")).await
    }
}

/// The tags of one namespace, in the order of an index.
fn statement(namespace: i64, query: &TagQuery, marker: Option<&(i64, Tag)>) -> Statement {
    let mut statement = Statement::default();
    let namespace = statement.bind(Value::Int(namespace));
    let mut conditions = vec![format!("metadef_tags.namespace_id = {namespace}")];
    let keys: &[&str] = match query.sort {
        // unique in the namespace
        TagSortKey::Name => &["metadef_tags.name"],
        TagSortKey::CreatedAt => &["metadef_tags.created_at", "metadef_tags.id"],
        TagSortKey::UpdatedAt => &[UPDATED_AT, "metadef_tags.created_at", "metadef_tags.id"],
    };
    if let Some((id, tag)) = marker {
        let mut values = match query.sort {
            TagSortKey::Name => vec![statement.bind(Value::Text(tag.name.clone()))],
            TagSortKey::CreatedAt => vec![],
            TagSortKey::UpdatedAt => vec![super::list::time_or_never(tag.updated_at, &mut statement)],
        };
        if query.sort != TagSortKey::Name {
            values.push(statement.bind(Value::Time(tag.created_at)));
            values.push(statement.bind(Value::Int(*id)));
        }
        let operator = after(query.direction);
        // with the namespace in it the comparison is a range of one index
        let (keys, values) = (keys.join(", "), values.join(", "));
        conditions.push(format!("(metadef_tags.namespace_id, {keys}) {operator} ({namespace}, {values})"));
    }
    let by: Vec<String> = keys.iter().map(|key| format!("{key} {}", word(query.direction))).collect();
    let limit = query.limit.map_or(String::new(), |limit| format!("\nLIMIT {limit}"));
    statement.text = format!(
        "SELECT\n{}FROM metadef_tags\nWHERE {}\nORDER BY {}{limit}",
        include_str!("../sql/metadefs/tag_columns.sql"),
        conditions.join("\n  AND "),
        by.join(", "),
    );
    statement
}

/// What was never changed comes before all that was.
const UPDATED_AT: &str = "coalesce(metadef_tags.updated_at, '-infinity'::timestamptz)";

/// Adds tags.
pub(super) async fn insert(transaction: &Transaction<'_>, namespace: i64, names: &[String]) -> Attempt<()> {
    if names.is_empty() {
        return Ok(());
    }
    execute(transaction, sql!("insert_tags"), &[&namespace, &names]).await?;
    Ok(())
}

/// Adds those that are missing; tells how many.
pub(super) async fn load(transaction: &Transaction<'_>, namespace: i64, names: &[String]) -> Attempt<u64> {
    if names.is_empty() {
        return Ok(0);
    }
    execute(transaction, sql!("load_tags"), &[&namespace, &names]).await
}
