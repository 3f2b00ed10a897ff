//! Objects (metadefs.md §5).

use serde_json::{Value, json};

use super::{
    ADMIN, LETTERS, ROOT, STAMP, all_refused, ask, at, child, delete, full, get, keys, kind, made, names,
    post, put, read, refused, schema, space, without,
};
use crate::support::api::Service;

/// The path of all objects of the namespace `Ns`.
fn objects() -> String {
    kind("Ns", "objects")
}

fn object(name: &str) -> String {
    child("Ns", "objects", name)
}

/// A property with all that can be said of one, except what comes back as a text.
fn whole() -> Value {
    json!({
        "title": "T", "type": "array", "description": "d", "operators": ["<or>", "<in>"], "readonly": true,
        "minimum": -1, "maximum": 9, "enum": ["a", "b"], "pattern": "^[a", "minLength": 0, "maxLength": 5,
        "items": { "type": "string", "enum": ["x"] }, "minItems": 0, "maxItems": 3, "uniqueItems": true,
        "additionalItems": false, "default": "text",
    })
}

#[tokio::test]
async fn md_046_creating() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let document =
        json!({ "name": "o", "description": "d", "required": ["b", "a"], "properties": { "a": schema() } });
    let answer = ask(&service, ADMIN, &post(objects(), document.clone())).await.expect(201);
    assert_eq!(answer.header("Location"), None);
    let whole = answer.json();
    assert_eq!(without(whole.clone(), &["self", "schema", "created_at", "updated_at"]), document);
    assert_eq!(whole["self"], json!(format!("{ROOT}/Ns/objects/o")));
    assert_eq!(whole["schema"], json!("/v2/schemas/metadefs/object"));
    assert_eq!(whole["created_at"], whole["updated_at"]);
    assert_eq!(read(&service, &object("o")).await, whole);
    refused(&service, ADMIN, &post(objects(), json!({ "name": "o" })), 409).await;
    refused(&service, ADMIN, &post(objects(), document), 409).await;
    // with a name only
    let bare = made(&service, &objects(), json!({ "name": "bare" })).await;
    let rest = without(bare, &["required", "properties"]);
    assert_eq!(keys(&rest), ["created_at", "name", "schema", "self", "updated_at"].into());
    let shown = read(&service, &object("bare")).await;
    assert_eq!((&shown["required"], &shown["properties"]), (&json!([]), &json!({})));
    assert_eq!(shown.get("description"), None);
    // the same name elsewhere is another
    space(&service, "Other", json!({})).await;
    made(&service, &kind("Other", "objects"), json!({ "name": "o" })).await;
}

fn unfitting() -> Vec<Value> {
    let mut all = vec![
        json!({}),
        json!({ "description": "no name" }),
        json!({ "name": "o", "junk": 1 }),
        json!({ "name": "o", "owner": "x" }),
        json!({ "name": 5 }),
        json!({ "name": null }),
        json!({ "name": "o", "description": 5 }),
        json!({ "name": "o", "description": null }),
        json!({ "name": "o", "required": "a" }),
        json!({ "name": "o", "required": null }),
        json!({ "name": "o", "required": [5] }),
        json!({ "name": "o", "required": ["a", "a"] }),
        json!({ "name": "o", "properties": [] }),
        json!({ "name": "o", "properties": null }),
        json!({ "name": "o", "properties": { "p": "x" } }),
        json!({ "name": "o", "properties": { "p": null } }),
    ];
    let entries = [
        json!({ "title": "T" }),
        json!({ "type": "string" }),
        json!({ "title": "T", "type": null }),
        json!({ "title": "T", "type": "float" }),
        json!({ "title": 5, "type": "string" }),
        json!({ "title": "T", "type": "string", "junk": 1 }),
        json!({ "title": "T", "type": "string", "confidential": true }),
        json!({ "title": "T", "type": "string", "created_at": STAMP }),
        json!({ "title": "T", "type": "string", "maxLength": -1 }),
        json!({ "title": "T", "type": "string", "readonly": "no" }),
        json!({ "title": "T", "type": "string", "enum": [1] }),
        json!({ "title": "T", "type": "string", "operators": "x" }),
        json!({ "title": "T", "type": "array", "items": { "enum": ["x"] } }),
    ];
    all.extend(entries.map(|entry| json!({ "name": "o", "properties": { "p": entry } })));
    all
}

#[tokio::test]
async fn md_047_documents_that_do_not_fit() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    made(&service, &objects(), json!({ "name": "o", "description": "kept" })).await;
    let calls: Vec<_> = unfitting()
        .into_iter()
        .flat_map(|document| [post(objects(), document.clone()), put(object("o"), document)])
        .collect();
    all_refused(&service, ADMIN, &calls, 400).await;
}

#[tokio::test]
async fn md_048_properties_come_back_as_they_were_sent() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let sent = json!({ "p": whole(), "OS::q": schema(), "r,s": schema() });
    let document = json!({ "name": "o", "required": ["p", "r,s", "none"], "properties": sent });
    made(&service, &objects(), document.clone()).await;
    let shown = read(&service, &object("o")).await;
    assert_eq!(shown["properties"], sent);
    // an entry with a comma is one, and it need not be among the properties
    assert_eq!(shown["required"], json!(["p", "r,s", "none"]));
    assert_eq!(read(&service, &objects()).await["objects"][0], shown);
    assert_eq!(read(&service, &at("Ns")).await["objects"][0], shown);
    ask(&service, ADMIN, &put(object("o"), document)).await.expect(200);
    assert_eq!(read(&service, &object("o")).await["properties"], sent);
    // defaults as texts
    for (given, text) in [
        (json!(5), json!("5")),
        (json!(-1.5), json!("-1.5")),
        (json!(true), json!("True")),
        (json!(false), json!("False")),
        (json!("x"), json!("x")),
        (json!([1]), Value::Null),
        (json!({ "a": 1 }), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let entry = super::merged(schema(), &json!({ "default": given }));
        let document = json!({ "name": "o", "properties": { "p": entry } });
        ask(&service, ADMIN, &put(object("o"), document)).await.expect(200);
        let shown = read(&service, &object("o")).await;
        // a null default may also be left out
        assert_eq!(shown["properties"]["p"]["default"], text, "{given}");
    }
}

#[tokio::test]
async fn a_change_tolerates_names_inside_entries() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let entry = super::merged(schema(), &json!({ "name": "a" }));
    let document = json!({ "name": "obj", "properties": { "a": entry } });
    ask(&service, ADMIN, &put(object("obj"), document)).await.expect(200);
    assert_eq!(keys(&read(&service, &object("obj")).await["properties"]), ["a"].into());
}

#[tokio::test]
async fn md_049_what_is_left_out_is_reset() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let all = json!({ "description": "d", "required": ["p"], "properties": { "p": schema() } });
    for name in ["description", "required", "properties"] {
        made(&service, &objects(), super::merged(json!({ "name": name }), &all)).await;
        let rest = super::merged(json!({ "name": name }), &without(all.clone(), &[name]));
        ask(&service, ADMIN, &put(object(name), rest.clone())).await.expect(200);
        let empty = json!({ "required": [], "properties": {} });
        let shown = read(&service, &object(name)).await;
        assert_eq!(shown.get(name), empty.get(name), "{name}");
        for (other, value) in rest.as_object().unwrap() {
            assert_eq!(shown[other], *value, "{other} when {name} is reset");
        }
    }
    made(&service, &objects(), super::merged(json!({ "name": "o" }), &all)).await;
    ask(&service, ADMIN, &put(object("o"), json!({ "name": "o" }))).await.expect(200);
    let shown = without(read(&service, &object("o")).await, &["self", "schema", "created_at", "updated_at"]);
    assert_eq!(shown, json!({ "name": "o", "required": [], "properties": {} }));
}

#[tokio::test]
async fn md_050_renaming() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let kept = json!({ "description": "d", "required": ["p"], "properties": { "p": schema() } });
    made(&service, &objects(), super::merged(json!({ "name": "a" }), &kept)).await;
    made(&service, &objects(), json!({ "name": "b" })).await;
    refused(&service, ADMIN, &put(object("a"), json!({ "name": "b" })), 409).await;
    refused(&service, ADMIN, &put(object("none"), json!({ "name": "none" })), 404).await;
    let mut old = "a".to_owned();
    for new in ["z", "OS::Nova::Server", LETTERS, "a/b", "a"] {
        let document = super::merged(json!({ "name": new }), &kept);
        let answer = ask(&service, ADMIN, &put(object(&old), document)).await.expect(200).json();
        assert_eq!(answer["self"], json!(format!("{ROOT}/Ns/objects/{new}")));
        ask(&service, ADMIN, &get(object(&old))).await.expect(404);
        assert_eq!(read(&service, &object(new)).await, answer);
        new.clone_into(&mut old);
    }
    // to itself, and to a name that was given up
    ask(&service, ADMIN, &put(object("a"), json!({ "name": "a" }))).await.expect(200);
    made(&service, &objects(), json!({ "name": "z" })).await;
}

#[tokio::test]
async fn times_of_objects() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    super::level_times(&service).await;
    let before = read(&service, &object("obj")).await;
    assert_eq!((&before["created_at"], &before["updated_at"]), (&json!(STAMP), &json!(STAMP)));
    let answer = ask(&service, ADMIN, &put(object("obj"), json!({ "name": "obj" }))).await.expect(200).json();
    let shown = read(&service, &object("obj")).await;
    assert_eq!(shown["created_at"], json!(STAMP));
    assert!(shown["updated_at"].as_str().unwrap() > STAMP);
    assert_eq!(answer["updated_at"], shown["updated_at"]);
    service.sql("UPDATE metadef_objects SET updated_at = NULL").await;
    assert_eq!(read(&service, &object("obj")).await.get("updated_at"), None);
}

#[tokio::test]
async fn md_051_the_list() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let empty = json!({ "objects": [], "schema": "v2/schemas/metadefs/objects" });
    assert_eq!(read(&service, &objects()).await, empty);
    for name in ["c", "a", "b"] {
        made(&service, &objects(), json!({ "name": name })).await;
    }
    let list = read(&service, &objects()).await;
    assert_eq!(keys(&list), ["objects", "schema"].into());
    assert_eq!(list["schema"], json!("v2/schemas/metadefs/objects"));
    // in the order of creation, even when all were made at once
    super::level_times(&service).await;
    assert_eq!(names(&read(&service, &objects()).await, "objects"), ["c", "a", "b"]);
    for one in read(&service, &objects()).await["objects"].as_array().unwrap() {
        assert_eq!(*one, read(&service, &object(one["name"].as_str().unwrap())).await);
    }
}

#[tokio::test]
async fn md_052_parameters_are_checked_and_change_nothing() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for name in ["b", "a"] {
        made(&service, &objects(), json!({ "name": name })).await;
    }
    let whole = read(&service, &objects()).await;
    for query in [
        "limit=1",
        "limit=5000",
        "marker=b",
        "marker=none",
        "sort_key=name",
        "sort_key=junk",
        "sort_dir=asc",
        "sort_dir=desc",
        "sort_key=name&sort_dir=asc",
        "visibility=public",
        "visibility=private",
        "visibility=shared",
        "junk=1",
        "resource_type=x",
    ] {
        assert_eq!(read(&service, &format!("{}?{query}", objects())).await, whole, "{query}");
    }
    for query in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "sort_dir=up",
        "sort_dir=ASC",
        "visibility=foo",
        "visibility=Public",
    ] {
        let answer = ask(&service, ADMIN, &get(format!("{}?{query}", objects()))).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test]
async fn md_053_deleting() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for name in ["a", "b", "c"] {
        made(&service, &objects(), json!({ "name": name })).await;
    }
    ask(&service, ADMIN, &delete(object("a"))).await.expect(204);
    ask(&service, ADMIN, &get(object("a"))).await.expect(404);
    refused(&service, ADMIN, &delete(object("a")), 404).await;
    refused(&service, ADMIN, &put(object("a"), json!({ "name": "a" })), 404).await;
    assert_eq!(names(&read(&service, &objects()).await, "objects"), ["obj", "b", "c"]);
    let before = read(&service, &at("Ns")).await;
    for _ in 0..2 {
        ask(&service, ADMIN, &delete(objects())).await.expect(204);
        assert_eq!(read(&service, &at("Ns")).await, without(before.clone(), &["objects"]));
    }
    made(&service, &objects(), json!({ "name": "a" })).await;
    for call in
        [delete(kind("none", "objects")), delete(child("none", "objects", "a")), get(kind("none", "objects"))]
    {
        refused(&service, ADMIN, &call, 404).await;
    }
    refused(&service, ADMIN, &post(kind("none", "objects"), json!({ "name": "x" })), 404).await;
}

#[tokio::test]
async fn md_054_length_of_names() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    made(&service, &objects(), json!({ "name": "o" })).await;
    for letter in ["n", "日"] {
        let (most, more) = (letter.repeat(80), letter.repeat(81));
        refused(&service, ADMIN, &post(objects(), json!({ "name": more })), 400).await;
        refused(&service, ADMIN, &put(object("o"), json!({ "name": more })), 400).await;
        made(&service, &objects(), json!({ "name": most })).await;
        refused(&service, ADMIN, &put(object(&most), json!({ "name": more })), 400).await;
        assert_eq!(read(&service, &object(&most)).await["name"], json!(most));
    }
    // nothing else has a length
    let long = "x".repeat(20_000);
    let document = json!({
        "name": "long", "description": long, "required": [long],
        "properties": { "p": { "title": long, "type": "string", "description": long } },
    });
    made(&service, &objects(), document).await;
    assert_eq!(read(&service, &object("long")).await["description"], json!(long));
}
