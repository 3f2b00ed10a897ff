#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::routing::{get, post};
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Limits, Peer, connections, serve};

/// Longer than anything here takes; it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
const LIMITS: Limits =
    Limits { header_timeout: LONG, idle_timeout: LONG, drain_timeout: LONG, connections: 100 };

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let served = tracker.spawn(serve(listener, router, limits, stop.clone(), tracker.clone()));
        Self { address, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` and returns all that comes back until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request).await.unwrap();
        until_closed(&mut socket).await
    }

    async fn ended(self) {
        timeout(PATIENCE, self.served).await.expect("the listener did not stop").unwrap();
    }
}

/// Everything until the end of the connection, orderly or not.
async fn until_closed(socket: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut received)).await;
    let _ = ended.expect("the connection was not closed");
    String::from_utf8(received).unwrap()
}

/// Reads until `text` has come.
async fn until(socket: &mut TcpStream, text: &str) -> String {
    let mut received = String::new();
    while !received.contains(text) {
        let mut piece = [0; 4096];
        let n = timeout(PATIENCE, socket.read(&mut piece)).await.expect("no answer").unwrap();
        assert!(n > 0, "closed after: {received}");
        received.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    received
}

fn hello() -> Router {
    let answer = || async { ([("x-image-meta-is_public", "True")], "hello") };
    Router::new().route("/", get(answer).put(answer).post(|body: Bytes| async move { body }))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// v1 clients look for headers in this spelling.
#[tokio::test]
async fn header_names_are_title_case_on_the_wire() {
    let server = Server::start(hello(), LIMITS).await;
    let answer = server.exchange(LAST_GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nX-Image-Meta-Is_public: True\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 5\r\n"), "{answer}");
}

#[tokio::test]
async fn requests_know_their_peer() {
    let router = Router::new()
        .route("/", get(|Extension(Peer(peer)): Extension<Peer>| async move { peer.to_string() }));
    let server = Server::start(router, LIMITS).await;
    let mut socket = server.connect().await;
    let own = socket.local_addr().unwrap().to_string();
    socket.write_all(LAST_GET).await.unwrap();
    assert!(until_closed(&mut socket).await.ends_with(&own));
}

/// A46
#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = Server::start(hello(), Limits { header_timeout: SHORT, ..LIMITS }).await;
    assert_eq!(server.exchange(b"GET / HTTP/1.1\r\nHost:").await, "");
    assert_eq!(server.exchange(b"").await, "");
}

#[tokio::test]
async fn a_kept_connection_may_be_silent_for_the_idle_timeout_only() {
    let server = Server::start(hello(), Limits { idle_timeout: SHORT, ..LIMITS }).await;
    assert!(server.exchange(GET).await.ends_with("hello"));
}

#[tokio::test]
async fn the_header_timeout_does_not_end_a_kept_connection() {
    let limits = Limits { header_timeout: SHORT, ..LIMITS };
    let server = Server::start(hello(), limits).await;
    let mut socket = server.connect().await;
    socket.write_all(GET).await.unwrap();
    until(&mut socket, "hello").await;
    let closed = timeout(SHORT * 4, socket.read_u8()).await;
    assert!(closed.is_err(), "closed while idle");
    // but it holds for the next head
    socket.write_all(b"GET /").await.unwrap();
    assert_eq!(until_closed(&mut socket).await, "");
}

#[tokio::test]
async fn a_long_request_is_not_cut_off_by_the_timeouts_of_heads() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let receiver = Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let receiver = receiver.lock().await.take().unwrap();
            receiver.await.unwrap();
            "late"
        }),
    );
    let server = Server::start(router, Limits { header_timeout: SHORT, idle_timeout: SHORT, ..LIMITS }).await;
    let mut socket = server.connect().await;
    socket.write_all(LAST_GET).await.unwrap();
    assert!(timeout(SHORT * 4, socket.read_u8()).await.is_err(), "closed while the request ran");
    sender.send(()).unwrap();
    assert!(until_closed(&mut socket).await.ends_with("late"));
}

/// A48
#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    let server = Server::start(hello(), LIMITS).await;
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: -1",
        "Transfer-Encoding: gzip",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n");
        let answer = server.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
    }
}

/// A coding that nobody undoes would make coded bytes an image (RFC 9112 §6.1).
#[tokio::test]
async fn bodies_are_coded_in_chunks_alone() {
    let server = Server::start(hello(), LIMITS).await;
    for coding in ["gzip, chunked", "chunked, chunked", "CHUNKED"] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n");
        let answer = server.exchange(format!("{head}1\r\nx\r\n0\r\n\r\n").as_bytes()).await;
        let due = if coding == "CHUNKED" { "HTTP/1.1 200 " } else { "HTTP/1.1 501 " };
        assert!(answer.starts_with(due), "{coding}: {answer}");
    }
}

/// RFC 9112 §3.2
#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start(hello(), LIMITS).await;
    for (version, hosts, due) in [
        ("1.1", "", "400"),
        ("1.1", "Host: a\r\nHost: a\r\n", "400"),
        ("1.1", "Host: a b\r\n", "400"),
        ("1.1", "Host: a/../b\r\n", "400"),
        ("1.1", "Host: user@a\r\n", "400"),
        ("1.1", "Host: a:9292\r\n", "200"),
        ("1.1", "Host: [::1]:9292\r\n", "200"),
        ("1.1", "Host:\r\n", "200"),
        ("1.0", "", "200"),
    ] {
        let request = format!("GET / HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(due), "{version} {hosts}: {answer}");
    }
}

/// A48
#[tokio::test]
async fn bad_chunk_sizes_fail_the_body() {
    let server = Server::start(hello(), LIMITS).await;
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n";
    let answer = server.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// A45
#[tokio::test]
async fn heads_have_limits() {
    let server = Server::start(hello(), LIMITS).await;
    let with = |headers: String| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").into_bytes()
    };
    let many = |n| (0..n).map(|i| format!("x-{i}: 1\r\n")).collect::<String>();
    let long = |n| format!("x: {}\r\n", "y".repeat(n));
    assert!(server.exchange(&with(many(200))).await.starts_with("HTTP/1.1 200 "));
    assert!(server.exchange(&with(many(300))).await.starts_with("HTTP/1.1 431 "));
    assert!(server.exchange(&with(long(16_000))).await.starts_with("HTTP/1.1 200 "));
    assert!(server.exchange(&with(long(17_000))).await.starts_with("HTTP/1.1 431 "));
    assert!(server.exchange(&with(long(15_000).repeat(5))).await.starts_with("HTTP/1.1 431 "));
    assert!(server.exchange(&with("x: a\r\n b\r\n".to_owned())).await.starts_with("HTTP/1.1 400 "));
    assert!(server.exchange(&with("x: a\rb\r\n".to_owned())).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let server = Server::start(hello(), LIMITS).await;
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let answer = server.exchange(&[GET, post, LAST_GET].concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    let (hello, abc) = (answer.find("hello").unwrap(), answer.find("abc").unwrap());
    assert!(hello < abc && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer() {
    let server = Server::start(hello(), LIMITS).await;
    let mut socket = server.connect().await;
    socket.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    socket.shutdown().await.unwrap();
    assert!(until_closed(&mut socket).await.ends_with("abc"));
}

/// A router that reports how reading the body of `POST /` ended.
fn reader() -> (Router, mpsc::UnboundedReceiver<Result<usize, String>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let read = move |body: Body| async move {
        let read = body.collect().await.map(|all| all.to_bytes().len()).map_err(|e| e.to_string());
        sender.send(read).unwrap();
    };
    (Router::new().route("/", post(read)), receiver)
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_fails_the_body() {
    for framing in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"] {
        let (router, mut reads) = reader();
        let server = Server::start(router, LIMITS).await;
        let mut socket = server.connect().await;
        socket.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes()).await.unwrap();
        drop(socket);
        let read = timeout(PATIENCE, reads.recv()).await.unwrap().unwrap();
        assert!(read.is_err(), "{framing}: {read:?}");
    }
}

/// A refusal reaches a client that sends on without listening, whatever it sends: empty lines do not end a head here.
#[tokio::test]
async fn an_early_refusal_is_not_lost_in_a_reset() {
    for body in [&b"\0\0\0"[..], b"x\n\n", b"\r\n\r"] {
        let gate = Arc::new(Notify::new());
        let open = Arc::clone(&gate);
        let refuse = move || async move {
            open.notified().await;
            StatusCode::PAYLOAD_TOO_LARGE
        };
        let server = Server::start(Router::new().route("/", post(refuse)), LIMITS).await;
        let mut socket = server.connect().await;
        let piece = body.repeat(1 << 15);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", piece.len() * 256);
        socket.write_all(head.as_bytes()).await.unwrap();
        // there to be read when the answer is
        socket.write_all(&piece).await.unwrap();
        gate.notify_one();
        for _ in 1..256 {
            socket.write_all(&piece).await.expect("the connection was reset");
        }
        let answer = until_closed(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("Connection: close"), "{answer}");
    }
}

/// A connection is kept where nothing of a body is left, and given up, with notice, where something is.
#[tokio::test]
async fn an_unread_body_ends_the_connection() {
    let router = hello().route("/refused", post(|| async { StatusCode::FORBIDDEN }));
    let server = Server::start(router, LIMITS).await;
    let mut socket = server.connect().await;
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ] {
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = until(&mut socket, "\r\n\r\n").await;
        assert!(!answer.contains("Connection: close"), "{answer}");
    }
    for framing in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
    {
        let mut socket = server.connect().await;
        socket.write_all(format!("POST /refused HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes()).await.unwrap();
        let answer = until(&mut socket, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Connection: close"), "{answer}");
        assert_eq!(until_closed(&mut socket).await, "");
    }
    let head = b"POST /refused HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc";
    let answer = server.exchange(head).await;
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
}

/// The first line may be too long to end in what a socket holds.
#[tokio::test]
async fn a_refused_target_is_not_lost_in_a_reset() {
    let server = Server::start(hello(), LIMITS).await;
    let mut socket = server.connect().await;
    socket.write_all(b"GET /?").await.unwrap();
    for _ in 0..32 {
        socket.write_all(&[b'a'; 1 << 20]).await.expect("the connection was reset");
    }
    let answer = until_closed(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 "), "{answer}");
}

/// A47: a reader that stands still loses its response, which frees what the response holds.
#[tokio::test]
async fn a_response_that_nobody_reads_is_dropped() {
    let dropped = Arc::new(Notify::new());
    struct Signal(Arc<Notify>);
    impl Drop for Signal {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let seen = Arc::clone(&dropped);
    let endless = move || async move {
        let signal = Signal(seen);
        Body::from_stream(stream::repeat_with(move || {
            let _held = &signal;
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 65536]))
        }))
    };
    let router = Router::new().route("/", get(endless));
    let server = Server::start(router, Limits { idle_timeout: SHORT, ..LIMITS }).await;
    let mut socket = server.connect().await;
    socket.write_all(GET).await.unwrap();
    timeout(PATIENCE, dropped.notified()).await.expect("the response is still alive");
    drop(socket);
}

/// A router whose `GET /slow` waits to be let go, and what the test needs to steer it.
fn gated() -> (Router, mpsc::UnboundedReceiver<()>, Arc<Notify>) {
    let (started, starts) = mpsc::unbounded_channel();
    let gate = Arc::new(Notify::new());
    let open = Arc::clone(&gate);
    let slow = move || async move {
        started.send(()).unwrap();
        open.notified().await;
        "done"
    };
    (hello().route("/slow", get(slow)), starts, gate)
}

const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_drain_lets_requests_finish_and_closes_the_rest() {
    let (router, mut starts, gate) = gated();
    let server = Server::start(router, LIMITS).await;
    let mut idle = server.connect().await;
    idle.write_all(GET).await.unwrap();
    until(&mut idle, "hello").await;
    let mut fresh = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    starts.recv().await.unwrap();

    server.stop.cancel();
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(until_closed(&mut fresh).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "still accepting");
    gate.notify_one();
    let answer = until_closed(&mut busy).await;
    assert!(answer.ends_with("done") && answer.contains("Connection: close"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn the_end_of_the_drain_cuts_requests_off() {
    let (router, mut starts, _gate) = gated();
    let server = Server::start(router, Limits { drain_timeout: SHORT, ..LIMITS }).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    starts.recv().await.unwrap();
    server.stop.cancel();
    assert_eq!(until_closed(&mut busy).await, "");
    server.ended().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Server::start(hello(), Limits { connections: 1, ..LIMITS }).await;
    let mut first = server.connect().await;
    first.write_all(GET).await.unwrap();
    until(&mut first, "hello").await;
    let mut second = server.connect().await;
    second.write_all(LAST_GET).await.unwrap();
    assert!(timeout(SHORT, second.read_u8()).await.is_err(), "served beyond the limit");
    drop(first);
    assert!(until_closed(&mut second).await.ends_with("hello"));
}

#[test]
fn the_limit_of_connections_leaves_files_for_others() {
    assert_eq!(connections(None), 10_000);
    assert_eq!(connections(Some(1024)), 768);
    assert_eq!(connections(Some(1 << 20)), 10_000);
}
