//! Changing images: V1-142 to V1-159 and V1-163 to V1-166.

use serde_json::{Value, json};
use vitrine::config::units::ByteSize;

use super::uploads::md5_hex;
use crate::support::api::{ADMIN, OWNER, Request, Service, new_id};
use crate::support::source::{Source, allow};

const KEEP: &str = "x-glance-registry-purge-props";
const FORMATS: [(&str, &str); 2] = [("disk_format", "raw"), ("container_format", "bare")];

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

fn put(service: &Service, id: &str) -> Request {
    service.put(&path(id)).by(OWNER)
}

async fn properties(service: &Service, id: &str) -> Value {
    let list = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    let image = list["images"].as_array().unwrap().iter().find(|image| image["id"] == id).unwrap();
    image["properties"].clone()
}

#[tokio::test]
async fn v1_142_v1_143_and_v1_145_properties_are_replaced_unless_the_request_says_otherwise() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("property-a", "1"), ("property-b", "2")]).await;
    let image = put(&service, &id).meta("property-c", "3").send().await.expect(200).image();
    assert_eq!(image["properties"], json!({ "c": "3" }));
    assert_eq!(properties(&service, &id).await, json!({ "c": "3" }));

    for (word, kept) in [("false", true), ("False", true), ("nonsense", true), ("true", false), ("1", false)]
    {
        let id = service.image_id(OWNER, None, &[("property-a", "1")]).await;
        put(&service, &id).header(KEEP, word).meta("property-b", "2").send().await.expect(200);
        let expected = if kept { json!({ "a": "1", "b": "2" }) } else { json!({ "b": "2" }) };
        assert_eq!(properties(&service, &id).await, expected, "{word}");
    }
    // V1-145: what was removed comes back with its new value
    put(&service, &id).meta("property-a", "new").send().await.expect(200);
    assert_eq!(properties(&service, &id).await, json!({ "a": "new" }));
    // a request without anything is valid and purges
    put(&service, &id).send().await.expect(200);
    assert_eq!(properties(&service, &id).await, json!({}));
}

#[tokio::test]
async fn v1_144_data_never_purge() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[FORMATS[0], FORMATS[1], ("property-a", "1")]).await;
    let request = put(&service, &id).header(KEEP, "true").meta("property-b", "2").data("abc");
    let image = request.send().await.expect(200).image();
    assert_eq!(image["status"], "active");
    assert_eq!(image["properties"], json!({ "a": "1", "b": "2" }));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_146_an_update_moves_updated_at_alone() {
    let service = Service::start().await;
    let old = service.image(OWNER, None, &[]).await;
    let id = old["id"].as_str().unwrap();
    for request in [put(&service, id), put(&service, id).meta("name", "x")] {
        let new = request.send().await.expect(200).image();
        assert_eq!(new["created_at"], old["created_at"]);
        assert!(new["updated_at"].as_str() > old["updated_at"].as_str(), "{new}");
    }
}

#[tokio::test]
async fn v1_147_an_administrator_publishes_and_withdraws() {
    let service = Service::start().await;
    let id = service.image_id(ADMIN, None, &[]).await;
    for (word, public) in [("True", true), ("False", false)] {
        let request = service.put(&path(&id)).by(ADMIN).meta("is_public", word);
        assert_eq!(request.send().await.expect(200).image()["is_public"], public);
    }
}

#[tokio::test]
async fn v1_148_and_v1_149_an_active_image_is_not_frozen() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[("name", "old")]).await;
    let image = put(&service, &id).meta("name", "new").send().await.expect(200).image();
    assert_eq!(image["name"], "new");
    let request = put(&service, &id).meta("disk_format", "qcow2").meta("min_disk", "7");
    let image = request.send().await.expect(200).image();
    assert_eq!((&image["disk_format"], &image["min_disk"]), (&"qcow2".into(), &7.into()));
    assert_eq!((&image["name"], &image["status"]), (&"new".into(), &"active".into()));
    let image = put(&service, &id).meta("disk_format", "ami").send().await.expect(200).image();
    assert_eq!(image["container_format"], "ami");
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abc");
}

#[tokio::test]
async fn v1_150_v1_151_and_v1_152_size_and_checksum_are_locked_but_for_administrators() {
    let service = Service::start().await;
    for status in ["active", "deactivated"] {
        let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        let before = service.snapshot(&id).await;
        let other = "0".repeat(32);
        for (name, value) in [("size", "4"), ("checksum", other.as_str()), ("checksum", "")] {
            let text = format!("Forbidden to modify '{name}' of {status} image.");
            let request = put(&service, &id).meta(name, value).meta("name", "x");
            request.send().await.expect_text(403, &text);
        }
        assert_eq!(service.snapshot(&id).await, before);
        let same = put(&service, &id).meta("size", "3").meta("checksum", md5_hex(b"abc"));
        same.send().await.expect(200);
        let request = service.put(&path(&id)).by(ADMIN).meta("size", "4").meta("checksum", &other);
        let image = request.send().await.expect(200).image();
        assert_eq!((&image["size"], &image["checksum"]), (&4.into(), &other.as_str().into()));
    }
}

/// §8.2: another size than that of the data is the administrator's word, not a fault of the service.
#[tokio::test]
async fn what_is_there_is_sent_under_another_size() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    service.put(&path(&id)).by(ADMIN).meta("size", "2").send().await.expect(200);
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"ab");
    service.put(&path(&id)).by(ADMIN).meta("size", "9").send().await.expect(200);
    let data = format!("/v2/images/{id}/file");
    let part = service.get(&data).by(OWNER).header("Range", "bytes=1-2").send().await.expect(206);
    assert_eq!(part.body, b"bc");
}

/// §3.1 and §5.6: a store matters where data are uploaded.
#[tokio::test]
async fn a_store_counts_for_uploads_alone() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    put(&service, &id).meta("store", "tape").send().await.expect(200);
    let id = service.image_id(OWNER, None, &[]).await;
    let request = put(&service, &id).meta("store", "tape").meta("name", "kept").formats().data(b"abc");
    request.send().await.expect_text(400, "Store for scheme tape not found");
    assert_eq!(service.record(&id).await["name"], "kept");
    let request = service.post("/v1/images").by(OWNER).meta("store", "tape");
    request.send().await.expect_text(400, "Required store tape is invalid");
}

#[tokio::test]
async fn v1_153_and_v1_154_status_and_id_do_not_change() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let before = service.snapshot(&id).await;
    for (name, value) in [("status", "queued".to_owned()), ("status", "deleted".to_owned()), ("id", new_id())]
    {
        let text = format!("Forbidden to modify '{name}' of image.");
        for caller in [OWNER, ADMIN] {
            let request = service.put(&path(&id)).by(caller).meta(name, &value).meta("name", "x");
            request.send().await.expect_text(403, &text);
        }
    }
    assert_eq!(service.snapshot(&id).await, before);
    put(&service, &id).meta("status", "active").meta("id", &id).send().await.expect(200);
}

#[tokio::test]
async fn v1_155_a_reserved_image_is_filled_and_its_promises_are_kept() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &FORMATS).await;
    let answer =
        put(&service, &id).meta("size", "3").meta("checksum", md5_hex(b"abc")).data("abc").send().await;
    let image = answer.expect(200).image();
    assert_eq!((&image["status"], &image["size"]), (&"active".into(), &3.into()));
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abc");

    for (name, value) in [("size", "5".to_owned()), ("checksum", "0".repeat(32))] {
        let id = service.image_id(OWNER, None, &[FORMATS[0], FORMATS[1], (name, &value)]).await;
        let request = put(&service, &id).meta("name", "kept").data("abcd");
        request.send().await.expect_text(400, "did not match. Setting image status to 'killed'.");
        assert_eq!(service.status(&id).await, "killed");
        // V1-230: the metadata were saved before the data came
        let head = service.head(&path(&id)).by(OWNER).send().await.expect(200);
        assert_eq!(head.meta("name").as_deref(), Some("kept"));
    }
    let id = service.image_id(OWNER, None, &FORMATS).await;
    let request = put(&service, &id).header("Content-Type", "text/plain").body("abc");
    request.send().await.expect_text(400, "Content-Type must be application/octet-stream");
    assert_eq!(service.status(&id).await, "killed");
    assert_eq!(service.bucket.keys().await.len(), 1);
    service.assert_settled().await;
}

/// The fourth case, an image that is saving, is with the uploads: a second upload is refused.
#[tokio::test]
async fn v1_156_only_a_queued_image_takes_data() {
    let service = Service::start().await;
    let active = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let killed = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &killed).formats().body("abc");
    request.send().await.expect(400);
    let empty = service.image_id(OWNER, None, &[("size", "0")]).await;
    for id in [&active, &killed, &empty] {
        let before = service.snapshot(id).await;
        for caller in [OWNER, ADMIN] {
            let request = service.put(&path(id)).by(caller).meta("name", "x").data("other");
            request.send().await.expect_text(409, "Cannot upload to an unqueued image");
        }
        // a JSON document is data like any other
        let request = put(&service, id).json(&json!({ "image": { "name": "x" } }));
        request.send().await.expect(409);
        assert_eq!(service.snapshot(id).await, before);
    }
    assert_eq!(service.get(&path(&active)).by(OWNER).send().await.expect(200).body, b"abc");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_157_and_v1_158_a_location_fills_a_queued_image_only() {
    let service = Service::start_with(allow).await;
    let source = Source::start().await;
    let url = source.put("/image", b"far away");
    let id = service.image_id(OWNER, None, &FORMATS).await;
    let before = service.snapshot(&id).await;
    for (wrong, text) in [
        ("http://", "Invalid location"),
        ("", "External source should not be empty"),
        ("file:///etc/passwd", "External sources are not supported: 'file:///etc/passwd'"),
    ] {
        put(&service, &id).meta("location", wrong).send().await.expect_text(400, text);
    }
    assert_eq!(service.snapshot(&id).await, before);
    let image = put(&service, &id).meta("location", &url).send().await.expect(200).image();
    assert_eq!((&image["status"], &image["size"]), (&"active".into(), &8.into()));
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"far away");

    let before = service.snapshot(&id).await;
    let text = "Attempted to update Location field for an image not in queued status.";
    for caller in [OWNER, ADMIN] {
        let request = service.put(&path(&id)).by(caller).meta("location", &url);
        request.send().await.expect_text(400, text);
    }
    assert_eq!(service.snapshot(&id).await, before);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_159_data_for_an_image_without_formats_are_refused() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    put(&service, &id).data("abc").send().await.expect_text(400, "Disk format is not specified");
    assert_eq!(service.status(&id).await, "queued");
    let request = put(&service, &id).meta("disk_format", "raw").data("abc");
    request.send().await.expect_text(400, "Container format is not specified");
    // the format just sent was saved
    let image =
        put(&service, &id).meta("container_format", "bare").data("abc").send().await.expect(200).image();
    assert_eq!((&image["status"], &image["disk_format"]), (&"active".into(), &"raw".into()));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_163_only_an_administrator_gives_an_image_away() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let image = put(&service, &id).meta("owner", "beta").send().await.expect(200).image();
    assert_eq!(image["owner"], "alpha");
    let request = service.put(&path(&id)).by(ADMIN).meta("owner", "beta");
    assert_eq!(request.send().await.expect(200).image()["owner"], "beta");
    service.head(&path(&id)).by(OWNER).send().await.expect(404);
}

fn with_properties(request: Request, names: impl Iterator<Item = usize>) -> Request {
    names.fold(request, |request, n| request.meta(&format!("property-p{n}"), "y"))
}

#[tokio::test]
async fn v1_164_and_v1_165_the_property_quota_counts_what_will_be_there() {
    let service = Service::start_with(|settings| settings.limits.image_property_quota = 10).await;
    let id = service.image_id(OWNER, None, &[("property-old", "x")]).await;
    let before = service.snapshot(&id).await;
    let request = with_properties(put(&service, &id), 0..11).meta("name", "x");
    request.send().await.expect_text(413, "Attempted: 11, Maximum: 10");
    // old and new together where nothing is purged
    let request = with_properties(put(&service, &id), 0..10).header(KEEP, "false");
    request.send().await.expect_text(413, "Attempted: 11, Maximum: 10");
    assert_eq!(service.snapshot(&id).await, before);
    with_properties(put(&service, &id), 0..10).send().await.expect(200);
    // what is overwritten counts once
    let request = with_properties(put(&service, &id), 0..10).header(KEEP, "false");
    let image = request.send().await.expect(200).image();
    assert_eq!(image["properties"].as_object().unwrap().len(), 10);
}

#[tokio::test]
async fn v1_166_the_size_cap_holds_for_updates_without_data() {
    let service = Service::start_with(|settings| settings.limits.image_size_cap = ByteSize(1000)).await;
    let id = service.image_id(OWNER, None, &FORMATS).await;
    let before = service.snapshot(&id).await;
    let text = "Denying attempt to upload image larger than 1000 bytes.";
    put(&service, &id).meta("size", "1001").send().await.expect_text(400, text);
    put(&service, &id).data([b'x'; 1001]).send().await.expect_text(400, text);
    assert_eq!(service.snapshot(&id).await, before);
    put(&service, &id).chunked([b'x'; 1001]).send().await.expect_text(413, text);
    assert_eq!(service.status(&id).await, "killed");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}
