//! How events reach their sinks: each at least once, those of one image in order, whatever fails.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vitrine::flows::events::Delivered;

use super::{about, drained, service_with};
use crate::faults::World;
use crate::support::api::{OCTETS, OWNER, Request, Service};
use crate::support::eventually;
use crate::support::hook::{Hook, Refusals, types};
use crate::support::server::Server;

const LIFE: [&str; 7] = [
    "image.create",
    "image.update",
    "image.prepare",
    "image.upload",
    "image.activate",
    "image.update",
    "image.delete",
];

/// Everything an image can tell, each request at the next of the replicas.
async fn live(replicas: &[&Server], first: usize) -> String {
    let at = |step: usize| replicas[(first + step) % replicas.len()].api;
    let document = json!({ "disk_format": "raw", "container_format": "bare" });
    let created = Request::to(at(0), "POST", "/v2/images").by(OWNER).json(&document).send().await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let upload = Request::to(at(1), "PUT", &format!("/v2/images/{id}/file")).by(OWNER);
    upload.header("Content-Type", OCTETS).body(b"data").send().await.expect(204);
    let delete = Request::to(at(2), "DELETE", &format!("/v2/images/{id}")).by(OWNER);
    delete.send().await.expect(204);
    id
}

async fn nothing_waits(world: &World) {
    let sql = world.database.client().await;
    eventually("all events are delivered", async || {
        let waiting: i64 = sql.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0);
        (waiting == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_fails_half_of_the_time_gets_all_in_order_from_two_replicas() {
    let hook = Hook::refusing(Refusals::EverySecond).await;
    let world = World::new().await;
    let mut settings = world.config();
    hook.listen(&mut settings);
    let (one, two) = (Server::start(&settings).await, Server::start(&settings).await);
    let ids = join_all((0..6).map(|image| {
        let replicas = [&one, &two];
        async move { live(&replicas, image).await }
    }))
    .await;
    nothing_waits(&world).await;
    let taken = hook.taken();
    for id in &ids {
        assert_eq!(types(&about(&taken, id)), LIFE, "{id}");
    }
    assert_eq!(taken.len(), ids.len() * LIFE.len());
    assert_eq!(hook.seen() / 2, taken.len(), "half of {} requests are refused", hook.seen());

    // either of them may have had all the luck
    let metrics = join_all([&one, &two].map(async |replica| {
        let url = format!("http://{}/metrics", replica.ops);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }));
    let metrics = metrics.await.concat();
    for line in ["vitrine_events_deliveries_total{", "outcome=\"refused\"", "vitrine_events_pending{"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_replica_that_dies_between_commit_and_delivery_loses_nothing() {
    let hook = Hook::start().await;
    let world = World::new().await;
    let mut settings = world.config();
    hook.listen(&mut settings);
    // it answers requests, and never delivers
    let without_jobs = {
        let mut settings = settings.clone();
        settings.jobs.enabled = false;
        settings
    };
    let mut first = Server::start(&without_jobs).await;
    let id = live(&[&first], 0).await;
    first.kill().await;
    assert_eq!(hook.seen(), 0);
    let _second = Server::start(&settings).await;
    nothing_waits(&world).await;
    assert_eq!(types(&about(&hook.taken(), &id)), LIFE);
}

#[tokio::test]
async fn a_replica_that_dies_right_after_a_delivery_makes_it_come_twice_and_in_order() {
    let hook = Hook::start().await;
    let world = World::new().await;
    let mut settings = world.config();
    hook.listen(&mut settings);
    let without_jobs = {
        let mut settings = settings.clone();
        settings.jobs.enabled = false;
        settings
    };
    let quiet = Server::start(&without_jobs).await;
    let id = live(&[&quiet], 0).await;
    let mut dying = Server::start_with_env(&settings, &[("VITRINE_FAULT", "event.delivered:3")]).await;
    dying.wait().await;
    assert_eq!(types(&hook.taken()), LIFE[..3]);
    // its lease runs out
    let sql = world.database.client().await;
    sql.batch_execute("UPDATE events SET due_at = now()").await.unwrap();
    let _heir = Server::start(&settings).await;
    nothing_waits(&world).await;
    let told = types(&about(&hook.taken(), &id));
    assert_eq!(told, [&LIFE[..3], &LIFE[2..]].concat());
    let ids = hook.taken().iter().map(|event| event["message_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids[2], ids[3], "the same message");
}

async fn service_without_jobs(hook: &Hook) -> Service {
    service_with(hook, |settings| settings.jobs.enabled = false).await
}

#[tokio::test]
async fn a_drained_replica_gives_its_leases_back() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| {
        settings.jobs.enabled = false;
        settings.notifications.webhook.url = Some(format!("http://{address}/"));
    })
    .await;
    service.queued(OWNER).await;
    let stop = CancellationToken::new();
    let sink = &service.flows.sinks[0];
    // a server that takes the connection and never answers
    let hang = async {
        let connection = listener.accept().await.unwrap();
        let leased = "SELECT count(*) FROM events WHERE due_at > now() AND attempts = 1";
        assert_eq!(service.count(leased).await, 1);
        stop.cancel();
        connection
    };
    let (delivered, _connection) = tokio::join!(service.flows.deliver_events(sink, &stop), hang);
    assert_eq!(delivered.unwrap(), Delivered { arrived: 0, failed: 1 });
    let free = "SELECT count(*) FROM events WHERE due_at <= now() AND attempts = 0";
    assert_eq!(service.count(free).await, 1);
}

#[tokio::test]
async fn what_cannot_be_delivered_in_time_is_given_up() {
    let hook = Hook::start().await;
    let service = service_without_jobs(&hook).await;
    let (old, new) = (service.queued(OWNER).await, service.queued(OWNER).await);
    let age =
        format!("UPDATE events SET created_at = created_at - interval '7 days' WHERE subject = '{old}'");
    service.sql(&age).await;
    assert_eq!(service.flows.expire_events().await.unwrap(), 1);
    assert_eq!(service.count(&format!("SELECT count(*) FROM events WHERE subject = '{new}'")).await, 1);
    assert_eq!(service.count("SELECT count(*) FROM events").await, 1);
}

/// A failure holds back what comes after it, and nothing else.
#[tokio::test]
async fn events_of_one_image_wait_for_each_other_alone() {
    let hook = Hook::refusing(Refusals::First).await;
    let service = service_without_jobs(&hook).await;
    let first = service.active(OWNER, json!({}), b"data").await;
    let second = service.queued(OWNER).await;
    let stop = CancellationToken::new();
    let sink = &service.flows.sinks[0];
    let batch = service.flows.deliver_events(sink, &stop).await.unwrap();
    assert_eq!(batch, Delivered { arrived: 1, failed: 1 });
    let late =
        format!("SELECT count(*) FROM events WHERE subject IN ('{first}', '{second}') AND due_at <= now()");
    assert_eq!(service.count(&late).await, 0, "those that follow wait as well");
    let due = "UPDATE events SET due_at = now()";
    service.sql(due).await;
    super::deliver_all(&service).await;
    for (id, expected) in [(&first, &LIFE[..6]), (&second, &LIFE[..1])] {
        assert_eq!(types(&about(&hook.taken(), id)), expected);
    }
}

/// Requests do not wait for those who listen, nor fail with them; nor is anything written where nobody does.
#[tokio::test]
async fn ops_023_requests_succeed_while_nobody_can_be_told() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| {
        settings.notifications.webhook.url = Some("http://127.0.0.1:1/".to_owned());
    })
    .await;
    service.active(OWNER, json!({}), b"data").await;
    assert_eq!(service.count("SELECT count(*) FROM events").await, 6);

    let silent = Service::start().await;
    let id = silent.active(OWNER, json!({}), b"data").await;
    silent.download(OWNER, &id).await.expect(200);
    assert_eq!(silent.count("SELECT count(*) FROM events").await, 0);
    drained(&silent).await;
}

#[tokio::test]
async fn every_sink_gets_every_event() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| {
        settings.notifications.log = true;
        settings.jobs.enabled = false;
    })
    .await;
    service.queued(OWNER).await;
    let pairs = "SELECT count(*) FROM events JOIN events AS other USING (message_id)
        WHERE events.sink = 'log' AND other.sink = 'webhook'";
    assert_eq!(service.count(pairs).await, 1);
    super::deliver_all(&service).await;
    assert_eq!(service.count("SELECT count(*) FROM events").await, 0);
    assert_eq!(hook.types(), ["image.create"]);
    tokio::time::timeout(Duration::from_secs(5), service.flows.observe_events()).await.unwrap().unwrap();
}
