//! Showing, changing and deleting namespaces (metadefs.md §4.4 to §4.6).

use serde_json::{Value, json};

use super::{
    ADMIN, BARE, COLLECTIONS, LETTERS, PREFIXED, ROOT, STAMP, TYPES, all_refused, ask, at, child, delete,
    full, get, keys, kind, made, names, property, put, read, reads, refused, schema, space, tag, without,
};
use crate::support::api::Service;

/// What clients take away before they send a namespace back.
const SHOWN: [&str; 4] = ["self", "schema", "created_at", "updated_at"];

/// Replaces a namespace; must succeed.
async fn replaced(service: &Service, name: &str, document: Value) -> Value {
    ask(service, ADMIN, &put(at(name), document)).await.expect(200).json()
}

/// Sets the times of a namespace back, so that whole seconds tell a change.
async fn aged(service: &Service) {
    service
        .sql(&format!("UPDATE metadef_namespaces SET created_at = '{STAMP}', updated_at = '{STAMP}'"))
        .await;
}

#[tokio::test]
async fn md_025_what_is_empty_is_not_shown() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let bare = read(&service, &at("Ns")).await;
    assert!(COLLECTIONS.iter().all(|name| bare.get(*name).is_none()), "{bare}");
    // each comes with its first child, and goes with its last one
    let shown = async || read(&service, &at("Ns")).await;
    for (member, kind_, document) in [
        ("objects", "objects", json!({ "name": "x" })),
        ("properties", "properties", property("x", json!({}))),
        ("tags", "tags", json!({ "tags": [{ "name": "x" }] })),
        ("resource_type_associations", "resource_types", json!({ "name": "x" })),
    ] {
        let before = shown().await;
        made(&service, &kind("Ns", kind_), document).await;
        let with = shown().await;
        assert_eq!(without(with.clone(), &[member]), before, "{member}");
        assert!(with.get(member).is_some(), "{member}");
        ask(&service, ADMIN, &delete(child("Ns", kind_, "x"))).await.expect(204);
        assert_eq!(shown().await, before, "{member}");
    }
}

#[tokio::test]
async fn md_034_what_showing_shows() {
    let service = Service::start().await;
    let more = json!({ "display_name": "D", "visibility": "public" });
    full(&service, "Ns", more).await;
    let shown = read(&service, &at("Ns")).await;
    let object = &shown["objects"][0];
    let expected = ["created_at", "name", "properties", "required", "schema", "self", "updated_at"];
    assert_eq!(keys(object), expected.into());
    assert_eq!(object["self"], json!(format!("{ROOT}/Ns/objects/obj")));
    assert_eq!(object["schema"], json!("/v2/schemas/metadefs/object"));
    assert_eq!(*object, read(&service, &child("Ns", "objects", "obj")).await);
    assert_eq!(shown["tags"], json!([{ "name": "t1" }]));
    let size = read(&service, &child("Ns", "properties", "size")).await;
    assert_eq!(without(shown["properties"]["size"].clone(), &["name"]), without(size, &["name"]));
    assert_eq!(keys(&shown["properties"]), ["size"].into());
    let associations = read(&service, &kind("Ns", "resource_types")).await;
    assert_eq!(shown["resource_type_associations"], associations["resource_type_associations"]);
    // several of a kind come in the order of creation
    for name in ["z", "a", "m"] {
        made(&service, &kind("Ns", "objects"), json!({ "name": name })).await;
    }
    assert_eq!(names(&read(&service, &at("Ns")).await, "objects"), ["obj", "z", "a", "m"]);
}

#[tokio::test]
async fn md_035_names_with_the_prefix_of_a_resource_type() {
    let service = Service::start().await;
    let objects = json!([
        { "name": "obj", "required": ["b", "a"], "properties": { "a": schema(), "b": schema() } }, { "name": "bare" },
    ]);
    full(&service, "Ns", json!({ "objects": objects })).await;
    made(&service, &kind("Ns", "properties"), property("other", json!({}))).await;
    let plain = read(&service, &at("Ns")).await;
    for spelt in [PREFIXED, "OS%3A%3ATest%3A%3AServer"] {
        let shown = read(&service, &format!("{}?resource_type={spelt}", at("Ns"))).await;
        assert_eq!(keys(&shown["properties"]), ["pre_other", "pre_size"].into());
        assert_eq!(keys(&shown["objects"][0]["properties"]), ["pre_a", "pre_b"].into());
        assert_eq!(shown["objects"][0]["required"], json!(["pre_b", "pre_a"]));
        assert_eq!(shown["objects"][0]["properties"]["pre_a"], plain["objects"][0]["properties"]["a"]);
        assert_eq!(shown["objects"][1]["required"], json!([]));
        // the names of everything else stay
        assert_eq!(names(&shown, "objects"), ["obj", "bare"]);
        for member in ["namespace", "tags", "resource_type_associations", "self"] {
            assert_eq!(shown[member], plain[member], "{member}");
        }
    }
    // nothing of it is stored
    assert_eq!(read(&service, &at("Ns")).await, plain);
}

#[tokio::test]
async fn md_036_resource_types_that_give_no_prefix() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    space(&service, "Other", json!({ "resource_type_associations": [{ "name": "OS::X", "prefix": "x_" }] }))
        .await;
    let empty = json!({ "name": "OS::Empty", "prefix": "" });
    made(&service, &kind("Ns", "resource_types"), empty).await;
    let plain = read(&service, &at("Ns")).await;
    for kind in ["none", BARE, "OS::X", "OS::Empty", "", "os::test::server", "%F0%9F%98%80", "%00"] {
        let path = format!("{}?resource_type={kind}", at("Ns"));
        assert_eq!(read(&service, &path).await, plain, "{kind:?}");
    }
}

#[tokio::test]
async fn md_037_a_namespace_keeps_having_a_name() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let calls = [
        put(at("Ns"), json!({})),
        put(at("Ns"), json!({ "display_name": "x" })),
        put(at("Ns"), json!({ "name": "Ns" })),
        put(at("Ns"), json!({ "namespace": null })),
        put(at("Ns"), json!({ "namespace": "n".repeat(81) })),
    ];
    all_refused(&service, ADMIN, &calls, 400).await;
}

#[tokio::test]
async fn md_038_what_is_left_out_is_reset() {
    let service = Service::start().await;
    let all = json!({
        "display_name": "D", "description": "E", "visibility": "public", "protected": true, "owner": "o",
    });
    let reset = json!({ "visibility": "private", "protected": false, "owner": "delta" });
    for name in ["display_name", "description", "visibility", "protected", "owner"] {
        space(&service, name, all.clone()).await;
        let rest = super::merged(json!({ "namespace": name }), &without(all.clone(), &[name]));
        let answer = replaced(&service, name, rest.clone()).await;
        let shown = read(&service, &at(name)).await;
        assert_eq!(shown, answer, "{name}");
        assert_eq!(shown.get(name), reset.get(name), "{name}");
        for (other, value) in rest.as_object().unwrap() {
            assert_eq!(shown[other], *value, "{other} when {name} is reset");
        }
    }
    space(&service, "Ns", all).await;
    replaced(&service, "Ns", json!({ "namespace": "Ns" })).await;
    let shown = without(read(&service, &at("Ns")).await, &SHOWN);
    assert_eq!(shown, super::merged(json!({ "namespace": "Ns" }), &reset));
}

#[tokio::test]
async fn md_039_renaming_keeps_what_is_inside() {
    let service = Service::start().await;
    full(&service, "Old", json!({ "visibility": "public" })).await;
    space(&service, "Taken", json!({ "owner": "elsewhere" })).await;
    refused(&service, ADMIN, &put(at("Old"), json!({ "namespace": "Taken", "description": "x" })), 409).await;
    let before = read(&service, &at("Old")).await;
    for new in ["New", "OS::New name", LETTERS, "a/b"] {
        let old = names_of(&service).await.into_iter().find(|name| name != "Taken").unwrap();
        let answer = replaced(&service, &old, json!({ "namespace": new, "visibility": "public" })).await;
        assert_eq!(answer["namespace"], json!(new));
        assert_eq!(answer["self"], json!(format!("{ROOT}/{new}")));
        for call in reads(&old) {
            ask(&service, ADMIN, &call).await.expect(404);
        }
        for call in reads(new) {
            ask(&service, ADMIN, &call).await.expect(200);
        }
        let shown = read(&service, &at(new)).await;
        for member in ["properties", "tags", "resource_type_associations", "created_at"] {
            assert_eq!(shown[member], before[member], "{member}");
        }
        assert_eq!(shown["objects"][0]["self"], json!(format!("{ROOT}/{new}/objects/obj")));
    }
    // the old name is free
    space(&service, "Old", json!({})).await;
    assert_eq!(read(&service, &kind("Old", "objects")).await["objects"], json!([]));
}

/// Names of all namespaces.
async fn names_of(service: &Service) -> Vec<String> {
    super::listed(service, ADMIN, "limit=1000").await
}

#[tokio::test]
async fn md_040_and_041_contents_sent_back_are_checked_and_ignored() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "display_name": "D" })).await;
    let before = read(&service, &at("Ns")).await;
    let back = super::merged(without(before.clone(), &SHOWN), &json!({ "description": "new" }));
    // MD-040
    let answer = replaced(&service, "Ns", back.clone()).await;
    // MD-041
    for name in COLLECTIONS {
        assert_eq!(answer.get(name), None, "{name}");
    }
    assert_eq!(answer["description"], json!("new"));
    let after = read(&service, &at("Ns")).await;
    assert_eq!(without(after.clone(), &["description", "updated_at"]), without(before, &["updated_at"]));
    // other contents are not taken over, and nothing of them is stored
    let mut other = back;
    other["objects"][0]["name"] = json!("other");
    other["properties"] = json!({ "other": schema() });
    other["tags"] = json!([{ "name": "a" }, { "name": "a" }, { "name": super::EMOJI }]);
    other["resource_type_associations"] = json!([{ "name": "OS::Other" }]);
    replaced(&service, "Ns", other.clone()).await;
    let shown = read(&service, &at("Ns")).await;
    assert_eq!(without(shown, &["updated_at"]), without(after, &["updated_at"]));
    let types = names(&read(&service, TYPES).await, "resource_types");
    assert!(!types.contains(&"OS::Other".to_owned()), "{types:?}");
    // but they must fit
    for (member, wrong) in [
        ("objects", json!("x")),
        ("objects", json!([{ "name": 5 }])),
        ("properties", json!({ "p": { "type": "string" } })),
        ("properties", json!([])),
        ("tags", json!([{ "name": 5 }])),
        ("resource_type_associations", json!([{ "name": "t", "prefix": 5 }])),
    ] {
        let document = super::merged(other.clone(), &json!({ member: wrong }));
        refused(&service, ADMIN, &put(at("Ns"), document), 400).await;
    }
}

#[tokio::test]
async fn md_042_and_043_protection_of_the_namespace() {
    let service = Service::start().await;
    space(&service, "Ns", json!({ "protected": true })).await;
    for caller in [ADMIN, "ada:alpha:admin"] {
        refused(&service, caller, &delete(at("Ns")), 403).await;
    }
    // MD-042
    let document = json!({ "namespace": "Ns", "protected": true, "description": "x" });
    assert_eq!(replaced(&service, "Ns", document).await["description"], json!("x"));
    refused(&service, ADMIN, &delete(at("Ns")), 403).await;
    assert_eq!(
        replaced(&service, "Ns", json!({ "namespace": "Ns", "protected": true })).await["protected"],
        true
    );
    replaced(&service, "Ns", json!({ "namespace": "Renamed", "protected": true })).await;
    refused(&service, ADMIN, &delete(at("Renamed")), 403).await;
    let document = json!({ "namespace": "Renamed", "protected": false });
    assert_eq!(replaced(&service, "Renamed", document).await["protected"], json!(false));
    // MD-043
    let answer = ask(&service, ADMIN, &delete(at("Renamed"))).await.expect(204);
    assert!(answer.body.is_empty());
    ask(&service, ADMIN, &get(at("Renamed"))).await.expect(404);
    ask(&service, ADMIN, &delete(at("Renamed"))).await.expect(404);
}

#[tokio::test]
async fn md_044_deleting_takes_all_that_is_inside() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    full(&service, "Other", json!({})).await;
    let other = read(&service, &at("Other")).await;
    ask(&service, ADMIN, &delete(at("Ns"))).await.expect(204);
    for call in reads("Ns") {
        ask(&service, ADMIN, &call).await.expect(404);
    }
    let types = names(&read(&service, TYPES).await, "resource_types");
    assert_eq!(types.len(), 2);
    assert!(types.contains(&PREFIXED.to_owned()) && types.contains(&BARE.to_owned()));
    assert_eq!(read(&service, &at("Other")).await, other);
    // made again, it is empty
    let made = space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, &at("Ns")).await, made);
    for kind in ["objects", "properties", "tags"] {
        ask(&service, ADMIN, &delete(super::kind("Ns", kind))).await.expect(204);
    }
    for (table, left) in [("objects", 1), ("properties", 1), ("tags", 1), ("namespaces", 2)] {
        let count = service.count(&format!("SELECT count(*) FROM metadef_{table}")).await;
        assert_eq!(count, left, "{table}");
    }
}

#[tokio::test]
async fn md_045_times() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    aged(&service).await;
    // changes within do not count
    tag(&service, "Ns", "more").await;
    made(&service, &kind("Ns", "objects"), json!({ "name": "more" })).await;
    ask(&service, ADMIN, &put(child("Ns", "objects", "obj"), json!({ "name": "renamed" }))).await.expect(200);
    ask(&service, ADMIN, &delete(kind("Ns", "properties"))).await.expect(204);
    let shown = read(&service, &at("Ns")).await;
    assert_eq!((&shown["created_at"], &shown["updated_at"]), (&json!(STAMP), &json!(STAMP)));
    // nor does a change that is refused
    ask(&service, ADMIN, &put(at("Ns"), json!({ "namespace": "Ns", "junk": 1 }))).await.expect(400);
    assert_eq!(read(&service, &at("Ns")).await, shown);
    // one that changes nothing does
    let answer = replaced(&service, "Ns", without(shown, &SHOWN)).await;
    let shown = read(&service, &at("Ns")).await;
    assert_eq!(shown["created_at"], json!(STAMP));
    assert!(shown["updated_at"].as_str().unwrap() > STAMP, "{shown}");
    assert_eq!(answer["updated_at"], shown["updated_at"]);
    // what has not been changed has no such time
    service.sql("UPDATE metadef_namespaces SET updated_at = NULL").await;
    let shown = read(&service, &at("Ns")).await;
    assert_eq!(shown.get("updated_at"), None);
    assert_eq!(shown["created_at"], json!(STAMP));
}
