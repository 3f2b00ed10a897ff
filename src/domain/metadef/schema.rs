//! JSON schemas of metadata definitions: the documents under `/v2/schemas/metadefs`, and the judge of what clients and
//! files give (metadefs.md §12).
//!
//! Attributes are data, in `schema/*.json`. Nothing depends on the configuration, so that every document is made,
//! compiled and written once.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use crate::domain::text::clip;

use super::document::Misfit;

const DEFINITIONS: &str = include_str!("schema/definitions.json");
const NAMESPACE: &str = include_str!("schema/namespace.json");
const OBJECT: &str = include_str!("schema/object.json");
const PROPERTY: &str = include_str!("schema/property.json");
const TAG: &str = include_str!("schema/tag.json");
const RESOURCE_TYPE: &str = include_str!("schema/resource_type.json");

/// Most characters of a reason: reasons quote the value, which is as long as the client likes.
const REASON: usize = 400;

/// The documents that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// One namespace.
    Namespace,
    /// A page of namespaces.
    Namespaces,
    /// One object.
    Object,
    /// The objects of a namespace.
    Objects,
    /// One property.
    Property,
    /// The properties of a namespace.
    Properties,
    /// One tag.
    Tag,
    /// The tags of a namespace.
    Tags,
    /// An association with a resource type.
    ResourceType,
    /// The associations of a namespace.
    ResourceTypes,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Namespace,
        Self::Namespaces,
        Self::Object,
        Self::Objects,
        Self::Property,
        Self::Properties,
        Self::Tag,
        Self::Tags,
        Self::ResourceType,
        Self::ResourceTypes,
    ];

    /// The document.
    pub fn value(self) -> Value {
        match self {
            Self::Namespace => Base::Namespace.document(),
            Self::Object => Base::Object.document(),
            Self::Property => Base::Property.document(),
            Self::Tag => Base::Tag.document(),
            Self::ResourceType => Base::ResourceType.document(),
            Self::Namespaces => list_of("namespaces", Base::Namespace),
            Self::Objects => list_of("objects", Base::Object),
            Self::Tags => list_of("tags", Base::Tag),
            Self::ResourceTypes => list_of("resource_type_associations", Base::ResourceType),
            Self::Properties => {
                let mut entry = Base::Property.document();
                // in a map the key is the name
                entry["required"] = json!(["type", "title"]);
                let definitions = take_definitions(&mut entry);
                let member = json!({ "type": "object", "additionalProperties": entry });
                collection("properties", &member, definitions)
            }
        }
    }

    /// The document as it is served.
    pub fn text(self) -> &'static str {
        static TEXTS: LazyLock<[String; 10]> = LazyLock::new(|| Document::ALL.map(|d| d.value().to_string()));
        &TEXTS[self as usize]
    }
}

/// The documents that describe one thing each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Namespace,
    Object,
    Property,
    Tag,
    ResourceType,
}

impl Base {
    const ALL: [Self; 5] = [Self::Namespace, Self::Object, Self::Property, Self::Tag, Self::ResourceType];

    /// Its name, in the document and in refusals.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Object => "object",
            Self::Property => "property",
            Self::Tag => "tag",
            Self::ResourceType => "resource_type_association",
        }
    }

    /// Attributes whose presence at the top is forbidden rather than wrong (§2.3).
    pub(super) fn read_only(self) -> &'static [&'static str] {
        match self {
            Self::Namespace | Self::Object => &["self", "schema", "created_at", "updated_at"],
            Self::Property | Self::Tag | Self::ResourceType => &["created_at", "updated_at"],
        }
    }

    fn document(self) -> Value {
        let (properties, required) = match self {
            Self::Namespace => (NAMESPACE, &["namespace"][..]),
            Self::Object => (OBJECT, &["name"][..]),
            Self::Property => (PROPERTY, &["type", "title", "name"][..]),
            Self::Tag => (TAG, &["name"][..]),
            Self::ResourceType => (RESOURCE_TYPE, &["name"][..]),
        };
        let mut document = json!({
            "name": self.name(),
            "properties": shipped(properties),
            "additionalProperties": false,
            "required": required,
        });
        if let Some(definitions) = self.definitions() {
            document["definitions"] = Value::Object(definitions);
        }
        document
    }

    fn definitions(self) -> Option<Map<String, Value>> {
        let mut definitions = shipped(DEFINITIONS);
        match self {
            Self::Namespace | Self::Object => {
                let entry = json!({
                    "type": "object",
                    "required": ["title", "type"],
                    "properties": shipped(PROPERTY),
                });
                let map = json!({ "type": "object", "additionalProperties": entry });
                definitions.insert("property".to_owned(), map);
            }
            Self::Property => definitions["stringArray"]["minItems"] = 1.into(),
            Self::Tag | Self::ResourceType => return None,
        }
        Some(definitions)
    }

    /// Holds a document against the schema.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub(super) fn judge(self, document: &Value) -> Result<(), Misfit> {
        // Draft 4 is what clients of this API have always been judged by. Formats are for readers: patterns of
        // properties are not compiled (§6).
        static VALIDATORS: LazyLock<[Validator; 5]> = LazyLock::new(|| {
            Base::ALL.map(|base| {
                jsonschema::options()
                    .with_draft(Draft::Draft4)
                    .with_pattern_options(PatternOptions::regex())
                    .should_validate_formats(false)
                    .build(&base.document())
                    .expect("shipped, and tested")
            })
        });
        if !document.is_object() {
            return Err(Misfit { pointer: String::new(), reason: "it must be an object".to_owned() });
        }
        VALIDATORS[self as usize].validate(document).map_err(|error| {
            let mut pointer = error.instance_path().to_string();
            if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind()
                && let Some(first) = unexpected.first()
            {
                pointer = super::document::join(&pointer, first);
            }
            Misfit { pointer, reason: clip(&error.to_string(), REASON).into_owned() }
        })
    }
}

fn list_of(name: &str, base: Base) -> Value {
    let mut entry = base.document();
    let definitions = take_definitions(&mut entry);
    collection(name, &json!({ "type": "array", "items": entry }), definitions)
}

fn take_definitions(document: &mut Value) -> Option<Value> {
    document.as_object_mut()?.remove("definitions")
}

fn collection(name: &str, member: &Value, definitions: Option<Value>) -> Value {
    let mut document = json!({
        "name": name,
        "properties": {
            name: member,
            "first": { "type": "string" },
            "next": { "type": "string" },
            "schema": { "type": "string" },
        },
        "links": [
            { "rel": "first", "href": "{first}" },
            { "rel": "next", "href": "{next}" },
            { "rel": "describedby", "href": "{schema}" },
        ],
    });
    if let Some(definitions) = definitions {
        document["definitions"] = definitions;
    }
    document
}

fn shipped(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("the shipped schemas are JSON objects, every one read by a test")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn md_097_every_document_says_what_it_must() {
        let names: Vec<String> =
            Document::ALL.map(|document| document.value()["name"].as_str().unwrap().to_owned()).to_vec();
        let expected = [
            "namespace",
            "namespaces",
            "object",
            "objects",
            "property",
            "properties",
            "tag",
            "tags",
            "resource_type_association",
            "resource_type_associations",
        ];
        assert_eq!(names, expected);
        for document in Document::ALL {
            let value = document.value();
            assert_eq!(serde_json::from_str::<Value>(document.text()).unwrap(), value);
            if value.get("links").is_some() {
                assert!(value.get("required").is_none() && value.get("additionalProperties").is_none());
                for link in ["first", "next", "schema"] {
                    assert_eq!(value["properties"][link], json!({ "type": "string" }), "{document:?}");
                }
            } else {
                assert_eq!(value["additionalProperties"], json!(false), "{document:?}");
            }
        }
    }

    #[test]
    fn definitions_stand_at_the_top() {
        for document in Document::ALL {
            let value = document.value();
            let mut references = Vec::new();
            references_of(&value, &mut references);
            for reference in references {
                let found = value.pointer(reference.trim_start_matches('#'));
                assert!(found.is_some(), "{reference} in {document:?}");
            }
            let text = document.text();
            assert!(text.matches("\"definitions\":").count() <= 1, "{document:?}");
        }
        let of = |document: Document| document.value()["definitions"].clone();
        assert_eq!(of(Document::Property)["stringArray"]["minItems"], json!(1));
        assert!(of(Document::Object)["stringArray"].get("minItems").is_none());
        assert_eq!(of(Document::Namespace), of(Document::Objects));
        assert_eq!(of(Document::Tags), Value::Null);
    }

    fn references_of<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references_of(member, found));
            }
            Value::Array(elements) => elements.iter().for_each(|element| references_of(element, found)),
            _ => {}
        }
    }

    #[test]
    fn a_misfit_points_at_what_is_wrong() {
        let misfit = |document| Base::Namespace.judge(&document).unwrap_err();
        assert_eq!(misfit(json!({})).pointer, "");
        assert_eq!(misfit(json!({ "namespace": "n", "a/b~": 1 })).pointer, "/a~1b~0");
        assert_eq!(misfit(json!({ "namespace": "n", "tags": [{}, { "name": 1 }] })).pointer, "/tags/1/name");
        let long = misfit(json!({ "namespace": "é".repeat(1_000_000) }));
        assert!(long.reason.len() < 2000, "{}", long.reason.len());
    }
}
