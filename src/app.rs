//! Builds everything from the configuration in dependency order; starts it, drains it, and checks it.

use std::error::Error as StdError;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use futures_util::future::join_all;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use url::Url;

use crate::blobs::{Budget, Store, Stores};
use crate::catalog::Catalog;
use crate::catalog::migrate::SchemaVersion;
use crate::config::{self, Config, IdentityMode};
use crate::domain::import::GLANCE_DOWNLOAD;
use crate::domain::schema::{self, ImageSchema};
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::fetch::{Fetcher, Limits};
use crate::flows::{Flows, Parts};
use crate::http::front::{self, Api};
use crate::http::openapi;
use crate::http::ops::{self, Check, Readiness};
use crate::http::serve;
use crate::identity::Identity;
use crate::jobs;
use crate::notify::Sink;
use crate::policy::PolicyHandle;
use crate::telemetry::certificates::{Certificates, Server};
use crate::telemetry::metrics::{Exposition, Metrics, PoolStatus};
use crate::telemetry::peer::Kind;

/// How long the start waits for the database and the stores.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two tries of that.
const START_PAUSE: Duration = Duration::from_millis(500);
/// How long load balancers are given to notice that a replica is going away, at most; a tenth of the drain.
const ENDPOINT_REMOVAL: Duration = Duration::from_secs(5);
/// How long a replica is asked whether it is ready.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// How long aborted work has to write down its end.
const ABORT_LIMIT: Duration = Duration::from_secs(15);

/// The service, built and not yet running. Clones are the same service.
#[derive(Clone)]
pub struct App {
    /// The use cases.
    pub flows: Flows,
    identity: Arc<Identity>,
}

/// What [`App::check`] says of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Nothing is wrong.
    Fine,
    /// The service works, and the operator should know.
    Warning(String),
    /// The service does not work, or not as configured.
    Failure(String),
}

impl From<Option<String>> for CheckOutcome {
    fn from(problem: Option<String>) -> Self {
        problem.map_or(Self::Fine, Self::Failure)
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str("ok"),
            Self::Warning(text) => write!(f, "warning: {text}"),
            Self::Failure(text) => f.write_str(text),
        }
    }
}

impl App {
    /// Builds the service. Opens no connection.
    ///
    /// # Errors
    /// Settings and files that cannot be used, one line each.
    pub async fn build(config: Config, metrics: Metrics) -> anyhow::Result<Self> {
        Self::build_with_limits(config, metrics, Limits::default()).await
    }

    /// As [`App::build`], with other bounds on what is fetched from where users say.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_with_limits(config: Config, metrics: Metrics, limits: Limits) -> anyhow::Result<Self> {
        let catalog = Catalog::telling(&config.database, &config.notifications).context("database")?;
        let catalog = catalog.observed_by(&metrics);
        let stores = Stores::new(&config.stores, config.default_store.as_deref(), &metrics)
            .await
            .map_err(anyhow::Error::msg)?;
        let budget = Budget::new(config.data.memory_budget.0, config.data.parts_in_flight);
        let policy = PolicyHandle::load(&config.policy).context("policy")?;
        let with_catalogue = config.import.offers(GLANCE_DOWNLOAD);
        let identity = Arc::new(
            Identity::new(&config.identity, with_catalogue).context("identity")?.observed_by(&metrics),
        );
        let schema = image_schema(&config.images).context("images")?;
        let fetcher = Fetcher::with_limits(&config.import, limits).context("import")?.observed_by(&metrics);
        let peers = fetcher.for_peers().context("import")?;
        let sinks = Sink::all(&config.notifications, &metrics).context("notifications")?;
        observe(&metrics, &catalog, &budget);
        let (tokens, refusals) = (Arc::clone(&identity), fetcher.clone());
        metrics.observe_token_cache(move || (tokens.cache_stats().hits, tokens.cache_stats().misses));
        metrics.observe_refusals(move || refusals.refusals());
        let parts = Parts {
            config: Arc::new(config),
            catalog,
            stores,
            budget,
            policy,
            schema,
            fetcher,
            peers,
            sinks,
            metrics,
            tracker: TaskTracker::new(),
            abort: CancellationToken::new(),
            task_added: Notify::new(),
        };
        Ok(Self { flows: Flows::new(parts), identity })
    }

    /// Reads at once what is otherwise looked at from time to time: the policy file, and the files of secrets. What
    /// cannot be used leaves in force what was read before, and says so in the log (operations.md §5, §17).
    pub fn reload(&self) {
        info!("reading the policy file and the files of secrets again");
        self.flows.policy.reread();
        self.flows.catalog.reread_url();
        self.flows.stores.iter().for_each(Store::reread_keys);
        self.identity.reread_secrets();
    }

    /// The questions that `/readyz` and `vitrine check` ask.
    pub fn checks(&self) -> Vec<Check> {
        let catalog = self.flows.catalog.clone();
        let schema = Check::new("database", move || {
            let catalog = catalog.clone();
            async move { check_schema(&catalog).await.map_err(|error| Chain(&error).to_string()) }
        });
        let stores = self.flows.stores.iter().cloned().map(|store| {
            Check::new(format!("store:{}", store.id), move || {
                let store = store.clone();
                async move { store.check().await.map_err(|error| Chain(&error).to_string()) }
            })
        });
        std::iter::once(schema).chain(stores).collect()
    }

    /// Every dependency with what is wrong about it, if anything; for `vitrine check`.
    pub async fn check(&self) -> Vec<(String, CheckOutcome)> {
        let mut outcomes = Vec::new();
        outcomes.push(("database".to_owned(), problem(check_schema(&self.flows.catalog)).await.into()));
        for store in self.flows.stores.iter() {
            outcomes.push((format!("store {}", store.id), store_outcome(store).await));
        }
        outcomes.push(("identity".to_owned(), problem(self.identity.check()).await.into()));
        outcomes.push(("policy".to_owned(), policy_problem(&self.flows.policy).into()));
        outcomes
    }

    /// Waits, within a bound, until the dependencies that requests need are there; creates buckets where asked to.
    async fn wait_for_dependencies(&self) -> anyhow::Result<()> {
        let stores = async {
            for store in self.flows.stores.iter() {
                if self.flows.config.stores.get(&*store.id).is_some_and(|config| config.create_bucket) {
                    store.create_bucket().await.map_err(Error::internal)?;
                }
            }
            Ok::<_, Error>(())
        };
        let ready = async {
            while let Err(error) = check_schema(&self.flows.catalog).await {
                warn!(error = %Chain(&error), "waiting for the database");
                tokio::time::sleep(START_PAUSE).await;
            }
        };
        timeout(START_LIMIT, ready).await.context("the database did not become usable in time")?;
        timeout(START_LIMIT, stores).await.context("the stores did not answer in time")?.context("stores")
    }

    /// Serves the API and the operators' port, with background work where configured, until `stop` fires; then
    /// drains. `serving` is called once requests are accepted.
    ///
    /// # Errors
    /// Addresses that cannot be bound, dependencies that do not come up.
    pub async fn serve(
        self,
        exposition: Exposition,
        stop: CancellationToken,
        serving: impl FnOnce(),
    ) -> anyhow::Result<()> {
        let config = Arc::clone(&self.flows.config);
        let delivers = config.jobs.enabled.then_some(Kind::Webhook);
        let spoken_to: Vec<Kind> = [Kind::Keystone, Kind::Store].into_iter().chain(delivers).collect();
        let mut ops = OpsPort::open(&self, exposition, &spoken_to).await?;
        let listener = bind(config.server.bind).await?;
        tokio::select! {
            waited = self.wait_for_dependencies() => waited?,
            () = stop.cancelled() => return Ok(()),
        }
        ops.probe().await;

        let stop_jobs = CancellationToken::new();
        if config.jobs.enabled {
            self.start_jobs(&stop_jobs);
        }
        let stop_accepting = CancellationToken::new();
        let limits = serve::Limits::from(&config.server);
        let api =
            serve::serve(listener, self.router(), limits, stop_accepting.clone(), self.flows.tracker.clone());
        let api = ops.tracker.spawn(api);
        info!(address = %config.server.bind, "serving the Images API");
        serving();
        let exposed = warn_of_exposed(self.flows.stores.clone());
        ops.tracker.spawn(stop.clone().run_until_cancelled_owned(exposed));

        stop.cancelled().await;
        info!("draining");
        ops.readiness.drain();
        tokio::time::sleep(ENDPOINT_REMOVAL.min(config.server.drain_timeout / 10)).await;
        stop_accepting.cancel();
        stop_jobs.cancel();
        let _ = api.await;
        self.flows.finish().await;
        ops.close().await;
        info!("stopped");
        Ok(())
    }

    /// Background work only, with the operators' port, until `stop` fires.
    ///
    /// # Errors
    /// As [`App::serve`].
    pub async fn work(self, exposition: Exposition, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ops = OpsPort::open(&self, exposition, &[Kind::Store, Kind::Webhook]).await?;
        tokio::select! {
            waited = self.wait_for_dependencies() => waited?,
            () = stop.cancelled() => return Ok(()),
        }
        ops.probe().await;
        let stop_jobs = stop.child_token();
        self.start_jobs(&stop_jobs);
        info!("background work has started");
        stop.cancelled().await;
        ops.readiness.drain();
        self.flows.finish().await;
        ops.close().await;
        Ok(())
    }

    /// The service of the API port.
    pub fn router(&self) -> Router {
        front::service(Api { flows: self.flows.clone(), identity: Arc::clone(&self.identity) })
    }

    /// Starts the task runner, the sweep and the delivery of events; `stop` ends them all.
    pub fn start_jobs(&self, stop: &CancellationToken) {
        self.flows.tracker.spawn(jobs::runner::run(self.flows.clone(), stop.clone()));
        self.flows.tracker.spawn(jobs::reconcile::run(self.flows.clone(), stop.clone()));
        self.flows.tracker.spawn(jobs::events::run(self.flows.clone(), stop.clone()));
    }
}

/// Asks the replica whose operators' port is bound to `ops_bind` on this host whether it is ready.
///
/// # Errors
/// When it does not answer within five seconds, or names what stands in the way.
pub async fn health(ops_bind: SocketAddr) -> anyhow::Result<()> {
    let mut address = ops_bind;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(HEALTH_LIMIT).build()?;
    let answer = client.get(format!("http://{address}/readyz")).send().await?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        _ => bail!("{}", answer.text().await.unwrap_or_default()),
    }
}

/// The operators' port of a process, and the probe behind it.
struct OpsPort {
    readiness: Readiness,
    checks: Vec<Check>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl OpsPort {
    /// Listens, and looks at the certificates of servers that this process speaks to. Not ready before
    /// [`OpsPort::probe`].
    async fn open(app: &App, exposition: Exposition, spoken_to: &[Kind]) -> anyhow::Result<Self> {
        let config = &app.flows.config.server;
        let listener = bind(config.ops_bind).await?;
        let checks = app.checks();
        let readiness = Readiness::new(&checks);
        let shown = readiness.clone();
        app.flows.metrics.observe_ready(move || shown.obstacles().is_empty());
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let certificates = Certificates::new(servers(&app.flows, spoken_to), &app.flows.metrics);
        tracker.spawn(certificates.watch(stop.clone()));
        let router = ops::router(readiness.clone(), exposition);
        let limits = serve::Limits::from(config);
        tracker.spawn(serve::serve(listener, router, limits, stop.clone(), tracker.clone()));
        Ok(Self { readiness, checks, tracker, stop })
    }

    /// Asks the dependencies once, and from then on again and again.
    async fn probe(&mut self) {
        self.readiness.round(&self.checks).await;
        let checks = std::mem::take(&mut self.checks);
        self.tracker.spawn(self.readiness.clone().probe(checks, self.stop.clone()));
    }

    /// Ends the probe and the port, within a bound.
    async fn close(self) {
        self.stop.cancel();
        self.tracker.close();
        let _ = timeout(ABORT_LIMIT, self.tracker.wait()).await;
    }
}

impl Flows {
    /// Lets tracked work end: it is told to stop, and has a bounded time to write down how far it came.
    async fn finish(&self) {
        self.abort.cancel();
        self.tracker.close();
        if timeout(ABORT_LIMIT, self.tracker.wait()).await.is_err() {
            warn!("work was left unfinished; the sweep will end it");
        }
    }
}

async fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn problem<E: StdError + 'static>(check: impl Future<Output = Result<(), E>>) -> Option<String> {
    match timeout(START_LIMIT, check).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Chain(&error).to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    }
}

/// What is wrong with a store: it does not answer, takes no objects where it is to take some, or is open to anybody.
async fn store_outcome(store: &Store) -> CheckOutcome {
    if let Some(why) = problem(store.check()).await {
        return CheckOutcome::Failure(why);
    }
    let unwritable = if store.read_only() { None } else { problem(store.check_write()).await };
    if let Some(why) = unwritable {
        return CheckOutcome::Failure(format!("an object cannot be written and removed: {why}"));
    }
    let exposure = store.exposure().await;
    exposure.map_or(CheckOutcome::Fine, |exposure| CheckOutcome::Warning(exposure.as_str().to_owned()))
}

/// Tells of buckets that anybody can look into (hardening A60).
async fn warn_of_exposed(stores: Stores) {
    let warnings = stores.iter().map(|store| async {
        if let Some(exposure) = store.exposure().await {
            warn!(store = %store.id, "{}", exposure.as_str());
        }
    });
    join_all(warnings).await;
}

/// What is wrong with the policy file, in one line.
fn policy_problem(policy: &PolicyHandle) -> Option<String> {
    let problems: Vec<String> = policy.unparsable().iter().map(ToString::to_string).collect();
    let text = problems.join("; ").replace(['\n', '\r'], " ");
    (!text.is_empty()).then_some(text)
}

async fn check_schema(catalog: &Catalog) -> Result<()> {
    match catalog.schema_version().await? {
        SchemaVersion::Usable => Ok(()),
        SchemaVersion::Older => Err(schema_fault("the schema is too old: run `vitrine migrate`")),
        SchemaVersion::TooNew => Err(schema_fault("the schema is newer than this release can use")),
    }
}

/// Read by operators alone: on the readiness page, in the log, and from `vitrine check`.
fn schema_fault(text: &'static str) -> Error {
    Error::new(ErrorKind::Internal, text)
}

/// The schema of images, with the properties that the operator declares.
fn image_schema(images: &config::Images) -> anyhow::Result<ImageSchema> {
    let Some(path) = &images.schema_extension_file else {
        let shipped = schema::default_extension();
        return Ok(ImageSchema::new(&images.disk_formats, &images.container_formats, &shipped)?);
    };
    let named = || format!("schema_extension_file {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    let extension = serde_json::from_str(&text).with_context(named)?;
    ImageSchema::new(&images.disk_formats, &images.container_formats, &extension).with_context(named)
}

/// The OpenAPI document of an installation with this configuration.
///
/// # Errors
/// When the schema extension that it names cannot be used.
pub fn openapi(config: &Config) -> anyhow::Result<serde_json::Value> {
    let schema = image_schema(&config.images).context("images")?;
    Ok(openapi::document(config, &schema))
}

/// Servers of some kinds that the configuration gives an HTTP address of.
fn servers(flows: &Flows, kinds: &[Kind]) -> Vec<Server> {
    let config = &flows.config;
    let at = |kind, address: &str| Url::parse(address).ok().map(|url| Server { kind, store: None, url });
    let keystone =
        (config.identity.mode == IdentityMode::Keystone).then_some(&config.identity.keystone.auth_url);
    let keystone = keystone.and_then(|address| at(Kind::Keystone, address));
    let webhook = config.notifications.webhook.url.as_ref().and_then(|address| at(Kind::Webhook, address));
    let stores = flows.stores.iter().filter_map(|store| {
        Some(Server { kind: Kind::Store, store: Some(Arc::clone(&store.id)), url: store.origin()? })
    });
    let all = keystone.into_iter().chain(webhook).chain(stores);
    all.filter(|server| kinds.contains(&server.kind)).collect()
}

fn observe(metrics: &Metrics, catalog: &Catalog, budget: &Budget) {
    let pool = catalog.clone();
    metrics.observe_pool(move || {
        let status = pool.pool_status();
        PoolStatus {
            max: status.max,
            idle: status.available,
            used: status.size - status.available,
            waiting: status.waiting,
        }
    });
    let budget = budget.clone();
    metrics.observe_permits(move || usize::try_from(budget.free() >> 20).unwrap_or(usize::MAX));
}

/// Brings the schema up to date and says what was done.
///
/// # Errors
/// When the database is out of reach or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let catalog = Catalog::new(&config.database).context("database")?;
    catalog.migrate().await.context("migrate")
}
