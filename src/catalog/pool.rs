//! The connection pool: bounds, session settings, and TLS.

use std::env;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::SslMode;

use crate::config::secret_files;
use crate::config::{Database, Notifications, Tls};

use super::error::{Error, ErrorKind, Result};
use super::login::Login;

/// Longest wait for a free connection. With [`CREATE`] and [`RECYCLE`] it bounds every wait for the pool.
const WAIT: Duration = Duration::from_secs(10);
const CREATE: Duration = Duration::from_secs(5);
const RECYCLE: Duration = Duration::from_secs(2);
/// How long sent data may stay unacknowledged before the connection counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Makes the pool of sessions with this login; connects to nothing yet.
pub(super) fn open(config: &Database, login: Login) -> Result<Pool> {
    let database = login.current();
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(database, login.clone(), recycling);
    Pool::builder(manager)
        // sessions of a login that has been replaced end as their turn comes
        .pre_recycle(Hook::sync_fn(move |_, session| match session.created < login.since() {
            true => Err(HookError::message("the login has been replaced")),
            false => Ok(()),
        }))
        .max_size(config.max_connections.max(1))
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(CREATE))
        .recycle_timeout(Some(RECYCLE))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| Error::caused(ErrorKind::Internal, e))
}

/// The longest an operation may take, waits for the pool included. It is a backstop for a server that holds the
/// connection but answers nothing; all shorter bounds are elsewhere.
pub(super) fn longest_operation(config: &Database) -> Duration {
    WAIT + CREATE + RECYCLE + config.statement_timeout * 2
}

/// The URL of the configuration, or what its file holds now.
pub(super) fn url(config: &Database) -> Result<SecretString> {
    let missing = || Error::caused(ErrorKind::Internal, "no database URL: set database.url or DATABASE_URL");
    match (&config.url, &config.url_file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(path)) => secret_files::read(path).map_err(|e| Error::caused(ErrorKind::Internal, e)),
        (None, None) => Err(missing()),
    }
}

/// How sessions at `url` are opened.
pub(super) fn session(
    url: &SecretString,
    config: &Database,
    events: &Notifications,
) -> Result<tokio_postgres::Config> {
    // the driver repeats what it cannot read, and with it the password
    let malformed =
        |_| Error::caused(ErrorKind::Internal, "it is no URL like postgres://user:password@host:port/name");
    let mut database = tokio_postgres::Config::from_str(url.expose_secret().trim()).map_err(malformed)?;
    // Compilation of queries costs more than any query of ours; a session that died in a transaction must not hold
    // locks for long.
    let millis = config.statement_timeout.as_millis();
    let mut ours =
        format!("-c statement_timeout={millis} -c idle_in_transaction_session_timeout={millis} -c jit=off");
    let sinks = events.sinks().join(",");
    if !sinks.is_empty() {
        // read by the triggers of V004__events.sql; both are lists of known words
        let disabled = events.disabled.join(",");
        ours.push_str(&format!(" -c vitrine.event_sinks={sinks} -c vitrine.events_disabled={disabled}"));
    }
    let options = database.get_options().map_or_else(|| ours.clone(), |theirs| format!("{theirs} {ours}"));
    database
        .application_name("vitrine")
        .options(options)
        .connect_timeout(CREATE)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    match config.tls {
        Tls::Disable => database.ssl_mode(SslMode::Disable),
        Tls::Prefer => &mut database,
        Tls::Require => database.ssl_mode(SslMode::Require),
    };
    Ok(database)
}

pub(super) fn tls(mode: Tls) -> Result<ClientConfig> {
    let internal = |e: rustls::Error| Error::caused(ErrorKind::Internal, e);
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(internal)?;
    Ok(match mode {
        Tls::Require => versions.with_root_certificates(roots()?).with_no_client_auth(),
        Tls::Prefer | Tls::Disable => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
            .with_no_client_auth(),
    })
}

/// `PGSSLROOTCERT` as libpq reads it, else the bundled roots: the container image has none of its own.
fn roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(path) = env::var_os("PGSSLROOTCERT") else { return Ok(roots) };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| Error::caused(ErrorKind::Internal, e))?;
    for certificate in certificates {
        roots.add(certificate).map_err(|e| Error::caused(ErrorKind::Internal, e))?;
    }
    Ok(roots)
}

/// `sslmode=prefer` and `require` as libpq defines them: encrypted, whoever the server is. PostgreSQL packages
/// come with certificates that nobody signed, so checking here would lock out working installations;
/// `database.tls = "require"` checks.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::error::Chain;

    fn config(url: Option<&str>, tls: Tls) -> Database {
        Database { url: url.map(Into::into), tls, ..Database::default() }
    }

    fn open(config: &Database) -> Result<Pool> {
        Login::new(config, &Notifications::default()).and_then(|login| super::open(config, login))
    }

    fn session(config: &Database) -> Result<tokio_postgres::Config> {
        super::session(&url(config)?, config, &Notifications::default())
    }

    #[test]
    fn a_missing_or_malformed_url_is_an_error() {
        assert!(open(&config(None, Tls::Prefer)).is_err());
        assert!(open(&config(Some("mysql://nowhere"), Tls::Prefer)).is_err());
    }

    #[test]
    fn a53_a_url_that_cannot_be_read_is_not_repeated() {
        for url in [
            "mysql+pymysql://glance:SECRET@db/glance?charset=utf8",
            "postgresql+psycopg2://g:SECRET@db/g?x=y",
        ] {
            let error = open(&config(Some(url), Tls::Prefer)).err().unwrap();
            assert!(
                !format!("{error:?}").contains("SECRET") && !Chain(&error).to_string().contains("SECRET")
            );
        }
    }

    #[test]
    fn the_session_keeps_the_options_of_the_url_and_adds_its_bounds() {
        let url = "postgres://u:p@h/d?options=-c%20work_mem%3D8MB";
        let session = session(&config(Some(url), Tls::Prefer)).unwrap();
        let options = session.get_options().unwrap();
        assert!(options.starts_with("-c work_mem=8MB -c statement_timeout=30000 "), "{options}");
        assert_eq!(session.get_application_name(), Some("vitrine"));
    }

    #[test]
    fn tls_follows_the_configuration_and_else_the_url() {
        let mode = |url, tls| session(&config(Some(url), tls)).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://u@h/d?sslmode=require", Tls::Disable), SslMode::Disable);
        assert_eq!(mode("postgres://u@h/d?sslmode=require", Tls::Prefer), SslMode::Require);
        assert_eq!(mode("postgres://u@h/d?sslmode=disable", Tls::Require), SslMode::Require);
        assert!(open(&config(Some("postgres://u@h/d"), Tls::Require)).is_ok());
    }

    #[test]
    fn the_session_names_sinks_where_there_are_any() {
        let events =
            |log| Notifications { log, disabled: vec!["task".to_owned()], ..Notifications::default() };
        let config = config(Some("postgres://u@h/d"), Tls::Prefer);
        let options = |log| {
            super::session(&url(&config).unwrap(), &config, &events(log))
                .unwrap()
                .get_options()
                .unwrap()
                .to_owned()
        };
        assert!(options(true).ends_with("-c vitrine.event_sinks=log -c vitrine.events_disabled=task"));
        assert!(!options(false).contains("vitrine."));
    }
}
