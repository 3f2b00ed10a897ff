//! Answers held against the schemas that are served (metadefs.md §14: clients do that).

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::schemas::served;
use super::{
    ADMIN, Call, LETTERS, PREFIXED, READER, ROOT, ask, at, child, full, get, kind, level_times, post,
    post_nothing, property, put, schema, space,
};
use crate::support::api::Service;

/// The schemas by the names of their documents.
struct Schemas(BTreeMap<&'static str, Validator>);

impl Schemas {
    async fn of(service: &Service) -> Self {
        let names = [
            "namespace",
            "namespaces",
            "object",
            "objects",
            "property",
            "properties",
            "tag",
            "tags",
            "resource_type",
            "resource_types",
        ];
        let mut all = BTreeMap::new();
        for name in names {
            all.insert(name, jsonschema::validator_for(&served(service, name).await).unwrap());
        }
        Self(all)
    }

    fn check(&self, name: &str, call: &Call, document: &Value) {
        let problems: Vec<String> = self.0[name].iter_errors(document).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{call:?} as {name}: {problems:?}\n{document}");
        // and clients do not know members that are null
        let nulls = document.as_object().unwrap().iter().filter(|(_, value)| value.is_null());
        let nulls: Vec<_> = nulls.map(|(name, _)| name).filter(|name| *name != "default").collect();
        assert!(nulls.is_empty(), "{call:?}: {nulls:?}");
    }

    /// Sends each and checks what comes.
    async fn check_all(&self, service: &Service, caller: &str, calls: &[(&str, Call)]) {
        for (name, call) in calls {
            let answer = ask(service, caller, call).await;
            assert!(matches!(answer.status, 200 | 201), "{call:?}: {}", answer.text());
            self.check(name, call, &answer.json());
        }
    }
}

fn whole_property(name: &str) -> Value {
    json!({
        "name": name, "title": "T", "type": "array", "description": "d", "operators": ["<or>"], "readonly": true,
        "minimum": -1, "maximum": 9, "enum": ["a"], "pattern": "^a$", "minLength": 0, "maxLength": 5,
        "items": { "type": "string", "enum": ["x"] }, "minItems": 0, "maxItems": 3, "uniqueItems": true,
        "additionalItems": false, "default": 5,
    })
}

fn reads(namespace: &str, object: &str, property: &str, tag: &str) -> Vec<(&'static str, Call)> {
    let shown = format!("{}?resource_type={PREFIXED}", at(namespace));
    vec![
        ("namespace", get(at(namespace))),
        ("namespace", get(shown)),
        ("namespaces", get(ROOT)),
        ("namespaces", get(format!("{ROOT}?limit=1"))),
        ("object", get(child(namespace, "objects", object))),
        ("objects", get(kind(namespace, "objects"))),
        ("property", get(child(namespace, "properties", property))),
        ("properties", get(kind(namespace, "properties"))),
        ("tag", get(child(namespace, "tags", tag))),
        ("tags", get(kind(namespace, "tags"))),
        ("resource_types", get(kind(namespace, "resource_types"))),
    ]
}

#[tokio::test]
async fn md_098_answers_to_readers_fit_the_schemas() {
    let service = Service::start().await;
    let schemas = Schemas::of(&service).await;
    space(&service, "Empty", json!({ "visibility": "public" })).await;
    full(&service, "Ns", json!({ "display_name": "D", "description": "E", "visibility": "public" })).await;
    for caller in [ADMIN, READER] {
        schemas.check_all(&service, caller, &reads("Ns", "obj", "size", "t1")).await;
        let empty = [
            ("namespace", get(at("Empty"))),
            ("objects", get(kind("Empty", "objects"))),
            ("properties", get(kind("Empty", "properties"))),
            ("tags", get(kind("Empty", "tags"))),
            ("resource_types", get(kind("Empty", "resource_types"))),
            ("namespaces", get(format!("{ROOT}?limit=0"))),
        ];
        schemas.check_all(&service, caller, &empty).await;
    }
    // and once nothing has a time of change
    level_times(&service).await;
    for table in ["namespaces", "objects", "tags", "resource_types"] {
        service.sql(&format!("UPDATE metadef_{table} SET updated_at = NULL")).await;
    }
    schemas.check_all(&service, ADMIN, &reads("Ns", "obj", "size", "t1")).await;
}

#[tokio::test]
async fn md_098_answers_to_writers_fit_the_schemas() {
    let service = Service::start().await;
    let schemas = Schemas::of(&service).await;
    let nested = json!({
        "namespace": LETTERS, "display_name": "D", "description": "E", "visibility": "public", "protected": true,
        "owner": "o",
        "objects": [{ "name": "o", "description": "d", "required": ["p"], "properties": { "p": schema() } }],
        "properties": { "p": schema() }, "tags": [{ "name": "t" }],
        "resource_type_associations": [{ "name": PREFIXED, "prefix": "p_", "properties_target": "image" }],
    });
    let object = json!({
        "name": "o", "description": "d", "required": [],
        "properties": { "p": super::without(whole_property("p"), &["name"]) },
    });
    let association = json!({ "name": "OS::T", "prefix": "p", "properties_target": "t" });
    let within = |name: &str| kind("Ns", name);
    let one = |kind: &str, name: &str| child("Ns", kind, name);
    let calls = [
        ("namespace", post(ROOT, nested)),
        ("namespace", post(ROOT, json!({ "namespace": "Ns" }))),
        ("namespace", put(at("Ns"), json!({ "namespace": "Ns", "display_name": "D", "description": "E" }))),
        ("object", post(within("objects"), json!({ "name": "bare" }))),
        ("object", post(within("objects"), object.clone())),
        ("object", put(one("objects", "o"), object)),
        ("object", put(one("objects", "bare"), json!({ "name": "bare" }))),
        ("property", post(within("properties"), property("bare", json!({})))),
        ("property", post(within("properties"), whole_property("whole"))),
        ("property", put(one("properties", "bare"), whole_property("bare"))),
        ("property", put(one("properties", "bare"), property("bare", json!({ "default": [1] })))),
        ("tag", post_nothing(one("tags", "t"))),
        ("tag", put(one("tags", "t"), json!({ "name": "u" }))),
        ("tags", post(within("tags"), json!({ "tags": [{ "name": "a" }, { "name": "b" }] }))),
        ("tags", post(within("tags"), json!({ "tags": [] }))),
        ("resource_type", post(within("resource_types"), association)),
        ("resource_type", post(within("resource_types"), json!({ "name": "OS::U" }))),
    ];
    schemas.check_all(&service, ADMIN, &calls).await;
    schemas.check_all(&service, ADMIN, &reads("Ns", "o", "whole", "a")).await;
    schemas.check_all(&service, ADMIN, &reads(LETTERS, "o", "p", "t")).await;
}

#[tokio::test]
async fn md_098_members_of_lists_fit_the_schemas_of_one() {
    let service = Service::start().await;
    let schemas = Schemas::of(&service).await;
    full(&service, "Ns", json!({ "display_name": "D" })).await;
    for (name, path, member) in [
        ("namespace", ROOT.to_owned(), "namespaces"),
        ("object", kind("Ns", "objects"), "objects"),
        ("property", kind("Ns", "properties"), "properties"),
        ("tag", kind("Ns", "tags"), "tags"),
        ("resource_type", kind("Ns", "resource_types"), "resource_type_associations"),
    ] {
        let call = get(path);
        let list = ask(&service, ADMIN, &call).await.expect(200).json();
        let members: Vec<Value> = match &list[member] {
            Value::Object(members) => members.values().cloned().collect(),
            other => other.as_array().unwrap().clone(),
        };
        assert!(!members.is_empty(), "{name}");
        for one in members {
            schemas.check(name, &call, &one);
        }
    }
}
