//! Records: insert, update, status, delete, restore.

use tokio_postgres::error::SqlState;
use vitrine::catalog::ErrorKind;
use vitrine::catalog::blobs::BlobState;
use vitrine::catalog::images::Deleted;
use vitrine::catalog::usage::Quota;
use vitrine::domain::image::{Image, ImageId, Status, Visibility};
use vitrine::domain::quota::{Overrun, Resource};

use super::{NO_LIMIT, World, image, world};

async fn deleted(world: &World, id: ImageId, delayed: bool) -> Vec<vitrine::catalog::blobs::Blob> {
    let revision = world.get(id).await.revision;
    match world.catalog.delete_image(id, delayed, |now| now.revision == revision).await.unwrap() {
        Deleted::Done { garbage, .. } => garbage,
        Deleted::Stale => panic!("stale"),
    }
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_written() {
    let world = world().await;
    let mut new = image("p");
    new.name = Some("naïve 'quoted' \"name\"\n".to_owned());
    new.visibility = Visibility::Community;
    (new.os_hidden, new.protected) = (true, true);
    (new.disk_format, new.container_format) = (Some("qcow2".to_owned()), Some("bare".to_owned()));
    (new.min_disk, new.min_ram) = (i32::MAX, 512);
    (new.size, new.virtual_size) = (Some(i64::MAX), Some(1));
    new.checksum = Some("c".to_owned());
    (new.os_hash_algo, new.os_hash_value) = (Some("sha512".to_owned()), Some("h".to_owned()));
    new.tags = vec!["b".to_owned(), "a".to_owned()];
    new.properties.insert("Some-Key".to_owned(), Some("ÿ \u{1F600}".to_owned()));
    new.properties.insert("empty".to_owned(), None);
    let stored = world.add(&new).await;
    assert!(stored.created_at.year() > 2000 && stored.created_at == stored.updated_at);
    (new.created_at, new.updated_at, new.revision) = (stored.created_at, stored.updated_at, 1);
    assert_eq!(stored, new);
    assert_eq!(world.get(new.id).await, new);
    assert_eq!(world.catalog.image(ImageId::random(), Some("p")).await.unwrap(), None);
}

#[tokio::test]
async fn an_image_comes_with_the_membership_of_the_project_that_asks() {
    let world = world().await;
    let id = world.queued("p").await.id;
    world.catalog.put_member(id, "m", Some(true), false, NO_LIMIT).await.unwrap();
    let membership = world.catalog.image(id, Some("m")).await.unwrap().unwrap().membership.unwrap();
    assert_eq!((membership.image_id, membership.member.as_str(), membership.can_share), (id, "m", true));
    assert_eq!(world.catalog.image(id, Some("other")).await.unwrap().unwrap().membership, None);
    assert_eq!(world.catalog.image(id, None).await.unwrap().unwrap().membership, None);
}

/// A24, OPS-007
#[tokio::test]
async fn ids_stay_taken_after_delete_and_purge() {
    let world = world().await;
    let first = world.queued("p").await;
    let again = || world.catalog.insert_image(&first, NO_LIMIT);
    assert_eq!(again().await.unwrap_err().kind, ErrorKind::Duplicate);
    deleted(&world, first.id, false).await;
    assert_eq!(again().await.unwrap_err().kind, ErrorKind::Duplicate);
    assert_eq!(world.catalog.purge_images(std::time::Duration::ZERO, 10).await.unwrap(), 1);
    assert_eq!(world.catalog.image(first.id, None).await.unwrap(), None);
    assert_eq!(again().await.unwrap_err().kind, ErrorKind::Duplicate);
    let rows: i64 = world.sql.query_one("SELECT count(*) FROM images", &[]).await.unwrap().get(0);
    assert_eq!(rows, 0, "a refused insert leaves nothing");
}

#[tokio::test]
async fn an_insert_that_waits_for_a_purge_of_the_same_id_is_a_duplicate() {
    let mut world = world().await;
    let first = world.queued("p").await;
    deleted(&world, first.id, false).await;
    let purge = world.sql.transaction().await.unwrap();
    purge.execute("DELETE FROM images WHERE id = $1", &[&first.id.0]).await.unwrap();
    purge.execute("INSERT INTO purged_images (id) VALUES ($1)", &[&first.id.0]).await.unwrap();
    let insert = world.catalog.insert_image(&first, NO_LIMIT);
    let finish = async {
        let watcher = world.database.client().await;
        crate::support::eventually("the insert waits", async || {
            let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            watcher.query_opt(waits, &[]).await.unwrap()
        })
        .await;
        purge.commit().await.unwrap();
    };
    let (inserted, ()) = tokio::join!(insert, finish);
    assert_eq!(inserted.unwrap_err().kind, ErrorKind::Duplicate);
}

#[tokio::test]
async fn the_count_limit_counts_what_is_not_deleted() {
    let world = world().await;
    let insert =
        |owner: &'static str| async { world.catalog.insert_image(&image(owner), 2).await.map(|i| i.id) };
    let first = insert("p").await.unwrap();
    insert("p").await.unwrap();
    let over = Overrun { resource: Resource::CountTotal, limit: 2, usage: 2, delta: 1 };
    assert_eq!(insert("p").await.unwrap_err().kind, ErrorKind::OverLimit(over));
    insert("other").await.unwrap();
    deleted(&world, first, false).await;
    insert("p").await.unwrap();
}

#[tokio::test]
async fn an_update_needs_the_revision_it_was_computed_from() {
    let world = world().await;
    let read = world.queued("p").await;
    let mut one = read.clone();
    one.name = Some("one".to_owned());
    one.properties.insert("k".to_owned(), Some("v".to_owned()));
    (one.status, one.os_hash_value) = (Status::Active, Some("forged".to_owned()));
    let written = world.catalog.update_image(&one).await.unwrap().unwrap();
    assert_eq!((written.status, written.os_hash_value.clone()), (Status::Queued, None));
    assert_eq!((written.name.as_deref(), written.revision), (Some("one"), read.revision + 1));
    assert!(written.updated_at > read.updated_at && written.created_at == read.created_at);
    assert_eq!(world.catalog.update_image(&read).await.unwrap(), None);
    assert_eq!(world.get(read.id).await, written);
    deleted(&world, read.id, false).await;
    let gone = world.get(read.id).await;
    assert_eq!(world.catalog.update_image(&gone).await.unwrap(), None);
}

///
#[tokio::test]
async fn of_concurrent_updates_one_wins() {
    let world = world().await;
    let read = world.queued("p").await;
    let updates = (0..16).map(|n| {
        let mut changed = read.clone();
        changed.name = Some(n.to_string());
        let catalog = world.catalog.clone();
        async move { catalog.update_image(&changed).await.unwrap() }
    });
    let winners: Vec<_> = futures_util::future::join_all(updates).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(world.get(read.id).await, winners[0]);
}

#[tokio::test]
async fn status_moves_only_from_where_it_is_expected() {
    let world = world().await;
    let (image, _) = world.active("p", 5).await;
    let to = |from: &'static [Status], to| world.catalog.set_status(image.id, from, to);
    let moved = to(&[Status::Active], Status::Deactivated).await.unwrap().unwrap();
    assert_eq!(
        (moved.status, moved.size, moved.revision),
        (Status::Deactivated, Some(5), image.revision + 1)
    );
    assert_eq!(to(&[Status::Active, Status::Queued], Status::Killed).await.unwrap(), None);
    assert_eq!(to(&[], Status::Killed).await.unwrap(), None);
    let queued = to(&[Status::Killed, Status::Deactivated], Status::Queued).await.unwrap().unwrap();
    assert_eq!(queued.size, Some(5), "what the owner announced stays");
}

#[tokio::test]
async fn a_delete_takes_everything_but_the_row() {
    let world = world().await;
    let mut new = image("p");
    new.properties.insert("k".to_owned(), Some("v".to_owned()));
    new.tags = vec!["t".to_owned()];
    let id = world.add(&new).await.id;
    let blob = world.saving(id).await;
    world.catalog.finish_upload(blob, &super::stored(5), Quota::NONE).await.unwrap();
    world.catalog.put_member(id, "m", None, false, NO_LIMIT).await.unwrap();
    let before = world.get(id).await;
    assert!(matches!(
        world.catalog.delete_image(id, false, |now| now.revision == before.revision - 1).await.unwrap(),
        Deleted::Stale
    ));
    assert_eq!(world.get(id).await, before);
    let garbage = deleted(&world, id, false).await;
    assert_eq!(
        garbage.iter().map(|b| (b.id, b.state, b.abandoned)).collect::<Vec<_>>(),
        [(blob, BlobState::Garbage, false)]
    );
    let after = world.get(id).await;
    assert_eq!((after.status, after.properties.len(), after.tags.len()), (Status::Deleted, 0, 0));
    assert_eq!((after.deleted_at, after.size), (Some(after.updated_at), Some(5)));
    assert!(world.catalog.members(id).await.unwrap().is_empty());
    assert!(world.catalog.memberships("m", None).await.unwrap().is_empty());
    let again = world.catalog.delete_image(id, false, |now| now.revision == after.revision).await.unwrap();
    assert!(matches!(again, Deleted::Stale));
}

/// OPS-008, OPS-009
#[tokio::test]
async fn a_delayed_delete_keeps_data_and_can_be_undone() {
    let world = world().await;
    let (image, blob) = world.active("p", 5).await;
    world.catalog.put_member(image.id, "m", None, false, NO_LIMIT).await.unwrap();
    assert!(deleted(&world, image.id, true).await.is_empty());
    let pending = world.get(image.id).await;
    assert_eq!(pending.status, Status::PendingDelete);
    assert!(pending.is_deleted());
    assert_eq!(world.catalog.members(image.id).await.unwrap().len(), 1);
    assert!(world.catalog.memberships("m", None).await.unwrap().is_empty());
    assert_eq!(world.ledger(blob).await, Some(("live".to_owned(), false)));
    assert_eq!(world.catalog.live_blobs(image.id).await.unwrap().len(), 1);
    let back = world.catalog.restore_image(image.id).await.unwrap().unwrap();
    assert_eq!((back.status, back.deleted_at), (Status::Active, None));
    assert_eq!(world.catalog.restore_image(image.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_delayed_delete_without_data_is_a_delete() {
    let world = world().await;
    for image in [world.queued("p").await, world.add(&image("p")).await] {
        deleted(&world, image.id, true).await;
        assert_eq!(world.get(image.id).await.status, Status::Deleted);
    }
    let saving = world.queued("p").await.id;
    let blob = world.saving(saving).await;
    let garbage = deleted(&world, saving, true).await;
    assert_eq!(world.get(saving).await.status, Status::Deleted);
    assert_eq!((garbage[0].id, garbage[0].abandoned), (blob, true), "its writer may still be alive");
}

#[tokio::test]
async fn an_external_location_is_data() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let url = "https://images.example/a";
    let active = world.catalog.activate_with_location(id, url, 7, 0).await.unwrap().unwrap();
    assert_eq!((active.status, active.size), (Status::Active, Some(7)));
    assert_eq!(world.catalog.activate_with_location(id, url, 7, 0).await.unwrap(), None);
    let locations = world.catalog.locations(id).await.unwrap();
    assert_eq!(locations.iter().map(|l| l.url.as_str()).collect::<Vec<_>>(), [url]);
    deleted(&world, id, true).await;
    assert_eq!(world.get(id).await.status, Status::PendingDelete);
    world.catalog.expire_pending_deletes(std::time::Duration::ZERO, 10).await.unwrap();
    assert!(world.catalog.locations(id).await.unwrap().is_empty());
    let unknown = world.catalog.activate_with_location(ImageId::random(), url, 7, 0).await.unwrap();
    assert_eq!(unknown, None);
}

/// A44
#[tokio::test]
async fn values_that_no_column_holds_are_out_of_range() {
    let world = world().await;
    let mut new = image("p");
    new.name = Some("a\0b".to_owned());
    let kind = async |image: &Image| world.catalog.insert_image(image, NO_LIMIT).await.unwrap_err().kind;
    assert_eq!(kind(&new).await, ErrorKind::OutOfRange);
    new = image("p");
    new.properties.insert("k".to_owned(), Some("a\0b".to_owned()));
    assert_eq!(kind(&new).await, ErrorKind::OutOfRange);
    new = image("p");
    new.properties.insert("a\0b".to_owned(), None);
    assert_eq!(kind(&new).await, ErrorKind::OutOfRange);
    let id = world.queued("p").await.id;
    let member = world.catalog.put_member(id, "a\0b", None, false, NO_LIMIT).await;
    assert_eq!(member.unwrap_err().kind, ErrorKind::OutOfRange);
    // longer than an index entry can be, even compressed
    let noise: String = (0..300).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    let member = world.catalog.put_member(id, &noise, None, false, NO_LIMIT).await;
    assert_eq!(member.unwrap_err().kind, ErrorKind::OutOfRange);
}

#[tokio::test]
async fn the_schema_refuses_a_deleted_status_without_a_time() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let forged = world.sql.execute("UPDATE images SET status = 'deleted' WHERE id = $1", &[&id.0]).await;
    assert_eq!(forged.unwrap_err().code(), Some(&SqlState::CHECK_VIOLATION));
}
