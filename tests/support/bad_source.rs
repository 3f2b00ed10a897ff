//! An HTTP server on loopback that does to its clients what a script says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A request as a script sees it.
pub struct Asked {
    /// Method, path and headers.
    pub head: String,
    /// How many requests for data, which are those by GET, came before.
    pub nth: usize,
}

/// What a script answers.
pub struct Reply {
    head: String,
    body: Vec<u8>,
    then: Then,
}

enum Then {
    Close,
    /// Resets the connection.
    Reset,
    /// Says nothing until the client goes.
    Hold,
    /// Sends this again and again, with a pause, until the client goes.
    Repeat(Vec<u8>, Duration),
}

/// A server with one script for all paths. Dropping it stops it.
pub struct BadSource {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _stop: DropGuard,
}

impl Asked {
    /// Path of the request.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// First byte asked for, if not all are.
    pub fn first(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

impl Reply {
    /// A status line without version, headers after line feeds, and a body.
    pub fn new(head: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {}\r\nConnection: close\r\n\r\n", head.replace('\n', "\r\n"));
        Self { head, body: body.to_vec(), then: Then::Close }
    }

    /// All data; the connection breaks after so many bytes of them.
    pub fn whole(data: &[u8], piece: usize, etag: &str) -> Self {
        let head = format!("200 OK\nContent-Length: {}\nETag: \"{etag}\"", data.len());
        Self::new(&head, &data[..piece.min(data.len())])
    }

    /// The data from `first` on, in the same way.
    pub fn rest(data: &[u8], first: usize, piece: usize, etag: &str) -> Self {
        let (rest, last) = (&data[first..], data.len() - 1);
        let range = format!("Content-Range: bytes {first}-{last}/{}", data.len());
        let head = format!("206 Partial Content\nContent-Length: {}\n{range}\nETag: \"{etag}\"", rest.len());
        Self::new(&head, &rest[..piece.min(rest.len())])
    }

    /// A redirect.
    pub fn moved(to: &str) -> Self {
        Self::new(&format!("302 Found\nContent-Length: 0\nLocation: {to}"), b"")
    }

    /// A body that begins with this one and goes on with `more` again and again.
    pub fn for_ever(mut self, more: &[u8], pause: Duration) -> Self {
        self.then = Then::Repeat(more.to_vec(), pause);
        self
    }

    /// No answer at all: the connection is reset.
    pub fn reset() -> Self {
        Self { head: String::new(), body: Vec::new(), then: Then::Reset }
    }

    /// No answer at all: the connection stays open.
    pub fn silence() -> Self {
        Self { head: String::new(), body: Vec::new(), then: Then::Hold }
    }
}

impl BadSource {
    /// A server whose answers are those of `script`; to HEAD it gives their heads alone.
    pub async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::default();
        let stop = CancellationToken::new();
        let serve = accept(listener, Arc::clone(&heads), Arc::new(script));
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
        Self { address, heads, _stop: stop.drop_guard() }
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.heads.lock().unwrap().clear();
    }
}

async fn accept(
    listener: TcpListener,
    heads: Arc<Mutex<Vec<String>>>,
    script: Arc<impl Fn(&Asked) -> Reply + Send + Sync + 'static>,
) {
    let connections = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (heads, script) = (Arc::clone(&heads), Arc::clone(&script));
        connections.spawn(async move {
            // a client that goes away early is no concern of the source
            let _ = answer(stream, &heads, &*script).await;
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    heads: &Mutex<Vec<String>>,
    script: &(impl Fn(&Asked) -> Reply + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_head = head.starts_with("HEAD ");
    let nth = {
        let mut heads = heads.lock().unwrap();
        let nth = heads.iter().filter(|head| head.starts_with("GET ")).count();
        heads.push(head.clone());
        nth
    };
    let Reply { head, body, then } = script(&Asked { head, nth });
    stream.write_all(head.as_bytes()).await?;
    if !is_head {
        stream.write_all(&body).await?;
    }
    match then {
        Then::Reset => stream.set_zero_linger(),
        Then::Hold => stream.read_u8().await.map(drop),
        Then::Repeat(more, pause) if !is_head => loop {
            stream.write_all(&more).await?;
            tokio::time::sleep(pause).await;
        },
        Then::Close | Then::Repeat(..) => stream.shutdown().await,
    }
}
