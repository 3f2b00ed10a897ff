//! ISO 9660 and UDF: the first volume descriptor follows 32 KiB that belong to nobody.

use super::Format;
use super::capture::{Part, Request, Seen};
use super::fields::Fields;
use super::verdict::{Fault, Match};

const PRIMARY: u8 = 1;

/// Where the first volume descriptor is.
pub(super) fn volume() -> Request {
    Request::new(Part::Volume, 32 << 10, 2 << 10)
}

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    let volume = Fields(seen.full(Part::Volume)?);
    let id: [u8; 5] = volume.array(1).ok()?;
    [b"CD001", b"NSR02", b"NSR03"].contains(&&id).then_some(())?;
    Match::new(Format::Iso, size(volume))
}

/// Blocks × block size; each number is stored in both byte orders, the little-endian one first.
fn size(volume: Fields) -> Result<u64, Fault> {
    if volume.array(0)? != [PRIMARY] {
        return Ok(0);
    }
    Ok(u64::from(volume.le32(80)?) * u64::from(volume.le16(128)?))
}
