//! `import`: where image data may come from, and what is done to an image on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words;

/// `import`: fetching of what users name.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// Import methods offered by v2. `glance-download` has to be named here to be among them: it hands the caller's
    /// token to another service.
    pub methods: Vec<String>,
    /// Ports that may be connected to; empty means any.
    pub allowed_ports: Vec<u16>,
    /// Hosts that may be named; empty means any.
    pub allowed_hosts: Vec<String>,
    /// Hosts that may not be named.
    pub denied_hosts: Vec<String>,
    /// Whether images may be registered whose data stays at an `http(s)` URL.
    pub allow_http_locations: bool,
    /// Whether data registered by `POST /v2/images/{id}/locations` is read and hashed; without it the digest that a
    /// caller gives is believed.
    pub do_secure_hash: bool,
    /// Whether addresses that are not global may be connected to.
    pub allow_private_networks: bool,
    /// Longest chain of redirects.
    pub max_redirects: usize,
    /// Beginnings of the names of properties that `glance-download` copies.
    pub glance_download_properties: Vec<String>,
    /// What is done to an image that is imported, in this order: `no_op`, `inject_image_metadata`. Not by `copy-image`,
    /// which brings nothing new.
    pub plugins: Vec<String>,
    /// Properties that `inject_image_metadata` sets.
    pub inject: BTreeMap<String, String>,
    /// Who has one of these roles gets none of them.
    pub inject_ignore_user_roles: Vec<String>,
}

/// Plugin that sets the properties of [`Import::inject`].
const INJECT: &str = "inject_image_metadata";

impl Import {
    /// The properties that an import by a caller with these roles sets (images-v2.md §14.5).
    pub fn injected(&self, roles: &[String]) -> BTreeMap<String, String> {
        let ignored = roles.iter().any(|role| self.inject_ignore_user_roles.contains(role));
        if ignored || !self.plugins.iter().any(|plugin| plugin == INJECT) {
            return BTreeMap::new();
        }
        self.inject.clone()
    }

    /// What is wrong with a plugin's name, if anything is.
    pub(super) fn refuse_plugin(name: &str) -> Option<String> {
        match name {
            "no_op" | INJECT => None,
            "image_conversion" | "image_decompression" => Some(format!(
                "`import.plugins`: `{name}` is not offered; data are stored as they are, so convert them before"
            )),
            _ => Some(format!("`import.plugins`: there is no plugin `{name}`")),
        }
    }

    /// Whether an import method is offered.
    pub fn offers(&self, method: &str) -> bool {
        self.methods.iter().any(|offered| offered == method)
    }
}

impl Default for Import {
    fn default() -> Self {
        Self {
            methods: ["glance-direct", "web-download", "copy-image"].map(str::to_owned).to_vec(),
            allowed_ports: vec![80, 443],
            allowed_hosts: Vec::new(),
            denied_hosts: Vec::new(),
            allow_http_locations: false,
            do_secure_hash: true,
            allow_private_networks: false,
            max_redirects: 5,
            plugins: Vec::new(),
            inject: BTreeMap::new(),
            inject_ignore_user_roles: words(&["admin"]),
            glance_download_properties: words(&["hw_", "trait:", "os_distro", "os_secure_boot", "os_type"]),
        }
    }
}
