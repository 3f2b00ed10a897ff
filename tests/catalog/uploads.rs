//! The database side of uploads: both ends, the lease, the fence.

use uuid::Uuid;
use vitrine::catalog::images::Deleted;
use vitrine::catalog::uploads::{Finished, Started};
use vitrine::catalog::usage::Quota;
use vitrine::domain::image::{ImageId, Status};

use super::{LEASE, World, stored, upload, world};

fn lost(finished: Finished) -> Option<Status> {
    match finished {
        Finished::Lost(status) => status,
        Finished::Done(image) => panic!("{} became active", image.id),
    }
}

fn active(finished: Finished) -> vitrine::domain::image::Image {
    match finished {
        Finished::Done(image) => image,
        Finished::Lost(status) => panic!("lost to {status:?}"),
    }
}

async fn delete(world: &World, id: ImageId) {
    let revision = world.get(id).await.revision;
    assert!(matches!(
        world.catalog.delete_image(id, false, |now| now.revision == revision).await.unwrap(),
        Deleted::Done { .. }
    ));
}

#[tokio::test]
async fn an_upload_goes_from_queued_to_active() {
    let world = world().await;
    let queued = world.queued("p").await;
    let new = upload(queued.id);
    let Started::Begun(saving) = world.catalog.start_upload(&new).await.unwrap() else { panic!("not begun") };
    assert_eq!((saving.status, saving.revision), (Status::Saving, queued.revision + 1));
    assert_eq!(world.ledger(new.blob_id).await, Some(("writing".to_owned(), false)));
    assert!(world.catalog.live_blobs(queued.id).await.unwrap().is_empty());
    assert!(world.catalog.record_upload_id(new.blob_id, "multipart").await.unwrap());
    let image = active(world.catalog.finish_upload(new.blob_id, &stored(5), Quota::NONE).await.unwrap());
    assert_eq!((image.status, image.size), (Status::Active, Some(5)));
    assert_eq!(image.checksum, stored(5).checksum);
    assert_eq!(image.os_hash_algo.as_deref(), Some("sha512"));
    assert_eq!(image.os_hash_value, Some(stored(5).os_hash_value));
    assert!(image.revision > saving.revision && image.updated_at > saving.updated_at);
    let live = world.catalog.live_blobs(queued.id).await.unwrap();
    assert_eq!((live[0].id, live[0].size, live[0].etag.as_deref()), (new.blob_id, Some(5), Some("\"e\"")));
    assert_eq!((live[0].key.clone(), live[0].upload_id.clone()), (new.key, None));
}

#[tokio::test]
async fn only_queued_images_take_data_and_only_once() {
    let world = world().await;
    let unknown = world.catalog.start_upload(&upload(ImageId::random())).await.unwrap();
    assert!(matches!(unknown, Started::NotQueued(None)));
    let id = world.queued("p").await.id;
    let starts = (0..8).map(|_| {
        let (catalog, new) = (world.catalog.clone(), upload(id));
        async move { catalog.start_upload(&new).await.unwrap() }
    });
    let begun = futures_util::future::join_all(starts).await;
    assert_eq!(begun.iter().filter(|s| matches!(s, Started::Begun(_))).count(), 1);
    assert_eq!(begun.iter().filter(|s| matches!(s, Started::NotQueued(Some(Status::Saving)))).count(), 7);
    let rows: i64 = world.sql.query_one("SELECT count(*) FROM blobs", &[]).await.unwrap().get(0);
    assert_eq!(rows, 1, "a refused start leaves no row");
    delete(&world, id).await;
    let gone = world.catalog.start_upload(&upload(id)).await.unwrap();
    assert!(matches!(gone, Started::NotQueued(Some(Status::Deleted))));
}

///
#[tokio::test]
async fn every_step_may_be_repeated_after_an_unknown_outcome() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let new = upload(id);
    for _ in 0..2 {
        assert!(matches!(world.catalog.start_upload(&new).await.unwrap(), Started::Begun(_)));
    }
    let first =
        active(world.catalog.finish_upload(new.blob_id, &stored(5), Quota::of_bytes(10)).await.unwrap());
    let second =
        active(world.catalog.finish_upload(new.blob_id, &stored(5), Quota::of_bytes(10)).await.unwrap());
    assert_eq!(first, second);
    assert_eq!(world.catalog.fail_upload(new.blob_id).await.unwrap(), None, "too late to fail");
    assert_eq!(world.get(id).await, first);
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    let garbage = world.catalog.fail_upload(blob).await.unwrap().unwrap();
    assert_eq!(world.catalog.fail_upload(blob).await.unwrap(), Some(garbage));
}

#[tokio::test]
async fn a_failed_upload_leaves_garbage_and_the_status_of_its_dialect() {
    let world = world().await;
    for (on_failure, size) in [(Status::Killed, Some(9)), (Status::Queued, Some(9))] {
        let mut new = super::image("p");
        new.size = Some(9);
        let id = world.add(&new).await.id;
        let upload = vitrine::catalog::uploads::NewUpload { on_failure, ..upload(id) };
        world.catalog.start_upload(&upload).await.unwrap();
        let garbage = world.catalog.fail_upload(upload.blob_id).await.unwrap().unwrap();
        assert_eq!((garbage.id, garbage.key, garbage.abandoned), (upload.blob_id, upload.key.clone(), true));
        let image = world.get(id).await;
        assert_eq!((image.status, image.size), (on_failure, size));
        assert_eq!(
            lost(world.catalog.finish_upload(upload.blob_id, &stored(5), Quota::NONE).await.unwrap()),
            Some(on_failure)
        );
    }
    assert_eq!(world.catalog.fail_upload(Uuid::new_v4()).await.unwrap(), None);
}

///
#[tokio::test]
async fn a_writer_that_lost_its_lease_is_fenced_out() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    assert!(world.catalog.extend_lease(blob, LEASE).await.unwrap());
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 0);
    world.pass_time().await;
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 1);
    assert!(!world.catalog.extend_lease(blob, LEASE).await.unwrap());
    assert!(!world.catalog.record_upload_id(blob, "late").await.unwrap());
    assert!(!world.catalog.reserve(blob, 5, Quota::of_bytes(100)).await.unwrap());
    assert_eq!(
        lost(world.catalog.finish_upload(blob, &stored(5), Quota::NONE).await.unwrap()),
        Some(Status::Killed)
    );
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), true)));
    assert!(world.catalog.fail_upload(blob).await.unwrap().is_some_and(|b| b.abandoned));
    assert_eq!(world.get(id).await.size, None);
}

#[tokio::test]
async fn a_lease_that_ran_out_unnoticed_still_counts() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.pass_time().await;
    assert!(world.catalog.extend_lease(blob, LEASE).await.unwrap());
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 0);
    active(world.catalog.finish_upload(blob, &stored(5), Quota::NONE).await.unwrap());
}

/// A40
#[tokio::test]
async fn a_delete_during_the_upload_wins() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    delete(&world, id).await;
    assert!(!world.catalog.extend_lease(blob, LEASE).await.unwrap());
    assert_eq!(
        lost(world.catalog.finish_upload(blob, &stored(5), Quota::NONE).await.unwrap()),
        Some(Status::Deleted)
    );
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), true)));
    assert_eq!(world.get(id).await.status, Status::Deleted);
    world.catalog.fail_upload(blob).await.unwrap();
    assert_eq!(world.get(id).await.status, Status::Deleted, "a failure never overwrites a delete");
}

/// An image killed by other means while its bytes arrive: the object goes, the image stays as it is.
#[tokio::test]
async fn an_image_that_is_no_longer_saving_takes_no_data() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.catalog.set_status(id, &[Status::Saving], Status::Killed).await.unwrap().unwrap();
    assert_eq!(
        lost(world.catalog.finish_upload(blob, &stored(5), Quota::NONE).await.unwrap()),
        Some(Status::Killed)
    );
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), false)));
    assert_eq!(
        lost(world.catalog.finish_upload(Uuid::new_v4(), &stored(5), Quota::NONE).await.unwrap()),
        None
    );
}

/// whatever the order, an object is live exactly where its image is active.
#[tokio::test]
async fn a_delete_a_sweep_and_a_finish_at_once_agree() {
    let world = world().await;
    for round in 0..40 {
        let id = world.queued("p").await.id;
        let blob = world.saving(id).await;
        world.pass_time().await;
        let revision = world.get(id).await.revision;
        let bytes = stored(5);
        let (finished, deleted, swept, failed) = tokio::join!(
            world.catalog.finish_upload(blob, &bytes, Quota::NONE),
            world.catalog.delete_image(id, false, |now| now.revision == revision),
            world.catalog.expire_uploads(100),
            async { if round % 2 == 0 { world.catalog.fail_upload(blob).await.map(drop) } else { Ok(()) } },
        );
        deleted.unwrap();
        swept.unwrap();
        failed.unwrap();
        let status = world.get(id).await.status;
        let (state, _) = world.ledger(blob).await.unwrap();
        match finished.unwrap() {
            Finished::Done(_) => assert_eq!((status, state.as_str()), (Status::Active, "live"), "{round}"),
            Finished::Lost(_) => {
                assert!(matches!(status, Status::Deleted | Status::Killed), "{round}: {status:?}");
                assert_eq!(state, "garbage", "{round}");
            }
        }
    }
}

#[tokio::test]
async fn the_ledger_is_listed_in_key_order() {
    let world = world().await;
    for _ in 0..5 {
        world.active("p", 1).await;
    }
    let (mut after, mut keys) = (String::new(), Vec::new());
    loop {
        let page = world.catalog.ledger_page("main", &after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.key.clone();
        keys.extend(page.into_iter().map(|blob| blob.key));
    }
    assert!(keys.len() == 5 && keys.is_sorted(), "{keys:?}");
    assert!(world.catalog.ledger_page("other", "", 2).await.unwrap().is_empty());
}
