//! broken connections, lost commits, and a pool that is too small.

use std::time::{Duration, Instant};

use rand::Rng;
use vitrine::catalog::uploads::{Finished, Started};
use vitrine::catalog::usage::Quota;
use vitrine::catalog::{Catalog, ErrorKind};
use vitrine::config;
use vitrine::domain::image::Status;
use vitrine::domain::query::{Branch, ImageQuery, OwnerIs, SortDirection};

use super::{NO_LIMIT, World, image, stored, upload, world};
use crate::support::chaos::{ChaosProxy, Direction};

async fn behind_proxy(world: &World, seed: u64) -> (ChaosProxy, Catalog) {
    let proxy = ChaosProxy::start(world.database.address(), seed).await;
    let catalog = Catalog::new(&world.database.config_through(proxy.address)).unwrap();
    (proxy, catalog)
}

#[tokio::test]
async fn connections_that_died_in_the_pool_are_not_noticed() {
    let world = world().await;
    let (proxy, catalog) = behind_proxy(&world, 0).await;
    for _ in 0..10 {
        let all = futures_util::future::join_all((0..8).map(|_| catalog.ping())).await;
        assert!(all.into_iter().all(|ping| ping.is_ok()));
        proxy.cut();
        let id = catalog.insert_image(&image("p"), NO_LIMIT).await.unwrap().id;
        proxy.cut();
        assert!(catalog.image(id, None).await.unwrap().is_some());
    }
    for _ in 0..5 {
        world
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'vitrine' AND datname = current_database()",
            )
            .await;
        catalog.insert_image(&image("p"), NO_LIMIT).await.unwrap();
    }
}

/// the end of an upload outlives a restart of the database; a request gets its answer or `Unavailable` in time.
#[tokio::test]
async fn an_outage_loses_no_upload() {
    let world = world().await;
    let (proxy, catalog) = behind_proxy(&world, 0).await;
    let (kept, failed) = (world.queued("p").await.id, world.queued("p").await.id);
    let (keep, fail) = (world.saving(kept).await, world.saving(failed).await);
    proxy.refuse();
    let bytes = stored(5);
    let start = Instant::now();
    let (finished, given_up, read, ()) = tokio::join!(
        catalog.finish_upload(keep, &bytes, Quota::NONE),
        catalog.fail_upload(fail),
        async { (catalog.image(kept, None).await, start.elapsed()) },
        async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            proxy.restore();
        },
    );
    assert!(matches!(finished.unwrap(), Finished::Done(_)));
    assert!(given_up.unwrap().is_some());
    assert_eq!(world.get(failed).await.status, Status::Killed);
    assert_eq!(read.0.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(read.1 < Duration::from_secs(7), "{:?}", read.1);
}

/// the connection breaks at a random byte of an upload's life, on either way; what was told is what is.
#[tokio::test]
async fn lost_answers_have_no_double_effect() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let world = world().await;
    for round in 0..40 {
        let (proxy, catalog) = behind_proxy(&world, seed.wrapping_add(round)).await;
        catalog.ping().await.unwrap();
        let direction = if round % 2 == 0 { Direction::Up } else { Direction::Down };
        let at = proxy.cut_within(direction, 4000);
        let new = image("p");
        match catalog.insert_image(&new, NO_LIMIT).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unavailable, "cut at {at} {direction:?}");
                if catalog.image(new.id, None).await.unwrap().is_none() {
                    continue;
                }
            }
        }
        let upload = upload(new.id);
        let started = catalog.start_upload(&upload).await.unwrap();
        assert!(matches!(started, Started::Begun(_)), "cut at {at} {direction:?}: {started:?}");
        let finished =
            catalog.finish_upload(upload.blob_id, &stored(5), Quota::of_bytes(100_000)).await.unwrap();
        assert!(matches!(finished, Finished::Done(_)), "cut at {at} {direction:?}: {finished:?}");
        assert_eq!(world.ledger(upload.blob_id).await, Some(("live".to_owned(), false)));
        let image = world.get(new.id).await;
        assert_eq!((image.status, image.revision), (Status::Active, 3), "each step once");
    }
}

///
#[tokio::test]
async fn five_hundred_lists_share_two_connections() {
    let world = world().await;
    world.queued("p").await;
    let config = config::Database { max_connections: 2, ..world.database.config() };
    let catalog = Catalog::new(&config).unwrap();
    let query = ImageQuery {
        branches: vec![Branch { visibility: vec![], owner: OwnerIs::Any, shared_with: None }],
        filters: vec![],
        include_deleted: false,
        sort: vec![],
        ties: SortDirection::Descending,
        limit: 10,
        marker: None,
    };
    let lists = futures_util::future::join_all((0..500).map(|_| catalog.list_images(&query))).await;
    for list in lists {
        match list {
            Ok(images) => assert_eq!(images.len(), 1),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable),
        }
    }
    let status = catalog.pool_status();
    assert_eq!((status.max, status.waiting), (2, 0));
    assert!(status.size <= 2 && status.available == status.size);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_unavailable() {
    let mut world = world().await;
    let id = world.queued("p").await.id;
    let config =
        config::Database { statement_timeout: Duration::from_millis(200), ..world.database.config() };
    let catalog = Catalog::new(&config).unwrap();
    let holder = world.sql.transaction().await.unwrap();
    holder.query("SELECT 1 FROM images WHERE id = $1 FOR UPDATE", &[&id.0]).await.unwrap();
    let start = Instant::now();
    let refused = catalog.set_status(id, &[Status::Queued], Status::Killed).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(5));
}
