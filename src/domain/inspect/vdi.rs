//! VDI: one header of little-endian numbers behind a line of text.

use super::Format;
use super::capture::{HEAD, Seen};
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const SIGNATURE_AT: usize = 0x40;
const SIGNATURE: u32 = 0xbeda_107f;
/// The most blocks that the block map can have.
const BLOCKS_MAX: u32 = 0x3fff_ffff;

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    let header = Fields(seen.head());
    if seen.head().len() < HEAD || header.le32(SIGNATURE_AT) != Ok(SIGNATURE) {
        return None;
    }
    Match::new(Format::Vdi, check(header))
}

fn check(header: Fields) -> Result<u64, Fault> {
    let size = header.le64(0x170)?;
    let block = u64::from(header.le32(0x178)?);
    let blocks = header.le32(0x180)?;
    ensure(blocks <= BLOCKS_MAX, "sizes", "the block map is too large")?;
    ensure(
        i64::try_from(size).is_ok() && i64::try_from(block * u64::from(blocks)).is_ok(),
        "sizes",
        "the virtual size is out of range",
    )?;
    Ok(size)
}
