//! a database that goes away, and answers of it that get lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use rand::Rng;
use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use vitrine::catalog::Catalog;
use vitrine::config::{Config, IdentityMode};
use vitrine::dev::postgres::Cluster;

use super::{Clients, Outcome, PART, World, assert_invariant, content, hasten, random, scaled, seed};
use crate::support::api::{Service, new_id};
use crate::support::chaos::{ChaosProxy, Direction};
use crate::support::server::Server;
use crate::support::{eventually, s3::test_bucket};

/// the database restarts and is then out of reach for a while, in the middle of reads, uploads and deletes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_database_is_503_and_passes() {
    let seed = seed("R-04");
    let cluster = Arc::new(Cluster::start_ephemeral().unwrap());
    cluster.create_database("images", None).await.unwrap();
    let bucket = test_bucket().await;
    let address = ([127, 0, 0, 1], cluster.port()).into();
    let proxy = ChaosProxy::start(address, seed).await;
    let mut config = Config::default();
    config.database.max_connections = 8;
    config.database.url = Some(SecretString::from(cluster.url("images")));
    let direct = config.database.clone();
    Catalog::new(&direct).unwrap().migrate().await.unwrap();
    let proxied = cluster.url("images").replace(&address.to_string(), &proxy.address.to_string());
    config.database.url = Some(SecretString::from(proxied));
    config.stores.insert("main".to_owned(), bucket.store());
    config.default_store = Some("main".to_owned());
    config.identity.mode = IdentityMode::None;
    hasten(&mut config);
    // longer than the outages: a writer that waits for the database must not lose its image to a sweep
    config.jobs.lease = Duration::from_secs(scaled(15, 60));
    let server = Server::start(&config).await;
    let clients = Clients::new();
    let running = AtomicBool::new(true);

    let worker = async |worker: u64| {
        let mut random = random(seed ^ (worker << 32));
        let mut answers = BTreeMap::<String, usize>::new();
        while running.load(Ordering::Relaxed) {
            let size = if random.random_ratio(1, 10) { PART + 9 } else { random.random_range(1..50_000) };
            let id = new_id();
            let outcome = match random.random_range(0..3) {
                0 => {
                    let data = content(&mut random, size);
                    clients.upload_as(server.api, &id, &data, random.random()).await
                }
                1 => told(clients.ask("GET", server.api, "/v1/images/detail?limit=20").await),
                _ => told(clients.ask("HEAD", server.api, &format!("/v1/images/{id}")).await),
            };
            *answers.entry(format!("{outcome:?}")).or_default() += 1;
            let fine = match outcome {
                Outcome::Kept => true,
                // 404: an image that never was
                Outcome::Refused { status, .. } => [200, 404, 503].contains(&status),
                Outcome::Lost => false,
            };
            assert!(fine, "{outcome:?}");
        }
        answers
    };
    let under_load = async || {
        let enough = clients.kept().len() + 5;
        eventually("uploads are stored", async || (clients.kept().len() >= enough).then_some(())).await;
    };
    let outages = async {
        under_load().await;
        let restarted = Arc::clone(&cluster);
        TaskTracker::new().spawn_blocking(move || restarted.restart().unwrap()).await.unwrap();
        served_again(&clients, &server).await;
        under_load().await;
        proxy.refuse();
        // longer than a request waits for the database
        tokio::time::sleep(Duration::from_secs(scaled(7, 10))).await;
        proxy.restore();
        served_again(&clients, &server).await;
        running.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = join(join_all((0..scaled(6, 24)).map(&worker)), outages).await;
    println!("R-04: {answers:?}");
    assert!(format!("{answers:?}").contains("503"), "nobody noticed the outage");
    assert_invariant(&direct, &bucket, &[server.api], &clients).await;
}

fn told(status: Option<u16>) -> Outcome {
    status.map_or(Outcome::Lost, |status| Outcome::Refused { status, retry_after: false })
}

async fn served_again(clients: &Clients, server: &Server) {
    eventually("the service answers again", async || {
        (clients.ask("GET", server.api, "/v1/images").await == Some(200)).then_some(())
    })
    .await;
}

/// every connection to the database is cut at some byte of an upload or a delete, so that the outcome of any
/// statement may be unknown to the one who sent it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_around_commits_have_no_double_effect() {
    let seed = seed("R-05");
    let world = World::new().await;
    let proxy = ChaosProxy::start(world.database.address(), seed).await;
    let mut config = world.config();
    config.database = world.database.config_through(proxy.address);
    let World { database, bucket } = world;
    let service = Service::start_over(database, bucket, config).await;
    let clients = Clients::new();
    let mut random = random(seed);
    let mut tally = BTreeMap::<String, usize>::new();
    for round in 0..scaled(60, 1000) {
        let direction = if round % 2 == 0 { Direction::Up } else { Direction::Down };
        let size = if round % 8 == 0 { PART + 9 } else { random.random_range(1..50_000) };
        let data = content(&mut random, size);
        let id = new_id();
        proxy.cut_within(direction, 2500);
        let outcome = clients.upload_as(service.address, &id, &data, random.random()).await;
        *tally.entry(format!("{outcome:?}")).or_default() += 1;
        match outcome {
            Outcome::Kept if round % 3 == 0 => {
                clients.forget(&id);
                proxy.cut_within(direction, 700);
                let path = format!("/v1/images/{id}");
                let answer = clients.ask("DELETE", service.address, &path).await;
                // 404: the first of two tries did it, and its answer got lost
                assert!(matches!(answer, Some(200 | 404 | 503)), "{answer:?}");
                proxy.restore();
                if answer != Some(503) {
                    clients.await_status(service.address, &id, &["deleted"]).await;
                }
            }
            Outcome::Kept | Outcome::Refused { status: 503, .. } => {}
            other => panic!("{other:?}"),
        }
        proxy.restore();
    }
    println!("R-05: {tally:?}");
    assert!(!clients.kept().is_empty());
    assert_invariant(&service.database.config(), &service.bucket, &[service.address], &clients).await;
}
