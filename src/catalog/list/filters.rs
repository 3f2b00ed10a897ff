//! Filters of a list as one condition of its statement.

use serde_json::json;

use crate::domain::query::{Comparison, Filter, IntAttribute, TextAttribute, TimeAttribute};

use super::{Statement, Value};

/// All filters as one condition; none where one of them matches nothing.
pub(super) fn filters(filters: &[Filter], statement: &mut Statement) -> Option<String> {
    let conditions: Option<Vec<String>> = filters.iter().map(|f| filter(f, statement)).collect();
    Some(conditions?.join("\n  AND "))
}

/// Text that a column can hold: PostgreSQL has no NUL character, so nothing equals a text with one.
pub(super) fn storable(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| text.to_owned())
}

/// A column of an enumeration against literals. The words are ours, so they need no escaping.
pub(super) fn one_of<'a>(column: &str, type_name: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("'{word}'::{type_name}")).collect();
    match words.as_slice() {
        [only] => format!("({column} = {only})"),
        _ => format!("({column} IN ({}))", words.join(", ")),
    }
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
