//! Events of images and their data.

use serde_json::{Value, json};

use super::{about, deliver_all, drained, service_with};
use crate::support::api::{ADMIN, OTHER, OWNER};
use crate::support::eventually;
use crate::support::hook::{Hook, types};
use crate::support::source::{self, Source};
use crate::support::v2::{raw, replace};

/// What a life of an image tells, in the order of OPS-020.
const LIFE: [&str; 7] = [
    "image.create",
    "image.update",
    "image.prepare",
    "image.upload",
    "image.activate",
    "image.update",
    "image.delete",
];

/// Keys of the payload of an image (operations.md §7).
const KEYS: [&str; 20] = [
    "checksum",
    "container_format",
    "created_at",
    "deleted",
    "deleted_at",
    "disk_format",
    "id",
    "is_public",
    "min_disk",
    "min_ram",
    "name",
    "owner",
    "properties",
    "protected",
    "size",
    "status",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
];

fn keys(payload: &Value) -> Vec<&str> {
    payload.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn ops_020_the_life_of_an_image_in_order() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let document = json!({ "name": "one", "tags": ["a"], "colour": "red", "min_disk": 3 });
    let created = service.create(OWNER, raw(document)).await;
    let id = created["id"].as_str().unwrap();
    service.upload(OWNER, id, b"twelve bytes").await.expect(204);
    let shown = service.show(OWNER, id).await;
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    drained(&service).await;

    let events = hook.taken();
    assert_eq!(types(&events), LIFE);
    for event in &events {
        assert_eq!((&event["publisher_id"], &event["priority"]), (&json!("image.localhost"), &json!("INFO")));
        let payload = &event["payload"];
        let plain: Vec<_> = keys(payload).into_iter().filter(|key| !key.starts_with("os_glance")).collect();
        assert_eq!(plain, KEYS, "{event}");
        for (key, value) in [("id", json!(id)), ("owner", json!("alpha")), ("name", json!("one"))] {
            assert_eq!(payload[key], value, "{event}");
        }
        assert_eq!((&payload["properties"], &payload["tags"]), (&json!({"colour": "red"}), &json!(["a"])));
        assert_eq!((&payload["min_disk"], &payload["protected"]), (&json!(3), &json!(false)));
        assert_eq!((&payload["is_public"], &payload["visibility"]), (&json!(false), &json!("shared")));
    }
    let statuses: Vec<_> = events.iter().map(|event| event["payload"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["queued", "saving", "saving", "active", "active", "active", "deleted"]);
    for event in &events[2..4] {
        let lists = ["os_glance_importing_to_stores", "os_glance_failed_import"];
        assert_eq!(lists.map(|key| &event["payload"][key]), [&json!([]), &json!([])], "{event}");
    }
    let activated = &events[4]["payload"];
    for key in ["created_at", "updated_at", "checksum", "size", "virtual_size", "disk_format"] {
        assert_eq!(activated[key], shown[key], "{key}");
    }
    let deleted = &events[6]["payload"];
    assert_eq!(deleted["deleted"], true);
    assert_eq!(deleted["deleted_at"].as_str().unwrap().len(), "2016-05-10T21:14:04Z".len(), "{deleted}");
    assert_eq!((&activated["deleted"], &activated["deleted_at"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn ops_020_a_v1_post_with_data_tells_the_same() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.image_id(OWNER, Some(b"data"), &[]).await;
    service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    drained(&service).await;
    assert_eq!(hook.types(), LIFE);
}

#[tokio::test]
async fn changes_of_an_image_are_updates() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.active(ADMIN, json!({}), b"data").await;
    let seen = async || {
        drained(&service).await;
        hook.types().len()
    };
    let before = seen().await;
    service.change(ADMIN, &id, &[replace("/visibility", "public")]).await.expect(200);
    service.put(&format!("/v2/images/{id}/tags/new")).by(ADMIN).send().await.expect(204);
    service.post(&format!("/v2/images/{id}/actions/deactivate")).by(ADMIN).send().await.expect(204);
    service.post(&format!("/v2/images/{id}/actions/reactivate")).by(ADMIN).send().await.expect(204);
    assert_eq!(seen().await, before + 4);
    let events = &hook.taken()[before..];
    assert_eq!(types(events), ["image.update"; 4]);
    let payload = |at: usize, key: &str| events[at]["payload"][key].clone();
    assert_eq!((payload(0, "is_public"), payload(0, "visibility")), (json!(true), json!("public")));
    assert_eq!(payload(1, "tags"), json!(["new"]));
    assert_eq!((payload(2, "status"), payload(3, "status")), (json!("deactivated"), json!("active")));
    // what is refused is not told
    service.delete(&format!("/v2/images/{id}")).by(OTHER).send().await.expect(403);
    service.change(ADMIN, &id, &[replace("/min_disk", -1)]).await.expect(400);
    assert_eq!(seen().await, before + 4);
}

#[tokio::test]
async fn an_upload_that_fails_is_an_error_with_a_text() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let id = service.create_id(OWNER, raw(json!({ "disk_format": "qcow2" }))).await;
    service.upload(OWNER, &id, b"no such format").await.expect(415);
    drained(&service).await;
    let events = hook.taken();
    let expected = ["image.create", "image.update", "image.prepare", "image.upload", "image.update"];
    assert_eq!(types(&events), expected);
    assert_eq!(events[3]["priority"], "ERROR");
    assert_eq!(events[3]["payload"], format!("Failed to store the data of image {id}"));
    assert_eq!(events[4]["payload"]["status"], "queued");
}

#[tokio::test]
async fn an_image_whose_delete_is_delayed_is_deleted_once() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| settings.images.delayed_delete = true).await;
    let id = service.active(OWNER, json!({ "colour": "red" }), b"data").await;
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    service.flows.sweep().await.unwrap();
    drained(&service).await;
    let events = hook.taken();
    assert_eq!(types(&events), LIFE);
    assert_eq!(events[6]["payload"]["properties"], json!({"colour": "red"}));
}

#[tokio::test]
async fn ops_021_no_event_holds_a_location_or_a_credential() {
    let hook = Hook::start().await;
    let source = Source::start().await;
    let url = source.put("/hidden-place", b"some data");
    let service = service_with(&hook, |settings| {
        source::allow(settings);
        settings.images.show_multiple_locations = true;
        settings.images.show_direct_url = true;
    })
    .await;
    let url = url.replace("http://", "http://user:hidden-password@");
    let at_url = service.post("/v1/images").by(ADMIN).meta("location", &url).formats().send().await;
    let stored = service.active(OWNER, json!({}), b"data").await;
    service.download(OWNER, &stored).await.expect(200);
    let copied =
        service.post("/v1/images").by(OWNER).header("x-glance-api-copy-from", source.url("/hidden-place"));
    let copied = copied.formats().send().await.expect(201).image()["id"].as_str().unwrap().to_owned();
    eventually("the copy ends", async || (service.status(&copied).await == "active").then_some(())).await;
    drained(&service).await;
    let all = Value::from(hook.taken()).to_string();
    assert!(all.contains("image.activate") && all.contains("task.success"), "{all}");
    for secret in ["hidden-place", "hidden-password", "s3://", "location", &service.bucket.name] {
        assert!(!all.contains(secret), "{secret} after {}: {all}", at_url.status);
    }
}

#[tokio::test]
async fn ops_022_types_and_groups_can_be_disabled() {
    let hook = Hook::start().await;
    let disabled = ["image.member", "image.prepare", "task"].map(str::to_owned);
    let service = service_with(&hook, |settings| settings.notifications.disabled = disabled.to_vec()).await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.share_with(OWNER, &id, OTHER, Some("accepted")).await;
    service.download(OWNER, &id).await.expect(200);
    eventually("the download is told of", async || {
        hook.types().contains(&"image.send".to_owned()).then_some(())
    })
    .await;
    drained(&service).await;
    let expected =
        ["image.create", "image.update", "image.upload", "image.activate", "image.update", "image.send"];
    assert_eq!(hook.types(), expected);

    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| {
        settings.notifications.disabled = vec!["image".to_owned()];
    })
    .await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.share_with(OWNER, &id, OTHER, None).await;
    drained(&service).await;
    assert_eq!(hook.types(), Vec::<String>::new());
}

#[tokio::test]
async fn ops_024_the_end_of_a_download_is_told_with_its_bytes() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |_| {}).await;
    let data = vec![7; 8 << 20];
    let id = service.active(OWNER, json!({ "visibility": "community" }), &data).await;
    let path = format!("/v2/images/{id}/file");
    let sent = async |count: usize| {
        let sent =
            || about(&hook.taken(), &id).into_iter().filter(|event| event["event_type"] == "image.send");
        eventually("image.send", async || (sent().count() == count).then(|| sent().next_back().unwrap()))
            .await
    };
    service.get(&path).by(OTHER).send().await.expect(200);
    let expected = json!({
        "bytes_sent": data.len(), "image_id": id, "owner_id": "alpha", "receiver_tenant_id": "beta",
        "receiver_user_id": "otto",
    });
    let event = sent(1).await;
    assert_eq!((&event["payload"], &event["priority"]), (&expected, &json!("INFO")));

    service.get(&path).by(OTHER).header("Range", "bytes=10-109").send().await.expect(206);
    let event = sent(2).await;
    assert_eq!((&event["payload"]["bytes_sent"], &event["priority"]), (&json!(100), &json!("INFO")));

    // a client that leaves when it has the head
    let mut exchange = service.get(&path).by(OTHER).open().await;
    exchange.read_head().await;
    drop(exchange);
    let event = sent(3).await;
    assert_eq!(event["priority"], "ERROR");
    let bytes = event["payload"]["bytes_sent"].as_u64().unwrap();
    assert!(bytes < data.len() as u64, "{bytes}");

    // by v1 as well
    service.get(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let event = sent(4).await;
    assert_eq!((&event["payload"]["bytes_sent"], &event["priority"]), (&json!(data.len()), &json!("INFO")));
}

/// The columns as imports write them: which stores are still to be filled, and which could not be.
#[tokio::test]
async fn an_import_tells_of_every_store() {
    let hook = Hook::start().await;
    let service = service_with(&hook, |settings| settings.jobs.enabled = false).await;
    let id = service.queued(OWNER).await;
    let write = async |columns: &str| {
        let before = hook.taken().len();
        let change = format!("UPDATE images SET {columns}, revision = revision + 1 WHERE id = '{id}'");
        service.sql(&format!("SET vitrine.event_sinks = 'webhook'; {change}")).await;
        deliver_all(&service).await;
        hook.taken()[before..].to_vec()
    };
    let begun = write("status = 'importing', importing_to = '{a,b}'").await;
    assert_eq!(types(&begun), ["image.create", "image.update", "image.prepare"]);
    let lists = |event: &Value| {
        ["os_glance_importing_to_stores", "os_glance_failed_import", "backend"]
            .map(|key| event["payload"][key].clone())
    };
    assert_eq!(lists(&begun[2]), [json!(["a", "b"]), json!([]), Value::Null]);
    let first = write("status = 'active', importing_to = '{b}'").await;
    assert_eq!(types(&first), ["image.upload", "image.activate", "image.update"]);
    assert_eq!(lists(&first[0]), [json!(["b"]), json!([]), json!("b")]);
    let second = write("importing_to = NULL, failed_import = '{b}'").await;
    assert_eq!(types(&second), ["image.upload", "image.update"]);
    assert_eq!(second[0]["priority"], "ERROR");
    // a copy to one more store
    let again = write("importing_to = '{c}', failed_import = NULL").await;
    assert_eq!(types(&again), ["image.update", "image.prepare"]);
    assert_eq!(lists(&again[1]), [json!(["c"]), json!([]), json!("c")]);
    let done = write("importing_to = NULL").await;
    assert_eq!(types(&done), ["image.upload", "image.update"]);
    assert_eq!(done[0]["priority"], "INFO");
    // an import that ends without data
    write("status = 'importing', importing_to = '{a}'").await;
    let failed = write("status = 'queued', importing_to = NULL, failed_import = '{a}'").await;
    assert_eq!(types(&failed), ["image.upload", "image.update"]);
    assert_eq!(failed[0]["priority"], "ERROR");
}
