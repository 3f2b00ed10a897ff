//! Lists: one statement per query, a `UNION ALL` of the query's branches, each with its own index walk, keyset
//! condition and limit.
//!
//! A branch is split further until an index holds it in one piece: by visibility where no project narrows it, and
//! into present and deleted rows where both are wanted. Each piece reads at most a page in the order of the list,
//! and the pieces are merged and cut again. Enumerations stand in the text as literals and the statement is planned
//! for its values: a generic plan could use neither partial statistics nor the right index.

use std::fmt::Write as _;

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::domain::image::{Image, Visibility};
use crate::domain::query::{
    Branch, Comparison, Filter, ImageQuery, IntAttribute, OwnerIs, SortDirection, SortKey, TextAttribute,
    TimeAttribute,
};

use super::retry::REPEATABLE;
use super::row::{self, sql};
use super::{Catalog, Result};

impl Catalog {
    /// One page of images in the order of the query. An unknown marker yields an empty page; flows check it first.
    pub async fn list_images(&self, query: &ImageQuery) -> Result<Vec<Image>> {
        let Some(statement) = self.list_statement(query).await? else { return Ok(Vec::new()) };
        let values = statement.values();
        let list = || async { Ok(self.connection().await?.query_typed(&statement.text, &values).await?) };
        row::images(&self.run(REPEATABLE, list).await?)
    }

    /// How the database answers the list: the plan with the rows it really read, as `EXPLAIN` gives it in JSON.
    /// None: the list is known to be empty. For tests.
    #[cfg(feature = "dev")]
    pub async fn explain_list(&self, query: &ImageQuery) -> Result<Option<serde_json::Value>> {
        let Some(statement) = self.list_statement(query).await? else { return Ok(None) };
        let values = statement.values();
        let text = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)\n{}", statement.text);
        let explain = || async {
            let rows = self.connection().await?.query_typed(&text, &values).await?;
            Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
        };
        self.run(REPEATABLE, explain).await
    }

    /// The statement of a list, or none where it is known to be empty. Looks up the marker.
    async fn list_statement(&self, query: &ImageQuery) -> Result<Option<Statement>> {
        let marker = match query.marker {
            None => None,
            Some(id) => match self.row(sql!(select "image" "image_by_id"), &[&id.0]).await? {
                None => return Ok(None),
                Some(found) => Some(row::image(&found)?),
            },
        };
        Ok(statement(query, marker.as_ref()))
    }
}

/// A statement with the values of its placeholders.
struct Statement {
    text: String,
    values: Vec<Value>,
}

impl Statement {
    fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(Value::typed).collect()
    }

    /// Adds a value and gives its placeholder.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

enum Value {
    Text(String),
    Texts(Vec<String>),
    Int(i64),
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
    let mut statement = Statement { text: String::new(), values: Vec::new() };
    let filters = filters(&query.filters, &mut statement)?;
    let orders = orders(query, marker, &mut statement);
    let mut pieces = Vec::new();
    for branch in &query.branches {
        let Some(scope) = scope(branch, &mut statement) else { continue };
        let walk = if scope.members.is_some() { member_orders(&orders) } else { orders.clone() };
        let keyset = keyset(&walk);
        let members = scope.members.as_deref().unwrap_or_default();
        for visibility in slices(branch) {
            for deleted in deletions(query, branch) {
                let conditions: Vec<&str> = [members, *deleted, &visibility, &scope.owner, &filters, &keyset]
                    .into_iter()
                    .filter(|condition| !condition.is_empty())
                    .collect();
                let from = source(scope.members.is_some());
                pieces.push(piece(&walk, &from, &conditions.join("\n  AND "), query.limit));
            }
        }
    }
    statement.text = match pieces.as_slice() {
        [] => return None,
        [only] => only.clone(),
        many => {
            let names = orders.iter().enumerate().map(|(n, o)| format!("sort_{n} {}", word(o.direction)));
            let names = names.collect::<Vec<_>>().join(", ");
            format!("({})\nORDER BY {names}\nLIMIT {}", many.join(")\nUNION ALL\n("), query.limit)
        }
    };
    Some(statement)
}

/// The part of the list that one walk of an index gives.
fn piece(orders: &[Order], from: &str, conditions: &str, limit: u32) -> String {
    let mut sorted = String::new();
    for (n, order) in orders.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(sorted, ", {} AS sort_{n}", order.shown);
    }
    let by: Vec<String> = orders.iter().map(|o| format!("{} {}", o.expression, word(o.direction))).collect();
    let columns = include_str!("sql/image_columns.sql").trim_end();
    let by = by.join(", ");
    format!("SELECT\n{columns}{sorted}\nFROM {from}\nWHERE {conditions}\nORDER BY {by}\nLIMIT {limit}")
}

/// The images; with `members`, each membership with its image.
///
/// Memberships always come first, and each finds its image by the key alone: the work is bounded by what is shared
/// with one project, and by the page where the memberships come in the order of the list. Left to choose, the
/// planner walks the images of all projects where it takes the rows after a marker for few, as it does for keys
/// with few values; `OFFSET 0` keeps it from that.
fn source(members: bool) -> String {
    if members {
        format!(
            "image_members\nCROSS JOIN LATERAL (SELECT\n{RAW_COLUMNS}, images.deleted\n\
             FROM images WHERE images.id = image_members.image_id OFFSET 0) AS images"
        )
    } else {
        "images".to_owned()
    }
}

/// What a piece reads of an image.
const RAW_COLUMNS: &str = include_str!("sql/image_raw_columns.sql").trim_ascii_end();

fn word(direction: SortDirection) -> &'static str {
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

/// Text that a column can hold: PostgreSQL has no NUL character, so nothing equals a text with one.
fn storable(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| text.to_owned())
}

/// All filters as one condition; none where one of them matches nothing.
fn filters(filters: &[Filter], statement: &mut Statement) -> Option<String> {
    let conditions: Option<Vec<String>> = filters.iter().map(|f| filter(f, statement)).collect();
    Some(conditions?.join("\n  AND "))
}

fn filter(filter: &Filter, statement: &mut Statement) -> Option<String> {
    Some(match filter {
        Filter::Text(attribute, texts) => text_filter(*attribute, texts, statement)?,
        Filter::Int(attribute, comparison, number) => {
            let (expression, null) = int_expression(*attribute);
            let condition = compare(expression, *comparison, &statement.bind(Value::Int(*number)));
            format!("{condition}{null}")
        }
        Filter::Time(attribute, comparison, instant) => {
            compare(time_column(*attribute), *comparison, &statement.bind(Value::Time(*instant)))
        }
        Filter::TimeOutside(attribute, from, until) => {
            let column = time_column(*attribute);
            let (from, until) = (statement.bind(Value::Time(*from)), statement.bind(Value::Time(*until)));
            format!("({column} < {from} OR {column} >= {until})")
        }
        Filter::Status(list) if list.is_empty() => return None,
        Filter::Status(list) => one_of("images.status", "image_status", list.iter().map(|s| s.as_str())),
        Filter::StatusNot(list) if list.is_empty() => "true".to_owned(),
        Filter::StatusNot(list) => {
            format!("NOT {}", one_of("images.status", "image_status", list.iter().map(|s| s.as_str())))
        }
        Filter::Visibility(list) if list.is_empty() => return None,
        Filter::Visibility(list) => {
            one_of("images.visibility", "image_visibility", list.iter().map(|v| v.as_str()))
        }
        Filter::Protected(true) => "images.protected".to_owned(),
        Filter::Protected(false) => "NOT images.protected".to_owned(),
        Filter::Hidden(true) => "images.os_hidden".to_owned(),
        Filter::Hidden(false) => "NOT images.os_hidden".to_owned(),
        Filter::Property(name, value) => {
            let pair = json!({ storable(name)?: storable(value)? });
            format!("images.properties @> {}", statement.bind(Value::Json(pair)))
        }
        Filter::EmptyProperty(name) => {
            let mut pair = |value| statement.bind(Value::Json(value));
            let name = storable(name)?;
            let (empty, null) = (pair(json!({ &name: "" })), pair(json!({ &name: null })));
            format!("(images.properties @> {empty} OR images.properties @> {null})")
        }
        Filter::Tag(tag) => {
            format!("images.tags @> {}", statement.bind(Value::Texts(vec![storable(tag)?])))
        }
        Filter::Id(ids) => {
            let ids = ids.iter().map(|id| id.0).collect();
            format!("images.id = ANY ({})", statement.bind(Value::Ids(ids)))
        }
        Filter::Nothing => return None,
    })
}

fn text_filter(attribute: TextAttribute, texts: &[String], statement: &mut Statement) -> Option<String> {
    // Written like the indexed expression; a null is told from an empty text by the second half.
    let (expression, null) = match attribute {
        TextAttribute::Name => ("coalesce(images.name, '')", " AND images.name IS NOT NULL"),
        TextAttribute::DiskFormat => {
            ("coalesce(images.disk_format, '')", " AND images.disk_format IS NOT NULL")
        }
        TextAttribute::ContainerFormat => {
            ("coalesce(images.container_format, '')", " AND images.container_format IS NOT NULL")
        }
        TextAttribute::Owner => ("images.owner", ""),
        TextAttribute::Checksum => ("images.checksum", ""),
        TextAttribute::OsHashAlgo => ("images.os_hash_algo", ""),
        TextAttribute::OsHashValue => ("images.os_hash_value", ""),
    };
    let mut texts: Vec<String> = texts.iter().filter_map(|text| storable(text)).collect();
    let condition = match texts.len() {
        0 => return None,
        1 => format!("= {}", statement.bind(Value::Text(texts.remove(0)))),
        _ => format!("= ANY ({})", statement.bind(Value::Texts(texts))),
    };
    Some(format!("{expression} {condition}{null}"))
}

fn int_expression(attribute: IntAttribute) -> (&'static str, &'static str) {
    match attribute {
        IntAttribute::Size => ("coalesce(images.size, 0)", " AND images.size IS NOT NULL"),
        IntAttribute::VirtualSize => ("images.virtual_size", ""),
        IntAttribute::MinRam => ("images.min_ram", ""),
        IntAttribute::MinDisk => ("images.min_disk", ""),
    }
}

fn time_column(attribute: TimeAttribute) -> &'static str {
    match attribute {
        TimeAttribute::CreatedAt => "images.created_at",
        TimeAttribute::UpdatedAt => "images.updated_at",
    }
}

fn compare(expression: &str, comparison: Comparison, value: &str) -> String {
    let operator = match comparison {
        Comparison::Eq => "=",
        Comparison::Ne => "<>",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
    };
    format!("{expression} {operator} {value}")
}

/// A column of an enumeration against literals. The words are ours, so they need no escaping.
fn one_of<'a>(column: &str, type_name: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("'{word}'::{type_name}")).collect();
    match words.as_slice() {
        [only] => format!("({column} = {only})"),
        _ => format!("({column} IN ({}))", words.join(", ")),
    }
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
    orders.iter().zip(expressions).map(|(order, &expression)| Order { expression, ..order.clone() }).collect()
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

fn after(direction: SortDirection) -> &'static str {
    match direction {
        SortDirection::Ascending => ">",
        SortDirection::Descending => "<",
    }
}
