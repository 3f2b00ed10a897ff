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
    assert_eq!(
        applied,
        ["V1__images", "V2__lists", "V3__import", "V4__events", "V5__queue", "V6__metadefs", "V7__adoptions"]
    );
    assert!(catalogs[0].migrate().await.unwrap().is_empty());
    assert_eq!(catalogs[0].schema_version().await.unwrap(), SchemaVersion::Usable);
}

/// Memberships of the release before get the creation of their image when the schema is brought up to date.
#[tokio::test]
async fn memberships_are_completed_by_the_migration() {
    let (database, reference) = (empty_database().await, empty_database().await);
    let catalog = Catalog::new(&database.config()).unwrap();
    Catalog::new(&reference.config()).unwrap().migrate().await.unwrap();
    let first = "SELECT name, applied_on, checksum FROM refinery_schema_history WHERE version = 1";
    let first = reference.client().await.query_one(first, &[]).await.unwrap();
    let [name, applied_on, checksum]: [String; 3] = [0, 1, 2].map(|column| first.get(column));
    let sql = database.client().await;
    sql.batch_execute(include_str!("../../src/catalog/migrations/V001__images.sql")).await.unwrap();
    let earlier = format!(
        "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255),
          checksum varchar(255));
        INSERT INTO refinery_schema_history VALUES (1, '{name}', '{applied_on}', '{checksum}');
        INSERT INTO images (id, status, visibility, os_hidden, protected, min_disk, min_ram, created_at, updated_at)
        SELECT gen_random_uuid(), 'queued', 'shared', false, false, 0, 0, now() - n * interval '1 day', now()
        FROM generate_series(1, 10) AS n;
        INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
        SELECT id, member, false, 'pending', now(), now() FROM images, unnest(ARRAY['a', 'b']) AS member;"
    );
    sql.batch_execute(&earlier).await.unwrap();
    assert_eq!(catalog.schema_version().await.unwrap(), SchemaVersion::Older);
    assert_eq!(catalog.migrate().await.unwrap()[0], "V2__lists");
    let right = "SELECT count(*) FROM image_members JOIN images ON images.id = image_members.image_id
        WHERE image_members.image_created_at = images.created_at";
    assert_eq!(sql.query_one(right, &[]).await.unwrap().get::<_, i64>(0), 20);
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
