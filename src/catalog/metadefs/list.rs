//! Lists of namespaces, by keyset like lists of images (see [`crate::catalog::list`]): of public and other namespaces
//! apart, each with its own index walk and limit, merged and cut again.
//!
//! A page in the order of creation, of names, or of changes reads the rows of that page. The other orders sort what the
//! caller sees, of which no more than a page is ever kept.

use crate::catalog::list::{Statement, Value, after, word};
use crate::catalog::{Catalog, Result};
use crate::domain::metadef::{
    Association, Namespace, NamespaceQuery, NamespaceScope, NamespaceSortKey, Visibility,
};
use crate::domain::query::SortDirection;
use time::OffsetDateTime;

use super::row::{self, sql};

const COLUMNS: &str = include_str!("../sql/metadefs/namespace_columns.sql").trim_ascii_end();
const PUBLIC: &str = "metadef_namespaces.visibility = 'public'";
const OTHER: &str = "metadef_namespaces.visibility IS DISTINCT FROM 'public'";

impl Catalog {
    /// One page of namespaces, each with its associations. None: there is no such marker among those of the scope.
    pub async fn namespaces(
        &self,
        query: &NamespaceQuery,
    ) -> Result<Option<Vec<(Namespace, Vec<Association>)>>> {
        let Some(statement) = self.namespaces_statement(query).await? else { return Ok(None) };
        let Some(statement) = statement else { return Ok(Some(Vec::new())) };
        let namespaces = row::all(&self.list_rows(&statement).await?, row::namespace)?;
        // of those that are deleted meanwhile nothing is found, which is no mistake (MD-104)
        let ids: Vec<i64> = namespaces.iter().map(|namespace| namespace.id).collect();
        let found = self.rows(sql!(select "association" "associations"), &[&ids]).await?;
        let mut page: Vec<_> = namespaces.into_iter().map(|namespace| (namespace, Vec::new())).collect();
        let places: std::collections::HashMap<i64, usize> =
            page.iter().enumerate().map(|(place, (namespace, _))| (namespace.id, place)).collect();
        for association in &found {
            let place = places.get(&row::namespace_id(association)?).and_then(|place| page.get_mut(*place));
            if let Some((_, associations)) = place {
                associations.push(row::association(association)?);
            }
        }
        Ok(Some(page))
    }

    /// How the database answers a list; see [`Catalog::explain_list`]. For tests.
    #[cfg(feature = "dev")]
    pub async fn explain_namespaces(&self, query: &NamespaceQuery) -> Result<Option<serde_json::Value>> {
        match self.namespaces_statement(query).await?.flatten() {
            Some(statement) => self.explain(&statement).await,
            None => Ok(None),
        }
    }

    /// The statement of a list; none inside where nothing can match. None: there is no such marker.
    async fn namespaces_statement(&self, query: &NamespaceQuery) -> Result<Option<Option<Statement>>> {
        let marker = match &query.marker {
            None => None,
            Some(name) => match self.namespace(name).await? {
                Some(found) if is_in_scope(&found, &query.scope) => Some(found),
                _ => return Ok(None),
            },
        };
        if query.limit == 0 {
            return Ok(Some(None));
        }
        let types = if query.resource_types.is_empty() {
            None
        } else {
            // looked up first, so that the planner knows how common they are
            let names: Vec<&String> =
                query.resource_types.iter().filter(|name| !name.contains('\0')).collect();
            let found = self.rows(sql!("resource_type_ids"), &[&names]).await?;
            if found.is_empty() {
                return Ok(Some(None));
            }
            Some(row::all(&found, row::id)?)
        };
        Ok(Some(statement(query, marker.as_ref(), types)))
    }
}

/// As [`Namespace::is_visible`].
fn is_in_scope(namespace: &Namespace, scope: &NamespaceScope) -> bool {
    match scope {
        NamespaceScope::All => true,
        NamespaceScope::Project(project) => {
            namespace.fields.visibility == Some(Visibility::Public)
                || project.as_ref() == Some(&namespace.fields.owner)
        }
    }
}

fn statement(
    query: &NamespaceQuery,
    marker: Option<&Namespace>,
    types: Option<Vec<i64>>,
) -> Option<Statement> {
    let mut statement = Statement::default();
    let keys = keys(query.sort);
    let after: Option<Vec<String>> =
        marker.map(|marker| keys.iter().map(|key| marker_value(*key, marker, &mut statement)).collect());
    let associated = types.map_or(String::new(), |types| {
        let types = statement.bind(Value::Ints(types));
        format!(
            "\n  AND EXISTS (SELECT 1 FROM metadef_namespace_resource_types AS associations\n    \
             WHERE associations.namespace_id = metadef_namespaces.id AND associations.resource_type_id = ANY ({types}))"
        )
    });
    let mut pieces = Vec::new();
    if query.visibility != Some(Visibility::Private) {
        let keyset = keyset(&keys, after.as_deref(), query.direction, None);
        pieces.push(piece(query, &keys, &format!("{PUBLIC}{keyset}{associated}")));
    }
    if query.visibility != Some(Visibility::Public) {
        let owner = match &query.scope {
            NamespaceScope::All => Some(None),
            // callers without a project own nothing, and nobody has a name with NUL
            NamespaceScope::Project(project) => {
                project.as_ref().filter(|name| !name.contains('\0')).map(|name| Some(name.clone()))
            }
        };
        if let Some(owner) = owner {
            let owner = owner.map(|owner| statement.bind(Value::Text(owner)));
            let keyset = keyset(&keys, after.as_deref(), query.direction, owner.as_deref());
            pieces.push(piece(query, &keys, &format!("{OTHER}{keyset}{associated}")));
        }
    }
    statement.text = match pieces.as_slice() {
        [] => return None,
        [only] => only.clone(),
        many => merged(query, keys.len(), many),
    };
    Some(statement)
}

/// Where the page begins, and whose rows are in it. With the owner in it the comparison is a range of one index; without,
/// the planner may walk everybody's namespaces.
fn keyset(
    keys: &[NamespaceSortKey],
    marker: Option<&[String]>,
    direction: SortDirection,
    owner: Option<&str>,
) -> String {
    let owned = owner.map_or(String::new(), |owner| format!("\n  AND metadef_namespaces.owner = {owner}"));
    let Some(marker) = marker else { return owned };
    let expressions: Vec<&str> = owner
        .iter()
        .map(|_| "metadef_namespaces.owner")
        .chain(keys.iter().map(|key| expression(*key)))
        .collect();
    let values: Vec<&str> = owner.into_iter().chain(marker.iter().map(String::as_str)).collect();
    format!("{owned}\n  AND ({}) {} ({})", expressions.join(", "), after(direction), values.join(", "))
}

/// The part of the list that one walk of an index gives.
fn piece(query: &NamespaceQuery, keys: &[NamespaceSortKey], conditions: &str) -> String {
    let sorted: Vec<String> =
        keys.iter().enumerate().map(|(n, key)| format!("{} AS sort_{n}", expression(*key))).collect();
    let by: Vec<String> =
        keys.iter().map(|key| format!("{} {}", expression(*key), word(query.direction))).collect();
    format!(
        "SELECT\n{COLUMNS}, {}\nFROM metadef_namespaces\nWHERE {conditions}\nORDER BY {}\nLIMIT {}",
        sorted.join(", "),
        by.join(", "),
        query.limit
    )
}

/// The first namespaces of all pieces together.
fn merged(query: &NamespaceQuery, keys: usize, pieces: &[String]) -> String {
    let by: Vec<String> = (0..keys).map(|n| format!("sort_{n} {}", word(query.direction))).collect();
    format!(
        "SELECT\n{COLUMNS}\nFROM (\n({})\n) AS metadef_namespaces\nORDER BY {}\nLIMIT {}",
        pieces.join(")\nUNION ALL\n("),
        by.join(", "),
        query.limit
    )
}

/// The sort key with what makes the order unambiguous. What follows a unique one cannot matter.
fn keys(sort: NamespaceSortKey) -> Vec<NamespaceSortKey> {
    use NamespaceSortKey::{CreatedAt, Id, Namespace};
    match sort {
        Id | Namespace => vec![sort],
        CreatedAt => vec![CreatedAt, Id],
        other => vec![other, CreatedAt, Id],
    }
}

/// What is unset sorts as the value it counts as, and else before all values.
fn expression(key: NamespaceSortKey) -> &'static str {
    match key {
        NamespaceSortKey::Id => "metadef_namespaces.id",
        NamespaceSortKey::Namespace => "metadef_namespaces.namespace",
        NamespaceSortKey::DisplayName => "coalesce(metadef_namespaces.display_name, '')",
        NamespaceSortKey::Description => "coalesce(metadef_namespaces.description, '')",
        NamespaceSortKey::Visibility => "coalesce(metadef_namespaces.visibility, 'private')",
        NamespaceSortKey::Protected => "coalesce(metadef_namespaces.protected, false)",
        NamespaceSortKey::Owner => "metadef_namespaces.owner",
        NamespaceSortKey::CreatedAt => "metadef_namespaces.created_at",
        NamespaceSortKey::UpdatedAt => "coalesce(metadef_namespaces.updated_at, '-infinity')",
    }
}

fn marker_value(key: NamespaceSortKey, marker: &Namespace, statement: &mut Statement) -> String {
    let fields = &marker.fields;
    let text = |text: &Option<String>| Value::Text(text.clone().unwrap_or_default());
    let value = match key {
        NamespaceSortKey::Id => Value::Int(marker.id),
        NamespaceSortKey::Namespace => Value::Text(fields.namespace.clone()),
        NamespaceSortKey::DisplayName => text(&fields.display_name),
        NamespaceSortKey::Description => text(&fields.description),
        NamespaceSortKey::Visibility => {
            Value::Text(fields.visibility.unwrap_or(Visibility::Private).as_str().to_owned())
        }
        NamespaceSortKey::Protected => return marker.is_protected().to_string(),
        NamespaceSortKey::Owner => Value::Text(fields.owner.clone()),
        NamespaceSortKey::CreatedAt => Value::Time(marker.created_at),
        NamespaceSortKey::UpdatedAt => return time_or_never(marker.updated_at, statement),
    };
    statement.bind(value)
}

/// An instant, or what is before all of them.
pub(super) fn time_or_never(instant: Option<OffsetDateTime>, statement: &mut Statement) -> String {
    match instant {
        Some(instant) => statement.bind(Value::Time(instant)),
        None => "'-infinity'::timestamptz".to_owned(),
    }
}
