//! What is logged, and what never is.

use serde_json::{Value, json};
use vitrine::config::{Config, IdentityMode};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::api::{ADMIN, OTHER, OWNER, Request};
use crate::support::db::{TestDatabase, test_database};
use crate::support::s3::{TestBucket, test_bucket};
use crate::support::server::Server;
use crate::support::{config, eventually};

const PASSWORD: &str = "canary-password";
const OWN_TOKEN: &str = "canary-own-token";
const TOKEN: &str = "canary-user-token";
const BAD_TOKEN: &str = "canary-bad-token";

fn token(project: &str) -> Value {
    json!({"token": {
        "methods": ["password"],
        "user": {"domain": {"id": "default", "name": "Default"}, "id": "u-olga", "name": "olga"},
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "issued_at": "2020-01-01T00:00:00.000000Z",
        "project": {"domain": {"id": "default", "name": "Default"}, "id": project, "name": project},
        "roles": [{"id": "service", "name": "service"}],
    }})
}

async fn keystone() -> MockServer {
    let server = MockServer::start().await;
    let issued = ResponseTemplate::new(201).insert_header("X-Subject-Token", OWN_TOKEN);
    Mock::given(method("POST")).respond_with(issued.set_body_json(token("service"))).mount(&server).await;
    let good = ResponseTemplate::new(200).set_body_json(token("alpha"));
    Mock::given(method("GET")).and(header("x-subject-token", TOKEN)).respond_with(good).mount(&server).await;
    let unknown = ResponseTemplate::new(404);
    Mock::given(method("GET")).respond_with(unknown).with_priority(9).mount(&server).await;
    server
}

fn lines(log: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

fn with_keystone(config: &mut Config, keystone: &MockServer) {
    config.identity.mode = IdentityMode::Keystone;
    config.identity.keystone.auth_url = format!("{}/v3", keystone.uri());
    config.identity.keystone.username = "vitrine".to_owned();
    config.identity.keystone.password = Some(PASSWORD.into());
}

#[tokio::test]
async fn every_request_is_one_json_line_with_its_id() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut server = Server::start(&config(&database, &bucket)).await;
    let request = Request::to(server.api, "GET", "/v1/images").by(OWNER);
    let answer = request.header("X-Openstack-Request-Id", "req-given").send().await.expect(200);
    assert_eq!(answer.header("x-openstack-request-id").as_deref(), Some("req-given"));
    let answer = Request::to(server.api, "HEAD", "/v1/images/nonsense").by(OWNER).send().await.expect(404);
    let id = answer.header("x-openstack-request-id").unwrap();
    assert!(server.terminate().await.success());

    let lines = lines(&server.log());
    let answered: Vec<&Value> = lines.iter().filter(|line| line["status"].is_number()).collect();
    assert_eq!(answered.len(), 2, "{lines:?}");
    let expected = [("req-given", 200, "GET", "/v1/images"), (id.as_str(), 404, "HEAD", "/v1/images/{id}")];
    for (line, (id, status, method, route)) in answered.iter().zip(expected) {
        assert_eq!((&line["request_id"], &line["status"]), (&json!(id), &json!(status)), "{line}");
        assert_eq!((&line["method"], &line["http.route"]), (&json!(method), &json!(route)), "{line}");
        assert_eq!((&line["project.id"], &line["user.id"]), (&json!("alpha"), &json!("olga")), "{line}");
        assert!(line["duration_ms"].is_number(), "{line}");
    }
}

#[tokio::test]
async fn questions_to_keystone_are_counted_by_their_outcome() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let keystone = keystone().await;
    let mut config = config(&database, &bucket);
    with_keystone(&mut config, &keystone);
    let server = Server::start(&config).await;
    Request::to(server.api, "GET", "/v1/images").by(TOKEN).send().await.expect(200);
    Request::to(server.api, "GET", "/v1/images").by(BAD_TOKEN).send().await.expect(401);
    let metrics = Request::to(server.ops, "GET", "/metrics").send().await.expect(200).text();
    for (method, status) in [("POST", 201), ("GET", 200), ("GET", 404)] {
        let counted = metrics.lines().any(|line| {
            line.starts_with("http_client_request_duration_seconds_count{")
                && line.contains(&format!("http_request_method=\"{method}\""))
                && line.contains(&format!("http_response_status_code=\"{status}\""))
                && line.contains("server_address=\"127.0.0.1\"")
                && line.ends_with(" 1")
        });
        assert!(counted, "{method} {status}: {metrics}");
    }
}

#[tokio::test]
async fn a53_a54_tokens_and_secrets_are_nowhere() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let keystone = keystone().await;
    let mut config = config(&database, &bucket);
    with_keystone(&mut config, &keystone);
    let secrets = [PASSWORD, OWN_TOKEN, TOKEN, BAD_TOKEN, "test-secret", "canary-signature"];
    let mut server = Server::start_with_env(&config, &[("RUST_LOG", "trace")]).await;
    let mut answers = Vec::new();
    let post = Request::to(server.api, "POST", "/v1/images").by(TOKEN).meta("disk_format", "raw");
    let created = post.meta("container_format", "bare").data(b"abc").send().await.expect(201);
    let path = format!("/v1/images/{}", created.image()["id"].as_str().unwrap());
    answers.push(created);
    answers.push(Request::to(server.api, "GET", &path).by(TOKEN).send().await.expect(200));
    answers.push(Request::to(server.api, "GET", &path).by(BAD_TOKEN).send().await.expect(401));
    let request = Request::to(server.api, "PUT", &path).by(TOKEN).header("X-Service-Token", BAD_TOKEN);
    answers.push(request.send().await);
    let request = Request::to(server.api, "POST", "/v1/images").by(TOKEN);
    let source = "http://user:canary-signature@127.0.0.1:1/x?X-Amz-Signature=canary-signature";
    let copied = request.header("x-glance-api-copy-from", source).send().await.expect(400);
    assert!(!copied.text().contains(PASSWORD));
    // data that is gone makes an error of ours, whose cause is logged
    let [key] = &bucket.keys().await[..] else { panic!("one object") };
    bucket.client().delete_object().bucket(&bucket.name).key(key).send().await.unwrap();
    answers.push(Request::to(server.api, "GET", &path).by(TOKEN).send().await);
    answers.push(Request::to(server.ops, "GET", "/metrics").send().await.expect(200));
    assert!(server.terminate().await.success());

    let log = server.log();
    assert!(log.lines().count() > 5 && lines(&log).iter().any(|line| line["status"] == json!(201)), "{log}");
    let url = database.url.clone();
    let database_password = url.split('@').next().unwrap().rsplit(':').next().unwrap();
    assert!(database_password.len() >= 8, "too short to look for");
    for secret in secrets.iter().copied().chain([database_password]) {
        assert!(!log.contains(secret), "{secret} is in the log");
        for answer in &answers {
            assert!(
                !format!("{:?}{}", answer.headers, answer.text()).contains(secret),
                "{secret}: {answer:?}"
            );
        }
    }
    let dump = "SELECT coalesce(string_agg(t::text, ' '), '') FROM \
                (SELECT to_jsonb(i) FROM images i UNION ALL SELECT to_jsonb(b) FROM blobs b \
                 UNION ALL SELECT to_jsonb(k) FROM tasks k) AS t";
    let rows: String = database.client().await.query_one(dump, &[]).await.unwrap().get(0);
    assert!(rows.contains("alpha"));
    assert!(secrets.iter().all(|secret| !rows.contains(secret)), "{rows}");
}

const GLOBAL: &str = "req-0af76519-16cd-43dd-8448-eb211c80319c";
const CANARY: &str = "canary-property-value";

/// The events of the audit stream.
fn audited(log: &str) -> Vec<Value> {
    lines(log).into_iter().filter(|line| line["target"] == "vitrine::audit").collect()
}

/// A server and the JSON document of an image with a property whose value nobody may find in a log.
struct Canary {
    server: Server,
    document: Value,
    // gone with the server, not before
    _database: TestDatabase,
    _bucket: TestBucket,
}

impl Canary {
    async fn start(env: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Self {
        let (database, bucket) = (test_database().await, test_bucket().await);
        let mut config = config(&database, &bucket);
        change(&mut config);
        let document = json!({"name": CANARY, "secret_of_tenant": CANARY});
        let server = Server::start_with_env(&config, env).await;
        Self { server, document, _database: database, _bucket: bucket }
    }
}

#[tokio::test]
async fn lines_name_the_image_and_the_id_of_the_callers_whole_work() {
    let Canary { server, document, .. } = &mut Canary::start(&[], |_| {}).await;
    let post = Request::to(server.api, "POST", "/v2/images").by(OWNER).json(document);
    let created = post.header("X-OpenStack-Request-ID", GLOBAL).send().await.expect(201);
    // OPS-018: the answer carries the caller's id, as ever
    assert_eq!(created.header("x-openstack-request-id").as_deref(), Some(GLOBAL));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/images/{}", id.to_uppercase());
    let head = Request::to(server.api, "HEAD", &path).by(OWNER);
    head.header("X-OpenStack-Request-ID", "my-own-id").send().await.expect(200);
    Request::to(server.api, "GET", "/v2/images/no-id").by(OWNER).send().await.expect(404);
    assert!(server.terminate().await.success());

    let lines = lines(&server.log());
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request answered").collect();
    let [create, show, unknown] = &answered[..] else { panic!("{answered:?}") };
    assert_eq!((&create["global_request_id"], &create["image.id"]), (&json!(GLOBAL), &json!(id)), "{create}");
    assert_eq!((&show["request_id"], &show["image.id"]), (&json!("req-my-own-id"), &json!(id)), "{show}");
    for line in [show, unknown] {
        assert!(line.get("global_request_id").is_none(), "{line}");
    }
    assert!(unknown.get("image.id").is_none(), "{unknown}");
}

#[tokio::test]
async fn a54_what_changes_or_is_refused_is_audited_without_what_was_sent() {
    let Canary { server, document, .. } = &mut Canary::start(&[], |config| {
        config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let by = |caller: &str, method: &str, path: &str| {
        Request::to(server.api, method, path).by(caller).header("X-Forwarded-For", "192.0.2.1, 203.0.113.7")
    };
    let create = by(OWNER, "POST", "/v2/images").header("X-OpenStack-Request-ID", GLOBAL).json(document);
    let id = create.send().await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let image = format!("/v2/images/{id}");
    by(OWNER, "GET", &image).send().await.expect(200);
    // who may not see it is not told that it is there; who may is told that it is not theirs
    by(OTHER, "DELETE", &image).send().await.expect(404);
    by(ADMIN, "PATCH", &image)
        .header("Content-Type", "application/openstack-images-v2.1-json-patch")
        .body(r#"[{"op": "replace", "path": "/visibility", "value": "public"}]"#)
        .send()
        .await
        .expect(200);
    by(OTHER, "DELETE", &image).send().await.expect(403);
    let namespace = json!({"namespace": "OS::Made Up"});
    by(ADMIN, "POST", "/v2/metadefs/namespaces").json(&namespace).send().await.expect(201);
    by("canary nobody", "GET", &image).send().await.expect(401);
    by(OTHER, "GET", "/v2/images/not-there").send().await.expect(404);
    assert!(server.terminate().await.success());

    let log = server.log();
    let events = audited(&log);
    let shown = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        let who = format!("{}:{}:{}", text("user.id"), text("project.id"), text("user.roles"));
        let status = event["http.response.status_code"].as_u64().unwrap();
        format!("{who} {} {} {} {status}", text("action"), text("object"), text("outcome"))
    };
    // roles imply others, which are told too
    let [owner, other] = [format!("{OWNER},reader"), format!("{OTHER},reader")];
    let expected = [
        format!("{owner} createImage {image} success 201"),
        format!("{other} deleteImage {image} failure 404"),
        format!("{ADMIN} patchImage {image} success 200"),
        format!("{other} deleteImage {image} failure 403"),
        format!("{ADMIN} createMetadefNamespace /v2/metadefs/namespaces/OS%3A%3AMade%20Up success 201"),
        "-:-:- authenticate - failure 401".to_owned(),
    ];
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), expected, "{events:#?}");
    for event in &events {
        assert_eq!(event["client.address"], "203.0.113.7", "{event}");
        assert!(event["request_id"].as_str().unwrap().starts_with("req-"), "{event}");
    }
    assert!(events[..4].iter().all(|event| event["image.id"] == json!(id)), "{events:?}");
    assert_eq!(events[0]["global_request_id"], GLOBAL);
    assert!(!log.contains(CANARY) && !log.contains("canary nobody") && !log.contains(OWNER), "{log}");
}

#[tokio::test]
async fn the_audit_stream_can_be_had_alone_or_left_out() {
    let fill = async |env| {
        let Canary { server, document, .. } = &mut Canary::start(env, |_| {}).await;
        let post = Request::to(server.api, "POST", "/v2/images").by(OWNER).json(document);
        // nobody is a trusted proxy: what is claimed does not count
        post.header("X-Forwarded-For", "192.0.2.1").send().await.expect(201);
        assert!(server.terminate().await.success());
        server.log()
    };
    let log = fill(&[("RUST_LOG", "off,vitrine::audit=info")]).await;
    let alone = lines(&log);
    let [event] = &alone[..] else { panic!("{log}") };
    assert_eq!((&event["action"], &event["client.address"]), (&json!("createImage"), &json!("127.0.0.1")));
    assert_eq!((&event["user.id"], &event["project.id"]), (&json!("olga"), &json!("alpha")), "{event}");
    let log = fill(&[("RUST_LOG", "info,vitrine::audit=off")]).await;
    assert!(log.contains("request answered") && audited(&log).is_empty(), "{log}");
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_audited_with_an_unknown_outcome() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut config = config(&database, &bucket);
    config.server.drain_timeout = std::time::Duration::from_millis(100);
    let mut server = Server::start(&config).await;
    let post = Request::to(server.api, "POST", "/v2/images").by(OWNER).json(&json!({}));
    let id = post.send().await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let holder = database.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE images IN EXCLUSIVE MODE").await.unwrap();
    let open = Request::to(server.api, "DELETE", &format!("/v2/images/{id}")).by(OWNER).open().await;
    let observer = database.client().await;
    eventually("the delete waits for the lock", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'images'::regclass";
        (observer.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    server.terminate().await;
    drop(open);
    let events = audited(&server.log());
    let event = events.iter().find(|event| event["action"] == "deleteImage").expect("an event");
    assert_eq!((&event["outcome"], &event["image.id"]), (&json!("unknown"), &json!(id)), "{event}");
    assert_eq!(event["object"], json!(format!("/v2/images/{id}")));
}
