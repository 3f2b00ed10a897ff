//! Subcommands, one per container, hook or probe.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vitrine::app::{self, App, CheckOutcome};
use vitrine::catalog::Catalog;
use vitrine::catalog::metadefs::MergeMode;
use vitrine::config::units::duration;
use vitrine::config::{Config, Notifications, load};
use vitrine::flows::adoption::{AdoptOptions, AdoptReport, Finding, Verification};
use vitrine::flows::metadef_files::{self, FileOutcome, Refused};
use vitrine::policy::PolicyHandle;
use vitrine::telemetry;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The OpenStack Image service on PostgreSQL and S3-compatible storage.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "VITRINE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API, and run background work unless `jobs.enabled = false`
    Serve,
    /// Run background work only
    Worker,
    /// Bring the database schema up to date; safe to repeat and to run from several hosts
    Migrate,
    /// Check configuration, database, schema version, every bucket and the identity service
    Check,
    /// Ask the replica on this host, at `server.ops_bind`, whether it is ready; for container engines
    Health,
    /// Serve with a private PostgreSQL and S3 server of its own, for development
    #[cfg(feature = "dev")]
    Dev(Dev),
    /// One pass of the sweep: expired writers, garbage, delayed deletes; prints what it did
    Sweep,
    /// Compare every bucket with the ledger
    Scrub(Scrub),
    /// Bring back an image whose delete is delayed (`images.delayed_delete`) and not yet final
    Restore(Restore),
    /// Forget all about images deleted long ago, except that their ids are taken
    Purge(Purge),
    /// Take over the images of a Glance in place; without --apply, say what would come of it
    Adopt(Adopt),
    /// Load, unload and export metadata definitions
    #[command(subcommand)]
    Metadefs(Metadefs),
    /// Look into the policy
    #[command(subcommand)]
    Policy(Policy),
    /// Print the OpenAPI document of the API
    Openapi,
    /// Look into the configuration
    #[command(subcommand, name = "config")]
    Configuration(Configuration),
}

#[cfg(feature = "dev")]
#[derive(Args)]
struct Dev {
    /// Throw the data away at the end
    #[arg(long)]
    ephemeral: bool,
    /// Write the settings under which `vitrine serve` uses the same database and store to FILE, for a shell to read
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Args)]
struct Scrub {
    /// Remove objects and uploads nobody owns, once they are older than a day
    #[arg(long)]
    delete: bool,
}

#[derive(Args)]
struct Restore {
    /// Id of the image
    #[arg(value_name = "IMAGE_ID")]
    image: String,
}

#[derive(Args)]
struct Purge {
    /// Age since the delete, with its unit (s, m, h or d), such as 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = duration::parse_age)]
    older_than: Option<Duration>,
}

#[derive(Args)]
struct Adopt {
    /// URL of Glance's database, or of a dump of it, in PostgreSQL; it is only read
    #[arg(long, value_name = "POSTGRES_URL", env = "GLANCE_DATABASE_URL", hide_env_values = true)]
    from: String,
    /// Schema of its tables
    #[arg(long, default_value = "public", value_name = "NAME")]
    schema: String,
    /// The store here that a store of Glance is, by Glance's id of it or by the host[:port] in its locations
    #[arg(long = "store", value_name = "GLANCE_STORE=STORE", value_parser = pair)]
    stores: Vec<(String, String)>,
    /// Write what was found
    #[arg(long)]
    apply: bool,
    /// What the data is held against: its size, its digests too, or nothing
    #[arg(long, default_value = "size")]
    verify: Verify,
}

#[derive(Clone, Copy, ValueEnum)]
enum Verify {
    Size,
    Hash,
    None,
}

#[derive(Subcommand)]
enum Metadefs {
    /// Load definitions from files, each on its own; namespaces that exist stay as they are
    Load(Load),
    /// Delete all namespaces and resource types, protected ones too
    Unload,
    /// Write each namespace to a file of its own; files that exist are never overwritten
    Export {
        /// Directory, which is made where it does not exist
        path: PathBuf,
    },
}

#[derive(Args)]
struct Load {
    /// Add what is missing in namespaces that exist
    #[arg(long)]
    merge: bool,
    /// With --merge: what exists takes the values of the files
    #[arg(long, requires = "merge", conflicts_with = "overwrite")]
    prefer_new: bool,
    /// With --merge: delete namespaces that exist, and load them afresh
    #[arg(long, requires = "merge")]
    overwrite: bool,
    /// A file, or a directory of *.json files
    path: PathBuf,
}

impl Load {
    fn mode(&self) -> MergeMode {
        match (self.merge, self.prefer_new, self.overwrite) {
            (false, ..) => MergeMode::Skip,
            (true, false, false) => MergeMode::Merge,
            (true, true, _) => MergeMode::PreferNew,
            (true, false, true) => MergeMode::Overwrite,
        }
    }
}

#[derive(Subcommand)]
enum Policy {
    /// Every action with its effective rule
    List,
}

#[derive(Subcommand)]
enum Configuration {
    /// The effective configuration, secrets redacted
    Print,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                complain(line);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // the pool of blocking threads carries the digests; two a writer is plenty
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(execute(cli));
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "dev")]
    if let Command::Dev(dev) = &cli.command {
        return Box::pin(develop(cli.config.as_deref(), dev)).await;
    }
    if let Command::Policy(Policy::List) = cli.command {
        let config = load::read_over(&Config::default(), cli.config.as_deref())?;
        return list_policy(&config);
    }
    if let Command::Openapi = cli.command {
        let config = load::read_over(&Config::default(), cli.config.as_deref())?;
        return print_document(&config);
    }
    let config = load::load(cli.config.as_deref())?;
    match cli.command {
        Command::Serve => serve(config, |_| {}).await,
        Command::Worker => {
            let telemetry = telemetry::init(&config.telemetry);
            let (stop, hangups) = (stop_on_signal()?, Hangups::heard()?);
            let app = Box::pin(App::build(config, telemetry.metrics().clone())).await?;
            hangups.reload(app.clone(), stop.clone());
            let worked = Box::pin(app.work(telemetry.exposition().clone(), stop)).await;
            telemetry.shutdown(Duration::from_secs(5));
            worked.map(|()| ExitCode::SUCCESS)
        }
        Command::Migrate => migrate(&config).await,
        Command::Check => check(config).await,
        Command::Health => health(&config).await,
        Command::Sweep => {
            let report = tool(config, async |app| app.flows.sweep().await).await?;
            say(serde_json::to_string_pretty(&report)?)?;
            Ok(if report.failed_removals == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Scrub(options) => {
            let reports = tool(config, async |app| app.flows.scrub(options.delete).await).await?;
            say(serde_json::to_string_pretty(&reports)?)?;
            let clean = reports.iter().all(vitrine::flows::scrub::ScrubReport::is_clean);
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Restore(options) => {
            let image = tool(config, async |app| app.flows.restore_image(&options.image).await).await?;
            say(format_args!("image {} is {} again", image.id, image.status.as_str()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Purge(options) => {
            let age = options.older_than.unwrap_or(config.jobs.deleted_ttl);
            let purged = tool(config, async |app| app.flows.purge(age).await).await?;
            say(format_args!("purged {purged} images"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Adopt(options) => adopt(config, options).await,
        Command::Metadefs(metadefs) => {
            tool(config, async |app| define(&app.flows.catalog, metadefs).await).await
        }
        Command::Configuration(Configuration::Print) => {
            say(load::print(&config).trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Policy(Policy::List) => list_policy(&config),
        Command::Openapi => print_document(&config),
        #[cfg(feature = "dev")]
        Command::Dev(_) => Ok(ExitCode::FAILURE),
    }
}

async fn serve(config: Config, serving: impl FnOnce(&Config)) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::init(&config.telemetry);
    let (stop, hangups) = (stop_on_signal()?, Hangups::heard()?);
    let app = Box::pin(App::build(config.clone(), telemetry.metrics().clone())).await?;
    hangups.reload(app.clone(), stop.clone());
    let served = Box::pin(app.serve(telemetry.exposition().clone(), stop, || serving(&config))).await;
    telemetry.shutdown(Duration::from_secs(5));
    served.map(|()| ExitCode::SUCCESS)
}

/// The service for a command that runs once; its result goes to standard output, its log to standard error. What it
/// measured is pushed before it ends, where metrics are pushed.
async fn tool<T, E: Into<anyhow::Error>>(
    config: Config,
    work: impl AsyncFnOnce(&App) -> Result<T, E>,
) -> anyhow::Result<T> {
    let telemetry = telemetry::init_on(&config.telemetry, telemetry::log::Output::Stderr);
    let app = Box::pin(App::build(config, telemetry.metrics().clone())).await?;
    let done = Box::pin(work(&app)).await;
    telemetry.shutdown(Duration::from_secs(5));
    done.map_err(Into::into)
}

async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    let applied = app::migrate(config).await?;
    for name in &applied {
        say(format_args!("applied {name}"))?;
    }
    if applied.is_empty() {
        say("the schema is up to date")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn define(catalog: &Catalog, command: Metadefs) -> anyhow::Result<ExitCode> {
    match command {
        Metadefs::Load(options) => {
            let files = metadef_files::files_at(&options.path)?;
            let refused = metadef_files::load_files(catalog, &files, options.mode(), tell_loaded).await?;
            return Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Metadefs::Unload => {
            say(format_args!("deleted {} namespaces", catalog.unload_definitions().await?))?;
        }
        Metadefs::Export { path } => {
            metadef_files::export(catalog, &path, |namespace, file| {
                tell(format_args!("{}: {}", namespace.fields.namespace, file.display()));
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_loaded(file: &Path, outcome: &FileOutcome) {
    match outcome {
        Ok((namespace, loaded)) => tell(format_args!("{namespace}: {}", loaded.as_str())),
        Err(Refused { line: Some(line), reason }) => {
            complain(format_args!("{}:{line}: {reason}", file.display()));
        }
        Err(Refused { line: None, reason }) => complain(format_args!("{}: {reason}", file.display())),
    }
}

async fn check(config: Config) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for (dependency, outcome) in tool(config, async |app| anyhow::Ok(app.check().await)).await? {
        failed |= matches!(outcome, CheckOutcome::Failure(_));
        say(format_args!("{dependency}: {outcome}"))?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn health(config: &Config) -> anyhow::Result<ExitCode> {
    app::health(config.server.ops_bind).await?;
    say("ready")?;
    Ok(ExitCode::SUCCESS)
}

/// One line of JSON for every image there is something to say of, and one that sums up.
async fn adopt(mut config: Config, options: Adopt) -> anyhow::Result<ExitCode> {
    // nothing happens to the images: nobody is to be told of them as if they were new
    config.notifications = Notifications::default();
    let options = AdoptOptions {
        from: options.from.into(),
        schema: options.schema,
        stores: options.stores.into_iter().collect(),
        apply: options.apply,
        verify: match options.verify {
            Verify::Size => Verification::Size,
            Verify::Hash => Verification::Hash,
            Verify::None => Verification::None,
        },
    };
    let found = |finding: &Finding| print_line(finding);
    let adopt = async |app: &App| app.flows.adopt(&options, &found, &show_progress).await;
    let report = tool(config, adopt).await?;
    if std::io::stderr().is_terminal() {
        let _ = writeln!(io::stderr());
    }
    print_line(&serde_json::json!({ "summary": report }));
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_line(value: &impl serde::Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        tell(line);
    }
}

/// On a terminal only, as one line that is written over.
fn show_progress(report: &AdoptReport) {
    if std::io::stderr().is_terminal() {
        let AdoptReport { images, adopted, refreshed, known, left_out, bytes, .. } = report;
        let gib = bytes >> 30;
        let _ = write!(
            io::stderr(),
            "\r{images} images: {adopted} taken over and {refreshed} brought up to date ({gib} GiB), {known} known, \
             {left_out} left out  "
        );
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((theirs, ours)) if !theirs.is_empty() && !ours.is_empty() => {
            Ok((theirs.to_owned(), ours.to_owned()))
        }
        _ => Err("write GLANCE_STORE=STORE".to_owned()),
    }
}

fn list_policy(config: &Config) -> anyhow::Result<ExitCode> {
    let rules = PolicyHandle::load(&config.policy)?.rules();
    for action in rules.list() {
        let mark = if action.overridden { " (overridden)" } else { "" };
        say(format_args!("# {}{mark}\n{}: \"{}\"", action.description, action.action, action.v2))?;
        if action.v1 != action.v2 {
            say(format_args!("#   in v1: \"{}\"", action.v1))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_document(config: &Config) -> anyhow::Result<ExitCode> {
    say(serde_json::to_string_pretty(&app::openapi(config)?)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a line of the result to standard output. A reader that has seen enough and gone is no failure: `vitrine policy
/// list | head` ends well. What cannot be written for another reason is one.
fn say(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// As [`say`], in the middle of work that goes on whether or not anybody reads of it.
fn tell(line: impl Display) {
    if let Err(error) = say(line) {
        complain(format_args!("cannot write the result: {error}"));
    }
}

/// Writes a line to standard error. Nothing is left to be told where that fails.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "vitrine: {line}");
}

/// Fires on SIGTERM and on Ctrl-C.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let fired = stop.clone();
    tokio_util::task::TaskTracker::new().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        fired.cancel();
    });
    Ok(stop)
}

/// SIGHUP, which ends no process any more once this is made.
struct Hangups {
    signal: Signal,
    on_terminal: bool,
}

impl Hangups {
    fn heard() -> io::Result<Self> {
        Ok(Self { signal: signal(SignalKind::hangup())?, on_terminal: io::stdin().is_terminal() })
    }

    /// From now on, reloads `app` at every one of them. When it comes because the terminal has gone away that the
    /// process was started on, nobody is left to end it: then it fires `stop`.
    fn reload(mut self, app: App, stop: CancellationToken) {
        tokio_util::task::TaskTracker::new().spawn(async move {
            while self.signal.recv().await.is_some() {
                if self.on_terminal && !io::stdin().is_terminal() {
                    return stop.cancel();
                }
                app.reload();
            }
        });
    }
}

#[cfg(feature = "dev")]
async fn develop(file: Option<&Path>, options: &Dev) -> anyhow::Result<ExitCode> {
    use vitrine::dev::{self, DevServices, Existing};

    let existing = Existing::from_env();
    let existing_database = existing.database_url.is_some();
    let mut services = DevServices::start(Path::new(dev::ROOT), options.ephemeral, existing).await?;
    let mut base = services.config();
    // nobody balances load over a development server: it need not wait to be taken out
    base.server.drain_timeout = Duration::from_secs(5);
    let config = load::load_over(&base, file)?;
    let applied = app::migrate(&config).await?;
    // what users make of them is theirs, and a database that is not ours gets nothing of its own accord
    if applied.first().is_some_and(|first| first.starts_with("V1__")) && !existing_database {
        dev::metadefs::load(&config).await?;
    }
    if let Some(file) = &options.env_file {
        services.write_env(file)?;
    }
    let served = serve(config, |config| tell(dev::banner(config))).await;
    services.stop()?;
    served
}
