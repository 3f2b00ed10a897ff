//! A private PostgreSQL cluster from the installed server programs.
//!
//! The server listens on loopback only and asks for a generated password, so that no other account of the
//! machine gets in. It runs under a small shell whose standard input is a pipe held by this process: when this
//! process ends, for whatever reason, the pipe closes and the shell stops the server. PostgreSQL refuses to
//! run as root; there its programs run as `postgres` or `nobody`.
//!
//! Everything here blocks and needs no async runtime, except [`Cluster::create_database`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio_postgres::NoTls;

use super::account::Account;
use super::dirs::{private_dir, remove_dir, scratch_dir};
use super::programs::Programs;

/// Longest wait for a server to accept connections; crash recovery of a development database fits in it.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for a fast shutdown before the server is killed.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two looks at something that gives no notice.
const POLL: Duration = Duration::from_millis(20);
/// Superuser of the cluster.
const USER: &str = "vitrine";
/// Longest directory name in which a socket may lie; the system allows 107 bytes for the whole path.
const SOCKET_DIR_LIMIT: usize = 80;

/// Runs a server (`$3…`) and ends with it. When standard input closes, it stops the server with signal `$1` and
/// then removes the directory `$2` if one is named; on a line from there it only stops the server.
const KEEPER: &str = r#"
signal=$1 home=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{
  if read -r line <&3; then signal=INT; elif [ -n "$home" ]; then : >"$home/abandoned"; fi
  kill -s "$signal" "$server"
} 2>/dev/null &
watch=$!
wait "$server"; status=$?
kill "$watch" 2>/dev/null
if [ -n "$home" ] && [ -e "$home/abandoned" ]; then rm -rf -- "$home"; fi
exit "$status"
"#;

/// A running PostgreSQL server and its data. Dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    home: PathBuf,
    programs: Programs,
    account: Option<Account>,
    password: String,
    port: u16,
    ephemeral: bool,
    server: Mutex<Option<Server>>,
}

#[derive(Debug)]
struct Server {
    keeper: Child,
    /// Closing it stops the server.
    lifeline: Option<ChildStdin>,
}

#[derive(Debug, Clone, Copy)]
enum Stop {
    ForGood,
    ToRestart,
}

impl Cluster {
    /// Starts the cluster whose files lie in `data_dir`, which is created and initialised where it is missing.
    /// The server takes `port` on loopback, or a free one. Blocks until the server accepts connections.
    ///
    /// As root, and where the server's account cannot enter `data_dir`, the files lie in `/var/lib` and
    /// `data_dir` is a link to them.
    ///
    /// # Errors
    /// When no server programs of PostgreSQL 14 or later are installed, when another server uses the
    /// directory, and when the server does not come up; the end of its log is part of the message.
    pub fn start(data_dir: &Path, port: Option<u16>) -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        let home = private_dir(data_dir, account.as_ref())?;
        Self::open(home, account, port, false)
    }

    /// Starts a cluster for tests: fast instead of durable, in a temporary directory that is removed when the
    /// cluster stops or this process ends.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_ephemeral() -> anyhow::Result<Self> {
        let account = Account::for_server()?;
        let home = scratch_dir("postgres", account.as_ref())?;
        Self::open(home, account, None, true)
    }

    /// Connection URL for `database`; carries the password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Port of the server on loopback; the same for the life of this value.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates `database`, empty or as a copy of `template`, unless it exists already.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, for instance because somebody uses the template.
    pub async fn create_database(&self, database: &str, template: Option<&str>) -> anyhow::Result<()> {
        create_database(&self.url("postgres"), database, template).await
    }

    /// Stops the server, cutting its connections, and waits for its end. The data of a cluster made by
    /// [`Cluster::start`] stays, that of an ephemeral one goes. Does nothing where the server is stopped already.
    ///
    /// # Errors
    /// When the server had to be killed.
    pub fn stop(&self) -> anyhow::Result<()> {
        let stopped = self.lock().take().map_or(Ok(()), |mut server| server.stop(Stop::ForGood));
        if self.ephemeral {
            remove_dir(&self.home)?;
        }
        stopped
    }

    /// Stops the server with a fast shutdown and starts it again on the same port, with its data.
    ///
    /// # Errors
    /// As [`Cluster::start`] and [`Cluster::stop`].
    pub fn restart(&self) -> anyhow::Result<()> {
        let mut server = self.lock();
        if let Some(mut old) = server.take() {
            old.stop(Stop::ToRestart)?;
        }
        *server = Some(self.launch()?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(
        home: PathBuf,
        account: Option<Account>,
        port: Option<u16>,
        ephemeral: bool,
    ) -> anyhow::Result<Self> {
        wait_for_predecessor(&home)?;
        let programs = Programs::find(existing_version(&home)?)?;
        let mut cluster = Self {
            password: password(&home)?,
            home,
            programs,
            account,
            port: 0,
            ephemeral,
            server: Mutex::new(None),
        };
        cluster.initialise()?;
        // A free port may be gone by the time the server binds it.
        let attempts = if port.is_some() { 1 } else { 5 };
        for attempt in 1..=attempts {
            cluster.port = port.map_or_else(free_port, Ok)?;
            match cluster.launch() {
                Ok(server) => {
                    cluster.server = Mutex::new(Some(server));
                    return Ok(cluster);
                }
                Err(error) if attempt == attempts || !error.to_string().contains("in use") => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        bail!("no free port on loopback")
    }

    /// `initdb` into a directory that gets its name only when complete, so that an interrupted one is made anew.
    fn initialise(&self) -> anyhow::Result<()> {
        let data = self.home.join("data");
        if data.exists() {
            return Ok(());
        }
        let unfinished = self.home.join("data.new");
        remove_dir(&unfinished)?;
        let mut initdb = self.command(&self.programs.initdb());
        initdb.args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--username", USER]);
        initdb.arg("--pwfile").arg(self.home.join("password")).arg("--pgdata").arg(&unfinished);
        if self.ephemeral {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdin(Stdio::null()).output().context("initdb does not run")?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "initdb failed: {}", text.trim_end());
        fs::rename(&unfinished, &data).with_context(|| format!("cannot make {}", data.display()))
    }

    fn launch(&self) -> anyhow::Result<Server> {
        let mut sh = self.command(Path::new("/bin/sh"));
        sh.args(["-c", KEEPER, "sh", if self.ephemeral { "QUIT" } else { "INT" }]);
        sh.arg(if self.ephemeral { self.home.as_os_str() } else { "".as_ref() });
        sh.arg(self.programs.postgres()).arg("-D").arg(self.home.join("data"));
        for setting in self.settings() {
            sh.arg("-c").arg(setting);
        }
        let log = self.home.join("server.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // its own process group: an interrupt from the terminal is for this process, which then stops the server
        sh.process_group(0).stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut keeper = sh.spawn().context("/bin/sh does not run")?;
        let lifeline = keeper.stdin.take();
        let mut server = Server { keeper, lifeline };
        match self.await_ready(&mut server) {
            Ok(()) => Ok(server),
            Err(error) => {
                let _ = server.stop(Stop::ToRestart);
                bail!("PostgreSQL does not start: {error}\n{}", log_end(&log))
            }
        }
    }

    fn settings(&self) -> Vec<String> {
        let socket = self.home.to_str().filter(|dir| dir.len() <= SOCKET_DIR_LIMIT).unwrap_or_default();
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("unix_socket_directories={socket}"),
            "unix_socket_permissions=0700".to_owned(),
            "logging_collector=off".to_owned(),
        ];
        if self.ephemeral {
            let fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"];
            settings.extend(fast.map(str::to_owned));
            settings.push("max_connections=400".to_owned());
        }
        settings
    }

    fn await_ready(&self, server: &mut Server) -> anyhow::Result<()> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if accepts_connections(self.port) {
                // Somebody else's server on this port would answer as well; ours would have ended by then.
                let pid = fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap_or_default();
                if pid.lines().nth(3) == Some(self.port.to_string().as_str()) && server.runs()? {
                    return Ok(());
                }
            }
            ensure!(server.runs()?, "it ended at once");
            ensure!(Instant::now() < end, "not ready within {} s", START_LIMIT.as_secs());
            std::thread::sleep(POLL);
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl Server {
    fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.keeper.try_wait().context("cannot look after PostgreSQL")?.is_none())
    }

    fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let mut lifeline = self.lifeline.take();
        if let (Stop::ToRestart, Some(pipe)) = (how, lifeline.as_mut()) {
            // an error means that the keeper is gone, which is what the wait below looks for
            let _ = pipe.write_all(b"stop\n");
        } else {
            drop(lifeline.take());
        }
        let end = Instant::now() + STOP_LIMIT;
        while self.runs()? {
            if Instant::now() > end {
                self.kill()?;
                bail!("PostgreSQL did not stop within {} s and was killed", STOP_LIMIT.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Kills the keeper's whole process group.
    fn kill(&mut self) -> anyhow::Result<()> {
        let group = format!("-{}", self.keeper.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().context("kill does not run")?;
        self.keeper.wait().context("cannot look after PostgreSQL")?;
        Ok(())
    }
}

/// Creates `database` on the server that `url` names, empty or as a copy of `template`, unless it exists already.
///
/// # Errors
/// When the server cannot be reached or refuses.
async fn create_database(url: &str, database: &str, template: Option<&str>) -> anyhow::Result<()> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("cannot reach PostgreSQL")?;
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut statement = format!("CREATE DATABASE {}", quote(database));
    if let Some(template) = template {
        statement.push_str(" TEMPLATE ");
        statement.push_str(&quote(template));
    }
    let create = async {
        let known = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&database]).await?;
        if known.is_none() {
            client.batch_execute(&statement).await?;
        }
        drop(client);
        Ok::<_, tokio_postgres::Error>(())
    };
    let (created, _) = futures_util::future::join(create, connection).await;
    created.with_context(|| format!("cannot create database {database}"))
}

/// Speaks the first exchange of the protocol: a server that is still starting answers with an error, one that
/// is ready with a request for authentication.
fn accepts_connections(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let parameters = format!("user\0{USER}\0database\0postgres\0\0");
        let mut message = u32::try_from(parameters.len() + 8).unwrap_or(0).to_be_bytes().to_vec();
        message.extend([0, 3, 0, 0]);
        message.extend(parameters.as_bytes());
        stream.write_all(&message)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok(answer[0])
    };
    ask().is_ok_and(|kind| kind == b'R')
}

/// A port that nothing listens on at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// Waits for a server that an earlier process left and that is still stopping.
fn wait_for_predecessor(home: &Path) -> anyhow::Result<()> {
    let end = Instant::now() + STOP_LIMIT;
    let mut told = false;
    loop {
        let lock = fs::read_to_string(home.join("data/postmaster.pid")).unwrap_or_default();
        let Some(pid) = lock.lines().next().filter(|pid| !pid.is_empty()) else { return Ok(()) };
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim_end() != "postgres" {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{} is in use by PostgreSQL process {pid}; is another `vitrine dev` running?",
            home.display()
        );
        if !std::mem::replace(&mut told, true) {
            let (home, bound) = (home.display(), STOP_LIMIT.as_secs());
            let _ = writeln!(
                std::io::stderr(),
                "vitrine: waiting up to {bound} s for PostgreSQL process {pid}, which still uses {home}"
            );
        }
        std::thread::sleep(POLL);
    }
}

fn existing_version(home: &Path) -> anyhow::Result<Option<u32>> {
    match fs::read_to_string(home.join("data/PG_VERSION")) {
        Ok(text) => Ok(Some(text.trim().parse().context("data/PG_VERSION holds no number")?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", home.display())),
    }
}

/// The superuser's password, made at the first start.
fn password(home: &Path) -> anyhow::Result<String> {
    let file = home.join("password");
    let wrong = || format!("cannot keep the database password in {}", file.display());
    match fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(wrong),
        _ => {}
    }
    let password = uuid::Uuid::new_v4().simple().to_string();
    let mut options = File::options();
    // initdb reads it as the server's account; the directory around it is closed to everybody else
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o644).open(&file).with_context(wrong)?;
    file.write_all(password.as_bytes()).with_context(wrong)?;
    Ok(password)
}

/// The last lines of a log.
fn log_end(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    async fn ask(url: &str, statement: &str) -> Result<String, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let ask = async {
            let rows = client.simple_query(statement).await;
            drop(client);
            rows
        };
        let (rows, _) = futures_util::future::join(ask, connection).await;
        Ok(rows?
            .iter()
            .find_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default())
    }

    #[tokio::test]
    async fn data_survives_restart_and_stop() {
        let home = scratch_dir("test", None).unwrap();
        let dir = home.join("postgres");
        let cluster = Cluster::start(&dir, None).unwrap();
        cluster.create_database("images", None).await.unwrap();
        cluster.create_database("images", None).await.unwrap();
        let url = cluster.url("images");
        assert_eq!(ask(&url, "SHOW server_encoding").await.unwrap(), "UTF8");
        assert_eq!(ask(&url, "SHOW fsync").await.unwrap(), "on");
        ask(&url, "CREATE TABLE t AS SELECT 7 AS n").await.unwrap();
        cluster.restart().unwrap();
        assert_eq!(ask(&url, "SELECT n FROM t").await.unwrap(), "7");
        cluster.stop().unwrap();
        assert!(ask(&url, "SELECT 1").await.is_err());
        drop(cluster);
        let again = Cluster::start(&dir, None).unwrap();
        assert_eq!(ask(&again.url("images"), "SELECT n FROM t").await.unwrap(), "7");
        again.stop().unwrap();
        let target = dir.canonicalize().unwrap();
        remove_dir(&target).unwrap();
        remove_dir(&home).unwrap();
    }

    #[tokio::test]
    async fn ephemeral_cluster_asks_for_a_password_and_leaves_nothing() {
        let cluster = Cluster::start_ephemeral().unwrap();
        let home = cluster.home.clone();
        let url = cluster.url("postgres");
        assert_eq!(ask(&url, "SHOW fsync").await.unwrap(), "off");
        assert!(ask(&url.replace(&cluster.password, "wrong"), "SELECT 1").await.is_err());
        ask(&url, "CREATE TABLE t AS SELECT 7 AS n").await.unwrap();
        cluster.restart().unwrap();
        assert_eq!(ask(&url, "SELECT n FROM t").await.unwrap(), "7");
        drop(cluster);
        assert!(!home.exists());
        assert!(ask(&url, "SELECT 1").await.is_err());
    }

    #[test]
    fn a_port_in_use_is_an_error_that_shows_the_log() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let home = scratch_dir("test", None).unwrap();
        let error = Cluster::start(&home.join("postgres"), Some(port)).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        if let Ok(target) = home.join("postgres").canonicalize() {
            remove_dir(&target).unwrap();
        }
        remove_dir(&home).unwrap();
    }

    /// The keeper's promise: its server ends when this process's end of the pipe closes, and so does the directory.
    #[test]
    fn keeper_stops_the_server_and_removes_the_directory_when_its_input_closes() {
        let home = scratch_dir("test", None).unwrap();
        let mut sh = Command::new("/bin/sh");
        sh.args(["-c", KEEPER, "sh", "TERM"]).arg(&home).args(["sleep", "600"]);
        let mut keeper = sh.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(keeper.stdin.take());
        assert!(!keeper.wait().unwrap().success());
        assert!(!home.exists());
    }
}
