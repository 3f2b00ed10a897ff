//! An HTTP server on loopback that image data can come from.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use vitrine::config::Config;

/// A server with pages by path. Dropping it stops it.
pub struct Source {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    requests: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Page {
    data: Vec<u8>,
    announced: u64,
    gate: Option<Arc<Notify>>,
}

/// Lets a service read from loopback, and keep data there.
pub fn allow(settings: &mut Config) {
    settings.import.allow_private_networks = true;
    settings.import.allowed_ports = Vec::new();
    settings.import.allow_http_locations = true;
}

/// A URL where nothing listens.
pub async fn unreachable() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    format!("http://{}/image", listener.local_addr().unwrap())
}

impl Source {
    /// A server without pages.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        let serve = accept(listener, Arc::clone(&shared));
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    /// Puts data under a path that begins with a slash. Returns its URL.
    pub fn put(&self, path: &str, data: &[u8]) -> String {
        self.put_announced(path, data, data.len() as u64)
    }

    /// As [`Source::put`], with another length in the answer; the connection closes after the data all the same.
    pub fn put_announced(&self, path: &str, data: &[u8], announced: u64) -> String {
        let page = Page { data: data.to_vec(), announced, gate: None };
        self.shared.pages.lock().unwrap().insert(path.to_owned(), page);
        self.url(path)
    }

    /// As [`Source::put`]; what is read of it comes when the gate is notified, once for each reading.
    pub fn put_gated(&self, path: &str, data: &[u8]) -> (String, Arc<Notify>) {
        let gate = Arc::new(Notify::new());
        let page = Page { data: data.to_vec(), announced: data.len() as u64, gate: Some(Arc::clone(&gate)) };
        self.shared.pages.lock().unwrap().insert(path.to_owned(), page);
        (self.url(path), gate)
    }

    /// Takes a page away.
    pub fn remove(&self, path: &str) {
        self.shared.pages.lock().unwrap().remove(path);
    }

    /// URL of a path, whether or not anything is there.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Method and path of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let connections = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // a client that goes away early is no concern of the source
            let _ = answer(stream, &shared).await;
        });
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    shared.requests.lock().unwrap().push(format!("{method} {path}"));
    let page = shared.pages.lock().unwrap().get(path).cloned();
    let Some(page) = page else {
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(missing).await;
    };
    let found = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.announced);
    stream.write_all(found.as_bytes()).await?;
    if method == "GET" {
        if let Some(gate) = &page.gate {
            gate.notified().await;
        }
        stream.write_all(&page.data).await?;
    }
    stream.shutdown().await
}
