//! Image formats, recognised and checked while the data streams by (images-v2.md §11.5, §11.6).
//!
//! An [`Inspector`] sees every byte of an upload once, in order, and keeps a few small windows of it: the first
//! sector, the places to which headers point, and the end. [`Inspector::finish`] turns them into [`Findings`],
//! and [`Findings::judge`] compares those with what the tenant declared.
//!
//! What must stay true, whatever the content:
//! * the result depends on the concatenated bytes alone, never on how they were cut into pieces;
//! * at most 1 MiB is held per stream, and a piece costs O(1) once the windows around it are settled;
//! * nothing panics, and no length or offset found in the data is used unchecked;
//! * nothing outside the stream is opened, and no other program is run on it.
//!
//! Several formats may match at once. That is how content is hidden from one reader and shown to another, so
//! only the combination that exists in practice (a bootable ISO with a partition table) counts as one format. Of any
//! other the safety checks of every format count, so that none hides what another would be refused for.

mod capture;
mod fields;
mod gpt;
mod iso;
mod luks;
mod qcow2;
mod qed;
#[cfg(any(test, feature = "dev"))]
pub mod samples;
#[cfg(test)]
mod tests;
mod vdi;
mod verdict;
mod vhd;
mod vhdx;
mod vmdk;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use capture::{HEAD, Part, Request, Seen, TAIL, Tail, Window};
pub use verdict::{Fault, Findings, Refusal};

/// A format that can be recognised. Data of none of them is raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// QEMU copy-on-write, all versions.
    Qcow2,
    /// QEMU enhanced disk.
    Qed,
    /// Virtual PC disk.
    Vhd,
    /// Hyper-V disk.
    Vhdx,
    /// VMware disk.
    Vmdk,
    /// VirtualBox disk.
    Vdi,
    /// ISO 9660 or UDF volume.
    Iso,
    /// Disk with a partition table: GPT or plain MBR.
    Gpt,
    /// Encrypted volume.
    Luks,
}

impl Format {
    /// The `disk_format` of such images.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Iso => "iso",
            Self::Gpt => "gpt",
            Self::Luks => "luks",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Watches one stream from its first byte to its last, or as much of it as [`Inspector::wanted`] asks for.
#[derive(Debug)]
pub struct Inspector {
    position: u64,
    windows: Vec<Window>,
    tail: Tail,
}

impl Default for Inspector {
    fn default() -> Self {
        let windows = vec![Window::new(Request::new(Part::Head, 0, HEAD)), Window::new(iso::volume())];
        Self { position: 0, windows, tail: Tail::default() }
    }
}

impl Inspector {
    /// An inspector that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, data: &[u8]) {
        self.tail.push(data);
        let mut rest = data;
        // A full window may ask for another one right behind it, so the piece is cut where windows fill up.
        while !rest.is_empty()
            && let Some(end) = self.windows.iter().filter(|w| !w.is_full()).map(Window::end).min()
        {
            let upto = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(upto.min(rest.len()));
            for window in &mut self.windows {
                window.feed(self.position, now);
            }
            self.position = self.position.saturating_add(now.len() as u64);
            rest = later;
            if self.position == end {
                self.follow(end);
            }
        }
        self.position = self.position.saturating_add(rest.len() as u64);
    }

    /// Where the next bytes lie that matter in a stream of `total` bytes: what comes before them can be left out by
    /// [`Inspector::skip_to`] without changing what is found. None: no more do, and it can be finished.
    pub fn wanted(&self, total: u64) -> Option<Range<u64>> {
        let open = self.windows.iter().filter(|w| !w.is_full() && w.next() < total);
        let end = total.saturating_sub(TAIL as u64)..total;
        let next = open.map(|w| w.next()..w.end()).min_by_key(|range| range.start).unwrap_or(end.clone());
        // the end is kept as a whole, so nothing of it may be left out
        let start = next.start.min(end.start).max(self.position);
        let next = start..next.end.min(total);
        (!next.is_empty()).then_some(next)
    }

    /// Goes on at that offset; the bytes before it are never seen.
    pub fn skip_to(&mut self, position: u64) {
        self.position = self.position.max(position);
        // a window with a gap cannot be filled any more
        self.windows.retain(|window| window.is_full() || window.next() >= self.position);
    }

    /// What the stream turned out to be.
    pub fn finish(self) -> Findings {
        let seen = Seen { windows: &self.windows, tail: self.tail.bytes(), total: self.position };
        let mut matches: Vec<_> = [
            qcow2::examine(&seen),
            qed::examine(&seen),
            vhd::examine(&seen),
            vhdx::examine(&seen),
            vmdk::examine(&seen),
            vdi::examine(&seen),
            iso::examine(&seen),
            luks::examine(&seen),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(table) = gpt::examine(&seen) {
            // The salts of a LUKS header cover the place of the boot signature: one in 65,536 volumes carries it
            // by chance. Beside LUKS only a well-formed table counts.
            if table.outcome.is_ok() || matches.iter().all(|m| m.format != Format::Luks) {
                matches.push(table);
            }
        }
        Findings::new(matches, vhd::trailing_footer(&seen), self.position)
    }

    /// Opens the windows to which those that were just filled point.
    fn follow(&mut self, end: u64) {
        let seen = Seen { windows: &self.windows, tail: &[], total: self.position };
        let mut requests = Vec::new();
        for window in self.windows.iter().filter(|w| w.is_full() && w.end() == end) {
            match window.part() {
                Part::Head => {
                    requests.extend(vmdk::descriptor(seen.head()));
                    requests.extend(vhdx::regions(seen.head()));
                    requests.extend(gpt::headers(seen.head()));
                }
                Part::Regions => requests.extend(vhdx::metadata(window.data())),
                Part::Metadata => requests.extend(vhdx::disk_size(window)),
                Part::Volume | Part::Descriptor | Part::SmallSector | Part::LargeSector | Part::DiskSize => {}
            }
        }
        for request in requests {
            let mut window = Window::new(request);
            if let Some(head) = self.windows.first() {
                window.feed(0, head.data());
            }
            // Bytes gone by cannot be fetched again. The formats refuse offsets that point back; should one slip
            // through, its window stays shut and the part counts as missing.
            if window.next() >= self.position {
                self.windows.push(window);
            }
        }
    }

    /// Bytes of memory held, whatever the length of the stream: what the bound of 1 MiB is tested by.
    pub fn held(&self) -> usize {
        self.windows.iter().map(Window::held).sum::<usize>() + self.tail.held()
    }
}
