//! Data from elsewhere, by location and by copy-from: V1-124 to V1-135, V1-253, V1-254, V1-258, V1-267 to V1-269,
//! and A07 and A08 on both entrances.

use serde_json::Value;

use super::uploads::md5_hex;
use crate::support::api::{ADMIN, OWNER, Request, Service, new_id};
use crate::support::eventually;
use crate::support::source::{Source, allow, unreachable};

const COPY_FROM: &str = "x-glance-api-copy-from";
const LOCATION: &str = "x-image-meta-location";
const DATA: &[u8] = b"far away";
const IMAGES: &str = "SELECT count(*) FROM images";

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

async fn world() -> (Service, Source) {
    (Service::start_with(allow).await, Source::start().await)
}

fn post(service: &Service) -> Request {
    service.post("/v1/images").by(OWNER).formats()
}

fn id_of(image: &Value) -> String {
    image["id"].as_str().unwrap().to_owned()
}

/// Waits for the end of a copy.
async fn copied(service: &Service, id: &str) -> String {
    eventually("the copy ends", async || {
        Some(service.status(id).await).filter(|status| status == "active" || status == "killed")
    })
    .await
}

#[tokio::test]
async fn v1_124_and_v1_134_other_schemes_are_refused_and_quoted() {
    let (service, _source) = world().await;
    for url in ["file:///etc/passwd", "filesystem:///etc/passwd", "swift+config://x", "bad+scheme://x"] {
        for entrance in [LOCATION, COPY_FROM] {
            let text = format!("External sources are not supported: '{url}'");
            post(&service).header(entrance, url).send().await.expect_text(400, &text);
        }
    }
    assert_eq!(service.count(IMAGES).await, 0);
}

#[tokio::test]
async fn v1_125_and_v1_126_malformed_and_empty_sources_are_refused() {
    let (service, _source) = world().await;
    for entrance in [LOCATION, COPY_FROM] {
        post(&service).header(entrance, "http://").send().await.expect_text(400, "Invalid location");
        let empty = post(&service).header(entrance, "").send().await;
        empty.expect_text(400, "External source should not be empty");
    }
    assert_eq!(service.count(IMAGES).await, 0);
}

#[tokio::test]
async fn v1_127_a_location_activates_the_image_and_is_not_shown() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let image = post(&service).header(LOCATION, &url).send().await.expect(201).image();
    assert_eq!((&image["status"], &image["size"]), (&"active".into(), &8.into()));
    assert!(image.get("location").is_none(), "{image}");
    let head = service.head(&path(&id_of(&image))).by(OWNER).send().await.expect(200);
    assert_eq!(head.meta("location"), None);
    let got = service.get(&path(&id_of(&image))).by(OWNER).send().await.expect(200);
    assert_eq!(got.body, DATA);
    // the data stay where they are
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_128_a_location_needs_both_formats() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    for (given, value, text) in [
        ("container_format", "bare", "Disk format is not specified"),
        ("disk_format", "raw", "Container format is not specified"),
    ] {
        let id = new_id();
        let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta(given, value);
        request.header(LOCATION, &url).send().await.expect_text(400, text);
        assert_eq!(service.status(&id).await, "queued");
    }
}

#[tokio::test]
async fn v1_129_and_v1_133_a_missing_source_is_404_and_another_size_409() {
    let (service, source) = world().await;
    for entrance in [LOCATION, COPY_FROM] {
        let missing = post(&service).header(entrance, source.url("/missing")).send().await;
        missing.expect_text(404, "HTTP datastore could not find image at URI.");
    }
    assert_eq!(service.count(IMAGES).await, 0);
    let id = new_id();
    let url = source.put("/image", DATA);
    let request = post(&service).meta("id", &id).meta("size", "9").header(LOCATION, &url);
    request.send().await.expect_text(409, "Provided image size must match the stored image size.");
    assert_eq!(service.status(&id).await, "queued");
    post(&service).meta("size", "8").header(LOCATION, &url).send().await.expect(201);
}

#[tokio::test]
async fn v1_130_two_sources_are_refused_and_the_record_stays_queued() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let text = "It's invalid to provide multiple image sources.";
    let ids = [(); 4].map(|()| new_id());
    let request = |n: usize| post(&service).meta("id", &ids[n]);
    request(0).header(LOCATION, &url).data("abc").send().await.expect_text(400, text);
    request(1).header(COPY_FROM, &url).data("abc").send().await.expect_text(400, text);
    request(2).header(COPY_FROM, &url).header(LOCATION, &url).send().await.expect_text(400, text);
    let all = request(3).header(COPY_FROM, &url).header(LOCATION, &url).data("abc");
    all.send().await.expect_text(400, text);
    for id in &ids {
        assert_eq!(service.status(id).await, "queued");
    }
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_131_and_v1_132_a_copy_is_made_behind_the_answer_and_outlives_its_source() {
    let (service, source) = world().await;
    let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let url = source.put("/image", &data);
    let image = post(&service).header(COPY_FROM, &url).send().await.expect(201).image();
    assert_eq!((&image["status"], &image["size"]), (&"queued".into(), &300_000.into()));
    let id = id_of(&image);
    assert_eq!(copied(&service, &id).await, "active");
    source.remove("/image");
    let got = service.get(&path(&id)).by(OWNER).send().await.expect(200);
    assert!(got.body == data, "other bytes came back");
    assert_eq!(got.meta("checksum"), Some(md5_hex(&data)));
    assert_eq!(service.bucket.keys().await.len(), 1);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_135_the_size_of_a_large_location_is_not_truncated() {
    let (service, source) = world().await;
    let size = 5_u64 << 30;
    let url = source.put_announced("/large", b"", size);
    let request = post(&service).meta("size", size.to_string()).header(LOCATION, &url);
    let image = request.send().await.expect(201).image();
    assert_eq!((&image["status"], &image["size"]), (&"active".into(), &size.into()));
    let head = service.head(&path(&id_of(&image))).by(OWNER).send().await.expect(200);
    assert_eq!(head.meta("size").as_deref(), Some("5368709120"));
}

#[tokio::test]
async fn v1_253_a_copy_whose_source_ends_early_kills_the_image() {
    let (service, source) = world().await;
    let url = source.put_announced("/short", b"only this", 1_000_000);
    let image = post(&service).header(COPY_FROM, &url).send().await.expect(201).image();
    assert_eq!(copied(&service, &id_of(&image)).await, "killed");
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_254_a_location_whose_source_vanished_is_404_and_can_be_deleted() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let id = id_of(&post(&service).header(LOCATION, &url).send().await.expect(201).image());
    source.remove("/image");
    service.get(&path(&id)).by(OWNER).send().await.expect(404);
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(service.status(&id).await, "deleted");
    assert!(!source.requests().iter().any(|request| request.starts_with("DELETE")));
}

/// A location whose data changed its size is never served as the image.
#[tokio::test]
async fn a_location_of_another_size_than_registered_does_not_end_cleanly() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let id = id_of(&post(&service).header(LOCATION, &url).send().await.expect(201).image());
    source.put("/image", b"short");
    let answer = service.get(&path(&id)).by(OWNER).send().await;
    assert!(answer.status >= 500, "{answer:?}");
    source.put_announced("/image", b"far", 8);
    let answer = service.get(&path(&id)).by(OWNER).send().await;
    if answer.status == 200 {
        assert_eq!(answer.header("content-length").as_deref(), Some("8"));
        assert!(answer.body.len() < 8, "{answer:?}");
    } else {
        assert!(answer.status >= 500, "{answer:?}");
    }
}

#[tokio::test]
async fn v1_258_a_copy_takes_the_size_of_its_source_but_keeps_to_the_checksum() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let image = post(&service).meta("size", "5").header(COPY_FROM, &url).send().await.expect(201).image();
    let id = id_of(&image);
    assert_eq!(copied(&service, &id).await, "active");
    let head = service.head(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(head.meta("size").as_deref(), Some("8"));
    assert_eq!(head.meta("checksum"), Some(md5_hex(DATA)));

    let wrong = post(&service).meta("checksum", "0".repeat(32)).header(COPY_FROM, &url);
    let id = id_of(&wrong.send().await.expect(201).image());
    assert_eq!(copied(&service, &id).await, "killed");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_267_a_copy_needs_no_formats_and_fills_a_reserved_image_once() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let request = service.post("/v1/images").by(OWNER).header(COPY_FROM, &url);
    let id = id_of(&request.send().await.expect(201).image());
    assert_eq!(copied(&service, &id).await, "active");
    let head = service.head(&path(&id)).by(OWNER).send().await.expect(200);
    assert_eq!((head.meta("disk_format"), head.meta("container_format")), (None, None));

    let id = service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "bare")]).await;
    let put = || service.put(&path(&id)).by(OWNER).header(COPY_FROM, &url);
    assert_eq!(put().send().await.expect(200).image()["status"], "queued");
    assert_eq!(copied(&service, &id).await, "active");
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, DATA);
    let before = service.snapshot(&id).await;
    put()
        .send()
        .await
        .expect_text(400, "Attempted to update Location field for an image not in queued status.");
    assert_eq!(service.snapshot(&id).await, before);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_268_a_source_out_of_reach() {
    let (service, _source) = world().await;
    let url = unreachable().await;
    for entrance in [LOCATION, COPY_FROM] {
        post(&service).header(entrance, &url).send().await.expect(400);
    }
    assert_eq!(service.count(IMAGES).await, 0);
    let id = new_id();
    post(&service).meta("id", &id).meta("size", "5").header(LOCATION, &url).send().await.expect(400);
    assert_eq!(service.status(&id).await, "queued");
    let copy = post(&service).meta("size", "5").header(COPY_FROM, &url).send().await.expect(201).image();
    assert_eq!(copied(&service, &id_of(&copy)).await, "killed");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_269_a_location_takes_size_zero_for_none_and_stores_the_checksum_as_sent() {
    let (service, source) = world().await;
    let url = source.put("/image", DATA);
    let request = post(&service).meta("size", "0").meta("checksum", "0".repeat(32)).header(LOCATION, &url);
    let image = request.send().await.expect(201).image();
    assert_eq!((&image["status"], &image["size"]), (&"active".into(), &8.into()));
    assert_eq!(image["checksum"], "0".repeat(32));
    // a location's data is not read at registration
    assert!(source.requests().iter().all(|request| request.starts_with("HEAD")), "{:?}", source.requests());
}

/// A07: the guard of every fetch stands at both entrances, on POST and on PUT. A08: so does the list of schemes.
#[tokio::test]
async fn a07_and_a08_hold_at_both_entrances() {
    let service = Service::start_with(|settings| settings.import.allow_http_locations = true).await;
    let source = Source::start().await;
    let loopback = source.put("/secret", DATA);
    let port = loopback.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let reserved =
        service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "bare")]).await;
    let before = service.snapshot(&reserved).await;
    let forbidden = [
        loopback,
        format!("http://localhost:{port}/secret"),
        format!("http://[::1]:{port}/secret"),
        format!("http://[::ffff:127.0.0.1]:{port}/secret"),
        format!("http://2130706433:{port}/secret"),
        format!("http://0:{port}/secret"),
        "http://127.0.0.1/secret".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/x".to_owned(),
        "http://192.168.0.1/x".to_owned(),
        "https://[fe80::1]/x".to_owned(),
        "http://example.org:22/x".to_owned(),
        "http://user:pass@example.org/x".to_owned(),
        "http://example.org/x#fragment".to_owned(),
    ];
    let schemes = [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "filesystem:///etc/passwd",
        "swift+config://reference/container/object",
        "s3://key:secret@bucket/object",
        "ftp://example.org/x",
        "gopher://example.org/x",
        "data:text/plain,x",
        "\\\\host\\share",
        "//example.org/x",
        "image",
    ];
    for url in forbidden.iter().map(String::as_str).chain(schemes) {
        for entrance in [LOCATION, COPY_FROM] {
            for size in ["0", "8"] {
                let request = post(&service).meta("size", size).header(entrance, url).send().await;
                assert_eq!(request.status, 400, "POST {entrance} {url}: {}", request.text());
            }
            let request = service.put(&path(&reserved)).by(OWNER).header(entrance, url).send().await;
            assert_eq!(request.status, 400, "PUT {entrance} {url}: {}", request.text());
        }
    }
    assert!(source.requests().is_empty(), "{:?}", source.requests());
    assert_eq!(service.count(IMAGES).await, 1);
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
    assert_eq!(service.snapshot(&reserved).await, before);
    // administrators are no exception
    let request = service.post("/v1/images").by(ADMIN).formats().header(COPY_FROM, &forbidden[0]);
    request.send().await.expect(400);
}

/// Without leave to keep data elsewhere a location is refused whatever it is; a copy is not.
#[tokio::test]
async fn locations_are_refused_where_data_may_not_stay_elsewhere() {
    let service = Service::start_with(|settings| {
        allow(settings);
        settings.import.allow_http_locations = false;
    })
    .await;
    let source = Source::start().await;
    let url = source.put("/image", DATA);
    let text = format!("External sources are not supported: '{url}'");
    post(&service).header(LOCATION, &url).send().await.expect_text(400, &text);
    assert!(source.requests().is_empty());
    let image = post(&service).header(COPY_FROM, &url).send().await.expect(201).image();
    assert_eq!(copied(&service, &id_of(&image)).await, "active");
    service.assert_settled().await;
}
