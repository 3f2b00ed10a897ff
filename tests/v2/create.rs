//! `POST /v2/images` (images-v2.md §6).

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::support::api::{ADMIN, Answer, OTHER, OWNER, ROOT, Service, new_id};
use crate::support::v2::two_stores;

/// A member of project `alpha` who may only read.
const READER: &str = "rita:alpha:reader";
const EMOJI: &str = "\u{1F600}";

/// Asserts that documents are refused with this status and leave nothing behind.
async fn assert_refused(service: &Service, caller: &str, status: u16, documents: &[Value]) {
    let before = service.count_images().await;
    for document in documents {
        let answer = service.try_create(caller, document).await;
        assert_eq!(answer.status, status, "{document}: {}", answer.text());
    }
    assert_eq!(service.count_images().await, before);
}

/// `count` times `key` with a number, each with a value.
fn properties(count: usize) -> Value {
    (0..count).map(|n| (format!("p{n}"), json!("v"))).collect::<Map<_, _>>().into()
}

fn tags(count: usize) -> Value {
    (0..count).map(|n| format!("t{n}")).collect()
}

#[tokio::test]
async fn v2_054_to_061_a_new_image() {
    let service = Service::start().await;
    let answer = service.try_create(OWNER, &json!({})).await.expect(201);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    let image = answer.json();
    let id = image["id"].as_str().unwrap();
    // V2-055
    let location = format!("http://{}/v2/images/{id}", service.address);
    assert_eq!(answer.header("location"), Some(location));
    // V2-058
    let time = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$").unwrap();
    assert!(time.is_match(image["created_at"].as_str().unwrap()), "{image}");
    assert_eq!(image["updated_at"], image["created_at"]);
    // V2-054, V2-059, V2-060, V2-061
    let expected = json!({
        "id": id,
        "name": null,
        "status": "queued",
        "visibility": "shared",
        "owner": "alpha",
        "protected": false,
        "os_hidden": false,
        "size": null,
        "virtual_size": null,
        "checksum": null,
        "os_hash_algo": null,
        "os_hash_value": null,
        "disk_format": null,
        "container_format": null,
        "min_disk": 0,
        "min_ram": 0,
        "tags": [],
        "created_at": image["created_at"],
        "updated_at": image["created_at"],
        "self": format!("/v2/images/{id}"),
        "file": format!("/v2/images/{id}/file"),
        "schema": "/v2/schemas/image",
    });
    assert_eq!(image, expected);
    assert_eq!(service.show(OWNER, id).await, expected);
    let other = service.create(OWNER, json!({})).await;
    assert_ne!(other["id"], image["id"]);
    // an administrator's too is of its project, or of none
    assert_eq!(service.create(ADMIN, json!({})).await["owner"], json!("delta"));
    assert_eq!(service.create(ROOT, json!({})).await["owner"], Value::Null);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_056_the_answer_names_the_import_methods() {
    let header = |answer: &Answer| answer.header("openstack-image-import-methods");
    for (methods, expected) in [
        (&["web-download"][..], Some("web-download")),
        (&["glance-direct", "web-download"], Some("glance-direct,web-download")),
        (&[], None),
    ] {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        let service = Service::start_with(|config| config.import.methods = methods).await;
        let answer = service.try_create(OWNER, &json!({})).await.expect(201);
        assert_eq!(header(&answer).as_deref(), expected);
    }
}

#[tokio::test]
async fn v2_057_the_answer_names_the_stores_if_there_are_several() {
    let (service, _second) = two_stores().await;
    let answer = service.try_create(OWNER, &json!({})).await.expect(201);
    let stores = answer.header("openstack-image-store-ids").unwrap();
    let mut stores: Vec<&str> = stores.split(',').collect();
    stores.sort_unstable();
    assert_eq!(stores, ["main", "second"]);
    // nothing is stored yet
    assert_eq!(answer.json().get("stores"), None);
    let single = Service::start().await;
    let answer = single.try_create(OWNER, &json!({})).await.expect(201);
    assert_eq!(answer.header("openstack-image-store-ids"), None);
}

#[tokio::test]
async fn v2_062_and_065_ids_of_clients() {
    let service = Service::start().await;
    // V2-062
    let id = new_id();
    assert_eq!(service.create(OWNER, json!({ "id": id })).await["id"], json!(id));
    // any case is taken and the canonical form answered (contract.md §6.13)
    let upper = new_id().to_uppercase();
    let answer = service.try_create(OWNER, &json!({ "id": upper })).await.expect(201);
    assert_eq!(answer.json()["id"], json!(upper.to_lowercase()));
    assert!(answer.header("location").unwrap().ends_with(&format!("/v2/images/{}", upper.to_lowercase())));
    // V2-065
    let wrong = ["abc", "", " ", &id.replace('-', ""), &format!("{id}0"), &format!("{{{id}}}"), "null"];
    assert_refused(&service, OWNER, 400, &wrong.map(|id| json!({ "id": id }))).await;
    assert_refused(&service, OWNER, 400, &[json!({ "id": null }), json!({ "id": 5 })]).await;
}

#[tokio::test]
async fn v2_063_and_064_an_id_is_used_once() {
    let service = Service::start().await;
    let hidden = service.create_id(OWNER, json!({ "visibility": "private" })).await;
    let deleted = service.queued(OWNER).await;
    service.delete(&format!("/v2/images/{deleted}")).by(OWNER).send().await.expect(204);
    let pending = service.queued(OWNER).await;
    service.set(&pending, "status = 'pending_delete', deleted_at = now()").await;
    for id in [
        // V2-063
        &hidden, // V2-064
        &deleted, &pending,
    ] {
        let before = service.record(id).await;
        for caller in [OWNER, OTHER, ADMIN] {
            let spellings = [json!({ "id": id }), json!({ "id": id.to_uppercase() })];
            assert_refused(&service, caller, 409, &spellings).await;
        }
        assert_eq!(service.record(id).await, before);
    }
}

#[tokio::test]
async fn v2_066_and_067_names() {
    let service = Service::start().await;
    // V2-066
    let longest = "é".repeat(255);
    for name in [longest.as_str(), "", " a ", "日本語é", "<b>", "a/b?c=%20"] {
        let image = service.create(OWNER, json!({ "name": name })).await;
        assert_eq!(image["name"], json!(name));
        let id = image["id"].as_str().unwrap();
        assert_eq!(service.show(OWNER, id).await["name"], json!(name));
    }
    // V2-067
    assert_eq!(service.create(OWNER, json!({ "name": null })).await["name"], Value::Null);
    let wrong = [json!({ "name": "é".repeat(256) }), json!({ "name": 5 }), json!({ "name": ["a"] })];
    assert_refused(&service, OWNER, 400, &wrong).await;
}

#[tokio::test]
async fn v2_068_and_069_formats() {
    let service = Service::start().await;
    // V2-068
    let wrong = ["foo", "", "RAW", "gpt", " raw"];
    assert_refused(&service, OWNER, 400, &wrong.map(|format| json!({ "disk_format": format }))).await;
    assert_refused(&service, OWNER, 400, &wrong.map(|format| json!({ "container_format": format }))).await;
    // V2-069
    let nothing = json!({ "disk_format": null, "container_format": null });
    let image = service.create(OWNER, nothing).await;
    assert_eq!((&image["disk_format"], &image["container_format"]), (&Value::Null, &Value::Null));
    // formats of Amazon need not fit each other (§4.5)
    let mixed = json!({ "disk_format": "ami", "container_format": "bare" });
    let image = service.create(OWNER, mixed).await;
    assert_eq!((&image["disk_format"], &image["container_format"]), (&json!("ami"), &json!("bare")));
    let disk = service.create(OWNER, json!({ "disk_format": "aki" })).await;
    assert_eq!((&disk["disk_format"], &disk["container_format"]), (&json!("aki"), &Value::Null));
}

#[tokio::test]
async fn v2_070_to_072_visibility() {
    let service = Service::start().await;
    // V2-070
    let wrong = ["secret", "", "Public", "all"].map(|word| json!({ "visibility": word }));
    assert_refused(&service, OWNER, 400, &wrong).await;
    assert_refused(&service, OWNER, 400, &[json!({ "visibility": null })]).await;
    // V2-071
    assert_refused(&service, OWNER, 403, &[json!({ "visibility": "public" })]).await;
    assert_eq!(service.create(ADMIN, json!({ "visibility": "public" })).await["visibility"], json!("public"));
    // V2-072
    for visibility in ["community", "private", "shared"] {
        let image = service.create(OWNER, json!({ "visibility": visibility })).await;
        assert_eq!(image["visibility"], json!(visibility));
    }
    let service = Service::start_with_rules(&json!({ "communitize_image": "role:admin" })).await;
    assert_refused(&service, OWNER, 403, &[json!({ "visibility": "community" })]).await;
    service.create(ADMIN, json!({ "visibility": "community" })).await;
}

#[tokio::test]
async fn v2_073_and_074_who_may_create_what_for_whom() {
    let service = Service::start().await;
    // V2-073
    for owner in [json!("beta"), json!("ALPHA"), json!(""), Value::Null] {
        assert_refused(&service, OWNER, 403, &[json!({ "owner": owner })]).await;
        assert_eq!(service.create(ADMIN, json!({ "owner": owner })).await["owner"], owner);
    }
    assert_eq!(service.create(OWNER, json!({ "owner": "alpha" })).await["owner"], json!("alpha"));
    let longest = "o".repeat(255);
    assert_eq!(service.create(ADMIN, json!({ "owner": longest })).await["owner"], json!(longest));
    let wrong = [json!({ "owner": "o".repeat(256) }), json!({ "owner": 5 })];
    assert_refused(&service, ADMIN, 400, &wrong).await;
    // V2-074
    let documents = [json!({}), json!({ "owner": "alpha" }), json!({ "visibility": "private" })];
    assert_refused(&service, READER, 403, &documents).await;
    assert_refused(&service, "nora:alpha:nothing", 403, &documents).await;
}

/// §23.2: rules see the image that is to be made.
#[tokio::test]
async fn policy_sees_what_is_to_be_made() {
    let named = "'private':%(visibility)s and 'raw':%(disk_format)s and '5':%(min_disk)s and 'gold':%(rank)s";
    let service = Service::start_with_rules(&json!({ "add_image": named })).await;
    let fits = json!({ "visibility": "private", "disk_format": "raw", "min_disk": 5, "rank": "gold" });
    service.try_create(OWNER, &fits).await.expect(201);
    for (name, other) in [
        ("visibility", json!("shared")),
        ("disk_format", json!("qcow2")),
        ("min_disk", json!(6)),
        ("min_disk", json!(i32::MAX)),
        ("rank", json!("tin")),
    ] {
        let mut document = fits.clone();
        document[name] = other;
        assert_refused(&service, OWNER, 403, &[document.clone()]).await;
        document.as_object_mut().unwrap().remove(name);
        assert_refused(&service, OWNER, 403, &[document]).await;
    }

    let negated = json!({
        "add_image": "not 'shared':%(visibility)s and not 'True':%(protected)s and not 'x':%(name)s \
                      and not 'lead':%(rank)s and 'alpha':%(project_id)s",
        "communitize_image": "not 'ova':%(container_format)s",
        "publicize_image": "not 'tin':%(rank)s",
    });
    let service = Service::start_with_rules(&negated).await;
    for refused in [
        // what is not said is shared
        json!({}),
        json!({ "visibility": "shared" }),
        json!({ "visibility": "private", "protected": true }),
        json!({ "visibility": "private", "name": "x" }),
        json!({ "visibility": "private", "rank": "lead" }),
        json!({ "visibility": "community", "container_format": "ova" }),
        json!({ "visibility": "public", "rank": "tin" }),
    ] {
        assert_refused(&service, OWNER, 403, &[refused]).await;
    }
    for allowed in [
        json!({ "visibility": "private" }),
        json!({ "visibility": "community", "container_format": "bare" }),
        json!({ "visibility": "public", "rank": "gold" }),
    ] {
        service.try_create(OWNER, &allowed).await.expect(201);
    }
    // whose project it is that asks, not whose the image will be
    assert_refused(&service, ADMIN, 403, &[json!({ "visibility": "private", "owner": "alpha" })]).await;
}

#[tokio::test]
async fn v2_075_to_077_numbers_and_truth_values() {
    let service = Service::start().await;
    // V2-075, V2-076
    for name in ["min_ram", "min_disk"] {
        let wrong = [json!(-1), json!(2_147_483_648_u32), json!("1"), json!(1.5), json!(null), json!(true)];
        assert_refused(&service, OWNER, 400, &wrong.map(|value| json!({ name: value }))).await;
        for value in [0, 1, 2_147_483_647] {
            assert_eq!(service.create(OWNER, json!({ name: value })).await[name], json!(value));
        }
    }
    // V2-077
    for name in ["protected", "os_hidden"] {
        let wrong = [json!("true"), json!(1), json!("no"), json!(null)];
        assert_refused(&service, OWNER, 400, &wrong.map(|value| json!({ name: value }))).await;
        for value in [true, false] {
            assert_eq!(service.create(OWNER, json!({ name: value })).await[name], json!(value));
        }
    }
    let wrong = [json!("x"), json!([1]), json!({ "a": "b" }), json!(null), json!([["a"]])];
    assert_refused(&service, OWNER, 400, &wrong.map(|value| json!({ "tags": value }))).await;
}

#[tokio::test]
async fn v2_078_to_080_custom_properties() {
    let service = Service::start().await;
    // V2-078
    let longest = "k".repeat(255);
    let given = json!({
        "hw_thing": "x", "Hw_thing": "y", "empty": "", "with space": " v ", "a/b~c": "{\"a\": 1}", "é": "ü",
        "image_count": "5", "properties": "p", "metadata": "m", "is_public": "True", longest.as_str(): "v",
    });
    let image = service.create(OWNER, given.clone()).await;
    let shown = service.show(OWNER, image["id"].as_str().unwrap()).await;
    for (name, value) in given.as_object().unwrap() {
        assert_eq!((&image[name], &shown[name]), (value, value), "{name}");
    }
    assert_eq!(image.as_object().unwrap().len(), 22 + given.as_object().unwrap().len());
    assert_eq!(image["visibility"], json!("shared"));
    // V2-079
    let wrong = [json!(5), json!(true), json!(null), json!([]), json!({}), json!(1.5)];
    assert_refused(&service, OWNER, 400, &wrong.map(|value| json!({ "some_property": value }))).await;
    // V2-080
    assert_refused(&service, OWNER, 400, &[json!({ "k".repeat(256): "v" })]).await;
}

#[tokio::test]
async fn v2_081_to_085_what_nobody_may_say() {
    let service = Service::start().await;
    let time = "2020-01-01T00:00:00Z";
    let documents = [
        // V2-081
        json!({ "status": "active" }),
        json!({ "status": "queued" }),
        json!({ "size": 5 }),
        json!({ "size": null }),
        json!({ "virtual_size": 5 }),
        json!({ "checksum": "a".repeat(32) }),
        json!({ "created_at": time }),
        json!({ "updated_at": time }),
        json!({ "os_hash_algo": "sha512" }),
        json!({ "os_hash_value": "a".repeat(128) }),
        // V2-082
        json!({ "self": "x" }),
        json!({ "file": "x" }),
        json!({ "schema": "/v2/schemas/image" }),
        json!({ "direct_url": "x" }),
        json!({ "stores": "main" }),
        // V2-083
        json!({ "locations": [] }),
        json!({ "locations": [{ "url": "http://127.0.0.1/x", "metadata": {} }] }),
        // V2-084
        json!({ "location": "x" }),
        json!({ "deleted": "x" }),
        json!({ "deleted_at": time }),
        // V2-085
        json!({ "os_glance_foo": "x" }),
        json!({ "os_glance": "x" }),
        json!({ "os_glance_import_task": new_id() }),
    ];
    for caller in [OWNER, ADMIN] {
        assert_refused(&service, caller, 403, &documents).await;
    }
    // the schema comes first (§6 row 3)
    let wrong = [json!({ "size": "5" }), json!({ "status": "x" }), json!({ "locations": "x" })];
    assert_refused(&service, OWNER, 400, &wrong).await;
    let fine = service.create(OWNER, json!({ "os_glanc": "x", "Location": "x" })).await;
    assert_eq!((&fine["os_glanc"], &fine["Location"]), (&json!("x"), &json!("x")));
}

#[tokio::test]
async fn v2_086_declared_properties() {
    let service = Service::start().await;
    let wrong = [
        json!({ "kernel_id": "x" }),
        json!({ "ramdisk_id": "" }),
        json!({ "kernel_id": 5 }),
        json!({ "architecture": null }),
        json!({ "cinder_encryption_key_deletion_policy": "maybe" }),
    ];
    assert_refused(&service, OWNER, 400, &wrong).await;
    let kernel = new_id();
    let image = service.create(OWNER, json!({ "kernel_id": null, "ramdisk_id": kernel })).await;
    assert_eq!((&image["kernel_id"], &image["ramdisk_id"]), (&Value::Null, &json!(kernel)));
    let shown = service.show(OWNER, image["id"].as_str().unwrap()).await;
    assert_eq!((&shown["kernel_id"], &shown["ramdisk_id"]), (&Value::Null, &json!(kernel)));
}

#[tokio::test]
async fn v2_087_and_088_tags() {
    let service = Service::start().await;
    // V2-087
    let image = service.create(OWNER, json!({ "tags": ["b", "a", "b", "A", "", "b"] })).await;
    let mut found: Vec<&str> =
        image["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["", "A", "a", "b"]);
    // V2-088
    let longest = "é".repeat(255);
    assert_eq!(service.create(OWNER, json!({ "tags": [longest] })).await["tags"], json!([longest]));
    assert_refused(&service, OWNER, 400, &[json!({ "tags": ["a", "é".repeat(256)] })]).await;
}

#[tokio::test]
async fn v2_089_and_090_quotas() {
    let service = Service::start().await;
    // V2-089
    let image = service.create(OWNER, json!({ "tags": tags(128) })).await;
    assert_eq!(image["tags"].as_array().unwrap().len(), 128);
    assert_refused(&service, OWNER, 413, &[json!({ "tags": tags(129) })]).await;
    // each counts once
    let mut twice = tags(128).as_array().unwrap().clone();
    twice.extend(twice.clone());
    service.create(OWNER, json!({ "tags": twice })).await;
    // V2-090
    let image = service.create(OWNER, properties(128)).await;
    assert_eq!(image.as_object().unwrap().len(), 22 + 128);
    assert_refused(&service, OWNER, 413, &[properties(129)]).await;
    assert_refused(&service, ADMIN, 413, &[properties(129)]).await;

    let service = Service::start_with(|config| {
        config.limits.image_tag_quota = -1;
        config.limits.image_property_quota = 0;
    })
    .await;
    service.create(OWNER, json!({ "tags": tags(200) })).await;
    assert_refused(&service, OWNER, 413, &[properties(1)]).await;
}

#[tokio::test]
async fn v2_091_characters_beyond_the_basic_plane() {
    let service = Service::start().await;
    let documents = [
        json!({ "name": format!("a{EMOJI}") }),
        json!({ "tags": ["a", EMOJI] }),
        json!({ "p": EMOJI }),
        json!({ EMOJI: "v" }),
    ];
    assert_refused(&service, OWNER, 400, &documents).await;
    assert_refused(&service, ADMIN, 400, &[json!({ "owner": EMOJI })]).await;
}

#[tokio::test]
async fn the_first_fault_of_several_decides() {
    let service = Service::start().await;
    let long = "k".repeat(256);
    let with = |first: Value, second: Value| -> Value {
        let mut both = first.as_object().unwrap().clone();
        both.extend(second.as_object().unwrap().clone());
        both.into()
    };
    // §6 row 2 before 3
    assert_refused(&service, OWNER, 403, &[json!({ "self": "x", "name": 5 })]).await;
    // 3 before 5
    assert_refused(&service, OWNER, 400, &[json!({ "location": "x", "name": 5 })]).await;
    // 4 before 5
    assert_refused(&service, OWNER, 400, &[json!({ "location": "x", long: "v" })]).await;
    // 5, 6 and 7 before 10
    for document in
        [json!({ "location": "x" }), json!({ "owner": "beta" }), json!({ "visibility": "public" })]
    {
        assert_refused(&service, OWNER, 403, &[with(json!({ "tags": tags(129) }), document)]).await;
    }
    assert_refused(&service, READER, 403, &[properties(129)]).await;
    // 10 before 11, 12
    for document in [json!({ "status": "active" }), json!({ "locations": [] })] {
        assert_refused(&service, OWNER, 413, &[with(properties(129), document)]).await;
    }
    // 11 before 14
    let id = service.queued(OWNER).await;
    assert_refused(&service, OWNER, 403, &[json!({ "status": "active", "id": id })]).await;
}

#[tokio::test]
async fn what_is_created_is_what_was_sent() {
    let service = Service::start().await;
    let given = json!({
        "id": new_id(), "name": "n", "visibility": "private", "protected": true, "os_hidden": true,
        "disk_format": "qcow2", "container_format": "ovf", "min_disk": 3, "min_ram": 4, "tags": ["t"],
        "owner": "alpha", "kernel_id": new_id(), "p": "v",
    });
    let image = service.create(OWNER, given.clone()).await;
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(image[name], *value, "{name}");
    }
    assert_eq!(service.show(OWNER, given["id"].as_str().unwrap()).await, image);
    assert_eq!(service.listed(OWNER, "os_hidden=true").await, [given["id"].as_str().unwrap()]);
    assert_eq!(image["status"], json!("queued"));
}
