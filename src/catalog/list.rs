//! Lists: one statement per query, a `UNION ALL` of the query's branches, each with its own index walk, keyset
//! condition and limit.
//!
//! A branch is split further until an index holds it in one piece: by visibility where no project narrows it, and
//! into present and deleted rows where both are wanted. Each piece reads at most a page in the order of the list,
//! and the pieces are merged and cut again. Enumerations stand in the text as literals and the statement is planned
//! for its values: a generic plan could use neither partial statistics nor the right index.
//!
//! The lists that clients ask for most, short pages without a filter and in the order of creation, are the exception:
//! their pieces have but one sensible walk whatever the values, and planning takes three times as long as the walk.
//! They are prepared, and one plan serves all values.

mod filters;

#[cfg(feature = "dev")]
mod explain;

use std::fmt::Write as _;

use deadpool_postgres::ClientWrapper;
use futures_util::future::join3;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::domain::image::{Image, Status, Visibility};
use crate::domain::query::{Branch, Filter, ImageQuery, OwnerIs, SortDirection, SortKey};

use super::retry::{Attempt, REPEATABLE};
use super::row::{self, sql};
use super::table::table;
use super::{Catalog, Result, verb};
use filters::{filters, one_of, storable};

/// Longest page that is prepared. Planning is little of what a longer one takes.
const PREPARED_PAGE: u32 = 100;
/// Makes the plan of a prepared statement one for all values, at once: left to itself the server plans the first five
/// executions for their values, and every one where it takes those plans for cheaper.
const ONE_PLAN: &str = "BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan";

impl Catalog {
    /// One page of images in the order of the query. An unknown marker yields an empty page; flows check it first.
    pub async fn list_images(&self, query: &ImageQuery) -> Result<Vec<Image>> {
        match self.marker(query).await? {
            Some(marker) => self.list_images_after(query, marker.as_ref()).await,
            None => Ok(Vec::new()),
        }
    }

    /// As [`Catalog::list_images`], with the record of the query's marker, which the flow has read to check it.
    pub async fn list_images_after(&self, query: &ImageQuery, marker: Option<&Image>) -> Result<Vec<Image>> {
        let Some(statement) = statement(query, marker) else { return Ok(Vec::new()) };
        row::images(&self.list_rows(&statement).await?)
    }

    /// The rows of a list.
    pub(super) async fn list_rows(&self, statement: &Statement) -> Result<Vec<Row>> {
        let rows = || async { statement.rows(&*self.connection().await?).await };
        self.run_observed(verb(&statement.text), table(&statement.text), REPEATABLE, rows).await
    }

    /// The record of the query's marker, if it has one. None: there is no such image.
    async fn marker(&self, query: &ImageQuery) -> Result<Option<Option<Image>>> {
        let Some(id) = query.marker else { return Ok(Some(None)) };
        let found = self.row(sql!(select "image" "image_by_id"), &[&id.0]).await?;
        Ok(found.map(|row| row::image(&row)).transpose()?.map(Some))
    }
}

/// A statement with the values of its placeholders.
#[derive(Default)]
pub(super) struct Statement {
    pub text: String,
    values: Vec<Value>,
    /// Whether one plan serves all values.
    prepared: bool,
}

impl Statement {
    async fn rows(&self, connection: &ClientWrapper) -> Attempt<Vec<Row>> {
        let values = self.values();
        if !self.prepared {
            return Ok(connection.query_typed(&self.text, &values).await?);
        }
        let (values, types): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        let statement = connection.prepare_typed_cached(&self.text, &types).await?;
        // One round trip: all three are sent, in this order, before the first is answered. So the transaction also ends
        // where nobody waits for the rows any more.
        let (begun, rows, ended) = join3(
            connection.batch_execute(ONE_PLAN),
            connection.query(&statement, &values),
            connection.batch_execute("COMMIT"),
        )
        .await;
        begun?;
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(Value::typed).collect()
    }

    /// Adds a value and gives its placeholder.
    pub fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Int(i64),
    Ints(Vec<i64>),
    Time(OffsetDateTime),
    Id(Uuid),
    Ids(Vec<Uuid>),
    Json(serde_json::Value),
}

impl Value {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Text(v) => (v, Type::TEXT),
            Self::Texts(v) => (v, Type::TEXT_ARRAY),
            Self::Int(v) => (v, Type::INT8),
            Self::Ints(v) => (v, Type::INT8_ARRAY),
            Self::Time(v) => (v, Type::TIMESTAMPTZ),
            Self::Id(v) => (v, Type::UUID),
            Self::Ids(v) => (v, Type::UUID_ARRAY),
            Self::Json(v) => (v, Type::JSONB),
        }
    }
}

/// One sort key as the statement uses it.
#[derive(Clone)]
struct Order {
    key: SortKey,
    expression: &'static str,
    /// The expression as a column of the result, for the merge.
    shown: &'static str,
    direction: SortDirection,
    /// Its value in the marker, as text of the statement.
    marker: Option<String>,
}

/// Builds the statement of a list; none where nothing can match.
fn statement(query: &ImageQuery, marker: Option<&Image>) -> Option<Statement> {
    if query.limit == 0 || query.branches.is_empty() {
        return None;
    }
    let prepared = is_prepared(query);
    let mut statement = Statement { prepared, ..Statement::default() };
    let filters = filters(&query.filters, &mut statement)?;
    let orders = orders(query, marker, &mut statement);
    let most = if prepared { PREPARED_PAGE } else { query.limit };
    let mut pieces = Vec::new();
    for branch in &query.branches {
        let Some(scope) = scope(branch, &mut statement) else { continue };
        let walk = if scope.members.is_some() { member_orders(&orders) } else { orders.clone() };
        let keyset = keyset(&walk);
        let members = scope.members.as_deref().unwrap_or_default();
        let from = source(query, scope.members.is_some(), &walk);
        for visibility in slices(branch) {
            for deleted in deletions(query, branch) {
                let conditions: Vec<&str> = [members, *deleted, &visibility, &scope.owner, &filters, &keyset]
                    .into_iter()
                    .filter(|condition| !condition.is_empty())
                    .collect();
                pieces.push(piece(&walk, &from, &conditions.join("\n  AND "), most));
            }
        }
    }
    statement.text = match pieces.as_slice() {
        [] => return None,
        [only] if !prepared => only.clone(),
        many => {
            let limit = match prepared {
                // a value: a text for each would be a statement for each
                true => statement.bind(Value::Int(query.limit.into())),
                false => query.limit.to_string(),
            };
            merged(many, &orders, &limit)
        }
    };
    Some(statement)
}

/// Whether one plan serves the list whatever its values. What else the text depends on takes few forms, so that no
/// caller can fill the server's memory with statements.
fn is_prepared(query: &ImageQuery) -> bool {
    let common = |filter: &Filter| matches!(filter, Filter::Hidden(false)) || is_not_killed(filter);
    let by_creation = match query.sort.as_slice() {
        [] => true,
        [(SortKey::CreatedAt, direction)] => *direction == query.ties,
        _ => false,
    };
    by_creation && query.limit <= PREPARED_PAGE && query.filters.iter().all(common)
}

fn is_not_killed(filter: &Filter) -> bool {
    matches!(filter, Filter::StatusNot(list) if list.as_slice() == [Status::Killed])
}

/// The first images of all pieces together.
fn merged(pieces: &[String], orders: &[Order], limit: &str) -> String {
    let names = orders.iter().enumerate().map(|(n, o)| format!("sort_{n} {}", word(o.direction)));
    let (names, pieces) = (names.collect::<Vec<_>>().join(", "), pieces.join(")\nUNION ALL\n("));
    format!("SELECT\n{COLUMNS}\nFROM (\n({pieces})\n) AS images\nORDER BY {names}\nLIMIT {limit}")
}

/// The part of the list that one walk of an index gives.
fn piece(orders: &[Order], from: &str, conditions: &str, limit: u32) -> String {
    let mut sorted = String::new();
    for (n, order) in orders.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(sorted, ", {} AS sort_{n}", order.shown);
    }
    let by: Vec<String> = orders.iter().map(|o| format!("{} {}", o.expression, word(o.direction))).collect();
    let by = by.join(", ");
    format!("SELECT\n{COLUMNS}{sorted}\nFROM {from}\nWHERE {conditions}\nORDER BY {by}\nLIMIT {limit}")
}

/// The images; with `members`, each membership with its image.
///
/// Memberships always come first, and each finds its image by the key alone: the work is bounded by what is shared
/// with one project, and by the page where the memberships come in the order of the list. Left to choose, the
/// planner walks the images of all projects where it takes the rows after a marker for few, as it does for keys
/// with few values; `OFFSET 0` keeps it from that.
///
/// Properties and tags are the exception where memberships give the order, so that no walk of all images does: the
/// planner knows the rare ones, and finds their images sooner than each of thousands of memberships its own.
fn source(query: &ImageQuery, members: bool, walk: &[Order]) -> String {
    let by_members = walk.iter().all(|order| order.expression.starts_with("image_members."));
    let indexed = |filter: &Filter| matches!(filter, Filter::Property(..) | Filter::Tag(_));
    if !members {
        "images".to_owned()
    } else if by_members && query.filters.iter().any(indexed) {
        "image_members\nJOIN images ON images.id = image_members.image_id".to_owned()
    } else {
        format!(
            "image_members\nCROSS JOIN LATERAL (SELECT\n{RAW_COLUMNS}, images.deleted\n\
             FROM images WHERE images.id = image_members.image_id OFFSET 0) AS images"
        )
    }
}

/// What a list gives of an image.
const COLUMNS: &str = include_str!("sql/image_columns.sql").trim_ascii_end();
/// What a piece reads of an image.
const RAW_COLUMNS: &str = include_str!("sql/image_raw_columns.sql").trim_ascii_end();

pub(super) fn word(direction: SortDirection) -> &'static str {
    match direction {
        SortDirection::Ascending => "ASC",
        SortDirection::Descending => "DESC",
    }
}

/// Present rows, and deleted ones where wanted. Properties and tags of deleted rows match no filter. Memberships come
/// before their images, so they are one piece with both: of its own, a piece for the few deleted images would read
/// all of them.
fn deletions(query: &ImageQuery, branch: &Branch) -> &'static [&'static str] {
    let lost = query
        .filters
        .iter()
        .any(|filter| matches!(filter, Filter::Property(..) | Filter::EmptyProperty(_) | Filter::Tag(_)));
    match (query.include_deleted && !lost, &branch.shared_with) {
        (false, _) => &["NOT images.deleted"],
        (true, None) => &["NOT images.deleted", "images.deleted"],
        (true, Some(_)) => &[""],
    }
}

/// Conditions on the visibility, one for each piece. A project's own images and memberships are few enough to be
/// one piece whatever their visibility.
fn slices(branch: &Branch) -> Vec<String> {
    let narrow = matches!(branch.owner, OwnerIs::Project(_)) || branch.shared_with.is_some();
    match (narrow, branch.visibility.as_slice()) {
        (true, []) => vec![String::new()],
        // not in a form that an index matches: after a marker the planner would walk the images of all projects
        (true, some) => {
            let words = some.iter().map(|v| v.as_str());
            vec![format!("{} IS TRUE", one_of("images.visibility", "image_visibility", words))]
        }
        (false, []) => {
            every(&[Visibility::Public, Visibility::Community, Visibility::Shared, Visibility::Private])
        }
        (false, some) => every(some),
    }
}

fn every(visibilities: &[Visibility]) -> Vec<String> {
    visibilities.iter().map(|v| format!("images.visibility = '{}'", v.as_str())).collect()
}

/// Which images a branch is about, besides their visibility.
struct Scope {
    /// Condition on the owner, or nothing.
    owner: String,
    /// Condition on memberships, where the branch is about them.
    members: Option<String>,
}

/// The scope of a branch; none where it names a project that cannot be.
fn scope(branch: &Branch, statement: &mut Statement) -> Option<Scope> {
    let owner = match &branch.owner {
        OwnerIs::Any => String::new(),
        OwnerIs::Project(project) => {
            format!("images.owner = {}", statement.bind(Value::Text(storable(project)?)))
        }
        OwnerIs::Not(project) => {
            format!("images.owner IS DISTINCT FROM {}", statement.bind(Value::Text(storable(project)?)))
        }
        OwnerIs::Another(project) => {
            format!("images.owner <> {}", statement.bind(Value::Text(storable(project)?)))
        }
    };
    let members = match &branch.shared_with {
        None => None,
        Some((project, status)) => {
            let project = statement.bind(Value::Text(storable(project)?));
            let answer =
                status.map_or(String::new(), |s| format!(" AND image_members.status = '{}'", s.as_str()));
            Some(format!("image_members.member = {project}{answer}"))
        }
    };
    Some(Scope { owner, members })
}

/// The sort keys with the tie-breakers. What follows the id cannot matter.
fn orders(query: &ImageQuery, marker: Option<&Image>, statement: &mut Statement) -> Vec<Order> {
    let ties = [(SortKey::CreatedAt, query.ties), (SortKey::Id, query.ties)];
    let mut seen: Vec<SortKey> = Vec::new();
    let mut orders = Vec::new();
    for (key, direction) in query.sort.iter().chain(&ties) {
        if seen.contains(key) || seen.contains(&SortKey::Id) {
            continue;
        }
        seen.push(*key);
        let marker = marker.map(|image| marker_value(*key, image, statement));
        let expression = sort_expression(*key);
        // Never an enumeration: the driver would ask the server about a type it does not know in the middle of the
        // result, and wait for ever behind the rows that it has not read.
        let shown = if *key == SortKey::Status { "images.status::text COLLATE \"C\"" } else { expression };
        orders.push(Order { key: *key, expression, shown, direction: *direction, marker });
    }
    orders
}

/// The same order in columns of the memberships, where they have all of it, so that an index of theirs gives it.
fn member_orders(orders: &[Order]) -> Vec<Order> {
    let expressions: &[&'static str] = match orders {
        [Order { key: SortKey::CreatedAt, .. }, Order { key: SortKey::Id, .. }] => {
            &["image_members.image_created_at", "image_members.image_id"]
        }
        _ => return orders.to_vec(),
    };
    // shown as well: the merge sees that the piece comes in its order, and reads no more of it than it needs
    let by_member =
        |(order, &expression): (&Order, _)| Order { expression, shown: expression, ..order.clone() };
    orders.iter().zip(expressions).map(by_member).collect()
}

/// What a key sorts by; the indexes are made of the same expressions.
fn sort_expression(key: SortKey) -> &'static str {
    match key {
        SortKey::Name => "coalesce(images.name, '')",
        SortKey::Status => "images.status",
        SortKey::ContainerFormat => "coalesce(images.container_format, '')",
        SortKey::DiskFormat => "coalesce(images.disk_format, '')",
        SortKey::Size => "coalesce(images.size, 0)",
        SortKey::Id => "images.id",
        SortKey::CreatedAt => "images.created_at",
        SortKey::UpdatedAt => "images.updated_at",
    }
}

fn marker_value(key: SortKey, image: &Image, statement: &mut Statement) -> String {
    let text = |value: &Option<String>| Value::Text(value.clone().unwrap_or_default());
    let value = match key {
        SortKey::Status => return format!("'{}'::image_status", image.status.as_str()),
        SortKey::Name => text(&image.name),
        SortKey::ContainerFormat => text(&image.container_format),
        SortKey::DiskFormat => text(&image.disk_format),
        SortKey::Size => Value::Int(image.size.unwrap_or_default()),
        SortKey::Id => Value::Id(image.id.0),
        SortKey::CreatedAt => Value::Time(image.created_at),
        SortKey::UpdatedAt => Value::Time(image.updated_at),
    };
    statement.bind(value)
}

/// The condition "strictly after the marker". One direction: a row comparison, which an index answers as one range.
/// Mixed: what a row comparison means, spelled out, with a bound on the first key that an index can use.
fn keyset(orders: &[Order]) -> String {
    let Some(markers) = orders.iter().map(|o| o.marker.as_deref()).collect::<Option<Vec<_>>>() else {
        return String::new();
    };
    let Some(first) = orders.first() else { return String::new() };
    if orders.iter().all(|order| order.direction == first.direction) {
        let expressions: Vec<&str> = orders.iter().map(|order| order.expression).collect();
        let operator = after(first.direction);
        return format!("({}) {operator} ({})", expressions.join(", "), markers.join(", "));
    }
    let mut alternatives = Vec::new();
    for (n, order) in orders.iter().enumerate() {
        let mut all: Vec<String> =
            (0..n).map(|equal| format!("{} = {}", orders[equal].expression, markers[equal])).collect();
        all.push(format!("{} {} {}", order.expression, after(order.direction), markers[n]));
        alternatives.push(format!("({})", all.join(" AND ")));
    }
    let bound = format!("{} {}= {}", first.expression, after(first.direction), markers[0]);
    format!("{bound} AND ({})", alternatives.join(" OR "))
}

pub(super) fn after(direction: SortDirection) -> &'static str {
    match direction {
        SortDirection::Ascending => ">",
        SortDirection::Descending => "<",
    }
}
