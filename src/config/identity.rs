//! Who callers are.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::units::{duration, secret};

/// `identity`: who callers are.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Where identity comes from.
    pub mode: IdentityMode,
    /// Mode `keystone`.
    pub keystone: Keystone,
    /// Mode `header`.
    pub header: HeaderIdentity,
    /// Mode `none`.
    pub none: NoIdentity,
    /// How long a validated token is believed without asking again.
    #[serde(with = "duration")]
    pub cache_ttl: Duration,
    /// Whether requests without identity may read what is public.
    pub allow_anonymous_access: bool,
}

/// Where identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// `X-Auth-Token` validated by Keystone.
    Keystone,
    /// Headers of a trusted authenticating proxy.
    Header,
    /// Development: the token names the caller.
    None,
}

/// `identity.keystone`: the service's own account at Keystone.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keystone {
    /// `https://keystone:5000/v3`
    pub auth_url: String,
    /// Public address named in `WWW-Authenticate`; `auth_url` where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub www_authenticate_uri: Option<String>,
    /// Account that validates tokens.
    pub username: String,
    /// Its password.
    #[serde(with = "secret", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// File that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Its project.
    pub project_name: String,
    /// Domain of the account.
    pub user_domain_name: String,
    /// Domain of the project.
    pub project_domain_name: String,
    /// Region of the catalogue to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Interface of the catalogue to use.
    pub interface: String,
    /// CA bundle in PEM for Keystone's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Roles that make a token a service token.
    pub service_token_roles: Vec<String>,
}

/// `identity.header`: a trusted authenticating proxy.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderIdentity {
    /// Networks the proxy connects from. Requests from elsewhere have no identity.
    pub trusted_networks: Vec<IpNet>,
}

/// `identity.none`: development.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoIdentity {
    /// Whether the API may listen on other addresses than loopback.
    pub allow_remote: bool,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            mode: IdentityMode::Keystone,
            keystone: Keystone::default(),
            header: HeaderIdentity::default(),
            none: NoIdentity::default(),
            cache_ttl: Duration::from_secs(300),
            allow_anonymous_access: false,
        }
    }
}

impl Default for Keystone {
    fn default() -> Self {
        Self {
            auth_url: String::new(),
            www_authenticate_uri: None,
            username: String::new(),
            password: None,
            password_file: None,
            project_name: "service".to_owned(),
            user_domain_name: "Default".to_owned(),
            project_domain_name: "Default".to_owned(),
            region: None,
            interface: "internal".to_owned(),
            ca_file: None,
            service_token_roles: vec!["service".to_owned()],
        }
    }
}
