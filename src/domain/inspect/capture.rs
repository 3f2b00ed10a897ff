//! Windows: the few places of a stream that are kept.

/// Length of the first window. Everything that tells formats apart by their start lies within it.
pub(super) const HEAD: usize = 512;
/// Length of the end that is kept: footer marker, footer and end-of-stream marker of a VMDK.
pub(super) const TAIL: usize = 3 * 512;

/// What a window is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The first sector.
    Head,
    /// The first volume descriptor of an ISO.
    Volume,
    /// The descriptor of a VMDK.
    Descriptor,
    /// The GPT header of a disk with sectors of 512 bytes.
    SmallSector,
    /// The GPT header of a disk with sectors of 4096 bytes.
    LargeSector,
    /// The region table of a VHDX.
    Regions,
    /// The metadata table of a VHDX.
    Metadata,
    /// The item of a VHDX that holds the size of its disk.
    DiskSize,
}

/// A place of the stream that a format wants to see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    part: Part,
    start: u64,
    len: usize,
}

impl Request {
    /// `len` must be a constant or capped by one: it is what bounds the memory.
    pub(super) fn new(part: Part, start: u64, len: usize) -> Self {
        Self { part, start, len }
    }
}

/// A request and the bytes that have come for it.
#[derive(Debug)]
pub(super) struct Window {
    request: Request,
    data: Vec<u8>,
}

impl Window {
    pub(super) fn new(request: Request) -> Self {
        Self { request, data: Vec::new() }
    }

    pub(super) fn part(&self) -> Part {
        self.request.part
    }

    /// Offset of the first byte in the stream.
    pub(super) fn start(&self) -> u64 {
        self.request.start
    }

    /// Offset behind the last byte in the stream.
    pub(super) fn end(&self) -> u64 {
        self.request.start.saturating_add(self.request.len as u64)
    }

    /// Offset of the first byte still missing.
    pub(super) fn next(&self) -> u64 {
        self.request.start.saturating_add(self.data.len() as u64)
    }

    pub(super) fn is_full(&self) -> bool {
        self.data.len() >= self.request.len
    }

    /// The bytes that have come so far.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Takes what it wants of `data`, which lies at `position` of the stream.
    pub(super) fn feed(&mut self, position: u64, data: &[u8]) {
        let Some(skip) = self.next().checked_sub(position).and_then(|n| usize::try_from(n).ok()) else {
            return;
        };
        let wanted = self.request.len.saturating_sub(self.data.len());
        let fresh = data.get(skip..).unwrap_or_default();
        let fresh = &fresh[..wanted.min(fresh.len())];
        if self.data.is_empty() && !fresh.is_empty() {
            // once and exactly, because doubling on the way would break the memory bound
            self.data.reserve_exact(self.request.len);
        }
        self.data.extend_from_slice(fresh);
    }

    pub(super) fn held(&self) -> usize {
        self.data.capacity()
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(super) struct Tail(Vec<u8>);

impl Default for Tail {
    fn default() -> Self {
        Self(Vec::with_capacity(2 * TAIL))
    }
}

impl Tail {
    pub(super) fn push(&mut self, data: &[u8]) {
        let fresh = &data[data.len().saturating_sub(TAIL)..];
        let room = (2 * TAIL).saturating_sub(self.0.len());
        // Making room for a whole tail at a time keeps streams of tiny pieces linear.
        if fresh.len() > room {
            self.0.drain(..self.0.len().saturating_sub(TAIL.saturating_sub(fresh.len())));
        }
        self.0.extend_from_slice(fresh);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[self.0.len().saturating_sub(TAIL)..]
    }

    pub(super) fn held(&self) -> usize {
        self.0.capacity()
    }
}

/// All that is known of a stream once it has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) windows: &'a [Window],
    /// The last [`TAIL`] bytes, or all of a shorter stream.
    pub(super) tail: &'a [u8],
    /// Bytes in all.
    pub(super) total: u64,
}

impl<'a> Seen<'a> {
    /// The first [`HEAD`] bytes, or all of a shorter stream.
    pub(super) fn head(&self) -> &'a [u8] {
        self.partial(Part::Head).unwrap_or_default()
    }

    /// A window that was opened, as far as it was filled.
    pub(super) fn partial(&self, part: Part) -> Option<&'a [u8]> {
        self.windows.iter().find(|w| w.part() == part).map(Window::data)
    }

    /// A window that was opened and filled.
    pub(super) fn full(&self, part: Part) -> Option<&'a [u8]> {
        self.windows.iter().find(|w| w.part() == part && w.is_full()).map(Window::data)
    }
}
