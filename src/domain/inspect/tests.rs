use super::*;

mod hostile;
mod properties;
mod table;

/// The findings on `data`, pushed in pieces of `piece` bytes.
fn inspect_in(data: &[u8], piece: usize) -> Findings {
    let mut inspector = Inspector::new();
    data.chunks(piece).for_each(|piece| inspector.push(piece));
    inspector.finish()
}

fn inspect(data: &[u8]) -> Findings {
    inspect_in(data, usize::MAX)
}

/// The text of the refusal.
fn refusal(data: &[u8], disk_format: &str, require_match: bool) -> String {
    inspect(data).judge(disk_format, require_match).expect_err("refused").to_string()
}
