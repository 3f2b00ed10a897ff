//! The real binary on free ports of loopback.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};
use vitrine::config::Config;
use vitrine::dev::scratch_dir;

use super::eventually;

/// `vitrine serve` as a process of its own. Dropping it kills it.
pub struct Server {
    /// Address of the Images API.
    pub api: SocketAddr,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    pub ops: SocketAddr,
    config: Config,
    env: Vec<(String, String)>,
    dir: PathBuf,
    child: Child,
}

/// A signal of POSIX.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Ends the process at once.
    Kill,
    /// Asks it to end.
    Term,
    /// Stops it where it is.
    Stop,
    /// Lets it go on.
    Cont,
    /// Has it read its files again.
    Hup,
}

impl Server {
    /// Starts a server and waits until it is ready; `config` may leave the addresses to this function.
    pub async fn start(config: &Config) -> Self {
        Self::start_with_env(config, &[]).await
    }

    /// As [`Server::start`], with more variables in the environment.
    pub async fn start_with_env(config: &Config, env: &[(&str, &str)]) -> Self {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // a free port may be gone by the time the server binds it
        let mut failure = String::new();
        for _ in 0..3 {
            let mut config = config.clone();
            [config.server.bind, config.server.ops_bind] = free_addresses();
            match Self::launch(config, env.clone()).await {
                Ok(server) => return server,
                Err(log) => failure = log,
            }
        }
        panic!("the server does not start:\n{failure}")
    }

    async fn launch(config: Config, env: Vec<(String, String)>) -> Result<Self, String> {
        let dir = scratch_dir("server").unwrap();
        let child = spawn(&config, &env, &dir);
        let (api, ops) = (config.server.bind, config.server.ops_bind);
        let mut server = Self { api, ops, config, env, dir, child };
        server.await_ready().await.map(|()| server)
    }

    /// Starts the server again on its addresses, after [`Server::signal`] ended it, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.wait().await;
        self.child = spawn(&self.config, &self.env, &self.dir);
        if let Err(log) = self.await_ready().await {
            panic!("the server does not start again:\n{log}");
        }
    }

    async fn await_ready(&mut self) -> Result<(), String> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let url = format!("http://{}/readyz", self.ops);
        let ended = eventually("the server is ready", async || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(true);
            }
            let ready = client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            ready.then_some(false)
        });
        if ended.await { Err(self.log()) } else { Ok(()) }
    }

    /// URL of a path of the Images API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api)
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Kill => "-KILL",
            Signal::Term => "-TERM",
            Signal::Stop => "-STOP",
            Signal::Cont => "-CONT",
            Signal::Hup => "-HUP",
        };
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "cannot signal the server");
    }

    /// Kills the process and waits for its end.
    pub async fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.wait().await;
    }

    /// Asks the process to end and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::Term);
        self.wait().await
    }

    /// Waits for the end of the process.
    pub async fn wait(&mut self) -> ExitStatus {
        eventually("the server ends", async || self.child.try_wait().unwrap()).await
    }

    /// Whether the process has ended, for instance at an armed fault point.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS")
    }

    /// Highest resident memory so far, in bytes.
    pub fn peak_resident(&self) -> u64 {
        self.memory("VmHWM")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What the process logged since it was started last.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the server at {}:\n{}", self.api, self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A process that is killed when this is dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary with `config` in a file under `dir` and nothing of this process's environment that concerns it.
pub fn vitrine(config: &Config, dir: &Path) -> Command {
    let file = dir.join("config.toml");
    fs::write(&file, with_secrets(config)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["VITRINE", "AWS_", "OTEL_", "DATABASE_URL"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env("VITRINE_CONFIG", file).stdin(Stdio::null());
    command
}

fn spawn(config: &Config, env: &[(String, String)], dir: &Path) -> Child {
    let log = File::create(dir.join("log")).unwrap();
    let mut command = vitrine(config, dir);
    command.args(["serve", "--config"]).arg(dir.join("config.toml")).envs(env.iter().cloned());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// The configuration as a file: serialising it alone redacts its secrets.
fn with_secrets(config: &Config) -> String {
    let Value::Table(mut tree) = Value::try_from(config).unwrap() else { panic!("a table") };
    let mut reveal = |path: &[&str], secret: &Option<SecretString>| {
        let Some(secret) = secret else { return };
        let (name, sections) = path.split_last().unwrap();
        let section = sections.iter().fold(&mut tree, |tree: &mut Table, section| {
            tree.get_mut(*section).and_then(Value::as_table_mut).unwrap()
        });
        section.insert((*name).to_owned(), secret.expose_secret().into());
    };
    reveal(&["database", "url"], &config.database.url);
    reveal(&["identity", "keystone", "password"], &config.identity.keystone.password);
    reveal(&["notifications", "webhook", "secret"], &config.notifications.webhook.secret);
    reveal(&["notifications", "amqp", "url"], &config.notifications.amqp.url);
    for (id, store) in &config.stores {
        reveal(&["stores", id, "access_key"], &store.access_key);
        reveal(&["stores", id, "secret_key"], &store.secret_key);
    }
    tree.to_string()
}

/// Two addresses that nothing listens on at this moment.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_has_the_secrets_and_nothing_redacted() {
        let mut config = Config::default();
        config.database.url = Some(SecretString::from("postgres://u:p@h/d"));
        let store =
            vitrine::config::Store { secret_key: Some(SecretString::from("s3cret")), ..Default::default() };
        config.stores.insert("main".to_owned(), store);
        let text = with_secrets(&config);
        assert!(text.contains("postgres://u:p@h/d") && text.contains("s3cret"), "{text}");
        assert!(!text.contains("redacted"), "{text}");
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(read.database.url.unwrap().expose_secret(), "postgres://u:p@h/d");
    }
}
