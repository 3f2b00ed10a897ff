//! The locations API with its task: V2-284, V2-289 to V2-294, A01, A08 and A09 on this entrance, and what happens when
//! runner, source or image go away meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use super::locations::{ADMIN, ALIEN, OWNER, SERVICE, image, show, world};
use crate::support::api::{Answer, Service};
use crate::support::eventually;
use crate::support::source::{self, Source, allow};
use crate::support::v2::sha512;

const DATA: &[u8] = b"far away";

async fn add(service: &Service, caller: &str, id: &str, document: &Value) -> Answer {
    service.post(&format!("/v2/images/{id}/locations")).by(caller).json(document).send().await
}

/// Waits until no task holds the image.
async fn settled(service: &Service, id: &str) -> Value {
    eventually("the task ends", async || {
        let image = show(service, OWNER, id).await;
        image.get("os_glance_import_task").is_none().then_some(image)
    })
    .await
}

/// Waits for the end of the newest task.
async fn ended(service: &Service, id: &str) -> Value {
    eventually("the task ends", async || {
        let task = service.tasks_of(ADMIN, id).await.first().cloned()?;
        ["success", "failure"].contains(&task["status"].as_str().unwrap()).then_some(task)
    })
    .await
}

fn sha256(data: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(data))
}

/// Nothing of a failed location is left.
fn assert_empty(image: &Value) {
    assert_eq!(image["status"], "queued");
    for name in ["size", "checksum", "os_hash_algo", "os_hash_value"] {
        assert_eq!(image[name], Value::Null, "{name}");
    }
    assert_eq!(image["locations"], json!([]));
}

#[tokio::test]
async fn v2_284_tasks_of_an_invisible_image_are_not_found() {
    let (service, _source) = world().await;
    let id = image(&service).await;
    service.get(&format!("/v2/images/{id}/tasks")).by(ALIEN).send().await.expect(404);
    // other methods are unknown there (images-v2.md §3 no. 12)
    service.delete(&format!("/v2/images/{id}/tasks")).by(OWNER).send().await.expect(404);
    assert!(service.tasks_of(OWNER, &id).await.is_empty());
}

#[tokio::test]
async fn v2_289_only_services_name_other_schemes() {
    let (service, _source) = world().await;
    let id = image(&service).await;
    for url in ["s3://a:b@h/bucket/key", "file:///etc/passwd", "x"] {
        add(&service, OWNER, &id, &json!({ "url": url })).await.expect(403);
        add(&service, SERVICE, &id, &json!({ "url": url })).await.expect_text(400, "Invalid location");
    }
    assert_empty(&show(&service, OWNER, &id).await);
    assert!(service.tasks_of(ADMIN, &id).await.is_empty());
}

#[tokio::test]
async fn v2_290_the_status_is_judged_before_the_policy() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let id = image(&service).await;
    add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
    settled(&service, &id).await;
    service.sql(&format!("UPDATE images SET visibility = 'community' WHERE id = '{id}'")).await;
    for caller in [OWNER, ALIEN] {
        add(&service, caller, &id, &json!({ "url": url })).await.expect(409);
    }
    let queued = image(&service).await;
    add(&service, ALIEN, &queued, &json!({ "url": url })).await.expect(404);
    service.sql(&format!("UPDATE images SET visibility = 'community' WHERE id = '{queued}'")).await;
    add(&service, ALIEN, &queued, &json!({ "url": url })).await.expect(403);
}

#[tokio::test]
async fn v2_291_malformed_documents_are_refused() {
    let (service, source) = world().await;
    let (id, url) = (image(&service).await, source.put("/image", DATA));
    let with = |claim: Value| json!({ "url": url, "validation_data": claim });
    for document in [
        json!({}),
        json!([]),
        json!({ "url": 5 }),
        json!({ "validation_data": {} }),
        with(json!([])),
        with(json!({ "os_hash_algo": "sha256" })),
        with(json!({ "os_hash_value": "a".repeat(64) })),
        with(json!({ "os_hash_algo": "x", "os_hash_value": "a" })),
        with(json!({ "os_hash_algo": "sha256", "os_hash_value": "a".repeat(64), "more": 1 })),
        with(json!({ "os_hash_algo": "sha256", "os_hash_value": "a".repeat(129) })),
        with(json!({ "os_hash_algo": "sha256", "os_hash_value": "z".repeat(64) })),
        with(json!({ "os_hash_algo": "sha256", "os_hash_value": "a".repeat(63) })),
        with(json!({ "os_hash_algo": "sha256", "os_hash_value": 5 })),
    ] {
        add(&service, SERVICE, &id, &document).await.expect(400);
    }
    assert!(service.tasks_of(ADMIN, &id).await.is_empty());
    assert!(source.requests().is_empty());
    for fine in [json!({}), Value::Null] {
        let document = json!({ "url": url, "validation_data": fine, "more": 1 });
        add(&service, SERVICE, &image(&service).await, &document).await.expect(202);
    }
}

#[tokio::test]
async fn v2_292_a_location_is_hashed_and_the_image_active() {
    let (service, source) = world().await;
    let (url, id) = (source.put("/image", DATA), image(&service).await);
    let answer = add(&service, SERVICE, &id, &json!({ "url": url })).await.expect(202);
    assert!(answer.body.is_empty());
    settled(&service, &id).await;
    let task = ended(&service, &id).await;
    assert_eq!(
        (&task["type"], &task["status"], &task["message"]),
        (&"location_import".into(), &"success".into(), &"".into())
    );
    let input = json!({ "image_id": id, "loc_url": url, "validation_data": null });
    assert_eq!((&task["input"], &task["image_id"]), (&input, &json!(id)));
    assert_eq!(task["request_id"].as_str(), answer.header("x-openstack-request-id").as_deref());
    let shown = show(&service, OWNER, &id).await;
    assert_eq!(
        (&shown["status"], &shown["size"], &shown["virtual_size"]),
        (&"active".into(), &8.into(), &Value::Null)
    );
    assert_eq!((&shown["os_hash_algo"], &shown["os_hash_value"]), (&"sha512".into(), &sha512(DATA).into()));
    assert_eq!(shown["checksum"].as_str().unwrap().len(), 32);
    assert_eq!(shown["locations"], json!([{ "url": url, "metadata": {} }]));
    let got = service.get(&format!("/v2/images/{id}/file")).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, DATA);

    for (algorithm, value) in
        [("sha256", sha256(DATA).to_uppercase()), ("md5", shown["checksum"].as_str().unwrap().to_owned())]
    {
        let id = image(&service).await;
        let claim = json!({ "os_hash_algo": algorithm, "os_hash_value": value });
        add(&service, SERVICE, &id, &json!({ "url": url, "validation_data": claim })).await.expect(202);
        let shown = settled(&service, &id).await;
        assert_eq!((&shown["status"], &shown["os_hash_algo"]), (&"active".into(), &algorithm.into()));
        assert_eq!(shown["os_hash_value"], value.to_lowercase());
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_293_data_of_another_hash_leave_nothing() {
    let (service, source) = world().await;
    let (url, id) = (source.put("/image", DATA), image(&service).await);
    let claim = json!({ "os_hash_algo": "sha256", "os_hash_value": "a".repeat(64) });
    add(&service, OWNER, &id, &json!({ "url": url, "validation_data": claim })).await.expect(202);
    assert_eq!(ended(&service, &id).await["status"], "failure");
    assert_empty(&show(&service, OWNER, &id).await);
    // the image can still get data
    add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
    assert_eq!(ended(&service, &id).await["status"], "success");
    assert_eq!(service.tasks_of(OWNER, &id).await.len(), 2);
    // what works for another project is not for everybody's eyes
    service.sql("UPDATE tasks SET owner = 'beta'").await;
    assert!(service.tasks_of(OWNER, &id).await.is_empty());
    assert_eq!(service.tasks_of(ADMIN, &id).await.len(), 2);
    service.sql("UPDATE tasks SET owner = NULL, expires_at = now() WHERE status = 'failure'").await;
    service.sql("UPDATE tasks SET owner = NULL").await;
    assert_eq!(service.tasks_of(OWNER, &id).await.len(), 1, "the expired one is left out");
}

#[tokio::test]
async fn v2_294_locations_are_for_services() {
    let (service, source) = world().await;
    let (url, id) = (source.put("/image", DATA), image(&service).await);
    let path = format!("/v2/images/{id}/locations");
    service.get(&path).by(OWNER).send().await.expect(403);
    service.get(&path).by(ALIEN).send().await.expect(404);
    assert_eq!(service.get(&path).by(SERVICE).send().await.expect(200).json(), json!([]));
    add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
    settled(&service, &id).await;
    let listed = service.get(&path).by(SERVICE).send().await.expect(200).json();
    assert_eq!(listed, json!([{ "url": url, "metadata": {} }]));
    let answer = service.put(&path).by(SERVICE).send().await.expect(405);
    assert_eq!(answer.header("allow").as_deref(), Some("GET, POST"));
}

/// A01, A08, A09: what is visibly forbidden is refused at once, and nothing is sent.
#[tokio::test]
async fn a01_a08_a09_what_must_not_be_fetched_is_no_location() {
    let service = Service::start_with(|settings| {
        settings.images.show_multiple_locations = true;
        settings.import.allow_http_locations = true;
    })
    .await;
    let id = image(&service).await;
    for url in super::locations::ATTACKS {
        add(&service, SERVICE, &id, &json!({ "url": url })).await.expect_text(400, "Invalid location");
    }
    assert_empty(&show(&service, OWNER, &id).await);
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
}

#[tokio::test]
async fn without_the_switch_no_location_is_taken() {
    let service = Service::start_with(|settings| settings.import.allow_private_networks = true).await;
    let id = image(&service).await;
    let document = json!({ "url": "https://images.example/a" });
    add(&service, OWNER, &id, &document).await.expect(403);
    add(&service, SERVICE, &id, &document).await.expect(400);
}

#[tokio::test]
async fn what_cannot_be_registered_fails_the_task() {
    let (service, source) = world().await;
    let missing = source.url("/missing");
    for url in [missing, source.put("/empty", b""), source::unreachable().await] {
        let id = image(&service).await;
        add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
        assert_eq!(ended(&service, &id).await["status"], "failure");
        assert_empty(&show(&service, OWNER, &id).await);
    }
    let bare = service.post("/v2/images").by(OWNER).json(&json!({})).send().await.expect(201).json();
    let id = bare["id"].as_str().unwrap();
    add(&service, OWNER, id, &json!({ "url": source.put("/image", DATA) })).await.expect(202);
    let task = ended(&service, id).await;
    assert_eq!(
        (&task["status"], &task["message"]),
        (&"failure".into(), &"Disk format is not specified.".into())
    );
    assert_empty(&show(&service, OWNER, id).await);
}

#[tokio::test]
async fn quota_and_cap_hold_for_locations() {
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        allow(settings);
        settings.images.show_multiple_locations = true;
        settings.limits.user_storage_quota.0 = 12;
        settings.limits.image_size_cap.0 = 100;
    })
    .await;
    let url = source.put("/image", DATA);
    let ids = [image(&service).await, image(&service).await, image(&service).await];
    for (id, url, outcome) in [
        (&ids[0], &url, "success"),
        (&ids[1], &url, "failure"),
        (&ids[2], &source.put("/large", &[0; 101]), "failure"),
    ] {
        add(&service, OWNER, id, &json!({ "url": url })).await.expect(202);
        assert_eq!(ended(&service, id).await["status"], outcome);
    }
    assert_empty(&show(&service, OWNER, &ids[1]).await);
    assert_empty(&show(&service, OWNER, &ids[2]).await);
}

#[tokio::test]
async fn without_secure_hashing_the_claim_is_believed() {
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        allow(settings);
        settings.import.do_secure_hash = false;
    })
    .await;
    let url = source.put("/image", DATA);
    let (told, silent) = (image(&service).await, image(&service).await);
    let claim = json!({ "os_hash_algo": "sha256", "os_hash_value": "a".repeat(64) });
    add(&service, OWNER, &told, &json!({ "url": url, "validation_data": claim })).await.expect(202);
    add(&service, OWNER, &silent, &json!({ "url": url })).await.expect(202);
    let (told, silent) = (settled(&service, &told).await, settled(&service, &silent).await);
    assert_eq!((&told["status"], &told["checksum"]), (&"active".into(), &Value::Null));
    assert_eq!(told["os_hash_value"], "a".repeat(64));
    assert_eq!((&silent["status"], &silent["os_hash_value"]), (&"active".into(), &Value::Null));
    assert!(!source.requests().iter().any(|request| request.starts_with("GET")));
}

/// Two requests at a time: one gets the lock.
#[tokio::test]
async fn of_two_locations_one_is_taken() {
    let (service, source) = world().await;
    let (one, two) = (source.put("/one", DATA), source.put("/two", DATA));
    for _ in 0..5 {
        let id = image(&service).await;
        let (a, b) = (json!({ "url": one }), json!({ "url": two }));
        let (a, b) = tokio::join!(add(&service, OWNER, &id, &a), add(&service, OWNER, &id, &b));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409]);
        ended(&service, &id).await;
        assert_eq!(show(&service, OWNER, &id).await["locations"].as_array().unwrap().len(), 1);
    }
}

/// A service without a runner of its own, and an image whose task was claimed and left `processing`.
async fn crashed() -> (Service, Source, String, String) {
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        allow(settings);
        settings.images.show_multiple_locations = true;
        settings.jobs.enabled = false;
    })
    .await;
    let (url, id) = (source.put("/image", DATA), image(&service).await);
    add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
    let shown = show(&service, OWNER, &id).await;
    assert_eq!(shown["status"], "importing");
    assert_eq!(shown["os_glance_import_task"], service.tasks_of(OWNER, &id).await[0]["id"]);
    add(&service, OWNER, &id, &json!({ "url": url })).await.expect(409);
    let task = service.flows.catalog.claim_task(Duration::ZERO, &[]).await.unwrap().unwrap();
    assert_eq!(task.attempt, 1);
    (service, source, id, url)
}

/// The runner died in the middle: another one takes the task over, and the first one can change nothing any more.
#[tokio::test]
async fn a_task_of_a_dead_runner_is_finished_by_another_one() {
    let (service, _source, id, url) = crashed().await;
    let lease = Duration::from_secs(60);
    let second = service.flows.catalog.claim_task(lease, &[]).await.unwrap().unwrap();
    assert_eq!(second.attempt, 2);
    let mut first = second.clone();
    first.attempt = 1;
    assert_eq!(
        service.flows.location_import(&first).await.unwrap_err().kind(),
        vitrine::error::ErrorKind::Gone
    );
    assert_eq!(show(&service, OWNER, &id).await["status"], "importing");
    service.flows.location_import(&second).await.unwrap();
    let shown = show(&service, OWNER, &id).await;
    assert_eq!((&shown["status"], &shown["os_hash_value"]), (&"active".into(), &sha512(DATA).into()));
    // a third run finds everything done, as after a lost answer
    service.flows.location_import(&second).await.unwrap();
    assert_eq!(show(&service, OWNER, &id).await["locations"], json!([{ "url": url, "metadata": {} }]));
}

/// It died after the image went active, before the hashes were known.
#[tokio::test]
async fn hashes_are_filled_in_by_the_next_attempt() {
    let (service, _source, id, _url) = crashed().await;
    let task = service.flows.catalog.claim_task(Duration::from_secs(60), &[]).await.unwrap().unwrap();
    service.flows.location_import(&task).await.unwrap();
    service.sql("UPDATE images SET checksum = NULL, os_hash_algo = NULL, os_hash_value = NULL").await;
    let shown = show(&service, OWNER, &id).await;
    assert_eq!(shown["os_glance_import_task"], task.id.to_string());
    service.flows.location_import(&task).await.unwrap();
    assert_eq!(show(&service, OWNER, &id).await["os_hash_value"], sha512(DATA));
}

#[tokio::test]
async fn a_failure_to_hash_leaves_an_active_image() {
    let (service, source, id, _url) = crashed().await;
    let task = service.flows.catalog.claim_task(Duration::from_secs(60), &[]).await.unwrap().unwrap();
    source.put_announced("/image", b"far", 8);
    service.flows.location_import(&task).await.unwrap_err();
    let ttl = Duration::from_secs(60);
    assert!(service.flows.catalog.fail_location_import(&task, "no", ttl).await.unwrap());
    let shown = show(&service, OWNER, &id).await;
    assert_eq!((&shown["status"], &shown["os_hash_value"]), (&"active".into(), &Value::Null));
    assert!(shown.get("os_glance_import_task").is_none());
}

#[tokio::test]
async fn a_delete_cancels_the_task() {
    let (service, _source, id, _url) = crashed().await;
    let task = service.flows.catalog.claim_task(Duration::from_secs(60), &[]).await.unwrap().unwrap();
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    assert_eq!(service.count("SELECT count(*) FROM tasks WHERE status = 'failure'").await, 1);
    let lease = Duration::from_secs(60);
    let alive =
        service.flows.catalog.heartbeat_task(task.id, task.attempt, lease, &Value::Null).await.unwrap();
    assert!(!alive, "the runner would go on");
    assert!(service.flows.location_import(&task).await.is_err());
    assert_eq!(service.count("SELECT count(*) FROM image_locations").await, 0);
    assert_eq!(service.count("SELECT count(*) FROM images WHERE status = 'deleted'").await, 1);
}

/// Deletes at any moment of a task: the image is gone afterwards, whoever was faster.
#[tokio::test]
async fn a_delete_and_a_task_never_bring_an_image_back() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    for pause in 0..8 {
        let id = image(&service).await;
        add(&service, OWNER, &id, &json!({ "url": url })).await.expect(202);
        tokio::time::sleep(Duration::from_millis(pause * 3)).await;
        service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
        eventually("the task ends", async || {
            let open = "SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing')";
            (service.count(open).await == 0).then_some(())
        })
        .await;
        service.get(&format!("/v2/images/{id}")).by(ADMIN).send().await.expect(404);
    }
    assert_eq!(service.count("SELECT count(*) FROM image_locations").await, 0);
    service.assert_settled().await;
}
