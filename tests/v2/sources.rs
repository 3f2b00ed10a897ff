//! Sources that misbehave, at every entrance where a user names one (R-28, A01 to A03, A06 to A12). What the fetcher
//! makes of each answer is tested beside it; here is what becomes of image, task and store.

mod behaviour;
mod refusals;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use vitrine::config::Config;
use vitrine::fetch::Limits;

use super::ADMIN;
use super::locations::SERVICE;
use crate::support::api::{Answer, Request, Service, new_id};
use crate::support::db::test_database;
use crate::support::s3::test_bucket;
use crate::support::v2::{V21, raw, sha512};
use crate::support::{config, eventually, source};

/// Where a user names a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    /// `POST /v2/images/{id}/import` with `web-download`.
    WebDownload,
    /// `POST /v2/tasks`.
    Task,
    /// v1 `copy-from`, whose source is asked for its size at once.
    CopyFrom,
    /// The same with a size that the client tells.
    CopyOfSize,
    /// `POST /v2/images/{id}/locations` with the digest of the data.
    Location,
    /// The same without.
    LocationUnproven,
    /// `PATCH /v2/images/{id}` with `/locations/-`.
    Patch,
    /// v1 `location`.
    V1Location,
}

use Entrance::{CopyFrom, CopyOfSize, Location, LocationUnproven, Patch, Task, V1Location, WebDownload};

/// All of them.
const ENTRANCES: [Entrance; 8] =
    [WebDownload, Task, CopyFrom, CopyOfSize, Location, LocationUnproven, Patch, V1Location];
/// Those that bring the data into a store.
const COPIES: [Entrance; 4] = [WebDownload, Task, CopyFrom, CopyOfSize];
/// Those that leave the data where they are and read them when the image is.
const LINKS: [Entrance; 2] = [Patch, V1Location];

impl Entrance {
    /// Names a source there, for a new image of this id; `data` are what is said to be at it. By a service, as others
    /// learn of some locations only that they may not name them (V2-289).
    async fn name(self, address: SocketAddr, id: &str, url: &str, data: &[u8]) -> Answer {
        let request = |method, path: &str| Request::to(address, method, path).by(SERVICE);
        let image = format!("/v2/images/{id}");
        if matches!(self, WebDownload | Location | LocationUnproven | Patch) {
            let new = raw(json!({ "id": id }));
            request("POST", "/v2/images").json(&new).send().await.expect(201);
        }
        let v1 = || request("POST", "/v1/images").formats().meta("id", id);
        let named = match self {
            WebDownload => request("POST", &format!("{image}/import"))
                .json(&json!({ "method": { "name": "web-download", "uri": url } })),
            Task => request("POST", "/v2/tasks").json(&json!({ "type": "import", "input": {
                "import_from": url, "import_from_format": "raw", "image_properties": raw(json!({ "id": id })),
            }})),
            CopyFrom => v1().header("x-glance-api-copy-from", url),
            CopyOfSize => v1().header("x-glance-api-copy-from", url).meta("size", "5"),
            V1Location => v1().header("x-image-meta-location", url),
            Location => request("POST", &format!("{image}/locations")).json(&json!({ "url": url,
                "validation_data": { "os_hash_algo": "sha512", "os_hash_value": sha512(data) } })),
            LocationUnproven => request("POST", &format!("{image}/locations")).json(&json!({ "url": url })),
            Patch => {
                let add =
                    json!([{ "op": "add", "path": "/locations/-", "value": { "url": url, "metadata": {} } }]);
                request("PATCH", &image).header("Content-Type", V21).body(add.to_string())
            }
        };
        named.send().await
    }

    /// Whether a task does what is asked for there.
    fn has_task(self) -> bool {
        !LINKS.contains(&self)
    }

    /// Status of the image when all that was tried has failed.
    fn status_of_failure(self) -> &'static str {
        if matches!(self, CopyFrom | CopyOfSize) { "killed" } else { "queued" }
    }
}

/// How it ended.
#[derive(Debug)]
struct End {
    id: String,
    /// Status of the answer.
    status: u16,
    /// Text of a refusal.
    text: String,
    /// Status of the image; `absent` without one.
    image: String,
    /// Status and message of the task behind it.
    task: Option<(String, String)>,
}

/// Names a source and waits for the end of what that begins.
async fn end(service: &Service, entrance: Entrance, url: &str, data: &[u8]) -> End {
    let id = new_id();
    let answer = entrance.name(service.address, &id, url, data).await;
    let task = match answer.status {
        200..300 if entrance.has_task() => Some(last_task(service).await),
        _ => None,
    };
    // v2 does not show what was killed
    let image = service.record(&id).await["status"].as_str().unwrap_or("absent").to_owned();
    let text = if answer.status < 400 { String::new() } else { answer.text().replace(&id, "") };
    End { id, status: answer.status, text, image, task }
}

/// Status and message of the newest task once it has ended. Its next attempt does not wait for its time.
async fn last_task(service: &Service) -> (String, String) {
    eventually("the task ends", async || {
        service.sql("UPDATE tasks SET due_at = now() WHERE status = 'pending'").await;
        service.flows.task_added.notify_one();
        let newest = "SELECT status::text, message FROM tasks ORDER BY created_at DESC LIMIT 1";
        let row = service.database.client().await.query_one(newest, &[]).await.unwrap();
        let (status, message): (String, Option<String>) = (row.get(0), row.get(1));
        ["success", "failure"].contains(&&*status).then(|| (status, message.unwrap_or_default()))
    })
    .await
}

impl End {
    /// Refused at once: no task, and nothing in the image if there is one.
    #[track_caller]
    fn assert_refused(&self, case: &str) {
        assert_eq!(self.status, 400, "{case}: {self:?}");
        assert!(matches!(&*self.image, "absent" | "queued"), "{case}: {self:?}");
    }

    /// Failed with a reason that tells nothing of addresses (A10).
    #[track_caller]
    fn assert_failed(&self, entrance: Entrance, case: &str) {
        let (status, message) = self.task.as_ref().unwrap_or_else(|| panic!("{case}: {self:?}"));
        assert_eq!((&**status, &*self.image), ("failure", entrance.status_of_failure()), "{case}: {self:?}");
        let is_telling =
            ["127.0.0.1", "0.0.0.0", "localhost", "http:", "canary"].iter().any(|s| message.contains(s));
        assert!(!message.is_empty() && !is_telling, "{case}: {message}");
    }
}

/// Asserts that the image has these data.
async fn assert_data(service: &Service, end: &End, data: &[u8], case: &str) {
    assert_eq!(end.image, "active", "{case}: {end:?}");
    assert!(end.task.as_ref().is_none_or(|(status, _)| status == "success"), "{case}: {end:?}");
    let image = service.show(ADMIN, &end.id).await;
    assert_eq!(image["size"], data.len(), "{case}");
    if end.task.is_some() && image["os_hash_algo"] == "sha512" {
        assert_eq!(image["os_hash_value"], sha512(data), "{case}");
    }
    let got = service.download(ADMIN, &end.id).await;
    assert!(
        got.status == 200 && got.body == data,
        "{case}: other bytes: {} of {}",
        got.status,
        got.body.len()
    );
}

/// Asserts that a reader of the image sees that the data are not whole, and gets none but those of one of `versions`.
async fn assert_cut(service: &Service, end: &End, versions: &[&[u8]], case: &str) {
    assert_eq!(end.image, "active", "{case}: {end:?}");
    let got = service.download(ADMIN, &end.id).await;
    if got.status == 0 || got.status >= 500 {
        return; // no answer, or one that says so
    }
    let length: usize = got.clone().expect(200).header("content-length").unwrap().parse().unwrap();
    assert!(got.body.len() < length, "{case}: it looks whole");
    assert!(versions.iter().any(|data| data.starts_with(&got.body)), "{case}: mixed bytes");
}

/// Nothing of failed imports is left: neither objects nor rows nor a lock.
async fn assert_nothing_left(service: &Service) {
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty(), "objects are left");
    let open = "SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing')";
    assert_eq!(service.count(open).await, 0);
}

/// Bounds that a test has time for.
fn quick() -> Limits {
    Limits { backoff: Duration::from_millis(1), ..Limits::default() }
}

fn open(settings: &mut Config) {
    source::allow(settings);
    settings.images.show_multiple_locations = true;
}

/// A service that reads from loopback under these bounds.
async fn service(limits: Limits, change: impl FnOnce(&mut Config)) -> Service {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    open(&mut settings);
    change(&mut settings);
    Service::start_limited(database, bucket, settings, limits).await
}

/// Data of a version, which differ from those of others at every place.
fn data(version: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| ((n * 7 + n / 251) as u8).wrapping_add(version)).collect()
}
