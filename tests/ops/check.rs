//! `vitrine check`: the gate before a start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use vitrine::config::{IdentityMode, Store};
use vitrine::dev::s3::{self, S3Server};
use vitrine::dev::scratch_dir;

use super::run;
use crate::support::api::{OWNER, Request};
use crate::support::db::{empty_database, test_database};
use crate::support::file::ScratchFile;
use crate::support::s3::{Fault, FaultyS3, test_bucket};
use crate::support::server::{Server, Signal};
use crate::support::{config, eventually};

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
    assert_eq!(ended.stdout, "database: ok\nstore main: ok\nidentity: ok\npolicy: ok\n");
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
    let policy = ScratchFile::new("policy.yaml", "get_images: 5\nget_image: \"role:\"\n");
    let break_policy = |config: &mut vitrine::config::Config| config.policy.file = Some(policy.path.clone());
    let breaks: [(&str, Damage<'_>); 4] = [
        ("database", &break_database),
        ("store main", &break_store),
        ("identity", &break_identity),
        ("policy", &break_policy),
    ];
    for (broken, damage) in breaks {
        let mut config = good.clone();
        damage(&mut config);
        let ended = run(&config, &["check"]).expect(1);
        let lines: Vec<&str> = ended.stdout.lines().collect();
        assert_eq!(lines.len(), 4, "one line each: {}", ended.stdout);
        for (line, name) in lines.iter().zip(["database", "store main", "identity", "policy"]) {
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

#[tokio::test]
async fn ops_15_a_store_that_takes_no_objects() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let denied =
        FaultyS3::start(|call| if call.operation == "PutObject" { Fault::Denied } else { Fault::Pass });
    let mut config = config(&database, &bucket);
    config.stores.insert("main".to_owned(), bucket.store_at(&denied.endpoint));
    let said = run(&config, &["check"]).expect(1).stdout;
    assert!(said.contains("store main: an object cannot be written and removed: "), "{said}");
    assert!(said.contains("PutObject") && said.contains("AccessDenied"), "{said}");
    assert_eq!(denied.count("PutObject"), 1);

    // one that is to take none is not asked, and neither does readiness ask
    config.stores.get_mut("main").unwrap().read_only = true;
    run(&config, &["check"]).expect(0);
    config.stores.get_mut("main").unwrap().read_only = false;
    let mut server = Server::start(&config).await;
    assert!(server.terminate().await.success());
    assert_eq!(denied.count("PutObject"), 1);
}

#[tokio::test]
async fn ops_15_what_is_written_to_ask_does_not_stay() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let sticky =
        FaultyS3::start(|call| if call.operation == "DeleteObject" { Fault::Denied } else { Fault::Pass });
    let mut stuck = config(&database, &bucket);
    stuck.stores.insert("main".to_owned(), bucket.store_at(&sticky.endpoint));
    let said = run(&stuck, &["check"]).expect(1).stdout;
    assert!(said.contains("DeleteObject") && said.contains("AccessDenied"), "{said}");
    assert_eq!(bucket.keys().await, ["images/vitrine-check"]);
    // left behind, it is nobody's data and nobody's orphan
    let scrubbed = run(&stuck, &["scrub"]).expect(0).json();
    assert_eq!(
        (scrubbed[0]["objects"].as_u64(), scrubbed[0]["orphans"].as_array().unwrap().len()),
        (Some(0), 0)
    );
    run(&config(&database, &bucket), &["check"]).expect(0);
    assert!(bucket.keys().await.is_empty());
}

/// The operators' words for what anybody can do.
const LIST: &str = "anybody can list what the bucket holds";
const READ: &str = "anybody can read objects of the bucket";

#[tokio::test]
async fn a60_a_bucket_that_is_open_to_anybody_is_warned_of() {
    let open: [(&'static [&'static str], Option<&str>); 3] =
        [(&["ListObjectsV2"], Some(LIST)), (&["GetObject", "HeadObject"], Some(READ)), (&[], None)];
    for (operations, expected) in open {
        let (database, bucket) = (test_database().await, test_bucket().await);
        let root = scratch_dir("s3").unwrap();
        let service = s3::open_service(&root, "test-access", "test-secret", operations).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let store = S3Server::start_service(any, service).unwrap();
        let mut config = config(&database, &bucket);
        let section = Store { create_bucket: true, ..bucket.store_at(&store.endpoint()) };
        config.stores.insert("main".to_owned(), section);
        let mut server = Server::start(&config).await;
        let create = Request::to(server.api, "POST", "/v1/images").by(OWNER).formats().data("data");
        create.send().await.expect(201);
        let said = run(&config, &["check"]).expect(0).stdout;
        let line = said.lines().find(|line| line.starts_with("store main: ")).unwrap();
        match expected {
            Some(text) => assert!(line.starts_with(&format!("store main: warning: {text}")), "{line}"),
            None => assert_eq!(line, "store main: ok"),
        }
        // the next start finds an object in the bucket
        server.signal(Signal::Term);
        server.restart().await;
        if let Some(text) = expected {
            eventually("the warning", async || server.log().contains(text).then_some(())).await;
        }
        assert!(server.terminate().await.success());
        assert_eq!([LIST, READ].into_iter().find(|text| server.log().contains(text)), expected);
        drop(store);
        let _ = std::fs::remove_dir_all(&root);
    }
}
