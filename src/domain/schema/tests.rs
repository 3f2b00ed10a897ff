#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::samples;
use super::*;
use crate::error::ErrorKind;

const BASE: [&str; 25] = [
    "id",
    "name",
    "status",
    "visibility",
    "protected",
    "os_hidden",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "owner",
    "size",
    "virtual_size",
    "container_format",
    "disk_format",
    "created_at",
    "updated_at",
    "tags",
    "direct_url",
    "min_ram",
    "min_disk",
    "self",
    "file",
    "schema",
    "stores",
    "locations",
];
const UUID: &str = "1b2C3d4e-0000-4000-8000-00000000000F";

fn plain() -> ImageSchema {
    samples::schema(&json!({}))
}

fn extended() -> &'static ImageSchema {
    samples::shipped()
}

fn with(extension: &Value) -> Result<ImageSchema, SchemaError> {
    ImageSchema::new(&["raw".to_owned()], &["bare".to_owned()], extension)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<&str> {
    names.into()
}

/// `[rel, href]` of every link.
fn links(schema: &Value) -> Vec<[&str; 2]> {
    let links = schema["links"].as_array().unwrap();
    links.iter().map(|link| [link["rel"].as_str().unwrap(), link["href"].as_str().unwrap()]).collect()
}

#[test]
fn image_has_exactly_the_base_properties() {
    // V2-040, V2-041, V2-044
    let schema = plain();
    let image = schema.image();
    assert_eq!(keys(image), set(["name", "properties", "additionalProperties", "links"]));
    assert_eq!(image["name"], "image");
    assert_eq!(image["additionalProperties"], json!({ "type": "string" }));
    assert_eq!(links(image), [["self", "{self}"], ["enclosure", "{file}"], ["describedby", "{schema}"]]);
    assert_eq!(keys(&image["properties"]), set(BASE));
    for (name, definition) in image["properties"].as_object().unwrap() {
        assert!(definition.get("is_base").is_none(), "{name}");
        assert!(definition["description"].is_string(), "{name}");
        assert!(schema.is_base(name) && !schema.is_declared(name), "{name}");
    }
    assert!(!schema.is_base("kernel_id") && !schema.is_declared("kernel_id"));
}

#[test]
fn base_properties_are_defined_as_published() {
    // V2-042, V2-043, §5.1: everything but the descriptions
    let formats = ["raw", "qcow2", "a b"].map(str::to_owned);
    let schema = ImageSchema::new(&formats, &formats[..1], &json!({})).unwrap();
    let uuid = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";
    let read_only = |kind: Value| json!({ "type": kind, "readOnly": true });
    let limited = |limit: u8| json!({ "type": ["null", "string"], "readOnly": true, "maxLength": limit });
    let expected = json!({
        "id": { "type": "string", "pattern": uuid },
        "name": { "type": ["null", "string"], "maxLength": 255 },
        "status": { "type": "string", "readOnly": true, "enum": ["queued", "saving", "active", "killed", "deleted",
            "uploading", "importing", "pending_delete", "deactivated"] },
        "visibility": { "type": "string", "enum": ["community", "public", "private", "shared"] },
        "protected": { "type": "boolean" },
        "os_hidden": { "type": "boolean" },
        "checksum": limited(32),
        "os_hash_algo": limited(64),
        "os_hash_value": limited(128),
        "owner": { "type": ["null", "string"], "maxLength": 255 },
        "size": read_only(json!(["null", "integer"])),
        "virtual_size": read_only(json!(["null", "integer"])),
        "container_format": { "type": ["null", "string"], "enum": [null, "raw"] },
        "disk_format": { "type": ["null", "string"], "enum": [null, "raw", "qcow2", "a b"] },
        "created_at": read_only(json!("string")),
        "updated_at": read_only(json!("string")),
        "tags": { "type": "array", "items": { "type": "string", "maxLength": 255 } },
        "direct_url": read_only(json!("string")),
        "min_ram": { "type": "integer" },
        "min_disk": { "type": "integer" },
        "self": read_only(json!("string")),
        "file": read_only(json!("string")),
        "schema": read_only(json!("string")),
        "stores": read_only(json!("string")),
    });
    let properties = schema.image()["properties"].as_object().unwrap();
    for (name, definition) in expected.as_object().unwrap() {
        assert_eq!(&normative(&properties[name]), definition, "{name}");
    }
    let locations = &properties["locations"];
    assert_eq!(locations["type"], "array");
    assert_eq!(locations["items"]["required"], json!(["url", "metadata"]));
    assert_eq!(locations["items"]["properties"]["url"], json!({ "type": "string", "maxLength": 255 }));
    let validation = &locations["items"]["properties"]["validation_data"];
    assert_eq!(validation["writeOnly"], true);
    assert_eq!(validation["additionalProperties"], false);
    assert_eq!(validation["required"], json!(["os_hash_algo", "os_hash_value"]));
}

#[test]
fn shipped_extension_is_marked() {
    // V2-045, V2-046, §5.3
    let schema = extended();
    let properties = &schema.image()["properties"];
    let declared = set([
        "kernel_id",
        "ramdisk_id",
        "instance_uuid",
        "architecture",
        "os_distro",
        "os_version",
        "description",
        "cinder_encryption_key_id",
        "cinder_encryption_key_deletion_policy",
    ]);
    assert_eq!(keys(properties), set(BASE).union(&declared).copied().collect());
    for name in declared {
        assert_eq!(properties[name]["is_base"], false, "{name}");
        assert!(schema.is_declared(name) && !schema.is_base(name), "{name}");
    }
    for name in BASE {
        assert!(properties[name].get("is_base").is_none(), "{name}");
    }
    assert_eq!(properties["kernel_id"]["type"], json!(["null", "string"]));
    assert_eq!(properties["kernel_id"]["pattern"], properties["id"]["pattern"]);
    assert_eq!(
        properties["cinder_encryption_key_deletion_policy"]["enum"],
        json!(["on_image_deletion", "do_not_delete"])
    );
    assert!(schema.image().get("required").is_none());
}

#[test]
fn images_embeds_image() {
    // V2-047, V2-048
    let schema = extended();
    let images = schema.images();
    assert_eq!(keys(images), set(["name", "properties", "links"]));
    assert_eq!(images["name"], "images");
    assert_eq!(keys(&images["properties"]), set(["images", "first", "next", "schema"]));
    assert_eq!(&images["properties"]["images"]["items"], schema.image());
    assert_eq!(links(images), [["first", "{first}"], ["next", "{next}"], ["describedby", "{schema}"]]);
}

#[test]
fn members_and_tasks_are_minimal() {
    // V2-049, V2-050, V2-051
    for (name, schema) in [("member", member()), ("task", task())] {
        assert_eq!(keys(&schema), set(["name", "properties"]));
        assert_eq!(schema["name"], name);
    }
    assert_eq!(
        keys(&member()["properties"]),
        set(["member_id", "image_id", "created_at", "updated_at", "status", "schema"])
    );
    assert_eq!(member()["properties"]["status"]["enum"], json!(["pending", "accepted", "rejected"]));
    for (name, item, schema) in [("members", "member", members()), ("tasks", "task", tasks())] {
        assert_eq!(keys(&schema), set(["name", "properties", "links"]));
        assert_eq!(schema["name"], name);
        assert_eq!(keys(&schema["properties"]), set([name, "schema"]));
        assert_eq!(links(&schema), [["describedby", "{schema}"]]);
        assert_eq!(schema["properties"][name]["items"]["name"], item);
    }
    assert_eq!(members()["properties"]["members"]["items"], member());
    let (full, short) = (task(), tasks());
    let short = keys(&short["properties"]["tasks"]["items"]["properties"]);
    assert_eq!(&keys(&full["properties"]) - &short, set(TASK_DETAILS));
    assert_eq!(
        short,
        set([
            "id",
            "type",
            "status",
            "owner",
            "image_id",
            "request_id",
            "user_id",
            "expires_at",
            "created_at",
            "updated_at",
            "self",
            "schema",
        ])
    );
    assert_eq!(
        task()["properties"]["type"]["enum"],
        json!(["import", "api_image_import", "location_import"])
    );
}

#[test]
fn extension_comes_in_two_layouts() {
    // §5.3
    let definition = json!({ "type": "string", "description": "d" });
    let flat = with(&json!({ "a": definition, "properties": { "type": "string" } })).unwrap();
    assert!(flat.is_declared("a") && flat.is_declared("properties"));
    let nested = with(&json!({ "properties": { "a": definition }, "required": ["a", "name"] })).unwrap();
    assert!(nested.is_declared("a") && !nested.is_declared("properties") && !nested.is_declared("required"));
    assert_eq!(nested.image()["required"], json!(["a", "name"]));
    assert_eq!(nested.image()["properties"]["a"]["is_base"], false);
    assert!(with(&json!({ "properties": {}, "required": [] })).unwrap().image().get("required").is_none());
}

#[test]
fn faulty_extensions_are_refused() {
    // V2-053
    let cases = [
        (json!([]), "must be a JSON object"),
        (json!({ "name": { "type": "string" } }), "'name' is a base property"),
        (json!({ "properties": { "size": { "type": "string" } } }), "'size' is a base property"),
        (json!({ "name": 5 }), "'name' is a base property"),
        (json!({ "p": { "type": "integer" } }), "'p' must be of type string"),
        (json!({ "p": { "type": ["string", "integer"] } }), "'p' must be of type string"),
        (json!({ "p": { "type": ["null"] } }), "'p' must be of type string"),
        (json!({ "p": {} }), "'p' must be of type string"),
        (json!({ "p": "string" }), "'p' must be of type string"),
        (json!({ "p": { "type": "string", "pattern": "[" } }), "'p': "),
        (json!({ "p": { "type": "string", "maxLength": "x" } }), "'p': "),
        (json!({ "p": { "type": "string", "$ref": "http://example.org/s.json" } }), "'p': "),
        (json!({ "properties": {}, "required": "p" }), "'required' must be a list"),
        (json!({ "properties": {}, "required": [5] }), "'required' must be a list"),
        (json!({ "properties": {}, "links": [] }), "'links' stands beside"),
    ];
    for (extension, expected) in cases {
        let problem = with(&extension).unwrap_err().to_string();
        assert!(problem.starts_with("schema extension: ") && problem.contains(expected), "{problem}");
    }
    // the same definition is no conflict, whatever its description says, and stays a base property
    let same = json!({ "name": { "type": ["null", "string"], "maxLength": 255, "description": "other" } });
    let schema = with(&same).unwrap();
    assert!(schema.is_base("name"));
    assert_eq!(schema.image()["properties"]["name"]["description"], "Descriptive name for the image");
}

#[test]
fn values_are_judged_by_type_length_enum_and_pattern() {
    // V2-065 to V2-070, V2-077, V2-079, V2-086, V2-088, V2-167, V2-170, V2-195
    let schema = extended();
    let tag = |n: usize| json!(["t".repeat(n)]);
    let location = |data: Value| json!([{ "url": "s3://a", "metadata": {}, "validation_data": data }]);
    let cases = [
        ("id", json!(UUID), true),
        ("id", json!("abc"), false),
        ("id", json!(format!("{UUID}\n")), false),
        ("id", json!(null), false),
        ("name", json!("é".repeat(255)), true),
        ("name", json!("é".repeat(256)), false),
        ("name", json!(null), true),
        ("name", json!(""), true),
        ("name", json!(5), false),
        ("owner", json!("o".repeat(256)), false),
        ("owner", json!(null), true),
        ("visibility", json!("secret"), false),
        ("visibility", json!("community"), true),
        ("visibility", json!(null), false),
        ("protected", json!("true"), false),
        ("protected", json!(1), false),
        ("protected", json!(true), true),
        ("os_hidden", json!("no"), false),
        ("os_hidden", json!(1), false),
        ("disk_format", json!("foo"), false),
        ("disk_format", json!("qcow2"), true),
        ("disk_format", json!(null), true),
        ("container_format", json!("foo"), false),
        ("container_format", json!("bare"), true),
        ("min_ram", json!("1"), false),
        ("min_ram", json!(1.0), false),
        ("min_ram", json!(true), false),
        ("min_ram", json!(null), false),
        ("min_ram", json!(-1), true), // no minimum: refused later
        ("tags", json!("x"), false),
        ("tags", json!([1]), false),
        ("tags", json!([]), true),
        ("tags", tag(255), true),
        ("tags", tag(256), false),
        ("custom", json!("x"), true),
        ("custom", json!(""), true),
        ("custom", json!(5), false),
        ("custom", json!(true), false),
        ("custom", json!(null), false),
        ("custom", json!([]), false),
        ("custom", json!({}), false),
        ("kernel_id", json!("x"), false),
        ("kernel_id", json!(UUID), true),
        ("kernel_id", json!(null), true),
        ("os_distro", json!(null), false),
        ("cinder_encryption_key_deletion_policy", json!("never"), false),
        ("locations", json!([{ "url": "s3://a", "metadata": {} }]), true),
        ("locations", json!([{ "url": "s3://a" }]), false),
        ("locations", json!([{ "url": "u".repeat(256), "metadata": {} }]), false),
        ("locations", json!([{ "url": "s3://a", "metadata": "x" }]), false),
        ("locations", location(json!({ "os_hash_algo": "sha512", "os_hash_value": "b" })), true),
        ("locations", location(json!({ "os_hash_algo": "sha512" })), false),
        ("locations", location(json!({ "os_hash_algo": "a", "os_hash_value": "b", "checksum": "c" })), false),
        ("locations", location(json!({ "os_hash_algo": "a", "os_hash_value": "b", "more": "c" })), false),
    ];
    for (name, value, fits) in cases {
        let fragment = schema.validate_fragment(name, &value);
        assert_eq!(fragment.is_ok(), fits, "{name} {value}");
        let document = json!({ "architecture": "x86_64", name: value });
        let whole = schema.validate(document.as_object().unwrap());
        assert_eq!(whole.is_ok(), fits, "{name} {value}");
        for error in [fragment, whole].into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().ends_with(&format!("on attribute '{name}'")), "{error}");
        }
    }
}

#[test]
fn required_counts_for_documents_alone() {
    // §5.3: a PATCH of one attribute does not repeat the others
    let schema =
        with(&json!({ "properties": { "a": { "type": "string" } }, "required": ["a", "b"] })).unwrap();
    let check = |document: Value| schema.validate(document.as_object().unwrap());
    assert!(check(json!({ "a": "1", "b": "2" })).is_ok());
    let error = check(json!({ "a": "1" })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().ends_with("on attribute 'b'"), "{error}");
    assert!(schema.validate_fragment("name", &json!("x")).is_ok());
}

#[test]
fn refusals_name_the_attribute_and_stay_short() {
    let error = extended().validate_fragment("id", &json!("abc")).unwrap_err();
    let start = "Provided object does not match schema 'image': \"abc\" does not match \"^([0-9a-fA-F]){8}-";
    assert!(error.message().starts_with(start), "{error}");
    let long = "é".repeat(100_000);
    for (name, value) in [("id", json!(long)), (long.as_str(), json!(5)), ("custom", json!([long]))] {
        let error = extended().validate_fragment(name, &value).unwrap_err();
        assert!(error.message().chars().count() < 800, "{}", error.message().chars().count());
    }
}

proptest! {
    #[test]
    fn no_extension_and_no_document_breaks_it(extension in samples::json(), document in samples::json()) {
        let extended = with(&extension);
        let schema = extended.as_ref().unwrap_or(samples::shipped());
        if let Some(document) = document.as_object() {
            let _ = schema.validate(document);
        }
        let _ = schema.validate_fragment("tags", &document);
        let _ = schema.validate_fragment("locations", &document);
    }
}
