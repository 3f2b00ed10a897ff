//! Requests for imports: which are accepted, and what the image shows of it (images-v2.md §14.1, §14.2). No task runs
//! here.

use serde_json::{Value, json};
use vitrine::config::Config;

use super::{ADMIN, ALIEN, OWNER, READER, anonymous, assert_allow, send, system_admin};
use crate::support::api::{Answer, OCTETS, Service, new_id};
use crate::support::s3::TestBucket;
use vitrine::error::ErrorKind;

/// A URL that passes, of an address that needs no look-up.
const URL: &str = "https://8.8.8.8/disk?signature=abc";

fn idle(settings: &mut Config) {
    settings.jobs.enabled = false;
}

async fn service() -> Service {
    Service::start_with(idle).await
}

async fn two_stores() -> (Service, TestBucket) {
    Service::start_with_two_stores(idle).await
}

/// `POST …/import`, with more members and headers, whatever comes of it.
async fn import_with(service: &Service, caller: &str, id: &str, body: &Value, store: Option<&str>) -> Answer {
    let mut request = service.post(&format!("/v2/images/{id}/import")).by(caller);
    if let Some(store) = store {
        request = request.header("X-Image-Meta-Store", store);
    }
    request.json(body).send().await
}

async fn import(service: &Service, caller: &str, id: &str, method: Value) -> Answer {
    import_with(service, caller, id, &json!({ "method": method }), None).await
}

fn direct() -> Value {
    json!({ "name": "glance-direct" })
}

fn web(uri: &str) -> Value {
    json!({ "name": "web-download", "uri": uri })
}

/// A method with more members beside it.
fn with(method: Value, more: Value) -> Value {
    let mut body = more;
    body["method"] = method;
    body
}

/// An image that looks as if its data were staged.
async fn staged(service: &Service) -> String {
    let id = service.queued(OWNER).await;
    let request = service.put(&format!("/v2/images/{id}/stage")).by(OWNER).header("Content-Type", OCTETS);
    request.body(b"abc").send().await.expect(204);
    id
}

#[tokio::test]
async fn v2_249_v2_250_methods_need_a_name_that_is_offered() {
    let service = service().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    for body in [json!({}), json!([]), json!({ "method": {} }), json!({ "method": { "name": null } })] {
        import_with(&service, OWNER, &id, &body, None).await.expect(400);
    }
    let path = format!("/v2/images/{id}/import");
    send(&service, OWNER, "POST", &path).await.expect_text(400, "A body is expected");
    service.post(&path).by(OWNER).body("{").send().await.expect(400);
    for name in ["no-such-method", "glance-download", ""] {
        import(&service, OWNER, &id, json!({ "name": name })).await.expect(400);
        // rows 1 to 3 come before the image is looked for
        import(&service, OWNER, &new_id(), json!({ "name": name })).await.expect(400);
    }
    import(&service, OWNER, &new_id(), direct()).await.expect(404);
    assert_eq!(service.record(&id).await, before);
    let few = Service::start_with(|settings| {
        idle(settings);
        settings.import.methods = vec!["copy-image".to_owned()];
    })
    .await;
    let id = few.queued(OWNER).await;
    for method in [direct(), web(URL)] {
        import(&few, OWNER, &id, method).await.expect(400);
    }
}

#[tokio::test]
async fn v2_251_to_v2_253_and_v2_276_methods_start_from_a_state() {
    let service = service().await;
    let queued = service.queued(OWNER).await;
    let uploading = staged(&service).await;
    let active = service.active(OWNER, json!({}), b"abc").await;
    let copy = || json!({ "name": "copy-image" });
    for (id, methods) in [
        (&queued, vec![direct(), copy()]),
        (&uploading, vec![web(URL), copy()]),
        (&active, vec![direct(), web(URL)]),
    ] {
        let before = service.record(id).await;
        for method in methods {
            // who may not see the image learns nothing of its state
            import(&service, ALIEN, id, method.clone()).await.expect(404);
            import(&service, ADMIN, id, method).await.expect(409);
        }
        assert_eq!(service.record(id).await, before);
    }
    for status in ["saving", "importing", "deactivated"] {
        service.set(&queued, &format!("status = '{status}'")).await;
        for method in [direct(), web(URL), copy()] {
            import(&service, ADMIN, &queued, method).await.expect(409);
        }
    }
}

#[tokio::test]
async fn v2_254_imports_need_formats() {
    let service = service().await;
    for document in [json!({ "disk_format": "raw" }), json!({ "container_format": "bare" })] {
        let id = service.create_id(OWNER, document).await;
        import(&service, OWNER, &id, web(URL)).await.expect_text(409, "needs to be set before import");
        // the formats come before the policy
        service.set(&id, "visibility = 'public'").await;
        import(&service, ALIEN, &id, web(URL)).await.expect(409);
    }
}

/// V2-255 to V2-258; hardening A01 to A03, A08, A09 on this entrance, with one text (A10).
#[tokio::test]
async fn v2_255_to_v2_258_forbidden_sources() {
    let service = service().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    let text = import(&service, OWNER, &id, web("")).await.expect(400).text();
    let missing = json!({ "name": "web-download" });
    assert_eq!(import(&service, OWNER, &id, missing).await.expect(400).text(), text);
    let more = [
        "file:///x",
        "ftp://127.0.0.1/x",
        "http:///x",
        "127.0.0.1/x",
        "http://8.8.8.8:22/x",
        "https://8.8.8.8:22/x",
        "http://127.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        // a name that nobody can resolve
        "http://nowhere.invalid/x",
    ];
    for uri in more.iter().chain(&super::locations::ATTACKS) {
        assert_eq!(import(&service, OWNER, &id, web(uri)).await.expect(400).text(), text, "{uri}");
    }
    assert_eq!(service.record(&id).await, before);
    assert!(service.tasks_of(ADMIN, &id).await.is_empty());
}

#[tokio::test]
async fn v2_259_only_who_may_change_the_image_imports() {
    let service = service().await;
    let id = service.queued(OWNER).await;
    import(&service, ALIEN, &id, web(URL)).await.expect(404);
    import(&service, READER, &id, web(URL)).await.expect(403);
    service.set(&id, "visibility = 'public'").await;
    import(&service, ALIEN, &id, web(URL)).await.expect(403);
    let body = json!({ "method": web(URL) });
    for (call, kind) in [(anonymous(), ErrorKind::Forbidden), (system_admin(), ErrorKind::NotFound)] {
        let refused = service.flows.import_image(&call, &id, &body, None).await.unwrap_err();
        assert_eq!(refused.kind(), kind);
    }
    assert!(service.tasks_of(ADMIN, &id).await.is_empty());
    // the policy comes before what is wrong with stores and sources
    let body = with(web("file:///x"), json!({ "all_stores_must_succeed": false }));
    import_with(&service, ALIEN, &id, &body, None).await.expect(403);
    import(&service, OWNER, &id, web(URL)).await.expect(202);
}

/// V2-261, V2-262, V2-282, V2-283 as far as the request goes.
#[tokio::test]
async fn v2_262_v2_282_v2_283_an_accepted_import_shows_its_task() {
    let service = service().await;
    let id = staged(&service).await;
    let method = json!({ "name": "glance-direct", "uri": "http://user:secret@host/" });
    let answer = import(&service, OWNER, &id, method).await.expect(202);
    assert!(answer.body.is_empty());
    let image = service.show(OWNER, &id).await;
    assert_eq!(image["status"], "importing");
    let tasks = service.tasks_of(ADMIN, &id).await;
    assert_eq!(tasks.len(), 1);
    let task = &tasks[0];
    assert_eq!(image["os_glance_import_task"], task["id"]);
    assert_eq!(
        (&image["os_glance_importing_to_stores"], &image["os_glance_failed_import"]),
        (&json!(""), &json!("")),
        "one store is not told of"
    );
    let input = json!({
        "image_id": id,
        "import_req": { "method": direct(), "all_stores": false, "all_stores_must_succeed": true },
        "backend": ["main"],
    });
    assert_eq!((&task["input"], &task["image_id"]), (&input, &json!(id)));
    assert_eq!((&task["type"], &task["status"]), (&json!("api_image_import"), &json!("pending")));
    assert_eq!((&task["owner"], &task["user_id"]), (&json!("alpha"), &json!("olga")));
    assert_eq!((&task["message"], &task["result"]), (&json!(""), &Value::Null));
    assert_eq!(task["request_id"].as_str(), answer.header("x-openstack-request-id").as_deref());

    // §14.3: what it copies is told while there is nothing else to tell
    for (bytes, message) in [(0, "Copied 0 MiB"), ((3 << 20) - 1, "Copied 2 MiB")] {
        service.sql(&format!("UPDATE tasks SET progress = '{{\"copied_bytes\": {bytes}}}'")).await;
        assert_eq!(service.tasks_of(ADMIN, &id).await[0]["message"], message);
    }
    service.sql("UPDATE tasks SET message = 'Broken.'").await;
    assert_eq!(service.tasks_of(ADMIN, &id).await[0]["message"], "Broken.");

    let plain = service.show(OWNER, &service.queued(OWNER).await).await;
    for name in ["os_glance_import_task", "os_glance_importing_to_stores", "os_glance_failed_import"] {
        assert_eq!(plain.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn v2_265_a_second_import_has_to_wait() {
    let service = service().await;
    let id = service.queued(OWNER).await;
    import(&service, OWNER, &id, web(URL)).await.expect(202);
    for method in [web(URL), direct()] {
        import(&service, OWNER, &id, method).await.expect(409);
    }
    assert_eq!(service.tasks_of(ADMIN, &id).await.len(), 1);
    let record = service.record(&id).await;
    let (one, two) = (service.queued(OWNER).await, service.queued(OWNER).await);
    for id in [&one, &two] {
        let (first, second) =
            tokio::join!(import(&service, OWNER, id, web(URL)), import(&service, OWNER, id, web(URL)));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409]);
    }
    assert_eq!(service.record(&id).await, record);
}

#[tokio::test]
async fn v2_266_an_expired_lock_is_preempted() {
    let service = service().await;
    let id = service.queued(OWNER).await;
    import(&service, OWNER, &id, web(URL)).await.expect(202);
    service.sql("UPDATE tasks SET updated_at = now() - interval '119 minutes'").await;
    import(&service, OWNER, &id, web(URL)).await.expect(409);
    service.sql("UPDATE tasks SET updated_at = now() - interval '121 minutes'").await;
    import(&service, OWNER, &id, direct()).await.expect(409);
    import(&service, ALIEN, &id, web(URL)).await.expect(404);
    import(&service, OWNER, &id, web(URL)).await.expect(202);
    let [new, old] = <[Value; 2]>::try_from(service.tasks_of(ADMIN, &id).await).unwrap();
    assert_eq!((&old["status"], &old["message"]), (&json!("failure"), &json!("Expired lock preempted")));
    assert_eq!(new["status"], "pending");
    assert_eq!(service.show(OWNER, &id).await["os_glance_import_task"], new["id"]);
}

#[tokio::test]
async fn v2_267_to_v2_269_one_store_leaves_nothing_to_choose() {
    let service = service().await;
    let id = staged(&service).await;
    for more in [
        json!({ "all_stores": "yes" }),
        json!({ "all_stores": 1 }),
        json!({ "all_stores_must_succeed": "no" }),
        json!({ "all_stores_must_succeed": false }),
        json!({ "stores": "main" }),
    ] {
        import_with(&service, OWNER, &id, &with(direct(), more), None).await.expect(400);
    }
    for (more, header) in [
        (json!({ "all_stores": true }), None),
        (json!({ "stores": ["nope"] }), None),
        (json!({}), Some("nope")),
        (json!({ "all_stores": true, "stores": ["nope"] }), Some("nope")),
    ] {
        let id = staged(&service).await;
        import_with(&service, OWNER, &id, &with(direct(), more), header).await.expect(202);
        assert_eq!(service.tasks_of(ADMIN, &id).await[0]["input"]["backend"], json!(["main"]));
    }
    // there is nowhere to copy to
    let active = service.active(OWNER, json!({}), b"abc").await;
    import(&service, ADMIN, &active, json!({ "name": "copy-image" })).await.expect(400);
}

#[tokio::test]
async fn v2_270_v2_271_choices_of_stores() {
    let (service, _second) = two_stores().await;
    let id = staged(&service).await;
    for (more, header, status) in [
        (json!({ "all_stores": true, "stores": ["main"] }), None, 400),
        (json!({ "all_stores": true }), Some("main"), 400),
        (json!({ "stores": ["main"] }), Some("main"), 400),
        (json!({ "stores": [] }), None, 400),
        (json!({ "stores": ["main", "no-such-store"] }), None, 409),
        (json!({}), Some("nope"), 409),
    ] {
        import_with(&service, OWNER, &id, &with(direct(), more), header).await.expect(status);
    }
    assert!(service.tasks_of(ADMIN, &id).await.is_empty());
    for (more, header, stores) in [
        (json!({}), None, vec!["main"]),
        (json!({}), Some("second"), vec!["second"]),
        (json!({ "all_stores": true }), None, vec!["main", "second"]),
        (json!({ "stores": ["second", "main", "second"] }), None, vec!["second", "main"]),
        (json!({ "stores": ["second"], "all_stores_must_succeed": false }), None, vec!["second"]),
    ] {
        let id = staged(&service).await;
        import_with(&service, OWNER, &id, &with(direct(), more), header).await.expect(202);
        assert_eq!(service.tasks_of(ADMIN, &id).await[0]["input"]["backend"], json!(stores));
        let mut sorted = stores.clone();
        sorted.sort_unstable();
        let image = service.show(OWNER, &id).await;
        assert_eq!(image["os_glance_importing_to_stores"], sorted.join(","));
        assert_eq!(image["os_glance_failed_import"], "");
    }
}

#[tokio::test]
async fn v2_272_read_only_stores_are_no_targets() {
    let (service, _second) = Service::start_with_two_stores(|settings| {
        idle(settings);
        settings.stores.get_mut("second").unwrap().read_only = true;
    })
    .await;
    let id = staged(&service).await;
    let body = with(direct(), json!({ "stores": ["second"] }));
    import_with(&service, OWNER, &id, &body, None).await.expect(409);
    let body = with(direct(), json!({ "all_stores": true }));
    import_with(&service, OWNER, &id, &body, None).await.expect(202);
    assert_eq!(service.tasks_of(ADMIN, &id).await[0]["input"]["backend"], json!(["main"]));
}

#[tokio::test]
async fn v2_275_to_v2_278_copies() {
    let (service, second) = two_stores().await;
    let id = service.active(OWNER, json!({}), b"abc").await;
    let copy = |more| with(json!({ "name": "copy-image" }), more);
    let to_second = copy(json!({ "stores": ["second"] }));
    import_with(&service, OWNER, &id, &to_second, None).await.expect(403);
    import_with(&service, ALIEN, &id, &to_second, None).await.expect(404);
    for more in [json!({}), json!({ "stores": ["main"] }), json!({ "stores": ["second", "main"] })] {
        import_with(&service, ADMIN, &id, &copy(more), None).await.expect_text(400, "already present");
    }
    import_with(&service, ADMIN, &id, &to_second, None).await.expect(202);
    let image = service.show(OWNER, &id).await;
    assert_eq!(image["status"], "active");
    assert_eq!(image["os_glance_importing_to_stores"], "second");
    let task = service.tasks_of(ADMIN, &id).await.remove(0);
    assert_eq!(image["os_glance_import_task"], task["id"]);
    assert_eq!(task["input"]["backend"], json!(["second"]));
    assert_eq!(task["owner"], "delta", "the project that asked");
    // the lock comes before the stores
    import_with(&service, ADMIN, &id, &copy(json!({ "stores": ["main"] })), None).await.expect(409);
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"abc");

    let complete = service.active(OWNER, json!({}), b"abc").await;
    service.copy_to_second(&second, &complete).await;
    let before = service.record(&complete).await;
    let everywhere = copy(json!({ "all_stores": true }));
    import_with(&service, ADMIN, &complete, &everywhere, None).await.expect(202);
    assert!(service.tasks_of(ADMIN, &complete).await.is_empty());
    assert_eq!(service.record(&complete).await, before);
    let half = service.active(OWNER, json!({}), b"abc").await;
    import_with(&service, ADMIN, &half, &everywhere, None).await.expect(202);
    assert_eq!(service.tasks_of(ADMIN, &half).await[0]["input"]["backend"], json!(["second"]));
}

#[tokio::test]
async fn v2_279_glance_download_names_region_and_image() {
    let service = Service::start_with(|settings| {
        idle(settings);
        settings.import.methods = vec!["glance-download".to_owned()];
    })
    .await;
    let id = service.queued(OWNER).await;
    let name = "glance-download";
    for method in [
        json!({ "name": name, "glance_image_id": new_id() }),
        json!({ "name": name, "glance_region": "R" }),
        json!({ "name": name, "glance_region": "R", "glance_image_id": "x" }),
    ] {
        import(&service, OWNER, &id, method).await.expect(400);
    }
    // nobody's catalogue names that region
    let method = json!({ "name": name, "glance_region": "R", "glance_image_id": new_id() });
    import(&service, OWNER, &id, method).await.expect(400);
}

/// §21.1: judged first, with nothing to add.
#[tokio::test]
async fn v2_326_a_project_at_its_limit_imports_nothing() {
    let service = Service::start_with(|settings| {
        idle(settings);
        settings.limits.image_size_total = 1;
    })
    .await;
    service.active(OWNER, json!({}), &vec![0; 1 << 20]).await;
    let id = service.queued(OWNER).await;
    import(&service, OWNER, &id, web(URL)).await.expect_text(413, "image_size_total is over limit of 1");
    import(&service, OWNER, &new_id(), web(URL)).await.expect(413);
    import(&service, OWNER, &id, json!({ "name": "magic" })).await.expect(400);
    assert_eq!(service.show(OWNER, &id).await["status"], "queued");
    // the owner of the image is charged, whoever asks
    import(&service, ADMIN, &id, web(URL)).await.expect_text(413, "Project alpha");
}

/// V2-245, V2-247 and the rows before the image of §14.1.
#[tokio::test]
async fn v2_245_v2_247_staging_that_is_not_offered() {
    let few = Service::start_with(|settings| settings.import.methods = vec!["web-download".to_owned()]).await;
    let id = few.queued(OWNER).await;
    let stage = |service: &Service, caller: &str, id: &str, kind: &str| {
        let request = service.put(&format!("/v2/images/{id}/stage")).by(caller);
        request.header("Content-Type", kind).body("abc")
    };
    for kind in [OCTETS, "text/plain"] {
        stage(&few, OWNER, &id, kind).send().await.expect(404);
    }
    let service = service().await;
    let id = service.queued(OWNER).await;
    for id in [&id, &new_id()] {
        stage(&service, OWNER, id, "text/plain").send().await.expect(415);
        let sized = stage(&service, OWNER, id, OCTETS).header("X-OpenStack-Image-Size", "x");
        sized.send().await.expect(400);
    }
    stage(&service, OWNER, &new_id(), OCTETS).send().await.expect(404);
    stage(&service, ALIEN, &id, OCTETS).send().await.expect(404);
    stage(&service, READER, &id, OCTETS).send().await.expect(403);
    service.set(&id, "status = 'uploading'").await;
    stage(&service, OWNER, &id, OCTETS).send().await.expect(409);
    assert_allow(&service, &format!("/v2/images/{id}/stage"), "PUT").await;
    assert_allow(&service, &format!("/v2/images/{id}/import"), "POST").await;
}
