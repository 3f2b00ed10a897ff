//! `vitrine dev` as a process.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use vitrine::config::Config;

use crate::support::db::{TestDatabase, test_database};
use crate::support::eventually;
use crate::support::file::ScratchFile;
use crate::support::server::{Running, vitrine};

/// A directory to develop in, with a database from elsewhere.
struct Directory {
    scratch: ScratchFile,
    database: TestDatabase,
}

impl Directory {
    fn command(&self) -> Command {
        let mut command = vitrine(&Config::default(), self.scratch.dir());
        command.arg("dev").current_dir(self.scratch.dir()).env_remove("VITRINE_CONFIG");
        command.env("DATABASE_URL", &self.database.url);
        command
            .envs([("VITRINE__SERVER__BIND", "127.0.0.1:0"), ("VITRINE__SERVER__OPS_BIND", "127.0.0.1:0")]);
        command
    }

    /// Starts one and waits until it serves.
    async fn start(&self) -> Running {
        let log = self.scratch.dir().join("log");
        let file = File::create(&log).unwrap();
        let mut command = self.command();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut running = Running(child);
        eventually("it serves", async || {
            let text = fs::read_to_string(&log).unwrap();
            assert!(running.0.try_wait().unwrap().is_none(), "{text}");
            text.contains("Vitrine serves").then_some(())
        })
        .await;
        running
    }
}

#[tokio::test]
async fn a_second_one_in_the_same_directory_says_so_at_once() {
    let directory = Directory { scratch: ScratchFile::new("unused", ""), database: test_database().await };
    let first = directory.start().await;
    let began = Instant::now();
    let second = directory.command().output().unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    let home = directory.scratch.dir().canonicalize().unwrap().join(".vitrine");
    let expected =
        format!("{} is in use by another `vitrine dev`, process {};", home.display(), first.0.id());
    assert!(told.contains(&expected), "{told}");
    assert!(began.elapsed() < Duration::from_secs(15), "it waited: {:?}", began.elapsed());
    // one that was killed leaves nothing that is in the way
    drop(first);
    directory.start().await;
}
