//! Who callers are, in each mode (images-v1.md §10.1, §10.2).

use serde_json::{Value, json};
use vitrine::config::{Config, IdentityMode};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::api::{ADMIN, LONELY, OTHER, OWNER, ROOT, Request, Service};

const TOKENS: &str = "/v3/auth/tokens";

fn behind_proxy(config: &mut Config) {
    config.identity.mode = IdentityMode::Header;
    config.identity.header.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
}

fn confirmed(request: Request, user: &str, project: &str, roles: &str) -> Request {
    let request = request.header("X-Identity-Status", "Confirmed").header("X-User-Id", user);
    request.header("X-Project-Id", project).header("X-Roles", roles)
}

fn token(project: &str, roles: &[&str]) -> Value {
    let roles: Vec<Value> = roles.iter().map(|name| json!({"id": name, "name": name})).collect();
    json!({"token": {
        "methods": ["password"],
        "user": {"domain": {"id": "default", "name": "Default"}, "id": "664b8ab4", "name": "user"},
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "issued_at": "2020-01-01T00:00:00.000000Z",
        "project": {"domain": {"id": "default", "name": "Default"}, "id": project, "name": project},
        "roles": roles,
    }})
}

/// A Keystone that knows three tokens: `own`, of the service, `alpha` and `boss`.
async fn keystone() -> MockServer {
    let server = MockServer::start().await;
    let issued = ResponseTemplate::new(201).insert_header("X-Subject-Token", "own");
    let issued = issued.set_body_json(token("service", &["service"]));
    Mock::given(method("POST")).and(path(TOKENS)).respond_with(issued).mount(&server).await;
    for (name, project, roles) in [("alpha", "alpha", ["member"]), ("boss", "delta", ["Admin"])] {
        let question = Mock::given(method("GET")).and(path(TOKENS)).and(header("x-subject-token", name));
        let answer = ResponseTemplate::new(200).set_body_json(token(project, &roles));
        question.respond_with(answer).mount(&server).await;
    }
    let unknown = ResponseTemplate::new(404).set_body_json(json!({"error": {"code": 404}}));
    Mock::given(method("GET")).and(path(TOKENS)).respond_with(unknown).with_priority(9).mount(&server).await;
    server
}

#[tokio::test]
async fn v1_208_without_a_confirmed_identity_nobody_is_let_in() {
    let service = Service::start_with(behind_proxy).await;
    let statuses = [None, Some("Invalid"), Some("confirmed")];
    for status in statuses {
        for (method, path) in [("GET", "/v1/images"), ("POST", "/v1/images"), ("GET", "/v1/nonsense")] {
            let request =
                service.request(method, path).header("X-User-Id", "olga").header("X-Roles", "admin");
            let mut request = request.header("X-Project-Id", "alpha");
            if let Some(status) = status {
                request = request.header("X-Identity-Status", status);
            }
            let answer = request.send().await.expect(401);
            assert!(answer.text().contains("This server could not verify that you are authorized"));
            assert_eq!(answer.header("www-authenticate"), None, "there is no Keystone to go to");
        }
    }
    assert_eq!(service.count_images().await, 0);
    confirmed(service.get("/v1/images"), "olga", "alpha", "member").send().await.expect(200);

    // V1-208 in the mode of development: a token that names nobody
    let service = Service::start().await;
    for token in ["nonsense", "a:b", ":alpha:admin"] {
        service.post("/v1/images").by(token).send().await.expect(401);
    }
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v1_209_roles_are_trimmed_and_their_case_is_nothing() {
    let service = Service::start_with(behind_proxy).await;
    let made = confirmed(service.post("/v1/images"), "olga", "alpha", "member").send().await.expect(201);
    let path = format!("/v1/images/{}", made.image()["id"].as_str().unwrap());
    let cases = [
        ("Admin", 200),
        ("member,\tadmin\t", 200),
        ("ADMIN,x", 200),
        ("administrator", 404),
        ("member", 404),
        ("", 404),
    ];
    for (roles, status) in cases {
        confirmed(service.head(&path), "ann", "any", roles).send().await.expect(status);
    }

    // the same in the mode of development
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    for (caller, status) in [("ann:any:Admin", 200), ("ann:any:member, ADMIN ", 200), ("ann:any:admins", 404)]
    {
        service.head(&format!("/v1/images/{id}")).by(caller).send().await.expect(status);
    }
}

#[tokio::test]
async fn v1_243_request_ids_of_clients() {
    let service = Service::start().await;
    let ask = async |id: &str| {
        service.get("/v1/images").by(OWNER).header("X-Openstack-Request-Id", id).send().await
    };
    for length in [65, 4000] {
        let answer = ask(&"x".repeat(length)).await.expect(431);
        assert!(answer.header("x-openstack-request-id").unwrap().starts_with("req-"));
        assert!(!answer.header("x-openstack-request-id").unwrap().contains("xxx"));
    }
    let kept =
        [("x".repeat(60), format!("req-{}", "x".repeat(60))), ("req-1".to_owned(), "req-1".to_owned())];
    for (sent, answered) in kept {
        let answer = ask(&sent).await.expect(200);
        assert_eq!(answer.header("x-openstack-request-id"), Some(answered));
    }
    // what could break a log line is replaced
    let answer = ask("a b\"c").await.expect(200);
    let id = answer.header("x-openstack-request-id").unwrap();
    assert!(id.len() == 40 && !id.contains('"'), "{id}");
}

#[tokio::test]
async fn v1_251_an_anonymous_caller_reads_what_is_public() {
    let service = Service::start_with(|config| {
        behind_proxy(config);
        config.identity.allow_anonymous_access = true;
    })
    .await;
    let create = |project: &str, roles: &str| {
        let request = confirmed(service.post("/v1/images"), "u", project, roles);
        request.meta("disk_format", "raw").meta("container_format", "bare").data(b"abc")
    };
    let public = create("delta", "admin").meta("is_public", "True").send().await.expect(201).image();
    let hidden = create("alpha", "member").send().await.expect(201).image();
    let (public, hidden) = (public["id"].as_str().unwrap(), hidden["id"].as_str().unwrap());
    let before = service.record(public).await;

    let list = service.get("/v1/images").send().await.expect(200).json();
    let list: Vec<_> = list["images"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap()).collect();
    assert_eq!(list, [public]);
    let path = format!("/v1/images/{public}");
    assert_eq!(service.get(&path).send().await.expect(200).body, b"abc");
    service.head(&format!("/v1/images/{hidden}")).send().await.expect(404);
    service.get(&format!("/v1/images/{hidden}")).send().await.expect(404);
    let writes = [
        service.post("/v1/images"),
        service.put(&path).meta("name", "x"),
        service.delete(&path),
        service.put(&format!("{path}/members/pat")),
        service.put(&format!("{path}/members")).body(r#"{"memberships": []}"#),
        service.delete(&format!("{path}/members/pat")),
        // identity that nobody confirmed makes no difference
        service.delete(&path).header("X-User-Id", "u").header("X-Roles", "admin"),
    ];
    for write in writes {
        write.send().await.expect_text(403, "Read-only access");
    }
    assert_eq!(service.record(public).await, before);
    assert_eq!(service.count_images().await, 2);
}

#[tokio::test]
async fn v1_255_an_administrator_without_project_may_publish() {
    let service = Service::start().await;
    let request = service.post("/v1/images").by(ROOT).meta("is_public", "True");
    let image = request.send().await.expect(201).image();
    assert_eq!((&image["is_public"], &image["owner"]), (&json!(true), &Value::Null));
    // no token at all is an administrator of project `default` in this mode
    let image = service.post("/v1/images").meta("is_public", "True").send().await.expect(201).image();
    assert_eq!(image["owner"], json!("default"));
    for caller in [OWNER, LONELY] {
        let answer = service.post("/v1/images").by(caller).meta("is_public", "True").send().await;
        answer.expect_text(403, "Access was denied to this resource.");
    }
    assert_eq!(service.count_images().await, 2);
}

#[tokio::test]
async fn v1_271_without_a_good_token_the_way_to_keystone_is_shown() {
    let keystone = keystone().await;
    let service = Service::start_with(|config| {
        config.identity.mode = IdentityMode::Keystone;
        config.identity.keystone.auth_url = format!("{}/v3", keystone.uri());
        config.identity.keystone.www_authenticate_uri = Some("https://keystone.example:5000".to_owned());
        config.identity.keystone.username = "vitrine".to_owned();
        config.identity.keystone.password = Some("correct-horse".into());
    })
    .await;
    let challenge = Some("Keystone uri='https://keystone.example:5000'");
    let answer = service.get("/v1/images").send().await.expect(401);
    assert_eq!(answer.header("www-authenticate").as_deref(), challenge);
    for (method, token) in [("GET", "nonsense"), ("POST", "nonsense"), ("GET", OTHER), ("POST", ADMIN)] {
        // identity headers are no way in
        let request = service.request(method, "/v1/images").by(token);
        let answer = confirmed(request, "u", "alpha", "admin").send().await.expect(401);
        assert_eq!(answer.header("www-authenticate").as_deref(), challenge, "{token}");
    }
    assert_eq!(service.count_images().await, 0);

    let image = service.post("/v1/images").by("alpha").send().await.expect(201).image();
    assert_eq!(image["owner"], json!("alpha"));
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    service.head(&path).by("boss").send().await.expect(200);
    service.head(&path).header("X-Storage-Token", "alpha").send().await.expect(200);
    // no role of a header is added to those of the token
    let answer = confirmed(service.post("/v1/images").by("alpha"), "u", "delta", "admin");
    let image = answer.meta("owner", "delta").send().await.expect(201).image();
    assert_eq!(image["owner"], json!("alpha"));
}
