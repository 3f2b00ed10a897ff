//! `vitrine migrate`.

use super::{Ended, run};
use crate::support::config;
use crate::support::db::{TestDatabase, empty_database, test_database};
use crate::support::file::ScratchFile;
use crate::support::s3::test_bucket;
use crate::support::server::vitrine;

/// Every column of every table, to compare schemas.
async fn columns(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns \
               WHERE table_schema = 'public' ORDER BY 1";
    let rows = database.client().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn ops_001_a_second_migration_does_nothing() {
    let (database, bucket) = (empty_database().await, test_bucket().await);
    let config = config(&database, &bucket);
    let first = run(&config, &["migrate"]).expect(0).stdout;
    assert!(!first.is_empty() && first.lines().all(|line| line.starts_with("applied ")), "{first}");
    let schema = columns(&database).await;
    assert_eq!(schema, columns(&test_database().await).await);
    assert_eq!(run(&config, &["migrate"]).expect(0).stdout, "the schema is up to date\n");
    assert_eq!(columns(&database).await, schema);
    run(&config, &["check"]).expect(0);
}

#[tokio::test]
async fn ops_002_migrations_at_the_same_time() {
    let (database, bucket) = (empty_database().await, test_bucket().await);
    let config = config(&database, &bucket);
    // a file for each: one that is being written anew cannot be read
    let scratches = [(); 3].map(|()| ScratchFile::new("unused", ""));
    let start = |scratch: &ScratchFile| {
        let mut command = vitrine(&config, scratch.dir());
        command.arg("migrate").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let running = scratches.each_ref().map(start);
    let ended = running.map(|child| Ended::of(&child.wait_with_output().unwrap()).expect(0).stdout);
    let idle = ended.iter().filter(|out| *out == "the schema is up to date\n").count();
    assert_eq!(idle, 2, "one of them did it all: {ended:?}");
    assert_eq!(columns(&database).await, columns(&test_database().await).await);
}
