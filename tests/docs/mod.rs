//! References in `docs/reference` that are made from the code, and that they are current.
//!
//! `make docs` writes them anew.

mod configuration;
mod metrics;
mod policy;

use std::fs;
use std::path::Path;

/// Holds a page against its file, or writes the file where that is asked for.
fn assert_current(name: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
    if std::env::var_os("VITRINE_WRITE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/reference/{name} is stale: run `make docs`");
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
