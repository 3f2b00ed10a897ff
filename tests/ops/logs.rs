//! What is logged, and what never is.

use serde_json::{Value, json};
use vitrine::config::{Config, IdentityMode};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::api::{OWNER, Request};
use crate::support::config;
use crate::support::db::test_database;
use crate::support::s3::test_bucket;
use crate::support::server::Server;

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
