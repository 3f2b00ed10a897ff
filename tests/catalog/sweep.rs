//! Reconcilers: each does its work once, however often and by however many it is run.

use std::collections::HashSet;
use std::time::Duration;

use vitrine::catalog::blobs::BlobState;
use vitrine::catalog::images::Deleted;
use vitrine::catalog::usage::Quota;
use vitrine::domain::image::{ImageId, Status};

use super::{GRACE, LEASE, World, stored, world};

async fn delete(world: &World, id: ImageId, delayed: bool) {
    let revision = world.get(id).await.revision;
    assert!(matches!(
        world.catalog.delete_image(id, delayed, |now| now.revision == revision).await.unwrap(),
        Deleted::Done { .. }
    ));
}

#[tokio::test]
async fn expired_writers_are_given_up_in_batches() {
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = world.queued("p").await.id;
        world.saving(id).await;
        ids.push(id);
    }
    world.pass_time().await;
    let fresh = world.queued("p").await.id;
    world.saving(fresh).await;
    assert_eq!(world.catalog.backlog().await.unwrap().writing_expired, 5);
    let (one, two) = tokio::join!(world.catalog.expire_uploads(3), world.catalog.expire_uploads(3));
    let mut swept = one.unwrap() + two.unwrap();
    while swept < 5 {
        let more = world.catalog.expire_uploads(3).await.unwrap();
        assert!(more > 0, "{swept} of 5");
        swept += more;
    }
    assert_eq!((swept, world.catalog.expire_uploads(3).await.unwrap()), (5, 0));
    for id in ids {
        assert_eq!(world.get(id).await.status, Status::Killed);
    }
    assert_eq!(world.get(fresh).await.status, Status::Saving);
}

#[tokio::test]
async fn staged_objects_have_their_time() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.execute("UPDATE blobs SET state = 'staged', on_failure = 'queued'; UPDATE images SET status = 'uploading'").await;
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 0);
    world.pass_time().await;
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 1);
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), false)), "its writer has ended");
    assert_eq!(world.get(id).await.status, Status::Queued);
}

#[tokio::test]
async fn a_writer_whose_image_was_purged_is_swept_all_the_same() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.execute("DELETE FROM images").await;
    world.pass_time().await;
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 1);
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), true)));
}

#[tokio::test]
async fn an_image_that_is_being_changed_is_left_for_the_next_sweep() {
    let mut world = world().await;
    let id = world.queued("p").await.id;
    world.saving(id).await;
    world.pass_time().await;
    let holder = world.sql.transaction().await.unwrap();
    holder.query("SELECT 1 FROM images WHERE id = $1 FOR UPDATE", &[&id.0]).await.unwrap();
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 0);
    holder.rollback().await.unwrap();
    assert_eq!(world.catalog.expire_uploads(10).await.unwrap(), 1);
}

#[tokio::test]
async fn garbage_is_claimed_by_one_replica_at_a_time() {
    let world = world().await;
    for _ in 0..6 {
        let (image, _) = world.active("p", 1).await;
        delete(&world, image.id, false).await;
    }
    let claim = || world.catalog.claim_garbage(4, LEASE);
    let (one, two) = tokio::join!(claim(), claim());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.len() <= 4 && two.len() <= 4);
    let distinct: HashSet<_> = one.iter().chain(&two).map(|blob| blob.id).collect();
    assert_eq!(distinct.len(), one.len() + two.len());
    let rest = claim().await.unwrap();
    assert_eq!(distinct.len() + rest.len(), 6);
    assert!(claim().await.unwrap().is_empty());
    world.pass_time().await;
    assert_eq!(claim().await.unwrap().len(), 4, "a claim that came to nothing is taken again");
}

#[tokio::test]
async fn clean_garbage_is_forgotten_at_once() {
    let world = world().await;
    let (image, blob) = world.active("p", 1).await;
    delete(&world, image.id, false).await;
    let claimed = world.catalog.claim_garbage(10, LEASE).await.unwrap();
    for _ in 0..2 {
        world.catalog.forget_blob(&claimed[0], GRACE).await.unwrap();
    }
    assert_eq!(world.ledger(blob).await, None);
}

#[tokio::test]
async fn garbage_of_an_abandoned_writer_is_removed_twice() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.catalog.record_upload_id(blob, "multipart").await.unwrap();
    world.pass_time().await;
    world.catalog.expire_uploads(10).await.unwrap();
    let first = world.catalog.claim_garbage(10, LEASE).await.unwrap();
    for _ in 0..2 {
        world.catalog.forget_blob(&first[0], GRACE).await.unwrap();
        assert_eq!(
            world.ledger(blob).await,
            Some(("deleted".to_owned(), true)),
            "a repeated first removal is no second"
        );
    }
    assert!(world.catalog.claim_garbage(10, LEASE).await.unwrap().is_empty(), "the grace runs");
    world.pass_time().await;
    let second = world.catalog.claim_garbage(10, LEASE).await.unwrap();
    assert_eq!((second[0].state, second[0].upload_id.as_deref()), (BlobState::Deleted, Some("multipart")));
    world.catalog.forget_blob(&second[0], GRACE).await.unwrap();
    assert_eq!(world.ledger(blob).await, None);
}

#[tokio::test]
async fn a_writer_that_ended_in_the_middle_of_a_write_leaves_a_tombstone() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    let mut garbage = world.catalog.fail_upload(blob).await.unwrap().unwrap();
    garbage.abandoned = true;
    world.catalog.forget_blob(&garbage, GRACE).await.unwrap();
    assert_eq!(world.ledger(blob).await, Some(("deleted".to_owned(), true)));
}

#[tokio::test]
async fn live_objects_are_never_forgotten() {
    let world = world().await;
    let (image, blob) = world.active("p", 1).await;
    let live = world.catalog.live_blobs(image.id).await.unwrap().remove(0);
    world.catalog.forget_blob(&live, GRACE).await.unwrap();
    let deleted = vitrine::catalog::blobs::Blob { state: BlobState::Deleted, ..live };
    world.catalog.forget_blob(&deleted, GRACE).await.unwrap();
    assert_eq!(world.ledger(blob).await, Some(("live".to_owned(), false)));
    world.catalog.discard_blob(blob).await.unwrap();
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), false)));
}

/// OPS-008
#[tokio::test]
async fn pending_deletes_end_after_the_scrub_time() {
    let world = world().await;
    let (image, blob) = world.active("p", 1).await;
    delete(&world, image.id, true).await;
    let hour = Duration::from_secs(3600);
    assert_eq!(world.catalog.expire_pending_deletes(hour, 10).await.unwrap(), 0);
    world.execute("UPDATE images SET deleted_at = deleted_at - interval '2 hours'").await;
    assert_eq!(world.catalog.purge_images(hour, 10).await.unwrap(), 0, "pending is not purged");
    assert_eq!(world.catalog.expire_pending_deletes(hour, 10).await.unwrap(), 1);
    assert_eq!(world.catalog.expire_pending_deletes(hour, 10).await.unwrap(), 0);
    assert_eq!(world.get(image.id).await.status, Status::Deleted);
    assert_eq!(world.ledger(blob).await, Some(("garbage".to_owned(), false)));
}

#[tokio::test]
async fn purge_takes_only_what_is_old() {
    let world = world().await;
    let (old, new) = (world.queued("p").await.id, world.queued("p").await.id);
    let kept = world.queued("p").await.id;
    delete(&world, old, false).await;
    delete(&world, new, false).await;
    world
        .sql
        .execute("UPDATE images SET deleted_at = deleted_at - interval '31 days' WHERE id = $1", &[&old.0])
        .await
        .unwrap();
    let month = Duration::from_secs(30 * 86400);
    assert_eq!(world.catalog.purge_images(month, 10).await.unwrap(), 1);
    assert_eq!(world.catalog.purge_images(month, 10).await.unwrap(), 0);
    assert_eq!(world.catalog.image(old, None).await.unwrap(), None);
    assert_eq!(world.get(new).await.status, Status::Deleted);
    assert_eq!(world.get(kept).await.status, Status::Queued);
    assert_eq!(world.catalog.purge_images(Duration::MAX, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn the_backlog_is_counted() {
    let world = world().await;
    let empty = world.catalog.backlog().await.unwrap();
    assert_eq!((empty.garbage, empty.garbage_oldest_secs, empty.tasks_oldest_due_secs), (0, 0.0, 0.0));
    let (image, _) = world.active("p", 1).await;
    delete(&world, image.id, false).await;
    world.execute("UPDATE blobs SET garbage_at = garbage_at - interval '1 hour'").await;
    world.catalog.claim_garbage(10, LEASE).await.unwrap();
    let backlog = world.catalog.backlog().await.unwrap();
    assert_eq!(backlog.garbage, 1);
    assert!(backlog.garbage_oldest_secs >= 3600.0, "a claim does not make it younger");
    let id = world.queued("p").await.id;
    let blob = world.saving(id).await;
    world.catalog.finish_upload(blob, &stored(1), Quota::NONE).await.unwrap();
    assert_eq!(world.catalog.backlog().await.unwrap().writing_expired, 0);
}
