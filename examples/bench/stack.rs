//! What is measured and what it stands on: PostgreSQL, SeaweedFS, and replicas of the service.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use vitrine::blobs::{Store, Stores};
use vitrine::config::Config;
use vitrine::dev;
use vitrine::dev::postgres::Cluster;
use vitrine::telemetry::metrics;

use crate::wire::Connection;

const BUCKET: &str = "images";
const ACCESS: &str = "bench";
const SECRET: &str = "bench-secret";
const START_LIMIT: Duration = Duration::from_secs(60);

/// The backing services. Dropping them stops them and removes their data.
pub struct Stack {
    vitrine: PathBuf,
    cluster: Cluster,
    weed: Child,
    scratch: PathBuf,
    endpoint: String,
    connections: JoinSet<()>,
    pub config: Config,
    pub store: Store,
}

impl Stack {
    /// Starts PostgreSQL and SeaweedFS, migrates, and makes the bucket.
    pub async fn start(vitrine: &Path, weed: &Path) -> anyhow::Result<Self> {
        let cluster = Cluster::start_ephemeral()?;
        cluster.create_database("vitrine", None).await?;
        let scratch = dev::scratch_dir("bench")?;
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let weed = start_weed(weed, &scratch, port)?;
        let mut config = Config::default();
        config.database.url = Some(SecretString::from(cluster.url("vitrine")));
        config.stores = [(
            "bench".to_owned(),
            vitrine::config::Store {
                bucket: BUCKET.to_owned(),
                endpoint: Some(endpoint.clone()),
                region: Some("us-east-1".to_owned()),
                access_key: Some(SecretString::from(ACCESS)),
                secret_key: Some(SecretString::from(SECRET)),
                ..Default::default()
            },
        )]
        .into();
        let stores =
            Stores::new(&config.stores, None, &metrics::local().0).await.map_err(anyhow::Error::msg)?;
        let store = stores.default_store().clone();
        let connections = JoinSet::new();
        let vitrine = vitrine.to_owned();
        // made first, so that a failure below stops and removes everything
        let stack = Self { vitrine, cluster, weed, scratch, endpoint, connections, config, store };
        vitrine::app::migrate(&stack.config).await?;
        let begun = Instant::now();
        while let Err(error) = stack.store.create_bucket().await {
            if begun.elapsed() > START_LIMIT {
                return Err(error).context("SeaweedFS did not come up; see weed.log");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(stack)
    }

    /// A new connection to the database.
    pub async fn database(&mut self) -> anyhow::Result<tokio_postgres::Client> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.url("vitrine"), NoTls).await?;
        self.connections.spawn(async move {
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Starts a replica and waits until it is ready; also gives how long that took.
    pub async fn replica(&self, settings: &[(&str, &str)]) -> anyhow::Result<(Replica, Duration)> {
        let [api, ops] =
            [free_port()?, free_port()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let log = File::create(self.scratch.join("vitrine.log"))?;
        let mut command = Command::new(&self.vitrine);
        command
            .arg("serve")
            .current_dir(&self.scratch)
            .env_remove("VITRINE_CONFIG")
            .env_remove("RUST_LOG")
            .env("DATABASE_URL", self.cluster.url("vitrine"))
            .env("VITRINE__SERVER__BIND", api.to_string())
            .env("VITRINE__SERVER__OPS_BIND", ops.to_string())
            .env("VITRINE__IDENTITY__MODE", "none")
            .env("VITRINE__STORES__BENCH__BUCKET", BUCKET)
            .env("VITRINE__STORES__BENCH__ENDPOINT", &self.endpoint)
            .env("VITRINE__STORES__BENCH__REGION", "us-east-1")
            .env("VITRINE__STORES__BENCH__ACCESS_KEY", ACCESS)
            .env("VITRINE__STORES__BENCH__SECRET_KEY", SECRET)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let begun = Instant::now();
        let mut replica = Replica { process: command.spawn().context("cannot start vitrine")?, api };
        let question = format!("GET /readyz HTTP/1.1\r\nHost: {ops}\r\n\r\n");
        let mut kept = None;
        loop {
            if kept.is_none() {
                kept = Connection::open(ops).await.ok();
            }
            if let Some(connection) = &mut kept
                && connection.ask(&question).await? == 200
            {
                return Ok((replica, begun.elapsed()));
            }
            if replica.process.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.scratch.join("vitrine.log")).unwrap_or_default();
                bail!("the service did not become ready: {log}");
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.weed.kill();
        let _ = self.weed.wait();
        let _ = self.cluster.stop();
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// A running replica. Dropping it ends it.
pub struct Replica {
    process: Child,
    pub api: SocketAddr,
}

impl Replica {
    /// Memory in use now, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever in use, in bytes.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// Processor time used so far.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // fields 14 and 15, after the name in brackets; in ticks of 10 ms
        let fields = stat.rsplit_once(')').context("stat")?.1.split_whitespace();
        let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    fn status(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("status")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start_weed(program: &Path, scratch: &Path, port: u16) -> anyhow::Result<Child> {
    let identity = serde_json::json!({ "identities": [{
        "name": ACCESS,
        "credentials": [{ "accessKey": ACCESS, "secretKey": SECRET }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] });
    let (data, settings) = (scratch.join("weed"), scratch.join("s3.json"));
    std::fs::create_dir_all(&data)?;
    std::fs::write(&settings, identity.to_string())?;
    let log = File::create(scratch.join("weed.log"))?;
    let mut command = Command::new(program);
    command
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-volume.max=0"])
        .args(["-master.volumeSizeLimitMB=1024", "-volume.minFreeSpace=1", "-s3.port.iceberg=0"])
        .arg(format!("-dir={}", data.display()))
        .arg(format!("-s3.config={}", settings.display()))
        .arg(format!("-s3.port={port}"))
        .current_dir(scratch)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    for part in ["master", "volume", "filer"] {
        command.arg(format!("-{part}.port={}", free_port()?));
    }
    for part in ["master", "volume", "filer", "s3"] {
        command.arg(format!("-{part}.port.grpc={}", free_port()?));
    }
    // its fixed default port would keep two instances from running side by side
    command.arg(format!("-s3.port.lance={}", free_port()?));
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
