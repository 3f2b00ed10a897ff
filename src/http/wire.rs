//! One connection as the HTTP library sees it: a socket with deadlines, and an eye on the heads that pass.
//!
//! Deadlines: a head must arrive within `header_timeout` of its first byte, or of the connection's start; a kept
//! connection may be silent for `idle_timeout`; a peer that takes nothing of a response for `idle_timeout` is cut
//! off (A46, A47). Request bodies have no deadline here, their readers have one.
//!
//! The eye is there because the library drops `Content-Length` next to `Transfer-Encoding`, and the second of two equal
//! lengths, without a word, and A48 wants such requests refused. Heads that arrive in one segment with the end of the request before them are not
//! seen; for those the library's own answer to smuggling holds: the encoding wins and the connection is closed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long what a refused client still sends is thrown away. Closing at once would reset the connection and so
/// destroy the answer before the client has read it.
const LINGER: Duration = Duration::from_secs(5);

/// What the connection's two ends tell each other: the wire watches heads, the service knows when it is at work.
#[derive(Default)]
pub(super) struct Exchange {
    running: AtomicUsize,
    ambiguous: AtomicBool,
    unread: AtomicBool,
}

impl Exchange {
    /// A request is at work until the answer is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Whether the request that just began told its length more than once, in one way or in two.
    pub(super) fn take_ambiguous(&self) -> bool {
        self.ambiguous.swap(false, Ordering::Relaxed)
    }

    /// Whether something of the request's body is still to be read.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// See [`Exchange::set_unread`]. Once such a request is answered, nothing that follows is a head: the connection
    /// can only be closed.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }
}

/// See [`Exchange::begin`].
pub(super) struct Running(Arc<Exchange>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the connection is, seen from the read side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of the next request has arrived.
    Idle,
    /// A head is due or arriving.
    Head,
    /// A head is complete; the rest is up to the service.
    Request,
}

/// A socket with deadlines.
pub(super) struct Wire<S> {
    socket: S,
    exchange: Arc<Exchange>,
    phase: Phase,
    scan: HeadScan,
    header_timeout: Duration,
    idle_timeout: Duration,
    read_deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
    write_stalled: bool,
    lingering: bool,
}

impl<S> Wire<S> {
    pub(super) fn new(
        socket: S,
        exchange: Arc<Exchange>,
        header_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            socket,
            exchange,
            phase: Phase::Head,
            scan: HeadScan::default(),
            header_timeout,
            idle_timeout,
            read_deadline: Box::pin(sleep(header_timeout)),
            write_deadline: None,
            write_stalled: false,
            lingering: false,
        }
    }

    fn read_within(&mut self, limit: Duration) {
        self.read_deadline.as_mut().reset(Instant::now() + limit);
    }

    fn saw(&mut self, bytes: &[u8]) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Head;
            self.read_within(self.header_timeout);
        }
        if self.scan.feed(bytes) {
            self.phase = Phase::Request;
            let lengths = self.scan.lengths;
            self.exchange.ambiguous.store(lengths > 1, Ordering::Relaxed);
            self.exchange.set_unread(lengths > 0);
        }
    }

    /// Passes a write's outcome on, unless nothing has moved for too long.
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_stalled = false;
            return outcome;
        }
        let limit = self.idle_timeout;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.write_stalled {
            self.write_stalled = true;
            deadline.as_mut().reset(Instant::now() + limit);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")))
    }

    /// Whether bytes of the peer may be on their way that nobody will read.
    fn left_unread(&self) -> bool {
        let head = self.phase == Phase::Head && self.scan.has_begun();
        head || self.exchange.is_unread()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.exchange.is_running() || this.exchange.is_unread() {
            this.phase = Phase::Request;
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        if this.phase == Phase::Request {
            this.phase = Phase::Idle;
            this.scan = HeadScan::default();
            this.read_within(this.idle_timeout);
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Pending => {
                ready!(this.read_deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request arrived in time")))
            }
            Poll::Ready(Ok(())) => {
                let new = buf.filled().get(before..).unwrap_or_default();
                if !new.is_empty() {
                    this.saw(new);
                }
                Poll::Ready(Ok(()))
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.watch_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.watch_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.lingering {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            if !this.left_unread() {
                return Poll::Ready(Ok(()));
            }
            this.lingering = true;
            this.read_within(LINGER);
        }
        // asked first, so that a peer that never pauses cannot keep it from being asked
        if this.read_deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut waste = [0; 16 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut waste);
            let read = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Follows one request head, whatever pieces it arrives in.
#[derive(Debug, Default)]
struct HeadScan {
    /// First bytes of the current line, enough to tell the two names.
    name: [u8; ENCODING.len()],
    line_length: usize,
    started: bool,
    /// Headers that tell where the body ends.
    lengths: u32,
}

const LENGTH: &[u8] = b"content-length:";
const ENCODING: &[u8] = b"transfer-encoding:";

impl HeadScan {
    /// Whether anything of a head has come.
    fn has_begun(&self) -> bool {
        self.started || self.line_length > 0
    }

    /// Takes the next bytes; true once the empty line that ends the head is among them.
    fn feed(&mut self, bytes: &[u8]) -> bool {
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match line.strip_suffix(b"\n") {
                Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
                None => (line, false),
            };
            self.extend(text);
            if ends && self.end_line() {
                return true;
            }
        }
        false
    }

    fn extend(&mut self, text: &[u8]) {
        let free = self.name.get_mut(self.line_length..).unwrap_or_default();
        for (to, from) in free.iter_mut().zip(text) {
            *to = *from;
        }
        self.line_length += text.len();
    }

    /// Whether the line that ends here is the empty one after a head. A `\r` cut off from its `\n` counts as empty.
    fn end_line(&mut self) -> bool {
        let line = self.name.get(..self.line_length).unwrap_or(&self.name);
        let empty = line.is_empty() || line == b"\r";
        self.lengths += u32::from(starts_with(line, LENGTH) || starts_with(line, ENCODING));
        self.line_length = 0;
        let ended = empty && self.started;
        self.started |= !empty;
        ended
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::HeadScan;

    fn scan(pieces: &[&[u8]]) -> (bool, HeadScan) {
        let mut scan = HeadScan::default();
        let ended = pieces.iter().any(|piece| scan.feed(piece));
        (ended, scan)
    }

    /// A48, however the head is cut.
    #[test]
    fn both_names_are_found_in_any_pieces() {
        let head = b"\r\nPUT /x HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\nX: y\r\nTransfer-Encoding:chunked\r\n\r\n";
        for cut in 0..head.len() {
            let (first, second) = head.split_at(cut);
            let (ended, found) = scan(&[first, second]);
            assert!(ended && found.lengths == 2, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = head.chunks(1).collect();
        let (ended, found) = scan(&bytes);
        assert!(ended && found.lengths == 2);
    }

    #[test]
    fn names_count_only_at_the_start_of_a_line() {
        let head =
            b"GET / HTTP/1.1\nX-Content-Length: 1\nY: transfer-encoding: chunked\nContent-Length: 1\n\nrest";
        let (ended, found) = scan(&[head]);
        assert!(ended && found.lengths == 1);
    }

    #[test]
    fn a_head_without_its_empty_line_has_not_ended() {
        assert!(!scan(&[b"GET / HTTP/1.1\r\nHost: a\r\n"]).0);
        assert!(!scan(&[b"\r\n\r\n"]).0);
        assert!(!scan(&[b"GET / HTTP/1.1\r\n\r"]).0);
    }
}
