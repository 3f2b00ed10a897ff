//! `vitrine check`: the gate before a start.

use std::net::{Ipv4Addr, TcpListener};

use vitrine::config::IdentityMode;

use super::run;
use crate::support::config;
use crate::support::db::{empty_database, test_database};
use crate::support::s3::test_bucket;

/// A port of loopback that nothing listens on.
fn dead_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Spoils one part of a configuration.
type Damage<'a> = &'a dyn Fn(&mut vitrine::config::Config);

#[tokio::test]
async fn everything_in_place() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let ended = run(&config(&database, &bucket), &["check"]).expect(0);
    assert_eq!(ended.stdout, "database: ok\nstore main: ok\nidentity: ok\n");
}

#[tokio::test]
async fn each_broken_dependency_is_named_in_one_line() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let good = config(&database, &bucket);
    let break_database = |config: &mut vitrine::config::Config| {
        let url = format!("postgres://user:canary-password@127.0.0.1:{}/vitrine", dead_port());
        config.database.url = Some(url.into());
    };
    let break_store = |config: &mut vitrine::config::Config| {
        config.stores.get_mut("main").unwrap().bucket = "no-such-bucket".to_owned();
    };
    let break_identity = |config: &mut vitrine::config::Config| {
        config.identity.mode = IdentityMode::Keystone;
        config.identity.keystone.auth_url = format!("http://127.0.0.1:{}/v3", dead_port());
        config.identity.keystone.username = "vitrine".to_owned();
        config.identity.keystone.password = Some("canary-password".into());
    };
    let breaks: [(&str, Damage<'_>); 3] =
        [("database", &break_database), ("store main", &break_store), ("identity", &break_identity)];
    for (broken, damage) in breaks {
        let mut config = good.clone();
        damage(&mut config);
        let ended = run(&config, &["check"]).expect(1);
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "one line each: {}", ended.stdout);
        for (line, name) in lines.iter().zip(["database", "store main", "identity"]) {
            let said = line.strip_prefix(&format!("{name}: ")).unwrap();
            assert_eq!(said != "ok", name == broken, "{line}");
            assert!(!said.is_empty());
        }
        assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn ops_004_a_schema_that_is_missing_or_too_new() {
    let (empty, bucket) = (empty_database().await, test_bucket().await);
    let ended = run(&config(&empty, &bucket), &["check"]).expect(1);
    assert!(ended.stdout.contains("the schema is too old: run `vitrine migrate`"), "{}", ended.stdout);

    let database = test_database().await;
    let later = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                 SELECT max(version) + n, 'later', '', '0' FROM refinery_schema_history, generate_series(1, 2) AS n \
                 GROUP BY n";
    database.client().await.batch_execute(later).await.unwrap();
    let ended = run(&config(&database, &bucket), &["check"]).expect(1);
    assert!(ended.stdout.contains("the schema is newer than this release can use"), "{}", ended.stdout);
}
