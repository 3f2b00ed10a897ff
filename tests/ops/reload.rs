//! SIGHUP (operations.md §5, §17): files are read again, and nothing else happens.

use std::fs::{self, File};
use std::process::Command;

use vitrine::config::{Config, IdentityMode};

use crate::support::api::{ADMIN, OWNER, Request};
use crate::support::db::test_database;
use crate::support::file::ScratchFile;
use crate::support::s3::test_bucket;
use crate::support::server::{Running, Server, Signal, vitrine};
use crate::support::{config, eventually};

const RELOAD: &str = "reading the policy file and the files of secrets again";

#[tokio::test]
async fn sighup_reads_the_policy_anew() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut config: Config = config(&database, &bucket);
    let policy = ScratchFile::new("policy.yaml", "{}\n");
    config.policy.file = Some(policy.path.clone());
    let mut server = Server::start(&config).await;
    Request::to(server.api, "GET", "/v1/images").by(OWNER).send().await.expect(200);

    policy.write("get_images: role:admin\n");
    server.signal(Signal::Hup);
    // without a request that would look at the file
    eventually("the policy is read", async || server.log().contains("was read again").then_some(())).await;
    Request::to(server.api, "GET", "/v1/images").by(OWNER).send().await.expect(403);
    Request::to(server.api, "GET", "/v1/images").by(ADMIN).send().await.expect(200);
    assert!(!server.has_ended());
    assert_eq!(server.log().matches(RELOAD).count(), 1);
    assert!(server.terminate().await.success());
}

/// Only a log-in at Keystone looks at the password, and here there is none: what is read, the signal has had read.
#[tokio::test]
async fn sighup_reads_secrets_that_have_not_settled() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let password = ScratchFile::new("password", "canary-password-a");
    let mut config: Config = config(&database, &bucket);
    config.identity.mode = IdentityMode::Keystone;
    config.identity.keystone.auth_url = "http://127.0.0.1:9/v3".to_owned();
    config.identity.keystone.username = "vitrine".to_owned();
    config.identity.keystone.password_file = Some(password.path.clone());
    let mut server = Server::start(&config).await;
    password.write("");
    server.signal(Signal::Hup);
    eventually("it is empty", async || server.log().contains("password is empty").then_some(())).await;
    password.write("canary-password-b");
    server.signal(Signal::Hup);
    let read = "identity.keystone.password_file: new credentials were read from their files";
    eventually("the password is read", async || server.log().contains(read).then_some(())).await;
    assert!(server.terminate().await.success());
    assert!(!server.log().contains("canary"), "A53: {}", server.log());
}

#[tokio::test]
async fn sighup_does_not_end_a_worker() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut config: Config = config(&database, &bucket);
    config.server.ops_bind = "127.0.0.1:0".parse().unwrap();
    let scratch = ScratchFile::new("log", "");
    let mut command = vitrine(&config, scratch.dir());
    let log = File::create(&scratch.path).unwrap();
    let mut worker =
        Running(command.arg("worker").stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    let signal = |name: &str, worker: &Running| {
        assert!(Command::new("kill").args([name, &worker.0.id().to_string()]).status().unwrap().success());
    };
    let logged = async |text: &str| {
        let has = async || fs::read_to_string(&scratch.path).unwrap().contains(text).then_some(());
        eventually(text, has).await;
    };
    logged("background work has started").await;
    signal("-HUP", &worker);
    logged(RELOAD).await;
    signal("-TERM", &worker);
    let ended = eventually("the worker ends", async || worker.0.try_wait().unwrap()).await;
    assert!(ended.success());
}
