//! The queue.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use vitrine::catalog::ErrorKind;
use vitrine::catalog::tasks::NewTask;
use vitrine::domain::image::{ImageId, Status};
use vitrine::domain::task::TaskStatus;

use super::{LEASE, World, world};

const TTL: Duration = Duration::from_secs(3600);

fn task(image_id: Option<ImageId>) -> NewTask {
    NewTask {
        id: Uuid::new_v4(),
        kind: "copy_from",
        owner: Some("p".to_owned()),
        user_id: Some("u".to_owned()),
        request_id: Some("req-1".to_owned()),
        image_id,
        input: json!({ "url": "https://images.example/a" }),
        secret: None,
    }
}

async fn word(world: &World, id: Uuid, column: &str) -> Option<String> {
    let statement = format!("SELECT {column}::text FROM tasks WHERE id = $1");
    world.sql.query_one(&statement, &[&id]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_task_is_claimed_once_and_ends_once() {
    let world = world().await;
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().map(|task| task.id), None);
    let id = world.queued("p").await.id;
    let new = task(Some(id));
    world.catalog.insert_task(&new).await.unwrap();
    let claimed = world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    assert_eq!((claimed.id, claimed.kind.as_str(), claimed.attempt), (new.id, "copy_from", 1));
    assert_eq!(
        (claimed.status, claimed.image_id, claimed.input),
        (TaskStatus::Processing, Some(id), new.input)
    );
    assert_eq!(
        (claimed.owner, claimed.user_id, claimed.request_id),
        (new.owner, new.user_id, new.request_id)
    );
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().map(|task| task.id), None);
    let progress = json!({ "bytes": 7 });
    assert!(world.catalog.heartbeat_task(new.id, 1, LEASE, &progress).await.unwrap());
    assert!(!world.catalog.heartbeat_task(new.id, 2, LEASE, &progress).await.unwrap());
    assert!(!world.catalog.succeed_task(new.id, 2, &json!({}), &json!(null), TTL).await.unwrap());
    for _ in 0..2 {
        assert!(
            world.catalog.succeed_task(new.id, 1, &json!({ "ok": true }), &json!(null), TTL).await.unwrap(),
            "repeatable"
        );
    }
    assert_eq!(word(&world, new.id, "status").await.as_deref(), Some("success"));
    assert!(!world.catalog.heartbeat_task(new.id, 1, LEASE, &progress).await.unwrap());
    assert!(!world.catalog.fail_task(new.id, 1, "no", None, TTL).await.unwrap());
    assert!(!world.catalog.release_task(new.id, 1, Duration::ZERO, true).await.unwrap());
}

#[tokio::test]
async fn an_image_has_one_open_task() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let first = task(Some(id));
    world.catalog.insert_task(&first).await.unwrap();
    let second = || async { world.catalog.insert_task(&task(Some(id))).await };
    assert_eq!(second().await.unwrap_err().kind, ErrorKind::Duplicate);
    world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    assert_eq!(second().await.unwrap_err().kind, ErrorKind::Duplicate);
    world.catalog.succeed_task(first.id, 1, &json!({}), &json!(null), TTL).await.unwrap();
    second().await.unwrap();
    for _ in 0..2 {
        world.catalog.insert_task(&task(None)).await.unwrap();
    }
}

///
#[tokio::test]
async fn two_runners_never_hold_the_same_attempt() {
    let world = world().await;
    for _ in 0..60 {
        world.catalog.insert_task(&task(None)).await.unwrap();
    }
    let runner = || async {
        let (catalog, mut mine) = (world.catalog.clone(), Vec::new());
        while let Some(task) = catalog.claim_task(LEASE, &[]).await.unwrap() {
            mine.push((task.id, task.attempt));
        }
        mine
    };
    let (one, two, three) = tokio::join!(runner(), runner(), runner());
    let mut claims: HashMap<_, usize> = HashMap::new();
    for claim in one.into_iter().chain(two).chain(three) {
        *claims.entry(claim).or_default() += 1;
    }
    assert_eq!((claims.len(), claims.values().max()), (60, Some(&1)));
}

#[tokio::test]
async fn the_task_of_a_dead_runner_is_claimed_again_and_its_runner_fenced_out() {
    let world = world().await;
    let new = task(None);
    world.catalog.insert_task(&new).await.unwrap();
    world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    world.pass_time().await;
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap().attempt, 2);
    assert!(!world.catalog.heartbeat_task(new.id, 1, LEASE, &json!({})).await.unwrap());
    assert!(!world.catalog.succeed_task(new.id, 1, &json!({}), &json!(null), TTL).await.unwrap());
    assert!(!world.catalog.fail_task(new.id, 1, "no", None, TTL).await.unwrap());
    assert!(!world.catalog.release_task(new.id, 1, Duration::ZERO, true).await.unwrap());
    assert!(world.catalog.heartbeat_task(new.id, 2, LEASE, &json!({})).await.unwrap());
}

#[tokio::test]
async fn the_oldest_due_task_comes_first() {
    let world = world().await;
    let tasks = [task(None), task(None), task(None)];
    for task in &tasks {
        world.catalog.insert_task(task).await.unwrap();
    }
    let first = world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    assert_eq!(first.id, tasks[0].id);
    assert!(world.catalog.release_task(first.id, 1, Duration::ZERO, true).await.unwrap());
    let mut order = Vec::new();
    while let Some(task) = world.catalog.claim_task(LEASE, &[]).await.unwrap() {
        order.push(task.id);
    }
    assert_eq!(order, [tasks[1].id, tasks[2].id, tasks[0].id]);
}

#[tokio::test]
async fn a_released_task_waits_and_counts_only_where_it_should() {
    let world = world().await;
    let new = task(None);
    world.catalog.insert_task(&new).await.unwrap();
    world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    assert!(world.catalog.release_task(new.id, 1, Duration::from_secs(600), true).await.unwrap());
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().map(|task| task.id), None, "not due yet");
    world.pass_time().await;
    let counts = async || {
        let task = world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
        (task.attempt, task.failures, task.losses)
    };
    assert_eq!(counts().await, (2, 1, 0));
    assert!(world.catalog.release_task(new.id, 2, Duration::ZERO, false).await.unwrap());
    assert_eq!(counts().await, (3, 1, 0));
    world.pass_time().await;
    assert_eq!(counts().await, (4, 1, 1), "its runner is taken for dead");
}

#[tokio::test]
async fn a_failed_task_moves_its_image_unless_that_moved_on() {
    let world = world().await;
    let queued = world.queued("p").await.id;
    let saving = world.queued("p").await.id;
    world.saving(saving).await;
    let (active, _) = world.active("p", 1).await;
    for (image, to, after) in [
        (queued, Some(Status::Killed), Status::Killed),
        (saving, Some(Status::Killed), Status::Saving),
        (active.id, Some(Status::Killed), Status::Active),
        (world.queued("p").await.id, None, Status::Queued),
    ] {
        let new = task(Some(image));
        world.catalog.insert_task(&new).await.unwrap();
        world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
        for _ in 0..2 {
            let failed = world.catalog.fail_task(new.id, 1, "source not found", to, TTL).await.unwrap();
            assert!(failed, "repeatable");
        }
        assert_eq!(world.get(image).await.status, after);
        assert_eq!(word(&world, new.id, "status").await.as_deref(), Some("failure"));
        assert_eq!(word(&world, new.id, "message").await.as_deref(), Some("source not found"));
    }
}

#[tokio::test]
async fn finished_tasks_go_when_their_time_is_over() {
    let world = world().await;
    let (done, open) = (task(None), task(None));
    for task in [&done, &open] {
        world.catalog.insert_task(task).await.unwrap();
        world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap();
    }
    world.catalog.succeed_task(done.id, 1, &json!({}), &json!(null), TTL).await.unwrap();
    assert_eq!(world.catalog.expire_tasks(10).await.unwrap(), 0);
    world.pass_time().await;
    assert_eq!(world.catalog.expire_tasks(10).await.unwrap(), 1);
    assert_eq!(world.catalog.expire_tasks(10).await.unwrap(), 0);
    assert_eq!(world.catalog.claim_task(LEASE, &[]).await.unwrap().unwrap().id, open.id);
}

/// One project's hundred tasks do not make another's one wait.
#[tokio::test]
async fn projects_take_turns() {
    let world = world().await;
    let of = |owner: &str| NewTask { owner: Some(owner.to_owned()), ..task(None) };
    for _ in 0..10 {
        world.catalog.insert_task(&of("many")).await.unwrap();
    }
    let owner = async |passed_over: &[String]| {
        world.catalog.claim_task(LEASE, passed_over).await.unwrap().and_then(|task| task.owner)
    };
    assert_eq!(owner(&[]).await.as_deref(), Some("many"));
    world.catalog.insert_task(&of("one")).await.unwrap();
    world.catalog.insert_task(&NewTask { owner: None, ..task(None) }).await.unwrap();
    assert_eq!(owner(&[]).await.as_deref(), Some("one"));
    assert_eq!(owner(&[]).await, None, "nobody's task has its turn like others");
    assert_eq!(owner(&[]).await.as_deref(), Some("many"));
    assert_eq!(owner(&["many".to_owned()]).await, None, "nothing else is due");
    assert_eq!(owner(&["one".to_owned()]).await.as_deref(), Some("many"));
}
