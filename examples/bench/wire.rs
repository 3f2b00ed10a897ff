//! A client as cheap as can be, so that the figures are the server's: one socket, requests written as bytes, answers
//! read just far enough to know where they end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes written or read at a time.
pub const FRAME: usize = 256 << 10;

/// Longest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A kept connection.
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// How the end of a request body is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// By its length beforehand.
    Known,
    /// By an empty chunk.
    Chunked,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.context("connect")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: vec![0; FRAME], filled: 0 })
    }

    /// Sends a request without a body and throws the body of its answer away. Gives the status.
    pub async fn ask(&mut self, request: &str) -> anyhow::Result<u16> {
        self.socket.write_all(request.as_bytes()).await?;
        let (status, length) = self.head().await?;
        let length = if request.starts_with("HEAD ") { 0 } else { length };
        self.body(length, |_| ()).await?;
        Ok(status)
    }

    /// Sends a request with `size` bytes of a pattern, `head` being its head without what tells the length. Gives
    /// the status, and the SHA-512 of what was sent where asked for.
    pub async fn send(
        &mut self,
        head: &str,
        size: u64,
        length: Length,
        hash: bool,
    ) -> anyhow::Result<(u16, String)> {
        let told = match length {
            Length::Known => format!("Content-Length: {size}\r\n\r\n"),
            Length::Chunked => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
        };
        self.socket.write_all(format!("{head}{told}").as_bytes()).await?;
        let mut pattern = Pattern::new();
        let mut digest = Sha512::new();
        let mut left = usize::try_from(size)?;
        while left > 0 {
            let frame = pattern.next();
            let frame = &frame[..frame.len().min(left)];
            left -= frame.len();
            if hash {
                digest.update(frame);
            }
            if length == Length::Chunked {
                self.socket.write_all(format!("{:x}\r\n", frame.len()).as_bytes()).await?;
            }
            self.socket.write_all(frame).await?;
            if length == Length::Chunked {
                self.socket.write_all(b"\r\n").await?;
            }
        }
        if length == Length::Chunked {
            self.socket.write_all(b"0\r\n\r\n").await?;
        }
        let (status, length) = self.head().await?;
        self.body(length, |_| ()).await?;
        Ok((status, hex::encode(digest.finalize())))
    }

    /// Sends a request and reads its answer of `size` bytes. Gives the SHA-512 of it where asked for.
    pub async fn receive(&mut self, request: &str, size: u64, hash: bool) -> anyhow::Result<String> {
        self.socket.write_all(request.as_bytes()).await?;
        let (status, length) = self.head().await?;
        ensure!(status == 200 && length == size, "download: status {status}, {length} bytes");
        let mut digest = Sha512::new();
        self.body(length, |bytes| {
            if hash {
                digest.update(bytes);
            }
        })
        .await?;
        Ok(hex::encode(digest.finalize()))
    }

    /// Status and length of the answer; what came with the head stays in the buffer.
    async fn head(&mut self) -> anyhow::Result<(u16, u64)> {
        loop {
            let seen = &self.buffer[..self.filled];
            if let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&seen[..end])?;
                let status = head.get(9..12).context("no status")?.parse()?;
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
                });
                let length = length.context("an answer without a length")??;
                self.buffer.copy_within(end + 4..self.filled, 0);
                self.filled -= end + 4;
                return Ok((status, length));
            }
            ensure!(self.filled < MAX_HEAD, "a head without an end");
            self.fill().await?;
        }
    }

    /// Reads a body of `length` bytes.
    async fn body(&mut self, length: u64, mut each: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut left = usize::try_from(length)?;
        while left > 0 {
            if self.filled == 0 {
                self.fill().await?;
            }
            let taken = self.filled.min(left);
            each(&self.buffer[..taken]);
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            left -= taken;
        }
        Ok(())
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let read = self.socket.read(&mut self.buffer[self.filled..]);
        let read = tokio::time::timeout(PATIENCE, read).await.context("no answer")??;
        ensure!(read > 0, "the connection was closed");
        self.filled += read;
        Ok(())
    }
}

/// Frames that no two look alike and no compression shortens.
pub struct Pattern {
    frame: Vec<u8>,
    number: u64,
}

impl Pattern {
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
        Self { frame: words.take(FRAME / 8).flat_map(u64::to_le_bytes).collect(), number: 0 }
    }

    pub fn next(&mut self) -> &[u8] {
        self.number += 1;
        self.frame[..8].copy_from_slice(&self.number.to_le_bytes());
        &self.frame
    }
}
