//! A TCP proxy that misbehaves on demand, for PostgreSQL or S3 behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Connections are accepted and stay open; no byte comes through.
    Pause,
    /// New connections are closed at once.
    Refuse,
}

/// A proxy in front of one address. Its faults reach open connections as well as new ones.
pub struct ChaosProxy {
    /// Where clients connect.
    pub address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
}

struct State {
    mode: watch::Sender<Mode>,
    /// Counts the cuts.
    cuts: watch::Sender<u64>,
    plan: Mutex<Plan>,
}

struct Plan {
    /// Bytes that may still pass before all connections are cut.
    budget: Option<(Direction, usize)>,
    /// Longest pause before a chunk is passed on.
    delay: Duration,
    random: StdRng,
}

impl ChaosProxy {
    /// A proxy for `target` that passes everything; `seed` decides where chance has a say.
    pub async fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let plan = Plan { budget: None, delay: Duration::ZERO, random: StdRng::seed_from_u64(seed) };
        let state = Arc::new(State {
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            plan: Mutex::new(plan),
        });
        let proxy = Self { address: listener.local_addr().unwrap(), state, stop: CancellationToken::new() };
        let accept = accept(listener, target, Arc::clone(&proxy.state));
        TaskTracker::new().spawn(proxy.stop.clone().run_until_cancelled_owned(accept));
        proxy
    }

    /// Lets no byte through, like a network that drops packets.
    pub fn pause(&self) {
        self.state.mode.send_replace(Mode::Pause);
    }

    /// Cuts all connections and closes new ones at once.
    pub fn refuse(&self) {
        self.state.mode.send_replace(Mode::Refuse);
        self.cut();
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all open connections once `bytes` more bytes have gone in `direction`, on all of them together.
    pub fn cut_after(&self, direction: Direction, bytes: usize) {
        self.state.plan.lock().unwrap().budget = Some((direction, bytes));
    }

    /// As [`ChaosProxy::cut_after`] with a number below `limit` that depends on the seed. Returns it.
    pub fn cut_within(&self, direction: Direction, limit: usize) -> usize {
        let bytes = self.state.plan.lock().unwrap().random.random_range(0..limit);
        self.cut_after(direction, bytes);
        bytes
    }

    /// Delays every chunk by up to `limit`; how much depends on the seed.
    pub fn delay(&self, limit: Duration) {
        self.state.plan.lock().unwrap().delay = limit;
    }

    /// Passes everything again; what was cut stays cut.
    pub fn restore(&self) {
        let mut plan = self.state.plan.lock().unwrap();
        plan.budget = None;
        plan.delay = Duration::ZERO;
        self.state.mode.send_replace(Mode::Pass);
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let connections = TaskTracker::new();
    while let Ok((client, _)) = listener.accept().await {
        if *state.mode.borrow() == Mode::Refuse {
            continue;
        }
        connections.spawn(relay(client, target, Arc::clone(&state)));
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let is_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(from_client, to_server, Direction::Up, &state);
        let down = pump(from_server, to_client, Direction::Down, &state);
        tokio::select! {
            _ = async { tokio::join!(up, down) } => false,
            _ = cuts.changed() => true,
        }
    };
    if is_cut {
        // a reset, as when a machine goes away
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, direction: Direction, state: &State) {
    let mut mode = state.mode.subscribe();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let size = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(size) => size,
        };
        let _ = mode.wait_for(|mode| *mode != Mode::Pause).await;
        let (passed, delay) = state.plan.lock().unwrap().admit(direction, size);
        tokio::time::sleep(delay).await;
        if to.write_all(&chunk[..passed]).await.is_err() {
            break;
        }
        if passed < size {
            state.cuts.send_modify(|cuts| *cuts += 1);
            std::future::pending::<()>().await;
        }
    }
    let _ = to.shutdown().await;
}

impl Plan {
    /// How many of `size` bytes may pass, and after which pause.
    fn admit(&mut self, direction: Direction, size: usize) -> (usize, Duration) {
        let delay = if self.delay.is_zero() {
            Duration::ZERO
        } else {
            self.random.random_range(Duration::ZERO..self.delay)
        };
        match &mut self.budget {
            Some((limited, left)) if *limited == direction => {
                let passed = size.min(*left);
                *left -= passed;
                if passed < size {
                    self.budget = None;
                }
                (passed, delay)
            }
            _ => (size, delay),
        }
    }
}

mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = TaskTracker::new();
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                connections.spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn faults_reach_open_and_new_connections_and_end_with_restore() {
        let proxy = ChaosProxy::start(echo().await, 1).await;
        let mut open = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(said(&mut open, "one").await.unwrap(), "one");

        proxy.pause();
        let short = Duration::from_millis(100);
        assert!(tokio::time::timeout(short, said(&mut open, "two")).await.is_err());
        proxy.restore();
        let mut answer = [0; 3];
        open.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"two");

        proxy.cut_after(Direction::Down, 4);
        assert_eq!(said(&mut open, "abc").await.unwrap(), "abc");
        assert!(said(&mut open, "def").await.is_err());

        proxy.refuse();
        let refused = async { said(&mut TcpStream::connect(proxy.address).await?, "x").await };
        assert!(refused.await.is_err());
        proxy.restore();
        let mut again = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(said(&mut again, "three").await.unwrap(), "three");
        proxy.cut();
        assert!(said(&mut again, "four").await.is_err());
    }

    #[tokio::test]
    async fn one_seed_cuts_at_one_place() {
        let target = echo().await;
        let mut places = Vec::new();
        for seed in [7, 7, 8] {
            let proxy = ChaosProxy::start(target, seed).await;
            places.push([(); 4].map(|()| proxy.cut_within(Direction::Up, 1_000_000)));
        }
        assert_eq!(places[0], places[1]);
        assert_ne!(places[0], places[2]);
    }
}
