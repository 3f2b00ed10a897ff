//! The account that PostgreSQL's programs run as.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

/// An unprivileged account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account for the server programs: none (this process's own) unless this process is root.
    pub(super) fn for_server() -> anyhow::Result<Option<Self>> {
        let own = fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid());
        if own != 0 {
            return Ok(None);
        }
        let table = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::parse(&table, name));
        found
            .map(Some)
            .context("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")
    }

    fn parse(table: &str, name: &str) -> Option<Self> {
        table.lines().find_map(|line| {
            let mut fields = line.split(':');
            let matches = fields.next() == Some(name);
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (matches && uid != 0).then(|| Self { name: name.to_owned(), uid, gid })
        })
    }

    /// Whether the account can create files in `dir`: the directories above count as much as its own mode.
    pub(super) fn can_use(&self, dir: &Path) -> bool {
        let mut test = Command::new("/bin/sh");
        test.args(["-c", r#"cd -- "$1" && test -w ."#, "sh"]).arg(dir).current_dir("/");
        test.uid(self.uid).gid(self.gid).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        test.status().is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn account_is_read_from_the_table_and_never_root() {
        let table = "root:x:0:0::/root:/bin/sh\nbroken\npostgres:x:101:104:a,b:/var/lib:/bin/bash\n";
        let account = Account::parse(table, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert_eq!(Account::parse(table, "nobody"), None);
        assert_eq!(Account::parse("postgres:x:0:0:::", "postgres"), None);
    }
}
