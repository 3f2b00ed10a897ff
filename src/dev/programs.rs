//! Finding the installed PostgreSQL server programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

/// Oldest major version that the schema and the statements work with.
const OLDEST: u32 = 14;

/// Directory with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    version: u32,
    dir: PathBuf,
}

impl Programs {
    /// The newest installed programs, or those of `version`, which is that of existing data.
    pub(super) fn find(version: Option<u32>) -> anyhow::Result<Self> {
        let mut found: Vec<Self> = candidates().iter().filter_map(|dir| Self::inspect(dir)).collect();
        found.sort_by_key(|programs| std::cmp::Reverse(programs.version));
        let chosen = match version {
            None => found.first().filter(|programs| programs.version >= OLDEST),
            Some(version) => found.iter().find(|programs| programs.version == version),
        };
        match (chosen, version, found.first()) {
            (Some(programs), ..) => Ok(programs.clone()),
            (None, Some(version), _) => bail!(
                "the data was made by PostgreSQL {version}, whose server programs are not installed: \
                 `apt-get install postgresql-{version}`, or remove the data"
            ),
            (None, None, Some(old)) => bail!(
                "PostgreSQL {} is installed, {OLDEST} or later is needed: `apt-get install postgresql`",
                old.version
            ),
            (None, None, None) => bail!(
                "the PostgreSQL server programs are not installed: `apt-get install postgresql` \
                 (or set DATABASE_URL to use a server of your own)"
            ),
        }
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    fn inspect(dir: &Path) -> Option<Self> {
        // initdb looks for its siblings where it really lies
        let dir = dir.join("postgres").canonicalize().ok()?.parent()?.to_owned();
        if !dir.join("initdb").exists() {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let version = major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { version, dir })
    }
}

/// `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)` → 15
fn major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn candidates() -> BTreeSet<PathBuf> {
    let mut dirs = BTreeSet::new();
    for (parent, stem) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/usr/local", "pgsql")] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(stem) {
                dirs.insert(entry.path().join("bin"));
            }
        }
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.insert(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    dirs.retain(|dir| dir.join("postgres").exists());
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_of_every_spelling() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("something else"), None);
    }
}
