//! Servers of the configuration, as metrics and spans name them.

/// What a server is to this service: `service.peer.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tells who callers are.
    Keystone,
    /// Keeps image data.
    Store,
    /// Takes events.
    Webhook,
}

impl Kind {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keystone => "keystone",
            Self::Store => "s3",
            Self::Webhook => "webhook",
        }
    }
}

/// A server that the configuration names, never one that a user named.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// Its host, `server.address`.
    pub address: String,
}
