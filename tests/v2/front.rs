//! Identity, routes, request ids, bodies and errors of all of v2 (images-v2.md §2, §25).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, Answer, OCTETS, OTHER, OWNER, Service, new_id};
use crate::support::file::ScratchFile;
use crate::support::v2::{V21, behind_proxy, confirmed, raw, replace};

const DASHBOARD: &str = "https://dashboard.example.org";

fn request_id(answer: &Answer) -> String {
    answer.header("x-openstack-request-id").expect("an id of the request")
}

#[tokio::test]
async fn v2_016_and_017_who_is_nobody_gets_nowhere() {
    let service = Service::start_with(behind_proxy).await;
    let unknown = format!("/v2/images/{}", new_id());
    for (method, path) in [
        // V2-016
        ("GET", "/v2/images"),
        ("POST", "/v2/images"),
        ("PUT", "/v2/images"),
        ("DELETE", &unknown),
        ("GET", "/v2/schemas/image"),
        ("GET", "/v2"),
        ("GET", "/v2.9/images"),
        // V2-017
        ("GET", "/v2/nonsense"),
        ("BREW", "/v2/nonsense"),
        ("GET", "/v2/"),
    ] {
        for status in [None, Some("Invalid")] {
            let mut request = service.request(method, path).header("X-User-Id", "olga");
            request = request.header("X-Project-Id", "alpha").header("X-Roles", "admin");
            if let Some(status) = status {
                request = request.header("X-Identity-Status", status);
            }
            let answer = request.send().await;
            assert_eq!(answer.status, 401, "{method} {path} {status:?}");
            assert!(request_id(&answer).starts_with("req-"));
        }
    }
    confirmed(service.get("/v2/images"), "olga", "alpha", "reader").send().await.expect(200);
    confirmed(service.get("/v2/nonsense"), "olga", "alpha", "reader").send().await.expect(404);

    // the same where tokens are believed: these name nobody
    let service = Service::start().await;
    for token in ["nonsense", "a:b", ":alpha:admin"] {
        service.get("/v2/images").by(token).send().await.expect(401);
        service.get("/v2/nonsense").by(token).send().await.expect(401);
        service.post("/v2/images").by(token).json(&json!({})).send().await.expect(401);
    }
    service.get("/v2/nonsense").by(OWNER).send().await.expect(404);
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v2_018_and_019_a_slash_at_the_end_is_another_path() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    for caller in [OWNER, ADMIN] {
        // V2-018
        service.get("/v2/images/").by(caller).send().await.expect(404);
        // V2-019
        service.delete("/v2/images/").by(caller).send().await.expect(404);
        for path in ["", "/file", "/members"] {
            let path = format!("/v2/images/{id}{path}/");
            service.get(&path).by(caller).send().await.expect(404);
            service.delete(&path).by(caller).send().await.expect(404);
        }
    }
    assert_eq!(service.show(OWNER, &id).await["status"], json!("queued"));
}

#[tokio::test]
async fn v2_020_to_023_wrong_methods() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let (image, file) = (format!("/v2/images/{id}"), format!("/v2/images/{id}/file"));
    let unknown = format!("/v2/images/{}", new_id());
    for (methods, path, allow) in [
        // V2-020
        (&["PUT", "PATCH", "DELETE", "HEAD", "BREW"][..], "/v2/images", "GET, POST"),
        // V2-021
        (&["POST", "PUT", "HEAD", "BREW"], &image, "GET, PATCH, DELETE"),
        (&["POST"], &unknown, "GET, PATCH, DELETE"),
        // V2-022
        (&["POST", "PATCH", "DELETE", "HEAD"], &file, "GET, PUT"),
        // V2-052
        (&["PUT", "POST", "PATCH", "DELETE", "HEAD"], "/v2/schemas/image", "GET"),
        (&["PUT"], "/v2/schemas/tasks", "GET"),
    ] {
        for method in methods {
            let answer = service.request(method, path).by(OWNER).json(&json!({})).send().await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow").as_deref(), Some(allow), "{method} {path}");
        }
    }
    // V2-023
    for (method, status) in [("BREW", 501), ("TRACE", 501), ("GET", 404), ("HEAD", 404), ("POST", 404)] {
        for path in ["/v2/nonsense", "/v2/schemas/nonsense", &format!("{image}/nonsense")] {
            let answer = service.request(method, path).by(OWNER).send().await;
            assert_eq!(answer.status, status, "{method} {path}");
        }
    }
    for method in ["PUT", "PATCH", "DELETE"] {
        service.request(method, "/v2/nonsense").by(OWNER).send().await.expect(404);
    }
    assert_eq!(service.show(OWNER, &id).await["status"], json!("queued"));
    assert_eq!(service.count_images().await, 1);
}

#[tokio::test]
async fn v2_024_every_answer_names_its_request() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    let image = format!("/v2/images/{id}");
    let mut seen = Vec::new();
    for (method, path, status) in [
        ("GET", "/v2/images", 200),
        ("GET", image.as_str(), 200),
        ("GET", &format!("{image}/file"), 200),
        ("GET", "/v2/schemas/image", 200),
        ("POST", "/v2/images", 400),
        ("GET", "/v2/images?limit=x", 400),
        ("GET", "/v2/nonsense", 404),
        ("GET", "/v2", 302),
        ("PUT", "/v2/images", 405),
        ("PATCH", &image, 415),
        ("BREW", "/v2/nonsense", 501),
        ("DELETE", &image, 204),
    ] {
        let answer = service.request(method, path).by(OWNER).send().await;
        assert_eq!(answer.status, status, "{method} {path}");
        let id = request_id(&answer);
        assert!(id.starts_with("req-") && id.len() == 40, "{method} {path}: {id}");
        assert!(!seen.contains(&id), "{id} twice");
        seen.push(id);
    }
    let made = service.try_create(OWNER, &json!({})).await.expect(201);
    assert!(request_id(&made).starts_with("req-"));
    service.sql("ALTER TABLE images RENAME TO elsewhere").await;
    let answer = service.get("/v2/images").by(OWNER).send().await.expect(500);
    assert!(request_id(&answer).starts_with("req-"));
    // and what broke stays in the log
    assert!(!answer.text().contains("relation") && !answer.text().contains("elsewhere"), "{}", answer.text());
}

#[tokio::test]
async fn v2_025_to_027_request_ids_of_clients() {
    let service = Service::start().await;
    let ask = |id: &str| service.get("/v2/images").by(OWNER).header("X-Openstack-Request-Id", id);
    let longest = format!("req-{}", "a".repeat(60));
    for (sent, answered) in [
        // V2-025
        ("req-abc", "req-abc"),
        // V2-026
        ("abc", "req-abc"),
        // V2-027
        (longest.as_str(), longest.as_str()),
    ] {
        assert_eq!(request_id(&ask(sent).send().await.expect(200)), answered);
    }
    let refused = service.get("/v2/nonsense").by(OWNER).header("X-Openstack-Request-Id", "req-abc");
    assert_eq!(request_id(&refused.send().await.expect(404)), "req-abc");
    // V2-027
    for sent in [format!("{longest}a"), "a".repeat(65)] {
        let answer = ask(&sent).send().await.expect(431);
        assert!(!request_id(&answer).contains("aaa"));
    }
    let create = service.post("/v2/images").by(OWNER).json(&json!({}));
    create.header("X-Openstack-Request-Id", "a".repeat(65)).send().await.expect(431);
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v2_028_and_029_bodies_where_none_is_expected() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let unknown = new_id();
    // whoever asks for whatever: the body is judged first
    for (caller, id) in [(OWNER, &id), (OTHER, &id), (OWNER, &unknown)] {
        for (method, path) in [
            // V2-028
            ("GET", ""),
            ("GET", "/file"),
            // V2-029
            ("DELETE", ""),
        ] {
            let request = service.request(method, &format!("/v2/images/{id}{path}")).by(caller);
            let answer = request.body("{}").send().await;
            assert_eq!(answer.status, 400, "{caller} {method} {path}");
        }
    }
    service.get("/v2/schemas/image").by(OWNER).body("{}").send().await.expect(400);
    service.get("/v2/schemas/members").by(OWNER).body("{}").send().await.expect(400);
    // where it does not matter
    service.get("/v2/schemas/tasks").by(OWNER).body("{}").send().await.expect(200);
    service.get("/v2/images").by(OWNER).body("{}").send().await.expect(200);
    // chunks are a body only where data may come
    let path = format!("/v2/images/{id}");
    service.get(&path).by(OWNER).chunked("{}").send().await.expect(200);
    // clients send the type of a body that they do not have
    service.get(&path).by(OWNER).header("Content-Type", OCTETS).send().await.expect(200);
    service.delete(&path).by(OWNER).header("Content-Type", OCTETS).send().await.expect(204);
}

#[tokio::test]
async fn v2_030_bodies_where_none_is_expected_of_actions_and_tags() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    for path in ["actions/deactivate", "actions/reactivate"] {
        let path = format!("/v2/images/{id}/{path}");
        service.post(&path).by(OWNER).json(&json!({})).send().await.expect(400);
        service.post(&path).by(OWNER).chunked("{}").send().await.expect(400);
    }
    let tag = format!("/v2/images/{id}/tags/x");
    service.put(&tag).by(OWNER).json(&json!({})).send().await.expect(400);
    service.delete(&tag).by(OWNER).json(&json!({})).send().await.expect(400);
    let shown = service.show(OWNER, &id).await;
    assert_eq!((&shown["status"], &shown["tags"]), (&json!("active"), &json!([])));
}

#[tokio::test]
async fn v2_031_to_033_and_342_documents_that_are_none() {
    let service = Service::start().await;
    let post = || service.post("/v2/images").by(OWNER);
    for body in [
        // V2-031
        "{",
        "{\"name\": }",
        "{\"name\": \"n\"",
        "{name: \"n\"}",
        "{\"name\": \"n\"} x",
        "name=n",
        " ",
        // V2-032
        "\"x\"",
        "5",
        "null",
        "true",
        // V2-342
        "[]",
        "[1]",
        "[{}]",
    ] {
        let answer = post().header("Content-Type", "application/json").body(body).send().await;
        assert_eq!(answer.status, 400, "{body}");
        let answer = post().chunked(body).send().await;
        assert_eq!(answer.status, 400, "{body} in chunks");
    }
    // V2-033
    post().send().await.expect(400);
    post().header("Content-Type", "application/json").send().await.expect(400);
    post().chunked("").send().await.expect(400);
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v2_034_the_type_of_a_document_is_nothing() {
    let service = Service::start().await;
    for (n, kind) in
        [Some(OCTETS), None, Some("text/plain"), Some("application/json; charset=latin1"), Some("")]
            .iter()
            .enumerate()
    {
        let mut request = service.post("/v2/images").by(OWNER);
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        let body = json!({ "name": n.to_string() }).to_string();
        let made = request.body(body).send().await.expect(201).json();
        assert_eq!(made["name"], json!(n.to_string()), "{kind:?}");
    }
    let chunked = service.post("/v2/images").by(OWNER).chunked("{\"name\": \"chunks\"}");
    assert_eq!(chunked.send().await.expect(201).json()["name"], json!("chunks"));
}

#[tokio::test]
async fn v2_035_queries_are_utf_8() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "name": "é +" })).await;
    for query in ["name=%FF", "tag=%C3", "%FF=x", "marker=%ED%A0%80", "limit=1&custom=%FF"] {
        let answer = service.get(&format!("/v2/images?{query}")).by(OWNER).send().await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(service.listed(OWNER, "name=%C3%A9+%2B").await, [id]);
}

/// A failed request with this `Accept`.
async fn failed(service: &Service, accept: Option<&str>) -> Answer {
    let mut request = service.get(&format!("/v2/images/{}", new_id())).by(OWNER);
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    request.send().await.expect(404)
}

#[tokio::test]
async fn v2_036_errors_in_json() {
    let service = Service::start().await;
    for accept in [
        "application/json",
        "application/json;q=0.5",
        "text/html;q=0.1, application/json",
        "text/plain, application/json",
    ] {
        let answer = failed(&service, Some(accept)).await;
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{accept}");
        let document = answer.json();
        let message = document["message"].as_str().unwrap();
        assert!(message.contains("<br /><br />"), "{message:?}");
        let expected = json!({ "message": message, "code": "404 Not Found", "title": "Not Found" });
        assert_eq!(document, expected, "{accept}");
    }
}

#[tokio::test]
async fn v2_037_errors_in_html() {
    let service = Service::start().await;
    for accept in ["*/*", "text/html", "text/*", "text/html, application/json", "application/json;q=0.5, */*"]
    {
        let answer = failed(&service, Some(accept)).await;
        assert_eq!(answer.header("content-type").as_deref(), Some("text/html; charset=UTF-8"), "{accept}");
        let page = answer.text();
        assert!(page.starts_with("<html>"), "{page}");
        assert!(page.contains("<title>404 Not Found</title>"), "{page}");
        assert!(page.contains("<h1>404 Not Found</h1>"), "{page}");
    }
    // whatever a client wrote is text
    let request = service.get("/v2/images?visibility=%3Cscript%3E").by(OWNER).header("Accept", "*/*");
    let answer = request.send().await.expect_text(400, "<script>");
    let page = String::from_utf8(answer.body).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}

#[tokio::test]
async fn v2_038_errors_in_plain_text() {
    let service = Service::start().await;
    for accept in [None, Some(""), Some("text/plain"), Some("image/png")] {
        let answer = failed(&service, accept).await;
        assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=UTF-8"), "{accept:?}");
        assert!(answer.text().starts_with("404 Not Found\n\n"), "{}", answer.text());
    }
    // other titles (§2.6)
    let large = service.post("/v2/images").by(OWNER).body(vec![b' '; 1_100_000]).send().await.expect(413);
    assert!(large.text().starts_with("413 Request Entity Too Large\n\n"), "{}", large.text());
    let id = service.queued(OWNER).await;
    let patch = service.patch(&format!("/v2/images/{id}")).by(OWNER).json(&json!([]));
    let answer = patch.send().await.expect(415);
    assert!(answer.text().starts_with("415 Unsupported Media Type\n\n"), "{}", answer.text());
}

#[tokio::test]
async fn v2_039_what_is_hidden_is_as_if_it_were_not() {
    let service = Service::start().await;
    let private = service.active(OWNER, json!({ "visibility": "private" }), b"data").await;
    let shared = service.create_id(OWNER, raw(json!({ "tags": ["x"] }))).await;
    let deleted = service.queued(OWNER).await;
    service.delete(&format!("/v2/images/{deleted}")).by(OWNER).send().await.expect(204);
    let patch = json!([replace("/name", "x")]).to_string();
    let about = async |caller: &str, id: &str| -> Vec<Answer> {
        let (image, file) = (format!("/v2/images/{id}"), format!("/v2/images/{id}/file"));
        let requests = [
            service.get(&image),
            service.get(&image).header("Accept", "application/json"),
            service.get(&image).header("Accept", "*/*"),
            service.delete(&image),
            service.patch(&image).header("Content-Type", V21).body(&patch),
            service.get(&file),
            service.put(&file).data("x"),
        ];
        let mut answers = Vec::new();
        for request in requests {
            let mut answer = request.by(caller).send().await;
            answer.headers.retain(|(name, _)| {
                !["date", "x-openstack-request-id"].contains(&name.to_ascii_lowercase().as_str())
            });
            answer.body = answer.text().replace(id, "ID").into_bytes();
            answers.push(answer);
        }
        answers
    };
    let nothing = about(OTHER, &new_id()).await;
    assert!(nothing.iter().all(|answer| answer.status == 404), "{nothing:?}");
    for id in [&private, &shared, &deleted] {
        assert_eq!(about(OTHER, id).await, nothing);
    }
    assert_eq!(about(ADMIN, &deleted).await, nothing);
    assert_eq!(service.show(OWNER, &private).await["status"], json!("active"));
}

#[tokio::test]
async fn v2_335_tokens_of_another_scope_are_refused() {
    let service = Service::start_with(behind_proxy).await;
    let member = |request| confirmed(request, "olga", "alpha", "member,reader");
    let made = member(service.post("/v2/images").json(&json!({}))).send().await.expect(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/images/{id}");
    let before = service.record(&id).await;
    for (scope, value) in [("OpenStack-System-Scope", "all"), ("X-Domain-Id", "default")] {
        let scoped = |request| confirmed(request, "adam", "", "admin,member,reader").header(scope, value);
        let post = service.post("/v2/images").json(&json!({ "owner": "alpha" }));
        // V2-335
        scoped(post).send().await.expect(403);
        scoped(service.get("/v2/images")).send().await.expect(403);
        // where an image is named it is not there
        let answer = scoped(service.get(&path)).send().await;
        assert_eq!(answer.status, 404, "{scope}");
        let answer = scoped(service.delete(&path)).send().await;
        assert_eq!(answer.status, 404, "{scope}");
        let body = json!([replace("/name", "x")]).to_string();
        let patch = service.patch(&path).header("Content-Type", V21).body(body);
        assert_eq!(scoped(patch).send().await.status, 404, "{scope}");
        // schemas have no policy
        scoped(service.get("/v2/schemas/image")).send().await.expect(200);
    }
    assert_eq!(service.record(&id).await, before);
    assert_eq!(service.count_images().await, 1);
}

#[tokio::test]
async fn v2_338_the_health_check_and_what_is_below_it() {
    let switch = ScratchFile::absent("disabled");
    let path = switch.path.clone();
    let service = Service::start_with(|config| {
        behind_proxy(config);
        config.server.disable_by_file_path = Some(path);
    })
    .await;
    for path in ["/healthcheck", "/healthcheck/anything", "/healthcheck/v2/images"] {
        let answer = service.get(path).header("Accept", "text/plain").send().await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"OK"[..]), "{path}");
        service.head(path).send().await.expect(204);
    }
    service.get("/healthchecks").send().await.expect(300);
    switch.write("");
    for path in ["/healthcheck", "/healthcheck/anything"] {
        let answer = service.get(path).header("Accept", "text/plain").send().await;
        assert_eq!((answer.status, answer.body.as_slice()), (503, &b"DISABLED BY FILE"[..]), "{path}");
        let answer = service.head(path).send().await.expect(503);
        assert!(answer.body.is_empty());
    }
    switch.remove();
    service.get("/healthcheck").send().await.expect(200);
}

#[tokio::test]
async fn v2_339_browsers_may_call_from_the_configured_origins() {
    let service = Service::start_with(|config| config.server.cors_origins = vec![DASHBOARD.to_owned()]).await;
    let allowed = |answer: &Answer, what: &str| answer.header(&format!("access-control-{what}"));
    let preflight = |origin: &str| {
        let request = service.request("OPTIONS", "/v2/images").header("X-Auth-Token", "nonsense");
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "PATCH");
        request.header("Access-Control-Request-Headers", "X-Auth-Token")
    };
    let answer = preflight(DASHBOARD).send().await.expect(200);
    assert_eq!(allowed(&answer, "allow-origin").as_deref(), Some(DASHBOARD));
    assert_eq!(allowed(&answer, "allow-credentials").as_deref(), Some("true"));
    let methods = allowed(&answer, "allow-methods").unwrap();
    let mut methods: Vec<&str> = methods.split(',').map(str::trim).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["DELETE", "GET", "PATCH", "POST", "PUT"]);
    assert!(allowed(&answer, "allow-headers").unwrap().contains("X-Auth-Token"));

    for (path, status) in [("/v2/images", 200), ("/v2/nonsense", 404), ("/v2/images?limit=x", 400)] {
        let answer = service.get(path).by(OWNER).header("Origin", DASHBOARD).send().await.expect(status);
        assert_eq!(allowed(&answer, "allow-origin").as_deref(), Some(DASHBOARD), "{path}");
        let exposed = allowed(&answer, "expose-headers").unwrap();
        for name in ["X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    for answer in [
        preflight("http://stranger.example").send().await.expect(200),
        service.get("/v2/images").by(OWNER).header("Origin", "null").send().await.expect(200),
    ] {
        let told = answer.headers.iter().any(|(name, _)| name.starts_with("Access-Control-"));
        assert!(!told, "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn nobody_who_may_only_read_changes_anything() {
    let service = Service::start_with(|config| {
        behind_proxy(config);
        config.identity.allow_anonymous_access = true;
    })
    .await;
    let create =
        |roles, document: Value| confirmed(service.post("/v2/images").json(&document), "u", "alpha", roles);
    let public =
        create("admin,member,reader", raw(json!({ "visibility": "public" }))).send().await.expect(201);
    let id = public.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/images/{id}");
    let upload = service.put(&format!("{path}/file")).data("data");
    confirmed(upload, "u", "alpha", "member,reader").send().await.expect(204);
    let before = service.record(&id).await;

    assert_eq!(service.get(&path).send().await.expect(200).json()["id"], json!(id));
    assert_eq!(service.get(&format!("{path}/file")).send().await.expect(200).body, b"data");
    let body = json!([replace("/name", "x")]).to_string();
    for write in [
        service.post("/v2/images").json(&json!({})),
        service.patch(&path).header("Content-Type", V21).body(body),
        service.delete(&path),
        service.put(&format!("{path}/file")).data("other"),
    ] {
        let answer = write.send().await.expect(403);
        assert!(answer.text().to_lowercase().contains("read-only access"), "{}", answer.text());
    }
    assert_eq!(service.record(&id).await, before);
    assert_eq!(service.count_images().await, 1);
}
