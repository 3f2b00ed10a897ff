//! imports that outlive the replicas working on them. Of whatever method, each ends once, with the right bytes, and
//! leaves nothing behind.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use rand::Rng;
use rand::rngs::StdRng;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use vitrine::config::{self, Config};

use super::{Kept, PART, World, content, objects, random, scaled, seed};
use crate::support::api::{ADMIN, OCTETS, OWNER, new_id};
use crate::support::eventually;
use crate::support::s3::{TestBucket, test_bucket};
use crate::support::server::Server;
use crate::support::source::{Source, allow};

/// How data come into an image.
#[derive(Debug, Clone, Copy)]
enum Method {
    /// Staged, then imported into the default store.
    Direct,
    /// Staged, then imported into both stores.
    DirectToAll,
    /// From a URL into the default store.
    Web,
    /// From a URL into both stores.
    WebToAll,
    /// Uploaded, then copied into the other store.
    Copy,
}

impl Method {
    const ALL: [Self; 5] = [Self::Direct, Self::DirectToAll, Self::Web, Self::WebToAll, Self::Copy];

    fn stores(self) -> &'static [&'static str] {
        match self {
            Self::Direct | Self::Web => &["main"],
            Self::DirectToAll | Self::WebToAll | Self::Copy => &["main", "second"],
        }
    }

    fn document(self, url: &str) -> Value {
        match self {
            Self::Direct => json!({ "method": { "name": "glance-direct" } }),
            Self::DirectToAll => json!({ "method": { "name": "glance-direct" }, "all_stores": true }),
            Self::Web => json!({ "method": { "name": "web-download", "uri": url } }),
            Self::WebToAll => {
                json!({ "method": { "name": "web-download", "uri": url }, "all_stores": true })
            }
            Self::Copy => json!({ "method": { "name": "copy-image" }, "stores": ["second"] }),
        }
    }
}

/// One import that is to happen.
struct Import {
    id: String,
    method: Method,
    data: Bytes,
    url: String,
}

/// A client of replicas that come and go.
struct Importer<'a> {
    http: &'a Client,
    replicas: &'a [SocketAddr],
    random: StdRng,
}

impl Importer<'_> {
    /// Asks one of the replicas; none where it gives no answer, or not the status that is hoped for.
    async fn ask(
        &mut self,
        status: u16,
        request: impl FnOnce(&Client, String) -> RequestBuilder,
    ) -> Option<Bytes> {
        let replica = self.replicas[self.random.random_range(0..self.replicas.len())];
        let answer = request(self.http, format!("http://{replica}/v2/images")).send().await.ok()?;
        let found = answer.status().as_u16();
        let body = answer.bytes().await.ok()?;
        (found == status).then_some(body)
    }

    async fn show(&mut self, id: &str) -> Option<Value> {
        let asked = |http: &Client, url| http.get(format!("{url}/{id}")).header("X-Auth-Token", OWNER);
        let image = self.ask(200, asked).await?;
        serde_json::from_slice(&image).ok()
    }

    /// One step towards an import; done once a replica has accepted it. Answers get lost, so each step begins with a
    /// look at what the one before it has done.
    async fn step(&mut self, import: &Import) -> Option<()> {
        let Import { id, method, data, url } = import;
        let Some(image) = self.show(id).await else {
            let document = json!({ "id": id, "disk_format": "raw", "container_format": "bare" });
            self.ask(201, |http, url| http.post(url).header("X-Auth-Token", OWNER).json(&document)).await;
            return None;
        };
        assert!(is_empty(&image, "os_glance_failed_import"), "{method:?}: {image}");
        let copies = matches!(method, Method::Copy);
        let place = match (image["status"].as_str().unwrap(), method) {
            ("queued", Method::Direct | Method::DirectToAll) => "stage",
            ("queued", Method::Copy) => "file",
            ("queued", _) => "import",
            ("uploading", _) if image["size"].is_number() => "import",
            ("active", Method::Copy)
                if image["stores"] == "main" && is_empty(&image, "os_glance_importing_to_stores") =>
            {
                "import"
            }
            ("importing" | "active", _) => return Some(()),
            _ => return None,
        };
        let token = if copies { ADMIN } else { OWNER };
        let (status, body) = match place {
            "import" => (202, None),
            _ => (204, Some(data.clone())),
        };
        self.ask(status, |http, images| match body {
            None => http
                .post(format!("{images}/{id}/import"))
                .header("X-Auth-Token", token)
                .json(&method.document(url)),
            Some(data) => {
                let request = http.put(format!("{images}/{id}/{place}")).header("X-Auth-Token", OWNER);
                request.header("Content-Type", OCTETS).body(data)
            }
        })
        .await;
        None
    }

    /// Whether the import has ended, and how it must.
    async fn ended(&mut self, import: &Import) -> Option<()> {
        let image = self.show(&import.id).await?;
        assert!(is_empty(&image, "os_glance_failed_import"), "{:?}: {image}", import.method);
        let done = image["status"] == "active"
            && is_empty(&image, "os_glance_importing_to_stores")
            && image["stores"] == import.method.stores().join(",");
        done.then_some(())
    }
}

fn is_empty(image: &Value, name: &str) -> bool {
    image[name].as_str().unwrap_or_default().is_empty()
}

/// Settings of replicas with the stores `main` and `second`, which read from loopback.
fn two_stores(world: &World, second: &TestBucket) -> Config {
    let mut config = world.config();
    let part_size = config.stores["main"].part_size;
    config.stores.insert("second".to_owned(), config::Store { part_size, ..second.store() });
    config.default_store = Some("main".to_owned());
    allow(&mut config);
    config
}

fn client() -> Client {
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(60));
    http.build().unwrap()
}

/// Imports of all methods over three replicas, one of which is killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replicas_neither_lose_nor_repeat_an_import() {
    let seed = seed("imports");
    let (world, second, source) = (World::new().await, test_bucket().await, Source::start().await);
    let config = two_stores(&world, &second);
    let servers = join_all((0..3).map(|_| Server::start(&config))).await;
    let replicas: Vec<SocketAddr> = servers.iter().map(|server| server.api).collect();
    let servers: Vec<_> = servers.into_iter().map(Mutex::new).collect();
    let (imports, largest) = scaled((60, 2 * PART), (200, 4 * PART));
    let http = client();
    let mut chance = random(seed);
    let imports: Vec<Import> = (0..imports)
        .map(|number| {
            let size = if chance.random_ratio(1, 2) { 64 << 10 } else { largest };
            let size = chance.random_range(1..=size);
            let data = content(&mut chance, size);
            let url = source.put(&format!("/{number}"), &data);
            Import { id: new_id(), method: Method::ALL[number % Method::ALL.len()], data, url }
        })
        .collect();
    let (next, running) = (AtomicUsize::new(0), AtomicBool::new(true));
    let worker = async |worker: u64| {
        let mut importer =
            Importer { http: &http, replicas: &replicas, random: random(seed ^ (worker << 32)) };
        while let Some(import) = imports.get(next.fetch_add(1, Ordering::Relaxed)) {
            eventually("the import is accepted", async || importer.step(import).await).await;
            eventually("the import ends", async || importer.ended(import).await).await;
        }
    };
    let load = async {
        join_all((0..8).map(&worker)).await;
        running.store(false, Ordering::Relaxed);
    };
    let killer = async {
        let mut random = random(!seed);
        let mut kills = 0;
        while running.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(scaled(random.random_range(200..1500), 2000))).await;
            let mut server = servers[random.random_range(0..servers.len())].lock().await;
            server.kill().await;
            server.restart().await;
            kills += 1;
        }
        kills
    };
    let ((), kills) = join(load, killer).await;
    println!("imports: {kills} kills during {} imports", imports.len());
    assert!(kills > 0);
    assert_ended_once(&world, &second, &replicas, &http, &imports).await;
}

/// Every image has its bytes in every store of its import, which one task has brought there; nothing else is left.
async fn assert_ended_once(
    world: &World,
    second: &TestBucket,
    replicas: &[SocketAddr],
    http: &Client,
    imports: &[Import],
) {
    let sql = world.database.client().await;
    let count = async |statement: &str| -> i64 { sql.query_one(statement, &[]).await.unwrap().get(0) };
    let unsettled = "SELECT (SELECT count(*) FROM blobs WHERE state <> 'live')
        + (SELECT count(*) FROM images WHERE status <> 'active' OR importing_to <> '{}')
        + (SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing'))";
    let settled = async || (count(unsettled).await == 0).then_some(());
    if tokio::time::timeout(
        Duration::from_secs(50),
        eventually("sweeps finish everything that was left", settled),
    )
    .await
    .is_err()
    {
        for q in [
            "SELECT row_to_json(b)::text FROM blobs b WHERE state <> 'live'",
            "SELECT row_to_json(b)::text FROM images b WHERE status <> 'active' OR importing_to <> '{}'",
            "SELECT row_to_json(b)::text FROM tasks b WHERE status IN ('pending','processing')",
        ] {
            for r in sql.query(q, &[]).await.unwrap() {
                println!("LEFT {}", r.get::<_, String>(0));
            }
        }
        panic!("left");
    }
    for (store, bucket) in [("main", &world.bucket), ("second", second)] {
        let live = "SELECT key, size FROM blobs WHERE store = $1 ORDER BY key";
        let rows = sql.query(live, &[&store]).await.unwrap();
        let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(objects(bucket).await, rows, "objects and live rows of {store}");
        assert!(bucket.open_uploads().await.is_empty(), "multipart uploads of {store}");
    }
    let ends = "SELECT image_id::text, status::text FROM tasks ORDER BY image_id";
    let rows = sql.query(ends, &[]).await.unwrap();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut expected: Vec<(String, String)> =
        imports.iter().map(|import| (import.id.clone(), "success".to_owned())).collect();
    expected.sort();
    assert_eq!(found, expected, "tasks and how they ended");
    for (number, import) in imports.iter().enumerate() {
        let kept = Kept::new(&import.id, &import.data);
        for store in import.method.stores() {
            let replica = replicas[number % replicas.len()];
            let url = format!("http://{replica}/v2/images/{}/file?prefer={store}", import.id);
            let data =
                http.get(url).header("X-Auth-Token", ADMIN).send().await.unwrap().bytes().await.unwrap();
            assert!(kept.is(&data), "{:?} in {store}: {kept:?}", import.method);
        }
    }
}

/// Fault points of a task, and the imports that pass them.
const POINTS: &[(&str, Method)] = &[
    ("import.claimed", Method::Direct),
    ("import.begun", Method::Direct),
    ("import.staged", Method::Direct),
    ("copy.placed", Method::Direct),
    ("import.placed", Method::Direct),
    ("import.committed", Method::DirectToAll),
    ("copy.started", Method::DirectToAll),
    ("copy.written", Method::DirectToAll),
    ("copy.placed:2", Method::DirectToAll),
    ("import.started", Method::Web),
    ("upload.part_sent", Method::Web),
    ("upload.sent", Method::Web),
    ("upload.completed", Method::Web),
    ("stage.committed", Method::Web),
    ("import.placed", Method::WebToAll),
    ("copy.started", Method::Copy),
    ("copy.written", Method::Copy),
    ("copy.placed", Method::Copy),
];

/// R-02 for imports: whatever the replica that worked on one had done of it, another one ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_outlives_the_replica_that_began_it() {
    let seed = seed("R-02 imports");
    let (world, second, source) = (World::new().await, test_bucket().await, Source::start().await);
    let config = two_stores(&world, &second);
    let mut idle = config.clone();
    idle.jobs.enabled = false;
    let clients = Server::start(&idle).await;
    let http = client();
    let mut imports = Vec::new();
    for (number, (point, method)) in POINTS.iter().enumerate() {
        let data = content(&mut random(seed.wrapping_add(number as u64)), PART + 100_000);
        let url = source.put(&format!("/{number}"), &data);
        let import = Import { id: new_id(), method: *method, data, url };
        let mut importer = Importer { http: &http, replicas: &[clients.api], random: random(seed) };
        eventually("the import is accepted", async || importer.step(&import).await).await;
        let mut doomed = Server::start_with_env(&config, &[("VITRINE_FAULT", point)]).await;
        eventually("the replica reaches the fault point", async || doomed.has_ended().then_some(())).await;
        println!("R-02 imports: {point} {method:?}: image {}", import.id);
        imports.push(import);
        if number % 6 == 5 || number + 1 == POINTS.len() {
            // all that died meanwhile is taken over together
            let survivor = Server::start(&config).await;
            let mut importer = Importer { http: &http, replicas: &[survivor.api], random: random(seed) };
            for import in &imports {
                eventually("the import ends", async || importer.ended(import).await).await;
            }
        }
    }
    let survivor = Server::start(&config).await;
    assert_ended_once(&world, &second, &[survivor.api], &http, &imports).await;
}
