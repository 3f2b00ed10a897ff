//! Files that a configuration names.

use std::fs;
use std::path::{Path, PathBuf};

use vitrine::dev::scratch_dir;

/// A file in a directory of its own. Dropping it removes both.
pub struct ScratchFile {
    dir: PathBuf,
    /// The file.
    pub path: PathBuf,
}

impl ScratchFile {
    /// A file called `name` with this text.
    pub fn new(name: &str, text: &str) -> Self {
        let dir = scratch_dir("file").unwrap();
        let file = Self { path: dir.join(name), dir };
        file.write(text);
        file
    }

    /// The name of a file that is not there yet.
    pub fn absent(name: &str) -> Self {
        let dir = scratch_dir("file").unwrap();
        Self { path: dir.join(name), dir }
    }

    /// Removes the file.
    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }

    /// The directory, for files of a test's own.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replaces the text in one step, as a careful operator does.
    pub fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
