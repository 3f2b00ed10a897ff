//! Reading images: V1-178 to V1-186 and the table of §8.2.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::uploads::md5_hex;
use crate::support::api::{ADMIN, LONELY, OCTETS, OTHER, OWNER, Service, THIRD, new_id};
use crate::support::s3::{Fault, FaultyS3};

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

#[tokio::test]
async fn v1_178_a_download_has_all_metadata_and_the_length_of_the_data() {
    let service = Service::start().await;
    let meta = [("name", "greeting"), ("property-distro", "none"), ("min_ram", "3")];
    let id = service.image_id(OWNER, Some(b"hello"), &meta).await;
    let answer = service.get(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, b"hello");
    assert_eq!(answer.header("content-type").as_deref(), Some(OCTETS));
    assert_eq!(answer.header("content-length").as_deref(), Some("5"));
    assert_eq!(answer.header("etag"), Some(md5_hex(b"hello")));
    for (name, value) in [
        ("id", id.as_str()),
        ("name", "greeting"),
        ("status", "active"),
        ("size", "5"),
        ("disk_format", "raw"),
        ("container_format", "bare"),
        ("checksum", "5d41402abc4b2a76b9719d911017c592"),
        ("min_ram", "3"),
        ("min_disk", "0"),
        ("is_public", "False"),
        ("protected", "False"),
        ("owner", "alpha"),
        ("deleted", "False"),
        ("property-distro", "none"),
    ] {
        assert_eq!(answer.meta(name).as_deref(), Some(value), "{name}");
    }
    // HEAD says the same of the image
    let mut shown = answer.headers;
    shown.retain(|(name, _)| name.to_ascii_lowercase().starts_with("x-image-meta-"));
    shown.sort();
    assert_eq!(shown, service.snapshot(&id).await);
}

#[tokio::test]
async fn v1_179_head_of_an_unknown_image_is_404_without_a_body() {
    let service = Service::start().await;
    for id in [new_id(), "1".to_owned(), "x".repeat(300)] {
        let answer = service.head(&path(&id)).by(ADMIN).send().await.expect(404);
        assert!(answer.body.is_empty());
    }
    let id = service.image_id(OWNER, None, &[]).await;
    let answer = service.head(&path(&id)).by(OTHER).send().await.expect(404);
    assert!(answer.body.is_empty());
    let text = format!("Image with identifier {id} not found");
    service.get(&path(&id)).by(OTHER).send().await.expect_text(404, &text);
}

#[tokio::test]
async fn v1_180_only_active_images_have_data() {
    let service = Service::start().await;
    let queued = service.image_id(OWNER, None, &[]).await;
    let killed = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &killed).formats().body("abc");
    request.send().await.expect(400);
    let other = service.image_id(OWNER, Some(b"abc"), &[]).await;
    for (id, status) in
        [(&queued, "queued"), (&killed, "killed"), (&other, "importing"), (&other, "uploading")]
    {
        if id == &other {
            service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        }
        for caller in [OWNER, ADMIN] {
            let answer = service.get(&path(id)).by(caller).send().await;
            answer.expect_text(404, &format!("Image {id} is not active"));
        }
        assert_eq!(service.status(id).await, status);
    }
}

#[tokio::test]
async fn v1_181_a_deactivated_image_cannot_be_downloaded_by_anybody() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let set = async |status: &str| {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
    };
    set("deactivated").await;
    for caller in [OWNER, ADMIN] {
        let answer = service.get(&path(&id)).by(caller).send().await;
        answer.expect_text(403, &format!("Image {id} is deactivated"));
        service.head(&path(&id)).by(caller).send().await.expect(200);
    }
    set("active").await;
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abc");
}

#[tokio::test]
async fn v1_182_and_v1_183_ranges_and_conditions_do_not_count() {
    let service = Service::start().await;
    let data = b"0123456789abcdef";
    let id = service.image_id(OWNER, Some(data), &[]).await;
    let checksum = md5_hex(data);
    for (name, value) in [
        ("Range", "bytes=0-9"),
        ("Range", "bytes=-4"),
        ("Range", "bytes=100-200"),
        ("Range", "bytes=0-1,4-5"),
        ("If-None-Match", checksum.as_str()),
        ("If-None-Match", "*"),
        ("If-Match", "\"other\""),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ] {
        let answer = service.get(&path(&id)).by(OWNER).header(name, value).send().await.expect(200);
        assert_eq!(answer.body, data, "{name}: {value}");
        assert_eq!(answer.header("content-length").as_deref(), Some("16"));
        assert_eq!(answer.header("content-range"), None);
    }
}

#[tokio::test]
async fn v1_184_data_missing_in_the_store_are_404() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let [key] = <[String; 1]>::try_from(service.bucket.keys().await).unwrap();
    service.bucket.client().delete_object().bucket(&service.bucket.name).key(key).send().await.unwrap();
    service.get(&path(&id)).by(OWNER).send().await.expect(404);
    service.head(&path(&id)).by(OWNER).send().await.expect(200);
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(service.status(&id).await, "deleted");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_185_policies_of_reading() {
    let rules = json!({ "get_image": "not role:blind", "download_image": "not role:deaf" });
    let service = Service::start_with_rules(&rules).await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let text = "Access was denied to this resource.";
    let (blind, deaf) = ("olga:alpha:blind", "olga:alpha:deaf");
    let head = service.head(&path(&id)).by(blind).send().await.expect(403);
    assert!(head.body.is_empty());
    service.get(&path(&id)).by(blind).send().await.expect_text(403, text);
    service.head(&path(&id)).by(deaf).send().await.expect(200);
    service.get(&path(&id)).by(deaf).send().await.expect_text(403, text);
    // a denied download hides whether there is anything
    let queued = service.image_id(OWNER, None, &[]).await;
    for target in [queued, new_id()] {
        service.get(&path(&target)).by(deaf).send().await.expect(403);
        service.get(&path(&target)).by(OWNER).send().await.expect(404);
    }
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abc");
}

#[tokio::test]
async fn v1_185_a_download_may_depend_on_the_image() {
    let rules = json!({ "download_image": "not ('test_1234':%(x_test_key)s and role:member)" });
    let service = Service::start_with_rules(&rules).await;
    let marked = service.image_id(OWNER, Some(b"abc"), &[("property-x_test_key", "test_1234")]).await;
    let plain = service.image_id(OWNER, Some(b"abc"), &[("property-x_test_key", "other")]).await;
    service.get(&path(&marked)).by(OWNER).send().await.expect(403);
    service.get(&path(&marked)).by(ADMIN).send().await.expect(200);
    service.get(&path(&plain)).by(OWNER).send().await.expect(200);
}

#[tokio::test]
async fn v1_186_an_image_without_owner_is_readable_by_its_id() {
    let service = Service::start().await;
    let id = service.image_id(ADMIN, Some(b"abc"), &[("owner", "")]).await;
    for caller in [OWNER, OTHER, THIRD, LONELY] {
        service.head(&path(&id)).by(caller).send().await.expect(200);
        assert_eq!(service.get(&path(&id)).by(caller).send().await.expect(200).body, b"abc");
    }
}

/// A stream that breaks at the store goes on where it broke.
#[tokio::test]
async fn a_download_survives_a_stream_cut_at_the_store() {
    let faulty = FaultyS3::nth("GetObject", 0, Fault::Truncate(100_000));
    let service = Service::start_faulty(&faulty).await;
    let data: Vec<u8> = (0..400_000_u32).map(|n| (n % 249) as u8).collect();
    let id = service.image_id(OWNER, Some(&data), &[]).await;
    let answer = service.get(&path(&id)).by(OWNER).send().await.expect(200);
    assert!(answer.body == data, "other bytes came back");
    assert!(faulty.count("GetObject") >= 2);
}

/// A store that cannot go on must not make a short image look whole.
#[tokio::test]
async fn a_download_that_cannot_go_on_is_cut_and_never_ends_cleanly() {
    let gets = AtomicUsize::new(0);
    let faulty = FaultyS3::start(move |call| match call.operation {
        "GetObject" if gets.fetch_add(1, Ordering::SeqCst) == 0 => Fault::Truncate(100_000),
        "GetObject" => Fault::Truncate(0),
        _ => Fault::Pass,
    });
    let service = Service::start_faulty(&faulty).await;
    let data: Vec<u8> = (0..400_000_u32).map(|n| (n % 249) as u8).collect();
    let id = service.image_id(OWNER, Some(&data), &[]).await;
    let answer = service.get(&path(&id)).by(OWNER).send().await;
    if answer.status == 503 {
        // the cut overtook the head of the store's answer, so the client is told in words
        return;
    }
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-length").as_deref(), Some("400000"));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.body.len() <= 100_000, "{} bytes", answer.body.len());
    assert!(data.starts_with(&answer.body), "other bytes came");
    assert_eq!(service.status(&id).await, "active");
}
