//! What tests run against: databases, buckets, the real binary, and faults in front of them.

#![allow(dead_code, reason = "a collection; which parts are in use changes with the tests")]

pub mod api;
pub mod bad_source;
pub mod chaos;
pub mod db;
pub mod file;
pub mod glance;
pub mod hook;
pub mod peer;
pub mod rabbit;
pub mod s3;
pub mod server;
pub mod source;
pub mod tls;
pub mod v2;

use std::time::{Duration, Instant};

use vitrine::config::{Config, IdentityMode};

/// Longest wait for anything that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of a service over `database` and `bucket`, with identity mode `none`.
pub fn config(database: &db::TestDatabase, bucket: &s3::TestBucket) -> Config {
    let mut config = Config { database: database.config(), ..Config::default() };
    config.stores.insert("main".to_owned(), bucket.store());
    config.default_store = Some("main".to_owned());
    config.identity.mode = IdentityMode::None;
    config
}

/// Asks again and again until `question` has an answer; panics when it has none within [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
