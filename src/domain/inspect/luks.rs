//! LUKS: a header with the keys, and behind it the encrypted volume.

use super::Format;
use super::capture::Seen;
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

/// Length of the header with all its key slots.
const HEADER: u64 = 592;

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    seen.head().starts_with(b"LUKS\xba\xbe").then_some(())?;
    Match::new(Format::Luks, check(seen))
}

fn check(seen: &Seen) -> Result<u64, Fault> {
    let header = Fields(seen.head());
    let version = header.be16(6)?;
    ensure(version == 1, "version", format!("LUKS version {version} is not supported"))?;
    if seen.total < HEADER {
        return Err(Fault::CUT_SHORT);
    }
    // In a header alone there is no volume.
    Ok(seen.total.saturating_sub(u64::from(header.be32(104)?) * 512))
}
