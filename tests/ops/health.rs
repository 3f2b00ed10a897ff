//! `vitrine health`: what container engines ask.

use super::run;
use crate::support::config;
use crate::support::db::test_database;
use crate::support::s3::test_bucket;
use crate::support::server::Server;

#[tokio::test]
async fn a_replica_is_healthy_while_it_is_ready() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut config = config(&database, &bucket);
    let mut server = Server::start(&config).await;
    config.server.ops_bind = server.ops;
    assert_eq!(run(&config, &["health"]).expect(0).stdout, "ready\n");
    // listening on every address is asked on loopback
    config.server.ops_bind.set_ip(std::net::Ipv4Addr::UNSPECIFIED.into());
    run(&config, &["health"]).expect(0);
    assert!(server.terminate().await.success());
    assert!(!run(&config, &["health"]).expect(1).stderr.is_empty());
}
