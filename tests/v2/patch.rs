//! What patches say and do: V2-141 to V2-178 and A22. Who may make them is in [`super::patch_guards`].

use serde_json::{Value, json};

use crate::support::api::{ADMIN, Answer, OTHER, OWNER, Service, new_id};
use crate::support::v2::{V20, V21, add, raw, remove, replace};

const MEDIA: [&str; 2] = [V20, V21];
/// What a client may set but not remove.
const BASE: [&str; 10] = [
    "name",
    "visibility",
    "protected",
    "os_hidden",
    "owner",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "tags",
];

/// `PATCH` with any body and media type.
async fn send(service: &Service, caller: &str, id: &str, media: &str, body: impl AsRef<[u8]>) -> Answer {
    let request = service.patch(&format!("/v2/images/{id}")).by(caller);
    request.header("Content-Type", media).body(body).send().await
}

/// The same operation in the older form.
fn older(operation: &Value) -> Value {
    let mut older = json!({ operation["op"].as_str().unwrap(): operation["path"] });
    if let Some(value) = operation.get("value") {
        older["value"] = value.clone();
    }
    older
}

/// Asserts that each of these operations is refused in both forms and leaves no trace.
pub async fn assert_refused(service: &Service, caller: &str, id: &str, status: u16, operations: &[Value]) {
    let before = service.record(id).await;
    for operation in operations {
        for (media, operation) in [(V20, older(operation)), (V21, operation.clone())] {
            let answer = send(service, caller, id, media, json!([operation]).to_string()).await;
            assert_eq!(answer.status, status, "{operation}: {}", answer.text());
        }
    }
    assert_eq!(service.record(id).await, before);
}

/// The three operations on an attribute.
fn each_verb(root: &str, value: &Value) -> Vec<Value> {
    let path = format!("/{root}");
    vec![add(&path, value.clone()), replace(&path, value.clone()), remove(&path)]
}

/// Lets an image look an hour older, so that a change of its time shows without waiting for the next second.
async fn age(service: &Service, id: &str) {
    let hour = "interval '1 hour'";
    let set = format!("created_at = created_at - {hour}, updated_at = updated_at - {hour}");
    service.sql(&format!("UPDATE images SET {set} WHERE id = '{id}'")).await;
}

#[tokio::test]
async fn v2_141_only_two_media_types_are_patches() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let path = format!("/v2/images/{id}");
    let before = service.record(&id).await;
    let body = json!([replace("/name", "x")]).to_string();
    let types = [
        Some("application/json"),
        Some("text/plain"),
        Some("application/json-patch+json"),
        Some("application/openstack-images-v2.2-json-patch"),
        Some(""),
        None,
    ];
    for media in types {
        let mut request = service.patch(&path).by(OWNER).body(&body);
        if let Some(media) = media {
            request = request.header("Content-Type", media);
        }
        let answer = request.send().await.expect(415);
        assert_eq!(answer.header("accept-patch"), Some(format!("{V20}, {V21}")), "{media:?}");
    }
    assert_eq!(service.record(&id).await, before);
    for media in MEDIA {
        for spelling in [format!("{media}; charset=utf-8"), format!("{media};x=y"), media.to_uppercase()] {
            send(&service, OWNER, &id, &spelling, "[]").await.expect(200);
        }
    }
}

#[tokio::test]
async fn v2_142_a_patch_is_an_array_of_objects() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    for media in MEDIA {
        for body in [
            "{}",
            r#"{"op": "replace", "path": "/name", "value": "x"}"#,
            r#"{"replace": "/name", "value": "x"}"#,
            "5",
            r#""x""#,
            "null",
            r#"["x"]"#,
            "[[]]",
            "[5]",
            "[null]",
            "[{",
            "",
        ] {
            send(&service, OWNER, &id, media, body).await.expect(400);
        }
        let nothing = service.patch(&format!("/v2/images/{id}")).by(OWNER).header("Content-Type", media);
        nothing.send().await.expect(400);
    }
    // before the image is looked up
    send(&service, OWNER, &new_id(), V21, "{}").await.expect(400);
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v2_143_an_empty_patch_changes_nothing_not_even_the_time() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    age(&service, &id).await;
    let (before, shown) = (service.record(&id).await, service.show(OWNER, &id).await);
    for media in MEDIA {
        assert_eq!(send(&service, OWNER, &id, media, "[]").await.expect(200).json(), shown);
    }
    assert_eq!(service.record(&id).await, before);
    send(&service, OWNER, &new_id(), V21, "[]").await.expect(404);
    send(&service, OTHER, &id, V21, "[]").await.expect(404);
}

/// V2-144, V2-145 and V2-146, rows 2, 3 and 6 of §9.1.
#[tokio::test]
async fn v2_144_to_146_what_an_operation_must_say() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "p": "1" })).await;
    let before = service.record(&id).await;
    let mut newer: Vec<Value> = ["test", "move", "copy", "", "ADD", "delete"]
        .iter()
        .map(|op| json!({ "op": op, "path": "/name", "from": "/p", "value": "x" }))
        .collect();
    newer.extend([
        json!({ "op": 5, "path": "/name", "value": "x" }),
        // V2-145
        json!({ "path": "/name", "value": "x" }),
        json!({ "op": "replace", "value": "x" }),
        json!({ "op": "replace", "path": 5, "value": "x" }),
        json!({ "op": "replace", "path": "/name" }),
        json!({ "op": "add", "path": "/new" }),
        json!({ "replace": "/name", "value": "x" }),
        // the value is looked for before the attribute is
        json!({ "op": "replace", "path": "/status" }),
    ]);
    let older = [
        json!({ "replace": "/name", "add": "/x", "value": "v" }),
        json!({ "remove": "/p", "add": "/x", "value": "v" }),
        json!({ "replace": "/name", "remove": "/p", "add": "/x", "value": "v" }),
        json!({ "value": "v" }),
        json!({}),
        json!({ "replace": 5, "value": "v" }),
        json!({ "replace": "/name" }),
        json!({ "op": "replace", "path": "/name", "value": "x" }),
    ];
    for (media, operations) in [(V21, newer.as_slice()), (V20, older.as_slice())] {
        for operation in operations {
            let answer = send(&service, OWNER, &id, media, json!([operation]).to_string()).await;
            assert_eq!(answer.status, 400, "{operation}: {}", answer.text());
        }
    }
    assert_eq!(service.record(&id).await, before);
    // the form that is right
    let fine =
        json!([{ "replace": "/name", "value": "n" }, { "add": "/x", "value": "v" }, { "remove": "/p" }]);
    let image = send(&service, OWNER, &id, V20, fine.to_string()).await.expect(200).json();
    assert_eq!((&image["name"], &image["x"], image.get("p")), (&json!("n"), &json!("v"), None));
}

/// V2-147 to V2-150, V2-152 and V2-176.
#[tokio::test]
async fn v2_147_to_152_and_176_pointers_that_lead_nowhere() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "a": "1", "tags": ["x"] })).await;
    let pointers = [
        // V2-147
        "name",
        "",
        "a/b", // V2-148
        "/name/",
        "/a/",
        "/", // V2-149
        "/a//b",
        "//a",
        "/a/ /b",
        "//", // V2-150
        "/a~2",
        "/a~",
        "/~",
        "/a~~0", // V2-152
        "/name/x",
        "/a/x",
        "/name/x/y", // V2-176
        "/tags/-",
        "/tags/x",
        "/tags/0",
    ];
    for pointer in pointers {
        let operations = [add(pointer, "v"), replace(pointer, "v"), remove(pointer)];
        assert_refused(&service, OWNER, &id, 400, &operations).await;
    }
}

#[tokio::test]
async fn v2_151_escaped_slashes_and_tildes_in_names() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    for media in MEDIA {
        let form = |operation: Value| if media == V20 { older(&operation) } else { operation };
        let put = [add("/a~1b", "1"), add("/a~0b", "2"), add("/a~01b", "3"), add("/ c ", "4")].map(form);
        let image = send(&service, OWNER, &id, media, json!(put).to_string()).await.expect(200).json();
        for (name, value) in [("a/b", "1"), ("a~b", "2"), ("a~1b", "3"), ("c", "4")] {
            assert_eq!(image[name], json!(value), "{name}");
        }
        let form = |operation: Value| if media == V20 { older(&operation) } else { operation };
        let take = [remove("/a~1b"), remove("/a~0b"), remove("/a~01b"), remove("/c")].map(form);
        let image = send(&service, OWNER, &id, media, json!(take).to_string()).await.expect(200).json();
        for name in ["a/b", "a~b", "a~1b", "c"] {
            assert_eq!(image.get(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn v2_153_a_change_is_answered_with_the_image_and_its_new_time() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "name": "old" })).await;
    age(&service, &id).await;
    let before = service.show(OWNER, &id).await;
    let answer = service.change(OWNER, &id, &[replace("/name", "new")]).await.expect(200);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    let after = answer.json();
    assert_eq!(after["name"], json!("new"));
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str(), "{before} {after}");
    assert_eq!(after["created_at"], before["created_at"]);
    assert_eq!(service.show(OWNER, &id).await, after);
    let after = service.change(OWNER, &id, &[replace("/name", Value::Null)]).await.expect(200).json();
    assert_eq!(after["name"], Value::Null);
}

/// V2-154 to V2-160 and A22: nobody writes what the service keeps, whatever the verb, the form and the value.
#[tokio::test]
async fn v2_154_to_160_and_a22_what_no_patch_may_touch() {
    let service = Service::start().await;
    let queued = service.create_id(OWNER, json!({ "name": "n" })).await;
    let active = service.active(OWNER, json!({}), b"data").await;
    let text = json!("x");
    let attributes = [
        // V2-154
        ("id", json!(new_id())),
        // V2-155
        ("status", json!("active")),
        ("checksum", text.clone()),
        ("size", json!(5)),
        ("virtual_size", json!(5)),
        // V2-156
        ("os_hash_algo", text.clone()),
        ("os_hash_value", text.clone()),
        // V2-157
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("updated_at", json!("2020-01-01T00:00:00Z")),
        ("self", text.clone()),
        ("file", text.clone()),
        ("schema", text.clone()),
        ("direct_url", text.clone()),
        ("stores", text.clone()),
        // V2-159
        ("os_glance_x", text.clone()),
        ("os_glance_import_task", text.clone()),
        // V2-160
        ("location", text.clone()),
        ("deleted", json!(true)),
        ("deleted_at", text.clone()),
        // a value that the schema refuses, too
        ("status", json!(5)),
    ];
    for (root, value) in &attributes {
        // V2-158: the third verb
        let operations = each_verb(root, value);
        for (caller, id) in [(OWNER, &queued), (ADMIN, &active)] {
            assert_refused(&service, caller, id, 403, &operations).await;
        }
    }
    assert_eq!(service.download(OWNER, &active).await.expect(200).body, b"data");
}

/// V2-161 to V2-166.
#[tokio::test]
async fn v2_161_to_166_what_each_verb_finds_and_leaves() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "p": "1" })).await;
    // V2-161
    let image = service.change(OWNER, &id, &[add("/fresh", "v")]).await.expect(200).json();
    assert_eq!(image["fresh"], json!("v"));
    assert_eq!(service.show(OWNER, &id).await, image);
    let older = json!([{ "add": "/fresh20", "value": "w" }]).to_string();
    let image = send(&service, OWNER, &id, V20, older).await.expect(200).json();
    assert_eq!((&image["fresh20"], &image["fresh"]), (&json!("w"), &json!("v")));
    // V2-162
    let operations = [add("/p", "2"), add("/name", "n2"), add("/min_ram", 3), add("/os_hidden", true)];
    let image = service.change(OWNER, &id, &operations).await.expect(200).json();
    assert_eq!((&image["p"], &image["name"]), (&json!("2"), &json!("n2")));
    assert_eq!((&image["min_ram"], &image["os_hidden"]), (&json!(3), &json!(true)));
    // V2-163
    let before = service.record(&id).await;
    let values = json!({
        "p": "3", "name": "x", "visibility": "private", "protected": true, "os_hidden": false, "owner": "alpha",
        "disk_format": "raw", "container_format": "bare", "min_disk": 1, "min_ram": 1, "tags": ["t"],
    });
    for (name, value) in values.as_object().unwrap() {
        let body = json!([{ "add": format!("/{name}"), "value": value }]).to_string();
        let answer = send(&service, ADMIN, &id, V20, body).await;
        assert_eq!(answer.status, 409, "{name}: {}", answer.text());
    }
    assert_eq!(service.record(&id).await, before);
    // V2-164 and V2-165
    assert_refused(&service, OWNER, &id, 409, &[replace("/missing", "v"), remove("/missing")]).await;
    let image = service.change(OWNER, &id, &[remove("/p")]).await.expect(200).json();
    assert_eq!(image.get("p"), None);
    // V2-166
    let removals = BASE.map(|name| remove(&format!("/{name}")));
    for caller in [OWNER, ADMIN] {
        assert_refused(&service, caller, &id, 403, &removals).await;
    }
}

/// V2-167, V2-170 and V2-173, with the values that no database could hold.
#[tokio::test]
async fn v2_167_170_and_173_values_that_do_not_fit() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "p": "1" })).await;
    let mut operations = Vec::new();
    for value in [json!(5), Value::Null, json!({}), json!([]), json!(true), json!(1.5)] {
        operations.extend([replace("/p", value.clone()), add("/q", value)]);
    }
    for (name, value) in [
        // V2-170
        ("visibility", json!("x")),
        ("visibility", Value::Null),
        ("name", json!("n".repeat(256))),
        ("name", json!(5)),
        ("protected", json!("true")),
        ("protected", json!(1)),
        ("os_hidden", json!(1)),
        ("os_hidden", Value::Null),
        ("min_ram", json!("1")),
        ("min_ram", json!(1.5)),
        ("disk_format", json!("x")),
        ("container_format", json!("x")),
        ("tags", json!("x")),
        ("tags", json!([5])),
        ("tags", json!(["t".repeat(256)])),
        ("owner", json!("o".repeat(256))),
        // V2-173
        ("min_ram", json!(-1)),
        ("min_disk", json!(-1)),
        ("min_ram", json!(1_i64 << 31)),
        ("min_disk", json!(1_i64 << 31)),
        ("min_disk", json!(u64::MAX)),
        // §9.3: what the catalogue cannot hold
        ("name", json!("\u{1f600}")),
        ("name", json!("a\0b")),
        ("p", json!("\u{1f600}")),
        ("p", json!("x".repeat(65_536))),
        ("tags", json!(["\u{1f600}"])),
    ] {
        operations.push(replace(&format!("/{name}"), value));
    }
    operations.push(add(&format!("/{}", "p".repeat(256)), "v"));
    operations.push(add("/\u{1f600}", "v"));
    assert_refused(&service, ADMIN, &id, 400, &operations).await;
    let most =
        [replace("/min_ram", i32::MAX), replace("/min_disk", i32::MAX), replace("/name", "n".repeat(255))];
    let image = service.change(OWNER, &id, &most).await.expect(200).json();
    assert_eq!((&image["min_ram"], &image["min_disk"]), (&json!(i32::MAX), &json!(i32::MAX)));
}

#[tokio::test]
async fn v2_168_only_administrators_give_images_away() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    for owner in [json!("beta"), json!("alpha"), Value::Null] {
        // the reference lets `add` slip through
        let operations = [replace("/owner", owner.clone())];
        assert_refused(&service, OWNER, &id, 403, &operations).await;
        service.change(OWNER, &id, &[add("/owner", owner)]).await.expect(403);
    }
    let image = service.change(ADMIN, &id, &[replace("/owner", "beta")]).await.expect(200).json();
    assert_eq!(image["owner"], json!("beta"));
    service.get(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(404);
    assert_eq!(service.show(OTHER, &id).await["id"], json!(id));
    let image = service.change(ADMIN, &id, &[replace("/owner", Value::Null)]).await.expect(200).json();
    assert_eq!(image["owner"], Value::Null);
    service.change(OTHER, &id, &[replace("/name", "x")]).await.expect(404);
}

#[tokio::test]
async fn v2_169_only_administrators_publish() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    service.change(OWNER, &id, &[add("/visibility", "public")]).await.expect(403);
    assert_refused(&service, OWNER, &id, 403, &[replace("/visibility", "public")]).await;
    for visibility in ["community", "private", "shared"] {
        let image =
            service.change(OWNER, &id, &[replace("/visibility", visibility)]).await.expect(200).json();
        assert_eq!(image["visibility"], json!(visibility));
    }
    service.change(ADMIN, &id, &[replace("/visibility", "public")]).await.expect(200);
    assert_eq!(service.show(OTHER, &id).await["visibility"], json!("public"));
}

#[tokio::test]
async fn v2_171_and_172_formats_are_fixed_with_the_data() {
    let service = Service::start().await;
    let active = service.active(OWNER, json!({}), b"data").await;
    let operations = [replace("/disk_format", "qcow2"), replace("/container_format", "ovf")];
    let other = service.create_id(OWNER, raw(json!({}))).await;
    for (id, status) in
        [(&active, "active"), (&active, "deactivated"), (&other, "saving"), (&other, "uploading")]
    {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        for caller in [OWNER, ADMIN] {
            assert_refused(&service, caller, id, 403, &operations).await;
        }
        service.change(OWNER, id, &[add("/disk_format", "iso")]).await.expect(403);
        service.change(OWNER, id, &[replace("/name", status)]).await.expect(200);
    }
    for status in ["queued", "importing"] {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{other}'")).await;
        let operations = [replace("/disk_format", "iso"), replace("/container_format", "ovf")];
        let image = service.change(OWNER, &other, &operations).await.expect(200).json();
        assert_eq!((&image["disk_format"], &image["container_format"]), (&json!("iso"), &json!("ovf")));
        let back = [replace("/disk_format", "raw"), replace("/container_format", "bare")];
        service.change(OWNER, &other, &back).await.expect(200);
    }
    // what an import is about to make active keeps its formats
    service.change(OWNER, &other, &[replace("/disk_format", Value::Null)]).await.expect(403);
    service.sql(&format!("UPDATE images SET status = 'queued' WHERE id = '{other}'")).await;
    service.change(OWNER, &other, &[replace("/disk_format", Value::Null)]).await.expect(200);
}

#[tokio::test]
async fn v2_174_protection_by_patch() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let path = format!("/v2/images/{id}");
    service.change(OWNER, &id, &[replace("/protected", true)]).await.expect(200);
    for caller in [OWNER, ADMIN] {
        service.delete(&path).by(caller).send().await.expect(403);
    }
    service.change(OWNER, &id, &[replace("/protected", false)]).await.expect(200);
    service.delete(&path).by(OWNER).send().await.expect(204);
    service.change(OWNER, &id, &[replace("/name", "x")]).await.expect(404);
}

#[tokio::test]
async fn v2_175_tags_are_replaced_as_a_set() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "tags": ["a", "b"] })).await;
    let image =
        service.change(OWNER, &id, &[replace("/tags", json!(["b", "c", "c"]))]).await.expect(200).json();
    let mut tags: Vec<&str> = image["tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["b", "c"]);
    let many = |count: usize| json!((0..count).map(|n| format!("t{n}")).collect::<Vec<_>>());
    assert_refused(&service, OWNER, &id, 413, &[replace("/tags", many(129))]).await;
    service.change(OWNER, &id, &[replace("/tags", many(128))]).await.expect(200);
    assert_eq!(service.listed(OWNER, "tag=t127").await, std::slice::from_ref(&id));
    service.change(OWNER, &id, &[replace("/tags", json!([]))]).await.expect(200);
    assert_eq!(service.show(OWNER, &id).await["tags"], json!([]));
}

#[tokio::test]
async fn v2_177_the_property_quota_is_judged_at_each_operation() {
    let service = Service::start().await;
    let mut document = json!({});
    for n in 0..128 {
        document[format!("p{n}")] = json!("v");
    }
    let id = service.create_id(OWNER, document).await;
    assert_refused(&service, OWNER, &id, 413, &[add("/more", "v")]).await;
    let before = service.record(&id).await;
    service.change(OWNER, &id, &[add("/more", "v"), remove("/more")]).await.expect(413);
    assert_eq!(service.record(&id).await, before);
    service.change(OWNER, &id, &[replace("/p0", "w"), add("/p2", "w"), remove("/p1")]).await.expect(200);
    service.change(OWNER, &id, &[remove("/p3"), add("/more", "v"), add("/again", "v")]).await.expect(200);
    service.change(OWNER, &id, &[add("/p1", "v")]).await.expect(413);
}

#[tokio::test]
async fn v2_178_all_operations_or_none() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, raw(json!({ "name": "n", "bar": "b", "tags": ["t"] }))).await;
    let before = service.record(&id).await;
    let first = [replace("/name", "z"), add("/foo", "1"), remove("/bar"), replace("/tags", json!([]))];
    for (last, status) in [
        (replace("/gone", "x"), 409),
        (remove("/bar"), 409),
        (remove("/name"), 403),
        (replace("/owner", "beta"), 403),
        (replace("/visibility", "public"), 403),
        (replace("/status", "active"), 403),
        (replace("/min_ram", -1), 400),
        (replace("/name/x", "x"), 400),
    ] {
        let operations = [first.as_slice(), std::slice::from_ref(&last)].concat();
        let answer = service.change(OWNER, &id, &operations).await;
        assert_eq!(answer.status, status, "{last}: {}", answer.text());
        assert_eq!(service.record(&id).await, before, "{last}");
    }
    // later operations see what earlier ones did
    let operations = [replace("/name", "z"), add("/foo", "1"), replace("/foo", "2"), remove("/bar")];
    let image = service.change(OWNER, &id, &operations).await.expect(200).json();
    assert_eq!((&image["name"], &image["foo"], image.get("bar")), (&json!("z"), &json!("2"), None));
    // one save, however many operations
    let revisions = service.record(&id).await["revision"].as_i64().unwrap();
    assert_eq!(revisions, before["revision"].as_i64().unwrap() + 1);
}
