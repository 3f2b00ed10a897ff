//! Tags of namespaces (metadefs.md §8).

use serde_json::{Value, json};

use super::{
    ADMIN, LETTERS, STAMP, all_refused, ask, asked, at, child, delete, full, get, keys, kind, level_times,
    post, post_nothing, put, read, refused, space, tag, tags_of, without,
};
use crate::support::api::{Answer, Service};

/// The path of all tags of the namespace `Ns`.
fn tags() -> String {
    kind("Ns", "tags")
}

fn one(name: &str) -> String {
    child("Ns", "tags", name)
}

fn several(names: &[&str]) -> Value {
    json!({ "tags": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() })
}

/// Makes several tags, whatever comes of it.
async fn bulk(service: &Service, append: Option<&str>, names: &[&str]) -> Answer {
    let request = service.post(&tags()).by(ADMIN).json(&several(names));
    asked(if let Some(append) = append { request.header("X-Openstack-Append", append) } else { request })
        .await
}

async fn sorted(service: &Service) -> Vec<String> {
    let mut all = tags_of(service, "Ns", "").await;
    all.sort();
    all
}

#[tokio::test]
async fn md_072_one_by_its_name() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for name in ["t", "OS::Nova::Server", "two words", LETTERS, "a/b", &"t".repeat(80), &"日".repeat(80)] {
        let answer = ask(&service, ADMIN, &post_nothing(one(name))).await.expect(201);
        assert_eq!(answer.header("Location"), None);
        let made = answer.json();
        assert_eq!(keys(&made), ["created_at", "name", "updated_at"].into());
        assert_eq!(made["name"], json!(name));
        assert_eq!(made["created_at"], made["updated_at"]);
        assert_eq!(read(&service, &one(name)).await, made);
        refused(&service, ADMIN, &post_nothing(one(name)), 409).await;
    }
    for document in [json!({}), json!({ "name": "new" })] {
        refused(&service, ADMIN, &post(one("new"), document), 400).await;
    }
    for name in ["t".repeat(81), "日".repeat(81)] {
        refused(&service, ADMIN, &post_nothing(one(&name)), 400).await;
    }
    refused(&service, ADMIN, &post_nothing(child("none", "tags", "t")), 404).await;
    ask(&service, ADMIN, &get(one("none"))).await.expect(404);
}

#[tokio::test]
async fn md_073_the_list_has_names_only() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, &tags()).await, json!({ "tags": [] }));
    for name in ["b", "a"] {
        tag(&service, "Ns", name).await;
    }
    assert_eq!(read(&service, &tags()).await, several(&["a", "b"]));
    assert_eq!(read(&service, &format!("{}?limit=1", tags())).await, several(&["a"]));
}

#[tokio::test]
async fn md_074_several_replace_all_unless_they_are_added() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for (n, word) in
        ["1", "t", "true", "on", "y", "yes", "True", "TRUE", "Yes", "ON", "T", "Y"].iter().enumerate()
    {
        bulk(&service, None, &["a"]).await.expect(201);
        let new = format!("new-{n}");
        bulk(&service, Some(word), &[&new]).await.expect(201);
        assert_eq!(sorted(&service).await, ["a", &new], "{word}");
    }
    for (n, word) in
        [None, Some("0"), Some("no"), Some("false"), Some(""), Some("2"), Some("truely")].iter().enumerate()
    {
        bulk(&service, None, &["a", "b"]).await.expect(201);
        let new = format!("new-{n}");
        bulk(&service, *word, &[&new]).await.expect(201);
        assert_eq!(sorted(&service).await, [new], "{word:?}");
    }
    // tags that stay are named again, and nothing else goes
    bulk(&service, None, &["a", "b"]).await.expect(201);
    bulk(&service, None, &["b", "c"]).await.expect(201);
    assert_eq!(sorted(&service).await, ["b", "c"]);
    assert_eq!(read(&service, &at("Ns")).await["objects"][0]["name"], json!("obj"));
}

#[tokio::test]
async fn md_075_and_076_a_conflict_changes_nothing() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    bulk(&service, None, &["a", "b"]).await.expect(201);
    let before = read(&service, &at("Ns")).await;
    for (append, names) in [
        // MD-075
        (None, &["x", "x"][..]),
        (None, &["x", "a", "x"]),
        (None, &["a", "a"]),
        (Some("true"), &["x", "x"]),
        // MD-076
        (Some("true"), &["n", "a"]),
        (Some("true"), &["a"]),
        (Some("True"), &["m", "n", "b", "o"]),
    ] {
        bulk(&service, append, names).await.expect(409);
        assert_eq!(sorted(&service).await, ["a", "b"], "{append:?} {names:?}");
    }
    assert_eq!(read(&service, &at("Ns")).await, before);
}

#[tokio::test]
async fn md_077_the_answer_has_what_was_asked_for() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let answer = bulk(&service, None, &["z", "b", "m", LETTERS]).await.expect(201);
    assert_eq!(answer.json(), several(&["z", "b", "m", LETTERS]));
    assert_eq!(answer.header("Location"), None);
    let answer = bulk(&service, Some("1"), &["y", "a"]).await.expect(201);
    assert_eq!(answer.json(), several(&["y", "a"]));
    for append in [None, Some("true")] {
        assert_eq!(bulk(&service, append, &[]).await.expect(201).json(), json!({ "tags": [] }));
        assert_eq!(sorted(&service).await, [LETTERS, "a", "b", "m", "y", "z"]);
    }
}

#[tokio::test]
async fn md_078_documents_that_do_not_fit() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let calls: Vec<_> = [
        json!({}),
        json!({ "tags": null }),
        json!({ "tags": "x" }),
        json!({ "tags": {} }),
        json!({ "tags": ["x"] }),
        json!({ "tags": [{}] }),
        json!({ "tags": [{ "name": 5 }] }),
        json!({ "tags": [{ "name": null }] }),
        json!({ "tags": [{ "name": "a" }, { "name": "b", "x": 1 }] }),
        json!({ "tags": [{ "name": "a", "junk": "x" }] }),
        json!({ "tags": [{ "name": "a" }], "junk": 1 }),
        json!({ "tags": [{ "name": "t".repeat(81) }] }),
        json!({ "name": "a" }),
    ]
    .into_iter()
    .map(|document| post(tags(), document))
    .collect();
    all_refused(&service, ADMIN, &calls, 400).await;
    refused(&service, ADMIN, &post(kind("none", "tags"), several(&["a"])), 404).await;
    bulk(&service, None, &[&"日".repeat(80)]).await.expect(201);
}

#[tokio::test]
async fn md_079_renaming() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    tag(&service, "Ns", "a").await;
    tag(&service, "Ns", "b").await;
    let rename = |old: &str, new: &str| put(one(old), json!({ "name": new }));
    refused(&service, ADMIN, &rename("a", "b"), 409).await;
    refused(&service, ADMIN, &rename("none", "x"), 404).await;
    refused(&service, ADMIN, &put(child("none", "tags", "a"), json!({ "name": "x" })), 404).await;
    for wrong in [
        json!({}),
        json!({ "name": "z", "x": 1 }),
        json!({ "name": "z", "self": "x" }),
        json!({ "name": 5 }),
        json!({ "name": null }),
        json!({ "name": "t".repeat(81) }),
    ] {
        refused(&service, ADMIN, &put(one("a"), wrong), 400).await;
    }
    refused(&service, ADMIN, &put(one("a"), json!({ "name": "a", "updated_at": STAMP })), 403).await;
    level_times(&service).await;
    let mut old = "a".to_owned();
    for new in ["z", "OS::x", LETTERS, "a/b", &"t".repeat(80), "a"] {
        let answer = ask(&service, ADMIN, &rename(&old, new)).await.expect(200).json();
        assert_eq!(keys(&answer), ["created_at", "name", "updated_at"].into());
        assert_eq!(answer["name"], json!(new));
        assert_eq!(answer["created_at"], json!(STAMP));
        assert!(answer["updated_at"].as_str().unwrap() > STAMP);
        ask(&service, ADMIN, &get(one(&old))).await.expect(404);
        assert_eq!(read(&service, &one(new)).await, answer);
        new.clone_into(&mut old);
    }
    let answer = ask(&service, ADMIN, &rename("a", "a")).await.expect(200).json();
    assert_eq!(answer["name"], json!("a"));
    assert_eq!(sorted(&service).await, ["a", "b"]);
    service.sql("UPDATE metadef_tags SET updated_at = NULL").await;
    assert_eq!(read(&service, &one("b")).await, json!({ "name": "b", "created_at": STAMP }));
}

#[tokio::test]
async fn md_080_pages() {
    // behind the others in every collation
    const LAST: &str = "größe 日本";
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    for name in ["a", "c", LAST, "b"] {
        tag(&service, "Ns", name).await;
    }
    let made = ["a", "c", LAST, "b"];
    let newest = ["b", LAST, "c", "a"];
    let names = |query: &'static str| {
        let service = &service;
        async move { tags_of(service, "Ns", query).await }
    };
    for query in [
        "",
        "sort_key=created_at",
        "sort_dir=desc",
        "sort_key=updated_at&sort_dir=desc",
        "limit=",
        "marker=",
        "limit=&marker=",
        "limit=5000",
        "visibility=public",
        "visibility=shared",
        "junk=1",
    ] {
        assert_eq!(names(query).await, newest, "{query}");
    }
    assert_eq!(names("sort_dir=asc").await, made);
    assert_eq!(names("sort_key=name&sort_dir=asc").await, ["a", "b", "c", LAST]);
    assert_eq!(names("sort_key=name").await, [LAST, "c", "b", "a"]);
    assert_eq!(names("sort_key=name&sort_dir=asc&limit=2&marker=a").await, ["b", "c"]);
    assert_eq!(names("limit=2").await, newest[..2]);
    assert_eq!(names("limit=2&marker=gr%C3%B6%C3%9Fe+%E6%97%A5%E6%9C%AC").await, ["c", "a"]);
    assert_eq!(names("marker=a").await, [""; 0]);
    assert_eq!(names("limit=0").await, [""; 0]);
    for (query, status) in [
        ("marker=none", 404),
        ("marker=A", 404),
        ("marker=%F0%9F%98%80", 404),
        ("limit=-1", 400),
        ("limit=x", 400),
        ("limit=1.5", 400),
        ("sort_dir=up", 400),
        ("sort_dir=ASC", 400),
        ("sort_key=junk", 400),
        ("sort_key=id&sort_dir=up", 400),
        ("visibility=foo", 400),
    ] {
        let answer = ask(&service, ADMIN, &get(format!("{}?{query}", tags()))).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn md_080_ties_lose_and_repeat_nothing() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let all = ["d", "b", "e", "a", "c"];
    bulk(&service, None, &all).await.expect(201);
    level_times(&service).await;
    let ascending = tags_of(&service, "Ns", "sort_dir=asc").await;
    // in the order of the request that made them
    assert_eq!(ascending, all);
    for key in ["created_at", "updated_at"] {
        for (direction, expected) in [("asc", all.to_vec()), ("desc", all.iter().rev().copied().collect())] {
            let (mut found, mut marker) = (Vec::new(), String::new());
            loop {
                let query = format!("sort_key={key}&sort_dir={direction}&limit=2&marker={marker}");
                let page = tags_of(&service, "Ns", &query).await;
                found.extend(page.clone());
                let Some(last) = page.last().filter(|_| page.len() == 2) else { break };
                marker.clone_from(last);
            }
            assert_eq!(found, expected, "{key} {direction}");
        }
    }
    // more than any page of namespaces has
    let many: Vec<String> = (0..1100).map(|n| format!("t{n:04}")).collect();
    bulk(&service, None, &many.iter().map(String::as_str).collect::<Vec<_>>()).await.expect(201);
    assert_eq!(tags_of(&service, "Ns", "sort_dir=asc").await, many);
}

#[tokio::test]
async fn md_081_deleting() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    bulk(&service, None, &["a", "b", "c"]).await.expect(201);
    ask(&service, ADMIN, &delete(one("a"))).await.expect(204);
    refused(&service, ADMIN, &delete(one("a")), 404).await;
    assert_eq!(sorted(&service).await, ["b", "c"]);
    let before = read(&service, &at("Ns")).await;
    for _ in 0..2 {
        ask(&service, ADMIN, &delete(tags())).await.expect(204);
        assert_eq!(read(&service, &at("Ns")).await, without(before.clone(), &["tags"]));
    }
    tag(&service, "Ns", "a").await;
    for call in [
        delete(kind("none", "tags")),
        delete(child("none", "tags", "a")),
        get(kind("none", "tags")),
        get(child("none", "tags", "a")),
    ] {
        refused(&service, ADMIN, &call, 404).await;
    }
}
