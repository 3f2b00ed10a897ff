//! The start of imports and their lock (images-v2.md §14.2, §14.6).

use serde_json::json;
use uuid::Uuid;
use vitrine::catalog::imports::{ImportLock, ImportStarted, NewImport};
use vitrine::catalog::tasks::NewTask;
use vitrine::catalog::{ErrorKind, Result};
use vitrine::domain::image::{ImageId, Status};
use vitrine::domain::quota::Resource;

use super::{LEASE, NO_LIMIT, World, world};

fn import(image: ImageId, from: Status) -> NewImport {
    let task = NewTask {
        id: Uuid::new_v4(),
        kind: "api_image_import",
        owner: Some("p".to_owned()),
        user_id: None,
        request_id: None,
        image_id: Some(image),
        input: json!({}),
        secret: None,
    };
    NewImport {
        task,
        image,
        from,
        stores: vec!["b".to_owned(), "a".to_owned()],
        inject: Default::default(),
        size_limit: NO_LIMIT,
    }
}

impl World {
    async fn start_import(&self, image: ImageId, from: Status) -> ImportStarted {
        self.catalog.start_import(&import(image, from)).await.unwrap()
    }

    /// Status and message of a task.
    async fn ended(&self, task: Uuid) -> (String, Option<String>) {
        let statement = "SELECT status::text, message FROM tasks WHERE id = $1";
        let row = self.sql.query_one(statement, &[&task]).await.unwrap();
        (row.get(0), row.get(1))
    }

    async fn age_tasks(&self, minutes: u32) {
        self.execute(&format!("UPDATE tasks SET updated_at = now() - interval '{minutes} minutes'")).await;
    }

    /// A blob of an image in this state.
    async fn blob(&self, image: ImageId, state: &str) -> Uuid {
        let id = Uuid::new_v4();
        let insert = "INSERT INTO blobs (id, image_id, store, key, state, size, on_failure, due_at, created_at) \
                      SELECT $1::uuid, $2::uuid, 'a', $1::uuid::text, $3::text::blob_state, 1, \
                      'queued', CASE WHEN $3::text <> 'live' THEN now() + interval '1 hour' END, now()";
        self.sql.execute(insert, &[&id, &image.0, &state]).await.unwrap();
        id
    }
}

#[tokio::test]
async fn image_stores_and_task_change_together() {
    let world = world().await;
    let image = world.queued("p").await;
    assert_eq!((&image.importing_to, &image.failed_import), (&None, &None));
    assert_eq!(world.catalog.import_lock(image.id).await.unwrap(), ImportLock::Free);
    let new = import(image.id, Status::Queued);
    assert_eq!(world.catalog.start_import(&new).await.unwrap(), ImportStarted::Enqueued);
    let started = world.get(image.id).await;
    assert_eq!(started.status, Status::Importing);
    assert_eq!(started.importing_to.as_deref(), Some(&["b".to_owned(), "a".to_owned()][..]));
    assert_eq!(started.failed_import.as_deref(), Some(&[][..]));
    assert_eq!(started.revision, image.revision + 1);
    assert_eq!(world.catalog.import_lock(image.id).await.unwrap(), ImportLock::Held);
    let claimed = world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    assert_eq!((claimed.id, claimed.image_id), (new.task.id, Some(image.id)));
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().map(|task| task.id), None);

    // an answer that got lost: the same again knows its own work, whatever became of it since
    for statement in
        ["SELECT 1", "UPDATE tasks SET status = 'success'", "UPDATE images SET status = 'active'"]
    {
        world.execute(statement).await;
        assert_eq!(world.catalog.start_import(&new).await.unwrap(), ImportStarted::Enqueued);
    }
    let after = world.get(image.id).await;
    assert_eq!(after.revision, started.revision);
}

#[tokio::test]
async fn copies_leave_the_image_active() {
    let world = world().await;
    let (image, blob) = world.active("p", 3).await;
    assert_eq!(world.start_import(image.id, Status::Active).await, ImportStarted::Enqueued);
    let copied = world.get(image.id).await;
    assert_eq!((copied.status, copied.size), (Status::Active, Some(3)));
    assert!(copied.importing_to.is_some());
    assert_eq!(world.ledger(blob).await.unwrap().0, "live");
}

/// V2-251 to V2-253, V2-265, V2-276
#[tokio::test]
async fn images_in_other_states_and_hands_stay_as_they_are() {
    let world = world().await;
    let image = world.queued("p").await;
    for (from, found) in [(Status::Uploading, Status::Queued), (Status::Active, Status::Queued)] {
        assert_eq!(world.start_import(image.id, from).await, ImportStarted::NotInState(Some(found)));
    }
    assert_eq!(world.start_import(ImageId::random(), Status::Queued).await, ImportStarted::NotInState(None));
    assert_eq!(world.get(image.id).await, image);
    assert_eq!(world.start_import(image.id, Status::Queued).await, ImportStarted::Enqueued);
    let held = world.get(image.id).await;
    for from in [Status::Queued, Status::Uploading, Status::Active] {
        assert_eq!(world.start_import(image.id, from).await, ImportStarted::Busy);
    }
    assert_eq!(world.get(image.id).await, held);
}

/// Row 22: of many at once one wins.
#[tokio::test]
async fn one_of_twenty_imports_at_once_begins() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let imports: Vec<NewImport> = (0..20).map(|_| import(id, Status::Queued)).collect();
    let starts = imports.iter().map(|import| world.catalog.start_import(import));
    let started: Vec<_> =
        futures_util::future::join_all(starts).await.into_iter().map(Result::unwrap).collect();
    let begun = started.iter().filter(|started| **started == ImportStarted::Enqueued).count();
    let busy = started.iter().filter(|started| **started == ImportStarted::Busy).count();
    assert_eq!((begun, busy), (1, 19), "{started:?}");
}

/// V2-266
#[tokio::test]
async fn v2_266_an_expired_lock_is_broken() {
    let world = world().await;
    for (status, held_for, broken_after) in [("pending", 119, 121), ("processing", 59, 61)] {
        let image = world.queued("p").await.id;
        let old = import(image, Status::Queued);
        assert_eq!(world.catalog.start_import(&old).await.unwrap(), ImportStarted::Enqueued);
        let mut attempt = 0;
        if status == "processing" {
            let claimed = world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
            assert_eq!(claimed.id, old.task.id);
            attempt = claimed.attempt;
        }
        let (partial, writing) = (world.blob(image, "live").await, world.blob(image, "writing").await);
        world.age_tasks(held_for).await;
        assert_eq!(world.catalog.import_lock(image).await.unwrap(), ImportLock::Held);
        assert_eq!(world.start_import(image, Status::Queued).await, ImportStarted::Busy);
        world.age_tasks(broken_after).await;
        assert_eq!(world.catalog.import_lock(image).await.unwrap(), ImportLock::Expired);
        // it was no staged image, and a refusal breaks nothing
        let other = ImportStarted::NotInState(Some(Status::Importing));
        assert_eq!(world.start_import(image, Status::Uploading).await, other);
        assert_eq!(world.ended(old.task.id).await.0, status);

        assert_eq!(world.start_import(image, Status::Queued).await, ImportStarted::Enqueued);
        let (ended, message) = world.ended(old.task.id).await;
        assert_eq!((ended.as_str(), message.as_deref()), ("failure", Some("Expired lock preempted")));
        for blob in [partial, writing] {
            assert_eq!(world.ledger(blob).await.unwrap().0, "garbage");
        }
        // whoever still works on it is fenced out
        assert!(!world.catalog.heartbeat_task(old.task.id, attempt, LEASE, &json!(null)).await.unwrap());
        assert!(!world.catalog.fail_task(old.task.id, attempt, "late", None, LEASE).await.unwrap());
        assert!(
            !world.catalog.succeed_task(old.task.id, attempt, &json!({}), &json!(null), LEASE).await.unwrap()
        );
        world.execute("UPDATE tasks SET status = 'failure' WHERE status <> 'failure'").await;
    }
}

#[tokio::test]
async fn staged_data_outlive_the_lock_of_their_import() {
    let world = world().await;
    let image = world.queued("p").await.id;
    let staged = world.blob(image, "staged").await;
    world.execute("UPDATE images SET status = 'uploading'").await;
    assert_eq!(world.start_import(image, Status::Uploading).await, ImportStarted::Enqueued);
    world.age_tasks(121).await;
    assert_eq!(
        world.start_import(image, Status::Queued).await,
        ImportStarted::NotInState(Some(Status::Importing))
    );
    assert_eq!(world.start_import(image, Status::Uploading).await, ImportStarted::Enqueued);
    assert_eq!(world.ledger(staged).await.unwrap().0, "staged");
    // copies keep what the image has
    let (active, blob) = world.active("p", 3).await;
    assert_eq!(world.start_import(active.id, Status::Active).await, ImportStarted::Enqueued);
    world.age_tasks(121).await;
    assert_eq!(world.start_import(active.id, Status::Active).await, ImportStarted::Enqueued);
    assert_eq!(world.ledger(blob).await.unwrap().0, "live");
}

/// §21.1: delta 0, so that only those are refused who have reached the limit.
#[tokio::test]
async fn a_project_at_its_limit_imports_nothing() {
    let world = world().await;
    world.active("p", 2 << 20).await;
    let image = world.queued("p").await;
    let limited = |size_limit| NewImport { size_limit, ..import(image.id, Status::Queued) };
    let refused = world.catalog.start_import(&limited(2)).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::OverLimit(over) if over.resource == Resource::SizeTotal));
    assert_eq!(world.get(image.id).await, image);
    let checked = world.catalog.check_limit("p", Resource::SizeTotal, 2, 0).await.unwrap_err();
    assert_eq!(checked.kind, refused.kind);
    for limit in [3, NO_LIMIT] {
        world.catalog.check_limit("p", Resource::SizeTotal, limit, 0).await.unwrap();
    }
    let new = limited(3);
    assert_eq!(world.catalog.start_import(&new).await.unwrap(), ImportStarted::Enqueued);
    // it may be the import itself that reached the limit
    let again = NewImport { size_limit: 2, ..new };
    assert_eq!(world.catalog.start_import(&again).await.unwrap(), ImportStarted::Enqueued);
}

/// §4.4, A14: what a patch took away between the checks of an import and its start.
#[tokio::test]
async fn an_image_that_lost_a_format_is_not_imported() {
    let world = world().await;
    let queued = world.queued("p").await.id;
    let (active, _) = world.active("p", 3).await;
    for (id, from) in [(queued, Status::Queued), (active.id, Status::Active)] {
        for name in ["disk_format", "container_format"] {
            world.execute(&format!("UPDATE images SET {name} = NULL")).await;
            let before = world.get(id).await;
            assert_eq!(world.start_import(id, from).await, ImportStarted::NoFormat(name));
            assert_eq!(world.get(id).await, before);
            world.execute(&format!("UPDATE images SET {name} = 'ami'")).await;
        }
        let elsewhere = ImportStarted::NotInState(Some(from));
        assert_eq!(world.start_import(id, Status::Uploading).await, elsewhere);
        assert_eq!(world.start_import(id, from).await, ImportStarted::Enqueued);
    }
}

/// §14.3: a task that starts takes its targets, and those only, from the stores that failed.
#[tokio::test]
async fn failures_of_other_stores_stay_noted() {
    let world = world().await;
    let image = world.queued("p").await.id;
    world.execute("UPDATE images SET failed_import = '{z,a,c}'").await;
    assert_eq!(world.start_import(image, Status::Queued).await, ImportStarted::Enqueued);
    let failed = world.get(image).await.failed_import.unwrap();
    assert_eq!(failed, ["z", "c"]);
}
