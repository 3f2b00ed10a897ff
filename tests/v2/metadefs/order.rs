//! The order of checks (metadefs.md §2.1): requests that violate two steps at once are refused for the earlier one.

use serde_json::{Value, json};

use super::{
    ADMIN, ALIEN, Call, EMOJI, NOBODY, OWNER, ROOT, STAMP, all_refused, ask, asked, at, child, delete, full,
    get, kind, made, post, post_nothing, property, put, refused, snapshot, space, tag,
};
use crate::support::api::Service;

/// Every route that takes a document: how it is called, a document that fits, and the attributes that nobody may set.
fn documented(namespace: &str) -> Vec<(Call, &'static [&'static str])> {
    const FOUR: &[&str] = &["self", "schema", "created_at", "updated_at"];
    const TWO: &[&str] = &["created_at", "updated_at"];
    vec![
        (post(ROOT, json!({ "namespace": "new" })), FOUR),
        (put(at(namespace), json!({ "namespace": namespace })), FOUR),
        (post(kind(namespace, "objects"), json!({ "name": "new" })), FOUR),
        (put(child(namespace, "objects", "obj"), json!({ "name": "obj" })), FOUR),
        (post(kind(namespace, "properties"), property("new", json!({}))), TWO),
        (put(child(namespace, "properties", "size"), property("size", json!({}))), TWO),
        (post(kind(namespace, "tags"), json!({ "tags": [{ "name": "new" }] })), TWO),
        (put(child(namespace, "tags", "t1"), json!({ "name": "t2" })), TWO),
        (post(kind(namespace, "resource_types"), json!({ "name": "OS::Test::New" })), TWO),
    ]
}

fn changed(call: &Call, change: impl FnOnce(&mut Value)) -> Call {
    let mut call = call.clone();
    change(call.document.as_mut().unwrap());
    call
}

/// Without the attribute that everything of its kind must have.
fn nameless(call: &Call) -> Call {
    changed(call, |document| {
        for name in ["name", "namespace", "tags"] {
            document.as_object_mut().unwrap().remove(name);
        }
    })
}

#[tokio::test]
async fn md_007_and_008_attributes_that_nobody_may_set() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    for (call, names) in documented("Ns") {
        for name in ["self", "schema", "created_at", "updated_at"] {
            // MD-008: elsewhere they are unknown attributes
            let status = if names.contains(&name) { 403 } else { 400 };
            for value in [json!(STAMP), json!(5), Value::Null] {
                let call = changed(&call, |document| document[name] = value);
                // MD-007: even for an administrator
                let answer = ask(&service, ADMIN, &call).await;
                assert_eq!(answer.status, status, "{call:?}: {}", answer.text());
            }
        }
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn md_009_what_nobody_may_set_comes_before_schema_and_namespace() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for namespace in ["Ns", "none"] {
        for (call, names) in documented(namespace) {
            for name in names {
                let wrong = changed(&nameless(&call), |document| {
                    document[*name] = json!(STAMP);
                    document["junk"] = json!(1);
                });
                let right = changed(&call, |document| document[*name] = json!(STAMP));
                for caller in [ADMIN, OWNER, ALIEN, NOBODY] {
                    all_refused(&service, caller, &[wrong.clone(), right.clone()], 403).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn md_006_and_009_what_is_no_document_comes_before_what_nobody_may_set() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    for (call, names) in documented("Ns") {
        for body in [
            format!("[{{\"{}\": \"x\"}}]", names[0]),
            format!("{{\"{}\": \"x\"", names[0]),
            format!("\"{}\"", names[0]),
        ] {
            asked(service.request(call.method, &call.path).by(ADMIN).body(body)).await.expect(400);
        }
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn md_010_schema_comes_before_namespace_and_permission() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "visibility": "public" })).await;
    full(&service, "Hidden", json!({})).await;
    for namespace in ["Ns", "Hidden", "none"] {
        let mut calls = Vec::new();
        for (call, _) in documented(namespace) {
            calls.push(nameless(&call));
            calls.push(changed(&call, |document| document["junk"] = json!(1)));
        }
        for caller in [ADMIN, OWNER, NOBODY] {
            all_refused(&service, caller, &calls, 400).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_expected_comes_before_query_namespace_and_permission() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "visibility": "public" })).await;
    let before = snapshot(&service).await;
    for namespace in ["Ns", "none"] {
        for call in [
            get(format!("{}?visibility=shared", at(namespace))),
            get(at(namespace)),
            delete(at(namespace)),
            get(kind(namespace, "properties")),
            get(kind(namespace, "resource_types")),
            get(child(namespace, "objects", "none")),
            delete(child(namespace, "objects", "none")),
            get(child(namespace, "tags", "none")),
            post_nothing(child(namespace, "tags", &"t".repeat(81))),
            delete(child(namespace, "tags", "none")),
            delete(child(namespace, "resource_types", "none")),
        ] {
            for caller in [ADMIN, OWNER, NOBODY] {
                let request = service.request(call.method, &call.path).by(caller).body("{}");
                let answer = asked(request).await;
                assert_eq!(answer.status, 400, "{caller} {call:?}");
            }
        }
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn a_bad_query_comes_before_namespace_and_permission() {
    let service = Service::start().await;
    full(&service, "Hidden", json!({})).await;
    for namespace in ["none", "Hidden"] {
        let calls = [
            get(format!("{}?visibility=shared", at(namespace))),
            get(format!("{}?limit=0", kind(namespace, "objects"))),
            get(format!("{}?sort_dir=up", kind(namespace, "objects"))),
            get(format!("{}?visibility=foo", kind(namespace, "objects"))),
            get(format!("{}?limit=-1", kind(namespace, "tags"))),
            get(format!("{}?sort_dir=up", kind(namespace, "tags"))),
            get(format!("{}?sort_key=junk", kind(namespace, "tags"))),
        ];
        for caller in [ADMIN, ALIEN, NOBODY] {
            all_refused(&service, caller, &calls, 400).await;
        }
    }
    all_refused(
        &service,
        NOBODY,
        &[get(format!("{ROOT}?limit=-1")), get(format!("{ROOT}?sort_dir=ASC"))],
        400,
    )
    .await;
}

#[tokio::test]
async fn md_072_a_name_that_is_too_long_comes_after_namespace_and_before_permission() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "visibility": "public" })).await;
    full(&service, "Hidden", json!({})).await;
    let call = |namespace: &str| post_nothing(child(namespace, "tags", &"t".repeat(81)));
    // 8 before 9
    refused(&service, ADMIN, &call("none"), 404).await;
    refused(&service, ALIEN, &call("Hidden"), 404).await;
    // 9 before 10
    refused(&service, ALIEN, &call("Ns"), 400).await;
    refused(&service, ADMIN, &call("Ns"), 400).await;
}

#[tokio::test]
async fn permission_comes_before_what_is_missing_protected_or_taken() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "visibility": "public", "protected": true })).await;
    let one = |kind: &str| child("Ns", kind, "none");
    let calls = [
        // 10 before 11
        delete(one("objects")),
        delete(one("properties")),
        delete(one("tags")),
        delete(one("resource_types")),
        put(one("objects"), json!({ "name": "x" })),
        put(one("properties"), property("x", json!({}))),
        put(one("tags"), json!({ "name": "x" })),
        // and before 12
        delete(at("Ns")),
        delete(kind("Ns", "objects")),
        delete(child("Ns", "objects", "obj")),
        // and before 13
        post(ROOT, json!({ "namespace": "Ns" })),
        post(ROOT, json!({ "namespace": EMOJI })),
        put(at("Ns"), json!({ "namespace": EMOJI })),
        post(kind("Ns", "objects"), json!({ "name": "obj" })),
        post(kind("Ns", "objects"), json!({ "name": EMOJI })),
        post(kind("Ns", "properties"), property("size", json!({}))),
        post(kind("Ns", "properties"), property(EMOJI, json!({}))),
        post(kind("Ns", "tags"), json!({ "tags": [{ "name": EMOJI }] })),
        post(kind("Ns", "tags"), json!({ "tags": [{ "name": "x" }, { "name": "x" }] })),
        post_nothing(child("Ns", "tags", "t1")),
        post_nothing(child("Ns", "tags", EMOJI)),
        put(child("Ns", "tags", "t1"), json!({ "name": EMOJI })),
        post(kind("Ns", "resource_types"), json!({ "name": super::BARE })),
    ];
    for caller in [OWNER, ALIEN] {
        all_refused(&service, caller, &calls, 403).await;
    }
}

#[tokio::test]
async fn a_missing_child_comes_before_protection_and_before_its_new_name() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "protected": true })).await;
    let one = |kind: &str| child("Ns", kind, "none");
    let calls = [
        // 11 before 12
        delete(one("objects")),
        delete(one("properties")),
        delete(one("tags")),
        delete(one("resource_types")),
        // 11 before 13
        put(one("objects"), json!({ "name": EMOJI })),
        put(one("objects"), json!({ "name": "obj" })),
        put(one("properties"), property(EMOJI, json!({}))),
        put(one("properties"), property("size", json!({}))),
        put(one("tags"), json!({ "name": EMOJI })),
        put(one("tags"), json!({ "name": "t1" })),
    ];
    all_refused(&service, ADMIN, &calls, 404).await;
    refused(&service, ADMIN, &put(at("none"), json!({ "namespace": "Ns" })), 404).await;
    refused(&service, ADMIN, &put(at("none"), json!({ "namespace": EMOJI })), 404).await;
}

#[tokio::test]
async fn characters_come_before_names_that_are_taken() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    space(&service, "Other", json!({})).await;
    made(&service, &kind("Ns", "objects"), json!({ "name": "o2" })).await;
    made(&service, &kind("Ns", "properties"), property("p2", json!({}))).await;
    tag(&service, "Ns", "t2").await;
    let calls = [
        post(ROOT, json!({ "namespace": "Ns", "description": EMOJI })),
        put(at("Other"), json!({ "namespace": "Ns", "description": EMOJI })),
        post(kind("Ns", "objects"), json!({ "name": "obj", "description": EMOJI })),
        put(child("Ns", "objects", "obj"), json!({ "name": "o2", "description": EMOJI })),
        post(kind("Ns", "properties"), property("size", json!({ "description": EMOJI }))),
        put(child("Ns", "properties", "size"), property("p2", json!({ "description": EMOJI }))),
        post(kind("Ns", "tags"), json!({ "tags": [{ "name": "x" }, { "name": "x" }, { "name": EMOJI }] })),
        post(kind("Ns", "resource_types"), json!({ "name": super::BARE, "prefix": EMOJI })),
    ];
    all_refused(&service, ADMIN, &calls, 400).await;
}
