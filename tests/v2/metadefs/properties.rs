//! Properties (metadefs.md §6).

use serde_json::{Value, json};

use super::{
    ADMIN, BARE, LETTERS, PREFIXED, STAMP, all_refused, ask, at, child, delete, full, get, keys, kind, made,
    post, property, put, read, refused, schema, space, without,
};
use crate::support::api::Service;

/// The path of all properties of the namespace `Ns`.
fn properties() -> String {
    kind("Ns", "properties")
}

fn one(name: &str) -> String {
    child("Ns", "properties", name)
}

/// All that can be said of a property.
fn whole(name: &str) -> Value {
    json!({
        "name": name, "title": "T", "type": "array", "description": "d", "operators": ["<or>", "<in>"],
        "readonly": true, "minimum": -1, "maximum": 9, "enum": ["a", "b", "a"], "pattern": "^[a", "minLength": 0,
        "maxLength": 5, "items": { "type": "string", "enum": ["x"] }, "minItems": 0, "maxItems": 3,
        "uniqueItems": true, "additionalItems": false, "default": "text",
    })
}

#[tokio::test]
async fn md_055_creating() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for document in [property("bare", json!({})), whole("whole")] {
        let name = document["name"].as_str().unwrap();
        let answer = ask(&service, ADMIN, &post(properties(), document.clone())).await.expect(201);
        assert_eq!(answer.header("Location"), None);
        assert_eq!(answer.json(), document);
        assert_eq!(read(&service, &one(name)).await, document);
        refused(&service, ADMIN, &post(properties(), document.clone()), 409).await;
        refused(&service, ADMIN, &post(properties(), property(name, json!({ "type": "number" }))), 409).await;
        // clients send back what they have got
        let answer = ask(&service, ADMIN, &put(one(name), document.clone())).await.expect(200);
        assert_eq!(answer.json(), document);
    }
    space(&service, "Other", json!({})).await;
    made(&service, &kind("Other", "properties"), property("bare", json!({}))).await;
}

#[tokio::test]
async fn md_056_defaults_are_texts() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    made(&service, &properties(), property("changed", json!({}))).await;
    let cases = [
        (json!(100), json!("100")),
        (json!(0), json!("0")),
        (json!(-7), json!("-7")),
        (json!(1.5), json!("1.5")),
        (json!(true), json!("True")),
        (json!(false), json!("False")),
        (json!("x"), json!("x")),
        (json!(""), json!("")),
        (json!("true"), json!("true")),
        (json!(LETTERS), json!(LETTERS)),
        (json!([1, "a"]), Value::Null),
        (json!({ "a": 1 }), Value::Null),
        (Value::Null, Value::Null),
    ];
    for (n, (given, text)) in cases.into_iter().enumerate() {
        let name = format!("p{n}");
        let answer = made(&service, &properties(), property(&name, json!({ "default": given }))).await;
        assert_eq!(answer["default"], text, "{given}");
        assert_eq!(read(&service, &one(&name)).await["default"], text, "{given}");
        let document = property("changed", json!({ "default": given }));
        let answer = ask(&service, ADMIN, &put(one("changed"), document)).await.expect(200).json();
        assert_eq!(answer["default"], text, "{given}");
        let shown = read(&service, &at("Ns")).await;
        assert_eq!(shown["properties"]["changed"]["default"], text, "{given}");
    }
    let in_namespace = json!({ "properties": { "p": super::merged(schema(), &json!({ "default": 100 })) } });
    let answer = space(&service, "Other", in_namespace).await;
    assert!(answer["properties"]["p"].is_object());
    assert_eq!(read(&service, &child("Other", "properties", "p")).await["default"], json!("100"));
}

#[tokio::test]
async fn numbers_stay_numbers() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for (n, number) in
        [json!(0), json!(-3), json!(1.5), json!(-0.25), json!(9_007_199_254_740_993_u64)].iter().enumerate()
    {
        let document = property(&format!("p{n}"), json!({ "minimum": number, "maximum": number }));
        assert_eq!(made(&service, &properties(), document.clone()).await, document, "{number}");
        assert_eq!(read(&service, &one(&format!("p{n}"))).await, document, "{number}");
    }
    // one with an empty fraction is a number and an integer
    let answer = ask(&service, ADMIN, &post(properties(), property("p", json!({ "minimum": 2.0 })))).await;
    assert_eq!(answer.expect(201).json()["minimum"].as_f64(), Some(2.0));
    let longest = json!({ "minLength": 0, "maxLength": 2_147_483_648_u64, "minItems": 1, "maxItems": 1 });
    let document = property("q", longest);
    assert_eq!(made(&service, &properties(), document.clone()).await, document);
}

#[tokio::test]
async fn nothing_is_held_against_anything_else() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for (n, more) in [
        json!({ "minimum": 5, "maximum": 1 }),
        json!({ "minLength": 5, "maxLength": 1 }),
        json!({ "default": "z", "enum": ["a"] }),
        json!({ "type": "integer", "default": "z", "pattern": "(" }),
        json!({ "type": "string", "items": { "type": "number" } }),
        json!({ "enum": [] }),
        json!({ "operators": [] }),
        json!({ "title": "", "description": "", "pattern": "" }),
    ]
    .into_iter()
    .enumerate()
    {
        let document = property(&format!("p{n}"), more);
        assert_eq!(made(&service, &properties(), document.clone()).await, document);
    }
}

#[tokio::test]
async fn md_057_to_059_documents_that_do_not_fit() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    made(&service, &properties(), property("p", json!({ "description": "kept" }))).await;
    let mut wrong = vec![json!({})];
    // MD-057
    for name in ["name", "title", "type"] {
        wrong.push(without(property("p", json!({})), &[name]));
        wrong.push(property("p", json!({ name: null })));
        wrong.push(property("p", json!({ name: 5 })));
    }
    let more = [
        // MD-058
        json!({ "type": "float" }),
        json!({ "type": "String" }),
        json!({ "type": ["string"] }),
        json!({ "maxLength": -1 }),
        json!({ "minLength": -1 }),
        json!({ "minItems": -1 }),
        json!({ "maxItems": 1.5 }),
        json!({ "maxItems": "1" }),
        json!({ "readonly": "no" }),
        json!({ "uniqueItems": 1 }),
        json!({ "additionalItems": "yes" }),
        json!({ "additionalItems": {} }),
        json!({ "minimum": "1" }),
        json!({ "maximum": true }),
        json!({ "pattern": 5 }),
        json!({ "description": 5 }),
        json!({ "operators": "x" }),
        json!({ "operators": [1] }),
        json!({ "enum": "x" }),
        json!({ "enum": [1] }),
        json!({ "enum": ["a", null] }),
        json!({ "enum": [["a"]] }),
        json!({ "name": "n".repeat(81) }),
        // MD-059
        json!({ "junk": 1 }),
        json!({ "confidential": true }),
        json!({ "self": "x" }),
        json!({ "schema": "x" }),
        json!({ "required": ["a"] }),
        json!({ "required": [] }),
        json!({ "required": true }),
        json!({ "items": {} }),
        json!({ "items": { "enum": ["a"] } }),
        json!({ "items": { "type": "float" } }),
        json!({ "items": { "type": null } }),
        json!({ "items": { "type": "string", "junk": 1 } }),
        json!({ "items": { "type": "string", "enum": [1] } }),
        json!({ "items": { "type": "string", "enum": "a" } }),
        json!({ "items": [] }),
        json!({ "items": "string" }),
    ];
    wrong.extend(more.into_iter().map(|more| property("p", more)));
    for name in [
        "description",
        "operators",
        "readonly",
        "minimum",
        "maximum",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "additionalItems",
    ] {
        wrong.push(property("p", json!({ name: null })));
    }
    let calls: Vec<_> = wrong
        .into_iter()
        .flat_map(|document| {
            let mut new = document.clone();
            if new["name"] == "p" {
                new["name"] = json!("new");
            }
            [post(properties(), new), put(one("p"), document)]
        })
        .collect();
    all_refused(&service, ADMIN, &calls, 400).await;
    // what nobody may set is another matter
    for name in ["created_at", "updated_at"] {
        refused(&service, ADMIN, &post(properties(), property("new", json!({ name: STAMP }))), 403).await;
        refused(&service, ADMIN, &put(one("p"), property("p", json!({ name: STAMP }))), 403).await;
    }
}

#[tokio::test]
async fn md_060_the_list() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, &properties()).await, json!({ "properties": {} }));
    made(&service, &properties(), whole("p")).await;
    made(&service, &properties(), property("OS::q", json!({}))).await;
    let list = json!({ "properties": { "p": whole("p"), "OS::q": property("OS::q", json!({})) } });
    assert_eq!(read(&service, &properties()).await, list);
    for query in
        ["limit=0", "limit=-1", "limit=1", "sort_dir=up", "marker=none", "visibility=foo", "resource_type=x"]
    {
        assert_eq!(read(&service, &format!("{}?{query}", properties())).await, list, "{query}");
    }
    // those that came with the namespace have their names too
    full(&service, "Full", json!({})).await;
    let list = read(&service, &kind("Full", "properties")).await;
    assert_eq!(
        list,
        json!({ "properties": { "size": { "name": "size", "title": "S", "type": "integer" } } })
    );
}

#[tokio::test]
async fn md_061_to_063_names_with_the_prefix_of_a_resource_type() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    made(&service, &kind("Ns", "resource_types"), json!({ "name": "OS::Empty", "prefix": "" })).await;
    let odd = json!({ "name": "OS::Odd", "prefix": format!("{LETTERS}:") });
    made(&service, &kind("Ns", "resource_types"), odd).await;
    made(&service, &properties(), property("pre_size", json!({ "title": "decoy" }))).await;
    made(&service, &properties(), property("pre_pre_size", json!({ "title": "decoy" }))).await;
    let size = json!({ "name": "size", "title": "S", "type": "integer" });
    let asked = |name: &str, kind: &str| format!("{}?resource_type={kind}", one(name));
    // MD-061
    assert_eq!(read(&service, &asked("pre_size", PREFIXED)).await, size);
    assert_eq!(read(&service, &asked(&format!("{LETTERS}:size"), "OS%3A%3AOdd")).await, size);
    assert_eq!(read(&service, &asked("pre_pre_size", PREFIXED)).await["name"], json!("pre_size"));
    // without the parameter the name stands for itself
    assert_eq!(read(&service, &one("pre_size")).await["title"], json!("decoy"));
    assert_eq!(read(&service, &format!("{}?prefix=pre_&junk=1", one("size"))).await, size);
    for (name, kind) in [
        // MD-062
        ("size", PREFIXED),
        ("PRE_size", PREFIXED),
        ("pre_", PREFIXED),
        ("pre_none", PREFIXED),
        ("pre_size", "none"),
        ("size", "none"),
        // MD-063
        ("size", BARE),
        ("pre_size", BARE),
        ("size", "OS::Empty"),
    ] {
        let answer = ask(&service, ADMIN, &get(asked(name, kind))).await;
        assert_eq!(answer.status, 404, "{name} for {kind}");
    }
    ask(&service, ADMIN, &get(one("none"))).await.expect(404);
    // an association of another namespace is none here
    let other = json!({ "resource_type_associations": [{ "name": "OS::Other", "prefix": "pre_" }] });
    space(&service, "Other", other).await;
    ask(&service, ADMIN, &get(asked("pre_size", "OS::Other"))).await.expect(404);
}

#[tokio::test]
async fn md_064_changing_replaces_all() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    made(&service, &properties(), whole("a")).await;
    made(&service, &properties(), property("b", json!({}))).await;
    let bare = json!({ "name": "a", "title": "N", "type": "boolean" });
    let answer = ask(&service, ADMIN, &put(one("a"), bare.clone())).await.expect(200).json();
    assert_eq!(answer, bare);
    assert_eq!(read(&service, &one("a")).await, bare);
    refused(&service, ADMIN, &put(one("a"), whole("b")), 409).await;
    refused(&service, ADMIN, &put(one("none"), whole("none")), 404).await;
    refused(&service, ADMIN, &put(child("none", "properties", "a"), whole("a")), 404).await;
    let mut old = "a".to_owned();
    for new in ["z", "OS::Nova::Server", "CPU Limits", LETTERS, "a/b", "a"] {
        let answer = ask(&service, ADMIN, &put(one(&old), whole(new))).await.expect(200).json();
        assert_eq!(answer, whole(new));
        ask(&service, ADMIN, &get(one(&old))).await.expect(404);
        assert_eq!(read(&service, &one(new)).await, whole(new));
        new.clone_into(&mut old);
    }
    let list = read(&service, &properties()).await;
    assert_eq!(keys(&list["properties"]), ["a", "b"].into());
}

#[tokio::test]
async fn md_066_deleting() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for name in ["a", "b"] {
        made(&service, &properties(), property(name, json!({}))).await;
    }
    ask(&service, ADMIN, &delete(one("a"))).await.expect(204);
    ask(&service, ADMIN, &get(one("a"))).await.expect(404);
    refused(&service, ADMIN, &delete(one("a")), 404).await;
    let before = read(&service, &at("Ns")).await;
    assert_eq!(keys(&before["properties"]), ["b", "size"].into());
    for _ in 0..2 {
        ask(&service, ADMIN, &delete(properties())).await.expect(204);
        assert_eq!(read(&service, &properties()).await, json!({ "properties": {} }));
        assert_eq!(read(&service, &at("Ns")).await, without(before.clone(), &["properties"]));
    }
    for call in [
        delete(kind("none", "properties")),
        delete(child("none", "properties", "a")),
        get(kind("none", "properties")),
        get(child("none", "properties", "a")),
        post(kind("none", "properties"), property("a", json!({}))),
    ] {
        refused(&service, ADMIN, &call, 404).await;
    }
}

#[tokio::test]
async fn lengths_of_names_and_of_all_the_rest() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for letter in ["n", "日"] {
        let (most, more) = (letter.repeat(80), letter.repeat(81));
        made(&service, &properties(), property(&most, json!({}))).await;
        refused(&service, ADMIN, &post(properties(), property(&more, json!({}))), 400).await;
        refused(&service, ADMIN, &put(one(&most), property(&more, json!({}))), 400).await;
        assert_eq!(read(&service, &one(&most)).await["name"], json!(most));
    }
    let long = "x".repeat(20_000);
    let document = property("long", json!({ "title": long, "description": long, "enum": [long] }));
    assert_eq!(made(&service, &properties(), document.clone()).await, document);
    assert_eq!(read(&service, &one("long")).await, document);
}
