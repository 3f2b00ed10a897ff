//! Creating images without a remote source: V1-101 to V1-123 and V1-135 to V1-139.

use std::fmt::Write;

use serde_json::{Value, json};
use vitrine::config::IdentityMode;
use vitrine::config::units::ByteSize;

use super::uploads::md5_hex;
use crate::support::api::{ADMIN, LONELY, OCTETS, OWNER, Service, new_id};
use crate::support::file::ScratchFile;

const IMAGES: &str = "SELECT count(*) FROM images";

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

#[tokio::test]
async fn v1_101_a_request_without_anything_reserves_an_image() {
    let service = Service::start().await;
    let image = service.post("/v1/images").by(OWNER).send().await.expect(201).image();
    assert_eq!(image["status"], "queued");
    assert_eq!(image["size"], 0);
    assert_eq!(image["owner"], "alpha");
    for name in ["name", "disk_format", "container_format", "checksum"] {
        assert_eq!(image[name], Value::Null, "{name}");
    }
    assert_eq!(service.status(image["id"].as_str().unwrap()).await, "queued");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_102_data_with_formats_make_an_active_image() {
    let service = Service::start().await;
    let data: Vec<u8> = (0..5120_u32).map(|n| (n % 251) as u8).collect();
    let answer = service.post("/v1/images").by(OWNER).formats().data(&data).send().await.expect(201);
    let image = answer.image();
    assert_eq!(image["status"], "active");
    assert_eq!(image["size"], 5120);
    assert_eq!(image["checksum"], md5_hex(&data));
    assert_eq!(answer.header("etag"), Some(md5_hex(&data)));
    let got = service.get(&path(image["id"].as_str().unwrap())).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, data);
    service.assert_settled().await;
    assert_eq!(service.bucket.keys().await.len(), 1);
}

#[tokio::test]
async fn v1_103_and_v1_104_chunks_give_the_real_size_also_when_there_are_none() {
    let service = Service::start().await;
    for (data, checksum) in
        [(&b"hello"[..], "5d41402abc4b2a76b9719d911017c592"), (b"", "d41d8cd98f00b204e9800998ecf8427e")]
    {
        let image =
            service.post("/v1/images").by(OWNER).formats().chunked(data).send().await.expect(201).image();
        assert_eq!(image["status"], "active");
        assert_eq!(image["size"], data.len());
        assert_eq!(image["checksum"], checksum);
        let got = service.get(&path(image["id"].as_str().unwrap())).by(OWNER).send().await.expect(200);
        assert_eq!(got.body, data);
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_105_and_v1_106_data_of_another_media_type_kill_the_image() {
    let service = Service::start().await;
    for media_type in [None, Some("application/octet-st"), Some("application/json")] {
        let id = new_id();
        let mut request = service.post("/v1/images").by(OWNER).meta("id", &id).formats().body("abc");
        if let Some(media_type) = media_type {
            request = request.header("Content-Type", media_type);
        }
        request.send().await.expect_text(400, "Content-Type must be application/octet-stream");
        assert_eq!(service.status(&id).await, "killed", "{media_type:?}");
    }
    // parameters do not count
    let with_parameter = format!("{OCTETS}; charset=binary");
    let request = service.post("/v1/images").by(OWNER).formats().header("Content-Type", with_parameter);
    request.body("abc").send().await.expect(201);
    assert_eq!(service.bucket.keys().await.len(), 1);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_107_and_v1_108_data_without_a_format_leave_the_image_queued() {
    let service = Service::start().await;
    for (given, value, text) in [
        ("container_format", "bare", "Disk format is not specified."),
        ("disk_format", "raw", "Container format is not specified."),
    ] {
        let id = new_id();
        let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta(given, value).data("abc");
        request.send().await.expect_text(400, text);
        assert_eq!(service.status(&id).await, "queued");
    }
    let neither = service.post("/v1/images").by(OWNER).data("abc");
    neither.send().await.expect_text(400, "Disk format is not specified.");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_109_and_v1_110_an_unknown_or_empty_format_creates_nothing() {
    let service = Service::start().await;
    for (name, value, text) in [
        ("disk_format", "bad_value", "Invalid disk format 'bad_value' for image"),
        ("container_format", "bad_value", "Invalid container format 'bad_value' for image"),
        ("disk_format", "RAW", "Invalid disk format 'RAW' for image"),
        ("disk_format", "", "Invalid disk format 'None' for image"),
        ("container_format", "", "Invalid container format 'None' for image"),
    ] {
        let id = new_id();
        let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta(name, value);
        request.data("abc").send().await.expect_text(400, text);
        service.head(&path(&id)).by(ADMIN).send().await.expect(404);
    }
    assert_eq!(service.count(IMAGES).await, 0);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_111_and_v1_112_amazon_formats_go_together() {
    let service = Service::start().await;
    for format in ["ami", "aki", "ari"] {
        for name in ["disk_format", "container_format"] {
            let image = service.image(OWNER, None, &[(name, format)]).await;
            assert_eq!(image["disk_format"], format);
            assert_eq!(image["container_format"], format);
        }
    }
    let before = service.count(IMAGES).await;
    for (disk, container) in [("aki", "ami"), ("ami", "bare"), ("raw", "ari")] {
        let request = service.post("/v1/images").by(OWNER).meta("disk_format", disk);
        let answer = request.meta("container_format", container).send().await;
        answer.expect_text(400, "Invalid mix of disk and container formats.");
    }
    assert_eq!(service.count(IMAGES).await, before);
}

#[tokio::test]
async fn v1_113_size_zero_without_data_is_an_empty_active_image() {
    let service = Service::start().await;
    let image = service.image(OWNER, None, &[("size", "0")]).await;
    assert_eq!(image["status"], "active");
    assert_eq!(image["disk_format"], Value::Null);
    let got = service.get(&path(image["id"].as_str().unwrap())).by(OWNER).send().await.expect(200);
    assert!(got.body.is_empty());
    assert_eq!(got.header("content-length").as_deref(), Some("0"));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_114_a_status_sent_does_not_count() {
    let service = Service::start().await;
    assert_eq!(service.image(OWNER, None, &[("status", "active")]).await["status"], "queued");
    let request = service.post("/v1/images").by(OWNER).formats().meta("status", "killed").data("abc");
    assert_eq!(request.send().await.expect(201).image()["status"], "active");
}

#[tokio::test]
async fn v1_115_and_v1_116_data_that_break_a_promise_kill_the_image() {
    let service = Service::start().await;
    let right = md5_hex(b"abcd");
    for (name, value, text) in [
        (
            "size",
            "5",
            "Supplied size (5) and size generated from uploaded image (4) did not match. Setting image status to \
             'killed'.",
        ),
        ("size", "3", "Supplied size (3) and size generated from uploaded image (4) did not match."),
        ("checksum", "00000000000000000000000000000000", "did not match. Setting image status to 'killed'."),
    ] {
        for chunked in [false, true] {
            let id = new_id();
            let request = service.post("/v1/images").by(OWNER).meta("id", &id).formats().meta(name, value);
            let request = if chunked { request.chunked("abcd") } else { request.data("abcd") };
            request.send().await.expect_text(400, text);
            assert_eq!(service.status(&id).await, "killed", "{name} {value}");
            service.get(&path(&id)).by(OWNER).send().await.expect(404);
            assert!(!service.ids(OWNER, "").await.contains(&id), "a killed image is listed");
        }
    }
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
    let request = service.post("/v1/images").by(OWNER).formats().meta("size", "4").meta("checksum", &right);
    let image = request.data("abcd").send().await.expect(201).image();
    assert_eq!(image["checksum"], right);
    // also promised at the reservation and checked later
    let id = service.image_id(OWNER, None, &[("checksum", &right), ("size", "4")]).await;
    assert_eq!(service.snapshot(&id).await.iter().filter(|(_, value)| *value == right.as_bytes()).count(), 1);
}

#[tokio::test]
async fn v1_117_v1_118_and_v1_119_ids_of_the_client() {
    let service = Service::start().await;
    let id = new_id();
    assert_eq!(service.image(OWNER, None, &[("id", &id)]).await["id"], id.as_str());
    let text = format!("An image with identifier {id} already exists");
    let again_by = |caller: &str| service.post("/v1/images").by(caller).meta("id", &id);
    let again = || again_by(OWNER);
    let before = service.snapshot(&id).await;
    again().send().await.expect_text(409, &text);
    again().meta("name", "other").formats().data("abc").send().await.expect_text(409, &text);
    assert_eq!(service.snapshot(&id).await, before);
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    again().send().await.expect_text(409, &text);
    again_by(ADMIN).send().await.expect(409);
    assert_eq!(service.status(&id).await, "deleted");

    for wrong in ["not-a-uuid", "42"] {
        let answer = service.post("/v1/images").by(OWNER).meta("id", wrong).send().await;
        answer.expect_text(400, "Invalid image id format");
    }
    assert_eq!(service.count(IMAGES).await, 1);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_120_the_size_cap_holds_for_header_length_and_stream() {
    let service = Service::start_with(|settings| settings.limits.image_size_cap = ByteSize(1000)).await;
    let text = "Denying attempt to upload image larger than 1000 bytes.";
    let post = || service.post("/v1/images").by(OWNER).formats();
    post().meta("size", "1001").send().await.expect_text(400, text);
    post().data([b'x'; 1001]).send().await.expect_text(400, text);
    // refused on the announcement alone
    post().announcing(1001).open().await.answer().await.expect_text(400, text);
    assert_eq!(service.count(IMAGES).await, 0);

    let id = new_id();
    post().meta("id", &id).chunked([b'x'; 1001]).send().await.expect_text(413, text);
    assert_eq!(service.status(&id).await, "killed");
    assert!(service.bucket.keys().await.is_empty());
    post().data([b'x'; 1000]).send().await.expect(201);
    post().chunked([b'x'; 1000]).send().await.expect(201);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_121_the_storage_quota_holds_for_header_and_data() {
    let service = Service::start_with(|settings| settings.limits.user_storage_quota = ByteSize(1000)).await;
    let post = |id: &str| service.post("/v1/images").by(OWNER).formats().meta("id", id);
    let text = "Denying attempt to upload image because it exceeds the quota";
    let (announced, known, unknown) = (new_id(), new_id(), new_id());
    post(&announced).meta("size", "1001").data([b'x'; 10]).send().await.expect_text(413, text);
    post(&known).data([b'x'; 1001]).send().await.expect_text(413, text);
    post(&unknown).chunked([b'x'; 1001]).send().await.expect_text(413, "Denying attempt to upload image");
    for id in [announced, known, unknown] {
        assert_eq!(service.status(&id).await, "killed");
    }
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
    post(&new_id()).data([b'x'; 999]).send().await.expect(201);
    post(&new_id()).data([b'x'; 2]).send().await.expect_text(413, text);
    post(&new_id()).chunked([b'x'; 1]).send().await.expect(201);
    // the quota of one project is not that of another
    service.post("/v1/images").by(ADMIN).formats().data([b'x'; 999]).send().await.expect(201);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_122_more_properties_than_the_quota_create_nothing() {
    let service = Service::start_with(|settings| settings.limits.image_property_quota = 10).await;
    let post = |count: usize| {
        let named =
            |request: crate::support::api::Request, n: usize| request.meta(&format!("property-p{n}"), "x");
        (0..count).fold(service.post("/v1/images").by(OWNER), named).send()
    };
    post(11).await.expect_text(413, "Attempted: 11, Maximum: 10");
    assert_eq!(service.count(IMAGES).await, 0);
    let image = post(10).await.expect(201).image();
    assert_eq!(image["properties"].as_object().unwrap().len(), 10);

    let service = Service::start_with(|settings| settings.limits.image_property_quota = 0).await;
    let one = service.post("/v1/images").by(OWNER).meta("property-a", "x").send().await;
    one.expect_text(413, "Attempted: 1, Maximum: 0");
    service.post("/v1/images").by(OWNER).send().await.expect(201);
}

#[tokio::test]
async fn v1_123_an_unknown_store_creates_nothing() {
    let service = Service::start().await;
    let post = |store: &str| service.post("/v1/images").by(OWNER).formats().meta("store", store).data("abc");
    post("bad").send().await.expect_text(400, "Required store bad is invalid");
    assert_eq!(service.count(IMAGES).await, 0);
    assert!(service.bucket.keys().await.is_empty());
    for known in ["main", "s3"] {
        post(known).send().await.expect(201);
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_135_sizes_beyond_32_bits_survive() {
    let service = Service::start().await;
    let size = 5_u64 << 30;
    let image = service.image(OWNER, None, &[("size", &size.to_string())]).await;
    assert_eq!(image["size"], size);
    let head = service.head(&path(image["id"].as_str().unwrap())).by(OWNER).send().await.expect(200);
    assert_eq!(head.meta("size").as_deref(), Some("5368709120"));
}

#[tokio::test]
async fn v1_136_only_an_administrator_chooses_the_owner() {
    let service = Service::start().await;
    assert_eq!(service.image(ADMIN, None, &[("owner", "somebody")]).await["owner"], "somebody");
    assert_eq!(service.image(ADMIN, None, &[("owner", "")]).await["owner"], Value::Null);
    assert_eq!(service.image(OWNER, None, &[("owner", "somebody")]).await["owner"], "alpha");
    assert_eq!(service.image(LONELY, None, &[]).await["owner"], Value::Null);
}

#[tokio::test]
async fn v1_137_publishing_needs_an_administrator() {
    let service = Service::start().await;
    let request = service.post("/v1/images").by(OWNER).meta("is_public", "True");
    request.send().await.expect_text(403, "Access was denied to this resource.");
    assert_eq!(service.count(IMAGES).await, 0);
    assert_eq!(service.image(ADMIN, None, &[("is_public", "True")]).await["is_public"], true);
}

#[tokio::test]
async fn v1_138_denied_policies_create_nothing() {
    let text = "Access was denied to this resource.";
    let formats = |service: &Service| service.post("/v1/images").by(OWNER).formats();
    let service = Service::start_with_rules(&json!({ "add_image": "!" })).await;
    service.post("/v1/images").by(OWNER).send().await.expect_text(403, text);
    assert_eq!(service.count(IMAGES).await, 0);

    let service = Service::start_with_rules(&json!({ "upload_image": "!" })).await;
    formats(&service).data("abc").send().await.expect_text(403, text);
    let copy = formats(&service).header("x-glance-api-copy-from", "http://example.org/x");
    copy.send().await.expect_text(403, text);
    assert_eq!(service.count(IMAGES).await, 0);
    service.post("/v1/images").by(OWNER).send().await.expect(201);

    let service = Service::start_with_rules(&json!({ "copy_from": "!", "set_image_location": "!" })).await;
    let copy = formats(&service).header("x-glance-api-copy-from", "http://example.org/x");
    copy.send().await.expect_text(403, text);
    for location in ["http://example.org/x", ""] {
        formats(&service).meta("location", location).send().await.expect_text(403, text);
    }
    assert_eq!(service.count(IMAGES).await, 0);
    formats(&service).data("abc").send().await.expect(201);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_139_a_read_only_caller_creates_nothing() {
    let service = Service::start_with(|settings| {
        settings.identity.mode = IdentityMode::Header;
        settings.identity.header.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
        settings.identity.allow_anonymous_access = true;
    })
    .await;
    service.post("/v1/images").send().await.expect_text(403, "Read-only access");
    service.post("/v1/images").formats().data("abc").send().await.expect_text(403, "Read-only access");
    assert_eq!(service.count(IMAGES).await, 0);
    let request = service.post("/v1/images").header("X-Identity-Status", "Confirmed");
    let image =
        request.header("X-User-Id", "u").header("X-Tenant-Id", "alpha").send().await.expect(201).image();
    let target = path(image["id"].as_str().unwrap());
    // also rows 5 of §6.1 and 1 of §7
    service.put(&target).meta("name", "x").send().await.expect_text(403, "Read-only access");
    service.delete(&target).send().await.expect_text(403, "Read-only access");
    assert_eq!(
        service.count("SELECT count(*) FROM images WHERE name IS NULL AND status = 'queued'").await,
        1
    );
}

/// Rows 1 to 3, 7, 16 and 17 of §5.3 that no assertion above covers: nothing is created.
#[tokio::test]
async fn requests_refused_before_the_record_create_nothing() {
    let mut protections = String::new();
    for (section, create) in [("^x_owner_", "admin"), (".*", "@")] {
        writeln!(protections, "[{section}]\ncreate = {create}\nread = @\nupdate = @\ndelete = @").unwrap();
    }
    let file = ScratchFile::new("protections.conf", &protections);
    let service =
        Service::start_with(|settings| settings.policy.property_protection_file = Some(file.path.clone()))
            .await;
    let post = || service.post("/v1/images").by(OWNER).formats().data("abc");
    service.post("/v1/images").by("nonsense").send().await.expect(401);
    post().meta("foo", "1").send().await.expect_text(400, "Bad header");
    post().meta("size", "x").send().await.expect_text(400, "Cannot convert image size 'x' to an integer.");
    post().meta("name", "n".repeat(256)).send().await.expect(400);
    post().meta("checksum", "c".repeat(42)).send().await.expect_text(400, "Invalid checksum");
    post().meta("created_at", "foo").send().await.expect(400);
    let property = post().meta("property-x_owner_foo", "bar").send().await;
    property.expect_text(403, "Property 'x_owner_foo' is protected");
    for name in ["min_disk", "min_ram"] {
        let text = format!("'{name}' value out of range, must not exceed 2147483647.");
        post().meta(name, "2147483648").send().await.expect_text(400, &text);
    }
    post()
        .meta("name", "\u{1F600}")
        .send()
        .await
        .expect_text(400, "Name can't contain 4 byte unicode characters.");
    assert_eq!(service.count(IMAGES).await, 0);
    assert!(service.bucket.keys().await.is_empty());
    service.post("/v1/images").by(ADMIN).meta("property-x_owner_foo", "bar").send().await.expect(201);
}
