//! VHD: a footer of 512 bytes at the end, of which growing disks keep a copy at the start.
//!
//! A fixed disk has no copy: it is a raw disk with a footer behind it. Such an end is a finding of its own, which
//! only counts when `vhd` was declared ([`trailing_footer`]).

use super::Format;
use super::capture::Seen;
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const COOKIE: &[u8] = b"conectix";
const FOOTER: usize = 512;
const FIXED: u32 = 2;
const DIFFERENCING: u32 = 4;
/// 2040 GiB, the most that the block table of the format can describe.
const SIZE_MAX: u64 = 0xff00_0000 * 512;

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    let head = seen.head();
    if !head.starts_with(COOKIE) {
        return None;
    }
    Match::new(Format::Vhd, if head.len() < FOOTER { Err(Fault::CUT_SHORT) } else { check(Fields(head)) })
}

/// Virtual size of a fixed disk whose footer ends the stream.
///
/// Eight bytes of cookie are little evidence after terabytes of arbitrary data, so all of the footer must agree:
/// version, kind, checksum, and a size that fits what precedes it.
pub(super) fn trailing_footer(seen: &Seen) -> Option<u64> {
    let footer = seen.tail.get(seen.tail.len().checked_sub(FOOTER)?..)?;
    let fields = Fields(footer);
    let is_footer = footer.starts_with(COOKIE)
        && fields.be32(12).ok()? == 0x0001_0000
        && fields.be64(16).ok()? == u64::MAX
        && fields.be32(60).ok()? == FIXED
        && fields.be32(64).ok()? == checksum(footer);
    let size = check(fields).ok()?;
    (is_footer && size > 0 && size <= seen.total.checked_sub(FOOTER as u64)?).then_some(size)
}

fn check(footer: Fields) -> Result<u64, Fault> {
    ensure(footer.be32(60)? != DIFFERENCING, "backing_file", "the disk needs a parent disk")?;
    // The size at creation comes first, the current one after it. They differ once a disk was resized; writers
    // that do not care leave the second one empty.
    let size = match footer.be64(48)? {
        0 => footer.be64(40)?,
        current => current,
    };
    ensure(size <= SIZE_MAX, "sizes", "the virtual size is out of range")?;
    Ok(size)
}

/// One's complement of the sum of all bytes but those of the checksum itself.
pub(super) fn checksum(footer: &[u8]) -> u32 {
    let bytes = footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at));
    !bytes.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}
