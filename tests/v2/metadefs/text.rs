//! Characters (metadefs.md §10), and times (§11).

use regex::Regex;
use serde_json::{Value, json};

use super::{
    ADMIN, BARE, Call, EMOJI, LETTERS, ROOT, TYPES, all_refused, ask, asked, at, child, delete, full, get,
    kind, made, names, post, post_nothing, property, put, read, schema, snapshot, space, tag, tags_of,
};
use crate::support::api::Service;

/// What the schema of a property can have this text in.
fn schemas_with(text: &str) -> Vec<Value> {
    let more = [
        json!({ "title": text }),
        json!({ "description": text }),
        json!({ "default": text }),
        json!({ "pattern": text }),
        json!({ "enum": ["a", text] }),
        json!({ "operators": ["<or>", text] }),
        json!({ "type": "array", "items": { "type": "string", "enum": [text] } }),
    ];
    more.iter().map(|more| super::merged(schema(), more)).collect()
}

/// What an object can have this text in.
fn objects_with(text: &str) -> Vec<Value> {
    let mut all = vec![
        json!({ "name": text }),
        json!({ "name": "new", "description": text }),
        json!({ "name": "new", "required": ["a", text] }),
        json!({ "name": "new", "properties": { text: schema() } }),
    ];
    let entries = schemas_with(text);
    all.extend(entries.into_iter().map(|entry| json!({ "name": "new", "properties": { "p": entry } })));
    all
}

/// What a property can have this text in.
fn properties_with(text: &str) -> Vec<Value> {
    let mut all = vec![property(text, json!({}))];
    all.extend(schemas_with(text).into_iter().map(|schema| super::merged(json!({ "name": "new" }), &schema)));
    all
}

/// Every document that stores this text somewhere in or as a namespace beside `Ns`, or in it.
fn creations_with(text: &str) -> Vec<Call> {
    let mut contents = vec![
        json!({ "tags": [{ "name": text }] }),
        json!({ "resource_type_associations": [{ "name": text }] }),
        json!({ "resource_type_associations": [{ "name": "OS::T", "prefix": text }] }),
        json!({ "resource_type_associations": [{ "name": "OS::T", "properties_target": text }] }),
        json!({ "properties": { text: schema() } }),
    ];
    for name in ["namespace", "display_name", "description", "owner"] {
        contents.push(json!({ name: text }));
    }
    contents.extend(schemas_with(text).into_iter().map(|schema| json!({ "properties": { "p": schema } })));
    contents.extend(objects_with(text).into_iter().map(|object| json!({ "objects": [object] })));
    let of_namespace = |more: Value| post(ROOT, super::merged(json!({ "namespace": "new" }), &more));
    let mut all: Vec<Call> = contents.into_iter().map(of_namespace).collect();
    all.extend(objects_with(text).into_iter().map(|document| post(kind("Ns", "objects"), document)));
    all.extend(properties_with(text).into_iter().map(|document| post(kind("Ns", "properties"), document)));
    all.push(post_nothing(child("Ns", "tags", text)));
    all.push(post(kind("Ns", "tags"), json!({ "tags": [{ "name": "a" }, { "name": text }] })));
    for more in [json!({ "name": text }), json!({ "prefix": text }), json!({ "properties_target": text })] {
        all.push(post(kind("Ns", "resource_types"), super::merged(json!({ "name": "OS::T" }), &more)));
    }
    all
}

/// Every change that stores this text in `Ns`, or in what is in it.
fn changes_with(text: &str) -> Vec<Call> {
    let mut all = Vec::new();
    for name in ["namespace", "display_name", "description", "owner"] {
        all.push(put(at("Ns"), super::merged(json!({ "namespace": "Ns" }), &json!({ name: text }))));
    }
    let (object, size) = (child("Ns", "objects", "obj"), child("Ns", "properties", "size"));
    all.extend(objects_with(text).into_iter().map(|document| put(&object, document)));
    all.extend(properties_with(text).into_iter().map(|document| put(&size, document)));
    all.push(put(child("Ns", "tags", "t1"), json!({ "name": text })));
    all
}

#[tokio::test]
async fn md_094_characters_beyond_the_basic_plane_are_refused_wherever_they_stand() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for text in [EMOJI, "a\u{10000}z", "𠀀", "\u{10ffff}"] {
        all_refused(&service, ADMIN, &creations_with(text), 400).await;
        all_refused(&service, ADMIN, &changes_with(text), 400).await;
    }
    // as an escape too
    let before = snapshot(&service).await;
    for (path, body) in [
        (ROOT.to_owned(), r#"{"namespace": "\ud83d\ude00"}"#),
        (kind("Ns", "objects"), r#"{"name": "\uD83D\uDE00"}"#),
        (kind("Ns", "properties"), r#"{"name": "p", "title": "\ud83d\ude00", "type": "string"}"#),
        (kind("Ns", "tags"), r#"{"tags": [{"name": "\ud83d\ude00"}]}"#),
    ] {
        asked(service.post(&path).by(ADMIN).body(body)).await.expect(400);
    }
    assert_eq!(snapshot(&service).await, before);
    // in a name that is only looked for, it is one that is not there
    for call in [
        get(at(EMOJI)),
        delete(at(EMOJI)),
        get(child("Ns", "objects", EMOJI)),
        get(child("Ns", "properties", EMOJI)),
        get(child("Ns", "tags", EMOJI)),
        delete(child("Ns", "objects", EMOJI)),
        delete(child("Ns", "properties", EMOJI)),
        delete(child("Ns", "tags", EMOJI)),
        delete(child("Ns", "resource_types", EMOJI)),
        put(at(EMOJI), json!({ "namespace": "x" })),
        put(child("Ns", "objects", EMOJI), json!({ "name": "x" })),
        put(child("Ns", "properties", EMOJI), property("x", json!({}))),
        put(child("Ns", "tags", EMOJI), json!({ "name": "x" })),
        post_nothing(child(EMOJI, "tags", "t")),
    ] {
        all_refused(&service, ADMIN, &[call], 404).await;
    }
}

#[tokio::test]
async fn what_no_database_can_hold_is_refused() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    all_refused(&service, ADMIN, &creations_with("a\0b"), 400).await;
    all_refused(&service, ADMIN, &changes_with("a\0b"), 400).await;
}

#[tokio::test]
async fn md_095_everything_else_goes_in_and_comes_out() {
    for (n, text) in
        [LETTERS, "\u{fffd}\u{ff21}", "e\u{301}", "א ב", " \t\n", "'\"\\<&>;--", "%s{0}"].iter().enumerate()
    {
        let service = Service::start().await;
        full(&service, "Ns", json!({})).await;
        for (m, mut call) in creations_with(text).into_iter().enumerate() {
            // each by itself: another name where the text is not the name
            let document = call.document.as_mut();
            if let Some(document) = document {
                for key in ["namespace", "name"] {
                    if document[key] == "new" || document[key] == "OS::T" {
                        document[key] = json!(format!("new-{m}"));
                    }
                }
                if document.get("namespace") == Some(&json!(*text))
                    || document.get("name") == Some(&json!(*text))
                {
                    continue;
                }
            }
            let answer = ask(&service, ADMIN, &call).await;
            let taken = answer.status == 409 && call.path.contains("/tags");
            assert!(answer.status == 201 || taken, "{n}: {call:?}: {}", answer.text());
        }
        for call in changes_with(text) {
            let renaming = |call: &Call| {
                let document = call.document.as_ref().unwrap();
                document.get("name").or(document.get("namespace")).is_some_and(|name| *name == json!(*text))
            };
            if renaming(&call) || call.path != at("Ns") {
                continue;
            }
            ask(&service, ADMIN, &call).await.expect(200);
        }
    }
}

#[tokio::test]
async fn md_095_names_in_bodies_paths_and_links() {
    let service = Service::start().await;
    let texts = json!({ "display_name": LETTERS, "description": LETTERS, "owner": LETTERS });
    let new = space(&service, LETTERS, texts.clone()).await;
    assert_eq!(new["self"], json!(format!("{ROOT}/{LETTERS}")));
    let object = json!({
        "name": LETTERS, "description": LETTERS, "required": [LETTERS], "properties": { LETTERS: schema() },
    });
    let object = made(&service, &kind(LETTERS, "objects"), object).await;
    assert_eq!(object["self"], json!(format!("{ROOT}/{LETTERS}/objects/{LETTERS}")));
    let more = json!({ "title": LETTERS, "enum": [LETTERS], "operators": [LETTERS], "default": LETTERS });
    let size = property(LETTERS, more);
    assert_eq!(made(&service, &kind(LETTERS, "properties"), size.clone()).await, size);
    assert_eq!(tag(&service, LETTERS, LETTERS).await["name"], json!(LETTERS));
    let association = json!({ "name": LETTERS, "prefix": LETTERS, "properties_target": LETTERS });
    made(&service, &kind(LETTERS, "resource_types"), association).await;
    // unescaped in every answer
    let paths = [at(LETTERS), ROOT.to_owned(), TYPES.to_owned()];
    let kinds = ["objects", "properties", "tags", "resource_types"].map(|name| kind(LETTERS, name));
    let children = ["objects", "properties", "tags"].map(|kind| child(LETTERS, kind, LETTERS));
    for path in paths.into_iter().chain(kinds).chain(children) {
        let answer = ask(&service, ADMIN, &get(&path)).await.expect(200);
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains(LETTERS) && !body.contains("\\u"), "{path}: {body}");
    }
    assert_eq!(read(&service, &child(LETTERS, "properties", LETTERS)).await, size);
    assert_eq!(read(&service, &child(LETTERS, "objects", LETTERS)).await, object);
    assert_eq!(tags_of(&service, LETTERS, "").await, [LETTERS]);
    // changed and deleted by their names
    let texts = super::merged(json!({ "namespace": LETTERS }), &texts);
    ask(&service, ADMIN, &put(at(LETTERS), texts)).await.expect(200);
    ask(&service, ADMIN, &put(child(LETTERS, "objects", LETTERS), json!({ "name": LETTERS })))
        .await
        .expect(200);
    ask(&service, ADMIN, &put(child(LETTERS, "properties", LETTERS), size)).await.expect(200);
    ask(&service, ADMIN, &put(child(LETTERS, "tags", LETTERS), json!({ "name": LETTERS }))).await.expect(200);
    for kind in ["objects", "properties", "tags", "resource_types"] {
        ask(&service, ADMIN, &delete(child(LETTERS, kind, LETTERS))).await.expect(204);
    }
    // composed and decomposed are two
    space(&service, "\u{e9}", json!({})).await;
    space(&service, "e\u{301}", json!({})).await;
    // a path that is not escaped at all
    let answer = asked(service.get(&format!("{ROOT}/\u{e9}")).by(ADMIN)).await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    ask(&service, ADMIN, &delete(at(LETTERS))).await.expect(204);
    assert_eq!(names(&read(&service, TYPES).await, "resource_types"), [LETTERS]);
}

#[tokio::test]
async fn md_096_times_are_whole_seconds_of_utc() {
    let service = Service::start().await;
    let pattern = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$").unwrap();
    let stamped = |document: &Value| {
        for name in ["created_at", "updated_at"] {
            let time = document[name].as_str().unwrap_or_else(|| panic!("no {name}: {document}"));
            assert!(pattern.is_match(time), "{time}");
        }
    };
    stamped(&full(&service, "Ns", json!({})).await);
    stamped(&made(&service, &kind("Ns", "objects"), json!({ "name": "o" })).await);
    stamped(&made(&service, &kind("Ns", "resource_types"), json!({ "name": "OS::T" })).await);
    stamped(&tag(&service, "Ns", "t").await);
    let changed = [
        put(at("Ns"), json!({ "namespace": "Ns" })),
        put(child("Ns", "objects", "o"), json!({ "name": "o" })),
        put(child("Ns", "tags", "t"), json!({ "name": "t" })),
    ];
    for call in changed {
        stamped(&ask(&service, ADMIN, &call).await.expect(200).json());
    }
    let shown = read(&service, &at("Ns")).await;
    stamped(&shown);
    stamped(&read(&service, ROOT).await["namespaces"][0]);
    for member in ["objects", "resource_type_associations"] {
        shown[member].as_array().unwrap().iter().for_each(stamped);
    }
    for (path, member) in [
        (kind("Ns", "objects"), "objects"),
        (kind("Ns", "resource_types"), "resource_type_associations"),
        (TYPES.to_owned(), "resource_types"),
    ] {
        read(&service, &path).await[member].as_array().unwrap().iter().for_each(stamped);
    }
    stamped(&read(&service, &child("Ns", "tags", "t")).await);
    // nowhere else
    for path in [kind("Ns", "properties"), kind("Ns", "tags"), child("Ns", "properties", "size")] {
        assert!(!read(&service, &path).await.to_string().contains("_at\""), "{path}");
    }
    assert!(!json!([shown["properties"], shown["tags"]]).to_string().contains("_at\""));
    // a zone of the database makes no difference
    service.sql("UPDATE metadef_namespaces SET created_at = '2020-06-01T23:59:59.999999+05:00'").await;
    assert_eq!(read(&service, &at("Ns")).await["created_at"], json!("2020-06-01T18:59:59Z"));
    ask(&service, ADMIN, &delete(child("Ns", "resource_types", BARE))).await.expect(204);
}
