//! qcow2: a header of big-endian numbers, which name tables elsewhere in the file.
//!
//! Limits are those of QEMU itself, so nothing that it can open is refused for its size. What is refused for
//! safety is every way to name another file.

use super::Format;
use super::capture::Seen;
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const MAGIC: &[u8] = b"QFI\xfb";
/// Length of the header of version 2; shorter content is not qcow2 for anybody.
const HEADER_V2: usize = 72;
/// Least length of the header of version 3.
const HEADER_V3: u32 = 104;

/// Incompatible feature bits: dirty, corrupt, external data file, compression type.
const DATA_FILE: u64 = 1 << 2;
const KNOWN: u64 = 0b1111;

const BACKING_NAME_MAX: u32 = 1023;
const L1_MAX: u64 = 32 << 20;
const REFCOUNT_TABLE_MAX: u64 = 8 << 20;
const SNAPSHOTS_MAX: u32 = 65_536;
/// Fixed part of a snapshot's entry; names and extra data come on top.
const SNAPSHOT_ENTRY: u64 = 40;

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    let head = seen.head();
    if !head.starts_with(MAGIC) || head.len() < HEADER_V2 {
        return None;
    }
    Match::new(Format::Qcow2, check(Fields(head)))
}

fn check(header: Fields) -> Result<u64, Fault> {
    let version = header.be32(4)?;
    ensure(matches!(version, 2 | 3), "version", format!("qcow2 version {version} is not supported"))?;
    if version == 3 {
        check_features(header.be64(72)?)?;
    }
    let name_len = header.be32(16)?;
    ensure(name_len <= BACKING_NAME_MAX, "backing_file", "the name of the backing file is too long")?;
    ensure(header.be64(8)? == 0, "backing_file", "the image has a backing file")?;
    check_sizes(header, version)?;
    header.be64(24)
}

fn check_features(incompatible: u64) -> Result<(), Fault> {
    ensure(incompatible & DATA_FILE == 0, "data_file", "the image has an external data file")?;
    let unknown = incompatible & !KNOWN;
    ensure(
        unknown == 0,
        "unknown_features",
        format!("the incompatible feature bits {unknown:#x} are not supported"),
    )
}

fn check_sizes(header: Fields, version: u32) -> Result<(), Fault> {
    let failed = |reason: &'static str| Fault::failed("sizes", reason);
    let cluster_bits = header.be32(20)?;
    ensure((9..=21).contains(&cluster_bits), "sizes", "the cluster size is out of range")?;
    let cluster = 1_u64 << cluster_bits;

    let mut header_len = HEADER_V2 as u64;
    if version == 3 {
        let len = header.be32(100)?;
        ensure(len >= HEADER_V3 && u64::from(len) <= cluster, "sizes", "the header length is out of range")?;
        ensure(header.be32(96)? <= 6, "sizes", "the refcount width is out of range")?;
        header_len = u64::from(len);
    }

    // An L1 entry covers one L2 table, which is one cluster of entries of 8 bytes.
    let size = header.be64(24)?;
    let covered = cluster * (cluster / 8);
    ensure(
        i64::try_from(size).is_ok() && size.div_ceil(covered) <= L1_MAX / 8,
        "sizes",
        "the virtual size is out of range",
    )?;

    let l1 = u64::from(header.be32(36)?) * 8;
    ensure(l1 <= L1_MAX, "sizes", "the L1 table is too large")?;
    let refcounts = u64::from(header.be32(56)?) * cluster;
    ensure(refcounts <= REFCOUNT_TABLE_MAX, "sizes", "the refcount table is too large")?;
    let snapshots = header.be32(60)?;
    ensure(snapshots <= SNAPSHOTS_MAX, "sizes", "there are too many snapshots")?;

    let tables = [
        Extent::table(header.be64(40)?, l1, cluster),
        Extent::table(header.be64(48)?, refcounts, cluster),
        Extent::table(header.be64(64)?, u64::from(snapshots) * SNAPSHOT_ENTRY, cluster),
    ];
    let mut taken = vec![Extent { start: 0, end: header_len }];
    for table in tables {
        let Some(table) = table.map_err(failed)? else { continue };
        if taken.iter().any(|other| table.start < other.end && other.start < table.end) {
            return Err(failed("tables overlap each other or the header"));
        }
        taken.push(table);
    }
    Ok(())
}

/// Bytes of the file that belong to one structure.
struct Extent {
    start: u64,
    end: u64,
}

impl Extent {
    /// A table of `len` bytes; an empty one is nowhere, whatever its offset says.
    fn table(start: u64, len: u64, cluster: u64) -> Result<Option<Self>, &'static str> {
        if len == 0 {
            return Ok(None);
        }
        if !start.is_multiple_of(cluster) {
            return Err("a table is not aligned to a cluster");
        }
        match start.checked_add(len).filter(|end| i64::try_from(*end).is_ok()) {
            Some(end) => Ok(Some(Self { start, end })),
            None => Err("a table lies beyond any possible end of the file"),
        }
    }
}
