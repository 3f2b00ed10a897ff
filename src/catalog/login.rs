//! The login of new sessions: what `database.url_file` holds when they are opened.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error as DriverError, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config::secret_files::SecretFiles;
use crate::config::{Database, Notifications};

use super::error::Result;
use super::pool;

/// How often a new account that was refused is tried.
const TRY_AGAIN: Duration = Duration::from_secs(10);

type Opened = std::result::Result<(Client, JoinHandle<()>), DriverError>;

/// Opens sessions. A new URL counts for those that are opened from then on; while the server refuses its account, the one
/// before is used.
#[derive(Clone)]
pub(super) struct Login(Arc<Inner>);

struct Inner {
    settings: Database,
    events: Notifications,
    tls: MakeRustlsConnect,
    url: SecretFiles,
    state: Mutex<State>,
}

struct State {
    current: Config,
    /// When the URL that was looked at last came into force.
    url_since: Instant,
    /// Sessions from before are to be replaced.
    since: Instant,
    /// The one before, until a session was opened with the current one.
    previous: Option<Config>,
}

impl Login {
    pub(super) fn new(settings: &Database, events: &Notifications) -> Result<Self> {
        let url = pool::url(settings)?;
        let current = pool::session(&url, settings, events)?;
        let url = SecretFiles::new("database.url_file", vec![(settings.url_file.clone(), url)]);
        let since = url.current().since;
        let state = State { current, url_since: since, since, previous: None };
        let tls = MakeRustlsConnect::new(pool::tls(settings.tls)?);
        let (settings, events) = (settings.clone(), events.clone());
        Ok(Self(Arc::new(Inner { settings, events, tls, url, state: Mutex::new(state) })))
    }

    /// How a session is opened now.
    pub(super) fn current(&self) -> Config {
        self.look().current.clone()
    }

    /// Sessions from before are to be replaced.
    pub(super) fn since(&self) -> Instant {
        self.look().since
    }

    /// Reads the file now; see [`SecretFiles::reread`].
    pub(super) fn reread(&self) {
        self.0.url.reread();
    }

    /// What is known after a look at the file.
    fn look(&self) -> MutexGuard<'_, State> {
        let url = self.0.url.current();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if url.since != state.url_since {
            let parsed = url.values.first().map(|text| pool::session(text, &self.0.settings, &self.0.events));
            match parsed {
                Some(Ok(next)) => {
                    state.previous = Some(std::mem::replace(&mut state.current, next));
                    state.since = url.since;
                }
                // its text is not repeated: it holds a password
                _ => warn!("database.url_file: what it holds now is no URL; the one before stays in force"),
            }
            state.url_since = url.since;
        } else if state.previous.is_some() && state.since.elapsed() >= TRY_AGAIN {
            state.since = Instant::now();
        }
        state
    }

    async fn open(&self) -> Opened {
        let (current, previous) = {
            let state = self.look();
            (state.current.clone(), state.previous.clone())
        };
        let begun = Instant::now();
        match (self.connect_as(&current).await, previous) {
            (Err(error), Some(previous)) if is_refusal(&error) => {
                warn!("database.url_file: the server refuses the new account; the one before is used");
                self.connect_as(&previous).await
            }
            (Ok(opened), _) => {
                let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.current == current && state.previous.take().is_some() {
                    // also those that the account before was used for, while this one was refused
                    state.since = begun;
                }
                Ok(opened)
            }
            (refused, _) => refused,
        }
    }

    async fn connect_as(&self, session: &Config) -> Opened {
        if session.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = session.connect(NoTls).await?;
            return Ok((client, attend(connection)));
        }
        let (client, connection) = session.connect(self.0.tls.clone()).await?;
        Ok((client, attend(connection)))
    }
}

impl Connect for Login {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        Box::pin(self.open())
    }
}

/// Lets a session speak until it ends.
fn attend(
    connection: impl Future<Output = std::result::Result<(), DriverError>> + Send + 'static,
) -> JoinHandle<()> {
    TaskTracker::new().spawn(async move {
        if let Err(error) = connection.await {
            warn!(error = %error, "a connection to the database broke");
        }
    })
}

/// Whether the server knows neither this account nor this password.
fn is_refusal(error: &DriverError) -> bool {
    // class 28, invalid authorization
    error.code().is_some_and(|state| state.code().starts_with("28"))
}
