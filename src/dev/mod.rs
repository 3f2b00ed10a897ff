//! Development and test backing services: a private PostgreSQL cluster and an in-process S3 server.

mod account;
mod dirs;
pub mod metadefs;
pub mod postgres;
mod programs;
pub mod s3;

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, IdentityMode, Store};
use postgres::Cluster;
use s3::S3Server;

/// Where `vitrine dev` keeps its data, from the working directory.
pub const ROOT: &str = ".vitrine";
/// Name of the database.
const DATABASE: &str = "vitrine";
/// Id of the store.
const STORE: &str = "dev";
/// Name of its bucket.
const BUCKET: &str = "images";

/// Backing services that exist already and replace those of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// Connection URL of a PostgreSQL database.
    pub database_url: Option<String>,
    /// Endpoint of an S3 service; the standard credential chain has its keys.
    pub s3_endpoint: Option<String>,
}

impl Existing {
    /// What `DATABASE_URL` and `AWS_ENDPOINT_URL_S3` name.
    pub fn from_env() -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { database_url: named("DATABASE_URL"), s3_endpoint: named("AWS_ENDPOINT_URL_S3") }
    }
}

/// The backing services of `vitrine dev`. Dropping them stops them.
#[derive(Debug)]
pub struct DevServices {
    cluster: Option<Cluster>,
    s3: Option<S3Server>,
    database_url: SecretString,
    store: Store,
    scratch: Option<PathBuf>,
    /// Held while the services use the data directory.
    _lock: Option<File>,
}

impl DevServices {
    /// Starts what does not exist already, with its data under `root`; `ephemeral` data lies elsewhere and goes
    /// with the services. The database exists afterwards and is empty at first; the bucket is left to the store
    /// to create. Blocks its thread for the seconds that a first start takes.
    ///
    /// # Errors
    /// When another process uses `root`, and when a service does not start; see [`Cluster::start`] and
    /// [`S3Server::start`].
    pub async fn start(root: &Path, ephemeral: bool, existing: Existing) -> anyhow::Result<Self> {
        let scratch = ephemeral.then(|| scratch_dir("dev")).transpose()?;
        let home = scratch.as_deref().unwrap_or(root);
        if !ephemeral {
            prepare(root)?;
        }
        let own = existing.database_url.is_none() || existing.s3_endpoint.is_none();
        let lock = (own && !ephemeral).then(|| lock(root)).transpose()?;
        let mut cluster = None;
        let database_url = match existing.database_url {
            Some(url) => url,
            None => {
                let started = if ephemeral {
                    Cluster::start_ephemeral()
                } else {
                    Cluster::start(&home.join("postgres"), None)
                };
                let started = cluster.insert(started?);
                started.create_database(DATABASE, None).await?;
                started.url(DATABASE)
            }
        };
        let mut store = Store { bucket: BUCKET.to_owned(), create_bucket: true, ..Store::default() };
        let mut s3 = None;
        store.endpoint = match existing.s3_endpoint {
            Some(endpoint) => Some(endpoint),
            None => {
                let [access, secret] = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let server = s3.insert(S3Server::start(&home.join("s3"), address, &access, &secret)?);
                store.access_key = Some(SecretString::from(access));
                store.secret_key = Some(SecretString::from(secret));
                store.region = Some("us-east-1".to_owned());
                Some(server.endpoint())
            }
        };
        let database_url = SecretString::from(database_url);
        Ok(Self { cluster, s3, database_url, store, scratch, _lock: lock })
    }

    /// Makes `config` use these services: its database, the one store `dev`, and identity mode `none`.
    pub fn apply(&self, config: &mut Config) {
        config.database.url = Some(self.database_url.clone());
        config.database.url_file = None;
        config.stores = [(STORE.to_owned(), self.store.clone())].into();
        config.default_store = Some(STORE.to_owned());
        config.identity.mode = IdentityMode::None;
        // the S3 server in this process calls it an error when it refuses a request
        config.telemetry.log_filter.get_or_insert_with(|| "info,s3s::ops=off".to_owned());
    }

    /// The defaults with [`DevServices::apply`].
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        self.apply(&mut config);
        config
    }

    /// The settings under which another process uses these services as this one does, as variables of the
    /// environment. Keys are named only for the S3 server of this process.
    pub fn env(&self) -> Vec<(String, String)> {
        let store = |key: &str| format!("VITRINE__STORES__{}__{key}", STORE.to_uppercase());
        let secret = |value: &Option<SecretString>| value.as_ref().map(|v| v.expose_secret().to_owned());
        let env = [
            ("DATABASE_URL".to_owned(), Some(self.database_url.expose_secret().to_owned())),
            ("VITRINE__IDENTITY__MODE".to_owned(), Some("none".to_owned())),
            (store("BUCKET"), Some(self.store.bucket.clone())),
            (store("ENDPOINT"), self.store.endpoint.clone()),
            (store("REGION"), self.store.region.clone()),
            (store("ACCESS_KEY"), secret(&self.store.access_key)),
            (store("SECRET_KEY"), secret(&self.store.secret_key)),
        ];
        env.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Writes [`DevServices::env`] to `file` as assignments of a shell; only this account may read it. The file
    /// appears whole, so that waiting for it is enough.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_env(&self, file: &Path) -> anyhow::Result<()> {
        let text: String = self
            .env()
            .iter()
            .map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', r"'\''")))
            .collect();
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let write = || -> std::io::Result<()> {
            // a file left by an earlier run may be open to others
            let _ = std::fs::remove_file(&part);
            let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            new.write_all(text.as_bytes())?;
            std::fs::rename(&part, file)
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }

    /// Stops the services and waits for their end; ephemeral data goes.
    ///
    /// # Errors
    /// When PostgreSQL had to be killed, or ephemeral data cannot be removed.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut s3) = self.s3.take() {
            s3.stop();
        }
        let stopped = self.cluster.take().map_or(Ok(()), |cluster| cluster.stop());
        self.scratch.take().map_or(Ok(()), |dir| dirs::remove_dir(&dir))?;
        stopped
    }
}

impl Drop for DevServices {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// A new temporary directory of this process, named after `purpose`. Nothing removes it but its user, or a later
/// call once this process is gone.
///
/// # Errors
/// When no directory for temporary files can be used.
pub fn scratch_dir(purpose: &str) -> anyhow::Result<PathBuf> {
    dirs::scratch_dir(purpose, None)
}

/// Makes the data directory and hides it from version control.
fn prepare(root: &Path) -> anyhow::Result<()> {
    let ignore = root.join(".gitignore");
    std::fs::create_dir_all(root)
        .and_then(|()| std::fs::write(&ignore, "*\n"))
        .with_context(|| format!("cannot keep data in {}", root.display()))
}

/// Takes the data directory for this process; the system gives it back when the process ends, however it does.
fn lock(root: &Path) -> anyhow::Result<File> {
    let path = root.join("lock");
    let wrong = || format!("cannot use {}", path.display());
    let mut options = File::options();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&path).with_context(wrong)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
            bail!(
                "{} is in use by another `vitrine dev`, process {}; stop that one, or start this one with --ephemeral or \
                 in another directory",
                root.display(),
                owner.trim()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(wrong),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).with_context(wrong)?;
    Ok(file)
}

/// What `vitrine dev` prints once it serves: where, and a line to paste for each of the two usual clients.
pub fn banner(config: &Config) -> String {
    let bind = config.server.bind;
    let address = if bind.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bind.port())
    } else {
        bind
    };
    let url = format!("http://{address}");
    let mut text = format!("Vitrine serves the Images API at {url}\n\n");
    let curl = if config.server.v1 {
        format!(
            "curl {url}/v1/images -H 'x-image-meta-name: hello' -H 'x-image-meta-disk_format: raw' \
             -H 'x-image-meta-container_format: bare' -H 'content-type: application/octet-stream' \
             --data-binary 'hello, world'"
        )
    } else {
        format!("curl {url}/v2/images")
    };
    let _ = writeln!(
        text,
        "  {curl}\n  openstack --os-auth-type admin_token --os-token olga:alpha:member --os-endpoint {url}/v2 image list"
    );
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn existing_services_replace_the_parts_they_name() {
        let root = scratch_dir("services").unwrap();
        let existing = Existing {
            database_url: Some("postgres://db.example/images".to_owned()),
            s3_endpoint: Some("https://s3.example".to_owned()),
        };
        let services = DevServices::start(&root, false, existing.clone()).await.unwrap();
        let config = services.config();
        assert_eq!(config.database.url.unwrap().expose_secret(), "postgres://db.example/images");
        let store = &config.stores[STORE];
        assert_eq!(store.endpoint.as_deref(), Some("https://s3.example"));
        assert!(store.access_key.is_none() && store.create_bucket);
        assert!(!root.join("postgres").exists() && !root.join("s3").exists());
        drop(services);

        let own_s3 = Existing { s3_endpoint: None, ..existing };
        let services = DevServices::start(&root, false, own_s3).await.unwrap();
        let store = services.config().stores.remove(STORE).unwrap();
        assert!(store.endpoint.unwrap().starts_with("http://127.0.0.1:"));
        assert!(store.access_key.is_some() && store.secret_key.is_some());
        assert!(root.join("s3").exists());
        drop(services);
        dirs::remove_dir(&root).unwrap();
    }

    #[tokio::test]
    async fn settings_for_another_process_lead_to_the_same_services() {
        use std::os::unix::fs::PermissionsExt;

        let root = scratch_dir("services").unwrap();
        let existing = Existing { database_url: Some("postgres://db/it's".to_owned()), s3_endpoint: None };
        let services = DevServices::start(&root, false, existing).await.unwrap();
        let file = root.join("env");
        services.write_env(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let script = r#". "$1"; printf '%s\n' "$DATABASE_URL" "$VITRINE__STORES__DEV__ENDPOINT" \
            "$VITRINE__STORES__DEV__BUCKET" "$VITRINE__STORES__DEV__SECRET_KEY""#;
        let shell =
            std::process::Command::new("/bin/sh").args(["-c", script, "sh"]).arg(&file).output().unwrap();
        let store = services.config().stores.remove(STORE).unwrap();
        let expected = [
            "postgres://db/it's",
            store.endpoint.as_deref().unwrap(),
            BUCKET,
            store.secret_key.as_ref().unwrap().expose_secret(),
        ];
        assert_eq!(String::from_utf8(shell.stdout).unwrap().lines().collect::<Vec<_>>(), expected);
        drop(services);
        dirs::remove_dir(&root).unwrap();
    }

    #[tokio::test]
    async fn ephemeral_services_leave_nothing() {
        let root = scratch_dir("services").unwrap();
        let mut services = DevServices::start(&root, true, Existing::default()).await.unwrap();
        let scratch = services.scratch.clone().unwrap();
        assert!(scratch.join("s3").exists());
        let url = services.config().database.url.unwrap();
        let connect = || tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls);
        assert!(connect().await.is_ok());
        services.stop().unwrap();
        assert!(connect().await.is_err());
        assert!(!scratch.exists());
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
        dirs::remove_dir(&root).unwrap();
    }

    #[test]
    fn banner_names_an_address_that_can_be_connected_to() {
        let mut config = Config::default();
        config.server.bind = "0.0.0.0:9000".parse().unwrap();
        let text = banner(&config);
        assert!(text.contains("curl http://127.0.0.1:9000/v1/images "), "{text}");
        assert!(text.contains("--os-endpoint http://127.0.0.1:9000/v2 image list"), "{text}");
        config.server.v1 = false;
        assert!(banner(&config).contains("curl http://127.0.0.1:9000/v2/images\n"));
    }
}
