//! Events in a real RabbitMQ, as oslo.messaging would have published them.

use serde_json::{Value, json};
use vitrine::config::Config;

use super::drained;
use crate::support::api::{OTHER, OWNER, Service};
use crate::support::chaos::ChaosProxy;
use crate::support::eventually;
use crate::support::hook::types;
use crate::support::rabbit::Broker;
use crate::support::v2::raw;

fn publish_to(broker: &Broker, url: String, settings: &mut Config) {
    settings.notifications.publisher_id = "image.test".to_owned();
    settings.notifications.amqp.url = Some(url.into());
    settings.notifications.amqp.exchange = broker.exchange.clone();
    settings.notifications.amqp.topics = vec![broker.topic.clone()];
}

/// The messages within bodies, each checked for its envelope.
fn unwrap(bodies: &[(Value, Value)]) -> Vec<Value> {
    let unwrap = |(_, body): &(Value, Value)| -> Value {
        assert_eq!(body["oslo.version"], "2.0", "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        serde_json::from_str(body["oslo.message"].as_str().unwrap()).unwrap()
    };
    bodies.iter().map(unwrap).collect()
}

#[tokio::test]
async fn ops_020_events_arrive_in_rabbitmq_as_documented() {
    let broker = Broker::new().await;
    let url = broker.url_at(broker.address);
    let service = Service::start_with(|settings| publish_to(&broker, url, settings)).await;
    let id =
        service.active(OWNER, json!({ "name": "one", "visibility": "community" }), b"twelve bytes").await;
    service.download(OTHER, &id).await.expect(200);
    eventually("the download is in the outbox, or past it", async || {
        (service.count("SELECT last_value FROM events_id_seq").await == 7).then_some(())
    })
    .await;
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    let refused = service.create_id(OWNER, raw(json!({ "disk_format": "qcow2" }))).await;
    service.upload(OWNER, &refused, b"no such format").await.expect(415);
    drained(&service).await;

    let bodies = broker.take("info").await;
    let messages = unwrap(&bodies);
    let of = |wanted: &str| -> Vec<Value> {
        let about =
            |message: &&Value| message["payload"]["id"] == wanted || message["payload"]["image_id"] == wanted;
        messages.iter().filter(about).cloned().collect()
    };
    let expected = [
        "image.create",
        "image.update",
        "image.prepare",
        "image.upload",
        "image.activate",
        "image.update",
        "image.send",
        "image.delete",
    ];
    assert_eq!(types(&of(&id)), expected);
    let expected = ["image.create", "image.update", "image.prepare", "image.update"];
    assert_eq!(types(&of(&refused)), expected);
    // 2016-05-10 21:14:04.000000
    let form = regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$").unwrap();
    for ((properties, _), message) in bodies.iter().zip(&messages) {
        let keys: Vec<_> = message.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["_unique_id", "event_type", "message_id", "payload", "priority", "publisher_id", "timestamp"];
        assert_eq!(keys, expected);
        assert_eq!((&message["publisher_id"], &message["priority"]), (&json!("image.test"), &json!("INFO")));
        assert!(form.is_match(message["timestamp"].as_str().unwrap()), "{message}");
        let expected = json!({
            "content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2,
            "message_id": message["message_id"], "exchange": broker.exchange,
            "routing_key": format!("{}.info", broker.topic),
        });
        assert_eq!(*properties, expected);
    }
    let errors = unwrap(&broker.take("error").await);
    assert_eq!(types(&errors), ["image.upload"]);
    assert_eq!(errors[0]["priority"], "ERROR");
    assert!(errors[0]["payload"].as_str().unwrap().contains(&refused));
}

#[tokio::test]
async fn ops_023_what_happens_while_the_broker_is_down_is_delivered_later() {
    let broker = Broker::new().await;
    let proxy = ChaosProxy::start(broker.address, 7).await;
    let url = broker.url_at(proxy.address);
    let service = Service::start_with(|settings| publish_to(&broker, url, settings)).await;
    // a connection that is lost after it was used
    let before = service.queued(OWNER).await;
    drained(&service).await;
    proxy.refuse();
    let during = service.active(OWNER, json!({}), b"data").await;
    assert_eq!(service.count("SELECT count(*) FROM events").await, 6);
    eventually("the broker was tried", async || {
        (service.count("SELECT max(attempts)::bigint FROM events").await >= 2).then_some(())
    })
    .await;
    proxy.restore();
    drained(&service).await;
    let messages = unwrap(&broker.take("info").await);
    let ids: Vec<_> = messages.iter().map(|message| message["payload"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids[0], before);
    assert_eq!(ids[1..], [during.as_str(); 6]);
    let expected =
        ["image.create", "image.update", "image.prepare", "image.upload", "image.activate", "image.update"];
    assert_eq!(types(&messages[1..]), expected);
}

/// A broker that stops answering in the middle, which only time tells.
#[tokio::test]
async fn ops_023_a_broker_that_hangs_holds_up_nothing_but_its_events() {
    let broker = Broker::new().await;
    let proxy = ChaosProxy::start(broker.address, 11).await;
    let url = broker.url_at(proxy.address);
    let service = Service::start_with(|settings| publish_to(&broker, url, settings)).await;
    service.queued(OWNER).await;
    drained(&service).await;
    proxy.pause();
    service.queued(OWNER).await;
    eventually("the broker was tried", async || {
        (service.count("SELECT max(attempts)::bigint FROM events").await >= 1).then_some(())
    })
    .await;
    service.queued(OWNER).await;
    proxy.restore();
    drained(&service).await;
    // perhaps more than once
    let messages = unwrap(&broker.take("info").await);
    let mut ids: Vec<_> = messages.iter().map(|message| message["message_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}
