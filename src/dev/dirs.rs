//! Directories of the development services.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::account::Account;

/// Where data goes that `account` cannot reach where it was asked for. Unlike `/var/tmp`, nothing ages out of it,
/// and only root, the one caller with an account, can put anything there.
const ELSEWHERE: &str = "/var/lib";

/// Makes sure that `dir` exists and that `account` alone can use it. Where the account cannot reach it, `dir`
/// becomes a link to a directory in [`ELSEWHERE`]. Returns the directory itself, absolute and without links.
pub(super) fn private_dir(dir: &Path, account: Option<&Account>) -> anyhow::Result<PathBuf> {
    let existed = dir.exists();
    if !existed {
        // a link whose target has been cleaned away
        let _ = fs::remove_file(dir);
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        create(dir)?;
    }
    let real = dir.canonicalize().with_context(|| format!("cannot use {}", dir.display()))?;
    match account {
        Some(account) if !is_handed_over(&real, account)? => {
            ensure!(!existed, "account `{}` cannot use {}; remove it", account.name, real.display());
            elsewhere(dir, &real, account)
        }
        _ => Ok(real),
    }
}

/// Replaces the new, empty directory `dir` by a link into [`ELSEWHERE`].
fn elsewhere(dir: &Path, real: &Path, account: &Account) -> anyhow::Result<PathBuf> {
    let digest = hex::encode(Sha256::digest(real.as_os_str().as_encoded_bytes()));
    let target = Path::new(ELSEWHERE).join(format!("vitrine-dev-{}", &digest[..16]));
    match fs::symlink_metadata(&target) {
        // left by an earlier `dir` of this name, which is gone
        Ok(old) if old.is_dir() && old.uid() == account.uid => {
            fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
        }
        Ok(_) => bail!("{} is in the way; remove it", target.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", target.display())),
    }
    create(&target)?;
    ensure!(is_handed_over(&target, account)?, "account `{}` cannot use {}", account.name, target.display());
    fs::remove_dir(dir).with_context(|| format!("cannot replace {}", dir.display()))?;
    symlink(&target, dir).with_context(|| format!("cannot link {}", dir.display()))?;
    Ok(target)
}

/// Fails if anything of that name exists, so that nobody's link or directory is taken over.
fn create(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// Gives `dir` to `account`, and tells whether the account can reach it.
fn is_handed_over(dir: &Path, account: &Account) -> anyhow::Result<bool> {
    chown(dir, Some(account.uid), Some(account.gid))
        .with_context(|| format!("cannot hand {} to account `{}`", dir.display(), account.name))?;
    Ok(account.can_use(dir))
}

/// A new temporary directory named after `purpose` and this process, after removing those of processes that
/// are gone. Where `account` is given it can use the directory, otherwise this process's own account.
pub(super) fn scratch_dir(purpose: &str, account: Option<&Account>) -> anyhow::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let stem = format!("vitrine-{purpose}-");
    let mut failure = None;
    for parent in [std::env::temp_dir(), PathBuf::from("/var/tmp")] {
        remove_left_over(&parent, &stem);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("{stem}{}-{number}", std::process::id()));
        match remove_dir(&dir).and_then(|()| create(&dir)) {
            Ok(()) if account.map_or(Ok(true), |account| is_handed_over(&dir, account))? => return Ok(dir),
            Ok(()) => remove_dir(&dir)?,
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("no directory for temporary files")))
}

fn remove_left_over(parent: &Path, stem: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(stem)?.split('-').next());
        let gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
        if owner.and_then(|pid| pid.parse().ok()).is_some_and(gone) {
            // somebody else's cannot be removed, nor need it be
            let _ = remove_dir(&entry.path());
        }
    }
}

/// Removes a directory tree; a missing one is as good as removed.
pub(super) fn remove_dir(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn directories_of_processes_that_are_gone_are_removed() {
        let own = scratch_dir("scratch", None).unwrap();
        // process ids end far below this one
        let left = own.parent().unwrap().join("vitrine-scratch-4194304999-0");
        let other = own.parent().unwrap().join("vitrine-scratch-notes");
        fs::create_dir_all(&left).unwrap();
        fs::create_dir_all(&other).unwrap();
        let second = scratch_dir("scratch", None).unwrap();
        assert!(!left.exists());
        for dir in [&own, &other, &second] {
            assert!(dir.exists());
            remove_dir(dir).unwrap();
        }
    }
}
