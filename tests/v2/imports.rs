//! Imports from their request to their end: V2-244 to V2-283, A11, A14, and what is left of those that fail.

use serde_json::{Value, json};
use vitrine::config::{self, Config};
use vitrine::domain::inspect::samples;

use crate::support::api::{ADMIN, Answer, OCTETS, OWNER, Service, new_id};
use crate::support::eventually;
use crate::support::s3::{Fault, FaultyS3, TestBucket, test_bucket};
use crate::support::source::{self, Source};
use crate::support::v2::raw;

const DATA: &[u8] = b"what an image is made of";

/// Lets images come from loopback.
fn open(settings: &mut Config) {
    source::allow(settings);
    settings.import.allow_http_locations = false;
}

async fn two_stores() -> (Service, TestBucket) {
    Service::start_with_two_stores(open).await
}

/// A service with the stores `main` and `bad`, whose bucket does not exist.
async fn one_bad_store() -> Service {
    let bad = test_bucket().await;
    let store = config::Store { bucket: "no-such-bucket".to_owned(), ..bad.store() };
    let service = Service::start_with(|settings| {
        settings.stores.insert("bad".to_owned(), store);
        open(settings);
    });
    service.await
}

impl Service {
    async fn stage(&self, caller: &str, id: &str, data: &[u8]) -> Answer {
        let request = self.put(&format!("/v2/images/{id}/stage")).by(caller);
        request.header("Content-Type", OCTETS).body(data).send().await
    }

    async fn import(&self, caller: &str, id: &str, document: &Value) -> Answer {
        self.post(&format!("/v2/images/{id}/import")).by(caller).json(document).send().await
    }

    /// A queued image whose data are staged; its id.
    async fn staged(&self, document: Value, data: &[u8]) -> String {
        let id = self.create_id(OWNER, raw(document)).await;
        self.stage(OWNER, &id, data).await.expect(204);
        id
    }

    /// The image once its newest task has ended, and that task.
    async fn ended(&self, id: &str) -> (Value, Value) {
        let task = eventually("the import ends", async || {
            let task = self.tasks_of(ADMIN, id).await.first().cloned()?;
            ["success", "failure"].contains(&task["status"].as_str().unwrap()).then_some(task)
        });
        let task = task.await;
        (self.show(ADMIN, id).await, task)
    }
}

fn direct() -> Value {
    json!({ "method": { "name": "glance-direct" } })
}

fn web(url: &str) -> Value {
    json!({ "method": { "name": "web-download", "uri": url } })
}

fn with(mut document: Value, more: &Value) -> Value {
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

/// Neither data nor lock nor stores that are still to come.
fn assert_queued(image: &Value, failed: &str) {
    assert_eq!(image["status"], "queued", "{image}");
    for name in ["size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"] {
        assert_eq!(image[name], Value::Null, "{name}");
    }
    assert_eq!(image["os_glance_importing_to_stores"], "");
    assert_eq!(image["os_glance_failed_import"], failed);
    assert!(image.get("os_glance_import_task").is_none() && image.get("stores").is_none(), "{image}");
}

fn assert_active(image: &Value, data: &[u8], stores: Option<&str>, failed: &str) {
    use md5::Digest as _;
    assert_eq!(image["status"], "active", "{image}");
    assert_eq!(image["size"], data.len());
    assert_eq!(image["checksum"], hex::encode(md5::Md5::digest(data)));
    assert_eq!(image["os_hash_value"], hex::encode(sha2::Sha512::digest(data)));
    assert_eq!(image.get("stores").and_then(Value::as_str), stores);
    assert_eq!(image["os_glance_importing_to_stores"], "");
    assert_eq!(image["os_glance_failed_import"], failed);
    assert!(image.get("os_glance_import_task").is_none());
}

#[tokio::test]
async fn v2_244_v2_246_v2_248_staging() {
    let service = Service::start().await;
    let formless = service.create_id(OWNER, json!({})).await;
    service.stage(OWNER, &formless, DATA).await.expect(204);
    service.delete(&format!("/v2/images/{formless}")).by(OWNER).send().await.expect(204);
    let id = service.queued(OWNER).await;
    assert_eq!(service.stage(OWNER, &id, DATA).await.expect(204).text(), "");
    let image = service.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["size"]), (&json!("uploading"), &json!(DATA.len())));
    assert_eq!((&image["checksum"], &image["os_hash_value"]), (&Value::Null, &Value::Null));
    service.stage(OWNER, &id, DATA).await.expect(409);
    service.upload(OWNER, &id, DATA).await.expect(409);
    service.download(OWNER, &id).await.expect(204);
    // nobody fills it in any other way, and it can be deleted with what was staged
    assert_eq!(service.bucket.keys().await.len(), 1);
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v2_245_a_stage_that_fails_leaves_a_queued_image() {
    let service = Service::start_with(|settings| settings.limits.image_size_cap.0 = 100).await;
    let id = service.queued(OWNER).await;
    let put = |size: &str, data: &[u8]| {
        let request = service.put(&format!("/v2/images/{id}/stage")).by(OWNER).header("Content-Type", OCTETS);
        request.header("X-OpenStack-Image-Size", size).body(data).send()
    };
    put("x", DATA).await.expect(400);
    put("7", DATA).await.expect(400);
    put("101", DATA).await.expect(413);
    service.stage(OWNER, &id, &[0; 101]).await.expect(413);
    service.stage(OWNER, &new_id(), DATA).await.expect(404);
    let image = service.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["size"]), (&json!("queued"), &Value::Null));
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
    service.stage(OWNER, &id, DATA).await.expect(204);
}

#[tokio::test]
async fn staged_data_have_their_time() {
    let service = Service::start_with(|settings| settings.jobs.staging_ttl = std::time::Duration::ZERO).await;
    let id = service.staged(json!({}), DATA).await;
    service.flows.sweep().await.unwrap();
    let image = service.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["size"]), (&json!("queued"), &Value::Null));
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

/// No byte moves: the object that was staged is the data.
#[tokio::test]
async fn v2_260_v2_261_v2_263_v2_282_v2_283_staged_data_become_those_of_the_image() {
    let service = Service::start().await;
    let id = service.staged(json!({}), DATA).await;
    assert_eq!(service.tasks_of(OWNER, &id).await, Vec::<Value>::new());
    let keys = service.bucket.keys().await;
    let document = json!({ "method": { "name": "glance-direct", "uri": "" } });
    let answer = service.import(OWNER, &id, &document).await.expect(202);
    assert_eq!(answer.text(), "");
    let (image, task) = service.ended(&id).await;
    assert_active(&image, DATA, None, "");
    assert_eq!(image["virtual_size"], DATA.len());
    assert_eq!(service.bucket.keys().await, keys);
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    assert_eq!((&task["status"], &task["type"]), (&json!("success"), &json!("api_image_import")));
    assert_eq!(task["input"]["import_req"]["method"]["name"], "glance-direct");
    assert_eq!((&task["image_id"], &task["input"]["image_id"]), (&json!(id), &json!(id)));
    assert_eq!((&task["owner"], &task["user_id"]), (&json!("alpha"), &json!("olga")));
    assert_eq!(task["request_id"].as_str(), answer.header("x-openstack-request-id").as_deref());
    assert_eq!(task["result"], json!({ "image_id": id }));
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_262_v2_265_a_running_import_holds_the_image() {
    let source = Source::start().await;
    // nobody runs it
    let service = Service::start_with(|settings| {
        open(settings);
        settings.jobs.enabled = false;
    })
    .await;
    let id = service.queued(OWNER).await;
    let url = source.put("/image", DATA);
    service.import(OWNER, &id, &web(&url)).await.expect(202);
    let image = service.show(OWNER, &id).await;
    let task = service.tasks_of(OWNER, &id).await.remove(0);
    assert_eq!((&image["os_glance_import_task"], &task["status"]), (&task["id"], &json!("pending")));
    service.import(OWNER, &id, &web(&url)).await.expect(409);
    service.stage(OWNER, &id, DATA).await.expect(409);
    service.upload(OWNER, &id, DATA).await.expect(409);
    // a delete ends it
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    let left = "SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing')";
    assert_eq!(service.count(left).await, 0);
}

#[tokio::test]
async fn web_download_brings_data() {
    let (service, source) = (Service::start_with(open).await, Source::start().await);
    let id = service.queued(OWNER).await;
    service.import(OWNER, &id, &web(&source.put("/image", DATA))).await.expect(202);
    let (image, task) = service.ended(&id).await;
    assert_active(&image, DATA, None, "");
    assert_eq!((&task["status"], &task["message"]), (&json!("success"), &json!("Copied 0 MiB")));
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_264_a_source_that_fails_leaves_a_queued_image() {
    let (service, source) = (Service::start_with(open).await, Source::start().await);
    let id = service.queued(OWNER).await;
    for url in
        [source.url("/missing"), source.put_announced("/short", DATA, 1000), source::unreachable().await]
    {
        service.import(OWNER, &id, &web(&url)).await.expect(202);
        let (image, task) = service.ended(&id).await;
        // which stores there are is not told where there is but one
        assert_queued(&image, "");
        assert_eq!(task["status"], "failure");
        let message = task["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains("127.0.0.1"), "A10: {message}");
        service.assert_settled().await;
        assert!(service.bucket.keys().await.is_empty());
    }
    service.upload(OWNER, &id, DATA).await.expect(204);
}

/// A14, A16 on the way of imports: what could do harm, or is not what it is said to be.
#[tokio::test]
async fn hostile_data_are_not_imported() {
    let (service, source) = (Service::start_with(open).await, Source::start().await);
    for sample in samples::hostile().into_iter().filter(|sample| sample.name.starts_with("A14")).take(3) {
        let document = json!({ "disk_format": sample.disk_format });
        let staged = service.staged(document.clone(), &sample.data).await;
        service.import(OWNER, &staged, &direct()).await.expect(202);
        let fetched = service.create_id(OWNER, raw(document)).await;
        let url = source.put("/hostile", &sample.data);
        service.import(OWNER, &fetched, &web(&url)).await.expect(202);
        for id in [staged, fetched] {
            let (image, task) = service.ended(&id).await;
            assert_queued(&image, "");
            assert!(task["message"].as_str().unwrap().contains("safety check"), "{}: {task}", sample.name);
        }
    }
    let mistaken = service.staged(json!({ "disk_format": "qcow2" }), DATA).await;
    service.import(OWNER, &mistaken, &direct()).await.expect(202);
    assert_queued(&service.ended(&mistaken).await.0, "");
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v2_272_data_in_every_store() {
    let ((service, second), source) = (two_stores().await, Source::start().await);
    let staged = service.staged(json!({}), DATA).await;
    service.import(OWNER, &staged, &with(direct(), &json!({ "all_stores": true }))).await.expect(202);
    let fetched = service.queued(OWNER).await;
    let document = with(web(&source.put("/image", DATA)), &json!({ "all_stores": true }));
    service.import(OWNER, &fetched, &document).await.expect(202);
    for id in [staged, fetched] {
        // the second store weighs more
        assert_active(&service.ended(&id).await.0, DATA, Some("second,main"), "");
    }
    assert_eq!((service.bucket.keys().await.len(), second.keys().await.len()), (2, 2));
    assert_eq!(source.requests().len(), 1, "the data are fetched once: {:?}", source.requests());
    service.flows.sweep().await.unwrap();
    assert_eq!(service.count("SELECT count(*) FROM blobs WHERE state <> 'live'").await, 0);
}

/// Data that are to be in another store only: nothing of the staged ones stays.
#[tokio::test]
async fn staged_data_can_go_to_another_store() {
    let (service, second) = two_stores().await;
    let by_list = service.staged(json!({}), DATA).await;
    service.import(OWNER, &by_list, &with(direct(), &json!({ "stores": ["second"] }))).await.expect(202);
    let by_header = service.staged(json!({}), DATA).await;
    let request = service.post(&format!("/v2/images/{by_header}/import")).by(OWNER);
    request.header("X-Image-Meta-Store", "second").json(&direct()).send().await.expect(202);
    for id in [by_list, by_header] {
        assert_active(&service.ended(&id).await.0, DATA, Some("second"), "");
        assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    }
    service.flows.sweep().await.unwrap();
    assert_eq!((service.bucket.keys().await.len(), second.keys().await.len()), (0, 2));
}

/// Stores at different endpoints: the bytes pass through the service.
#[tokio::test]
async fn copies_between_object_stores_pass_through() {
    let faulty = FaultyS3::start(|_| Fault::Pass);
    let second = test_bucket().await;
    let service = Service::start_with(|settings| {
        settings.stores.insert("second".to_owned(), second.store_at(&faulty.endpoint));
    })
    .await;
    let id = service.staged(json!({}), DATA).await;
    service.import(OWNER, &id, &with(direct(), &json!({ "all_stores": true }))).await.expect(202);
    assert_active(&service.ended(&id).await.0, DATA, Some("main,second"), "");
    assert_eq!((faulty.count("PutObject"), faulty.count("CopyObject")), (1, 0));
}

#[tokio::test]
async fn v2_273_a_bad_store_is_tolerated_where_it_may_be() {
    let (service, source) = (one_bad_store().await, Source::start().await);
    let document = json!({ "stores": ["bad", "main"], "all_stores_must_succeed": false });
    let staged = service.staged(json!({}), DATA).await;
    service.import(OWNER, &staged, &with(direct(), &document)).await.expect(202);
    let fetched = service.queued(OWNER).await;
    service.import(OWNER, &fetched, &with(web(&source.put("/image", DATA)), &document)).await.expect(202);
    for id in [staged, fetched] {
        let (image, task) = service.ended(&id).await;
        assert_active(&image, DATA, Some("main"), "bad");
        assert_eq!(task["status"], "success");
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_274_a_bad_store_fails_the_import_where_all_must_succeed() {
    let (service, source) = (one_bad_store().await, Source::start().await);
    for stores in [json!(["main", "bad"]), json!(["bad", "main"])] {
        let document = json!({ "stores": stores });
        let staged = service.staged(json!({}), DATA).await;
        service.import(OWNER, &staged, &with(direct(), &document)).await.expect(202);
        let fetched = service.queued(OWNER).await;
        service.import(OWNER, &fetched, &with(web(&source.put("/image", DATA)), &document)).await.expect(202);
        for id in [staged, fetched] {
            let (image, task) = service.ended(&id).await;
            assert_queued(&image, "bad");
            assert_eq!(task["status"], "failure");
            service.download(OWNER, &id).await.expect(204);
        }
        service.flows.sweep().await.unwrap();
        assert!(service.bucket.keys().await.is_empty());
    }
    // not one store: nothing to be active with
    let id = service.staged(json!({}), DATA).await;
    let document = with(direct(), &json!({ "stores": ["bad"], "all_stores_must_succeed": false }));
    service.import(OWNER, &id, &document).await.expect(202);
    assert_queued(&service.ended(&id).await.0, "bad");
}

#[tokio::test]
async fn v2_275_v2_277_v2_278_copies_of_an_active_image() {
    let (service, second) = two_stores().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let copy = |more: Value| with(json!({ "method": { "name": "copy-image" } }), &more);
    service.import(OWNER, &id, &copy(json!({ "stores": ["second"] }))).await.expect(403);
    service.import(ADMIN, &id, &copy(json!({ "stores": ["main"] }))).await.expect(400);
    service.import(ADMIN, &id, &copy(json!({ "all_stores": true }))).await.expect(202);
    let (image, task) = service.ended(&id).await;
    assert_active(&image, DATA, Some("second,main"), "");
    assert_eq!(task["status"], "success");
    assert_eq!(second.content(&second.keys().await[0]).await.unwrap(), DATA);
    // nothing left to do
    service.import(ADMIN, &id, &copy(json!({ "all_stores": true }))).await.expect(202);
    assert_eq!(service.tasks_of(ADMIN, &id).await.len(), 1);
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    service.assert_settled().await;
    assert!(second.keys().await.is_empty());
}

#[tokio::test]
async fn a_copy_that_fails_leaves_the_image_as_it_was() {
    let service = one_bad_store().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let document = json!({ "method": { "name": "copy-image" }, "stores": ["bad"] });
    service.import(ADMIN, &id, &document).await.expect(202);
    let (image, task) = service.ended(&id).await;
    assert_active(&image, DATA, Some("main"), "bad");
    assert_eq!(task["status"], "failure");
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    service.assert_settled().await;
}

/// A copy goes on where another replica stopped: what is there is not made again.
#[tokio::test]
async fn a_store_gets_one_copy_however_often_a_task_runs() {
    let (service, second) = Service::start_with_two_stores(|settings| settings.jobs.enabled = false).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let document = json!({ "method": { "name": "copy-image" }, "stores": ["second"] });
    service.import(ADMIN, &id, &document).await.expect(202);
    let claim = async || {
        let lease = std::time::Duration::ZERO;
        service.flows.catalog.claim_task(lease, &[]).await.unwrap().unwrap()
    };
    let (first, then) = (claim().await, claim().await);
    let passed = Default::default();
    service.flows.import(&first, &passed).await.unwrap_err();
    service.flows.import(&then, &passed).await.unwrap();
    service.flows.import(&then, &passed).await.unwrap();
    assert_eq!(second.keys().await.len(), 1);
    assert_active(&service.show(OWNER, &id).await, DATA, Some("second,main"), "");
}

#[tokio::test]
async fn v2_326_v2_327_limits_on_what_is_in_transit() {
    const MIB: usize = 1 << 20;
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        open(settings);
        settings.limits.image_stage_total = 2;
        settings.limits.image_count_uploading = 2;
    })
    .await;
    let first = service.staged(json!({}), &[0; MIB]).await;
    let other = service.queued(OWNER).await;
    let over = service.stage(OWNER, &other, &vec![0; 2 * MIB]).await.expect(413);
    assert!(over.text().contains("image_stage_total"), "{}", over.text());
    assert_eq!(service.show(OWNER, &other).await["status"], "queued");
    service.stage(OWNER, &other, &[0; MIB]).await.expect(204);
    let third = service.queued(OWNER).await;
    let over = service.upload(OWNER, &third, DATA).await.expect(413);
    assert!(over.text().contains("image_count_uploading"), "{}", over.text());
    assert_eq!(service.show(OWNER, &third).await["status"], "queued");
    // an import is admitted, and its task finds the limit
    service.import(OWNER, &third, &web(&source.put("/image", DATA))).await.expect(202);
    let (image, task) = service.ended(&third).await;
    assert_queued(&image, "");
    assert!(task["message"].as_str().unwrap().contains("is over limit of 2"), "{task}");
    service.import(OWNER, &first, &direct()).await.expect(202);
    service.ended(&first).await;
    service.upload(OWNER, &third, DATA).await.expect(204);
}

#[tokio::test]
async fn v2_281_properties_come_with_an_import() {
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        open(settings);
        settings.import.plugins = vec!["no_op".to_owned(), "inject_image_metadata".to_owned()];
        settings.import.inject.insert("checked".to_owned(), "yes".to_owned());
        settings.import.inject.insert("kept".to_owned(), "ours".to_owned());
    })
    .await;
    let url = source.put("/image", DATA);
    for (caller, checked, kept) in [(OWNER, json!("yes"), json!("ours")), (ADMIN, Value::Null, json!("mine"))]
    {
        let id = service.create_id(caller, raw(json!({ "kept": "mine" }))).await;
        service.import(caller, &id, &web(&url)).await.expect(202);
        let (image, _) = service.ended(&id).await;
        assert_active(&image, DATA, None, "");
        assert_eq!((&image["checked"], &image["kept"]), (&checked, &kept), "{caller}");
    }
}

/// Claims the only task, as another runner would whose predecessor died.
async fn claim(service: &Service) -> vitrine::domain::task::Task {
    service.flows.catalog.claim_task(std::time::Duration::ZERO, &[]).await.unwrap().unwrap()
}

/// A runner that dies between the end of an import and that of its task: whoever takes the task over finds nothing to
/// do, also where the project is at its limits by then, and the image keeps its data whatever becomes of the task.
#[tokio::test]
async fn a_finished_import_is_not_undone() {
    let service = Service::start_with(|settings| {
        settings.jobs.enabled = false;
        settings.limits.image_size_total = 1;
    })
    .await;
    let data = vec![7; 1 << 20];
    let id = service.staged(json!({}), &data).await;
    service.import(OWNER, &id, &direct()).await.expect(202);
    let passed = Default::default();
    service.flows.import(&claim(&service).await, &passed).await.unwrap();
    let again = claim(&service).await;
    service.flows.import(&again, &passed).await.unwrap();
    service.flows.fail_import(&again, &vitrine::error::Error::invalid("lost")).await.unwrap();
    let image = service.show(OWNER, &id).await;
    assert_eq!(image["status"], "active");
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, data);
    service.assert_settled().await;
}

/// A23: a copy that fails late takes its copies back, but never the last data of the image.
#[tokio::test]
async fn a_failed_copy_leaves_the_last_data() {
    let (service, second) = Service::start_with_two_stores(|settings| settings.jobs.enabled = false).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let document = json!({ "method": { "name": "copy-image" }, "stores": ["second"] });
    service.import(ADMIN, &id, &document).await.expect(202);
    let task = claim(&service).await;
    service.flows.import(&task, &Default::default()).await.unwrap();
    service.delete(&format!("/v2/stores/main/{id}")).by(ADMIN).send().await.expect(204);
    service.flows.fail_import(&task, &vitrine::error::Error::invalid("late")).await.unwrap();
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    assert_eq!(second.keys().await.len(), 1);
}

/// All of the data, not some of them.
#[tokio::test]
async fn data_that_are_still_being_staged_are_not_imported() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    service.set(&id, "status = 'uploading'").await;
    service.import(OWNER, &id, &direct()).await.expect(409);
}

/// A14: the formats may change during an import; the data are judged by those that the image has in the end, as an
/// upload of them would be.
#[tokio::test]
async fn a14_data_are_judged_by_the_formats_of_the_end() {
    let samples = samples::hostile();
    let sample = samples
        .iter()
        .find(|sample| sample.disk_format == "qcow2" && sample.name.to_lowercase().contains("backing"));
    let sample = sample.unwrap();
    for must_succeed in [true, false] {
        let source = Source::start().await;
        let (service, _second) = two_stores().await;
        let upload = service.create_id(OWNER, raw(json!({ "disk_format": "qcow2" }))).await;
        let refused = service.upload(OWNER, &upload, &sample.data).await;
        assert_eq!(refused.status, 415);
        let hidden = json!({ "disk_format": "qcow2", "container_format": "docker" });
        let id = service.create_id(OWNER, raw(hidden)).await;
        let (url, gate) = source.put_gated("/hostile", &sample.data);
        let document = with(web(&url), &json!({ "all_stores_must_succeed": must_succeed }));
        service.import(OWNER, &id, &document).await.expect(202);
        eventually("the source is read", async || {
            source.requests().iter().any(|request| request == "GET /hostile").then_some(())
        })
        .await;
        let patch = json!([{ "op": "replace", "path": "/container_format", "value": "bare" }]);
        let request = service.patch(&format!("/v2/images/{id}")).by(OWNER);
        let request = request.header("Content-Type", "application/openstack-images-v2.1-json-patch");
        request.body(patch.to_string()).send().await.expect(200);
        gate.notify_one();
        let (image, task) = service.ended(&id).await;
        assert_queued(&image, "main");
        assert_eq!(task["status"], "failure");
        let message = task["message"].as_str().unwrap();
        assert!(!message.is_empty() && refused.text().contains(message), "{message}: {}", refused.text());
        service.assert_settled().await;
    }
}
