//! Credentials that change under a running service (hardening.md §2 and §5, OPS-030).

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use uuid::Uuid;
use vitrine::config::{Config, IdentityMode, Store};
use vitrine::dev::s3::S3Server;
use vitrine::dev::scratch_dir;
use wiremock::matchers::{body_string_contains, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::api::{Answer, OWNER, Request};
use crate::support::db::test_database;
use crate::support::file::ScratchFile;
use crate::support::s3::test_bucket;
use crate::support::server::Server;
use crate::support::{config, eventually};

async fn upload(server: &Server) -> Answer {
    Request::to(server.api, "POST", "/v1/images").by(OWNER).formats().data("data").send().await
}

#[tokio::test]
async fn keys_of_a_store_are_replaced_under_a_running_service() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let root = scratch_dir("s3").unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut s3 = S3Server::start(&root, any, "canary-access-a", "canary-secret-a").unwrap();
    let access = ScratchFile::new("access", "canary-access-a\n");
    let secret = ScratchFile::new("secret", "canary-secret-a\n");
    let store = Store {
        endpoint: Some(s3.endpoint()),
        create_bucket: true,
        access_key: None,
        secret_key: None,
        access_key_file: Some(access.path.clone()),
        secret_key_file: Some(secret.path.clone()),
        ..bucket.store()
    };
    let mut config: Config = config(&database, &bucket);
    config.stores.insert("main".to_owned(), store);
    let mut server = Server::start(&config).await;
    let id = upload(&server).await.expect(201).image()["id"].as_str().unwrap().to_owned();

    let address = s3.address();
    s3.stop();
    let s3 = S3Server::start(&root, address, "canary-access-b", "canary-secret-b").unwrap();
    assert_ne!(upload(&server).await.status, 201, "the old keys are worth nothing any more");
    access.write("canary-access-b");
    secret.write("canary-secret-b");
    eventually("the new keys are used", async || (upload(&server).await.status == 201).then_some(())).await;
    let path = format!("/v1/images/{id}");
    assert_eq!(Request::to(server.api, "GET", &path).by(OWNER).send().await.expect(200).text(), "data");

    // while a file is being written, the service goes on with what it has
    secret.write("");
    eventually("the empty file is noticed", async || {
        upload(&server).await.expect(201);
        server.log().contains("is empty").then_some(())
    })
    .await;
    assert!(server.terminate().await.success());
    assert!(!server.log().contains("canary"), "A53: {}", server.log());
    drop(s3);
    let _ = std::fs::remove_dir_all(&root);
}

/// Keystone as it is while the service account has this password and its token is `own`.
async fn account(keystone: &MockServer, password: &str, own: &str) {
    keystone.reset().await;
    let token = |project: &str| {
        let named = |id: &str| json!({"id": id, "name": id, "domain": {"id": "default", "name": "Default"}});
        json!({"token": {
            "methods": ["password"], "user": named("olga"), "project": named(project),
            "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2020-01-01T00:00:00.000000Z",
            "roles": [{"id": "member", "name": "member"}, {"id": "reader", "name": "reader"}],
        }})
    };
    let issued = ResponseTemplate::new(201).insert_header("X-Subject-Token", own);
    let log_in = Mock::given(method("POST")).and(body_string_contains(format!("\"{password}\"")));
    log_in.respond_with(issued.set_body_json(token("service"))).mount(keystone).await;
    let known = Mock::given(method("GET")).and(header("x-auth-token", own));
    known.respond_with(ResponseTemplate::new(200).set_body_json(token("alpha"))).mount(keystone).await;
    let refused = Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(401));
    refused.with_priority(9).mount(keystone).await;
}

#[tokio::test]
async fn the_password_for_keystone_is_replaced_under_a_running_service() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let keystone = MockServer::start().await;
    account(&keystone, "canary-password-a", "canary-own-a").await;
    let password = ScratchFile::new("password", "canary-password-a\n");
    let mut config = config(&database, &bucket);
    config.identity.mode = IdentityMode::Keystone;
    config.identity.keystone.auth_url = format!("{}/v3", keystone.uri());
    config.identity.keystone.username = "vitrine".to_owned();
    config.identity.keystone.password_file = Some(password.path.clone());
    let mut server = Server::start(&config).await;
    let ask = async |token: &str| Request::to(server.api, "GET", "/v2/images").by(token).send().await.status;
    assert_eq!(ask("user-token-1").await, 200);

    account(&keystone, "canary-password-b", "canary-own-b").await;
    assert_eq!(ask("user-token-2").await, 503, "the account is refused");
    assert_eq!(ask("user-token-1").await, 200, "who is known is served");
    password.write("canary-password-b\n");
    eventually("the new password is used", async || (ask("user-token-2").await == 200).then_some(())).await;
    assert!(server.terminate().await.success());
    assert!(!server.log().contains("canary"), "A53: {}", server.log());
}

#[tokio::test]
async fn the_login_of_the_database_is_replaced_under_a_running_service() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let admin = database.client().await;
    let roles = ["a", "b"].map(|letter| format!("rotated_{letter}_{}", Uuid::new_v4().simple()));
    let url = |role: &str| {
        let (_, place) = database.url.split_once('@').unwrap();
        format!("postgres://{role}:canary-{role}@{place}")
    };
    let create = async |role: &str| {
        let statement = format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'canary-{role}'");
        admin.batch_execute(&statement).await.unwrap();
    };
    let sessions = async |role: &str| -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        admin.query_one(count, &[&role]).await.unwrap().get(0)
    };
    let [old, new] = &roles;
    create(old).await;
    let file = ScratchFile::new("url", &url(old));
    let mut config = config(&database, &bucket);
    (config.database.url, config.database.url_file) = (None, Some(file.path.clone()));
    let mut server = Server::start(&config).await;
    let list = async || Request::to(server.api, "GET", "/v2/images").by(OWNER).send().await.expect(200);
    list().await;
    assert!(sessions(old).await > 0);

    // too early: the new account does not exist yet
    file.write(&url(new));
    eventually("the new account is tried", async || {
        list().await;
        server.log().contains("refuses the new account").then_some(())
    })
    .await;
    create(new).await;
    eventually("all sessions are of the new account", async || {
        list().await;
        (sessions(old).await == 0 && sessions(new).await > 0).then_some(())
    })
    .await;
    admin.batch_execute(&format!("DROP ROLE {old}")).await.unwrap();
    upload(&server).await.expect(201);
    assert!(server.terminate().await.success());
    assert!(!server.log().contains("canary"), "A53: {}", server.log());
    drop(bucket);
    eventually("the sessions have ended", async || (sessions(new).await == 0).then_some(())).await;
    admin.batch_execute(&format!("DROP ROLE {new}")).await.unwrap();
}
