//! The document by itself: what OpenAPI 3.1 demands of it.

use std::collections::BTreeSet;

use serde_json::Value;
use vitrine::config::Config;

use super::{document, operations, resolved};

/// Calls `visit` for every value inside of `value`, and for itself.
fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        Value::Array(elements) => elements.iter().for_each(|element| walk(element, visit)),
        _ => {}
    }
}

#[test]
fn it_is_an_openapi_31_document() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    for member in ["title", "version"] {
        assert!(document["info"][member].is_string(), "info.{member}");
    }
    let known = ["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"];
    for member in document.as_object().unwrap().keys() {
        assert!(known.contains(&member.as_str()), "{member} at the top");
    }
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(path.starts_with('/'), "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = 0;
    walk(&document, &mut |value| {
        // an attribute may be called `$ref` in a list of properties; its value is an object then
        if let Some(path) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(path.trim_start_matches('#')).is_some(), "{path}");
            references += 1;
        }
    });
    assert!(references > 100, "only {references} references were found");
}

#[test]
fn every_named_part_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |value| {
        used.extend(value.get("$ref").and_then(Value::as_str).map(str::to_owned));
    });
    for kind in ["schemas", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "{kind}/{name}");
        }
    }
}

#[test]
fn every_schema_compiles_and_says_something() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let whole = serde_json::json!({ "allOf": [schema], "components": document["components"] });
        jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        let words = schema.as_object().unwrap();
        let says = words.keys().any(|k| ["properties", "items", "enum", "oneOf"].contains(&k.as_str()));
        assert!(says, "{name} is empty: {schema}");
    }
}

/// A description beside an inlined enum once made a schema that wants a string and an object at the same time.
#[test]
fn no_schema_contradicts_itself() {
    walk(&document(), &mut |value| {
        let parts = value.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let kinds: BTreeSet<&str> = parts.filter_map(|part| part["type"].as_str()).collect();
        assert!(kinds.len() < 2, "{value}");
    });
}

#[test]
fn operations_are_told_apart_and_explained() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let id = operation.id;
        assert!(ids.insert(id), "{id} is there twice");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        assert!(!operation.object["summary"].as_str().unwrap_or_default().is_empty(), "{id} has no summary");
        let mine = operation.object["tags"].as_array().unwrap();
        assert!(mine.len() == 1 && tags.contains(mine[0].as_str().unwrap()), "{id}: {mine:?}");
    }
}

#[test]
fn every_parameter_of_a_path_is_declared() {
    let document = document();
    for operation in operations(&document) {
        let templates = operation.path.split('{').skip(1).map(|part| part.split('}').next().unwrap());
        let templates: BTreeSet<&str> = templates.collect();
        let parameters = operation.object["parameters"].as_array().cloned().unwrap_or_default();
        let mut seen = BTreeSet::new();
        let mut in_path = BTreeSet::new();
        for parameter in &parameters {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            assert!(seen.insert((name, place)), "{}: {name} in {place} twice", operation.id);
            assert!(parameter["schema"].is_object(), "{}: {name} has no schema", operation.id);
            let described = parameter["description"].as_str().unwrap_or_default();
            assert!(!described.is_empty(), "{}: {name} is not described", operation.id);
            if place == "path" {
                assert_eq!(parameter["required"], true, "{}: {name}", operation.id);
                in_path.insert(name);
            }
        }
        assert_eq!(in_path, templates, "{}", operation.id);
    }
}

#[test]
fn every_response_is_described() {
    let document = document();
    for operation in operations(&document) {
        let responses = operation.object["responses"].as_object().unwrap();
        for (status, response) in responses {
            let code: u16 = status.parse().unwrap_or_else(|_| panic!("{}: {status}", operation.id));
            let response = resolved(&document, response);
            let described = response["description"].as_str().unwrap_or_default();
            assert!(!described.is_empty(), "{} {status}", operation.id);
            if code >= 400 {
                for media in ["application/json", "text/html", "text/plain"] {
                    assert!(response["content"][media].is_object(), "{} {status} {media}", operation.id);
                }
            }
            assert!(response["headers"]["X-Openstack-Request-Id"].is_object(), "{} {status}", operation.id);
        }
        let succeeds = responses.keys().any(|status| status.starts_with(['2', '3']));
        let absent = operation.object["tags"][0] == "cache" || operation.id == "deleteTask";
        assert!(succeeds != absent, "{}: whether it succeeds", operation.id);
        // images-v2.md §3: every route may answer 401 and 500
        let open = operation.object.get("security").is_some();
        for status in ["401", "500", "503"] {
            assert!(open || responses.contains_key(status), "{} {status}", operation.id);
        }
    }
}

#[test]
fn only_what_describes_the_service_is_open() {
    let document = document();
    assert_eq!(document["security"], serde_json::json!([{ "token": [] }]));
    assert_eq!(document["components"]["securitySchemes"]["token"]["name"], "X-Auth-Token");
    let open: BTreeSet<&str> = operations(&document)
        .iter()
        .filter(|operation| operation.object.get("security").is_some())
        .map(|operation| operation.path)
        .collect();
    let expected = ["/", "/docs", "/docs/style.css", "/healthcheck", "/openapi.json", "/versions"];
    assert_eq!(open, BTreeSet::from(expected));
}

#[test]
fn it_follows_the_configuration() {
    let mut config = Config::default();
    config.images.disk_formats = vec!["qcow2".to_owned(), "gpt".to_owned()];
    config.server.v1 = false;
    config.server.public_endpoint = Some("https://images.example/".to_owned());
    let document = vitrine::app::openapi(&config).unwrap();
    let schemas = &document["components"]["schemas"];
    for name in ["Image", "NewImage"] {
        let formats = &schemas[name]["properties"]["disk_format"]["enum"];
        assert_eq!(*formats, serde_json::json!([null, "qcow2", "gpt"]), "{name}");
        assert!(schemas[name]["properties"]["kernel_id"].is_object(), "{name}");
    }
    assert!(!operations(&document).iter().any(|operation| operation.path.starts_with("/v1")));
    assert!(!schemas.as_object().unwrap().keys().any(|name| name.starts_with("V1")));
    assert_eq!(document["servers"], serde_json::json!([{ "url": "https://images.example" }]));
}

#[test]
fn images_are_described_as_clients_need_them() {
    let document = document();
    let image = &document["components"]["schemas"]["Image"];
    let required: Vec<&str> =
        image["required"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(required.len(), 22, "{required:?}");
    for conditional in ["stores", "locations", "direct_url", "kernel_id"] {
        assert!(!required.contains(&conditional) && image["properties"][conditional].is_object());
    }
    assert_eq!(image["properties"]["size"]["type"], serde_json::json!(["null", "integer"]));
    assert_eq!(image["additionalProperties"], serde_json::json!({ "type": "string" }));
    // v1 stores any text under a declared name
    assert!(image["properties"]["kernel_id"].get("pattern").is_none());
    let new = &document["components"]["schemas"]["NewImage"]["properties"];
    assert!(new["kernel_id"].get("pattern").is_some());
    for kept in ["status", "checksum", "self", "stores", "locations", "created_at"] {
        assert!(new.get(kept).is_none(), "{kept} cannot be sent");
    }
}
