//! The mode against exchanges as recorded with Keystone 30.0.0.

#![expect(clippy::unwrap_used, reason = "tests")]

use futures_util::future::join_all;
use http::{HeaderValue, Method};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wiremock::matchers::{body_json, header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request as Received, ResponseTemplate};

use super::*;
use crate::error::ErrorKind;
use crate::telemetry::metrics::local;

const TOKENS: &str = "/v3/auth/tokens";
const PASSWORD: &str = "correct-horse";
const SECOND: Duration = Duration::from_secs(1);

fn settings(url: &str) -> config::Identity {
    let mut settings = config::Identity::default();
    settings.keystone.auth_url = url.to_owned();
    settings.keystone.username = "glance".to_owned();
    settings.keystone.password = Some(PASSWORD.into());
    settings
}

fn keystone(server: &MockServer) -> Keystone {
    Keystone::new(&settings(&format!("{}/v3", server.uri())), false).unwrap()
}

fn document(life: Duration, roles: &[&str]) -> Value {
    let issued = OffsetDateTime::now_utc();
    let roles: Vec<Value> =
        roles.iter().map(|name| json!({"id": format!("id-{name}"), "name": name})).collect();
    json!({"token": {
        "methods": ["password"],
        "user": {"domain": {"id": "default", "name": "Default"}, "id": "664b8ab4", "name": "owner",
            "password_expires_at": null},
        "audit_ids": ["9_9qm32oTYO7NbLRqbK0YQ"],
        "expires_at": (issued + life).format(&Rfc3339).unwrap(),
        "issued_at": issued.format(&Rfc3339).unwrap(),
        "project": {"domain": {"id": "default", "name": "Default"}, "id": "caf69df2", "name": "alpha"},
        "is_domain": false,
        "roles": roles,
    }})
}

fn good(roles: &[&str]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(document(3600 * SECOND, roles))
}

fn unknown() -> ResponseTemplate {
    let error =
        json!({"error": {"code": 404, "message": "Could not recognize Fernet token", "title": "Not Found"}});
    ResponseTemplate::new(404).set_body_json(error)
}

fn issued(own: &str) -> ResponseTemplate {
    let body = document(3600 * SECOND, &["admin", "service"]);
    ResponseTemplate::new(201).insert_header("X-Subject-Token", own).set_body_json(body)
}

async fn on_log_in(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(method("POST")).and(path(TOKENS)).respond_with(answer).mount(server).await;
}

async fn on_token(server: &MockServer, token: &str, answer: ResponseTemplate) {
    let question = Mock::given(method("GET")).and(path(TOKENS)).and(header("x-subject-token", token));
    question.and(query_param_is_missing("allow_expired")).respond_with(answer).mount(server).await;
}

/// A Keystone that knows the account, token `good`, and no other.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    on_log_in(&server, issued("own")).await;
    on_token(&server, "good", good(&["Member", "reader"])).await;
    Mock::given(method("GET"))
        .and(path(TOKENS))
        .respond_with(unknown())
        .with_priority(9)
        .mount(&server)
        .await;
    server
}

async fn received(server: &MockServer, method: &str) -> Vec<Received> {
    let all = server.received_requests().await.unwrap();
    all.into_iter().filter(|request| request.method.as_str() == method).collect()
}

async fn ask_for(
    keystone: &Keystone,
    wanted: (Method, &str),
    fields: &[(&'static str, &str)],
    now: Instant,
) -> Result<Caller> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    keystone.authenticate(Request { headers: &headers, peer, method: &wanted.0, path: wanted.1 }, now).await
}

async fn ask(keystone: &Keystone, fields: &[(&'static str, &str)], now: Instant) -> Result<Caller> {
    ask_for(keystone, (Method::GET, "/v2/images"), fields, now).await
}

async fn ask_token(keystone: &Keystone, token: &str, now: Instant) -> Result<Caller> {
    ask(keystone, &[("x-auth-token", token)], now).await
}

fn refused(result: Result<Caller>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Unauthenticated)
}

fn out_of_reach(result: Result<Caller>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Unavailable { retry_after: RETRY_AFTER })
}

#[tokio::test]
async fn a_valid_token_names_the_caller_and_is_remembered() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    let caller = ask_token(&keystone, "good", now).await.unwrap();
    let expected = Caller {
        user: Some("664b8ab4".into()),
        project: Some("caf69df2".into()),
        user_domain: Some("default".into()),
        project_domain: Some("default".into()),
        roles: vec!["member".into(), "reader".into()],
        ..Caller::default()
    };
    assert_eq!(caller, expected);
    assert_eq!(ask_token(&keystone, "good", now + 299 * SECOND).await.unwrap(), expected);
    assert_eq!(keystone.cache_stats(), CacheStats { hits: 1, misses: 1 });

    let questions = received(&server, "GET").await;
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].headers["x-auth-token"], "own");
    assert_eq!(questions[0].headers["openstack-identity-access-rules"], "1.0");
    assert_eq!(questions[0].url.query(), Some("nocatalog"));
}

#[tokio::test]
async fn a13_the_image_services_of_the_catalogue_come_with_the_token() {
    let server = server().await;
    let mut known = document(3600 * SECOND, &["member"]);
    known["token"]["catalog"] = json!([{ "type": "image", "name": "glance", "id": "5", "endpoints": [
        { "id": "6", "interface": "public", "region": "R2", "region_id": "R2", "url": "http://two:9292" },
    ]}]);
    on_token(&server, "roaming", ResponseTemplate::new(200).set_body_json(known)).await;
    let keystone = Keystone::new(&settings(&format!("{}/v3", server.uri())), true).unwrap();
    for _ in 0..2 {
        let peers = ask_token(&keystone, "roaming", Instant::now()).await.unwrap().peers.unwrap();
        assert_eq!(peers.url("R2", "public"), Some("http://two:9292"));
        assert_eq!(peers.token().expose_secret(), "roaming");
    }
    assert_eq!(ask_token(&keystone, "good", Instant::now()).await.unwrap().peers, None);
    let questions = received(&server, "GET").await;
    assert_eq!(questions.iter().map(|question| question.url.query()).collect::<Vec<_>>(), [None, None]);
}

#[tokio::test]
async fn the_account_logs_in_with_password_and_project() {
    let server = MockServer::start().await;
    let claim = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "glance", "password": PASSWORD, "domain": {"name": "Default"}}}},
        "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
    }});
    let log_in = Mock::given(method("POST")).and(path(TOKENS)).and(body_json(claim));
    log_in.respond_with(issued("own")).expect(1).mount(&server).await;
    on_token(&server, "own", good(&["service"])).await;
    keystone(&server).check().await.unwrap();
}

#[tokio::test]
async fn an_unknown_token_is_refused_and_the_refusal_remembered_for_ten_seconds() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    assert!(refused(ask_token(&keystone, "nonsense", now).await));
    assert!(refused(ask_token(&keystone, "nonsense", now + 9 * SECOND).await));
    assert_eq!(received(&server, "GET").await.len(), 1);
    // slack for the time that the first question took
    assert!(refused(ask_token(&keystone, "nonsense", now + 25 * SECOND).await));
    assert_eq!(received(&server, "GET").await.len(), 2);
}

#[tokio::test]
async fn a34_r11_a_revoked_token_is_refused_within_the_limit_of_the_cache() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    ask_token(&keystone, "good", now).await.unwrap();
    server.reset().await;
    on_log_in(&server, issued("own")).await;
    on_token(&server, "good", unknown()).await;
    assert!(ask_token(&keystone, "good", now + 299 * SECOND).await.is_ok());
    assert!(refused(ask_token(&keystone, "good", now + 320 * SECOND).await));
}

#[tokio::test]
async fn a_token_is_not_believed_past_its_end() {
    let server = server().await;
    on_token(&server, "short", ResponseTemplate::new(200).set_body_json(document(100 * SECOND, &["member"])))
        .await;
    let (keystone, now) = (keystone(&server), Instant::now());
    ask_token(&keystone, "short", now).await.unwrap();
    ask_token(&keystone, "short", now + 60 * SECOND).await.unwrap();
    assert_eq!(received(&server, "GET").await.len(), 1);
    ask_token(&keystone, "short", now + 101 * SECOND).await.unwrap();
    assert_eq!(received(&server, "GET").await.len(), 2);
}

#[tokio::test]
async fn a52_fifty_requests_with_one_cold_token_ask_once() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    let callers = join_all((0..50).map(|_| ask_token(&keystone, "good", now))).await;
    assert!(callers.iter().all(Result::is_ok));
    assert_eq!(received(&server, "GET").await.len(), 1);
    assert_eq!(received(&server, "POST").await.len(), 1);
    assert_eq!(keystone.cache_stats(), CacheStats { hits: 49, misses: 1 });
}

#[tokio::test]
async fn r10_an_outage_serves_remembered_callers_and_sends_others_away() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    ask_token(&keystone, "good", now).await.unwrap();
    server.reset().await;
    Mock::given(path(TOKENS)).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    assert!(ask_token(&keystone, "good", now + 60 * SECOND).await.is_ok());
    assert!(out_of_reach(ask_token(&keystone, "other", now + 60 * SECOND).await));

    server.reset().await;
    on_token(&server, "other", good(&["member"])).await;
    assert!(ask_token(&keystone, "other", now + 75 * SECOND).await.is_ok());
}

#[tokio::test]
async fn r10_a_keystone_that_is_gone_is_an_outage() {
    // a port that was free a moment ago
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let keystone = Keystone::new(&settings(&format!("http://127.0.0.1:{port}/v3")), false).unwrap();
    assert!(out_of_reach(ask_token(&keystone, "good", Instant::now()).await));
    assert!(keystone.check().await.is_err());
}

#[tokio::test]
async fn a_keystone_that_never_answers_is_an_outage() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut keystone =
        Keystone::new(&settings(&format!("http://{}/v3", silent.local_addr().unwrap())), false).unwrap();
    keystone.client.total = Duration::from_millis(50);
    assert!(out_of_reach(ask_token(&keystone, "good", Instant::now()).await));
}

#[tokio::test]
async fn answers_that_make_no_sense_are_an_outage() {
    let no_date = json!({"token": {"expires_at": "soon", "user": {"id": "u"}}});
    let wrong_type = json!({"token": {"expires_at": "2030-01-01T00:00:00Z", "user": {"id": 7}}});
    let answers = [
        ResponseTemplate::new(200),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_string("[".repeat(100_000)),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; 2 * 1024 * 1024]),
        ResponseTemplate::new(200).set_body_json(json!({"token": null})),
        ResponseTemplate::new(200).set_body_json(no_date),
        ResponseTemplate::new(200).set_body_json(wrong_type),
        ResponseTemplate::new(302).insert_header("Location", "/elsewhere"),
        ResponseTemplate::new(403),
        ResponseTemplate::new(429),
        ResponseTemplate::new(500),
    ];
    for answer in answers {
        let server = MockServer::start().await;
        on_log_in(&server, issued("own")).await;
        on_token(&server, "good", answer.clone()).await;
        assert!(out_of_reach(ask_token(&keystone(&server), "good", Instant::now()).await), "{answer:?}");

        let server = MockServer::start().await;
        on_log_in(&server, answer.clone().insert_header("X-Subject-Token", "own")).await;
        assert!(out_of_reach(ask_token(&keystone(&server), "good", Instant::now()).await), "{answer:?}");
        assert!(received(&server, "GET").await.is_empty(), "a redirect was followed");
    }
}

#[tokio::test]
async fn a_log_in_without_token_or_with_wrong_password_is_an_outage() {
    let answers = [
        ResponseTemplate::new(201).set_body_json(document(3600 * SECOND, &["service"])),
        ResponseTemplate::new(401).set_body_json(json!({"error": {"code": 401, "title": "Unauthorized"}})),
    ];
    for answer in answers {
        let server = MockServer::start().await;
        on_log_in(&server, answer).await;
        let (keystone, now) = (keystone(&server), Instant::now());
        assert!(out_of_reach(ask_token(&keystone, "good", now).await));
        assert!(keystone.check().await.is_err());
    }
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_for_every_request() {
    let server = MockServer::start().await;
    on_log_in(&server, ResponseTemplate::new(401)).await;
    let (keystone, now) = (keystone(&server), Instant::now());
    for n in 0..5 {
        assert!(out_of_reach(ask_token(&keystone, &format!("token-{n}"), now + SECOND * n).await));
    }
    assert_eq!(received(&server, "POST").await.len(), 1);
}

#[tokio::test]
async fn a_rejected_own_token_is_renewed_once() {
    let server = MockServer::start().await;
    let first = Mock::given(method("POST")).respond_with(issued("own-1")).up_to_n_times(1);
    first.mount(&server).await;
    on_log_in(&server, issued("own-2")).await;
    let stale = Mock::given(method("GET")).and(header("x-auth-token", "own-1"));
    stale.respond_with(ResponseTemplate::new(401)).mount(&server).await;
    on_token(&server, "good", good(&["member"])).await;
    let (keystone, now) = (keystone(&server), Instant::now());
    assert!(ask_token(&keystone, "good", now).await.is_ok());
    assert_eq!(received(&server, "POST").await.len(), 2);

    server.reset().await;
    on_log_in(&server, issued("own-3")).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    assert!(out_of_reach(ask_token(&keystone, "other", now).await));
    assert_eq!(received(&server, "POST").await.len(), 1);
    assert_eq!(received(&server, "GET").await.len(), 2);
}

#[tokio::test]
async fn a32_impossible_tokens_cost_no_question() {
    let server = server().await;
    let mut settings = settings(&server.uri());
    settings.allow_anonymous_access = true;
    let (keystone, now) = (Keystone::new(&settings, false).unwrap(), Instant::now());
    let huge = "a".repeat(8 * 1024 + 1);
    for token in ["", "  ", "two words", "tab\there", "ümlaut", &huge] {
        for name in ["x-auth-token", "x-storage-token"] {
            assert!(refused(ask(&keystone, &[(name, token)], now).await), "{name}: {token:.20?}");
        }
        let service = ask(&keystone, &[("x-auth-token", "good"), ("x-service-token", token)], now).await;
        assert!(refused(service), "{token:.20?}");
    }
    let twice = ask(&keystone, &[("x-auth-token", "good"), ("x-auth-token", "good")], now).await;
    assert!(refused(twice));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_keystone_finds_too_long_is_refused() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    for (token, status) in [("long", 400), ("longer", 431)] {
        on_token(&server, token, ResponseTemplate::new(status)).await;
        assert!(refused(ask_token(&keystone, token, now).await));
    }
}

#[tokio::test]
async fn a31_identity_headers_of_clients_are_never_read() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    let forged = [
        ("x-identity-status", "Confirmed"),
        ("x-service-identity-status", "Confirmed"),
        ("x-user-id", "root"),
        ("x-project-id", "other"),
        ("x-roles", "admin"),
        ("x-service-roles", "service"),
        ("x-is-admin-project", "True"),
        ("openstack-system-scope", "all"),
    ];
    assert!(refused(ask(&keystone, &forged, now).await));
    let fields: Vec<_> = forged.into_iter().chain([("x-auth-token", "good")]).collect();
    let plain = ask_token(&keystone, "good", now).await.unwrap();
    assert_eq!(ask(&keystone, &fields, now).await.unwrap(), plain);
}

#[tokio::test]
async fn the_old_name_of_the_token_header_works_and_the_new_one_wins() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    assert!(ask(&keystone, &[("x-storage-token", "good")], now).await.is_ok());
    assert!(ask(&keystone, &[("x-storage-token", "bad"), ("x-auth-token", "good")], now).await.is_ok());
    assert!(refused(ask(&keystone, &[("x-storage-token", "good"), ("x-auth-token", "bad")], now).await));
}

#[tokio::test]
async fn anonymous_access_needs_permission_and_is_not_for_bad_tokens() {
    let server = server().await;
    let mut settings = settings(&server.uri());
    let now = Instant::now();
    assert!(refused(ask(&Keystone::new(&settings, false).unwrap(), &[], now).await));
    settings.allow_anonymous_access = true;
    let keystone = Keystone::new(&settings, false).unwrap();
    assert_eq!(ask(&keystone, &[], now).await.unwrap(), Caller::anonymous());
    assert_eq!(ask(&keystone, &[("x-service-token", "good")], now).await.unwrap(), Caller::anonymous());
    assert!(refused(ask_token(&keystone, "nonsense", now).await));
}

/// Adds service tokens, and a user token that ended.
async fn with_services(server: &MockServer) {
    on_token(server, "nova", good(&["Service", "admin"])).await;
    on_token(server, "member", good(&["member"])).await;
    let expired = Mock::given(method("GET")).and(header("x-subject-token", "expired"));
    let expired = expired.and(query_param("allow_expired", "1"));
    let body = document(Duration::ZERO, &["member"]);
    expired.respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(server).await;
}

#[tokio::test]
async fn service_roles_come_from_a_valid_service_token_alone() {
    let server = server().await;
    with_services(&server).await;
    let (keystone, now) = (keystone(&server), Instant::now());
    // forwarded requests ask with `allow_expired`
    let forwarded = Mock::given(method("GET")).and(header("x-subject-token", "good"));
    forwarded.and(query_param("allow_expired", "1")).respond_with(good(&["member"])).mount(&server).await;

    let with =
        async |service| ask(&keystone, &[("x-auth-token", "good"), ("x-service-token", service)], now).await;
    let caller = with("nova").await.unwrap();
    assert_eq!(caller.service_roles, ["service", "admin"]);
    assert_eq!(caller.roles, ["member"]);
    assert!(with("member").await.unwrap().service_roles.is_empty());
    assert!(with("nonsense").await.unwrap().service_roles.is_empty());
}

#[tokio::test]
async fn a35_an_expired_token_needs_a_service_beside_it() {
    let server = server().await;
    with_services(&server).await;
    let (keystone, now) = (keystone(&server), Instant::now());
    let with = async |service, now| {
        ask(&keystone, &[("x-auth-token", "expired"), ("x-service-token", service)], now).await
    };
    assert_eq!(with("nova", now).await.unwrap().user.as_deref(), Some("664b8ab4"));
    // remembered for the service, and for nobody else
    let questions = received(&server, "GET").await.len();
    assert!(with("nova", now + 60 * SECOND).await.is_ok());
    assert_eq!(received(&server, "GET").await.len(), questions);
    assert!(refused(ask_token(&keystone, "expired", now).await));
    assert!(refused(with("member", now).await));
    assert!(refused(with("nonsense", now).await));
}

fn confined() -> ResponseTemplate {
    let mut body = document(3600 * SECOND, &["member", "reader"]);
    body["token"]["methods"] = json!(["application_credential"]);
    body["token"]["application_credential"] = json!({
        "id": "b6eb9ede", "name": "tight", "restricted": true,
        "access_rules": [
            {"id": "073cb9ab", "service": "image", "path": "/v2/images", "method": "GET"},
            {"id": "173cb9ab", "service": "image", "path": "/v2/images/*/file", "method": "GET"},
            {"id": "273cb9ab", "service": "compute", "path": "/**", "method": "DELETE"},
        ],
    });
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn a33_access_rules_confine_an_application_credential() {
    let server = server().await;
    with_services(&server).await;
    on_token(&server, "tight", confined()).await;
    let forwarded = Mock::given(method("GET")).and(header("x-subject-token", "tight"));
    forwarded.and(query_param("allow_expired", "1")).respond_with(confined()).mount(&server).await;
    let (keystone, now) = (keystone(&server), Instant::now());

    let tight = ("x-auth-token", "tight");
    let call = async |method, path| ask_for(&keystone, (method, path), &[tight], now).await;
    assert!(call(Method::GET, "/v2/images").await.is_ok());
    assert!(call(Method::GET, "/v2/images/1/file").await.is_ok());
    assert!(refused(call(Method::POST, "/v2/images").await));
    assert!(refused(call(Method::GET, "/v2/images/1").await));
    assert!(refused(call(Method::DELETE, "/v2/images/1").await));
    assert!(refused(call(Method::GET, "/v1/images").await));

    // a service that carries out what the user may ask of it vouches for the request; a pretender does not
    let delete = (Method::DELETE, "/v2/images/1");
    let by =
        async |service| ask_for(&keystone, delete.clone(), &[tight, ("x-service-token", service)], now).await;
    assert!(by("nova").await.is_ok());
    assert!(refused(by("member").await));
    assert!(refused(by("nonsense").await));
}

#[tokio::test]
async fn a33_tokens_bound_to_a_proof_are_refused() {
    for (name, proof) in
        [("bind", json!({"kerberos": "olga"})), ("oauth2_credential", json!({"x5t#S256": "x"}))]
    {
        let server = server().await;
        let mut body = document(3600 * SECOND, &["member"]);
        body["token"][name] = proof;
        on_token(&server, "bound", ResponseTemplate::new(200).set_body_json(body)).await;
        assert!(refused(ask_token(&keystone(&server), "bound", Instant::now()).await), "{name}");
    }
}

#[tokio::test]
async fn the_end_of_the_accounts_password_is_told_at_every_log_in() {
    let told = async |end: Value| {
        let server = MockServer::start().await;
        let mut body = document(3600 * SECOND, &["service"]);
        body["token"]["user"]["password_expires_at"] = end;
        let answer = ResponseTemplate::new(201).insert_header("X-Subject-Token", "own");
        on_log_in(&server, answer.set_body_json(body)).await;
        on_token(&server, "good", good(&["member"])).await;
        let (metrics, exposition) = local();
        let keystone = keystone(&server).observed_by(&metrics);
        ask_token(&keystone, "good", Instant::now()).await.unwrap();
        let name = r#"vitrine_credential_expiration_timestamp_seconds{service_peer_name="keystone"} "#;
        let text = exposition.text();
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(told(json!("2030-01-01T00:00:00.000000")).await, 1_893_456_000.0);
    assert_eq!(told(json!("2030-01-01T00:00:00Z")).await, 1_893_456_000.0);
    // nobody is locked out by what this service cannot read
    for never in [Value::Null, json!("never"), json!(7)] {
        assert_eq!(told(never).await, 253_402_300_799.0);
    }
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let server = server().await;
    let (keystone, now) = (keystone(&server), Instant::now());
    ask_token(&keystone, "good", now).await.unwrap();
    server.reset().await;
    Mock::given(path(TOKENS)).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let error = ask_token(&keystone, "gAAAA-user", now).await.unwrap_err();
    assert!(format!("{error:?}").contains("500"), "the cause is for the log");
    for text in [format!("{keystone:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains(PASSWORD) && !text.contains("\"own\"") && !text.contains("gAAAA"), "{text}");
    }
}

#[test]
fn v1_271_the_challenge_names_the_public_address() {
    let mut settings = settings("http://keystone:5000/v3");
    assert_eq!(
        Keystone::new(&settings, false).unwrap().challenge(),
        "Keystone uri='http://keystone:5000/v3'"
    );
    settings.keystone.www_authenticate_uri = Some("https://cloud/identity".to_owned());
    assert_eq!(Keystone::new(&settings, false).unwrap().challenge(), "Keystone uri='https://cloud/identity'");
}

#[test]
fn unusable_settings_are_named() {
    let named = |key: &str, change: &dyn Fn(&mut config::Keystone)| {
        let mut settings = settings("http://keystone:5000/v3");
        change(&mut settings.keystone);
        let error = Keystone::new(&settings, false).unwrap_err();
        assert!(error.to_string().contains(key), "{error} lacks {key}");
    };
    for url in
        ["", "keystone", "ftp://keystone/v3", "http://glance:secret@keystone/v3", "http://keystone/v3?a=b"]
    {
        named("keystone.auth_url", &|k| k.auth_url = url.to_owned());
    }
    named("keystone.username", &|k| k.username.clear());
    named("keystone.password", &|k| k.password = None);
    named("keystone.password_file", &|k| (k.password, k.password_file) = (None, Some("/nonexistent".into())));
    named("keystone.ca_file", &|k| k.ca_file = Some("/nonexistent".into()));
    named("keystone.ca_file", &|k| k.ca_file = Some("Cargo.toml".into()));
}
