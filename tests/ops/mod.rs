//! The binary as operators meet it: subcommands, signals, the operators' port, and logs.

mod adopt;
mod check;
mod commands;
mod dev;
mod expiry;
mod health;
mod ledger;
mod logs;
mod metadefs;
mod reload;
mod rotation;
mod schema;
mod serving;
mod traces;

use std::process::Output;

use vitrine::config::Config;

use crate::support::file::ScratchFile;
use crate::support::server::vitrine;

/// A command that has ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "out: {}\nerr: {}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs `vitrine <arguments>` with `config` to its end.
fn run(config: &Config, arguments: &[&str]) -> Ended {
    run_with_env(config, arguments, &[])
}

fn run_with_env(config: &Config, arguments: &[&str], env: &[(&str, &str)]) -> Ended {
    let scratch = ScratchFile::new("unused", "");
    let mut command = vitrine(config, scratch.dir());
    Ended::of(&command.args(arguments).envs(env.iter().copied()).output().unwrap())
}
