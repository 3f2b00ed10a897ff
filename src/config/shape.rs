//! What keys exist and what kind of value each takes: a configuration in which nothing is left out.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use figment::value::{Dict, Value};
use ipnet::IpNet;
use secrecy::SecretString;

use super::notifications::{Amqp, Webhook};
use super::units::ByteSize;
use super::{
    Config, Database, HeaderIdentity, Identity, Images, Import, Keystone, LogFormat, Notifications, Policy,
    RuleFormat, Server, Store, Telemetry,
};

/// Key that stands for every store id.
const ANY: &str = "";

/// The keys of the configuration, each with a sample of its kind.
pub(super) struct Shape {
    keys: Dict,
}

impl Shape {
    pub(super) fn new() -> Self {
        let keys = Value::serialize(everything()).ok().and_then(Value::into_dict);
        Self { keys: keys.unwrap_or_default() }
    }

    /// The sample at `path`, or nothing where there is no such key.
    pub(super) fn find(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.keys.get(first)?, |at, key| child(at.as_dict()?, key))
    }

    /// Paths of `dict` that are no keys.
    pub(super) fn unknown_keys(&self, dict: &Dict) -> Vec<Vec<String>> {
        let mut unknown = Vec::new();
        compare(&self.keys, dict, &mut Vec::new(), &mut unknown);
        unknown
    }

    /// The line about a key that does not exist, with the nearest that does.
    pub(super) fn unknown(&self, path: &[String], origin: &str) -> String {
        let key = path.join(".");
        let mut nearest = (0.0, String::new());
        let leaf = path.last().map_or("", String::as_str);
        self.each_key(|known| {
            let known: Vec<&str> =
                known.iter().zip(0..).map(|(k, i)| if *k == ANY { at(path, i) } else { k }).collect();
            let name = known.join(".");
            let last = known.last().copied().unwrap_or_default();
            // a right name in the wrong section is as likely as a slip of the pen
            let whole = strsim::normalized_damerau_levenshtein(&key, &name);
            let score = whole.max(0.95 * strsim::normalized_damerau_levenshtein(leaf, last));
            let score = score + 0.01 * whole;
            if score > nearest.0 {
                nearest = (score, name);
            }
        });
        let (_, nearest) = nearest;
        let hint = match nearest.is_empty() {
            true => String::new(),
            false => format!("; the nearest known key is `{nearest}`"),
        };
        format!("unknown key `{key}` ({origin}){hint}")
    }

    fn each_key(&self, mut visit: impl FnMut(&[&str])) {
        fn walk<'a>(dict: &'a Dict, path: &mut Vec<&'a str>, visit: &mut impl FnMut(&[&str])) {
            for (key, value) in dict {
                path.push(key);
                match value.as_dict() {
                    Some(section) => walk(section, path, visit),
                    // any name does there, so it is no correction
                    None if key == ANY => {}
                    None => visit(path),
                }
                path.pop();
            }
        }
        walk(&self.keys, &mut Vec::new(), &mut visit);
    }
}

fn at(path: &[String], i: usize) -> &str {
    path.get(i).map_or("<id>", String::as_str)
}

fn child<'a>(dict: &'a Dict, key: &str) -> Option<&'a Value> {
    dict.get(key).or_else(|| dict.get(ANY))
}

fn compare(known: &Dict, given: &Dict, path: &mut Vec<String>, unknown: &mut Vec<Vec<String>>) {
    for (key, value) in given {
        path.push(key.clone());
        match (child(known, key), value.as_dict()) {
            (None, _) => unknown.push(path.clone()),
            (Some(Value::Dict(_, section)), Some(inner)) => compare(section, inner, path, unknown),
            _ => {}
        }
        path.pop();
    }
}

/// Every optional key set and every list with an item. Sections with optional keys are written out in full, so
/// that a key added to the tree cannot be forgotten here.
fn everything() -> Config {
    let text = || Some(String::new());
    let file = || Some(PathBuf::new());
    let secret = || Some(SecretString::from(String::new()));
    let list = || vec![String::new()];
    let networks = || vec![IpNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let server = Server::default();
    let database = Database::default();
    let keystone = Keystone::default();
    let images = Images::default();
    Config {
        server: Server {
            bind: server.bind,
            ops_bind: server.ops_bind,
            public_endpoint: text(),
            trusted_proxies: networks(),
            cors_origins: list(),
            drain_timeout: server.drain_timeout,
            header_timeout: server.header_timeout,
            idle_timeout: server.idle_timeout,
            v1: server.v1,
            v1_percent_decode: server.v1_percent_decode,
            disable_by_file_path: file(),
        },
        database: Database {
            url: secret(),
            url_file: file(),
            max_connections: database.max_connections,
            statement_timeout: database.statement_timeout,
            tls: database.tls,
        },
        stores: [(ANY.to_owned(), store())].into(),
        default_store: text(),
        identity: Identity {
            keystone: Keystone {
                auth_url: keystone.auth_url,
                www_authenticate_uri: text(),
                username: keystone.username,
                password: secret(),
                password_file: file(),
                project_name: keystone.project_name,
                user_domain_name: keystone.user_domain_name,
                project_domain_name: keystone.project_domain_name,
                region: text(),
                interface: keystone.interface,
                ca_file: file(),
                service_token_roles: list(),
            },
            header: HeaderIdentity { trusted_networks: networks() },
            ..Identity::default()
        },
        policy: Policy {
            file: file(),
            property_protection_file: file(),
            property_protection_rule_format: RuleFormat::Roles,
        },
        import: Import {
            allowed_hosts: list(),
            denied_hosts: list(),
            inject: [(ANY.to_owned(), String::new())].into(),
            ..Import::default()
        },
        telemetry: Telemetry { log_format: Some(LogFormat::Json), log_filter: text() },
        limits: super::Limits::default(),
        images: Images {
            disk_formats: list(),
            container_formats: list(),
            schema_extension_file: file(),
            require_format_match: images.require_format_match,
            gpt_safety_checks_nonfatal: list(),
            show_direct_url: images.show_direct_url,
            show_multiple_locations: images.show_multiple_locations,
            hash_algorithm: images.hash_algorithm,
            checksum: images.checksum,
            delayed_delete: images.delayed_delete,
            scrub_time: images.scrub_time,
        },
        data: super::Data::default(),
        jobs: super::Jobs::default(),
        notifications: notifications(),
    }
}

fn notifications() -> Notifications {
    let defaults = Notifications::default();
    let file = || Some(PathBuf::new());
    let secret = || Some(SecretString::from(String::new()));
    Notifications {
        publisher_id: defaults.publisher_id,
        disabled: vec![String::new()],
        ttl: defaults.ttl,
        log: defaults.log,
        webhook: Webhook { url: Some(String::new()), secret: secret(), secret_file: file() },
        amqp: Amqp {
            url: secret(),
            url_file: file(),
            exchange: defaults.amqp.exchange,
            topics: vec![String::new()],
            durable: defaults.amqp.durable,
        },
    }
}

fn store() -> Store {
    let defaults = Store::default();
    let text = || Some(String::new());
    let file = || Some(PathBuf::new());
    let secret = || Some(SecretString::from(String::new()));
    Store {
        bucket: String::new(),
        prefix: String::new(),
        endpoint: text(),
        public_endpoint: text(),
        region: text(),
        path_style: Some(true),
        access_key: secret(),
        access_key_file: file(),
        secret_key: secret(),
        secret_key_file: file(),
        create_bucket: defaults.create_bucket,
        checksum: defaults.checksum,
        part_size: Some(ByteSize(0)),
        equal_parts: defaults.equal_parts,
        description: text(),
        weight: defaults.weight,
        read_only: defaults.read_only,
    }
}
