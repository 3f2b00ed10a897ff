//! Name resolution that only ever answers addresses that were judged (A04, A05).
//!
//! The client connects to what [`CheckedDns`] returns and to nothing else, so there is no second look-up between
//! check and connect. Hosts that are addresses never come here; [`super::Target`] judges them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use super::address;
use super::target::{Part, Refusal};

/// Where names are looked up.
#[derive(Clone)]
pub(super) enum Lookup {
    /// The resolver of the operating system.
    System,
    /// An invented Internet.
    #[cfg(test)]
    Script(std::sync::Arc<super::tests::Internet>),
}

impl Lookup {
    async fn answers(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()),
            #[cfg(test)]
            Self::Script(internet) => internet.answers(name),
        }
    }

    /// Where `ip` is connected to; port 0 means the port of the URL.
    fn endpoint(&self, ip: IpAddr) -> SocketAddr {
        match self {
            Self::System => SocketAddr::new(ip, 0),
            #[cfg(test)]
            Self::Script(internet) => internet.endpoint(ip),
        }
    }
}

/// The resolver of the fetcher's client.
#[derive(Clone)]
pub(super) struct CheckedDns {
    pub(super) lookup: Lookup,
    pub(super) allow_private: bool,
    pub(super) limit: Duration,
}

impl CheckedDns {
    /// The addresses of `name`. A [`Refusal`] as error means that at least one of them is forbidden.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = timeout(self.limit, self.lookup.answers(name)).await.map_err(io::Error::from)??;
        if found.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        // One forbidden record spoils the name: which one a client would pick is a matter of chance.
        if found.iter().any(|ip| !address::is_allowed(*ip, self.allow_private)) {
            return Err(io::Error::other(Refusal::Forbidden(Part::Address)));
        }
        Ok(found)
    }
}

impl Resolve for CheckedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = self.clone();
        Box::pin(async move {
            let found = dns.addresses(name.as_str()).await?;
            let endpoints: Vec<_> = found.into_iter().map(|ip| dns.lookup.endpoint(ip)).collect();
            Ok(Box::new(endpoints.into_iter()) as Addrs)
        })
    }
}
