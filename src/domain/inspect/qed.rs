//! QED: recognised to be refused. Nobody needs it, and it can name a backing file.

use super::Format;
use super::capture::Seen;
use super::verdict::{Fault, Match};

/// Length of the header up to the name of the backing file.
const HEADER: usize = 64;

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    let head = seen.head();
    if !head.starts_with(b"QED\0") || head.len() < HEADER {
        return None;
    }
    Match::new(Format::Qed, Err(Fault::failed("banned", "this format is not allowed")))
}
