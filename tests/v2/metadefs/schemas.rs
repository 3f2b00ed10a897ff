//! The schema documents (metadefs.md §12).

use serde_json::{Map, Value, json};

use super::{ADMIN, ALIEN, JSON, NOBODY, OWNER, READER, asked};
use crate::support::api::{LONELY, Service};

/// The documents of one thing, and the members that those of many have.
const PAIRS: [(&str, &str, &str); 5] = [
    ("namespace", "namespaces", "namespaces"),
    ("object", "objects", "objects"),
    ("property", "properties", "properties"),
    ("tag", "tags", "tags"),
    ("resource_type", "resource_types", "resource_type_associations"),
];

/// A schema as it is served to a reader.
pub async fn served(service: &Service, name: &str) -> Value {
    let answer = asked(service.get(&format!("/v2/schemas/metadefs/{name}")).by(READER)).await.expect(200);
    assert_eq!(answer.header("Content-Type").as_deref(), Some(JSON));
    answer.json()
}

/// A schema without descriptions and titles, which are free, and with its sets in order.
fn bare(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept =
                members.into_iter().filter(|(name, value)| name != "description" || !value.is_string());
            let kept = kept.map(|(name, value)| {
                let mut value = bare(value);
                if matches!(name.as_str(), "enum" | "required")
                    && let Some(words) = value.as_array_mut()
                {
                    words.sort_by_key(Value::to_string);
                }
                (name, value)
            });
            kept.collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(bare).collect(),
        other => other,
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn up_to(most: u32) -> Value {
    json!({ "type": "string", "maxLength": most })
}

fn shown() -> Value {
    json!({ "type": "string", "readOnly": true })
}

fn stamp() -> Value {
    json!({ "type": "string", "readOnly": true, "format": "date-time" })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// P of §12.
fn attributes() -> Value {
    let kinds = json!(["array", "boolean", "integer", "number", "object", "string", null]);
    json!({
        "name": up_to(80),
        "title": text(),
        "description": text(),
        "operators": { "type": "array", "items": text() },
        "type": { "type": "string", "enum": kinds },
        "required": reference("stringArray"),
        "minimum": { "type": "number" },
        "maximum": { "type": "number" },
        "maxLength": reference("positiveInteger"),
        "minLength": reference("positiveIntegerDefault0"),
        "pattern": { "type": "string", "format": "regex" },
        "enum": { "type": "array" },
        "readonly": { "type": "boolean" },
        "default": {},
        "items": {
            "type": "object",
            "properties": { "type": { "type": "string", "enum": kinds }, "enum": { "type": "array" } },
        },
        "maxItems": reference("positiveInteger"),
        "minItems": reference("positiveIntegerDefault0"),
        "uniqueItems": { "type": "boolean", "default": false },
        "additionalItems": { "type": "boolean" },
    })
}

/// D1 of §12.
fn numbers_and_texts() -> Value {
    json!({
        "positiveInteger": { "type": "integer", "minimum": 0 },
        "positiveIntegerDefault0": { "allOf": [reference("positiveInteger"), { "default": 0 }] },
        "stringArray": { "type": "array", "items": text(), "uniqueItems": true },
    })
}

fn with_property() -> Value {
    let entry = json!({ "type": "object", "required": ["title", "type"], "properties": attributes() });
    let property = json!({ "type": "object", "additionalProperties": entry });
    super::merged(numbers_and_texts(), &json!({ "property": property }))
}

fn items(properties: &Value) -> Value {
    json!({ "type": "array", "items": { "type": "object", "properties": properties } })
}

fn namespace() -> Value {
    let object = json!({
        "name": text(), "description": text(), "required": reference("stringArray"),
        "properties": reference("property"),
    });
    json!({
        "name": "namespace",
        "additionalProperties": false,
        "required": ["namespace"],
        "definitions": with_property(),
        "properties": {
            "namespace": up_to(80),
            "display_name": up_to(80),
            "description": up_to(500),
            "visibility": { "type": "string", "enum": ["public", "private"] },
            "protected": { "type": "boolean" },
            "owner": up_to(255),
            "created_at": stamp(),
            "updated_at": stamp(),
            "self": shown(),
            "schema": shown(),
            "properties": reference("property"),
            "resource_type_associations":
                items(&json!({ "name": text(), "prefix": text(), "properties_target": text() })),
            "objects": items(&object),
            "tags": items(&json!({ "name": text() })),
        },
    })
}

fn object() -> Value {
    json!({
        "name": "object",
        "additionalProperties": false,
        "required": ["name"],
        "definitions": with_property(),
        "properties": {
            "name": up_to(80),
            "description": text(),
            "required": reference("stringArray"),
            "properties": reference("property"),
            "self": shown(),
            "schema": shown(),
            "created_at": stamp(),
            "updated_at": stamp(),
        },
    })
}

fn property() -> Value {
    let mut definitions = numbers_and_texts();
    definitions["stringArray"]["minItems"] = json!(1);
    json!({
        "name": "property",
        "additionalProperties": false,
        "required": ["type", "title", "name"],
        "definitions": definitions,
        "properties": attributes(),
    })
}

fn tag() -> Value {
    json!({
        "name": "tag",
        "additionalProperties": false,
        "required": ["name"],
        "properties": { "name": up_to(80), "created_at": stamp(), "updated_at": stamp() },
    })
}

fn resource_type() -> Value {
    json!({
        "name": "resource_type_association",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": up_to(80), "prefix": up_to(80), "properties_target": up_to(80),
            "created_at": stamp(), "updated_at": stamp(),
        },
    })
}

fn of_one() -> [Value; 5] {
    [namespace(), object(), property(), tag(), resource_type()]
}

#[tokio::test]
async fn md_097_documents_of_one() {
    let service = Service::start().await;
    for ((name, ..), expected) in PAIRS.into_iter().zip(of_one()) {
        assert_eq!(bare(served(&service, name).await), bare(expected), "{name}");
    }
}

#[tokio::test]
async fn md_097_documents_of_many() {
    let service = Service::start().await;
    for ((_, name, member), mut one) in PAIRS.into_iter().zip(of_one()) {
        let definitions = one.as_object_mut().unwrap().remove("definitions");
        let many = if name == "properties" {
            one["required"] = json!(["type", "title"]);
            json!({ "type": "object", "additionalProperties": one })
        } else {
            json!({ "type": "array", "items": one })
        };
        let links = [("first", "{first}"), ("next", "{next}"), ("describedby", "{schema}")];
        let mut expected = json!({
            "name": member,
            "properties": { member: many, "first": text(), "next": text(), "schema": text() },
            "links": links.map(|(rel, href)| json!({ "rel": rel, "href": href })),
        });
        if let Some(definitions) = definitions {
            expected["definitions"] = definitions;
        }
        assert_eq!(bare(served(&service, name).await), bare(expected), "{name}");
    }
}

#[tokio::test]
async fn md_097_everybody_reads_them_and_nobody_else_does_anything() {
    let service = Service::start().await;
    for name in PAIRS.into_iter().flat_map(|(one, many, _)| [one, many]) {
        let path = format!("/v2/schemas/metadefs/{name}");
        for caller in [ADMIN, OWNER, READER, ALIEN, NOBODY, LONELY] {
            asked(service.get(&path).by(caller)).await.expect(200);
            asked(service.get(&format!("{path}?limit=-1")).by(caller)).await.expect(200);
            for body in ["{}", "x"] {
                asked(service.get(&path).by(caller).body(body)).await.expect(400);
            }
        }
        for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = asked(service.request(method, &path).by(ADMIN)).await.expect(405);
            assert_eq!(answer.header("allow").as_deref(), Some("GET"), "{method} {name}");
        }
    }
}

#[tokio::test]
async fn they_are_schemas() {
    let service = Service::start().await;
    for name in PAIRS.into_iter().flat_map(|(one, many, _)| [one, many]) {
        let schema = served(&service, name).await;
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
