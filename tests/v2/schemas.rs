//! The JSON schemas and the extension of the image schema (images-v2.md §5).

use std::collections::BTreeSet;
use std::process::Stdio;

use regex::Regex;
use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use vitrine::config::Config;

use crate::support::api::{ADMIN, LONELY, OTHER, OWNER, Service, new_id};
use crate::support::db::test_database;
use crate::support::file::ScratchFile;
use crate::support::s3::test_bucket;
use crate::support::server::vitrine;
use crate::support::v2::{add, id_of, replace};
use crate::support::{PATIENCE, config};

const BASE: [&str; 25] = [
    "checksum",
    "container_format",
    "created_at",
    "direct_url",
    "disk_format",
    "file",
    "id",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hash_algo",
    "os_hash_value",
    "os_hidden",
    "owner",
    "protected",
    "schema",
    "self",
    "size",
    "status",
    "stores",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];
const UUID: &str = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";

async fn schema(service: &Service, name: &str) -> Value {
    let request = service.get(&format!("/v2/schemas/{name}")).by("rita:beta:reader");
    let answer = request.send().await.expect(200);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    answer.json()
}

async fn with_extension(text: &str) -> (Service, ScratchFile) {
    let file = ScratchFile::new("schema-image.json", text);
    let path = file.path.clone();
    (Service::start_with(|config| config.images.schema_extension_file = Some(path)).await, file)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Relations and targets of links.
fn links(schema: &Value) -> Vec<(&str, &str)> {
    let links = schema["links"].as_array().unwrap();
    links.iter().map(|link| (link["rel"].as_str().unwrap(), link["href"].as_str().unwrap())).collect()
}

/// A schema without descriptions, which are free.
fn bare(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            if members.get("description").is_some_and(Value::is_string) {
                members.remove("description");
            }
            let members = std::mem::take(members);
            members.into_iter().map(|(name, value)| (name, bare(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => std::mem::take(items).into_iter().map(bare).collect(),
        _ => schema,
    }
}

#[tokio::test]
async fn v2_040_041_and_043_the_image_schema_without_extension() {
    let (service, _file) = with_extension("{}").await;
    let schema = schema(&service, "image").await;
    // V2-040
    assert_eq!(keys(&schema), BTreeSet::from(["additionalProperties", "links", "name", "properties"]));
    assert_eq!(schema["name"], json!("image"));
    assert_eq!(schema["additionalProperties"], json!({ "type": "string" }));
    let expected = [("self", "{self}"), ("enclosure", "{file}"), ("describedby", "{schema}")];
    assert_eq!(links(&schema), expected);
    // V2-041
    assert_eq!(keys(&schema["properties"]), BTreeSet::from(BASE));
    // V2-043
    let shown = |kind: Value| json!({ "type": kind, "readOnly": true });
    let shown_text = |most: u32| json!({ "type": ["null", "string"], "readOnly": true, "maxLength": most });
    let statuses = [
        "queued",
        "saving",
        "active",
        "killed",
        "deleted",
        "uploading",
        "importing",
        "pending_delete",
        "deactivated",
    ];
    let url = json!({ "type": "string", "maxLength": 255 });
    let validation = json!({
        "type": "object",
        "writeOnly": true,
        "additionalProperties": false,
        "required": ["os_hash_algo", "os_hash_value"],
        "properties": {
            "checksum": { "type": "string", "minLength": 32, "maxLength": 32 },
            "os_hash_algo": { "type": "string", "maxLength": 64 },
            "os_hash_value": { "type": "string", "maxLength": 128 },
        },
    });
    let formats = ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"];
    let containers = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"];
    let choice = |words: &[&str]| {
        let words: Vec<Value> = std::iter::once(Value::Null).chain(words.iter().map(|w| json!(w))).collect();
        json!({ "type": ["null", "string"], "enum": words })
    };
    for (name, expected) in [
        ("id", json!({ "type": "string", "pattern": UUID })),
        ("name", json!({ "type": ["null", "string"], "maxLength": 255 })),
        ("status", json!({ "type": "string", "readOnly": true, "enum": statuses })),
        ("visibility", json!({ "type": "string", "enum": ["community", "public", "private", "shared"] })),
        ("protected", json!({ "type": "boolean" })),
        ("os_hidden", json!({ "type": "boolean" })),
        ("checksum", shown_text(32)),
        ("os_hash_algo", shown_text(64)),
        ("os_hash_value", shown_text(128)),
        ("owner", json!({ "type": ["null", "string"], "maxLength": 255 })),
        ("size", shown(json!(["null", "integer"]))),
        ("virtual_size", shown(json!(["null", "integer"]))),
        ("container_format", choice(&containers)),
        ("disk_format", choice(&formats)),
        ("created_at", shown(json!("string"))),
        ("updated_at", shown(json!("string"))),
        ("tags", json!({ "type": "array", "items": { "type": "string", "maxLength": 255 } })),
        ("direct_url", shown(json!("string"))),
        ("min_ram", json!({ "type": "integer" })),
        ("min_disk", json!({ "type": "integer" })),
        ("self", shown(json!("string"))),
        ("file", shown(json!("string"))),
        ("schema", shown(json!("string"))),
        ("stores", shown(json!("string"))),
        (
            "locations",
            json!({ "type": "array", "items": {
                "type": "object",
                "required": ["url", "metadata"],
                "properties": {
                    "url": url, "metadata": { "type": "object" }, "validation_data": validation,
                },
            } }),
        ),
    ] {
        let mut definition = bare(schema["properties"][name].clone());
        let mut expected = expected;
        // as sets
        for words in [&mut definition, &mut expected] {
            for keyword in ["type", "enum"] {
                if let Some(words) = words.get_mut(keyword).and_then(Value::as_array_mut) {
                    words.sort_by_key(Value::to_string);
                }
            }
        }
        assert_eq!(definition, expected, "{name}");
    }
}

#[tokio::test]
async fn v2_042_formats_are_those_of_the_configuration() {
    let service = Service::start_with(|config| {
        config.images.disk_formats = vec!["raw".to_owned(), "gpt".to_owned()];
        config.images.container_formats = vec!["bare".to_owned()];
    })
    .await;
    let properties = schema(&service, "image").await["properties"].clone();
    assert_eq!(properties["disk_format"]["enum"], json!([null, "raw", "gpt"]));
    assert_eq!(properties["container_format"]["enum"], json!([null, "bare"]));
    let nested = schema(&service, "images").await;
    assert_eq!(nested["properties"]["images"]["items"]["properties"], properties);
    service.create(OWNER, json!({ "disk_format": "gpt" })).await;
    service.try_create(OWNER, &json!({ "disk_format": "qcow2" })).await.expect(400);
    service.try_create(OWNER, &json!({ "container_format": "ovf" })).await.expect(400);
}

#[tokio::test]
async fn v2_044_to_046_the_extension_that_comes_with_the_service() {
    let service = Service::start().await;
    let schema = schema(&service, "image").await;
    let properties = schema["properties"].as_object().unwrap();
    // V2-044
    for name in BASE {
        assert_eq!(properties[name].get("is_base"), None, "{name}");
    }
    // V2-045
    let extra: BTreeSet<&str> =
        properties.keys().map(String::as_str).filter(|name| !BASE.contains(name)).collect();
    let expected = [
        "architecture",
        "cinder_encryption_key_deletion_policy",
        "cinder_encryption_key_id",
        "description",
        "instance_uuid",
        "kernel_id",
        "os_distro",
        "os_version",
        "ramdisk_id",
    ];
    assert_eq!(extra, BTreeSet::from(expected));
    for name in extra {
        assert_eq!(properties[name]["is_base"], json!(false), "{name}");
    }
    assert_eq!(schema.get("required"), None);
    // V2-046
    for name in ["kernel_id", "ramdisk_id"] {
        let kinds: BTreeSet<&str> =
            properties[name]["type"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
        assert_eq!(kinds, BTreeSet::from(["null", "string"]));
        let pattern = Regex::new(properties[name]["pattern"].as_str().unwrap()).unwrap();
        assert!(pattern.is_match(&new_id()) && pattern.is_match(&new_id().to_uppercase()));
        assert!(!pattern.is_match("x") && !pattern.is_match(&format!("{}0", new_id())));
    }
    let policies = json!(["on_image_deletion", "do_not_delete"]);
    assert_eq!(properties["cinder_encryption_key_deletion_policy"]["enum"], policies);
}

#[tokio::test]
async fn v2_047_and_048_the_schema_of_lists() {
    for extension in ["{}", r#"{"properties": {"level": {"type": "string"}}, "required": ["level"]}"#] {
        let (service, _file) = with_extension(extension).await;
        let schema_of_lists = schema(&service, "images").await;
        // V2-047
        let properties = json!({
            "images": { "type": "array", "items": schema(&service, "image").await },
            "first": { "type": "string" },
            "next": { "type": "string" },
            "schema": { "type": "string" },
        });
        assert_eq!(schema_of_lists["properties"], properties);
        // V2-048
        assert_eq!(keys(&schema_of_lists), BTreeSet::from(["links", "name", "properties"]));
        assert_eq!(schema_of_lists["name"], json!("images"));
        let expected = [("first", "{first}"), ("next", "{next}"), ("describedby", "{schema}")];
        assert_eq!(links(&schema_of_lists), expected);
    }
}

#[tokio::test]
async fn v2_049_to_051_schemas_of_members_and_tasks() {
    let service = Service::start().await;
    let text = json!({ "type": "string" });
    // V2-049
    let member = bare(schema(&service, "member").await);
    let expected = json!({
        "member_id": text,
        "image_id": { "type": "string", "pattern": UUID },
        "created_at": text,
        "updated_at": text,
        "status": { "type": "string", "enum": ["pending", "accepted", "rejected"] },
        "schema": { "type": "string", "readOnly": true },
    });
    assert_eq!(member, json!({ "name": "member", "properties": expected }));
    // V2-050, V2-051
    let task = bare(schema(&service, "task").await);
    let mut expected = json!({
        "id": { "type": "string", "pattern": UUID },
        "type": { "type": "string", "enum": ["import", "api_image_import", "location_import"] },
        "status": { "type": "string", "enum": ["pending", "processing", "success", "failure"] },
        "input": { "type": ["null", "object"] },
        "result": { "type": ["null", "object"] },
        "message": text,
        "owner": text,
        "image_id": text,
        "request_id": text,
        "user_id": text,
        "expires_at": { "type": ["null", "string"] },
        "created_at": text,
        "updated_at": text,
        "self": { "type": "string", "readOnly": true },
        "schema": { "type": "string", "readOnly": true },
    });
    assert_eq!(task, json!({ "name": "task", "properties": expected }));
    for name in ["input", "result", "message"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    let items = json!({ "name": "task", "properties": expected });
    for (name, items) in [("members", member), ("tasks", items)] {
        let collection = bare(schema(&service, name).await);
        let expected = json!({
            "name": name,
            "properties": { name: { "type": "array", "items": items }, "schema": text },
            "links": [{ "rel": "describedby", "href": "{schema}" }],
        });
        assert_eq!(collection, expected);
    }
}

#[tokio::test]
async fn v2_052_schemas_are_for_reading_by_everybody() {
    let service = Service::start().await;
    for name in ["image", "images", "member", "members", "task", "tasks"] {
        let path = format!("/v2/schemas/{name}");
        for method in ["PUT", "POST", "PATCH", "DELETE", "HEAD"] {
            let answer = service.request(method, &path).by(ADMIN).json(&json!({})).send().await.expect(405);
            assert_eq!(answer.header("allow").as_deref(), Some("GET"), "{method} {name}");
        }
        for caller in [OWNER, LONELY, "nora:alpha:nothing"] {
            service.get(&path).by(caller).send().await.expect(200);
        }
    }
    service.get("/v2/schemas/nonsense").by(OTHER).send().await.expect(404);
    service.get("/v2/schemas").by(OTHER).send().await.expect(404);
}

#[tokio::test]
async fn an_extension_declares_what_it_likes_in_either_layout() {
    let declared = json!({
        "level": { "type": "string", "enum": ["low", "high"], "description": "How far up" },
        "note": { "type": ["null", "string"], "maxLength": 3 },
    });
    let nested = json!({ "properties": declared, "required": ["level"] });
    let (flat, _flat) = with_extension(&declared.to_string()).await;
    let (nested, _nested) = with_extension(&nested.to_string()).await;
    for service in [&flat, &nested] {
        let schema = schema(service, "image").await;
        let level = json!({
            "type": "string", "enum": ["low", "high"], "description": "How far up", "is_base": false,
        });
        assert_eq!(schema["properties"]["level"], level);
        // the default is gone
        assert_eq!(schema["properties"].as_object().unwrap().len(), BASE.len() + 2);
        let made = service.create(OWNER, json!({ "level": "low", "note": null, "kernel_id": "free" })).await;
        assert_eq!((&made["level"], &made["note"]), (&json!("low"), &Value::Null));
        for wrong in [
            json!({ "level": "middle" }),
            json!({ "level": null }),
            json!({ "level": 5 }),
            json!({ "level": "low", "note": "long" }),
            json!({ "level": "low", "other": null }),
        ] {
            service.try_create(OWNER, &wrong).await.expect(400);
        }
        let id = id_of(&made);
        service.change(OWNER, &id, &[replace("/level", "middle")]).await.expect(400);
        let changed = service.change(OWNER, &id, &[replace("/level", "high"), add("/note", "abc")]).await;
        assert_eq!(changed.expect(200).json()["level"], json!("high"));
        // what is required is so of new images, not of every patch
        service.change(OWNER, &id, &[replace("/name", "n")]).await.expect(200);
    }
    assert_eq!(schema(&flat, "image").await.get("required"), None);
    assert_eq!(schema(&nested, "image").await["required"], json!(["level"]));
    flat.create(OWNER, json!({ "name": "n" })).await;
    nested.try_create(OWNER, &json!({ "name": "n" })).await.expect(400);
}

#[tokio::test]
async fn v2_053_a_base_property_is_not_redefined() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    for (extension, fits) in [
        // as it is
        (json!({ "min_ram": { "type": "integer" } }), true),
        (json!({ "name": { "type": "string" } }), false),
        (json!({ "name": { "type": ["null", "string"], "maxLength": 256 } }), false),
        (json!({ "properties": { "name": { "type": "integer" } } }), false),
        (json!({ "properties": {}, "required": "name" }), false),
        (json!(["name"]), false),
    ] {
        let file = ScratchFile::new("schema-image.json", &extension.to_string());
        let mut settings = config(&database, &bucket);
        settings.images.schema_extension_file = Some(file.path.clone());
        if fits {
            let database = test_database().await;
            settings.database = database.config();
            let service = Service::start_over(database, test_bucket().await, settings).await;
            assert_eq!(keys(&schema(&service, "image").await["properties"]), BTreeSet::from(BASE));
            continue;
        }
        assert_does_not_start(settings, &file, "schema extension: ").await;
    }
    let file = ScratchFile::absent("schema-image.json");
    let mut settings = config(&database, &bucket);
    settings.images.schema_extension_file = Some(file.path.clone());
    assert_does_not_start(settings, &file, "schema-image.json").await;
}

/// Asserts that `vitrine serve` ends and tells why.
async fn assert_does_not_start(mut settings: Config, extension: &ScratchFile, why: &str) {
    [settings.server.bind, settings.server.ops_bind] = ["127.0.0.1:0".parse().unwrap(); 2];
    let mut command = Command::from(vitrine(&settings, extension.dir()));
    let serve = command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = timeout(PATIENCE, serve.output()).await.expect("the server has started").unwrap();
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains(why), "{said}");
}
