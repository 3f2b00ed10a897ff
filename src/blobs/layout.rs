//! How an object is cut into parts.
//!
//! Limits of S3: parts of 5 MiB to 5 GiB (the last may be smaller), at most 10,000 of them.

use super::{Error, ErrorKind, Result};

const MIB: u64 = 1 << 20;

/// Part size where the configuration names none.
pub const DEFAULT_PART_SIZE: u64 = 16 * MIB;

/// Smallest part that need not be the last.
pub(super) const MIN_PART_SIZE: u64 = 5 * MIB;

/// Largest part we make: it must fit into memory.
pub(super) const MAX_PART_SIZE: u64 = 1024 * MIB;

/// Most parts of one object.
pub(super) const MAX_PARTS: usize = 10_000;

/// Parts aimed at when the length is known: below the limit, as rounding and repetition need room.
const PLANNED_PARTS: u64 = 9_500;

/// Without a length the part size doubles after this many parts …
const GROWTH_PARTS: usize = 1_000;

/// … up to this: 0.96 TiB in 10,000 parts.
const GROWTH_LIMIT: u64 = 128 * MIB;

/// Part sizes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    part_size: u64,
    grows: bool,
    length: Option<u64>,
}

impl Layout {
    /// The layout of an object of `length` bytes, where known.
    ///
    /// # Errors
    /// `Full` when no layout can hold that many bytes.
    pub fn new(part_size: u64, equal_parts: bool, length: Option<u64>) -> Result<Self> {
        let configured = part_size.max(MIN_PART_SIZE).next_multiple_of(MIB);
        let part_size = match length {
            Some(length) => configured.max(length.div_ceil(PLANNED_PARTS).next_multiple_of(MIB)),
            None => configured,
        };
        if part_size > MAX_PART_SIZE {
            return Err(Error::new(ErrorKind::Full, "layout"));
        }
        Ok(Self { part_size, grows: length.is_none() && !equal_parts, length })
    }

    /// Bytes announced for the whole object.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes of the first buffer, in whole MiB: a part, or the whole object where it is smaller.
    pub(super) fn first_part(&self) -> u64 {
        match self.length {
            Some(length) => self.part_size.min(length.max(1).next_multiple_of(MIB)),
            None => self.part_size,
        }
    }

    /// Whether the object is known to need one buffer only.
    pub(super) fn fits_one_part(&self) -> bool {
        self.length.is_some_and(|length| length <= self.part_size)
    }

    /// Bytes wanted for the part after `sent` others.
    pub(super) fn part_after(&self, sent: usize) -> u64 {
        if !self.grows {
            return self.first_part();
        }
        let doublings = u32::try_from(sent / GROWTH_PARTS).unwrap_or(u32::MAX).min(16);
        (self.part_size << doublings).min(GROWTH_LIMIT.max(self.part_size))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TIB: u64 = 1 << 40;

    #[test]
    fn known_lengths_fit_into_ten_thousand_parts() {
        for length in [0, 1, 16 * MIB, 150 << 30, TIB, 5 * TIB] {
            let layout = Layout::new(DEFAULT_PART_SIZE, false, Some(length)).unwrap();
            assert!(length.div_ceil(layout.part_after(0)) <= MAX_PARTS as u64, "{length}");
            assert_eq!(layout.part_after(0), layout.part_after(9_999), "equal parts");
            assert_eq!(layout.part_after(0) % MIB, 0);
        }
        assert_eq!(Layout::new(DEFAULT_PART_SIZE, false, Some(TIB)).unwrap().first_part(), 111 * MIB);
    }

    #[test]
    fn what_cannot_fit_is_refused_early() {
        let error = Layout::new(DEFAULT_PART_SIZE, false, Some(48 * TIB)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full);
    }

    #[test]
    fn unknown_lengths_grow() {
        let layout = Layout::new(DEFAULT_PART_SIZE, false, None).unwrap();
        let total: u64 = (0..MAX_PARTS).map(|sent| layout.part_after(sent)).sum();
        assert!(total * 100 > TIB * 95, "{total}");
        assert_eq!(layout.part_after(999), 16 * MIB);
        assert_eq!(layout.part_after(1_000), 32 * MIB);
        assert_eq!(layout.part_after(9_999), 128 * MIB);
    }

    #[test]
    fn equal_parts_stay_equal() {
        let layout = Layout::new(DEFAULT_PART_SIZE, true, None).unwrap();
        assert_eq!(layout.part_after(9_999), layout.part_after(0));
    }

    #[test]
    fn sizes_are_whole_mebibytes_of_at_least_five() {
        assert_eq!(Layout::new(1, false, None).unwrap().first_part(), 5 * MIB);
        assert_eq!(Layout::new(6_000_000, false, None).unwrap().first_part(), 6 * MIB);
        assert_eq!(Layout::new(1, false, Some(3)).unwrap().first_part(), MIB);
    }
}
