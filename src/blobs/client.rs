//! Stores built from configuration: one S3 client each, made once.
//!
//! Rules of the client (hardening.md §2): connect within 3 s; idle connections are given up before servers close
//! them; no retries of the SDK, as [`super::call`] does them; no stalled-stream protection, as every call and read
//! has its own bound; payload hashes over plain HTTP only. A private CA is trusted through `SSL_CERT_FILE`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::call::RetryBudget;
use super::layout::{DEFAULT_PART_SIZE, MAX_PART_SIZE, MIN_PART_SIZE};
use super::{Layout, ObjectKey, Result, key};
use crate::config::secret_files::SecretFiles;
use crate::config::{self, Checksum};
use crate::telemetry::metrics::Metrics;

/// A connection that is not there by then goes to a dead host.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Servers close idle connections after 20 s and more.
const POOL_IDLE: Duration = Duration::from_secs(15);

const DEFAULT_REGION: &str = "us-east-1";

/// A configured bucket.
#[derive(Clone)]
pub struct Store {
    /// Id in the configuration.
    pub id: Arc<str>,
    inner: Arc<Inner>,
}

struct Inner {
    client: RwLock<Signed>,
    /// None: the standard credential chain, which renews what it gives by itself.
    keys: Option<SecretFiles>,
    account: Account,
    path_style: bool,
    bucket: String,
    folder: String,
    sign_payload: bool,
    part_size: u64,
    equal_parts: bool,
    description: Option<String>,
    weight: i32,
    read_only: bool,
    retries: RetryBudget,
    metrics: Metrics,
}

/// A client with the keys it signs with.
struct Signed {
    client: Client,
    /// When its keys came into force.
    since: Option<Instant>,
}

/// Where a store is reached.
#[derive(PartialEq)]
struct Account {
    /// AWS where unset.
    endpoint: Option<Url>,
    region: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.id)
            .field("bucket", &self.inner.bucket)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Whether new data is refused.
    pub fn read_only(&self) -> bool {
        self.inner.read_only
    }

    /// Text for store discovery.
    pub fn description(&self) -> Option<&str> {
        self.inner.description.as_deref()
    }

    /// Copies are read in descending weight.
    pub fn weight(&self) -> i32 {
        self.inner.weight
    }

    /// Bytes of the first parts; what is larger than one part is sent in parts.
    pub fn part_size(&self) -> u64 {
        self.inner.part_size
    }

    /// The key of an object in this store, prefix included.
    pub fn key(&self, key: ObjectKey) -> String {
        key.below(&self.inner.folder)
    }

    /// Reads a key of this store; none if it is not one of ours.
    pub fn parse_key(&self, key: &str) -> Option<ObjectKey> {
        ObjectKey::parse(&self.inner.folder, key)
    }

    /// Where an object of this store lies, without anything that helps to reach it: no endpoint, no credentials (A53).
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.inner.bucket)
    }

    /// How an object of `length` bytes, where known, is cut into parts here.
    ///
    /// # Errors
    /// `Full` when no object can hold that many bytes.
    pub fn layout(&self, length: Option<u64>) -> Result<Layout> {
        Layout::new(self.inner.part_size, self.inner.equal_parts, length)
    }

    /// Whether what stands behind this store can read the objects of `source` by itself: both are reached at one
    /// endpoint, in one region and with the same credentials. It may refuse all the same, as a policy of the bucket
    /// can forbid it.
    pub fn can_copy_from(&self, source: &Self) -> bool {
        let access_key = |store: &Self| {
            let current = store.inner.keys.as_ref()?.current();
            current.values.first().map(|key| key.expose_secret().to_owned())
        };
        self.inner.account == source.inner.account && access_key(self) == access_key(source)
    }

    /// Reads the files of its keys now; see [`SecretFiles::reread`].
    pub fn reread_keys(&self) {
        if let Some(keys) = &self.inner.keys {
            keys.reread();
        }
    }

    /// The client, with the keys of the configuration's files as they are now.
    pub(super) fn client(&self) -> Client {
        let keys = self.inner.keys.as_ref().map(SecretFiles::current);
        let signed = self.inner.client.read().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = keys.filter(|keys| signed.since != Some(keys.since)) else {
            return signed.client.clone();
        };
        drop(signed);
        let mut signed = self.inner.client.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = credentials(&keys.values) {
            // connections are kept: they belong to the HTTP client, which stays
            let renewed = signed.client.config().to_builder().credentials_provider(credentials);
            *signed = Signed { client: Client::from_conf(renewed.build()), since: Some(keys.since) };
        }
        signed.client.clone()
    }

    pub(super) fn bucket(&self) -> &str {
        &self.inner.bucket
    }

    pub(super) fn folder(&self) -> &str {
        &self.inner.folder
    }

    /// Where it is reached, if that is said; else AWS.
    pub fn endpoint(&self) -> Option<&Url> {
        self.inner.account.endpoint.as_ref()
    }

    /// The origin that requests for its objects go to, where its endpoint is said: with the bucket before the host, if
    /// it is not addressed by path.
    pub fn origin(&self) -> Option<Url> {
        let mut origin = self.endpoint()?.clone();
        if !self.inner.path_style {
            let host = format!("{}.{}", self.bucket(), origin.host_str()?);
            origin.set_host(Some(&host)).ok()?;
        }
        Some(origin)
    }

    pub(super) fn region(&self) -> &str {
        &self.inner.account.region
    }

    pub(super) fn path_style(&self) -> bool {
        self.inner.path_style
    }

    pub(super) fn sign_payload(&self) -> bool {
        self.inner.sign_payload
    }

    pub(super) fn retries(&self) -> &RetryBudget {
        &self.inner.retries
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    async fn new(id: &str, settings: &config::Store, metrics: &Metrics) -> Result<Self, String> {
        let endpoint = settings.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL_S3"));
        let region = settings.region.clone().or_else(|| variable("AWS_REGION"));
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        if settings.bucket.is_empty() {
            return Err("bucket is not set".to_owned());
        }
        let url = endpoint.as_deref().map(endpoint_url).transpose()?;
        let sign_payload = url.as_ref().is_some_and(|url| url.scheme() == "http");
        let path_style = settings.path_style.unwrap_or(endpoint.is_some());
        let mut client =
            base(settings.checksum).force_path_style(path_style).region(Region::new(region.clone()));
        client.set_endpoint_url(endpoint);
        let keys = keys(id, settings)?;
        let current = keys.as_ref().map(SecretFiles::current);
        client.set_credentials_provider(match &current {
            Some(keys) => credentials(&keys.values).map(SharedCredentialsProvider::new),
            None => standard_chain(&region).await,
        });
        let client = Client::from_conf(client.build());
        let inner = Inner {
            client: RwLock::new(Signed { client, since: current.map(|keys| keys.since) }),
            keys,
            account: Account { endpoint: url, region },
            path_style,
            bucket: settings.bucket.clone(),
            folder: key::folder(&settings.prefix),
            sign_payload,
            part_size: part_size(settings)?,
            equal_parts: settings.equal_parts,
            description: settings.description.clone(),
            weight: settings.weight,
            read_only: settings.read_only,
            retries: RetryBudget::default(),
            metrics: metrics.clone(),
        };
        Ok(Self { id: id.into(), inner: Arc::new(inner) })
    }
}

/// All configured stores.
#[derive(Debug, Clone)]
pub struct Stores {
    all: Arc<BTreeMap<String, Store>>,
    default: Store,
}

impl Stores {
    /// Builds a client for every store. Nothing is sent to any of them yet.
    ///
    /// # Errors
    /// A sentence that names the store and the setting that is wrong.
    pub async fn new(
        stores: &BTreeMap<String, config::Store>,
        default: Option<&str>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for (id, settings) in stores {
            let store = Store::new(id, settings, metrics).await;
            let store = store.map_err(|error| format!("stores.{id}: {error}"))?;
            all.insert(id.clone(), store);
        }
        let default = match default {
            Some(id) => all.get(id).ok_or_else(|| format!("default_store: there is no store `{id}`"))?,
            None if all.len() > 1 => return Err("default_store: name one of the stores".to_owned()),
            None => all.values().next().ok_or("stores: configure at least one, with its bucket")?,
        };
        Ok(Self { default: default.clone(), all: Arc::new(all) })
    }

    /// The store with this id.
    pub fn get(&self, id: &str) -> Option<&Store> {
        self.all.get(id)
    }

    /// The store for data that names none.
    pub fn default_store(&self) -> &Store {
        &self.default
    }

    /// Whether there is more than one: only then can clients choose, and see where images lie.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// All stores in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Store> {
        self.all.values()
    }
}

/// What all clients have in common.
pub(super) fn base(checksum: Checksum) -> Builder {
    let (request, response) = match checksum {
        Checksum::WhenRequired => {
            (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired)
        }
        Checksum::WhenSupported => {
            (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported)
        }
    };
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).build())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(request)
        .response_checksum_validation(response)
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(POOL_IDLE)
        .build_https()
}

/// Keys of the configuration, if it has any; those in files are read again when the files change.
fn keys(id: &str, settings: &config::Store) -> Result<Option<SecretFiles>, String> {
    match (&settings.access_key, &settings.secret_key) {
        (Some(access), Some(secret)) => {
            let access = (settings.access_key_file.clone(), access.clone());
            let secret = (settings.secret_key_file.clone(), secret.clone());
            Ok(Some(SecretFiles::new(format!("stores.{id}"), vec![access, secret])))
        }
        (None, None) => Ok(None),
        _ => Err("access_key and secret_key go together".to_owned()),
    }
}

/// Access key and secret key as credentials.
fn credentials(keys: &[SecretString]) -> Option<Credentials> {
    let [access, secret] = keys else { return None };
    Some(Credentials::new(access.expose_secret(), secret.expose_secret(), None, None, "configuration"))
}

/// Credentials that the surroundings give, and renew: environment, profile, web identity, container and instance.
async fn standard_chain(region: &str) -> Option<SharedCredentialsProvider> {
    let chain = aws_config::defaults(BehaviorVersion::latest());
    let chain = chain.region(Region::new(region.to_owned())).http_client(http_client());
    chain.load().await.credentials_provider()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn endpoint_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "endpoint is not an http or https URL".to_owned())
}

fn part_size(settings: &config::Store) -> Result<u64, String> {
    match settings.part_size.map(|size| size.0) {
        None => Ok(DEFAULT_PART_SIZE),
        Some(size) if (MIN_PART_SIZE..=MAX_PART_SIZE).contains(&size) => Ok(size),
        Some(_) => Err("part_size must lie between 5 MiB and 1 GiB".to_owned()),
    }
}
