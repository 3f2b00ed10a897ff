//! An S3 server in this process, with its data in plain files.
//!
//! It answers as real stores do where an image service relies on it: objects appear whole or not at all,
//! completing an upload checks every part, deleting what is absent succeeds, and unknown uploads are
//! `NoSuchUpload`. Objects and open multipart uploads survive a restart. Requests must be signed.

mod api;
mod conditions;
mod content;
mod copies;
mod files;

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use api::Api;
use files::Files;

/// Longest wait for a request head on an open connection.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for running file operations when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A boxed error of a connection's service; it closes the connection without an answer.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync>;

/// A running server, on a thread of its own. Dropping it stops the server.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Serves the data under `root` at `address`, port 0 meaning a free one, to clients that sign with this key.
    ///
    /// # Errors
    /// When `root` cannot be used or the address is taken.
    pub fn start(
        root: &Path,
        address: SocketAddr,
        access_key: &str,
        secret_key: &str,
    ) -> anyhow::Result<Self> {
        Self::start_service(address, service(root, access_key, secret_key)?)
    }

    /// Serves `service` at `address`; for tests that put faults in front of [`service`].
    ///
    /// # Errors
    /// When the address is taken.
    pub fn start_service<S, B>(address: SocketAddr, service: S) -> anyhow::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<ServiceError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<ServiceError>,
    {
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("cannot serve S3 at {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3")
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("s3".to_owned()).spawn(move || {
            runtime.block_on(async {
                // the listener registers with this runtime, not with the caller's
                if let Ok(listener) = TcpListener::from_std(listener) {
                    serve(listener, service, stopped).await;
                }
            });
            runtime.shutdown_timeout(STOP_LIMIT);
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// URL of the server.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections and waits for the end of what is being written to disk.
    pub fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The S3 service over the data under `root`; at most one may use a directory at a time.
///
/// # Errors
/// When `root` cannot be used.
pub fn service(root: &Path, access_key: &str, secret_key: &str) -> anyhow::Result<S3Service> {
    Ok(builder(root, access_key, secret_key)?.build())
}

/// As [`service`], with these operations open to who signs nothing; for tests of what is said about such buckets.
///
/// # Errors
/// As [`service`].
pub fn open_service(
    root: &Path,
    access_key: &str,
    secret_key: &str,
    operations: &'static [&'static str],
) -> anyhow::Result<S3Service> {
    let mut builder = builder(root, access_key, secret_key)?;
    builder.set_access(OpenTo { operations });
    Ok(builder.build())
}

struct OpenTo {
    operations: &'static [&'static str],
}

#[async_trait::async_trait]
impl S3Access for OpenTo {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        match request.credentials() {
            None if !self.operations.contains(&request.s3_op().name()) => {
                Err(s3_error!(AccessDenied, "Signature is required"))
            }
            _ => Ok(()),
        }
    }
}

fn builder(root: &Path, access_key: &str, secret_key: &str) -> anyhow::Result<S3ServiceBuilder> {
    let files = Files::open(root).with_context(|| format!("cannot keep objects in {}", root.display()))?;
    let mut builder = S3ServiceBuilder::new(Api::new(files));
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
    Ok(builder)
}

async fn serve<S, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<ServiceError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<ServiceError>,
{
    let connections = TaskTracker::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let connection = http.serve_connection(TokioIo::new(stream), service.clone());
                // a failed connection is the client's to report
                connections.spawn(async move { _ = connection.await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an S3 connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
