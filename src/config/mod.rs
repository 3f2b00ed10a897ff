//! One typed configuration tree: built-in defaults < TOML file < environment `VITRINE__SECTION__KEY`.
//!
//! Names and defaults are those of the README's configuration table. There are no globals: whoever needs a
//! setting is handed its section. Loading and printing live in [`load`]; this page is the tree alone.

mod identity;
mod import;
pub mod load;
pub mod notifications;
pub mod secret_files;
mod shape;
pub mod units;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use identity::{HeaderIdentity, Identity, IdentityMode, Keystone, NoIdentity};
pub use import::Import;
pub use notifications::Notifications;
use units::{ByteSize, duration, secret};
pub use validate::validate;

/// The whole configuration.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Listeners and HTTP behaviour.
    pub server: Server,
    /// PostgreSQL.
    pub database: Database,
    /// Object stores by id.
    pub stores: BTreeMap<String, Store>,
    /// Store for data that names none; with one store it is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_store: Option<String>,
    /// Who callers are.
    pub identity: Identity,
    /// What callers may do.
    pub policy: Policy,
    /// Quotas and caps.
    pub limits: Limits,
    /// Image attributes and life cycle.
    pub images: Images,
    /// Fetching of what users name.
    pub import: Import,
    /// Streaming.
    pub data: Data,
    /// Background work.
    pub jobs: Jobs,
    /// Who is told of events.
    pub notifications: Notifications,
    /// Logs.
    pub telemetry: Telemetry,
}

/// `server`: listeners and HTTP behaviour.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address of the Images API.
    pub bind: SocketAddr,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    pub ops_bind: SocketAddr,
    /// Base URL in links; without it the request's own scheme and `Host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_endpoint: Option<String>,
    /// Networks whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from, exactly as browsers send them.
    pub cors_origins: Vec<String>,
    /// How long bodies may go on after SIGTERM.
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    /// How long a request head may take.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a body may stand still, in either direction, and how long a kept connection may wait.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// Whether the Images API v1 is offered.
    pub v1: bool,
    /// Whether percent sequences in v1 metadata headers are decoded.
    pub v1_percent_decode: PercentDecode,
    /// File whose presence makes `/healthcheck` answer 503, to take a node out of its balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_by_file_path: Option<PathBuf>,
}

/// When percent sequences in v1 metadata headers are decoded (images-v1.md §13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PercentDecode {
    /// Only for user agent `python-glanceclient`, which encodes them.
    Auto,
    /// Never.
    Off,
}

/// `database`: PostgreSQL.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/name`; `DATABASE_URL` where unset.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretString>,
    /// File that holds the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Connections of one replica.
    pub max_connections: usize,
    /// Longest run of one statement.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// Whether the connection must be encrypted.
    pub tls: Tls,
}

/// Encryption of database connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Never.
    Disable,
    /// As `sslmode` of the URL says.
    Prefer,
    /// Always, with verification of the server's certificate.
    Require,
}

/// `stores.<id>`: one bucket.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Bucket name.
    pub bucket: String,
    /// Text before every key; no slash at the end.
    pub prefix: String,
    /// Endpoint URL; `AWS_ENDPOINT_URL_S3` or AWS itself where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Endpoint under which tenants reach the bucket (redirect downloads).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_endpoint: Option<String>,
    /// Region; `AWS_REGION` where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Bucket in the path instead of the host name; default: whenever an endpoint is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Access key; the standard credential chain where unset.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretString>,
    /// File that holds the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_file: Option<PathBuf>,
    /// Secret key.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretString>,
    /// File that holds the secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_file: Option<PathBuf>,
    /// Whether a missing bucket is created at start.
    pub create_bucket: bool,
    /// When checksums of the S3 protocol are sent.
    pub checksum: Checksum,
    /// Size of the first parts; at least 5 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_size: Option<ByteSize>,
    /// Whether all parts of an object but the last must have one size.
    pub equal_parts: bool,
    /// Shown by store discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Copies are read in descending weight.
    pub weight: i32,
    /// Whether new data is refused.
    pub read_only: bool,
}

/// When checksums of the S3 protocol are sent; older stores cannot take them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// Only where an operation demands one.
    #[default]
    WhenRequired,
    /// On every upload.
    WhenSupported,
}

/// `policy`: what callers may do.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Overrides of rules, YAML or JSON in the upstream format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Property protections in the upstream format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_protection_file: Option<PathBuf>,
    /// What the values of that file mean.
    pub property_protection_rule_format: RuleFormat,
}

/// What the values of a property protection file mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleFormat {
    /// Lists of roles.
    Roles,
    /// Names of policy rules.
    Policies,
}

/// `limits`: quotas and caps. Negative numbers mean no limit.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest image.
    pub image_size_cap: ByteSize,
    /// Properties of one image.
    pub image_property_quota: i64,
    /// Tags of one image.
    pub image_tag_quota: i64,
    /// Members of one image.
    pub image_member_quota: i64,
    /// Locations of one image.
    pub image_location_quota: i64,
    /// Bytes of one project; 0 means no limit.
    pub user_storage_quota: ByteSize,
    /// Page size of lists that name none.
    pub limit_param_default: u32,
    /// Largest page.
    pub api_limit_max: u32,
    /// Images of one project.
    pub image_count_total: i64,
    /// Uploads of one project at a time.
    pub image_count_uploading: i64,
    /// MiB of one project in staging.
    pub image_stage_total: i64,
    /// MiB of one project in active images.
    pub image_size_total: i64,
}

/// `images`: attributes and life cycle.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// Accepted disk formats.
    pub disk_formats: Vec<String>,
    /// Accepted container formats.
    pub container_formats: Vec<String>,
    /// Properties added to the image schema (`schema-image.json`); those shipped with the service where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_extension_file: Option<PathBuf>,
    /// Whether content must be what `disk_format` says.
    pub require_format_match: bool,
    /// Safety checks of partition tables whose failure is only logged: `mbr`, `gpt`.
    pub gpt_safety_checks_nonfatal: Vec<String>,
    /// Whether v2 shows where the data lies.
    pub show_direct_url: bool,
    /// Whether v2 shows and takes locations.
    pub show_multiple_locations: bool,
    /// Secure hash: `sha256` or `sha512`.
    pub hash_algorithm: HashAlgorithm,
    /// Whether the MD5 is computed.
    pub checksum: bool,
    /// Whether deleted images keep their data until `scrub_time` has passed.
    pub delayed_delete: bool,
    /// How long.
    #[serde(with = "duration")]
    pub scrub_time: Duration,
}

/// Secure hash of image data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The word shown in `os_hash_algo`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// `data`: streaming.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Memory for parts of all uploads together.
    pub memory_budget: ByteSize,
    /// Parts of one upload in flight.
    pub parts_in_flight: usize,
    /// Whether downloads may be redirected to the store.
    pub redirect: Redirect,
}

/// Whether downloads may be redirected to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// Never.
    Off,
    /// For callers that send `Prefer: redirect`.
    On,
}

/// `jobs`: background work.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jobs {
    /// Whether `serve` runs background work.
    pub enabled: bool,
    /// Tasks of one replica at a time.
    pub concurrency: usize,
    /// How long a writer or runner is believed alive without a heartbeat.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// How long staged data waits for its import.
    #[serde(with = "duration")]
    pub staging_ttl: Duration,
    /// How long a finished task is kept.
    #[serde(with = "duration")]
    pub task_ttl: Duration,
    /// How long the record of a deleted image is kept before `purge` may take it.
    #[serde(with = "duration")]
    pub deleted_ttl: Duration,
    /// Time between two sweeps of one replica.
    #[serde(with = "duration")]
    pub sweep_interval: Duration,
    /// How long after its writer was given up a key is deleted for the last time.
    #[serde(with = "duration")]
    pub garbage_grace: Duration,
}

/// `telemetry`: logs; traces and pushed metrics follow `OTEL_*`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Form of log lines; text on a terminal, JSON elsewhere where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Filter directives in the form of `RUST_LOG`, which wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_filter: Option<String>,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 9292)),
            ops_bind: SocketAddr::from(([127, 0, 0, 1], 9293)),
            public_endpoint: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            drain_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            v1: true,
            v1_percent_decode: PercentDecode::Auto,
            disable_by_file_path: None,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            max_connections: 16,
            statement_timeout: Duration::from_secs(30),
            tls: Tls::Prefer,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            file: None,
            property_protection_file: None,
            property_protection_rule_format: RuleFormat::Roles,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image_size_cap: ByteSize(1 << 40),
            image_property_quota: 128,
            image_tag_quota: 128,
            image_member_quota: 128,
            image_location_quota: 10,
            user_storage_quota: ByteSize(0),
            limit_param_default: 25,
            api_limit_max: 1000,
            image_count_total: -1,
            image_count_uploading: -1,
            image_stage_total: -1,
            image_size_total: -1,
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            disk_formats: words(&[
                "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
            ]),
            container_formats: words(&["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]),
            schema_extension_file: None,
            require_format_match: true,
            gpt_safety_checks_nonfatal: Vec::new(),
            show_direct_url: false,
            show_multiple_locations: false,
            hash_algorithm: HashAlgorithm::Sha512,
            checksum: true,
            delayed_delete: false,
            scrub_time: Duration::ZERO,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { memory_budget: ByteSize(512 << 20), parts_in_flight: 4, redirect: Redirect::Off }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            enabled: true,
            concurrency: 4,
            lease: Duration::from_secs(60),
            staging_ttl: Duration::from_secs(24 * 3600),
            task_ttl: Duration::from_secs(48 * 3600),
            deleted_ttl: Duration::from_secs(30 * 24 * 3600),
            sweep_interval: Duration::from_secs(10),
            garbage_grace: Duration::from_secs(20 * 60),
        }
    }
}
