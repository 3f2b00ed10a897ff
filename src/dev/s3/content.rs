//! Content on its way into files and out of them.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use s3s::S3Result;

use super::files::internal;

/// A file that is being written; dropping it removes the file unless it was published.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: PathBuf,
}

impl Draft {
    pub(super) fn publish(self, path: &Path) -> S3Result<()> {
        fs::rename(&self.path, path).map_err(internal)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Size and MD5 of content as it passes.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    pub(super) size: u64,
    md5: Md5,
}

impl Content {
    pub(super) fn update(&mut self, chunk: &[u8]) {
        self.size += chunk.len() as u64;
        self.md5.update(chunk);
    }

    pub(super) fn md5(&self) -> Vec<u8> {
        self.md5.clone().finalize().to_vec()
    }

    pub(super) fn etag(&self) -> String {
        hex::encode(self.md5())
    }
}

/// Reads the content files of an object one after the other.
#[derive(Debug)]
pub(super) struct Reader {
    dir: PathBuf,
    segments: VecDeque<(String, u64)>,
    file: Option<File>,
    /// Bytes to pass over before the first one.
    skip: u64,
    left: u64,
}

impl Reader {
    const CHUNK: u64 = 512 << 10;

    /// Reads `range` of the files in `dir` with these names and sizes.
    pub(super) fn open(dir: PathBuf, segments: Vec<(String, u64)>, range: Range<u64>) -> io::Result<Self> {
        let left = range.end - range.start;
        let mut reader = Self { dir, segments: segments.into(), file: None, skip: range.start, left };
        // what is open already survives a deletion while it is read, as it does in other stores
        reader.open_next()?;
        Ok(reader)
    }

    /// The next bytes, or nothing at the end of the range.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.left > 0 {
            if self.file.is_none() {
                self.open_next()?;
            }
            let Some(file) = &mut self.file else { return Err(ErrorKind::UnexpectedEof.into()) };
            let mut chunk = Vec::new();
            file.take(Self::CHUNK.min(self.left)).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                self.file = None;
            } else {
                self.left -= chunk.len() as u64;
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Opens the next content file that holds a byte of the range.
    fn open_next(&mut self) -> io::Result<()> {
        while let Some((name, size)) = self.segments.pop_front() {
            if self.skip < size {
                let mut file = File::open(self.dir.join(name))?;
                file.seek(SeekFrom::Start(self.skip))?;
                self.skip = 0;
                self.file = Some(file);
                break;
            }
            self.skip -= size;
        }
        Ok(())
    }
}
