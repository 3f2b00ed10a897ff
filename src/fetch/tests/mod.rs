//! The fetcher against an invented Internet: names and public addresses that lead to scripted servers on loopback.
//! The rules under test are the real ones; only the last step, from judged address to socket, is redirected.

#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod bodies;
mod guard;
mod peers;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::resolve::Lookup;
use super::{FetchError, FetchErrorKind as Kind, Fetcher, Limits, Part, Refusal, Source, Target};
use crate::config::Import;

const PUBLIC: &str = "93.184.216.34";
const NO_ADDRESS: Kind = Kind::Refused(Refusal::Forbidden(Part::Address));
const NO_REDIRECT: Kind = Kind::Refused(Refusal::Redirect);

/// Names with one answer per look-up (the last one stays), and where addresses really live.
#[derive(Default)]
pub(super) struct Internet {
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    homes: HashMap<IpAddr, SocketAddr>,
}

impl Internet {
    pub(super) fn answers(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.names.lock().unwrap();
        let answers = names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }

    pub(super) fn endpoint(&self, ip: IpAddr) -> SocketAddr {
        self.homes[&ip]
    }

    fn name(self, name: &str, answers: &[&[&str]]) -> Self {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        self.names.lock().unwrap().insert(name.into(), answers.iter().map(parse).collect());
        self
    }

    fn home(mut self, ip: &str, site: &Site) -> Self {
        self.homes.insert(ip.parse().unwrap(), site.address);
        self
    }

    /// A fetcher in this Internet under the default rules.
    fn fetcher(self) -> Fetcher {
        self.fetcher_with(&Import::default(), quick())
    }

    fn fetcher_with(self, rules: &Import, limits: Limits) -> Fetcher {
        Fetcher::build(rules, limits, Lookup::Script(Arc::new(self)), Arc::default()).unwrap()
    }
}

fn quick() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        idle: Duration::from_secs(5),
        backoff: Duration::from_millis(1),
        ..Limits::default()
    }
}

/// A request as a scripted server sees it.
struct Request {
    /// How many came before.
    nth: usize,
    head: String,
}

impl Request {
    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// First byte asked for.
    fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What a scripted server does.
struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

enum Then {
    Close,
    /// Say nothing until the client goes.
    Hold,
    /// Send this, wait, and again, until the client goes.
    Repeat(Vec<u8>, Duration),
}

fn say(head: &str, body: &[u8]) -> Reply {
    let mut bytes = format!("HTTP/1.1 {}\r\n\r\n", head.trim().replace('\n', "\r\n")).into_bytes();
    bytes.extend_from_slice(body);
    Reply { bytes, then: Then::Close }
}

fn whole(body: &[u8]) -> Reply {
    say(&format!("200 OK\nContent-Length: {}", body.len()), body)
}

fn moved(to: &str) -> Reply {
    say(&format!("302 Found\nContent-Length: 0\nLocation: {to}"), b"")
}

/// A scripted server on loopback.
struct Site {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Site {
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let (heads, script) = (site.heads.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, heads.clone(), script.clone()));
            }
        });
        site
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The usual Internet: `public.test` is this server.
    fn internet(&self) -> Internet {
        Internet::default().name("public.test", &[&[PUBLIC]]).home(PUBLIC, self)
    }
}

async fn answer(
    mut stream: TcpStream,
    heads: Arc<Mutex<Vec<String>>>,
    script: Arc<impl Fn(&Request) -> Reply>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let nth = {
        let mut heads = heads.lock().unwrap();
        heads.push(head.clone());
        heads.len() - 1
    };
    let Reply { bytes, then } = script(&Request { nth, head });
    stream.write_all(&bytes).await?;
    match then {
        Then::Close => stream.shutdown().await,
        Then::Hold => stream.read_u8().await.map(drop),
        Then::Repeat(bytes, pause) => loop {
            stream.write_all(&bytes).await?;
            tokio::time::sleep(pause).await;
        },
    }
}

fn target(url: &str) -> Target {
    Target::parse(url, &Import::default()).unwrap()
}

fn public() -> Target {
    target("http://public.test/x")
}

async fn read(mut source: Source) -> Result<Vec<u8>, FetchError> {
    let mut all = Vec::new();
    while let Some(data) = source.chunk().await? {
        all.extend_from_slice(&data);
    }
    Ok(all)
}

async fn fetch(fetcher: &Fetcher, target: &Target) -> Result<Vec<u8>, Kind> {
    let source = fetcher.open(target, u64::MAX).await.map_err(|error| error.kind())?;
    read(source).await.map_err(|error| error.kind())
}

/// Bytes that differ at every place nearby.
fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Serves `body` from where the request asks, `piece` bytes at a time, with this validator.
fn piecewise(body: &[u8], piece: usize, validator: &str, request: &Request) -> Reply {
    let first = request.from().unwrap_or(0);
    let (total, rest) = (body.len(), &body[first..]);
    let status = match request.from() {
        Some(_) => format!("206 Partial\nContent-Range: bytes {first}-{}/{total}", total - 1),
        None => "200 OK".into(),
    };
    let head = format!("{status}\nContent-Length: {}\n{validator}", rest.len());
    say(&head, &rest[..piece.min(rest.len())])
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
