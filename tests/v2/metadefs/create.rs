//! Creating namespaces (metadefs.md §4.2).

use serde_json::{Value, json};

use super::{
    ADMIN, ALIEN, COLLECTIONS, EMOJI, LETTERS, OWNER, ROOT, TYPES, all_refused, ask, at, child, full, get,
    keys, kind, listed, names, post, property, read, refused, schema, space, without,
};
use crate::support::api::{ROOT as UNSCOPED, Service};

/// The keys of a namespace that has everything but contents.
const TEN: [&str; 10] = [
    "created_at",
    "description",
    "display_name",
    "namespace",
    "owner",
    "protected",
    "schema",
    "self",
    "updated_at",
    "visibility",
];

#[tokio::test]
async fn md_012_a_bare_namespace_has_ten_keys() {
    let service = Service::start().await;
    let texts = json!({ "display_name": "D", "description": "E" });
    let whole = space(&service, "OS::Whole", texts).await;
    assert_eq!(keys(&whole), TEN.into());
    let expected = json!({
        "namespace": "OS::Whole",
        "display_name": "D",
        "description": "E",
        "visibility": "private",
        "protected": false,
        "owner": "delta",
        "self": format!("{ROOT}/OS::Whole"),
        "schema": "/v2/schemas/metadefs/namespace",
    });
    assert_eq!(without(whole.clone(), &["created_at", "updated_at"]), expected);
    assert_eq!(whole["created_at"], whole["updated_at"]);
    // the same when it is read
    assert_eq!(read(&service, &at("OS::Whole")).await, whole);
    // texts only where they are given
    let bare = space(&service, "Bare", json!({})).await;
    assert_eq!(keys(&bare), TEN.into_iter().filter(|key| !key.starts_with("d")).collect());
    assert_eq!(read(&service, &at("Bare")).await, bare);
    // an empty text is one
    let empty = space(&service, "Empty", json!({ "display_name": "", "description": "" })).await;
    assert_eq!((&empty["display_name"], &empty["description"]), (&json!(""), &json!("")));
}

#[tokio::test]
async fn md_013_the_location_leads_there() {
    let service = Service::start().await;
    for name in ["Plain", "OS::Colons", "two words", LETTERS, "a/b", "50%"] {
        let answer = ask(&service, ADMIN, &post(ROOT, json!({ "namespace": name }))).await.expect(201);
        let location = answer.header("Location").unwrap();
        assert!(location.is_ascii() && !location.contains(' '), "{location}");
        let authority = format!("http://{}", service.address);
        let path = location.strip_prefix(&authority).unwrap_or(&location);
        assert!(path.starts_with(&format!("{ROOT}/")), "{location}");
        assert_eq!(read(&service, path).await["namespace"], json!(name));
    }
}

#[tokio::test]
async fn md_014_defaults() {
    let service = Service::start().await;
    for (caller, owner) in [(ADMIN, "delta"), ("ada:alpha:admin", "alpha")] {
        let name = format!("of {owner}");
        ask(&service, caller, &post(ROOT, json!({ "namespace": name }))).await.expect(201);
        let made = read(&service, &at(&name)).await;
        assert_eq!(made["visibility"], json!("private"));
        assert_eq!(made["protected"], json!(false));
        assert_eq!(made["owner"], json!(owner));
    }
}

#[tokio::test]
async fn md_015_any_text_is_an_owner() {
    let service = Service::start().await;
    for (n, owner) in ["alpha", "nobody knows", LETTERS, "", "null", &"o".repeat(255)].iter().enumerate() {
        let name = format!("ns-{n}");
        assert_eq!(space(&service, &name, json!({ "owner": owner })).await["owner"], json!(owner));
        assert_eq!(read(&service, &at(&name)).await["owner"], json!(owner));
    }
    // an administrator without a project says whose it is
    let call = post(ROOT, json!({ "namespace": "given", "owner": "alpha" }));
    ask(&service, UNSCOPED, &call).await.expect(201);
    ask(&service, UNSCOPED, &super::put(at("given"), json!({ "namespace": "given", "owner": "p" })))
        .await
        .expect(200);
    for call in
        [post(ROOT, json!({ "namespace": "new" })), super::put(at("given"), json!({ "namespace": "given" }))]
    {
        refused(&service, UNSCOPED, &call, 400).await;
    }
}

#[tokio::test]
async fn md_016_a_name_is_taken_all_over_the_cloud() {
    let service = Service::start().await;
    space(&service, "public", json!({ "visibility": "public" })).await;
    space(&service, "private", json!({ "owner": "elsewhere" })).await;
    let with_contents = json!({
        "namespace": "private",
        "resource_type_associations": [{ "name": "OS::New" }],
        "objects": [{ "name": "o" }],
        "tags": [{ "name": "t" }],
        "properties": { "p": schema() },
    });
    for document in [json!({ "namespace": "public" }), json!({ "namespace": "private" }), with_contents] {
        refused(&service, ADMIN, &post(ROOT, document.clone()), 409).await;
        refused(&service, "ada:alpha:admin", &post(ROOT, document), 409).await;
    }
}

#[tokio::test]
async fn md_016_nor_does_a_conflict_tell_a_reader_of_it() {
    let rules = json!({ "add_metadef_namespace": "role:reader" });
    let service = Service::start_with_rules(&rules).await;
    space(&service, "private", json!({ "owner": "elsewhere" })).await;
    let document = json!({ "namespace": "private" });
    refused(&service, ALIEN, &post(ROOT, document), 409).await;
    ask(&service, ALIEN, &post(ROOT, json!({ "namespace": "own" }))).await.expect(201);
    assert_eq!(read(&service, &at("own")).await["owner"], json!("beta"));
}

#[tokio::test]
async fn md_017_lengths_are_counted_in_characters() {
    let service = Service::start().await;
    for letter in ["n", "é", "日"] {
        let texts = |most: [usize; 4]| {
            let [name, display, description, owner] = most.map(|n| letter.repeat(n));
            json!({ "namespace": name, "display_name": display, "description": description, "owner": owner })
        };
        let longest = [80, 80, 500, 255];
        let made = ask(&service, ADMIN, &post(ROOT, texts(longest))).await.expect(201).json();
        assert_eq!(made["description"], texts(longest)["description"]);
        assert_eq!(read(&service, &at(&letter.repeat(80))).await, made);
        for n in 0..4 {
            let mut lengths = longest;
            lengths[n] += 1;
            let mut document = texts(lengths);
            if n > 0 {
                document["namespace"] = json!("free");
            }
            refused(&service, ADMIN, &post(ROOT, document.clone()), 400).await;
            let call = super::put(at(&letter.repeat(80)), document);
            refused(&service, ADMIN, &call, 400).await;
        }
    }
}

/// Attributes that no namespace can have.
fn unfitting() -> Vec<Value> {
    let mut all = vec![
        json!({ "visibility": "shared" }),
        json!({ "visibility": "Public" }),
        json!({ "visibility": "" }),
        json!({ "protected": "yes" }),
        json!({ "protected": "true" }),
        json!({ "protected": 1 }),
        json!({ "junk": 1 }),
        json!({ "id": 5 }),
        json!({ "first": "x" }),
        json!({ "name": "x" }),
        json!({ "objects": {} }),
        json!({ "objects": ["x"] }),
        json!({ "tags": {} }),
        json!({ "tags": ["x"] }),
        json!({ "properties": [] }),
        json!({ "properties": { "p": "x" } }),
        json!({ "resource_type_associations": {} }),
        json!({ "resource_type_associations": ["x"] }),
    ];
    for name in ["namespace", "display_name", "description", "owner"] {
        all.extend([json!(5), json!(true), json!(["x"]), json!({}), Value::Null].map(|v| json!({ name: v })));
    }
    for name in ["visibility", "protected", "objects", "tags", "properties", "resource_type_associations"] {
        all.push(json!({ name: null }));
    }
    all
}

#[tokio::test]
async fn md_018_and_019_attributes_that_do_not_fit() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "description": "kept" })).await;
    let mut calls = Vec::new();
    for wrong in unfitting() {
        calls.push(post(ROOT, super::merged(json!({ "namespace": "new" }), &wrong)));
        calls.push(super::put(at("Ns"), super::merged(json!({ "namespace": "Ns" }), &wrong)));
    }
    calls.push(post(ROOT, json!({})));
    calls.push(post(ROOT, json!({ "display_name": "only" })));
    all_refused(&service, ADMIN, &calls, 400).await;
}

#[tokio::test]
async fn md_020_contents_come_along() {
    let service = Service::start().await;
    let contents = json!({
        "resource_type_associations": [
            { "name": "OS::T1", "prefix": "p_", "properties_target": "image" }, { "name": "OS::T2" },
        ],
        "objects": [
            {
                "name": "o", "description": "d", "required": ["b", "a"],
                "properties": { "a": { "title": "A", "type": "string", "enum": ["x", "y"] }, "b": schema() },
            },
            { "name": "bare" },
        ],
        "properties": { "p": { "title": "P", "type": "integer", "minimum": 1, "maximum": 5 }, "q": schema() },
        "tags": [{ "name": "t2" }, { "name": "t1" }],
    });
    let made = space(&service, "Ns", contents.clone()).await;
    // echoed as given
    for name in COLLECTIONS {
        assert_eq!(made[name], contents[name], "{name}");
    }
    let shown = read(&service, &at("Ns")).await;
    let object = without(shown["objects"][0].clone(), &["self", "schema", "created_at", "updated_at"]);
    assert_eq!(object, contents["objects"][0]);
    assert_eq!(shown["objects"][1]["required"], json!([]));
    for name in ["p", "q"] {
        let property = without(shown["properties"][name].clone(), &["name"]);
        assert_eq!(property, contents["properties"][name], "{name}");
    }
    let mut tags = names(&shown, "tags");
    tags.sort();
    assert_eq!(tags, ["t1", "t2"]);
    let found: Vec<Value> = shown["resource_type_associations"].as_array().unwrap().clone();
    let found: Vec<Value> =
        found.into_iter().map(|one| without(one, &["created_at", "updated_at"])).collect();
    assert_eq!(json!(found), contents["resource_type_associations"]);
    assert_eq!(names(&read(&service, TYPES).await, "resource_types").len(), 2);
    // and each is there by itself
    for (kind, name) in [("objects", "o"), ("objects", "bare"), ("properties", "p"), ("tags", "t2")] {
        assert_eq!(read(&service, &child("Ns", kind, name)).await["name"], json!(name));
    }
}

#[tokio::test]
async fn nested_names_and_stamps_are_taken_as_clients_send_them_back() {
    let service = Service::start().await;
    let nested = json!({
        "objects": [{
            "name": "o", "self": "x", "schema": "y", "created_at": "z", "updated_at": super::STAMP,
            "properties": {},
        }],
        "resource_type_associations": [{ "name": "OS::T", "created_at": "z", "updated_at": super::STAMP }],
        // the key wins
        "properties": { "key": property("other", json!({})) },
        "tags": [{ "name": "t" }],
    });
    space(&service, "Ns", nested).await;
    let shown = read(&service, &at("Ns")).await;
    assert_eq!(shown["objects"][0]["self"], json!(format!("{ROOT}/Ns/objects/o")));
    assert_eq!(shown["objects"][0]["schema"], json!("/v2/schemas/metadefs/object"));
    assert_ne!(shown["objects"][0]["created_at"], json!("z"));
    assert_ne!(shown["resource_type_associations"][0]["created_at"], json!("z"));
    assert_eq!(keys(&shown["properties"]), ["key"].into());
    assert_eq!(read(&service, &child("Ns", "properties", "key")).await["name"], json!("key"));
    ask(&service, ADMIN, &get(child("Ns", "properties", "other"))).await.expect(404);
}

#[tokio::test]
async fn empty_collections_are_none() {
    let service = Service::start().await;
    let empty = json!({ "objects": [], "properties": {}, "tags": [], "resource_type_associations": [], "description": "d" });
    space(&service, "Ns", empty).await;
    let shown = read(&service, &at("Ns")).await;
    assert_eq!(keys(&shown), TEN.into_iter().filter(|key| *key != "display_name").collect());
}

#[tokio::test]
async fn md_021_a_name_given_twice_makes_nothing() {
    let service = Service::start().await;
    let twice = [
        json!({ "tags": [{ "name": "t" }, { "name": "u" }, { "name": "t" }] }),
        json!({ "objects": [{ "name": "o" }, { "name": "o" }] }),
        json!({ "resource_type_associations": [{ "name": "OS::T" }, { "name": "OS::T", "prefix": "p" }] }),
    ];
    for more in &twice {
        // whatever comes before the conflict in the order of creation is undone
        let others = json!({
            "resource_type_associations": [{ "name": "OS::Other" }],
            "objects": [{ "name": "other" }],
        });
        let document = super::merged(json!({ "namespace": "Ns" }), &super::merged(others, more));
        let before = read(&service, TYPES).await;
        ask(&service, ADMIN, &post(ROOT, document)).await.expect(409);
        ask(&service, ADMIN, &get(at("Ns"))).await.expect(404);
        assert_eq!(read(&service, TYPES).await, before);
        assert_eq!(listed(&service, ADMIN, "").await, [""; 0]);
    }
    // the name is free still
    space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, &kind("Ns", "tags")).await, json!({ "tags": [] }));
}

#[tokio::test]
async fn md_022_and_023_contents_that_do_not_fit() {
    let service = Service::start().await;
    let long = "n".repeat(81);
    let mut wrong = vec![
        json!({ "objects": [{ "name": EMOJI }] }),
        json!({ "objects": [{ "name": long }] }),
        json!({ "objects": [{ "name": 5 }] }),
        json!({ "objects": [{}] }),
        json!({ "objects": [{ "description": "no name" }] }),
        json!({ "objects": [{ "name": "o", "junk": 1 }] }),
        json!({ "objects": [{ "name": "o", "required": "x" }] }),
        json!({ "objects": [{ "name": "o", "required": ["x", "x"] }] }),
        json!({ "objects": [{ "name": "o", "description": null }] }),
        json!({ "tags": [{}] }),
        json!({ "tags": [{ "name": "t", "junk": 1 }] }),
        json!({ "tags": [{ "name": "t", "created_at": super::STAMP, "junk": 1 }] }),
        json!({ "tags": [{ "name": long }] }),
        json!({ "tags": [{ "name": EMOJI }] }),
        json!({ "resource_type_associations": [{}] }),
        json!({ "resource_type_associations": [{ "prefix": "p" }] }),
        json!({ "resource_type_associations": [{ "name": "t", "junk": 1 }] }),
        json!({ "resource_type_associations": [{ "name": long }] }),
        json!({ "resource_type_associations": [{ "name": "t", "prefix": long }] }),
        json!({ "resource_type_associations": [{ "name": "t", "properties_target": long }] }),
        json!({ "resource_type_associations": [{ "name": EMOJI }] }),
        json!({ "properties": { long.clone(): schema() } }),
        json!({ "properties": { EMOJI: schema() } }),
    ];
    for property in [
        // MD-023
        json!({ "type": "string" }),
        json!({ "title": "T" }),
        json!({}),
        json!({ "title": "T", "type": "float" }),
        json!({ "title": "T", "type": "string", "junk": 1 }),
        json!({ "title": "T", "type": "string", "maxLength": -1 }),
        json!({ "title": "T", "type": "string", "description": EMOJI }),
        json!({ "title": "T", "type": "array", "items": {} }),
    ] {
        wrong.push(json!({ "properties": { "p": property } }));
        wrong.push(json!({ "objects": [{ "name": "o", "properties": { "p": property } }] }));
    }
    let calls: Vec<_> = wrong
        .iter()
        .map(|wrong| {
            let before =
                json!({ "namespace": "Ns", "resource_type_associations": [{ "name": "OS::Before" }] });
            post(ROOT, super::merged(before, wrong))
        })
        .collect();
    all_refused(&service, ADMIN, &calls, 400).await;
    ask(&service, ADMIN, &get(at("Ns"))).await.expect(404);
    assert_eq!(read(&service, TYPES).await, json!({ "resource_types": [] }));
}

#[tokio::test]
async fn md_086_nobody_but_administrators_creates() {
    let service = Service::start().await;
    for caller in [OWNER, ALIEN, super::READER, "mia:alpha:member", "max:alpha:reader,manager"] {
        let calls = [
            post(ROOT, json!({ "namespace": "Ns" })),
            post(ROOT, json!({ "namespace": "Ns", "visibility": "public", "owner": "alpha" })),
        ];
        all_refused(&service, caller, &calls, 403).await;
    }
    let answer = ask(&service, super::NOBODY, &post(ROOT, json!({ "namespace": "Ns" }))).await;
    assert!(matches!(answer.status, 403 | 404));
    assert_eq!(listed(&service, ADMIN, "").await, [""; 0]);
}

/// §4.2: collections come back as they were given, also where there is nothing in them.
#[tokio::test]
async fn a_new_namespace_echoes_its_collections() {
    let service = Service::start().await;
    let empty = json!({ "resource_type_associations": [], "objects": [], "tags": [], "properties": {} });
    let whole = space(&service, "empty", empty.clone()).await;
    for name in COLLECTIONS {
        assert_eq!(whole[name], empty[name], "{name}");
    }
    // read again, it has none
    assert_eq!(keys(&read(&service, &at("empty")).await).len(), 8);

    let given = json!({
        "objects": [{ "name": "o", "required": [], "properties": {} }],
        "properties": { "p": { "name": "other", "title": "P", "type": "string" } },
        "tags": [{ "name": "t" }],
        "resource_type_associations": [{ "name": "OS::T" }],
    });
    let whole = space(&service, "given", given.clone()).await;
    for name in COLLECTIONS {
        assert_eq!(whole[name], given[name], "{name}");
    }
}
