//! Storage quota and limits on uploads, under concurrency.

use vitrine::catalog::uploads::{Finished, NewUpload, Started};
use vitrine::catalog::usage::Quota;
use vitrine::catalog::{ErrorKind, Result};
use vitrine::domain::image::Status;
use vitrine::domain::quota::{Overrun, Resource};

use super::{GRACE, LEASE, World, image, stored, upload, world};

const MIB: u64 = 1 << 20;

async fn start(world: &World, owner: &str, reserve: u64, quota: u64) -> Result<uuid::Uuid> {
    let id = world.queued(owner).await.id;
    let new = NewUpload { reserve, quota, ..upload(id) };
    world.catalog.start_upload(&new).await.map(|started| {
        assert!(matches!(started, Started::Begun(_)));
        new.blob_id
    })
}

/// R-22, A41
#[tokio::test]
async fn two_hundred_starts_against_a_quota_for_one_hundred() {
    let world = world().await;
    let mut uploads = Vec::new();
    for _ in 0..200 {
        uploads.push(NewUpload { reserve: 10, quota: 1000, ..upload(world.queued("p").await.id) });
    }
    let starts = uploads.iter().map(|new| world.catalog.start_upload(new));
    let results = futures_util::future::join_all(starts).await;
    let refused = results.iter().filter_map(|r| r.as_ref().err()).map(|e| e.kind).collect::<Vec<_>>();
    assert_eq!(refused, vec![ErrorKind::QuotaExceeded; 100]);
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 1000);
    let saving = "SELECT count(*) FROM images WHERE status = 'saving'";
    assert_eq!(world.sql.query_one(saving, &[]).await.unwrap().get::<_, i64>(0), 100);
}

/// A39, A41: bytes of unknown number are admitted as they come.
#[tokio::test]
async fn reservations_that_grow_at_once_stay_within_the_quota() {
    let world = world().await;
    let mut blobs = Vec::new();
    for _ in 0..30 {
        blobs.push(start(&world, "p", 0, 100).await.unwrap());
    }
    let grow = blobs.iter().map(|blob| world.catalog.reserve(*blob, 10, Quota::of_bytes(100)));
    let results = futures_util::future::join_all(grow).await;
    assert_eq!(results.iter().filter(|r| matches!(r, Ok(true))).count(), 10);
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 100);
    let winner = blobs[results.iter().position(Result::is_ok).unwrap()];
    assert!(
        world.catalog.reserve(winner, 5, Quota::of_bytes(100)).await.unwrap(),
        "a smaller total changes nothing"
    );
    assert!(world.catalog.reserve(winner, 10, Quota::of_bytes(100)).await.unwrap());
    assert_eq!(
        world.catalog.reserve(winner, 11, Quota::of_bytes(100)).await.unwrap_err().kind,
        ErrorKind::QuotaExceeded
    );
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 100);
}

#[tokio::test]
async fn the_end_is_judged_by_the_real_size() {
    let world = world().await;
    let blob = start(&world, "p", 50, 100).await.unwrap();
    let over = world.catalog.finish_upload(blob, &stored(101), Quota::of_bytes(100)).await;
    assert_eq!(over.unwrap_err().kind, ErrorKind::QuotaExceeded);
    assert_eq!(world.ledger(blob).await, Some(("writing".to_owned(), false)), "nothing changed");
    let finished = world.catalog.finish_upload(blob, &stored(100), Quota::of_bytes(100)).await.unwrap();
    assert!(matches!(finished, Finished::Done(_)));
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 100);
    assert_eq!(start(&world, "p", 1, 100).await.unwrap_err().kind, ErrorKind::QuotaExceeded);
    start(&world, "p", 1, 0).await.unwrap();
    start(&world, "other", 1, 100).await.unwrap();
}

#[tokio::test]
async fn a_refused_start_leaves_the_image_as_it_was() {
    let world = world().await;
    let queued = world.queued("p").await;
    let new = NewUpload { reserve: 101, quota: 100, ..upload(queued.id) };
    assert_eq!(world.catalog.start_upload(&new).await.unwrap_err().kind, ErrorKind::QuotaExceeded);
    assert_eq!(world.get(queued.id).await, queued);
    assert_eq!(world.ledger(new.blob_id).await, None);
}

/// A40: deleting does not free space before the bytes are gone.
#[tokio::test]
async fn bytes_count_until_the_object_is_gone() {
    let world = world().await;
    let (active, _) = world.active("p", 60).await;
    let failed = start(&world, "p", 40, 100).await.unwrap();
    world.catalog.delete_image(active.id, false, |now| now.revision == active.revision).await.unwrap();
    world.catalog.fail_upload(failed).await.unwrap();
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 100);
    assert_eq!(start(&world, "p", 1, 100).await.unwrap_err().kind, ErrorKind::QuotaExceeded);
    for blob in world.catalog.claim_garbage(10, LEASE).await.unwrap() {
        world.catalog.forget_blob(&blob, GRACE).await.unwrap();
    }
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 0);
    start(&world, "p", 100, 100).await.unwrap();
}

#[tokio::test]
async fn external_data_counts_while_its_image_is_there() {
    let world = world().await;
    let image = world.queued("p").await;
    let register = |id, size| world.catalog.activate_with_location(id, "https://images.example/a", size, 100);
    let active = register(image.id, 60).await.unwrap().unwrap();
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 60);
    let second = world.queued("p").await.id;
    assert_eq!(register(second, 41).await.unwrap_err().kind, ErrorKind::QuotaExceeded);
    assert_eq!(register(second, -1).await.unwrap_err().kind, ErrorKind::OutOfRange);
    assert_eq!(start(&world, "p", 41, 100).await.unwrap_err().kind, ErrorKind::QuotaExceeded);
    assert_eq!(world.get(second).await.status, Status::Queued);
    world.catalog.delete_image(active.id, false, |now| now.revision == active.revision).await.unwrap();
    assert_eq!(world.catalog.storage_used("p").await.unwrap(), 0);
}

#[tokio::test]
async fn the_number_of_uploads_is_limited() {
    let world = world().await;
    let mut uploads = Vec::new();
    for _ in 0..12 {
        uploads.push(NewUpload { uploading_limit: 3, ..upload(world.queued("p").await.id) });
    }
    let starts = uploads.iter().map(|new| world.catalog.start_upload(new));
    let results = futures_util::future::join_all(starts).await;
    let begun: Vec<_> = (0..12).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(begun.len(), 3);
    world.catalog.finish_upload(uploads[begun[0]].blob_id, &stored(1), Quota::NONE).await.unwrap();
    let next = (0..12).find(|n| results[*n].is_err()).unwrap();
    assert!(matches!(world.catalog.start_upload(&uploads[next]).await.unwrap(), Started::Begun(_)));
}

#[tokio::test]
async fn images_without_an_owner_are_nobodys_usage() {
    let world = world().await;
    let mut new = image("");
    new.owner = None;
    let id = world.add(&new).await.id;
    let new = NewUpload { reserve: 1000, quota: 10, uploading_limit: 0, ..upload(id) };
    assert!(matches!(world.catalog.start_upload(&new).await.unwrap(), Started::Begun(_)));
    let finished =
        world.catalog.finish_upload(new.blob_id, &stored(1000), Quota::of_bytes(10)).await.unwrap();
    assert!(matches!(finished, Finished::Done(_)));
    assert_eq!(world.catalog.storage_used("").await.unwrap(), 0);
}

fn size_overrun(limit: i64, usage: i64, delta: i64) -> ErrorKind {
    ErrorKind::OverLimit(Overrun { resource: Resource::SizeTotal, limit, usage, delta })
}

/// A41: of starts at once with known sizes as many are admitted as fit, in MiB.
#[tokio::test]
async fn known_sizes_at_once_stay_within_the_size_limit() {
    let world = world().await;
    let mut uploads = Vec::new();
    for _ in 0..12 {
        uploads.push(NewUpload { reserve: 3 * MIB, size_limit: 10, ..upload(world.queued("p").await.id) });
    }
    let starts = uploads.iter().map(|new| world.catalog.start_upload(new));
    let results = futures_util::future::join_all(starts).await;
    let refused: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).map(|e| e.kind).collect();
    assert_eq!(refused, vec![size_overrun(10, 9, 3); 9]);
}

/// What has no known size overshoots once; others at once are stopped where they learn of it (A41).
#[tokio::test]
async fn an_unknown_size_overshoots_the_size_limit_once() {
    let world = world().await;
    let quota = Quota { limit: 10, ..Quota::NONE };
    let mut blobs = Vec::new();
    for _ in 0..3 {
        let new = NewUpload { size_limit: 10, ..upload(world.queued("p").await.id) };
        assert!(matches!(world.catalog.start_upload(&new).await.unwrap(), Started::Begun(_)));
        blobs.push(new.blob_id);
    }
    assert!(world.catalog.reserve(blobs[0], 12 * MIB, quota).await.unwrap());
    assert_eq!(world.catalog.reserve(blobs[1], MIB, quota).await.unwrap_err().kind, size_overrun(10, 12, 1));
    let late = world.catalog.finish_upload(blobs[2], &stored(MIB), quota).await;
    assert_eq!(late.unwrap_err().kind, size_overrun(10, 12, 1));
    let first = world.catalog.finish_upload(blobs[0], &stored(13 * MIB), quota).await.unwrap();
    assert!(matches!(first, Finished::Done(_)));
    let next = NewUpload { size_limit: 10, ..upload(world.queued("p").await.id) };
    assert_eq!(world.catalog.start_upload(&next).await.unwrap_err().kind, size_overrun(10, 13, 0));
}

/// What is used counts every copy, data outside our stores, and what is on its way; not what is deleted or garbage.
#[tokio::test]
async fn usage_of_the_limits() {
    let world = world().await;
    let (image, blob) = world.active("p", 5 * MIB).await;
    world.active("other", 50 * MIB).await;
    let copy = format!(
        "INSERT INTO blobs (id, image_id, owner, store, key, state, size, on_failure, due_at, created_at)
         SELECT gen_random_uuid(), image_id, owner, 'second', 'copy', state, size, on_failure, due_at, created_at
         FROM blobs WHERE id = '{blob}'"
    );
    world.execute(&copy).await;
    let elsewhere = world.queued("p").await.id;
    let url = "https://images.example/a";
    let mib = i64::try_from(MIB).unwrap();
    world.catalog.activate_with_location(elsewhere, url, 2 * mib, 0).await.unwrap().unwrap();
    start(&world, "p", 3 * MIB + 7, 0).await.unwrap();
    let staged = world.queued("p").await.id;
    let blob = world.saving(staged).await;
    let stage = format!(
        "UPDATE images SET status = 'uploading' WHERE id = '{staged}';
         UPDATE blobs SET state = 'staged', size = {} WHERE id = '{blob}'",
        4 * MIB
    );
    world.execute(&stage).await;
    let usage = world.catalog.project_usage("p").await.unwrap();
    let expected = [
        (Resource::SizeTotal, 15),
        (Resource::StageTotal, 4),
        (Resource::CountTotal, 4),
        (Resource::CountUploading, 2),
    ];
    assert_eq!(usage, expected);
    // pending deletes do not count
    world.catalog.delete_image(image.id, true, |now| now.revision == image.revision).await.unwrap();
    let usage = world.catalog.project_usage("p").await.unwrap();
    assert_eq!(usage[..1], [(Resource::SizeTotal, 5)]);
    assert_eq!(usage[2..3], [(Resource::CountTotal, 3)]);
    assert!(world.catalog.project_usage("nobody").await.unwrap().iter().all(|(_, used)| *used == 0));
}
