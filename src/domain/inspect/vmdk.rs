//! VMDK: a binary header, and a descriptor of text that says where the data is.
//!
//! The descriptor can name any file of the host that later opens the image. So it is read with suspicion: what
//! is not understood is refused, and so is what another reader could understand differently. Only the two types
//! that keep everything in one file are allowed, with exactly one extent, which is that file.

use super::Format;
use super::capture::{HEAD, Part, Request, Seen, TAIL};
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const MAGIC: &[u8] = b"KDMV";
const HEADER: usize = 64;
const SECTOR: u64 = 512;
/// Descriptors are a few hundred bytes in 10 KiB of space.
const DESCRIPTOR_MAX: usize = 512 << 10;
/// Says that the grain directory is described by a footer.
const AT_END: u64 = u64::MAX;
/// 1 GiB in sectors.
const GRAIN_MAX: u64 = 0x20_0000;
const GRAINS_PER_TABLE_MAX: u32 = 512;
const TABLES_MAX: u64 = 32 << 20;
const FOOTER_MARKER: u32 = 3;
const END_MARKER: u32 = 0;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    capacity: u64,
    grain: u64,
    descriptor_at: u64,
    descriptor_len: u64,
    grains_per_table: u32,
    directory_at: u64,
}

impl Header {
    fn parse(data: &[u8]) -> Result<Self, Fault> {
        let header = Fields(data);
        header.bytes(0, HEADER)?;
        Ok(Self {
            version: header.le32(4)?,
            capacity: header.le64(12)?,
            grain: header.le64(20)?,
            descriptor_at: header.le64(28)?,
            descriptor_len: header.le64(36)?,
            grains_per_table: header.le32(44)?,
            directory_at: header.le64(56)?,
        })
    }

    /// Length of the descriptor in bytes, if it is where it must be and not too large.
    fn descriptor_len(&self) -> Result<usize, Fault> {
        ensure(
            matches!(self.version, 1..=3),
            "version",
            format!("VMDK version {} is not supported", self.version),
        )?;
        ensure(self.descriptor_at == 1, "descriptor", "the descriptor is not in the second sector")?;
        ensure(self.descriptor_len > 0, "descriptor", "there is no descriptor")?;
        let len = self.descriptor_len.checked_mul(SECTOR).and_then(|len| usize::try_from(len).ok());
        len.filter(|len| *len <= DESCRIPTOR_MAX)
            .ok_or_else(|| Fault::failed("descriptor", "the descriptor is too large"))
    }

    fn check_sizes(&self) -> Result<u64, Fault> {
        // Without a capacity of its own, a reader takes the extents from the descriptor and opens them.
        ensure(self.capacity > 0, "sizes", "the header has no capacity")?;
        let size = self.capacity.checked_mul(SECTOR).filter(|size| i64::try_from(*size).is_ok());
        let size = size.ok_or_else(|| Fault::failed("sizes", "the virtual size is out of range"))?;
        ensure(
            self.grain <= GRAIN_MAX && self.grains_per_table <= GRAINS_PER_TABLE_MAX,
            "sizes",
            "the grain size is out of range",
        )?;
        let covered = self.grain * u64::from(self.grains_per_table);
        ensure(
            covered == 0 || self.capacity.div_ceil(covered) <= TABLES_MAX,
            "sizes",
            "the grain directory is too large",
        )?;
        Ok(size)
    }
}

/// Where the descriptor is: behind the header, or all of a file that may be a descriptor alone.
pub(super) fn descriptor(head: &[u8]) -> Option<Request> {
    if head.starts_with(MAGIC) {
        let len = Header::parse(head).ok()?.descriptor_len().ok()?;
        return Some(Request::new(Part::Descriptor, SECTOR, len));
    }
    (!head.contains(&0)).then(|| Request::new(Part::Descriptor, 0, DESCRIPTOR_MAX))
}

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    if seen.head().starts_with(MAGIC) {
        return Match::new(Format::Vmdk, check(seen));
    }
    // Told that it is a VMDK, readers take whatever has no magic for a descriptor, which goes on to the first NUL and may
    // be anything between its lines.
    let text = until_nul(seen.partial(Part::Descriptor).unwrap_or(seen.head()));
    let is_descriptor = starts_with_version(seen.head()) || find_all(text, b"createtype=\"").next().is_some();
    is_descriptor.then_some(())?;
    Match::new(Format::Vmdk, Err(Fault::failed("descriptor", "the descriptor comes without its data")))
}

fn check(seen: &Seen) -> Result<u64, Fault> {
    let header = Header::parse(seen.head())?;
    header.descriptor_len()?;
    let descriptor = seen.full(Part::Descriptor).ok_or(Fault::CUT_SHORT)?;
    check_descriptor(descriptor)?;
    let size = header.check_sizes()?;
    if header.directory_at == AT_END {
        check_footer(&header, seen)?;
    }
    Ok(size)
}

fn check_descriptor(area: &[u8]) -> Result<(), Fault> {
    let failed = |reason: &'static str| Fault::failed("descriptor", reason);
    let text = until_nul(area);
    // Readers go on to the next NUL, even beyond the area.
    ensure(text.len() < area.len(), "descriptor", "the descriptor has no end")?;
    let text = str::from_utf8(text).ok().filter(|text| text.is_ascii());
    let text = text.ok_or_else(|| failed("the descriptor is not text"))?;

    // Some readers take the first occurrence of a key, wherever it stands and however it is spelt.
    ensure(
        find_all(text.as_bytes(), b"parentfilenamehint").next().is_none(),
        "backing_file",
        "the descriptor names a parent disk",
    )?;
    ensure(
        find_all(text.as_bytes(), b"createtype").nth(1).is_none(),
        "descriptor",
        "the descriptor has several createType",
    )?;

    let mut create_type = None;
    let mut extents = 0_u32;
    for line in text.split('\n').map(str::trim_ascii) {
        let is_ignored = line.is_empty() || line.starts_with('#') || starts_with(line, "ddb");
        if is_ignored {
            continue;
        }
        match line.split_once('=') {
            Some((key, value))
                if !key.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()) =>
            {
                if key.eq_ignore_ascii_case("createtype") {
                    create_type = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                }
            }
            _ => {
                check_extent(line)?;
                extents += 1;
            }
        }
    }
    let is_allowed = |kind: &str| {
        ["monolithicSparse", "streamOptimized"].iter().any(|allowed| kind.eq_ignore_ascii_case(allowed))
    };
    ensure(create_type.is_some_and(is_allowed), "descriptor", "the createType is not allowed")?;
    ensure(extents > 0, "descriptor", "the descriptor names no extent")?;
    ensure(extents == 1, "descriptor", "the descriptor names extra extents")
}

fn check_extent(line: &str) -> Result<(), Fault> {
    let mut words = line.split_ascii_whitespace();
    let access = words.next().unwrap_or_default();
    ensure(
        ["rw", "rdonly", "noaccess"].iter().any(|known| access.eq_ignore_ascii_case(known)),
        "descriptor",
        "the descriptor has a line that is not understood",
    )?;
    ensure(!line.contains(['/', '\\']), "descriptor", "an extent has a path")?;
    ensure(
        words.nth(1).is_some_and(|kind| kind.eq_ignore_ascii_case("sparse")),
        "descriptor",
        "an extent is not sparse",
    )
}

/// The footer takes the place of the header for those who read it, so it must say the same.
fn check_footer(header: &Header, seen: &Seen) -> Result<(), Fault> {
    let tail = Fields(seen.tail);
    let (marker, footer, end) =
        (tail.bytes(0, HEAD)?, tail.bytes(HEAD, HEAD)?, tail.bytes(TAIL - HEAD, HEAD)?);
    ensure(is_marker(marker, FOOTER_MARKER)?, "footer", "the footer marker is malformed")?;
    ensure(
        is_marker(end, END_MARKER)? && end.iter().all(|byte| *byte == 0),
        "footer",
        "the end-of-stream marker is malformed",
    )?;
    let copy = Header::parse(footer)?;
    ensure(copy.directory_at != AT_END, "footer", "the footer names another footer")?;
    ensure(
        footer.starts_with(MAGIC) && Header { directory_at: AT_END, ..copy } == *header,
        "footer",
        "footer and header differ",
    )
}

/// A marker: a number, no data, its type, and nothing else in the sector.
fn is_marker(sector: &[u8], kind: u32) -> Result<bool, Fault> {
    let fields = Fields(sector);
    Ok(fields.le32(8)? == 0 && fields.le32(12)? == kind && sector.iter().skip(16).all(|byte| *byte == 0))
}

/// Whether the first line that is neither blank nor a comment gives a version, by which QEMU knows descriptors.
fn starts_with_version(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#")).unwrap_or_default();
    matches!(first, b"version=1" | b"version=2" | b"version=3")
}

fn starts_with(line: &str, prefix: &str) -> bool {
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn until_nul(data: &[u8]) -> &[u8] {
    data.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Every place of `text` at which `lower` stands, in letters of either case.
fn find_all(text: &[u8], lower: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(lower.len())
        .enumerate()
        .filter(|(_, word)| word.eq_ignore_ascii_case(lower))
        .map(|(at, _)| at)
}
