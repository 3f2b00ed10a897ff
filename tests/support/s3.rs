//! A bucket of its own for each test on one in-process S3 server, and faults in front of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use s3s::service::S3Service;
use secrecy::SecretString;
use tokio::sync::watch;
use uuid::Uuid;
use vitrine::config;
use vitrine::dev::s3::{S3Server, ServiceError};
use vitrine::dev::{s3, scratch_dir};

use super::PATIENCE;

const ACCESS_KEY: &str = "test-access";
const SECRET_KEY: &str = "test-secret";
const REGION: &str = "us-east-1";

/// Never dropped: it ends with the process, and its directory goes when a later process makes its own.
static SHARED: OnceLock<Shared> = OnceLock::new();

struct Shared {
    root: PathBuf,
    service: S3Service,
    server: S3Server,
}

fn shared() -> &'static Shared {
    SHARED.get_or_init(|| {
        let root = scratch_dir("s3").unwrap();
        let service = s3::service(&root, ACCESS_KEY, SECRET_KEY).unwrap();
        let server = S3Server::start_service(any_port(), service.clone()).unwrap();
        Shared { root, service, server }
    })
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A bucket. Dropping this removes it and its objects.
pub struct TestBucket {
    /// Name of the bucket.
    pub name: String,
    /// URL of the server.
    pub endpoint: String,
}

/// An empty bucket of its own.
pub async fn test_bucket() -> TestBucket {
    let endpoint = shared().server.endpoint();
    let bucket = TestBucket { name: format!("test-{}", Uuid::new_v4()), endpoint };
    bucket.client().create_bucket().bucket(&bucket.name).send().await.unwrap();
    bucket
}

impl TestBucket {
    /// The section `stores.<id>` of the configuration.
    pub fn store(&self) -> config::Store {
        self.store_at(&self.endpoint)
    }

    /// As [`TestBucket::store`], by way of another endpoint: a [`FaultyS3`] or a proxy.
    pub fn store_at(&self, endpoint: &str) -> config::Store {
        config::Store {
            bucket: self.name.clone(),
            endpoint: Some(endpoint.to_owned()),
            region: Some(REGION.to_owned()),
            access_key: Some(SecretString::from(ACCESS_KEY)),
            secret_key: Some(SecretString::from(SECRET_KEY)),
            ..config::Store::default()
        }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        shared().server.address()
    }

    /// A client for a test's own look at the bucket.
    pub fn client(&self) -> Client {
        client_at(&self.endpoint)
    }

    /// All keys, in order.
    pub async fn keys(&self) -> Vec<String> {
        let client = self.client();
        let mut pages = client.list_objects_v2().bucket(&self.name).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        keys
    }

    /// Key and id of every open multipart upload; at most the first thousand.
    pub async fn open_uploads(&self) -> Vec<(String, String)> {
        let list = self.client().list_multipart_uploads().bucket(&self.name).send().await.unwrap();
        let names = |upload: &aws_sdk_s3::types::MultipartUpload| {
            (upload.key().unwrap().to_owned(), upload.upload_id().unwrap().to_owned())
        };
        list.uploads().iter().map(names).collect()
    }

    /// The content under `key`, if there is any.
    pub async fn content(&self, key: &str) -> Option<Vec<u8>> {
        let got = self.client().get_object().bucket(&self.name).key(key).send().await.ok()?;
        Some(got.body.collect().await.unwrap().to_vec())
    }
}

impl Drop for TestBucket {
    fn drop(&mut self) {
        // its files at once: a test's last requests may still be running, and nothing depends on it
        let _ = std::fs::remove_dir_all(shared().root.join(&self.name));
    }
}

/// A client for the endpoint of a [`TestBucket`] or a [`FaultyS3`]; it does not repeat what failed, and is in no hurry:
/// the three seconds that it would give a connection pass on a busy machine.
pub fn client_at(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .endpoint_url(endpoint)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(PATIENCE).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .force_path_style(true);
    Client::from_conf(config.build())
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing special.
    Pass,
    /// It is carried out after this time.
    Delay(Duration),
    /// It is carried out once [`FaultyS3::release`] is called.
    Hold,
    /// It is not carried out; the answer is 500 `InternalError`.
    InternalError,
    /// It is not carried out; the answer is 503 `SlowDown`.
    SlowDown,
    /// It is not carried out; the answer is 403 `AccessDenied`.
    Denied,
    /// It is not carried out; the answer is 507 `InsufficientStorage`.
    Full,
    /// It is not carried out, and the connection closes without an answer.
    Reset,
    /// It is not carried out, and there is never an answer.
    Hang,
    /// It is carried out, and the connection closes without an answer.
    LoseAnswer,
    /// It is carried out, and the connection closes after so many bytes of the answer's body.
    Truncate(usize),
    /// It is not carried out; the answer is 200 with an error in its body, as for `CompleteMultipartUpload`.
    ErrorInOk,
}

/// One request, as the decision about it sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Number of the request at this server, from 0.
    pub number: u64,
    /// Name of the S3 operation.
    pub operation: &'static str,
    /// Path and query.
    pub target: String,
}

type Decide = dyn Fn(&Call) -> Fault + Send + Sync;

/// An endpoint with the same buckets that does to every request what was decided for it.
pub struct FaultyS3 {
    /// URL of the endpoint.
    pub endpoint: String,
    calls: Arc<Mutex<Vec<(Call, Fault)>>>,
    gate: Arc<Gate>,
    _server: S3Server,
}

/// Where requests are held.
#[derive(Default)]
struct Gate {
    open: watch::Sender<bool>,
    held: watch::Sender<usize>,
}

/// One request that is held, until it is carried out or its connection closes.
struct Held(Arc<Gate>);

impl Held {
    async fn pass(gate: &Arc<Gate>) -> Self {
        gate.held.send_modify(|held| *held += 1);
        let held = Self(Arc::clone(gate));
        gate.open.subscribe().wait_for(|open| *open).await.expect("the gate lives as long as what it holds");
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.send_modify(|held| *held -= 1);
    }
}

impl FaultyS3 {
    /// `decide` is asked once for every request, in the order of arrival.
    pub fn start(decide: impl Fn(&Call) -> Fault + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Gate::default());
        let layer = Layer {
            inner: shared().service.clone(),
            decide: Arc::new(decide),
            next: Arc::new(AtomicU64::new(0)),
            calls: Arc::clone(&calls),
            gate: Arc::clone(&gate),
        };
        let server = S3Server::start_service(any_port(), layer).unwrap();
        Self { endpoint: server.endpoint(), calls, gate, _server: server }
    }

    /// One of `faults` for about one request in `one_in`; which ones depends on the seed and their numbers alone.
    pub fn random(seed: u64, one_in: u32, faults: &'static [Fault]) -> Self {
        Self::start(move |call| {
            let mut random = StdRng::seed_from_u64(seed.rotate_left(32) ^ call.number);
            if random.random_ratio(1, one_in) {
                faults[random.random_range(0..faults.len())]
            } else {
                Fault::Pass
            }
        })
    }

    /// `fault` for the request number `nth`, from 0, among those of one operation.
    pub fn nth(operation: &'static str, nth: usize, fault: Fault) -> Self {
        let seen = Mutex::new(0);
        Self::start(move |call| {
            if call.operation != operation {
                return Fault::Pass;
            }
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            if *seen == nth + 1 { fault } else { Fault::Pass }
        })
    }

    /// Lets every request pass that is held or comes to be; returns when those that were held are carried out.
    pub async fn release(&self) {
        self.gate.open.send_replace(true);
        self.gate.held.subscribe().wait_for(|held| *held == 0).await.unwrap();
    }

    /// Every request so far and what was done to it.
    pub fn calls(&self) -> Vec<(Call, Fault)> {
        self.calls.lock().unwrap().clone()
    }

    /// How many requests of one operation came so far.
    pub fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(call, _)| call.operation == operation).count()
    }
}

#[derive(Clone)]
struct Layer {
    inner: S3Service,
    decide: Arc<Decide>,
    next: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<(Call, Fault)>>>,
    gate: Arc<Gate>,
}

type AnyBody = UnsyncBoxBody<Bytes, ServiceError>;

impl Service<Request<Incoming>> for Layer {
    type Response = Response<AnyBody>;
    type Error = ServiceError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let call = Call {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            operation: operation(&request),
            target: request.uri().to_string(),
        };
        let fault = (self.decide)(&call);
        self.calls.lock().unwrap().push((call, fault));
        let inner = self.inner.clone();
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let _held = if fault == Fault::Hold { Some(Held::pass(&gate).await) } else { None };
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::Hang => std::future::pending().await,
                Fault::Reset => return Err("reset".into()),
                Fault::InternalError => {
                    return refuse(request, StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await;
                }
                Fault::SlowDown => return refuse(request, StatusCode::SERVICE_UNAVAILABLE, "SlowDown").await,
                Fault::Denied => return refuse(request, StatusCode::FORBIDDEN, "AccessDenied").await,
                Fault::Full => {
                    return refuse(request, StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage").await;
                }
                Fault::ErrorInOk => return refuse(request, StatusCode::OK, "InternalError").await,
                Fault::Pass | Fault::Hold | Fault::LoseAnswer | Fault::Truncate(_) => {}
            }
            let response = Service::call(&inner, request).await.map_err(ServiceError::from)?;
            match fault {
                Fault::LoseAnswer => {
                    // some operations end with the last byte of their answer
                    let _ = response.into_body().collect().await;
                    Err("answer lost".into())
                }
                Fault::Truncate(left) => {
                    Ok(response.map(|body| Truncated { body, left, flushed: false }.boxed_unsync()))
                }
                _ => Ok(response.map(|body| body.map_err(ServiceError::from).boxed_unsync())),
            }
        })
    }
}

/// Reads the request to its end, as a server does that wants its answer to be seen.
async fn refuse(
    request: Request<Incoming>,
    status: StatusCode,
    code: &str,
) -> Result<Response<AnyBody>, ServiceError> {
    let mut body = request.into_body();
    while body.frame().await.transpose()?.is_some() {}
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>fault</Message></Error>"
    );
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let response = Response::builder().status(status).header("content-type", "application/xml");
    Ok(response.body(body)?)
}

fn operation(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name);
    let in_bucket = request.uri().path().trim_matches('/').contains('/');
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (request.method(), in_bucket) {
        (&Method::PUT, true) if has("partNumber") && copies => "UploadPartCopy",
        (&Method::PUT, true) if has("partNumber") => "UploadPart",
        (&Method::PUT, true) if copies => "CopyObject",
        (&Method::PUT, true) => "PutObject",
        (&Method::PUT, false) => "CreateBucket",
        (&Method::POST, true) if has("uploads") => "CreateMultipartUpload",
        (&Method::POST, true) if has("uploadId") => "CompleteMultipartUpload",
        (&Method::POST, false) if has("delete") => "DeleteObjects",
        (&Method::DELETE, true) if has("uploadId") => "AbortMultipartUpload",
        (&Method::DELETE, true) => "DeleteObject",
        (&Method::GET, true) if has("uploadId") => "ListParts",
        (&Method::GET, true) => "GetObject",
        (&Method::GET, false) if has("uploads") => "ListMultipartUploads",
        (&Method::GET, false) if has("list-type") => "ListObjectsV2",
        (&Method::HEAD, true) => "HeadObject",
        (&Method::HEAD, false) => "HeadBucket",
        _ => "other",
    }
}

/// A body that fails once `left` bytes are sent.
struct Truncated {
    body: s3s::Body,
    left: usize,
    flushed: bool,
}

impl Body for Truncated {
    type Data = Bytes;
    type Error = ServiceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServiceError>>> {
        if self.left == 0 && !self.flushed {
            // an error takes along what is not sent yet, and it is sent when there is nothing to add to it
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(Some(Err("truncated".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map(|frame| {
            let data = frame?.map(|frame| frame.into_data().unwrap_or_default());
            Some(data.map(|mut data| {
                data.truncate(self.left);
                self.left -= data.len();
                Frame::data(data)
            }))
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

mod tests {
    use super::*;

    async fn put(endpoint: &str, bucket: &TestBucket, key: &str) -> bool {
        let body = Bytes::from_static(b"0123456789").into();
        client_at(endpoint).put_object().bucket(&bucket.name).key(key).body(body).send().await.is_ok()
    }

    #[tokio::test]
    async fn faults_do_what_they_say() {
        let bucket = test_bucket().await;
        for (fault, exists) in [
            (Fault::Reset, false),
            (Fault::InternalError, false),
            (Fault::SlowDown, false),
            (Fault::LoseAnswer, true),
        ] {
            let faulty = FaultyS3::nth("PutObject", 1, fault);
            assert!(put(&faulty.endpoint, &bucket, "before").await);
            let key = format!("{fault:?}");
            assert!(!put(&faulty.endpoint, &bucket, &key).await, "{fault:?}");
            assert_eq!(bucket.content(&key).await.is_some(), exists, "{fault:?}");
            assert!(put(&faulty.endpoint, &bucket, "after").await);
            assert_eq!(faulty.count("PutObject"), 3);
        }
        let faulty = FaultyS3::nth("GetObject", 0, Fault::Truncate(4));
        let got =
            client_at(&faulty.endpoint).get_object().bucket(&bucket.name).key("after").send().await.unwrap();
        assert_eq!(got.content_length(), Some(10));
        assert!(got.body.collect().await.is_err());
        assert_eq!(bucket.content("after").await.unwrap(), b"0123456789");
    }

    #[tokio::test]
    async fn an_error_in_a_200_is_an_error_to_the_client() {
        let bucket = test_bucket().await;
        let faulty = FaultyS3::nth("CompleteMultipartUpload", 0, Fault::ErrorInOk);
        let client = client_at(&faulty.endpoint);
        let started = client.create_multipart_upload().bucket(&bucket.name).key("k").send().await.unwrap();
        let complete = client.complete_multipart_upload().bucket(&bucket.name).key("k");
        assert!(complete.upload_id(started.upload_id().unwrap()).send().await.is_err());
        assert_eq!(bucket.open_uploads().await.len(), 1);
        assert!(bucket.keys().await.is_empty());
    }

    #[tokio::test]
    async fn one_seed_fails_the_same_requests() {
        let bucket = test_bucket().await;
        let mut runs = Vec::new();
        for seed in [3, 3, 4] {
            let faulty = FaultyS3::random(seed, 2, &[Fault::SlowDown, Fault::Reset]);
            for number in 0..12 {
                put(&faulty.endpoint, &bucket, &number.to_string()).await;
            }
            runs.push(faulty.calls().into_iter().map(|(_, fault)| fault).collect::<Vec<_>>());
        }
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }
}
