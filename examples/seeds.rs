//! Writes the seeds of the fuzz target `inspect`: every sample as a script (fuzz/src/script.rs), so that a header at
//! 1 MiB takes a few bytes. `cargo run --example seeds` renews them after a change of the samples.

use std::io;
use std::path::Path;

use vitrine::domain::inspect::samples;

/// Zeros that are worth a record of their own.
const GAP: usize = 8;
/// Longest data of one record.
const DATA_MAX: usize = u16::MAX as usize;
/// Longest gap of one record.
const GAP_MAX: usize = (1 << 24) - 1;
/// Pieces of the first seeds: odd sizes, tails of a VMDK, sectors, single bytes.
const CUTS: [&[u8]; 4] = [&[1, 0, 127, 135], &[151], &[], &[130, 1]];

fn main() -> io::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/inspect");
    std::fs::create_dir_all(&dir)?;
    for (sample, cuts) in samples::valid().iter().chain(&samples::hostile()).zip(CUTS.iter().cycle()) {
        std::fs::write(dir.join(sample.name.replace(' ', "-")), script(&sample.data, cuts))?;
    }
    Ok(())
}

fn script(image: &[u8], cuts: &[u8]) -> Vec<u8> {
    let mut script = vec![u8::try_from(cuts.len()).unwrap_or_default()];
    script.extend(cuts);
    let mut rest = image;
    while !rest.is_empty() {
        let gap = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len()).min(GAP_MAX);
        rest = &rest[gap..];
        let end = rest.windows(GAP).position(|run| run.iter().all(|byte| *byte == 0)).unwrap_or(rest.len());
        let (data, more) = rest.split_at(end.min(DATA_MAX));
        rest = more;
        script.extend(&(gap as u32).to_le_bytes()[..3]);
        script.extend((data.len() as u16).to_le_bytes());
        script.extend(data);
    }
    script
}
