//! Checks of what types cannot say. All problems are collected, so that one start shows them all.

use std::fmt::Display;
use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use crate::domain::{attributes, event, import, text};

use super::load::ConfigError;
use super::units::ByteSize;
use super::{Config, IdentityMode, Import, Store};

const MIB: u64 = 1 << 20;
/// Limits of the S3 protocol for a part of a multipart upload.
const SMALLEST_PART: u64 = 5 * MIB;
const LARGEST_PART: u64 = 5 << 30;
/// Size of the first parts where a store names none.
const USUAL_PART: ByteSize = ByteSize(16 * MIB);

/// Checks the configuration as a whole.
pub fn validate(config: &Config) -> Result<(), ConfigError> {
    let mut problems = Problems(Vec::new());
    server(config, &mut problems);
    database(config, &mut problems);
    stores(config, &mut problems);
    identity(config, &mut problems);
    limits(config, &mut problems);
    notifications(config, &mut problems);
    if problems.0.is_empty() { Ok(()) } else { Err(ConfigError::new(problems.0)) }
}

struct Problems(Vec<String>);

impl Problems {
    fn require(&mut self, holds: bool, problem: impl Display) {
        if !holds {
            self.0.push(problem.to_string());
        }
    }

    fn positive(&mut self, key: &str, value: Duration) {
        self.require(!value.is_zero(), format_args!("`{key}` must be longer than zero"));
    }

    fn http_url(&mut self, key: impl Display, value: &str) {
        let url = Url::parse(value).ok();
        let fine = url.is_some_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        self.require(fine, format_args!("`{key}` must be an http or https URL"));
    }
}

fn server(config: &Config, problems: &mut Problems) {
    let server = &config.server;
    problems.positive("server.header_timeout", server.header_timeout);
    problems.positive("server.idle_timeout", server.idle_timeout);
    let one_port = server.bind == server.ops_bind && server.bind.port() != 0;
    problems.require(!one_port, "`server.bind` and `server.ops_bind` must differ");
    if let Some(endpoint) = &server.public_endpoint {
        problems.http_url("server.public_endpoint", endpoint);
    }
    for origin in &server.cors_origins {
        let exact = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        problems.require(
            exact,
            format_args!("`server.cors_origins`: `{origin}` is not an origin; write scheme://host[:port]"),
        );
    }
}

fn database(config: &Config, problems: &mut Problems) {
    let database = &config.database;
    match &database.url {
        None => problems.require(false, "`database.url` is not set (nor DATABASE_URL)"),
        Some(url) => {
            let url = url.expose_secret();
            let fine =
                ["postgres://", "postgresql://"].iter().any(|s| url.starts_with(s)) || url.contains('=');
            problems.require(fine, "`database.url` must be a postgres:// URL");
        }
    }
    problems.require(database.max_connections >= 1, "`database.max_connections` must be at least 1");
    problems.positive("database.statement_timeout", database.statement_timeout);
}

fn stores(config: &Config, problems: &mut Problems) {
    problems.require(!config.stores.is_empty(), "no store is configured; set `stores.<id>.bucket`");
    for (id, store) in &config.stores {
        store_id(id, problems);
        store_values(id, store, problems);
    }
    match &config.default_store {
        Some(id) => problems.require(
            config.stores.contains_key(id),
            format_args!("`default_store`: there is no store `{id}`"),
        ),
        None => problems.require(
            config.stores.len() < 2,
            "`default_store` must name one of the stores when there are several",
        ),
    }
}

fn store_id(id: &str, problems: &mut Problems) {
    let word = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    problems.require(word, format_args!("`stores.{id}`: ids consist of letters, digits, `_`, `-` and `.`"));
    problems.require(
        !id.starts_with("os_glance_"),
        format_args!("`stores.{id}`: ids that start with `os_glance_` are reserved"),
    );
}

fn store_values(id: &str, store: &Store, problems: &mut Problems) {
    problems.require(!store.bucket.is_empty(), format_args!("`stores.{id}.bucket` is not set"));
    let plain = !store.prefix.starts_with('/') && !store.prefix.ends_with('/');
    problems.require(plain, format_args!("`stores.{id}.prefix` must not start or end with a slash"));
    for (key, url) in [("endpoint", &store.endpoint), ("public_endpoint", &store.public_endpoint)] {
        if let Some(url) = url {
            problems.http_url(format_args!("stores.{id}.{key}"), url);
        }
    }
    problems.require(
        store.access_key.is_some() == store.secret_key.is_some(),
        format_args!("`stores.{id}`: `access_key` and `secret_key` go together"),
    );
    if let Some(size) = store.part_size {
        problems.require(
            (SMALLEST_PART..=LARGEST_PART).contains(&size.0),
            format_args!("`stores.{id}.part_size` must be from 5MiB to 5GiB"),
        );
    }
}

fn identity(config: &Config, problems: &mut Problems) {
    let identity = &config.identity;
    match identity.mode {
        IdentityMode::None => problems.require(
            config.server.bind.ip().is_loopback() || identity.none.allow_remote,
            format_args!(
                "`identity.mode` none lets anybody in: bind `server.bind` to loopback instead of {}, or set \
                 `identity.none.allow_remote`",
                config.server.bind
            ),
        ),
        IdentityMode::Header => problems.require(
            !identity.header.trusted_networks.is_empty(),
            "`identity.mode` header needs `identity.header.trusted_networks`",
        ),
        IdentityMode::Keystone => keystone(config, problems),
    }
}

fn keystone(config: &Config, problems: &mut Problems) {
    let keystone = &config.identity.keystone;
    let needs = |key: &str| format!("`identity.mode` keystone needs `identity.keystone.{key}`");
    if keystone.auth_url.is_empty() {
        problems.require(false, needs("auth_url"));
    } else {
        problems.http_url("identity.keystone.auth_url", &keystone.auth_url);
    }
    problems.require(!keystone.username.is_empty(), needs("username"));
    problems.require(keystone.password.is_some(), needs("password"));
}

fn limits(config: &Config, problems: &mut Problems) {
    let (limits, data, jobs) = (&config.limits, &config.data, &config.jobs);
    problems.require(limits.api_limit_max >= 1, "`limits.api_limit_max` must be at least 1");
    problems.require(limits.limit_param_default >= 1, "`limits.limit_param_default` must be at least 1");
    problems.require(limits.image_size_cap.0 >= 1, "`limits.image_size_cap` must be at least 1");
    problems.require(data.parts_in_flight >= 1, "`data.parts_in_flight` must be at least 1");
    let part = config.stores.values().map(|s| s.part_size.unwrap_or(USUAL_PART)).max().unwrap_or(USUAL_PART);
    problems.require(
        data.memory_budget.0 / 2 >= part.0,
        format_args!("`data.memory_budget` must hold two parts of {part}"),
    );
    problems.require(jobs.concurrency >= 1, "`jobs.concurrency` must be at least 1");
    problems.positive("jobs.lease", jobs.lease);
    problems.positive("jobs.sweep_interval", jobs.sweep_interval);
    for method in &config.import.methods {
        problems.require(
            import::METHODS.contains(&method.as_str()),
            format_args!("`import.methods`: there is no method `{method}`"),
        );
    }
    for refusal in config.import.plugins.iter().filter_map(|name| Import::refuse_plugin(name)) {
        problems.require(false, refusal);
    }
    for (name, value) in &config.import.inject {
        let fine = attributes::can_be_property(name) && text::check_property(name, Some(value)).is_ok();
        problems.require(fine, format_args!("`import.inject`: `{name}` cannot be a property"));
    }
}

fn notifications(config: &Config, problems: &mut Problems) {
    let notifications = &config.notifications;
    problems.positive("notifications.ttl", notifications.ttl);
    for word in &notifications.disabled {
        problems.require(
            event::is_type_or_group(word),
            format_args!("`notifications.disabled`: there is no event and no group `{word}`"),
        );
    }
    if let Some(url) = &notifications.webhook.url {
        problems.http_url("notifications.webhook.url", url);
        let key = notifications.webhook.secret.as_ref();
        problems.require(key.is_some(), "`notifications.webhook.url` needs `notifications.webhook.secret`");
    }
    if let Some(url) = &notifications.amqp.url {
        // its text holds a password, so none of it is repeated
        let fine = Url::parse(url.expose_secret()).is_ok_and(|url| url.scheme() == "amqp" && url.has_host());
        problems.require(fine, "`notifications.amqp.url` must be an amqp URL");
        let topics = &notifications.amqp.topics;
        problems.require(!topics.is_empty(), "`notifications.amqp.topics` must name a topic");
    }
}
