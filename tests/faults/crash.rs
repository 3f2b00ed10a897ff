//! replicas that end without a word.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::{StreamExt, stream};
use rand::Rng;
use tokio::sync::Mutex;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Clients, Kept, MIB, Outcome, PART, World, content, full, random, scaled, seed};
use crate::support::api::{OWNER, new_id};
use crate::support::eventually;
use crate::support::server::Server;

/// replicas are killed one after the other while clients upload to both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replicas_lose_nothing_that_was_acknowledged() {
    let seed = seed("R-01");
    let world = World::new().await;
    let config = world.config();
    let (one, two) = join(Server::start(&config), Server::start(&config)).await;
    let addresses = [one.api, two.api];
    let replicas = [Mutex::new(one), Mutex::new(two)];
    let clients = Clients::new();
    let (uploads, largest) = scaled((60, 12 * MIB), (500, 256 * MIB));
    let next = AtomicUsize::new(0);
    let running = AtomicBool::new(true);

    let worker = async |worker: u64| {
        let mut random = random(seed ^ (worker << 32));
        while next.fetch_add(1, Ordering::Relaxed) < uploads {
            let size = if random.random_ratio(1, 2) { 64 << 10 } else { largest };
            let size = random.random_range(1..=size);
            let data = content(&mut random, size);
            let replica = addresses[random.random_range(0..2)];
            let sized = random.random();
            let outcome = clients.upload_as(replica, &new_id(), &data, sized).await;
            if outcome == Outcome::Lost {
                // the replica is gone; another try at once would only use up the uploads
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    let load = async {
        join_all((0..4).map(&worker)).await;
        running.store(false, Ordering::Relaxed);
    };
    let killer = async {
        let mut random = random(!seed);
        let mut kills = 0;
        while running.load(Ordering::Relaxed) {
            let pause = scaled(random.random_range(100..1200), 2000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let mut replica = replicas[random.random_range(0..2)].lock().await;
            replica.kill().await;
            replica.restart().await;
            kills += 1;
        }
        kills
    };
    let ((), kills) = join(load, killer).await;
    println!("R-01: {kills} kills, {} of {uploads} uploads acknowledged", clients.kept().len());
    assert!(kills > 0 && !clients.kept().is_empty());
    world.assert_invariant(&addresses, &clients).await;
}

/// What a client does to a replica that dies.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Uploads in one request of the store.
    Single,
    /// Uploads in parts.
    Parts,
    /// Uploads in parts, without telling the length.
    Unsized,
    /// As `Single`, with a checksum that does not fit.
    BadSingle,
    /// As `Parts`, with a checksum that does not fit.
    BadParts,
    /// Uploads, then deletes.
    Delete,
}

impl Deed {
    fn data(self, seed: u64) -> Bytes {
        let size = match self {
            Self::Single | Self::BadSingle | Self::Delete => 100_000,
            Self::Parts | Self::Unsized | Self::BadParts => 2 * PART + 100_000,
        };
        content(&mut random(seed), size)
    }
}

/// Fault points, what leads there, and the state of the image once the dust has settled; `gone` where it was deleted.
const POINTS: &[(&str, Deed, &str)] = &[
    ("image.inserted", Deed::Single, "queued"),
    ("upload.started", Deed::Single, "killed"),
    ("upload.last_sent", Deed::Single, "killed"),
    ("upload.sent", Deed::Single, "killed"),
    ("upload.completed", Deed::Single, "killed"),
    ("upload.committed", Deed::Single, "active"),
    ("upload.started", Deed::Parts, "killed"),
    ("upload.multipart_begun", Deed::Parts, "killed"),
    ("upload.multipart_recorded", Deed::Parts, "killed"),
    ("upload.part_sent", Deed::Parts, "killed"),
    ("upload.part_sent:2", Deed::Parts, "killed"),
    ("upload.last_sent", Deed::Parts, "killed"),
    ("upload.sent", Deed::Parts, "killed"),
    ("upload.completed", Deed::Parts, "killed"),
    ("upload.committed", Deed::Parts, "active"),
    ("upload.multipart_begun", Deed::Unsized, "killed"),
    ("upload.part_sent:2", Deed::Unsized, "killed"),
    ("upload.completed", Deed::Unsized, "killed"),
    ("upload.failed", Deed::BadSingle, "killed"),
    ("upload.failed", Deed::BadParts, "killed"),
    ("upload.aborted", Deed::BadParts, "killed"),
    ("garbage.removed", Deed::BadSingle, "killed"),
    ("garbage.removed", Deed::BadParts, "killed"),
    ("delete.committed", Deed::Delete, "deleted"),
    ("garbage.removed", Deed::Delete, "deleted"),
];

/// a replica ends at every place between "row written" and "row live", and on the ways out; another one
/// brings everything in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_point_leaves_nothing_behind() {
    let seed = seed("R-02");
    let (world, clients) = (World::new().await, Clients::new());
    // nobody sweeps meanwhile: what a replica is about to remove could be gone before it reaches its point
    let (world_ref, clients_ref) = (&world, &clients);
    let crashed: Vec<_> = stream::iter((0..).zip(POINTS))
        .map(|(number, (point, deed, expected))| async move {
            let seed = seed.wrapping_add(number);
            let id = crash_at(world_ref, clients_ref, point, *deed, seed).await;
            println!("R-02: {point} {deed:?}: image {id}");
            (id, seed, deed, expected)
        })
        .buffer_unordered(3)
        .collect()
        .await;
    let survivor = Server::start(&world.config()).await;
    for (id, seed, deed, expected) in crashed {
        clients.await_status(survivor.api, &id, &[expected]).await;
        if *expected == "active" {
            // nobody was told, but the commit counts
            clients.keep(Kept::new(&id, &deed.data(seed)));
        }
    }
    world.assert_invariant(&[survivor.api], &clients).await;
}

/// Makes a replica of its own end at `point` and returns the image it worked on.
async fn crash_at(world: &World, clients: &Clients, point: &str, deed: Deed, seed: u64) -> String {
    let mut config = world.config();
    // its own sweeps could pass the point before the client does
    config.jobs.enabled = false;
    let mut doomed = Server::start_with_env(&config, &[("VITRINE_FAULT", point)]).await;
    let (id, data) = (new_id(), deed.data(seed));
    match deed {
        Deed::Single | Deed::Parts | Deed::Unsized => {
            let sized = !matches!(deed, Deed::Unsized);
            let outcome = clients.upload_as(doomed.api, &id, &data, sized).await;
            assert_eq!(outcome, Outcome::Lost, "{point} {deed:?}");
        }
        Deed::BadSingle | Deed::BadParts => {
            let request =
                reqwest::Client::builder().no_proxy().build().unwrap().post(doomed.url("/v1/images"));
            let request = request
                .header("X-Auth-Token", OWNER)
                .header("x-image-meta-id", &id)
                .header("x-image-meta-disk_format", "raw")
                .header("x-image-meta-container_format", "bare")
                .header("x-image-meta-checksum", "0".repeat(32))
                .header("Content-Type", "application/octet-stream");
            assert!(request.body(data).send().await.is_err(), "{point} {deed:?}");
        }
        Deed::Delete => {
            assert_eq!(clients.upload_as(doomed.api, &id, &data, true).await, Outcome::Kept);
            clients.forget(&id);
            let answer = clients.ask("DELETE", doomed.api, &format!("/v1/images/{id}")).await;
            assert_eq!(answer, None, "{point} {deed:?}");
        }
    }
    doomed.wait().await;
    id
}

/// R-02 for copies: a task is finished by another replica, whatever the first one had done of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_outlives_the_replica_that_began_it() {
    let seed = seed("R-02 copy");
    let points: &[&str] = if full() {
        &[
            "copy.claimed",
            "upload.started",
            "upload.part_sent",
            "upload.sent",
            "upload.completed",
            "upload.committed",
        ]
    } else {
        &["copy.claimed", "upload.part_sent", "upload.committed"]
    };
    let source = MockServer::start().await;
    let data = content(&mut random(seed), 2 * PART + 5);
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_bytes(data.to_vec()))
        .mount(&source)
        .await;
    let world = World::new().await;
    let clients = Clients::new();
    let mut config = world.config();
    config.import.allow_private_networks = true;
    config.import.allowed_ports = vec![source.address().port()];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for point in points {
        // alone, so that nobody else takes the task
        let mut doomed = Server::start_with_env(&config, &[("VITRINE_FAULT", point)]).await;
        let id = new_id();
        let request = http.post(doomed.url("/v1/images")).header("X-Auth-Token", OWNER);
        let request = request
            .header("x-image-meta-id", &id)
            .header("x-image-meta-disk_format", "raw")
            .header("x-image-meta-container_format", "bare")
            .header("x-glance-api-copy-from", source.uri());
        // the task may be taken and the replica be gone before the answer is sent
        let answer = request.send().await;
        assert!(answer.is_err() || answer.unwrap().status() == 201, "{point}");
        eventually("the replica reaches the fault point", async || doomed.has_ended().then_some(())).await;
        let survivor = Server::start(&config).await;
        clients.await_status(survivor.api, &id, &["active"]).await;
        clients.keep(Kept::new(&id, &data));
        world.assert_invariant(&[survivor.api], &clients).await;
    }
}
