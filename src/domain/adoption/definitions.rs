//! A namespace of metadata definitions of Glance, judged by its rows as a file of definitions is (metadefs.md §13).

use serde_json::{Map, Value, json};

use super::record::Row;
use crate::domain::metadef::{Definitions, document};

/// A namespace: its row, and the rows that belong to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Of `metadef_namespaces`.
    pub namespace: Row,
    /// Of `metadef_objects`.
    pub objects: Vec<Row>,
    /// Of `metadef_properties`.
    pub properties: Vec<Row>,
    /// Of `metadef_tags`.
    pub tags: Vec<Row>,
    /// Of `metadef_namespace_resource_types`, with the name of the type.
    pub associations: Vec<Row>,
    /// Whether there were more rows of a table than are read.
    pub overfull: bool,
}

impl NamespaceRecord {
    /// Its name.
    pub fn name(&self) -> &str {
        self.namespace.text("namespace").unwrap_or_default()
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why it has to be left out.
    pub fn judge(&self) -> Result<Definitions, String> {
        if self.overfull {
            return Err(
                "it has more objects, properties, tags or resource types than can be taken over".to_owned()
            );
        }
        let document = self.document()?;
        document::of_file(&document).map_err(|misfit| match misfit.pointer.as_str() {
            "" => misfit.reason,
            pointer => format!("{} at {pointer}", misfit.reason),
        })
    }

    fn document(&self) -> Result<Value, String> {
        let row = &self.namespace;
        let mut document = texts(row, &["namespace", "display_name", "description", "visibility", "owner"]);
        if row.text("protected").is_some() {
            document.insert("protected".to_owned(), row.flag("protected")?.into());
        }
        let properties = self
            .properties
            .iter()
            .map(|row| Ok((row.text("name").unwrap_or_default().to_owned(), schema(row)?)));
        document.insert("properties".to_owned(), Value::Object(properties.collect::<Result<_, String>>()?));
        let objects = self.objects.iter().map(object).collect::<Result<Vec<_>, _>>()?;
        document.insert("objects".to_owned(), objects.into());
        let tags: Vec<Value> = self.tags.iter().map(|row| json!({ "name": row.text("name") })).collect();
        document.insert("tags".to_owned(), tags.into());
        let associations = self.associations.iter();
        let associations: Vec<Value> =
            associations.map(|row| texts(row, &["name", "prefix", "properties_target"]).into()).collect();
        document.insert("resource_type_associations".to_owned(), associations.into());
        Ok(Value::Object(document))
    }
}

/// The columns that have a value.
fn texts(row: &Row, columns: &[&str]) -> Map<String, Value> {
    let given = columns.iter().filter_map(|column| Some(((*column).to_owned(), row.text(column)?.into())));
    given.collect()
}

fn schema(row: &Row) -> Result<Value, String> {
    let name = row.text("name").unwrap_or_default();
    let text = row.text("json_schema").unwrap_or("{}");
    serde_json::from_str(text).map_err(|_| format!("the schema of `{name}` is no JSON"))
}

fn object(row: &Row) -> Result<Value, String> {
    let mut object = texts(row, &["name", "description"]);
    let required = row.text("required").unwrap_or_default();
    let required = required.split(',').map(str::trim).filter(|name| !name.is_empty());
    object.insert("required".to_owned(), required.collect());
    object.insert("properties".to_owned(), schema(row)?);
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::metadef::Visibility;

    fn row(columns: &'static [&'static str], values: &[&str]) -> Row {
        Row::new(columns, values.iter().map(|value| Some((*value).to_owned())).collect())
    }

    fn record() -> NamespaceRecord {
        let schema = r#"{"title": "Cores", "type": "integer", "default": 1}"#;
        NamespaceRecord {
            namespace: row(
                &["namespace", "owner", "protected", "visibility"],
                &["ns", "alpha", "1", "public"],
            ),
            objects: vec![row(
                &["name", "required", "json_schema"],
                &["cpu", "cores, kind", &format!("{{\"cores\": {schema}}}")],
            )],
            properties: vec![row(&["name", "json_schema"], &["cores", schema])],
            tags: vec![row(&["name"], &["fast"])],
            associations: vec![row(&["name", "prefix"], &["OS::Glance::Image", "hw_"])],
            overfull: false,
        }
    }

    #[test]
    fn a_namespace_keeps_what_it_has() {
        let definitions = record().judge().unwrap();
        let fields = &definitions.namespace;
        assert_eq!((fields.namespace.as_str(), fields.owner.as_str()), ("ns", "alpha"));
        assert_eq!(
            (fields.protected, fields.visibility.map(Visibility::as_str)),
            (Some(true), Some("public"))
        );
        assert_eq!(definitions.objects[0].required, ["cores", "kind"]);
        assert_eq!(definitions.objects[0].properties["cores"]["default"], json!("1"));
        assert_eq!(definitions.properties[0].name, "cores");
        assert_eq!(definitions.tags, ["fast"]);
        assert_eq!(definitions.associations[0].prefix.as_deref(), Some("hw_"));
    }

    #[test]
    fn what_does_not_fit_is_left_out_with_the_reason() {
        let broken = |schema| NamespaceRecord {
            properties: vec![row(&["name", "json_schema"], &["cores", schema])],
            ..record()
        };
        assert!(broken("{").judge().unwrap_err().contains("no JSON"));
        assert!(broken(r#"{"type": "odd"}"#).judge().unwrap_err().contains("/properties/cores"));
        assert!(NamespaceRecord { overfull: true, ..record() }.judge().is_err());
    }
}
