//! When the certificates end that servers of the configuration show.
//!
//! One that has ended already counts as well, and so does one that nobody trusts: whether to speak with a server is for
//! those to judge who do. Here it is asked for nothing but its certificate.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use reqwest::tls::TlsInfo;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode as _};

use super::metrics::Metrics;
use super::peer::Kind;
use crate::error::Chain;

/// Time between two looks: after a renewal, alerts end within that.
const PERIOD: Duration = Duration::from_secs(3600);
/// Longest wait for one server.
const LIMIT: Duration = Duration::from_secs(10);

/// A server whose certificate is looked at.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it is.
    pub kind: Kind,
    /// Id of a store.
    pub store: Option<Arc<str>>,
    /// Where it is; only scheme, host and port are used.
    pub url: Url,
}

/// Looks at certificates again and again, and tells metrics when they end.
pub struct Certificates {
    servers: Vec<Server>,
    metrics: Metrics,
}

/// Why a certificate could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("the server cannot be asked")]
    Unreachable(#[source] reqwest::Error),
    #[error("the server showed no certificate")]
    Missing,
    #[error("the certificate cannot be understood")]
    Malformed(#[source] der::Error),
}

impl Certificates {
    /// Of those of `servers` that are spoken to over TLS.
    pub fn new(servers: Vec<Server>, metrics: &Metrics) -> Self {
        let servers = servers.into_iter().filter(|server| server.url.scheme() == "https").collect();
        Self { servers, metrics: metrics.clone() }
    }

    /// Looks at once and then every hour, until `stop` fires. A server that is away leaves the metric as it was.
    pub async fn watch(self, stop: CancellationToken) {
        if self.servers.is_empty() {
            return;
        }
        let rounds = async {
            loop {
                self.look().await;
                sleep(PERIOD).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Looks at every server once.
    pub async fn look(&self) {
        for server in &self.servers {
            let (peer, store) = (server.kind, server.store.as_deref());
            match end(&server.url).await {
                Ok(end) => self.metrics.set_certificate_end(peer, store, end),
                Err(error) => {
                    warn!(peer = peer.name(), store, error = %Chain(&error), "a certificate could not be read");
                }
            }
        }
    }
}

/// When the certificate of the server at `url` ends, since the epoch of Unix.
async fn end(url: &Url) -> Result<Duration, Unread> {
    // the address is nothing that a log needs, as the server is named beside it
    let unreachable = |error: reqwest::Error| Unread::Unreachable(error.without_url());
    // whatever else the address holds may be secret
    let origin = url.origin().ascii_serialization();
    let answer = client().map_err(unreachable)?.head(origin).send().await.map_err(unreachable)?;
    let shown = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate = Certificate::from_der(shown.ok_or(Unread::Missing)?).map_err(Unread::Malformed)?;
    Ok(certificate.tbs_certificate.validity.not_after.to_unix_duration())
}

/// A client for one look: another that knows the server would resume its session, and show the certificate of its
/// beginning.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(LIMIT)
        .user_agent(concat!("vitrine/", env!("CARGO_PKG_VERSION")))
        // What is wrong with a certificate is no reason not to read it. Nothing is sent that is not public.
        .tls_danger_accept_invalid_certs(true)
        .tls_certs_only([])
        .tls_info(true)
        .build()
}
