//! The whole service in this process, behind a real listener, and requests to it byte for byte.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use vitrine::app::App;
use vitrine::config::{self, Config};
use vitrine::fetch;
use vitrine::flows::Flows;
use vitrine::http::serve;
use vitrine::telemetry::metrics;

use super::db::{TestDatabase, test_database};
use super::file::ScratchFile;
use super::s3::{FaultyS3, TestBucket, test_bucket};
use super::{PATIENCE, config as default_config};

/// Owner of most images, in project `alpha`.
pub const OWNER: &str = "olga:alpha:member";
/// A user of another project, `beta`.
pub const OTHER: &str = "otto:beta:member";
/// A user of a third project, `gamma`.
pub const THIRD: &str = "thea:gamma:member";
/// An administrator in a project of its own, `delta`.
pub const ADMIN: &str = "adam:delta:admin";
/// An administrator without a project.
pub const ROOT: &str = "rosa:none:admin";
/// A user without a project.
pub const LONELY: &str = "luis:none:member";

/// Media type of image data.
pub const OCTETS: &str = "application/octet-stream";

/// A running service with a database and a bucket of its own. Dropping it stops it.
pub struct Service {
    /// Address of the Images API.
    pub address: SocketAddr,
    /// The use cases, to call what has no route.
    pub flows: Flows,
    /// Its database.
    pub database: TestDatabase,
    /// Its bucket.
    pub bucket: TestBucket,
    _stop: DropGuard,
}

impl Service {
    /// A service with default settings and identity mode `none`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A service with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (database, bucket) = (test_database().await, test_bucket().await);
        let mut settings = default_config(&database, &bucket);
        change(&mut settings);
        Self::start_over(database, bucket, settings).await
    }

    /// A service with two stores: `main`, the default, and `second`, which weighs more; and the bucket of the second.
    pub async fn start_with_two_stores(change: impl FnOnce(&mut Config)) -> (Self, TestBucket) {
        let second = test_bucket().await;
        let store = config::Store { weight: 5, ..second.store() };
        let service = Self::start_with(|settings| {
            settings.stores.insert("second".to_owned(), store);
            change(settings);
        });
        (service.await, second)
    }

    /// Makes a copy of the data of an active image in the second store, as an import would.
    pub async fn copy_to_second(&self, second: &TestBucket, id: &str) {
        let (id, copy): (Uuid, Uuid) = (id.parse().unwrap(), Uuid::new_v4());
        let database = self.database.client().await;
        let find = "SELECT key FROM blobs WHERE image_id = $1 AND state = 'live' AND store = 'main'";
        let key: String = database.query_one(find, &[&id]).await.unwrap().get(0);
        let data = self.bucket.content(&key).await.unwrap();
        let key = format!("images/{id}/{copy}");
        let put = second.client().put_object().bucket(&second.name).key(&key).body(data.into());
        let etag = put.send().await.unwrap().e_tag().unwrap().to_owned();
        let insert = "INSERT INTO blobs (id, image_id, owner, store, key, state, size, etag, on_failure, created_at) \
                      SELECT $2, image_id, owner, 'second', $3, state, size, $4, on_failure, now() FROM blobs \
                      WHERE image_id = $1 AND store = 'main' AND state = 'live'";
        assert_eq!(database.execute(insert, &[&id, &copy, &key, &etag]).await.unwrap(), 1);
    }

    /// A service whose store is reached by way of `faulty`.
    pub async fn start_faulty(faulty: &FaultyS3) -> Self {
        let (database, bucket) = (test_database().await, test_bucket().await);
        let mut settings = default_config(&database, &bucket);
        settings.stores.insert("main".to_owned(), bucket.store_at(&faulty.endpoint));
        Self::start_over(database, bucket, settings).await
    }

    /// A service with these rules in its policy file, in JSON.
    pub async fn start_with_rules(rules: &Value) -> Self {
        let file = ScratchFile::new("policy.json", &rules.to_string());
        Self::start_with(|settings| settings.policy.file = Some(file.path.clone())).await
    }

    /// A service over a database and a bucket that exist, perhaps with faults in between.
    pub async fn start_over(database: TestDatabase, bucket: TestBucket, settings: Config) -> Self {
        Self::start_limited(database, bucket, settings, fetch::Limits::default()).await
    }

    /// As [`Service::start_over`], with other bounds on sources than a test has time for.
    pub async fn start_limited(
        database: TestDatabase,
        bucket: TestBucket,
        settings: Config,
        sources: fetch::Limits,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = serve::Limits::from(&settings.server);
        let runs_jobs = settings.jobs.enabled;
        let app = Box::pin(App::build_with_limits(settings, metrics::local().0, sources)).await.unwrap();
        let stop = CancellationToken::new();
        if runs_jobs {
            app.start_jobs(&stop);
        }
        let tracker = TaskTracker::new();
        tracker.spawn(serve::serve(listener, app.router(), limits, stop.clone(), tracker.clone()));
        Self { address, flows: app.flows.clone(), database, bucket, _stop: stop.drop_guard() }
    }

    /// A request by nobody in particular; see [`Request::by`].
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::to(self.address, method, path)
    }

    /// `GET path`
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// `HEAD path`
    pub fn head(&self, path: &str) -> Request {
        self.request("HEAD", path)
    }

    /// `POST path`
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// `PUT path`
    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    /// `DELETE path`
    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path)
    }

    /// Creates a v1 image that must succeed; formats come along with data. Returns the image of the answer.
    pub async fn image(&self, caller: &str, data: Option<&[u8]>, meta: &[(&str, &str)]) -> Value {
        let mut request = self.post("/v1/images").by(caller);
        for (name, value) in meta {
            request = request.meta(name, value);
        }
        if let Some(data) = data {
            if !meta.iter().any(|(name, _)| *name == "disk_format") {
                request = request.meta("disk_format", "raw").meta("container_format", "bare");
            }
            request = request.data(data);
        }
        request.send().await.expect(201).image()
    }

    /// Id of an image as [`Service::image`] makes it.
    pub async fn image_id(&self, caller: &str, data: Option<&[u8]>, meta: &[(&str, &str)]) -> String {
        self.image(caller, data, meta).await["id"].as_str().unwrap().to_owned()
    }

    /// Status of an image, as an administrator sees it.
    pub async fn status(&self, id: &str) -> String {
        let answer = self.head(&format!("/v1/images/{id}")).by(ADMIN).send().await.expect(200);
        answer.header("x-image-meta-status").unwrap()
    }

    /// The metadata headers of an image as an administrator sees them: equal as long as nothing changed.
    pub async fn snapshot(&self, id: &str) -> Vec<(String, Vec<u8>)> {
        let answer = self.head(&format!("/v1/images/{id}")).by(ADMIN).send().await.expect(200);
        let mut headers = answer.headers;
        headers.retain(|(name, _)| name.to_ascii_lowercase().starts_with("x-image-meta-"));
        headers.sort();
        headers
    }

    /// The number that a query on the database gives.
    pub async fn count(&self, sql: &str) -> i64 {
        self.database.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Ids of a list in its order.
    pub async fn ids(&self, caller: &str, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/images?{query}")).by(caller).send().await.expect(200);
        let images = answer.json()["images"].as_array().unwrap().clone();
        images.iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that a list has exactly these images, in any order.
    pub async fn assert_lists(&self, caller: &str, query: &str, expected: &[&String]) {
        let mut found = self.ids(caller, query).await;
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).clone()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "list of {caller} with {query:?}");
    }

    /// Adds a member, or sets its `can_share` where that is given; must succeed.
    pub async fn share(&self, id: &str, caller: &str, member: &str, can_share: Option<bool>) {
        let mut request = self.put(&format!("/v1/images/{id}/members/{member}")).by(caller);
        if let Some(can_share) = can_share {
            request = request.json(&json!({"member": {"can_share": can_share}}));
        }
        request.send().await.expect(204);
    }

    /// Members of an image with their `can_share`, in the order of the answer.
    pub async fn members(&self, id: &str, caller: &str) -> Vec<(String, bool)> {
        let answer = self.get(&format!("/v1/images/{id}/members")).by(caller).send().await.expect(200);
        let members = answer.json()["members"].as_array().unwrap().clone();
        let entry =
            |m: &Value| (m["member_id"].as_str().unwrap().to_owned(), m["can_share"].as_bool().unwrap());
        members.iter().map(entry).collect()
    }

    /// Everything the database holds about an image and its members, to tell whether a request changed anything;
    /// null where there is no such image.
    pub async fn record(&self, id: &str) -> Value {
        let sql = "SELECT to_jsonb(i) || jsonb_build_object('members', coalesce((SELECT jsonb_agg(to_jsonb(m) ORDER BY \
                   m.seq) FROM image_members AS m WHERE m.image_id = i.id), '[]')) FROM images AS i WHERE i.id = $1";
        let id: Uuid = id.parse().unwrap();
        let row = self.database.client().await.query_opt(sql, &[&id]).await.unwrap();
        row.map_or(Value::Null, |row| row.get(0))
    }

    /// Number of image records of any status.
    pub async fn count_images(&self) -> i64 {
        let client = self.database.client().await;
        client.query_one("SELECT count(*) FROM images", &[]).await.unwrap().get(0)
    }

    /// Runs statements on the database behind the back of the service, for what has no route.
    pub async fn sql(&self, statement: &str) {
        self.database.client().await.batch_execute(statement).await.unwrap();
    }

    /// Asserts invariant I of hardening.md §3 for the present moment, after a sweep: live rows = objects, nothing in
    /// a transient state, no upload left open.
    pub async fn assert_settled(&self) {
        self.flows.sweep().await.unwrap();
        let client = self.database.client().await;
        let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
        let unsettled = "SELECT count(*) FROM blobs WHERE state IN ('writing', 'garbage')";
        assert_eq!(count(unsettled).await, 0, "rows that are neither live nor removed");
        let transient = "SELECT count(*) FROM images WHERE status IN ('saving', 'uploading', 'importing')";
        assert_eq!(count(transient).await, 0, "images in a transient state");
        let rows =
            client.query("SELECT key FROM blobs WHERE state = 'live' ORDER BY key", &[]).await.unwrap();
        let live: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(self.bucket.keys().await, live, "objects and live rows");
        assert!(self.bucket.open_uploads().await.is_empty(), "multipart uploads are left");
    }
}

/// A new image id.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}

enum Body {
    None,
    Whole(Vec<u8>),
    Chunked(Vec<u8>),
}

/// A request being put together.
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

impl Request {
    /// A request to any server, such as [`super::server::Server`].
    pub fn to(address: SocketAddr, method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { address, method, path, headers: Vec::new(), body: Body::None }
    }

    /// As a caller, `user:project:role[,role]`.
    pub fn by(self, caller: &str) -> Self {
        self.header("X-Auth-Token", caller)
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With the header `x-image-meta-<name>`.
    pub fn meta(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.header(&format!("x-image-meta-{name}"), value)
    }

    /// With the formats that data need.
    pub fn formats(self) -> Self {
        self.meta("disk_format", "raw").meta("container_format", "bare")
    }

    /// With the announcement of `length` bytes of image data, which the test writes to the open exchange.
    pub fn announcing(self, length: usize) -> Self {
        self.header("Content-Type", OCTETS).header("Content-Length", length.to_string())
    }

    /// With the announcement of image data in chunks, which the test writes to the open exchange.
    pub fn announcing_chunks(self) -> Self {
        self.header("Content-Type", OCTETS).header("Transfer-Encoding", "chunked")
    }

    /// With image data of known length.
    pub fn data(self, data: impl AsRef<[u8]>) -> Self {
        self.header("Content-Type", OCTETS).body(data)
    }

    /// With a body of known length.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Body::Whole(body.as_ref().to_vec());
        self
    }

    /// With image data in chunks.
    pub fn chunked(mut self, data: impl AsRef<[u8]>) -> Self {
        self.body = Body::Chunked(data.as_ref().to_vec());
        self.header("Content-Type", OCTETS)
    }

    /// With a JSON body.
    pub fn json(self, document: &Value) -> Self {
        self.header("Content-Type", "application/json").body(document.to_string())
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        let given = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut line = |name: &str, value: &[u8]| {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        };
        if !given("Host") {
            line("Host", self.address.to_string().as_bytes());
        }
        if !given("Connection") {
            line("Connection", b"close");
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        match &self.body {
            Body::Chunked(_) => line("Transfer-Encoding", b"chunked"),
            Body::Whole(body) if !given("Content-Length") => {
                line("Content-Length", body.len().to_string().as_bytes());
            }
            // a test that says how the body comes writes it by itself
            Body::None
                if matches!(self.method.as_str(), "POST" | "PUT")
                    && !given("Content-Length")
                    && !given("Transfer-Encoding") =>
            {
                line("Content-Length", b"0");
            }
            _ => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Sends the head and whatever body there is, and leaves the rest to the test.
    pub async fn open(self) -> Exchange {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&self.head()).await.unwrap();
        let body = match &self.body {
            Body::None => Vec::new(),
            Body::Whole(body) => body.clone(),
            Body::Chunked(data) => chunks(data),
        };
        // a server that refuses early may close before it has read everything
        let _ = stream.write_all(&body).await;
        Exchange { stream }
    }

    /// Sends everything and reads the answer.
    pub async fn send(self) -> Answer {
        self.open().await.answer().await
    }
}

fn chunks(data: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in data.chunks(65_536) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

/// A connection on which a request is under way.
pub struct Exchange {
    stream: TcpStream,
}

impl Exchange {
    /// Sends more of the body.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends more of the body to a server that may have refused it already.
    pub async fn write_lossy(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Ends the sending half; the answer can still be read.
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads one head, up to its empty line, such as an interim answer.
    pub async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.stream.read_u8().await.unwrap());
            }
        };
        timeout(PATIENCE, read).await.expect("no head in time");
        String::from_utf8(head).unwrap()
    }

    /// Reads until the server closes.
    pub async fn answer(mut self) -> Answer {
        let mut wire = Vec::new();
        let read = self.stream.read_to_end(&mut wire);
        // a reset after the answer is a way to end it
        let _ = timeout(PATIENCE, read).await.expect("no answer in time");
        Answer::parse(&wire)
    }
}

/// A response as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code; 0 where the connection ended without an answer.
    pub status: u16,
    /// Header fields in their order, names as capitalised on the wire.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body as far as it came.
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(wire: &[u8]) -> Self {
        let nothing = Self { status: 0, headers: Vec::new(), body: Vec::new() };
        let Some(end) = wire.windows(4).position(|w| w == b"\r\n\r\n") else { return nothing };
        let mut lines = wire[..end].split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
        let status = lines.next().unwrap()[9..12].to_vec();
        let status: u16 = String::from_utf8(status).unwrap().parse().unwrap();
        if status == 100 {
            return Self::parse(&wire[end + 4..]);
        }
        let headers = lines.map(|line| {
            let colon = line.iter().position(|b| *b == b':').unwrap();
            (String::from_utf8(line[..colon].to_vec()).unwrap(), line[colon + 1..].trim_ascii().to_vec())
        });
        Self { status, headers: headers.collect(), body: wire[end + 4..].to_vec() }
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The answer, which must have this status and say these words.
    #[track_caller]
    pub fn expect_text(self, status: u16, words: &str) -> Self {
        let answer = self.expect(status);
        assert!(answer.text().contains(words), "without {words:?}: {}", answer.text());
        answer
    }

    /// Value of a header, whatever its capitalisation.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Value of a header whose name stands on the wire in exactly this capitalisation.
    pub fn exact(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Value of the header `x-image-meta-<name>`.
    pub fn meta(&self, name: &str) -> Option<String> {
        self.header(&format!("x-image-meta-{name}"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The member `image` of the body.
    #[track_caller]
    pub fn image(&self) -> Value {
        let document = self.json();
        assert!(document["image"].is_object(), "no image: {document}");
        document["image"].clone()
    }

    /// The body as text, entities of HTML resolved.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text =
            text.replace("&#x27;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
        text.replace("&amp;", "&")
    }
}
