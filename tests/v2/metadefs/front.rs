//! Identity, routes, methods and names in paths (metadefs.md §2, §3).

use serde_json::json;

use super::{
    ADMIN, ALIEN, Call, EMOJI, JSON, LETTERS, NOBODY, OWNER, PREFIXED, ROOT, TYPES, ask, asked, at, child,
    delete, full, get, kind, made, post, property, put, read, reads, snapshot, space, tag, writes,
};
use crate::support::api::{OCTETS, Service};
use crate::support::v2::{behind_proxy, confirmed};

const DOCUMENTS: [&str; 10] = [
    "namespace",
    "namespaces",
    "object",
    "objects",
    "property",
    "properties",
    "tag",
    "tags",
    "resource_type",
    "resource_types",
];

fn everything(namespace: &str) -> Vec<Call> {
    let mut calls = vec![get(ROOT), post(ROOT, json!({ "namespace": "new" })), get(TYPES)];
    calls.extend(reads(namespace));
    calls.extend(writes(namespace));
    calls.extend(DOCUMENTS.map(|name| get(format!("/v2/schemas/metadefs/{name}"))));
    calls
}

#[tokio::test]
async fn md_001_who_is_nobody_gets_nowhere() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "visibility": "public" })).await;
    let before = snapshot(&service).await;
    for token in ["nonsense", "a:b", ":alpha:admin"] {
        for call in everything("Ns") {
            let answer = ask(&service, token, &call).await;
            assert_eq!(answer.status, 401, "{token} {call:?}");
        }
    }
    assert_eq!(snapshot(&service).await, before);

    // no token at all
    let service = Service::start_with(behind_proxy).await;
    for call in everything("Ns") {
        for status in [None, Some("Invalid")] {
            let mut request = service.request(call.method, &call.path).header("X-User-Id", "olga");
            request = request.header("X-Project-Id", "alpha").header("X-Roles", "admin");
            if let Some(status) = status {
                request = request.header("X-Identity-Status", status);
            }
            if let Some(document) = &call.document {
                request = request.json(document);
            }
            assert_eq!(asked(request).await.status, 401, "{call:?} {status:?}");
        }
    }
    let list = confirmed(service.get(ROOT), "adam", "alpha", "admin").send().await.expect(200);
    assert_eq!(list.json()["namespaces"], json!([]));
}

#[tokio::test]
async fn md_002_methods_that_a_route_has_not_and_paths_that_are_none() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    let mut routes = vec![(ROOT.to_owned(), "GET, POST"), (TYPES.to_owned(), "GET")];
    // whether there is such a namespace makes no difference
    for name in ["Ns", "none"] {
        routes.extend([
            (at(name), "GET, PUT, DELETE"),
            (kind(name, "objects"), "GET, POST, DELETE"),
            (kind(name, "properties"), "GET, POST, DELETE"),
            (kind(name, "tags"), "GET, POST, DELETE"),
            (kind(name, "resource_types"), "GET, POST"),
            (child(name, "objects", "obj"), "GET, PUT, DELETE"),
            (child(name, "properties", "size"), "GET, PUT, DELETE"),
            (child(name, "tags", "t1"), "GET, POST, PUT, DELETE"),
            (child(name, "resource_types", PREFIXED), "DELETE"),
        ]);
    }
    routes.extend(DOCUMENTS.map(|name| (format!("/v2/schemas/metadefs/{name}"), "GET")));
    for (path, allow) in &routes {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            if allow.split(", ").any(|known| known == method) {
                continue;
            }
            for caller in [ADMIN, NOBODY] {
                // and it comes before what is wrong with the body (§2.1)
                let request = service.request(method, path).by(caller);
                let request = if method == "HEAD" { request } else { request.body("{") };
                let answer = asked(request).await;
                assert_eq!(answer.status, 405, "{method} {path}");
                assert_eq!(answer.header("allow").as_deref(), Some(*allow), "{method} {path}");
                assert!(method != "HEAD" || answer.body.is_empty(), "HEAD {path}");
            }
        }
    }
    for path in [
        "/v2/metadefs".to_owned(),
        "/v2/metadefs/".to_owned(),
        "/v2/metadefs/nonsense".to_owned(),
        format!("{ROOT}/"),
        format!("{}/", at("Ns")),
        kind("Ns", "nonsense"),
        format!("{}/", kind("Ns", "objects")),
        format!("{}/", child("Ns", "tags", "t1")),
        format!("{}/more", child("Ns", "objects", "obj")),
        format!("{TYPES}/{PREFIXED}"),
        "/v2/schemas/metadefs".to_owned(),
        "/v2/schemas/metadefs/nonsense".to_owned(),
        "/v2/schemas/metadefs/Namespace".to_owned(),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            let answer = asked(service.request(method, &path).by(ADMIN)).await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
        // step 2 comes before the body
        let answer = asked(service.post(&path).by(ADMIN).body("{")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn md_001_and_002_identity_comes_before_routes() {
    let service = Service::start().await;
    for (method, path) in [
        ("GET", "/v2/metadefs/nonsense"),
        ("PATCH", ROOT),
        ("HEAD", TYPES),
        ("POST", "/v2/schemas/metadefs/tag"),
    ] {
        let answer = asked(service.request(method, path).by("nonsense")).await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn md_065_colons_in_paths_are_escaped_or_not() {
    let service = Service::start().await;
    let name = "OS::Nova::Server";
    full(&service, name, json!({})).await;
    made(&service, &kind(name, "objects"), json!({ "name": name })).await;
    made(&service, &kind(name, "properties"), property(name, json!({}))).await;
    tag(&service, name, name).await;
    made(&service, &kind(name, "resource_types"), json!({ "name": name })).await;
    for spelt in [name, "OS%3A%3ANova%3A%3AServer", "OS:%3aNova::Server", "%4FS::Nova::Server"] {
        let root = format!("{ROOT}/{spelt}");
        assert_eq!(read(&service, &root).await["namespace"], json!(name), "{spelt}");
        for kind in ["objects", "properties", "tags"] {
            let one = read(&service, &format!("{root}/{kind}/{spelt}")).await;
            assert_eq!(one["name"], json!(name), "{kind} {spelt}");
        }
        let path = format!("{root}/properties/{spelt}");
        ask(&service, ADMIN, &put(path, property(name, json!({ "title": spelt })))).await.expect(200);
        assert_eq!(read(&service, &child(name, "properties", name)).await["title"], json!(spelt));
    }
    // by any minor version
    read(&service, &format!("/v2.9/metadefs/namespaces/{name}")).await;
    // the association
    ask(&service, ADMIN, &delete(format!("{ROOT}/{name}/resource_types/{name}"))).await.expect(204);
    ask(&service, ADMIN, &delete(format!("{ROOT}/{name}/resource_types/OS%3A%3ATest%3A%3AServer")))
        .await
        .expect(204);
}

#[tokio::test]
async fn names_are_taken_literally_and_decoded_once() {
    let service = Service::start().await;
    for name in [
        "CPU Limits",
        "a/b",
        "a/objects/b",
        "100%",
        "%41",
        "a+b",
        "a?b=c&d",
        "x#y",
        "semi;colon",
        "..",
        "~'\"<>\\",
    ] {
        let answer = ask(&service, ADMIN, &post(ROOT, json!({ "namespace": name }))).await.expect(201);
        let location = answer.header("Location").unwrap();
        assert_eq!(answer.json()["self"], json!(format!("{ROOT}/{name}")));
        for path in [at(name), location] {
            assert_eq!(read(&service, &path).await["namespace"], json!(name), "{path}");
        }
        for (kind_, document) in
            [("objects", json!({ "name": name })), ("properties", property(name, json!({})))]
        {
            made(&service, &kind(name, kind_), document.clone()).await;
            assert_eq!(read(&service, &child(name, kind_, name)).await["name"], json!(name), "{kind_}");
            ask(&service, ADMIN, &put(child(name, kind_, name), document)).await.expect(200);
        }
        assert_eq!(tag(&service, name, name).await["name"], json!(name));
        assert_eq!(read(&service, &child(name, "tags", name)).await["name"], json!(name));
        made(&service, &kind(name, "resource_types"), json!({ "name": name })).await;
        for kind_ in ["objects", "properties", "tags", "resource_types"] {
            ask(&service, ADMIN, &delete(child(name, kind_, name))).await.expect(204);
            ask(&service, ADMIN, &delete(child(name, kind_, name))).await.expect(404);
        }
        ask(&service, ADMIN, &delete(at(name))).await.expect(204);
        ask(&service, ADMIN, &get(at(name))).await.expect(404);
    }
}

#[tokio::test]
async fn names_differ_by_case() {
    let service = Service::start().await;
    for name in ["name", "Name", "NAME"] {
        space(&service, name, json!({ "description": name })).await;
        made(&service, &kind("name", "objects"), json!({ "name": name })).await;
        made(&service, &kind("name", "properties"), property(name, json!({ "title": name }))).await;
        tag(&service, "name", name).await;
        made(&service, &kind("name", "resource_types"), json!({ "name": name })).await;
    }
    for name in ["name", "Name", "NAME"] {
        assert_eq!(read(&service, &at(name)).await["description"], json!(name));
        assert_eq!(read(&service, &child("name", "properties", name)).await["title"], json!(name));
    }
    ask(&service, ADMIN, &get(at("nAME"))).await.expect(404);
    ask(&service, ADMIN, &get(child("name", "tags", "nAME"))).await.expect(404);
}

#[tokio::test]
async fn paths_that_cannot_be_decoded_and_names_that_cannot_be() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let before = snapshot(&service).await;
    for bytes in ["%FF", "%C3", "%ED%A0%80"] {
        for path in [format!("{ROOT}/{bytes}"), format!("{ROOT}/Ns/objects/{bytes}")] {
            for method in ["GET", "DELETE"] {
                let answer = asked(service.request(method, &path).by(ADMIN)).await;
                assert_eq!(answer.status, 400, "{method} {path}");
            }
        }
        for query in ["marker", "resource_types", "visibility"] {
            ask(&service, ADMIN, &get(format!("{ROOT}?{query}={bytes}"))).await.expect(400);
        }
        let path = format!("{ROOT}/Ns/tags/{bytes}");
        ask(&service, ADMIN, &super::post_nothing(path)).await.expect(400);
    }
    // there is nothing of such a name
    for name in ["\0", EMOJI, LETTERS, &"n".repeat(81), &"n".repeat(2000)] {
        for path in [at(name), child("Ns", "objects", name), child("Ns", "properties", name)] {
            for call in [get(&path), delete(&path)] {
                let answer = ask(&service, ADMIN, &call).await;
                assert_eq!(answer.status, 404, "{call:?}");
            }
        }
        ask(&service, ADMIN, &get(child("Ns", "tags", name))).await.expect(404);
        ask(&service, ADMIN, &delete(child("Ns", "tags", name))).await.expect(404);
        ask(&service, ADMIN, &delete(child("Ns", "resource_types", name))).await.expect(404);
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn md_004_the_media_type_of_a_request_without_body_is_of_no_account() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let mut calls = reads("Ns");
    calls.extend([get(ROOT), get(TYPES), get("/v2/schemas/metadefs/tag")]);
    for call in calls {
        for media in [OCTETS, "text/plain", "application/json", "nonsense"] {
            let answer = asked(service.get(&call.path).by(ADMIN).header("Content-Type", media)).await;
            assert_eq!(answer.status, 200, "{call:?} as {media}");
            assert_eq!(answer.header("Content-Type").as_deref(), Some(JSON));
        }
    }
    // a tag is made and deleted like that too
    for (method, status) in [("POST", 201), ("DELETE", 204)] {
        let request = service.request(method, &child("Ns", "tags", "new")).by(ADMIN);
        asked(request.header("Content-Type", OCTETS)).await.expect(status);
    }
}

#[tokio::test]
async fn md_011_errors_come_as_the_client_accepts_them() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "protected": true })).await;
    let cases = [
        (get(at("none")), ADMIN, "404 Not Found", "Not Found"),
        (post(ROOT, json!({})), ADMIN, "400 Bad Request", "Bad Request"),
        (post(ROOT, json!({ "namespace": "Ns" })), ADMIN, "409 Conflict", "Conflict"),
        (post(ROOT, json!({ "namespace": "new" })), OWNER, "403 Forbidden", "Forbidden"),
        (delete(at("Ns")), ADMIN, "403 Forbidden", "Forbidden"),
        (get(at("Ns")), ALIEN, "404 Not Found", "Not Found"),
    ];
    for (call, caller, code, title) in cases {
        let request = |accept: Option<&str>| {
            let request = service.request(call.method, &call.path).by(caller);
            let request = if let Some(accept) = accept { request.header("Accept", accept) } else { request };
            if let Some(document) = &call.document { request.json(document) } else { request }
        };
        let status: u16 = code[..3].parse().unwrap();
        let answer = asked(request(Some("application/json"))).await.expect(status);
        assert!(answer.header("Content-Type").unwrap().starts_with("application/json"));
        let error = answer.json();
        assert_eq!(super::keys(&error), ["code", "message", "title"].into(), "{call:?}");
        assert_eq!((&error["code"], &error["title"]), (&json!(code), &json!(title)), "{call:?}");
        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{call:?}");
        for accept in ["*/*", "text/html"] {
            let media = asked(request(Some(accept))).await.expect(status).header("Content-Type").unwrap();
            assert!(media.starts_with("text/html"), "{accept}: {media}");
        }
        let media = asked(request(None)).await.expect(status).header("Content-Type").unwrap();
        assert!(media.starts_with("text/html") || media.starts_with("text/plain"), "{media}");
    }
}
