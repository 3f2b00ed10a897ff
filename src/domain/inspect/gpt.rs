//! Disks with a partition table: plain MBR, or GPT behind a protective MBR.

use super::Format;
use super::capture::{HEAD, Part, Request, Seen};
use super::fields::Fields;
use super::verdict::{Fault, Match, ensure};

const BOOT_SIGNATURE: u16 = 0xaa55;
const ENTRIES_AT: usize = 446;
const ENTRY: usize = 16;
const PROTECTIVE: u8 = 0xee;
/// Length of a GPT header.
const GPT_HEADER: usize = 92;
/// The most that anybody has to read to know all partitions.
const GPT_TABLE_MAX: u64 = 4 << 20;

/// Where GPT headers can be, by sector size.
pub(super) fn headers(head: &[u8]) -> Vec<Request> {
    if !is_table(head) {
        return Vec::new();
    }
    vec![Request::new(Part::SmallSector, 512, GPT_HEADER), Request::new(Part::LargeSector, 4096, GPT_HEADER)]
}

pub(super) fn examine(seen: &Seen) -> Option<Match> {
    if !is_table(seen.head()) {
        return None;
    }
    // The check that can be switched off comes last, so that it never hides the other one.
    let outcome = [Part::SmallSector, Part::LargeSector]
        .into_iter()
        .filter_map(|part| seen.full(part))
        .try_for_each(check_header)
        .and_then(|()| check_mbr(Fields(seen.head())));
    Match::new(Format::Gpt, outcome.map(|()| seen.total))
}

/// A boot sector of a FAT file system ends like a partition table; number of tables and medium tell them apart.
fn is_table(head: &[u8]) -> bool {
    let is_fat = head.get(0x10) == Some(&2) && head.get(0x15) == Some(&0xf8);
    head.len() == HEAD && Fields(head).le16(510) == Ok(BOOT_SIGNATURE) && !is_fat
}

fn check_mbr(sector: Fields) -> Result<(), Fault> {
    let mut used = Vec::new();
    let mut protective = false;
    for number in 0..4 {
        let entry = Fields(sector.bytes(ENTRIES_AT + number * ENTRY, ENTRY)?);
        let [boot, chs @ .., kind]: [u8; 5] = entry.array(0)?;
        ensure(matches!(boot, 0x00 | 0x80), "mbr", format!("partition {number} has an invalid boot flag"))?;
        if kind != 0 {
            used.push(number);
        }
        if kind == PROTECTIVE {
            protective = true;
            ensure(chs == [0, 2, 0], "mbr", "the protective partition has an invalid start (CHS)")?;
            ensure(entry.le32(8)? == 1, "mbr", "the protective partition has an invalid start (LBA)")?;
        }
    }
    ensure(!used.is_empty(), "mbr", "no partition is defined")?;
    ensure(!protective || used == [0], "mbr", "there are partitions beside the protective one")
}

fn check_header(header: &[u8]) -> Result<(), Fault> {
    if !header.starts_with(b"EFI PART") {
        return Ok(());
    }
    let header = Fields(header);
    let len = header.le32(12)?;
    ensure((GPT_HEADER..=4096).contains(&(len as usize)), "gpt", "the header length is out of range")?;
    let entries = header.le32(80)?;
    let entry = header.le32(84)?;
    ensure(
        entry >= 128 && entry.is_power_of_two() && u64::from(entries) * u64::from(entry) <= GPT_TABLE_MAX,
        "gpt",
        "the partition table is too large",
    )
}
