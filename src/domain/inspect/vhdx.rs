//! VHDX: the size of the disk is three steps away from the start.
//!
//! The region table at 192 KiB names the metadata region, whose table names the item that holds the size. Each
//! step leads forward, as the format demands; an image in which one leads back is refused, because bytes gone by
//! cannot be read again.

use super::Format;
use super::capture::{Part, Request, Seen, Window};
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const SIGNATURE: &[u8] = b"vhdxfile";
const REGIONS_AT: u64 = 192 << 10;
/// Length of the region table and of the metadata table.
const TABLE: usize = 64 << 10;
const ENTRIES_MAX: usize = 2047;
/// Before this offset there are headers only.
const REGION_MIN: u64 = 1 << 20;
/// 64 TiB, the limit of the format.
const SIZE_MAX: u64 = 64 << 40;

// Identifiers as they stand in the file: the first three groups are little-endian.
/// 8B7CA206-4790-4B9A-B8FE-575F050F886E
pub(super) const METADATA_REGION: [u8; 16] =
    [0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e];
/// 2FA54224-CD1B-4876-B211-5DBED83BF4B8
pub(super) const DISK_SIZE_ITEM: [u8; 16] =
    [0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8];
/// A8D35F2D-B30B-454D-ABF7-D3D84834AB0C
pub(super) const PARENT_LOCATOR_ITEM: [u8; 16] =
    [0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c];

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    seen.head().starts_with(SIGNATURE).then_some(())?;
    Match::new(Format::Vhdx, check(seen))
}

/// Where the region table is.
pub(super) fn regions(head: &[u8]) -> Option<Request> {
    head.starts_with(SIGNATURE).then(|| Request::new(Part::Regions, REGIONS_AT, TABLE))
}

/// Where the metadata table is, according to the region table.
pub(super) fn metadata(regions: &[u8]) -> Option<Request> {
    Some(Request::new(Part::Metadata, find_metadata(regions).ok()?, TABLE))
}

/// Where the size of the disk is, according to the metadata table.
pub(super) fn disk_size(metadata: &Window) -> Option<Request> {
    let offset = find_disk_size(metadata.data()).ok()?;
    Some(Request::new(Part::DiskSize, metadata.start().checked_add(offset)?, 8))
}

fn check(seen: &Seen) -> Result<u64, Fault> {
    find_metadata(seen.full(Part::Regions).ok_or(Fault::CUT_SHORT)?)?;
    find_disk_size(seen.full(Part::Metadata).ok_or(Fault::CUT_SHORT)?)?;
    let size = Fields(seen.full(Part::DiskSize).ok_or(Fault::CUT_SHORT)?).le64(0)?;
    ensure(size <= SIZE_MAX, "sizes", "the virtual size is out of range")?;
    Ok(size)
}

/// Offset of the metadata region in the file.
fn find_metadata(regions: &[u8]) -> Result<u64, Fault> {
    if !regions.starts_with(b"regi") {
        return Err(Fault::unreadable("the region table is missing"));
    }
    let regions = Fields(regions);
    let entry = find(regions, 16, regions.le32(8)?, &METADATA_REGION)?
        .ok_or_else(|| Fault::unreadable("the metadata region is missing"))?;
    let offset = regions.le64(entry + 16)?;
    let end = offset.checked_add(REGION_MIN + u64::from(u32::MAX));
    ensure(
        offset >= REGION_MIN && end.is_some_and(|end| i64::try_from(end).is_ok()),
        "sizes",
        "the metadata region is out of range",
    )?;
    Ok(offset)
}

/// Offset of the size of the disk in the metadata region.
fn find_disk_size(metadata: &[u8]) -> Result<u64, Fault> {
    if !metadata.starts_with(b"metadata") {
        return Err(Fault::unreadable("the metadata table is missing"));
    }
    let metadata = Fields(metadata);
    let count = u32::from(metadata.le16(10)?);
    let parent = find(metadata, 32, count, &PARENT_LOCATOR_ITEM)?;
    ensure(parent.is_none(), "backing_file", "the disk needs a parent disk")?;
    let entry = find(metadata, 32, count, &DISK_SIZE_ITEM)?
        .ok_or_else(|| Fault::unreadable("the size of the disk is missing"))?;
    let offset = metadata.le32(entry + 16)?;
    ensure(
        offset as usize >= TABLE && metadata.le32(entry + 20)? == 8,
        "sizes",
        "the item with the size of the disk is out of range",
    )?;
    Ok(u64::from(offset))
}

/// Offset of the entry with that identifier; both tables consist of entries of 32 bytes behind a header.
fn find(table: Fields, first: usize, count: u32, id: &[u8; 16]) -> Result<Option<usize>, Fault> {
    let count = count as usize;
    ensure(count <= ENTRIES_MAX, "sizes", "a table has too many entries")?;
    for at in (first..).step_by(32).take(count) {
        if table.bytes(at, 16)? == id {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
