//! An S3 server whose answers can be spoilt, call by call.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::Service;
use s3s::service::S3Service;

use crate::dev::s3::{S3Server, ServiceError, service};

pub(super) const ACCESS_KEY: &str = "canary-access-key";
pub(super) const SECRET_KEY: &str = "canary-secret-key";

type Body = UnsyncBoxBody<Bytes, ServiceError>;

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Refused with this status and code; the store never sees the call.
    Refuse(u16, &'static str),
    /// The connection breaks before the store sees the call.
    Reset,
    /// The store carries the call out, and the connection breaks before the answer.
    LostAnswer,
    /// Status 200 with an error in the body; the store never sees the call.
    ErrorInside(&'static str),
    /// The body breaks off after so many bytes.
    Truncate(usize),
    /// The body is chunked and ends properly after so many bytes.
    EndEarly(usize),
    /// The body is chunked and longer by this.
    Append(&'static str),
    /// Another answer altogether.
    Answer(String),
}

/// Chooses the fault of a call by its operation and its number.
type Plan = Box<dyn FnMut(&str, usize) -> Option<Fault> + Send>;

/// A server with faults, gone with all its data when dropped.
pub(super) struct FaultyS3 {
    pub(super) server: S3Server,
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

struct State {
    plan: Plan,
    calls: Vec<Call>,
}

/// A call the server got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) payload: String,
}

impl FaultyS3 {
    pub(super) fn start() -> Self {
        let root = std::env::temp_dir().join(format!("vitrine-blobs-{}", uuid::Uuid::new_v4()));
        let state = Arc::new(Mutex::new(State { plan: Box::new(|_, _| None), calls: Vec::new() }));
        let inner = service(&root, ACCESS_KEY, SECRET_KEY).unwrap();
        let faulty = Faulty { inner, state: Arc::clone(&state) };
        let server = S3Server::start_service(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), faulty).unwrap();
        Self { server, root, state }
    }

    /// Spoils calls from now on as `plan` says; it gets the operation and how often that was called since.
    pub(super) fn plan(&self, plan: impl FnMut(&str, usize) -> Option<Fault> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.calls.clear();
        state.plan = Box::new(plan);
    }

    /// Spoils the first `times` calls of one operation.
    pub(super) fn spoil(&self, operation: &'static str, times: usize, fault: Fault) {
        self.plan(move |called, n| (called == operation && n <= times).then(|| fault.clone()));
    }

    /// Calls since the last plan.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How often an operation was called since the last plan.
    pub(super) fn count(&self, operation: &str) -> usize {
        self.calls().iter().filter(|call| call.operation == operation).count()
    }
}

impl Drop for FaultyS3 {
    fn drop(&mut self) {
        self.server.stop();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

#[derive(Clone)]
struct Faulty {
    inner: S3Service,
    state: Arc<Mutex<State>>,
}

impl Service<Request<Incoming>> for Faulty {
    type Response = Response<Body>;
    type Error = ServiceError;
    type Future = BoxFuture<'static, Result<Response<Body>, ServiceError>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let operation = operation(&request);
        let payload = request.headers().get("x-amz-content-sha256").map_or("", |v| v.to_str().unwrap());
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(Call { operation, payload: payload.to_owned() });
            let number = state.calls.iter().filter(|call| call.operation == operation).count();
            (state.plan)(operation, number)
        };
        let inner = self.inner.clone();
        Box::pin(async move {
            match fault {
                None => Ok(inner
                    .call(request.map(s3s::Body::from))
                    .await
                    .map_err(|e| format!("{e:?}"))?
                    .map(boxed)),
                Some(fault) => spoilt(&inner, request, fault).await,
            }
        })
    }
}

fn operation(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let copies = request.headers().contains_key("x-amz-copy-source");
    let in_bucket = request.uri().path().trim_matches('/').contains('/');
    match *request.method() {
        Method::PUT if has("partNumber") && copies => "UploadPartCopy",
        Method::PUT if in_bucket && copies => "CopyObject",
        Method::PUT if has("partNumber") => "UploadPart",
        Method::PUT if in_bucket => "PutObject",
        Method::PUT => "CreateBucket",
        Method::POST if has("uploads") => "CreateMultipartUpload",
        Method::POST if has("uploadId") => "CompleteMultipartUpload",
        Method::DELETE if has("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        Method::HEAD if in_bucket => "HeadObject",
        Method::HEAD => "HeadBucket",
        Method::GET if has("uploadId") => "ListParts",
        Method::GET if has("uploads") => "ListMultipartUploads",
        Method::GET if in_bucket => "GetObject",
        _ => "ListObjectsV2",
    }
}

async fn spoilt(
    inner: &S3Service,
    request: Request<Incoming>,
    fault: Fault,
) -> Result<Response<Body>, ServiceError> {
    match fault {
        Fault::Reset => return Err("reset".into()),
        Fault::Refuse(status, code) => {
            request.into_body().collect().await?;
            let mut response = text(error_document(code));
            *response.status_mut() = StatusCode::from_u16(status)?;
            return Ok(response);
        }
        Fault::ErrorInside(code) => {
            request.into_body().collect().await?;
            return Ok(text(error_document(code)));
        }
        Fault::Answer(document) => return Ok(text(document)),
        _ => {}
    }
    let response = inner.call(request.map(s3s::Body::from)).await.map_err(|e| format!("{e:?}"))?;
    let (mut parts, body) = response.into_parts();
    let body = BodyExt::collect(body).await.map_err(|e| format!("{e:?}"))?.to_bytes();
    let pieces: Vec<Result<Frame<Bytes>, ServiceError>> = match fault {
        Fault::Truncate(length) => {
            parts.headers.insert("content-length", body.len().into());
            vec![Ok(Frame::data(body.slice(..length.min(body.len())))), Err("cut".into())]
        }
        Fault::EndEarly(length) => {
            parts.headers.remove("content-length");
            vec![Ok(Frame::data(body.slice(..length.min(body.len()))))]
        }
        Fault::Append(more) => {
            parts.headers.remove("content-length");
            vec![Ok(Frame::data(body)), Ok(Frame::data(Bytes::from_static(more.as_bytes())))]
        }
        _ => return Err("answer lost".into()),
    };
    let pieces = stream::iter(pieces).then(|piece| async {
        if piece.is_err() {
            // lets the server send what it has before the connection breaks
            tokio::task::yield_now().await;
        }
        piece
    });
    Ok(Response::from_parts(parts, StreamBody::new(pieces).boxed_unsync()))
}

fn error_document(code: &str) -> String {
    let mut document = String::new();
    // what stores quote in answers to wrong signatures must not reach a log
    let quoted =
        format!("<AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><StringToSign>{SECRET_KEY}</StringToSign>");
    write!(
        document,
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message>{quoted}</Error>"
    )
    .unwrap();
    document
}

fn text(document: String) -> Response<Body> {
    let body = Full::new(Bytes::from(document)).map_err(|never| match never {}).boxed_unsync();
    Response::builder().header("content-type", "application/xml").body(body).unwrap()
}

fn boxed(body: s3s::Body) -> Body {
    body.map_err(|error| format!("{error:?}").into()).boxed_unsync()
}
