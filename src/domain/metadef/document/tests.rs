#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::error::ErrorKind;

const EMOJI: &str = "\u{1F600}";

fn entry() -> Value {
    json!({ "title": "T", "type": "string" })
}

fn with(document: &Value, more: &Value) -> Value {
    let mut all = document.clone();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

#[track_caller]
fn refused<T: std::fmt::Debug>(read: Result<Draft<T>>, kind: ErrorKind) {
    let error = read.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().len() < 3000, "{}", error.message().len());
}

#[test]
fn md_014_and_038_what_is_left_out_of_a_namespace() {
    let read = new_namespace(&json!({ "namespace": "n" }), Some("p")).unwrap().accept().unwrap();
    let expected = NamespaceFields {
        namespace: "n".to_owned(),
        display_name: None,
        description: None,
        visibility: Some(Visibility::Private),
        protected: Some(false),
        owner: "p".to_owned(),
    };
    assert_eq!(read.namespace, expected);
    assert_eq!(namespace(&json!({ "namespace": "n" }), Some("p")).unwrap().accept().unwrap(), expected);
    // nobody to own it: said after everything else
    for owned in [json!({ "namespace": "n", "owner": "o" }), json!({ "namespace": "n", "owner": "" })] {
        assert!(new_namespace(&owned, None).unwrap().accept().is_ok());
    }
    let draft = new_namespace(&json!({ "namespace": "n" }), None).unwrap();
    assert!(draft.is_refused());
    assert_eq!(draft.accept().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn md_007_to_010_what_only_the_service_sets_is_forbidden_before_anything_else() {
    for name in ["self", "schema", "created_at", "updated_at"] {
        let document = json!({ name: 5, "junk": 1 });
        refused(new_namespace(&document, Some("p")), ErrorKind::Forbidden);
        refused(namespace(&document, Some("p")), ErrorKind::Forbidden);
        refused(object(&document), ErrorKind::Forbidden);
        let stamp = name.ends_with("_at");
        let kind = if stamp { ErrorKind::Forbidden } else { ErrorKind::Invalid };
        refused(property(&with(&json!({ "name": "p", name: "x" }), &entry())), kind);
        refused(association(&json!({ "name": "t", name: "x" })), kind);
        refused(tag(&json!({ "name": "t", name: "x" })), kind);
        refused(tags(&json!({ "tags": [], name: "x" })), kind);
    }
    for document in [json!([]), json!([{ "created_at": 1 }])] {
        refused(new_namespace(&document, Some("p")), ErrorKind::Invalid);
        refused(tags(&document), ErrorKind::Invalid);
    }
}

#[test]
fn md_017_to_019_attributes_of_a_namespace() {
    let name = "é".repeat(80);
    let fine = json!({ "namespace": name, "display_name": name, "description": "é".repeat(500),
        "owner": "é".repeat(255), "visibility": "public", "protected": true });
    assert!(new_namespace(&fine, Some("p")).is_ok() && namespace(&fine, Some("p")).is_ok());
    for wrong in [
        json!({ "namespace": "é".repeat(81) }),
        json!({ "namespace": "" }),
        json!({ "namespace": 5 }),
        json!({ "display_name": "é".repeat(81) }),
        json!({ "display_name": 5 }),
        json!({ "description": "é".repeat(501) }),
        json!({ "description": null }),
        json!({ "owner": "é".repeat(256) }),
        json!({ "owner": null }),
        json!({ "visibility": "shared" }),
        json!({ "protected": "yes" }),
        json!({ "junk": 1 }),
        json!({ "tags": {} }),
        json!({ "properties": [] }),
        json!({ "properties": { "p": { "type": "string" } } }),
    ] {
        let document = with(&json!({ "namespace": "n" }), &wrong);
        refused(new_namespace(&document, Some("p")), ErrorKind::Invalid);
        refused(namespace(&document, Some("p")), ErrorKind::Invalid);
    }
    refused(namespace(&json!({ "display_name": "x" }), Some("p")), ErrorKind::Invalid);
}

#[test]
fn md_022_what_is_in_a_namespace_is_judged_when_it_is_created() {
    let long = "n".repeat(81);
    for wrong in [
        json!({ "objects": [{}] }),
        json!({ "objects": [{ "name": long }] }),
        json!({ "objects": [{ "name": "o", "junk": 1 }] }),
        json!({ "objects": [{ "name": "o", "required": ["a", "a"] }] }),
        json!({ "objects": [{ "name": "o", "properties": { "a": { "title": "A", "type": "string", "junk": 1 } } }] }),
        json!({ "objects": ["o"] }),
        json!({ "tags": [{}] }),
        json!({ "tags": [{ "name": "" }] }),
        json!({ "tags": [{ "name": "t", "junk": 1 }] }),
        json!({ "tags": [{ "name": long }] }),
        json!({ "resource_type_associations": [{}] }),
        json!({ "resource_type_associations": [{ "name": "t", "junk": 1 }] }),
        json!({ "resource_type_associations": [{ "name": "t", "prefix": long }] }),
        json!({ "properties": { long.as_str(): entry() } }),
        json!({ "properties": { "p": with(&entry(), &json!({ "required": ["a"] })) } }),
    ] {
        refused(new_namespace(&with(&json!({ "namespace": "n" }), &wrong), Some("p")), ErrorKind::Invalid);
    }
    // MD-040: what an answer holds can be sent back
    let sent_back = json!({
        "namespace": "n",
        "objects": [{ "name": "o", "self": "/o", "schema": "/s", "created_at": "x", "updated_at": "y", "required": [] }],
        "resource_type_associations": [{ "name": "t", "created_at": "x", "updated_at": "y" }],
        "properties": { "p": { "name": "q", "title": "T", "type": "string" } },
        "tags": [{ "name": "t" }],
    });
    let read = new_namespace(&sent_back, Some("p")).unwrap().accept().unwrap();
    assert_eq!((read.objects[0].name.as_str(), read.tags.as_slice()), ("o", &["t".to_owned()][..]));
    // the key wins
    assert_eq!(read.properties[0].name, "p");
    assert_eq!(Value::Object(read.properties[0].schema.clone()), entry());
    assert!(namespace(&sent_back, Some("p")).unwrap().accept().is_ok());
}

#[test]
fn md_047_to_049_objects() {
    let o = object(&json!({ "name": "o" })).unwrap().accept().unwrap();
    assert_eq!((o.description, o.required.len(), o.properties.len()), (None, 0, 0));
    let sent =
        json!({ "p": { "title": "T", "type": "integer", "minimum": 1, "maximum": 9, "default": "5" } });
    let document = json!({ "name": "o", "required": ["p", "a,b"], "properties": sent });
    let o = object(&document).unwrap().accept().unwrap();
    assert_eq!(Value::Object(o.properties), sent);
    assert_eq!(o.required, ["p", "a,b"]);
    // a name within is kept as it was sent
    let named = json!({ "p": with(&entry(), &json!({ "name": "x" })) });
    let o = object(&json!({ "name": "o", "properties": named })).unwrap().accept().unwrap();
    assert_eq!(Value::Object(o.properties), named);
    for wrong in [
        json!({ "name": "o", "properties": { "p": with(&entry(), &json!({ "junk": 1 })) } }),
        json!({ "name": "o", "properties": { "p": { "title": "x" } } }),
        json!({ "name": "o", "properties": { "p": { "type": "string" } } }),
        json!({ "name": "o", "junk": 1 }),
        json!({ "description": "no name" }),
        json!({ "name": "n".repeat(81) }),
        json!({ "name": 5 }),
    ] {
        refused(object(&wrong), ErrorKind::Invalid);
    }
}

#[test]
fn md_056_defaults_are_text() {
    for (sent, shown) in [
        (json!(100), json!("100")),
        (json!(-1), json!("-1")),
        (json!(1.5), json!("1.5")),
        (json!(1.0), json!("1.0")),
        (json!(true), json!("True")),
        (json!(false), json!("False")),
        (json!("x"), json!("x")),
        (json!([1]), Value::Null),
        (json!({ "a": 1 }), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let document = with(&entry(), &json!({ "name": "p", "default": sent }));
        let read = property(&document).unwrap().accept().unwrap();
        assert_eq!(read.schema["default"], shown, "{sent}");
        assert!(!read.schema.contains_key("name"));
    }
}

#[test]
fn md_057_to_059_properties() {
    let whole = with(&entry(), &json!({ "name": "p" }));
    for name in ["name", "title", "type"] {
        let mut document = whole.clone();
        document.as_object_mut().unwrap().remove(name);
        refused(property(&document), ErrorKind::Invalid);
    }
    for fine in [
        json!({ "minimum": 1.5, "maximum": 2, "minLength": 0, "maxLength": 5, "minItems": 0, "maxItems": 1 }),
        json!({ "pattern": "(", "readonly": true, "uniqueItems": false, "additionalItems": true }),
        json!({ "enum": ["a", "a"], "operators": ["<or>"], "items": { "type": "string", "enum": ["x"] } }),
    ] {
        let read = property(&with(&whole, &fine)).unwrap().accept().unwrap();
        assert_eq!(Value::Object(read.schema), with(&entry(), &fine));
    }
    for wrong in [
        json!({ "type": "float" }),
        json!({ "type": null }),
        json!({ "maxLength": -1 }),
        json!({ "maxLength": 1.5 }),
        json!({ "readonly": "no" }),
        json!({ "minimum": "1" }),
        json!({ "enum": "x" }),
        json!({ "enum": ["a", 1] }),
        json!({ "operators": [1] }),
        json!({ "title": 5 }),
        json!({ "name": "n".repeat(81) }),
        json!({ "junk": 1 }),
        json!({ "confidential": true }),
        json!({ "required": ["a"] }),
        json!({ "items": {} }),
        json!({ "items": { "type": "string", "junk": 1 } }),
        json!({ "items": { "type": "string", "enum": [1] } }),
    ] {
        refused(property(&with(&whole, &wrong)), ErrorKind::Invalid);
    }
}

#[test]
fn md_068_078_079_associations_and_tags() {
    let read = association(&json!({ "name": "t", "prefix": "", "properties_target": "x" })).unwrap();
    assert_eq!(read.content().prefix.as_deref(), Some(""));
    for wrong in [
        json!({ "prefix": "x" }),
        json!({ "name": "t", "junk": 1 }),
        json!({ "name": "n".repeat(81) }),
        json!({ "name": "t", "prefix": "p".repeat(81) }),
        json!({ "name": "t", "properties_target": "p".repeat(81) }),
    ] {
        refused(association(&wrong), ErrorKind::Invalid);
    }
    refused(tag(&json!({ "name": "t", "x": 1 })), ErrorKind::Invalid);
    refused(tag(&json!({})), ErrorKind::Invalid);
    let names = tags(&json!({ "tags": [{ "name": "b" }, { "name": "a" }, { "name": "b" }] })).unwrap();
    assert_eq!(names.accept().unwrap(), ["b", "a", "b"]);
    assert!(tags(&json!({ "tags": [] })).unwrap().accept().unwrap().is_empty());
    for wrong in [
        json!({}),
        json!({ "tags": "x" }),
        json!({ "tags": ["x"] }),
        json!({ "tags": [{}] }),
        json!({ "tags": [{ "name": 5 }] }),
        json!({ "tags": [{ "name": "n".repeat(81) }] }),
        json!({ "tags": [{ "name": "a", "x": 1 }] }),
        json!({ "tags": [], "x": 1 }),
    ] {
        refused(tags(&wrong), ErrorKind::Invalid);
    }
    assert!(check_tag_name(&"é".repeat(80)).is_ok());
    assert_eq!(check_tag_name(&"é".repeat(81)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn md_094_text_that_cannot_be_stored_is_refused_last_and_everywhere() {
    for bad in [EMOJI, "a\0"] {
        for document in [
            json!({ "namespace": bad }),
            json!({ "namespace": "n", "description": bad }),
            json!({ "namespace": "n", "owner": bad }),
            json!({ "namespace": "n", "tags": [{ "name": bad }] }),
            json!({ "namespace": "n", "resource_type_associations": [{ "name": "t", "prefix": bad }] }),
            json!({ "namespace": "n", "properties": { bad: entry() } }),
            json!({ "namespace": "n", "objects": [{ "name": "o", "required": [bad] }] }),
            json!({ "namespace": "n", "objects": [{ "name": "o", "properties": { bad: entry() } }] }),
        ] {
            let draft = new_namespace(&document, Some("p")).unwrap();
            assert!(draft.is_refused(), "{document}");
            assert_eq!(draft.accept().unwrap_err().kind(), ErrorKind::Invalid);
            assert!(of_file(&document).is_err());
            // what is ignored does no harm
            let ignored = document["namespace"] == "n"
                && document.as_object().unwrap().len() == 2
                && COLLECTIONS.iter().any(|name| document.get(name).is_some());
            assert_eq!(namespace(&document, Some("p")).unwrap().is_refused(), !ignored, "{document}");
        }
        for more in [
            json!({ "name": bad }),
            json!({ "title": bad }),
            json!({ "enum": [bad] }),
            json!({ "operators": [bad] }),
            json!({ "items": { "type": "string", "enum": [bad] } }),
        ] {
            let document = with(&with(&entry(), &json!({ "name": "p" })), &more);
            assert!(property(&document).unwrap().is_refused(), "{document}");
        }
        assert!(tag(&json!({ "name": bad })).unwrap().is_refused());
        assert!(tags(&json!({ "tags": [{ "name": bad }] })).unwrap().is_refused());
        assert!(association(&json!({ "name": bad })).unwrap().is_refused());
    }
    let fine = json!({ "name": "Größe 日本\u{FFFF}" });
    assert!(!tag(&fine).unwrap().is_refused());
}

#[test]
fn files_come_back_as_they_were() {
    let file = json!({
        "namespace": "OS::Compute::Example",
        "display_name": "Example",
        "description": "An example",
        "visibility": "public",
        "protected": true,
        "resource_type_associations": [
            { "name": "OS::Glance::Image", "prefix": "hw_" },
            { "name": "OS::Cinder::Volume", "prefix": "hw_", "properties_target": "image" },
            { "name": "OS::Nova::Server" },
        ],
        "properties": {
            "cpu:model": { "title": "M", "type": "string", "operators": ["<or>"], "enum": ["b", "a"] },
            "features": { "title": "F", "type": "array", "items": { "type": "string", "enum": ["x"] } },
            "port": { "title": "P", "type": "integer", "minimum": 1, "maximum": 65535, "default": "80", "readonly": false },
        },
        "objects": [
            { "name": "B", "description": "d", "properties": { "v": { "title": "V", "type": "string" } } },
            { "name": "A", "required": ["x"], "properties": { "x": { "title": "X", "type": "string" } } },
        ],
        "tags": [{ "name": "t" }],
    });
    assert_eq!(to_file(&of_file(&file).unwrap()), file);
    let sparse = json!({ "namespace": "n", "owner": "somebody" });
    assert_eq!(to_file(&of_file(&sparse).unwrap()), sparse);
    // §13: what files leave open
    let read = of_file(&json!({ "namespace": "n" })).unwrap();
    let left = (read.namespace.owner.as_str(), read.namespace.visibility, read.namespace.protected);
    assert_eq!(left, ("admin", None, None));
    // §6 holds for files too
    let with_number =
        json!({ "namespace": "n", "properties": { "p": with(&entry(), &json!({ "default": 1 })) } });
    assert_eq!(of_file(&with_number).unwrap().properties[0].schema["default"], "1");
}

#[test]
fn a_bad_file_is_told_where_it_is_bad() {
    for (file, pointer) in [
        (json!([]), ""),
        (json!({ "display_name": "x" }), ""),
        (json!({ "namespace": "n", "junk": 1 }), "/junk"),
        (json!({ "namespace": "n", "visibility": "shared" }), "/visibility"),
        (json!({ "namespace": "n", "tags": [{ "name": "t" }, {}] }), "/tags/1"),
        (json!({ "namespace": "n", "tags": [{ "name": "n".repeat(81) }] }), "/tags/0/name"),
        (json!({ "namespace": "n", "properties": { "a/b": { "type": "string" } } }), "/properties/a~1b"),
        (
            json!({ "namespace": "n", "properties": { "p": with(&entry(), &json!({ "enum": ["a", 1] })) } }),
            "/properties/p/enum/1",
        ),
        (json!({ "namespace": "n", "objects": [{ "name": "o", "junk": 1 }] }), "/objects/0/junk"),
        (json!({ "namespace": "n", "description": EMOJI }), "/description"),
    ] {
        let misfit = of_file(&file).unwrap_err();
        assert_eq!(misfit.pointer, pointer, "{file}: {misfit}");
        assert!(!misfit.reason.is_empty());
    }
}

#[test]
fn refusals_are_short_whatever_is_sent() {
    let long = "x".repeat(1 << 20);
    refused(new_namespace(&json!({ "namespace": "n", long.as_str(): 1 }), Some("p")), ErrorKind::Invalid);
    refused(new_namespace(&json!({ "namespace": long }), Some("p")), ErrorKind::Invalid);
    refused(
        object(&json!({ "name": "o", "properties": { long.as_str(): { "title": 1 } } })),
        ErrorKind::Invalid,
    );
    let bad = format!("{long}\0");
    let draft = object(&json!({ "name": "o", "properties": { bad: entry() } })).unwrap();
    assert!(draft.accept().unwrap_err().message().len() < 3000);
}
