//! Bodies: where there may be one, where there must, and what is none (metadefs.md §2.2).

use serde_json::json;

use super::{
    ADMIN, Call, ROOT, TYPES, all_refused, ask, asked, at, child, full, get, kind, post, property, put, read,
    reads, snapshot, tags_of, without,
};
use crate::support::api::{OCTETS, Request, Service};

/// Every route that takes a document, with one that fits; in an order in which all succeed.
fn documented(namespace: &str) -> Vec<Call> {
    vec![
        post(ROOT, json!({ "namespace": namespace })),
        put(at(namespace), json!({ "namespace": namespace })),
        post(kind(namespace, "objects"), json!({ "name": "o" })),
        put(child(namespace, "objects", "o"), json!({ "name": "o" })),
        post(kind(namespace, "properties"), property("p", json!({}))),
        put(child(namespace, "properties", "p"), property("p", json!({}))),
        post(kind(namespace, "tags"), json!({ "tags": [{ "name": "t" }] })),
        put(child(namespace, "tags", "t"), json!({ "name": "t" })),
        post(kind(namespace, "resource_types"), json!({ "name": "OS::T" })),
    ]
}

/// A request that says it is chunked, of one that does not.
fn chunked(request: Request, body: &str) -> Request {
    request.chunked(body)
}

#[tokio::test]
async fn md_003_a_document_needs_no_media_type() {
    let service = Service::start().await;
    for media in [None, Some(OCTETS), Some("text/plain"), Some("nonsense")] {
        let name = media.unwrap_or("nothing").replace('/', "-");
        for call in documented(&name) {
            let request = service.request(call.method, &call.path).by(ADMIN);
            let request =
                if let Some(media) = media { request.header("Content-Type", media) } else { request };
            let answer = asked(request.body(call.document.clone().unwrap().to_string())).await;
            assert!(matches!(answer.status, 200 | 201), "{call:?} as {media:?}: {}", answer.text());
        }
    }
    // and it may come in chunks
    for call in documented("chunks") {
        let body = call.document.clone().unwrap().to_string();
        let answer = asked(chunked(service.request(call.method, &call.path).by(ADMIN), &body)).await;
        assert!(matches!(answer.status, 200 | 201), "{call:?} in chunks: {}", answer.text());
    }
}

#[tokio::test]
async fn md_005_bodies_where_none_is_taken_and_where_none_counts() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    let mut refusing = vec![
        get(TYPES),
        get(kind("Ns", "resource_types")),
        super::delete(child("Ns", "resource_types", super::PREFIXED)),
        get(at("Ns")),
        super::delete(at("Ns")),
        get(kind("Ns", "properties")),
        get(child("Ns", "objects", "obj")),
        super::delete(child("Ns", "objects", "obj")),
        get(child("Ns", "tags", "t1")),
        super::post_nothing(child("Ns", "tags", "new")),
        super::delete(child("Ns", "tags", "t1")),
    ];
    for name in ["namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags"] {
        refusing.push(get(format!("/v2/schemas/metadefs/{name}")));
    }
    for name in ["resource_type", "resource_types"] {
        refusing.push(get(format!("/v2/schemas/metadefs/{name}")));
    }
    for call in refusing {
        for body in ["{}", "x", "{\"name\": \"n\"}", " "] {
            let answer = asked(service.request(call.method, &call.path).by(ADMIN).body(body)).await;
            assert_eq!(answer.status, 400, "{call:?} with {body:?}");
        }
    }
    let chunks = chunked(service.post(&child("Ns", "tags", "new")).by(ADMIN), "{}");
    asked(chunks).await.expect(400);
    assert_eq!(snapshot(&service).await, before);

    for body in ["{}", "{", "x"] {
        for path in
            [ROOT.to_owned(), kind("Ns", "objects"), kind("Ns", "tags"), child("Ns", "properties", "size")]
        {
            asked(service.get(&path).by(ADMIN).body(body)).await.expect(200);
        }
    }
    for path in [
        child("Ns", "properties", "size"),
        kind("Ns", "objects"),
        kind("Ns", "properties"),
        kind("Ns", "tags"),
    ] {
        asked(service.delete(&path).by(ADMIN).body("{")).await.expect(204);
    }
    let left = read(&service, &at("Ns")).await;
    assert_eq!(without(left.clone(), &["objects", "properties", "tags"]), left);
}

#[tokio::test]
async fn md_006_what_is_not_a_document() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    let routes = [
        ("POST", ROOT.to_owned()),
        ("PUT", at("Ns")),
        ("POST", kind("Ns", "objects")),
        ("PUT", child("Ns", "objects", "obj")),
        ("POST", kind("Ns", "properties")),
        ("PUT", child("Ns", "properties", "size")),
        ("POST", kind("Ns", "tags")),
        ("PUT", child("Ns", "tags", "t1")),
        ("POST", kind("Ns", "resource_types")),
    ];
    for (method, path) in routes {
        asked(service.request(method, &path).by(ADMIN)).await.expect(400);
        for body in [
            "",
            " ",
            "{",
            "{}}",
            "5",
            "\"x\"",
            "null",
            "true",
            "[]",
            "[{\"name\": \"n\", \"namespace\": \"n\"}]",
            "{'name': 'n'}",
            "{\"name\": NaN}",
            "{\"name\": \"\\ud83d\"}",
            "name=n",
        ] {
            for request in [
                service.request(method, &path).by(ADMIN).body(body),
                chunked(service.request(method, &path).by(ADMIN), body),
            ] {
                let answer = asked(request).await;
                assert_eq!(answer.status, 400, "{method} {path} {body:?}: {}", answer.text());
            }
        }
        // bytes that are no text
        let answer = asked(service.request(method, &path).by(ADMIN).body(b"{\"name\": \"\xff\"}")).await;
        assert_eq!(answer.status, 400, "{method} {path}");
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn documents_have_a_size_and_a_depth() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    for call in documented("Ns") {
        let large = format!("{{\"name\": \"{}\"}}", "n".repeat(8 << 20));
        let answer = service.request(call.method, &call.path).by(ADMIN).body(&large).send().await;
        // a server that refuses early may close before it has read everything
        assert!(matches!(answer.status, 0 | 400 | 413), "{call:?}: {}", answer.status);
        let spaces = vec![b' '; (1 << 20) + 1];
        let answer = asked(service.request(call.method, &call.path).by(ADMIN).body(spaces)).await;
        assert_eq!(answer.status, 413, "{call:?}");
        for depth in [200, 100_000] {
            let deep = format!("{{\"name\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
            let answer = asked(service.request(call.method, &call.path).by(ADMIN).body(&deep)).await;
            assert_eq!(answer.status, 400, "{call:?} {depth} deep");
        }
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn one_member_given_twice_does_no_harm() {
    let service = Service::start().await;
    let body = "{\"namespace\": \"one\", \"namespace\": \"two\"}";
    let answer = asked(service.post(ROOT).by(ADMIN).body(body)).await;
    assert!(matches!(answer.status, 201 | 400));
    if answer.status == 201 {
        assert_eq!(answer.json()["namespace"], json!("two"));
    }
}

#[tokio::test]
async fn reads_ignore_what_a_tag_list_ignores() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    assert_eq!(tags_of(&service, "Ns", "limit=&marker=").await, ["t1"]);
    for call in reads("Ns") {
        let call = Call { path: format!("{}?junk=1&name=x&created_at=5", call.path), ..call };
        ask(&service, ADMIN, &call).await.expect(200);
    }
    all_refused(&service, ADMIN, &[get(format!("{}?visibility=shared", at("Ns")))], 400).await;
}
