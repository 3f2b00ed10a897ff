//! An image service of another region that does as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How the data of the image are given out.
pub enum Data {
    /// From where the request asks, but no more than so many bytes at a time: then the connection breaks.
    Pieces(Vec<u8>, usize),
    /// By a redirect to this URL.
    Moved(String),
}

/// A server with one image. Dropping it stops it.
pub struct Peer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _stop: DropGuard,
}

impl Peer {
    /// A server whose image has this record, whatever its id.
    pub async fn start(record: Value, data: Data) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let serve = serve(listener, Arc::clone(&heads), Arc::new((record, data)));
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
        Self { address, heads, _stop: stop.drop_guard() }
    }

    /// Its URL, as a catalogue names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, heads: Arc<Mutex<Vec<String>>>, image: Arc<(Value, Data)>) {
    let connections = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (heads, image) = (Arc::clone(&heads), Arc::clone(&image));
        connections.spawn(async move {
            // a client that goes away early is no concern of the server
            let _ = answer(stream, &heads, &image).await;
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    heads: &Mutex<Vec<String>>,
    (record, data): &(Value, Data),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(head.clone());
    let is_file = head.split(' ').nth(1).unwrap_or_default().ends_with("/file");
    let (lines, body) = match data {
        _ if !is_file => {
            let body = record.to_string().into_bytes();
            (format!("200 OK\r\nContent-Length: {}", body.len()), body)
        }
        Data::Moved(to) => (format!("302 Found\r\nLocation: {to}\r\nContent-Length: 0"), Vec::new()),
        Data::Pieces(data, length) => piece(data, *length, first(&head)),
    };
    stream.write_all(format!("HTTP/1.1 {lines}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await
}

/// First byte asked for.
fn first(head: &str) -> Option<usize> {
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    range.strip_suffix('-')?.parse().ok()
}

fn piece(data: &[u8], length: usize, first: Option<usize>) -> (String, Vec<u8>) {
    let rest = &data[first.unwrap_or(0)..];
    let status = match first {
        Some(first) => {
            format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{}", data.len() - 1, data.len())
        }
        None => "200 OK".to_owned(),
    };
    (format!("{status}\r\nContent-Length: {}", rest.len()), rest[..length.min(rest.len())].to_vec())
}
