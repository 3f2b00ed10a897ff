//! One PostgreSQL cluster for the whole test process, and a migrated database of its own for each test.

use std::net::SocketAddr;

use secrecy::SecretString;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use vitrine::catalog::Catalog;
use vitrine::config;
use vitrine::dev::postgres::Cluster;

const TEMPLATE: &str = "vitrine_template";

/// Never dropped: the server ends with the process.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// A database with the current schema and no rows. Dropping this drops the database.
pub struct TestDatabase {
    /// Connection URL.
    pub url: String,
    name: String,
    admin_url: String,
}

/// A new database with the current schema and no rows.
pub async fn test_database() -> TestDatabase {
    create(Some(TEMPLATE)).await
}

/// A new database without a schema.
pub async fn empty_database() -> TestDatabase {
    create(None).await
}

async fn create(template: Option<&str>) -> TestDatabase {
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("test_{}", Uuid::new_v4().simple());
    cluster.create_database(&name, template).await.unwrap();
    TestDatabase { url: cluster.url(&name), name, admin_url: cluster.url("postgres") }
}

async fn start() -> Cluster {
    let cluster = Cluster::start_ephemeral().unwrap();
    cluster.create_database(TEMPLATE, None).await.unwrap();
    Catalog::new(&settings(cluster.url(TEMPLATE))).unwrap().migrate().await.unwrap();
    // a template that anybody is connected to cannot be copied
    let admin = connect(&cluster.url("postgres")).await;
    let close = format!(
        "ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'"
    );
    admin.batch_execute(&close).await.unwrap();
    cluster
}

fn settings(url: String) -> config::Database {
    config::Database { url: Some(SecretString::from(url)), max_connections: 8, ..config::Database::default() }
}

/// A connection for a test's own statements.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    TaskTracker::new().spawn(connection);
    client
}

impl TestDatabase {
    /// The section `database` of the configuration.
    pub fn config(&self) -> config::Database {
        settings(self.url.clone())
    }

    /// As [`TestDatabase::config`], but by way of a proxy.
    pub fn config_through(&self, proxy: SocketAddr) -> config::Database {
        settings(self.url.replace(&self.address().to_string(), &proxy.to_string()))
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        let authority = self.url.split('@').nth(1).unwrap();
        authority.split('/').next().unwrap().parse().unwrap()
    }

    /// A connection for a test's own statements.
    pub async fn client(&self) -> Client {
        connect(&self.url).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, url) = (self.name.clone(), self.admin_url.clone());
        // on a thread of its own: the test's runtime may be ending
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&url).await;
                admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
            });
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("cannot drop the test's database");
        }
    }
}

mod tests {
    use super::*;

    #[tokio::test]
    async fn every_test_has_a_migrated_database_of_its_own() {
        let (one, two) = tokio::join!(test_database(), test_database());
        let client = one.client().await;
        client.batch_execute("CREATE TABLE own (n int)").await.unwrap();
        let tables = "SELECT count(*) FROM pg_tables WHERE tablename IN ('images', 'own')";
        assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 2);
        let other = two.client().await;
        assert_eq!(other.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 1);
        let admin = connect(&one.admin_url).await;
        let known = "SELECT count(*) FROM pg_database WHERE datname = $1";
        let name = one.name.clone();
        assert_eq!(admin.query_one(known, &[&name]).await.unwrap().get::<_, i64>(0), 1);
        drop(one);
        assert_eq!(admin.query_one(known, &[&name]).await.unwrap().get::<_, i64>(0), 0);
    }
}
