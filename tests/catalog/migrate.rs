//! The schema and its versions.

use vitrine::catalog::migrate::SchemaVersion;
use vitrine::catalog::{Catalog, ErrorKind};

use crate::support::db::empty_database;

/// OPS-001, OPS-002
#[tokio::test]
async fn concurrent_migrations_make_one_schema() {
    let database = empty_database().await;
    let catalogs: Vec<_> = (0..4).map(|_| Catalog::new(&database.config()).unwrap()).collect();
    assert_eq!(catalogs[0].schema_version().await.unwrap(), SchemaVersion::Older);
    let runs = futures_util::future::join_all(catalogs.iter().map(Catalog::migrate)).await;
    let applied: Vec<_> = runs.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(applied, ["V1__images"]);
    assert!(catalogs[0].migrate().await.unwrap().is_empty());
    assert_eq!(catalogs[0].schema_version().await.unwrap(), SchemaVersion::Usable);
}

/// OPS-004, R-17
#[tokio::test]
async fn a_newer_schema_is_usable_by_one_release() {
    let database = empty_database().await;
    let catalog = Catalog::new(&database.config()).unwrap();
    catalog.migrate().await.unwrap();
    let sql = database.client().await;
    let release = async |step: i32| {
        let add = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
            SELECT max(version) + 1, 'later', max(applied_on), '0' FROM refinery_schema_history";
        for _ in 0..step {
            sql.batch_execute(add).await.unwrap();
        }
        assert!(catalog.migrate().await.unwrap().is_empty());
        catalog.schema_version().await.unwrap()
    };
    assert_eq!(release(1).await, SchemaVersion::Usable);
    assert_eq!(release(1).await, SchemaVersion::TooNew);
}

#[tokio::test]
async fn migration_leaves_no_lock_and_no_lifted_timeout_behind() {
    let database = empty_database().await;
    let config = vitrine::config::Database { max_connections: 1, ..database.config() };
    let catalog = Catalog::new(&config).unwrap();
    catalog.migrate().await.unwrap();
    catalog.ping().await.unwrap();
    let sql = database.client().await;
    crate::support::eventually("the lock goes with its connection", async || {
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        (sql.query_one(locks, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let database = empty_database().await;
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let catalog = Catalog::new(&database.config_through(refused)).unwrap();
    let (ping, version, migrate) = tokio::join!(catalog.ping(), catalog.schema_version(), catalog.migrate());
    assert_eq!(ping.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(version.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(migrate.unwrap_err().kind, ErrorKind::Unavailable);
}
