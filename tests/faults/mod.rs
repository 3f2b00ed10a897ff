//! Reliability (hardening.md §3): what fails, how, and what must be true afterwards.
//!
//! Each test prints its seed; `VITRINE_TEST_SEED` repeats it. `VITRINE_TEST_FAULTS=full` runs the sizes of the
//! specification instead of those that suit a small machine.

mod client;
mod crash;
mod database;
mod imports;
mod lease;
mod memory;
mod quota;
mod store;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest, Md5};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use vitrine::catalog::Catalog;
use vitrine::config::units::ByteSize;
use vitrine::config::{self, Config};

use crate::support::api::{ADMIN, OCTETS, OWNER, new_id};
use crate::support::db::{TestDatabase, connect, test_database};
use crate::support::s3::{TestBucket, test_bucket};
use crate::support::{config, eventually};

pub const MIB: usize = 1 << 20;
/// Part size in these tests: the smallest that S3 allows.
pub const PART: usize = 5 * MIB;

/// Whether the sizes of the specification are asked for.
pub fn full() -> bool {
    std::env::var("VITRINE_TEST_FAULTS").is_ok_and(|size| size == "full")
}

/// `small`, or `large` where the sizes of the specification are asked for.
pub fn scaled<T>(small: T, large: T) -> T {
    if full() { large } else { small }
}

/// The seed of a test, printed so that a failure can be repeated.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("VITRINE_TEST_SEED").ok().map(|text| text.parse().unwrap());
    let seed = given.unwrap_or_else(|| rand::rng().random());
    println!("{test}: VITRINE_TEST_SEED={seed}");
    seed
}

/// Chance as `seed` decides it.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// `size` bytes that no other image has.
pub fn content(random: &mut StdRng, size: usize) -> Bytes {
    let mut data = vec![0; size];
    random.fill_bytes(&mut data);
    data.into()
}

/// A database and a bucket, for replicas that are processes.
pub struct World {
    pub database: TestDatabase,
    pub bucket: TestBucket,
}

impl World {
    pub async fn new() -> Self {
        Self { database: test_database().await, bucket: test_bucket().await }
    }

    pub fn config(&self) -> Config {
        let mut config = config(&self.database, &self.bucket);
        hasten(&mut config);
        config
    }

    pub async fn assert_invariant(&self, replicas: &[SocketAddr], clients: &Clients) {
        assert_invariant(&self.database.config(), &self.bucket, replicas, clients).await;
    }
}

/// Small parts, and leases that run out soon.
pub fn hasten(config: &mut Config) {
    config.jobs.lease = Duration::from_secs(3);
    config.jobs.sweep_interval = Duration::from_millis(300);
    config.jobs.garbage_grace = Duration::from_secs(2);
    for store in config.stores.values_mut() {
        store.part_size = Some(ByteSize(PART as u64));
    }
}

/// An image whose upload was acknowledged.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: String,
    pub size: usize,
    pub md5: String,
}

impl Kept {
    pub fn new(id: &str, data: &[u8]) -> Self {
        Self { id: id.to_owned(), size: data.len(), md5: hex::encode(Md5::digest(data)) }
    }

    pub fn is(&self, data: &[u8]) -> bool {
        data.len() == self.size && hex::encode(Md5::digest(data)) == self.md5
    }
}

/// What a client saw of its upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    Refused {
        status: u16,
        retry_after: bool,
    },
    /// No answer.
    Lost,
}

/// The load: clients that remember what they were promised.
pub struct Clients {
    http: reqwest::Client,
    kept: Mutex<Vec<Kept>>,
}

impl Clients {
    pub fn new() -> Self {
        // no kept connections: a request must not fail because an earlier one's server is gone
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
        Self { http: http.build().unwrap(), kept: Mutex::default() }
    }

    /// `POST /v1/images` with data; an acknowledgement must name the right checksum.
    pub async fn upload(&self, to: SocketAddr, data: &Bytes) -> Outcome {
        self.upload_as(to, &new_id(), data, true).await
    }

    /// As [`Clients::upload`] with an id, and perhaps without telling the length.
    pub async fn upload_as(&self, to: SocketAddr, id: &str, data: &Bytes, sized: bool) -> Outcome {
        let body = if sized {
            reqwest::Body::from(data.clone())
        } else {
            let frames: Vec<_> = (0..data.len()).step_by(64 << 10).collect();
            let data = data.clone();
            let frames = frames
                .into_iter()
                .map(move |at| Ok::<_, std::io::Error>(data.slice(at..data.len().min(at + (64 << 10)))));
            reqwest::Body::wrap_stream(futures_util::stream::iter(frames))
        };
        let kept = Kept::new(id, data);
        let outcome = self.send(to, id, body, Some(&kept.md5)).await;
        if outcome == Outcome::Kept {
            self.keep(kept);
        }
        outcome
    }

    /// As [`Clients::upload_as`] with any body; what is acknowledged is not remembered.
    pub async fn send(&self, to: SocketAddr, id: &str, body: reqwest::Body, md5: Option<&str>) -> Outcome {
        let request = self.http.post(format!("http://{to}/v1/images")).header("X-Auth-Token", OWNER);
        let request = request
            .header("x-image-meta-id", id)
            .header("x-image-meta-disk_format", "raw")
            .header("x-image-meta-container_format", "bare")
            .header("Content-Type", OCTETS)
            .body(body);
        let Ok(answer) = request.send().await else { return Outcome::Lost };
        let status = answer.status().as_u16();
        if status != 201 {
            return Outcome::Refused { status, retry_after: answer.headers().contains_key("retry-after") };
        }
        // cut short after its head: the promise was not made in full
        let Ok(text) = answer.text().await else { return Outcome::Lost };
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["image"]["status"], "active", "{document}");
        if let Some(md5) = md5 {
            assert_eq!(document["image"]["checksum"], md5, "acknowledged with another checksum");
        }
        Outcome::Kept
    }

    /// Remembers an image that was acknowledged.
    pub fn keep(&self, kept: Kept) {
        self.kept.lock().unwrap().push(kept);
    }

    /// Everything that was acknowledged.
    pub fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().clone()
    }

    /// Forgets an image that is to be deleted.
    pub fn forget(&self, id: &str) {
        self.kept.lock().unwrap().retain(|kept| kept.id != id);
    }

    /// Status code of a request without a body.
    pub async fn ask(&self, method: &str, to: SocketAddr, path: &str) -> Option<u16> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, format!("http://{to}{path}")).header("X-Auth-Token", OWNER);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// The data of an image; an error where the answer is none or breaks off.
    pub async fn download(&self, from: SocketAddr, id: &str) -> Result<Bytes, String> {
        let request = self.http.get(format!("http://{from}/v1/images/{id}")).header("X-Auth-Token", OWNER);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let data = answer.bytes().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(data) } else { Err(format!("{status}")) }
    }

    /// Status of an image as an administrator sees it; none where there is no such image or no answer.
    pub async fn status(&self, at: SocketAddr, id: &str) -> Option<String> {
        let request = self.http.head(format!("http://{at}/v1/images/{id}")).header("X-Auth-Token", ADMIN);
        let answer = request.send().await.ok()?;
        Some(answer.headers().get("x-image-meta-status")?.to_str().unwrap().to_owned())
    }

    /// Waits until an image is in one of `states`.
    pub async fn await_status(&self, at: SocketAddr, id: &str, states: &[&str]) -> String {
        eventually(&format!("image {id} is one of {states:?}"), async || {
            self.status(at, id).await.filter(|status| states.contains(&status.as_str()))
        })
        .await
    }
}

/// Invariant I, once nothing but the replicas' own sweeps is at work.
pub async fn assert_invariant(
    database: &config::Database,
    bucket: &TestBucket,
    replicas: &[SocketAddr],
    clients: &Clients,
) {
    use secrecy::ExposeSecret as _;
    let sql = connect(database.url.as_ref().unwrap().expose_secret()).await;
    let count = async |statement: &str| -> i64 { sql.query_one(statement, &[]).await.unwrap().get(0) };
    let unsettled = "SELECT (SELECT count(*) FROM blobs WHERE state <> 'live')
        + (SELECT count(*) FROM images WHERE status IN ('saving', 'uploading', 'importing'))
        + (SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing'))";
    eventually("sweeps finish everything that was left", async || {
        (count(unsettled).await == 0).then_some(())
    })
    .await;

    let live = "SELECT key, size FROM blobs ORDER BY key";
    let rows = sql.query(live, &[]).await.unwrap();
    let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(objects(bucket).await, rows, "objects and live rows");
    assert!(bucket.open_uploads().await.is_empty(), "multipart uploads: {:?}", bucket.open_uploads().await);

    let empty = "SELECT count(*) FROM images WHERE status = 'active' AND size > 0
        AND NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.image_id = images.id)";
    assert_eq!(count(empty).await, 0, "active images without data");
    let stray = "SELECT count(*) FROM blobs
        WHERE NOT EXISTS (SELECT 1 FROM images WHERE images.id = blobs.image_id AND images.status = 'active')";
    assert_eq!(count(stray).await, 0, "data of images that are not active");
    let resized = "SELECT count(*) FROM images JOIN blobs ON blobs.image_id = images.id
        WHERE blobs.size <> images.size";
    assert_eq!(count(resized).await, 0, "images of another size than their data");
    let used = Catalog::new(database).unwrap().storage_used("alpha").await.unwrap();
    assert_eq!(used, rows.iter().map(|(_, size)| size.unsigned_abs()).sum::<u64>(), "usage");

    for replica in replicas {
        for kept in clients.kept() {
            assert_eq!(clients.status(*replica, &kept.id).await.as_deref(), Some("active"), "{kept:?}");
            let data = clients.download(*replica, &kept.id).await.unwrap();
            assert!(kept.is(&data), "{kept:?} reads as {:?}", Kept::new(&kept.id, &data));
        }
    }
}

/// Keys and sizes of a bucket, in key order.
async fn objects(bucket: &TestBucket) -> Vec<(String, i64)> {
    let client = bucket.client();
    let mut pages = client.list_objects_v2().bucket(&bucket.name).into_paginator().send();
    let mut objects = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        objects.extend(page.contents().iter().map(|o| (o.key().unwrap().to_owned(), o.size().unwrap())));
    }
    objects
}
