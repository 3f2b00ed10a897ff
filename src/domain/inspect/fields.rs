//! Numbers at fixed places of a header. A header that ends too early is a fault, not a panic.

use super::verdict::Fault;

/// The bytes of a header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The `N` bytes at `at`.
    pub(super) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Fault> {
        self.bytes(at, N)?.try_into().map_err(|_| Fault::CUT_SHORT)
    }

    /// The `len` bytes at `at`.
    pub(super) fn bytes(self, at: usize, len: usize) -> Result<&'a [u8], Fault> {
        let end = at.checked_add(len).ok_or(Fault::CUT_SHORT)?;
        self.0.get(at..end).ok_or(Fault::CUT_SHORT)
    }

    pub(super) fn be16(self, at: usize) -> Result<u16, Fault> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn be32(self, at: usize) -> Result<u32, Fault> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn be64(self, at: usize) -> Result<u64, Fault> {
        self.array(at).map(u64::from_be_bytes)
    }

    pub(super) fn le16(self, at: usize) -> Result<u16, Fault> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn le32(self, at: usize) -> Result<u32, Fault> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn le64(self, at: usize) -> Result<u64, Fault> {
        self.array(at).map(u64::from_le_bytes)
    }
}
