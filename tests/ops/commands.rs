//! Help, usage, configuration and policy.

use std::process::Stdio;

use secrecy::SecretString;
use vitrine::config::Config;

use super::{run, run_with_env};
use crate::support::db::test_database;
use crate::support::file::ScratchFile;
use crate::support::s3::test_bucket;
use crate::support::server::vitrine;

/// Subcommands named by a help text.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|n| n != "help").collect()
}

#[test]
fn every_subcommand_has_help() {
    let config = Config::default();
    let known = subcommands(&run(&config, &["--help"]).expect(0).stdout);
    let expected = [
        "serve", "worker", "migrate", "check", "dev", "sweep", "scrub", "restore", "purge", "adopt",
        "metadefs", "policy", "openapi", "config",
    ];
    for name in expected {
        assert!(known.iter().any(|k| k == name), "{name} is not among {known:?}");
    }
    let mut leaves = 0;
    for name in &known {
        let help = run(&config, &[name, "--help"]).expect(0).stdout;
        assert!(help.contains("Usage: vitrine"), "{help}");
        assert!(help.contains("--config <FILE>"), "{help}");
        for inner in subcommands(&help) {
            let help = run(&config, &[name, &inner, "--help"]).expect(0).stdout;
            assert!(help.contains("--config <FILE>"), "{help}");
            leaves += 1;
        }
    }
    assert!(leaves >= 5, "metadefs, policy list and config print");
}

#[test]
fn mistakes_in_usage_end_with_2() {
    let config = Config::default();
    let mistakes: [&[&str]; 15] = [
        &[],
        &["nonsense"],
        &["--nonsense"],
        &["serve", "--nonsense"],
        &["migrate", "extra"],
        &["policy"],
        &["metadefs"],
        &["metadefs", "load"],
        &["config"],
        &["purge", "--older-than", "soon"],
        &["purge", "--older-than", "-1d"],
        // days to some, seconds to others, and not to be undone
        &["purge", "--older-than", "30"],
        &["adopt"],
        &["adopt", "--from", "postgres://h/d", "--store", "fast"],
        &["adopt", "--from", "postgres://h/d", "--verify", "some"],
    ];
    let ended = run(&config, &["purge", "--older-than", "30"]).expect(2);
    assert!(ended.stderr.contains("`30` has no unit; write s, m, h or d"), "{}", ended.stderr);
    for arguments in mistakes {
        let ended = run(&config, arguments).expect(2);
        assert!(
            ended.stdout.is_empty() && ended.stderr.contains("--help"),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_the_nearest_known_one() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let config = crate::support::config(&database, &bucket);
    let file = ScratchFile::new("vitrine.toml", "[server]\ndrain_timout = \"1s\"\n");
    let path = file.path.to_str().unwrap();
    let ended = run(&config, &["config", "print", "--config", path]).expect(1);
    let words = "unknown key `server.drain_timout`";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(ended.stderr.contains("the nearest known key is `server.drain_timeout`"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());

    let ended = run_with_env(&config, &["config", "print"], &[("VITRINE__JOBS__CONCURENCY", "2")]).expect(1);
    let words = "unknown key `jobs.concurency` (environment variable VITRINE__JOBS__CONCURENCY); \
                 the nearest known key is `jobs.concurrency`";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);

    let ended = run(&config, &["config", "print", "--config", "/nonexistent/vitrine.toml"]).expect(1);
    assert!(ended.stderr.contains("/nonexistent/vitrine.toml"), "{}", ended.stderr);
}

#[tokio::test]
async fn a53_printing_the_configuration_redacts_secrets() {
    let bucket = test_bucket().await;
    let mut config = Config::default();
    config.database.url = Some("postgres://user:canary-one@db.example/vitrine".into());
    let mut store = bucket.store();
    store.access_key = Some("canary-two".into());
    store.secret_key = Some("canary-three".into());
    config.stores.insert("main".to_owned(), store);
    config.identity.keystone.auth_url = "http://keystone.example/v3".to_owned();
    config.identity.keystone.username = "vitrine".to_owned();
    config.identity.keystone.password = Some(SecretString::from("canary-four"));
    let ended = run(&config, &["config", "print"]).expect(0);
    assert!(!ended.stdout.contains("canary") && !ended.stderr.contains("canary"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("[redacted]").count(), 4, "{}", ended.stdout);
    assert!(ended.stdout.contains("db.example"), "what is no secret stays: {}", ended.stdout);

    // from a file of its own, and with a mistake beside it
    let secret = ScratchFile::new("password", "canary-five\n");
    config.identity.keystone.password = None;
    config.identity.keystone.password_file = Some(secret.path.clone());
    let ended = run(&config, &["config", "print"]).expect(0);
    assert!(!ended.stdout.contains("canary"), "{}", ended.stdout);
    let wrong = [("VITRINE__STORES__MAIN__PART_SIZE", "1"), ("VITRINE__DATABASE__URL", "canary-six")];
    let ended = run_with_env(&config, &["config", "print"], &wrong).expect(1);
    assert!(ended.stderr.contains("database.url") && !ended.stderr.contains("canary"), "{}", ended.stderr);
}

#[test]
fn the_document_is_printed_as_configured() {
    let mut config = Config::default();
    let plain = run(&config, &["openapi"]).expect(0).json();
    assert_eq!(plain, vitrine::app::openapi(&Config::default()).unwrap());
    config.images.disk_formats = vec!["qcow2".to_owned()];
    let changed = run(&config, &["openapi"]).expect(0).json();
    let formats = &changed["components"]["schemas"]["Image"]["properties"]["disk_format"]["enum"];
    assert_eq!(*formats, serde_json::json!([null, "qcow2"]));
}

#[test]
fn the_list_of_policies_shows_overrides() {
    let mut config = Config::default();
    let plain = run(&config, &["policy", "list"]).expect(0).stdout;
    assert!(!plain.contains("(overridden)"), "{plain}");
    assert!(plain.contains("\nget_images: \"") && plain.contains("\ndelete_image: \""), "{plain}");
    let file = ScratchFile::new("policy.yaml", "get_images: \"role:librarian\"\n");
    config.policy.file = Some(file.path.clone());
    let changed = run(&config, &["policy", "list"]).expect(0).stdout;
    assert_eq!(changed.matches("(overridden)").count(), 1, "{changed}");
    assert!(changed.contains("(overridden)\nget_images: \"role:librarian\"\n"), "{changed}");
    let others = |list: &str| -> Vec<String> {
        let actions = list.lines().filter(|line| !line.starts_with('#') && !line.starts_with("get_images:"));
        actions.map(str::to_owned).collect()
    };
    assert_eq!(others(&plain), others(&changed), "one rule changes, the rest stays (OPS-016)");

    file.write("get_images: [");
    let ended = run(&config, &["policy", "list"]).expect(1);
    assert!(ended.stderr.contains("policy.yaml"), "{}", ended.stderr);
}

/// Contract 2: a command whose reader has gone has not failed, and never panics.
#[test]
fn a_closed_pipe_is_a_clean_end() {
    let scratch = ScratchFile::new("unused", "");
    let spawn = |arguments: &[&str]| {
        let mut command = vitrine(&Config::default(), scratch.dir());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for arguments in [["policy", "list"].as_slice(), &["openapi"]] {
        let mut child = spawn(arguments);
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*told), (Some(0), ""), "{arguments:?}");
    }
    // nor where nobody reads of a failure
    let mut child = spawn(&["check", "--config", "/nonexistent.toml"]);
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
