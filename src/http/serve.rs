//! The listener: accepts connections, limits what each may cost, and drains them at the end.
//!
//! HTTP/1.1 only (A50). Response headers are written in title case because v1 clients look for
//! `X-Image-Meta-Is_public` in exactly that spelling. Heads the library cannot read are answered by the library
//! itself: 400, 414 or 431, and the connection is closed.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::wire::{Exchange, Running, Wire};
use crate::config;

/// An image may have 128 properties, each a header in v1; the library's own limit of 100 is too low.
const MAX_HEADERS: usize = 256;
/// Bytes of a request's whole head.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of one header, as in the reference.
const MAX_HEADER: usize = 16 * 1024;
/// Connections of one listener where the system allows as many files.
const MAX_CONNECTIONS: usize = 10_000;
/// Longest pause after a failure to accept.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Address of the peer, in the extensions of every request. IPv4 peers of an IPv6 socket appear as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What connections may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request head may take.
    pub header_timeout: Duration,
    /// How long a kept connection may be silent, and a response unread.
    pub idle_timeout: Duration,
    /// How long requests may go on after the listener was told to stop.
    pub drain_timeout: Duration,
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
}

impl From<&config::Server> for Limits {
    fn from(server: &config::Server) -> Self {
        Self {
            header_timeout: server.header_timeout,
            idle_timeout: server.idle_timeout,
            drain_timeout: server.drain_timeout,
            connections: connections(open_files()),
        }
    }
}

/// A quarter of the files stays free for stores, database and everything else.
fn connections(files: Option<usize>) -> usize {
    files.map_or(MAX_CONNECTIONS, |files| (files / 4 * 3).clamp(1, MAX_CONNECTIONS))
}

/// The process's limit of open files, where the system tells.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves `router` on `listener` until `stop` is cancelled, then drains: idle connections are closed at once,
/// requests may finish within `limits.drain_timeout`, what is left is aborted. Returns when no connection is left.
/// Connections run on `tracker`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    while let Some((socket, peer, slot)) = stop.run_until_cancelled(accept(&listener, &slots)).await {
        tracker.spawn(connection(socket, peer, router.clone(), limits, stop.clone(), slot));
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // each connection watches its own end; this bound is for those that cannot be woken
    let bound = limits.drain_timeout + Duration::from_secs(1);
    if timeout(bound, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were left at the end of the drain");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let slot = loop {
        match Arc::clone(slots).acquire_owned().await {
            Ok(slot) => break slot,
            // never closed; waiting for the stop is all there would be to do
            Err(_) => std::future::pending().await,
        }
    };
    let mut pause = Duration::from_millis(50);
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, slot),
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    // without it small answers wait for acknowledgements; where it cannot be set they do
    let _ = socket.set_nodelay(true);
    let peer = Peer(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let exchange = Arc::new(Exchange::default());
    let wire = Wire::new(socket, Arc::clone(&exchange), limits.header_timeout, limits.idle_timeout);
    let service = service_fn(move |request| answer(request, peer, router.clone(), &exchange));
    let mut connection = pin!(protocol(limits).serve_connection(TokioIo::new(wire), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits.drain_timeout, connection).await {
                Ok(ended) => ended,
                Err(_) => {
                    tracing::warn!("a request was cut off at the end of the drain");
                    Ok(())
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %crate::error::Chain(&error), "a connection broke");
    }
}

fn protocol(limits: Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        // the wire is stricter; this holds where it cannot tell where a head begins
        .header_read_timeout(limits.header_timeout + limits.idle_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .title_case_headers(true)
        .half_close(true);
    protocol
}

fn answer(
    request: Request<Incoming>,
    peer: Peer,
    router: Router,
    exchange: &Arc<Exchange>,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send + use<> {
    // before anything is awaited: from here on the wire lets the service take its time
    let running = exchange.begin();
    let exchange = Arc::clone(exchange);
    let version = request.version();
    let refusal = refusal(exchange.take_ambiguous(), version, request.headers());
    let mut request = request.map(|body| {
        exchange.set_unread(!body.is_end_stream());
        Body::new(Question { body, exchange: Arc::clone(&exchange) })
    });
    request.extensions_mut().insert(peer);
    async move {
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => router.oneshot(request).await?,
        };
        if exchange.is_unread() {
            // what is still to come would be taken for the next request; a client that knows does not send one
            close(version, &mut response);
        }
        Ok(response.map(|body| Answer { body, _running: running }))
    }
}

/// Says that the connection ends with this answer to a request of `version`.
fn close(version: Version, response: &mut Response) {
    // the library adds `keep-alive` to an answer of a later version than the request's
    *response.version_mut() = version;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Whether a body is coded in another way than in chunks alone, which nothing here undoes (RFC 9112 §6.1).
fn is_coded(headers: &HeaderMap) -> bool {
    let coding = headers.get(header::TRANSFER_ENCODING);
    coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether it is not clear which host is asked (RFC 9112 §3.2).
fn is_without_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let bytes = host.as_bytes();
            !bytes.is_empty() && (bytes.contains(&b'@') || Authority::try_from(bytes).is_err())
        }
        (None, _) => version == Version::HTTP_11,
        (Some(_), Some(_)) => true,
    }
}

/// The answer to a head that is readable and yet not acceptable.
fn refusal(ambiguous: bool, version: Version, headers: &HeaderMap) -> Option<Response> {
    let (status, text) = if ambiguous {
        (StatusCode::BAD_REQUEST, "the length of the body is told more than once")
    } else if is_coded(headers) {
        (StatusCode::NOT_IMPLEMENTED, "the only Transfer-Encoding is chunked")
    } else if is_without_host(version, headers) {
        (StatusCode::BAD_REQUEST, "a request needs one Host")
    } else if headers.iter().any(|(name, value)| name.as_str().len() + value.len() > MAX_HEADER) {
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "a header is longer than 16 KiB")
    } else {
        return None;
    };
    let mut response = (status, text).into_response();
    close(version, &mut response);
    Some(response)
}

pin_project_lite::pin_project! {
    /// A request body; the wire learns when it has been read to its end.
    struct Question {
        #[pin]
        body: Incoming,
        exchange: Arc<Exchange>,
    }
}

impl http_body::Body for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if frame.is_none() || this.body.is_end_stream() {
            this.exchange.set_unread(false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// A response body; the exchange runs until it is dropped.
    struct Answer {
        #[pin]
        body: Body,
        _running: Running,
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
