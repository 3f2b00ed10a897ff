//! Locations as they are shown and as patches change them: V2-181 to V2-197, and A01, A07 to A09 on that entrance.

use serde_json::{Value, json};

use crate::support::api::{Answer, Service};
use crate::support::source::{Source, allow};

/// Owner of most images, in project `alpha`.
pub const OWNER: &str = "olga:alpha:member,reader";
/// A user of another project, `beta`.
pub const ALIEN: &str = "otto:beta:member,reader";
/// An administrator in a project of its own, `delta`.
pub const ADMIN: &str = "adam:delta:admin,member,reader";
/// Another service, which is an administrator as well.
pub const SERVICE: &str = "serv:services:service,admin,member,reader";

/// What must not be fetched under the default rules.
pub const ATTACKS: [&str; 18] = [
    "http://127.0.0.1/x",
    "http://10.0.0.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://2130706433/x",
    "http://0x7f000001/x",
    "http://localhost/x",
    "https://images.example:22/x",
    "file:///etc/passwd",
    "filesystem:///etc/passwd",
    "swift+config://x/y/z",
    "s3://key:secret@host/bucket/key",
    "data:,x",
    "https://user:pass@images.example/x",
    "https://images.example/#x",
    "https://images.example/a\r\nX: y",
    "\\\\host\\share",
];

const DATA: &[u8] = b"far away";

/// A service that shows locations and takes them from loopback, and a source.
pub async fn world() -> (Service, Source) {
    let settings = |settings: &mut vitrine::config::Config| {
        allow(settings);
        settings.images.show_multiple_locations = true;
        settings.images.show_direct_url = true;
    };
    (Service::start_with(settings).await, Source::start().await)
}

/// A queued image of the owner that can take data.
pub async fn image(service: &Service) -> String {
    let new = json!({ "disk_format": "raw", "container_format": "bare" });
    let image = service.post("/v2/images").by(OWNER).json(&new).send().await.expect(201).json();
    image["id"].as_str().unwrap().to_owned()
}

/// An image as `caller` sees it.
pub async fn show(service: &Service, caller: &str, id: &str) -> Value {
    service.get(&format!("/v2/images/{id}")).by(caller).send().await.expect(200).json()
}

/// An active image whose data is an object of ours.
async fn uploaded(service: &Service, data: &[u8]) -> String {
    let id = image(service).await;
    service.put(&format!("/v2/images/{id}/file")).by(OWNER).data(data).send().await.expect(204);
    id
}

#[tokio::test]
async fn v2_182_v2_197_own_objects_are_shown_without_endpoint_and_credentials() {
    let (service, _source) = world().await;
    let id = image(&service).await;
    let queued = show(&service, OWNER, &id).await;
    assert_eq!(queued["locations"], json!([]));
    assert!(queued.get("direct_url").is_none());
    let id = uploaded(&service, DATA).await;
    let shown = show(&service, OWNER, &id).await;
    let keys = service.bucket.keys().await;
    let url = format!("s3://{}/{}", service.flows.config.stores["main"].bucket, keys[0]);
    assert_eq!(shown["locations"], json!([{ "url": url, "metadata": {} }]));
    assert_eq!(shown["direct_url"], url);
    service.sql(&format!("UPDATE images SET status = 'deactivated' WHERE id = '{id}'")).await;
    let shown = show(&service, OWNER, &id).await;
    assert_eq!(shown["locations"], json!([]));
    assert!(shown.get("direct_url").is_none());
    let shown = show(&service, ADMIN, &id).await;
    assert_eq!((&shown["locations"][0]["url"], &shown["direct_url"]), (&url.clone().into(), &url.into()));
}

#[tokio::test]
async fn what_is_switched_off_is_not_shown() {
    let service = Service::start().await;
    let id = uploaded(&service, DATA).await;
    let shown = show(&service, OWNER, &id).await;
    assert!(shown.get("locations").is_none() && shown.get("direct_url").is_none(), "{shown}");
}

const V21: &str = "application/openstack-images-v2.1-json-patch";
const V20: &str = "application/openstack-images-v2.0-json-patch";

async fn patch(service: &Service, caller: &str, id: &str, operations: &[Value]) -> Answer {
    let request =
        service.request("PATCH", &format!("/v2/images/{id}")).by(caller).header("Content-Type", V21);
    request.body(json!(operations).to_string()).send().await
}

fn place(url: &str) -> Value {
    json!({ "url": url, "metadata": {} })
}

fn add(value: &Value) -> Value {
    json!({ "op": "add", "path": "/locations/-", "value": value })
}

fn replace(list: &[Value]) -> Value {
    json!({ "op": "replace", "path": "/locations", "value": list })
}

fn remove(index: usize) -> Value {
    json!({ "op": "remove", "path": format!("/locations/{index}") })
}

/// An active image of the owner with these locations.
async fn located(service: &Service, urls: &[&str]) -> String {
    let id = image(service).await;
    for url in urls {
        patch(service, OWNER, &id, &[add(&place(url))]).await.expect(200);
    }
    id
}

async fn urls(service: &Service, id: &str) -> Vec<String> {
    let shown = show(service, OWNER, id).await;
    let list = shown["locations"].as_array().unwrap();
    list.iter().map(|location| location["url"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn v2_181_without_the_switch_locations_cannot_be_changed() {
    let service = Service::start_with(allow).await;
    let (id, location) = (image(&service).await, place("http://127.0.0.1/x"));
    for operation in [add(&location), replace(&[location]), remove(0)] {
        patch(&service, OWNER, &id, &[operation]).await.expect(403);
    }
}

#[tokio::test]
async fn v2_183_v2_184_the_first_location_activates_an_image_with_formats() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let id = image(&service).await;
    let name = json!({ "op": "replace", "path": "/name", "value": "n" });
    let shown = patch(&service, OWNER, &id, &[name.clone(), add(&place(&url))]).await.expect(200).json();
    assert_eq!(
        (&shown["status"], &shown["size"], &shown["name"]),
        (&"active".into(), &8.into(), &"n".into())
    );
    assert_eq!((&shown["checksum"], &shown["os_hash_value"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["locations"], json!([place(&url)]));
    assert_eq!(shown["direct_url"], url);
    let got = service.get(&format!("/v2/images/{id}/file")).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, DATA);
    let part = service.get(&format!("/v2/images/{id}/file")).by(OWNER).header("Range", "bytes=2-4");
    assert_eq!(part.send().await.expect(206).body, &DATA[2..5]);

    let bare = service.post("/v2/images").by(OWNER).json(&json!({})).send().await.expect(201).json();
    let bare = bare["id"].as_str().unwrap();
    patch(&service, OWNER, bare, &[name, add(&place(&url))]).await.expect(400);
    let shown = show(&service, OWNER, bare).await;
    assert_eq!((&shown["status"], &shown["name"]), (&"queued".into(), &Value::Null), "all or nothing");
    let old = json!([{ "add": "/locations/-", "value": place(&url) }]);
    let request = service.request("PATCH", &format!("/v2/images/{}", image(&service).await)).by(OWNER);
    request.header("Content-Type", V20).body(old.to_string()).send().await.expect(200);
}

/// V2-185, and A01, A07 to A09: the rules of every other entrance.
#[tokio::test]
async fn v2_185_a01_a07_a08_a09_what_must_not_be_fetched_is_no_location() {
    let service = Service::start_with(|settings| {
        settings.images.show_multiple_locations = true;
        settings.import.allow_http_locations = true;
    })
    .await;
    let id = image(&service).await;
    for url in ATTACKS.into_iter().chain(["nope://x/y", "x", ""]) {
        for operation in [add(&place(url)), replace(&[place(url)])] {
            patch(&service, OWNER, &id, &[operation]).await.expect(400);
        }
    }
    let shown = show(&service, OWNER, &id).await;
    assert_eq!((&shown["status"], &shown["locations"]), (&"queued".into(), &json!([])));
}

/// Neither a key of another project's image nor one of the own images can be taken over.
#[tokio::test]
async fn objects_of_our_stores_cannot_be_adopted() {
    let (service, _source) = world().await;
    let other = uploaded(&service, DATA).await;
    let url = urls(&service, &other).await.remove(0);
    let id = image(&service).await;
    patch(&service, OWNER, &id, &[add(&place(&url))]).await.expect_text(400, "Invalid location");
    patch(&service, OWNER, &id, &[replace(&[place(&url)])]).await.expect_text(400, "Invalid location");
    let path = format!("/v2/images/{id}/locations");
    service.post(&path).by(SERVICE).json(&json!({ "url": url })).send().await.expect(400);
    assert_eq!(show(&service, OWNER, &id).await["status"], "queued");
}

#[tokio::test]
async fn v2_186_to_v2_191_rules_for_the_list() {
    let (service, source) = world().await;
    let (one, two) = (source.put("/one", DATA), source.put("/two", DATA));
    let id = located(&service, &[&one]).await;
    let check = async |caller: &str, operation: Value, status: u16| {
        patch(&service, caller, &id, &[operation]).await.expect(status);
    };
    check(OWNER, add(&place(&one)), 400).await; // V2-186
    check(OWNER, replace(&[]), 403).await; // V2-187
    check(OWNER, replace(&[place(&two)]), 400).await; // V2-188
    check(OWNER, replace(&[place(&one), place(&two)]), 400).await;
    check(ADMIN, remove(0), 403).await; // V2-190
    check(ADMIN, remove(9), 403).await; // judged before the index
    check(OWNER, add(&place(&two)), 200).await;
    check(OWNER, remove(0), 403).await; // V2-189
    check(ADMIN, remove(9), 400).await; // V2-191
    assert_eq!(urls(&service, &id).await, [one, two.clone()]);
    check(ADMIN, remove(0), 200).await;
    assert_eq!(urls(&service, &id).await, [two]);
    service.assert_settled().await;
}

#[tokio::test]
async fn the_answer_shows_the_position_and_later_ones_the_order_of_adding() {
    let (service, source) = world().await;
    let (one, two) = (source.put("/one", DATA), source.put("/two", DATA));
    let id = located(&service, &[&one]).await;
    let first = json!({ "op": "add", "path": "/locations/0", "value": place(&two) });
    let shown = patch(&service, OWNER, &id, &[first]).await.expect(200).json();
    assert_eq!(shown["locations"], json!([place(&two), place(&one)]));
    assert_eq!(urls(&service, &id).await, [one.clone(), two.clone()]);
    let labelled = json!({ "url": one, "metadata": { "rack": ["a", { "b": "c" }] } });
    let shown =
        patch(&service, OWNER, &id, &[replace(&[place(&two), labelled.clone()])]).await.expect(200).json();
    assert_eq!(shown["locations"], json!([place(&two), labelled]));
    assert_eq!(show(&service, OWNER, &id).await["locations"], json!([labelled, place(&two)]));
}

#[tokio::test]
async fn v2_192_v2_193_quotas_and_metadata() {
    let source = Source::start().await;
    let service = Service::start_with(|settings| {
        allow(settings);
        settings.images.show_multiple_locations = true;
        settings.limits.image_location_quota = 3;
        settings.limits.user_storage_quota.0 = 24;
    })
    .await;
    let page = |n: usize| source.put(&format!("/{n}"), DATA);
    let id = located(&service, &[&page(0), &page(1), &page(2)]).await;
    patch(&service, OWNER, &id, &[add(&place(&page(3)))]).await.expect(413);
    let other = image(&service).await;
    patch(&service, OWNER, &other, &[add(&place(&page(4)))]).await.expect(413);
    assert_eq!(show(&service, OWNER, &other).await["status"], "queued");
    for metadata in
        [json!({ "a": 5 }), json!({ "a": { "b": [null] } }), json!({ "a": true }), json!({ "store": "main" })]
    {
        let location = json!({ "url": page(5), "metadata": metadata });
        patch(&service, OWNER, &other, &[add(&location)]).await.expect(400);
    }
}

#[tokio::test]
async fn v2_194_to_v2_196_validation_data() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let with = |claim: Value| json!({ "url": url, "metadata": {}, "validation_data": claim });
    let id = image(&service).await;
    for (claim, status) in [
        (json!({ "os_hash_algo": "sha1", "os_hash_value": "a".repeat(40) }), 409),
        (json!({ "os_hash_algo": "sha512" }), 400),
        (json!({ "os_hash_algo": "sha512", "os_hash_value": "z".repeat(128) }), 409),
        (json!({ "os_hash_algo": "sha512", "os_hash_value": "a".repeat(64) }), 409),
        (
            json!({ "os_hash_algo": "sha512", "os_hash_value": "a".repeat(128), "checksum": "z".repeat(32) }),
            409,
        ),
        (json!({ "os_hash_algo": "sha512", "os_hash_value": "a".repeat(128), "checksum": "a" }), 400),
        (json!({ "os_hash_algo": "sha512", "os_hash_value": "a".repeat(128), "more": "a" }), 400),
    ] {
        patch(&service, OWNER, &id, &[add(&with(claim.clone()))]).await.expect(status);
    }
    let claim =
        json!({ "checksum": "a".repeat(32), "os_hash_algo": "sha512", "os_hash_value": "b".repeat(128) });
    let mut other = claim.clone();
    other["os_hash_value"] = "c".repeat(128).into();
    let second = source.put("/second", DATA);
    let contradiction =
        [with(claim.clone()), json!({ "url": second, "metadata": {}, "validation_data": other })];
    patch(&service, OWNER, &id, &[replace(&contradiction)]).await.expect(409);
    let shown = patch(&service, OWNER, &id, &[add(&with(claim.clone()))]).await.expect(200).json();
    for name in ["checksum", "os_hash_algo", "os_hash_value"] {
        assert_eq!(shown[name], claim[name]);
    }
    assert_eq!(shown["locations"], json!([place(&url)]), "V2-197");
    // V2-196: the same once more is fine, other values are not
    let repeated = json!({ "url": second, "metadata": {}, "validation_data": claim });
    patch(&service, OWNER, &id, &[add(&repeated)]).await.expect(200);
    let differing = json!({ "url": source.put("/third", DATA), "metadata": {}, "validation_data": other });
    patch(&service, OWNER, &id, &[add(&differing)]).await.expect(409);
    let unhashed = located(&service, &[&url]).await;
    patch(&service, OWNER, &unhashed, &[add(&repeated)]).await.expect(409);
}

/// A23: other bytes do not get under an active image, neither at once nor when its object is removed.
#[tokio::test]
async fn a23_active_bytes_do_not_change() {
    let (service, source) = world().await;
    let (same, longer) = (source.put("/same", b"88888888"), source.put("/longer", b"999999999"));
    let id = uploaded(&service, DATA).await;
    patch(&service, OWNER, &id, &[add(&place(&longer))]).await.expect(400);
    patch(&service, OWNER, &id, &[add(&place(&same))]).await.expect(200);
    patch(&service, ADMIN, &id, &[remove(0)]).await.expect(403);
    let got = service.get(&format!("/v2/images/{id}/file")).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, DATA);
    patch(&service, ADMIN, &id, &[remove(1)]).await.expect(200);
    service.assert_settled().await;
}

/// A removed object leaves the bucket; the copy that stays is read.
#[tokio::test]
async fn a_removed_copy_leaves_the_bucket() {
    let (service, _source) = world().await;
    let (id, other) = (uploaded(&service, DATA).await, uploaded(&service, DATA).await);
    // a second copy, as an import into several stores makes it
    service.sql(&format!("UPDATE blobs SET image_id = '{id}' WHERE image_id = '{other}'")).await;
    let before = urls(&service, &id).await;
    assert_eq!(before.len(), 2);
    patch(&service, ADMIN, &id, &[remove(0)]).await.expect(200);
    assert_eq!(urls(&service, &id).await, before[1..]);
    assert_eq!(service.bucket.keys().await.len(), 1);
    let got = service.get(&format!("/v2/images/{id}/file")).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, DATA);
    service.assert_settled().await;
}

/// Patches at a time: each is judged against what the others left.
#[tokio::test]
async fn concurrent_patches_neither_lose_nor_repeat_a_location() {
    let (service, source) = world().await;
    let pages: Vec<String> = (0..4).map(|n| source.put(&format!("/{n}"), DATA)).collect();
    let id = image(&service).await;
    let adding = pages.iter().chain(&pages).map(|url| {
        let (service, id) = (&service, &id);
        async move { patch(service, OWNER, id, &[add(&place(url))]).await.status }
    });
    let mut statuses = futures_util::future::join_all(adding).await;
    statuses.retain(|status| *status == 200);
    let mut found = urls(&service, &id).await;
    assert_eq!(found.len(), statuses.len());
    found.sort();
    found.dedup();
    assert_eq!(found.len(), statuses.len(), "a location is there twice");
}
