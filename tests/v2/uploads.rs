//! The way of the data into an image: V2-198 to V2-214, V2-225, V2-351, A18, A20, A23, A39 and A40.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use md5::Md5;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use vitrine::config::HashAlgorithm;
use vitrine::config::units::ByteSize;

use super::READER;
use crate::support::api::{ADMIN, OCTETS, OTHER, OWNER, Request, Service, new_id};
use crate::support::eventually;
use crate::support::s3::{Fault, FaultyS3};
use crate::support::v2::raw;

const MIB: usize = 1 << 20;
/// The smallest part that S3 allows.
pub const PART: usize = 5 * MIB;

/// Bytes without a short period, so that a part in the wrong place shows.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// MD5 in hex.
pub fn md5_hex(data: &[u8]) -> String {
    hex::encode(Md5::digest(data))
}

/// Path of the data of an image.
pub fn file(id: &str) -> String {
    format!("/v2/images/{id}/file")
}

/// Waits until an image has this status.
pub async fn until(service: &Service, id: &str, status: &str) {
    eventually(&format!("the image is {status}"), async || {
        let answer = service.get(&format!("/v2/images/{id}")).by(ADMIN).send().await;
        (answer.status == 200 && answer.json()["status"] == json!(status)).then_some(())
    })
    .await;
}

/// Asserts that an image waits for its data as if none had ever come.
#[track_caller]
pub fn assert_empty(image: &Value) {
    assert_eq!(image["status"], json!("queued"), "{image}");
    for unknown in ["size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"] {
        assert_eq!(image[unknown], Value::Null, "{unknown}: {image}");
    }
}

/// Nothing lies in the store, as soon as what is under way there has ended.
pub async fn until_bucket_is_empty(service: &Service) {
    eventually("nothing is left in the bucket", async || {
        let empty = service.bucket.keys().await.is_empty() && service.bucket.open_uploads().await.is_empty();
        empty.then_some(())
    })
    .await;
}

fn put(service: &Service, id: &str) -> Request {
    service.put(&file(id)).by(OWNER)
}

/// V2-198 to V2-200 and V2-202.
#[tokio::test]
async fn v2_198_to_202_data_make_an_image_active_and_are_described() {
    let service = Service::start().await;
    for (data, chunked) in [(pattern(10), false), (pattern(70_001), false), (pattern(70_003), true)] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id);
        let request = if chunked { request.chunked(&data) } else { request.data(&data) };
        let answer = request.send().await.expect(204);
        assert!(answer.body.is_empty());
        let image = service.show(OWNER, &id).await;
        assert_eq!(image["status"], json!("active"));
        assert_eq!(image["checksum"], json!(md5_hex(&data)));
        assert_eq!(image["os_hash_algo"], json!("sha512"));
        assert_eq!(image["os_hash_value"], json!(hex::encode(Sha512::digest(&data))));
        assert_eq!((&image["size"], &image["virtual_size"]), (&json!(data.len()), &json!(data.len())));
        assert_eq!(service.download(OWNER, &id).await.expect(200).body, data);
    }
    assert_eq!(service.bucket.keys().await.len(), 3);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_201_image_data_are_octets() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    put(&service, &id).body("data").send().await.expect(415);
    for kind in ["text/plain", "application/json", "", "application/octet-streams", "octet-stream"] {
        put(&service, &id).header("Content-Type", kind).body("data").send().await.expect(415);
    }
    assert_eq!(service.record(&id).await, before);
    // the type is judged before the image
    put(&service, &new_id()).header("Content-Type", "text/plain").body("data").send().await.expect(415);
    let fine = put(&service, &id).header("Content-Type", "Application/Octet-Stream; x=y").body("data");
    fine.send().await.expect(204);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_203_a_promised_size_is_a_number() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    for size in ["x", "-1", "1.5", "", "4 4", "0x4", "99999999999999999999999"] {
        let answer = put(&service, &id).header("X-OpenStack-Image-Size", size).data("data").send().await;
        assert_eq!(answer.status, 400, "{size:?}: {}", answer.text());
    }
    assert_eq!(service.record(&id).await, before);
}

/// V2-204, V2-208 and A18: data of another length than promised are not taken, and the next attempt is a fresh one.
#[tokio::test]
async fn v2_204_208_and_a18_data_of_another_length_are_refused() {
    let service = Service::start().await;
    for (promised, chunked) in
        [("15", false), ("5", false), ("0", false), ("15", true), ("9", true), ("11", true)]
    {
        let id = service.queued(OWNER).await;
        let request = || put(&service, &id).header("X-OpenStack-Image-Size", promised);
        let data = b"0123456789";
        let answer = if chunked { request().chunked(data) } else { request().data(data) }.send().await;
        assert_eq!(answer.status, 400, "{promised}: {}", answer.text());
        assert_empty(&service.show(OWNER, &id).await);
        until_bucket_is_empty(&service).await;
        service.upload(OWNER, &id, b"second").await.expect(204);
        let image = service.show(OWNER, &id).await;
        assert_eq!((&image["size"], &image["checksum"]), (&json!(6), &json!(md5_hex(b"second"))));
        service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    }
    for chunked in [true, false] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id).header("X-OpenStack-Image-Size", "10");
        let request = if chunked { request.chunked("0123456789") } else { request.data("0123456789") };
        request.send().await.expect(204);
    }
    // the sending half ends before what was announced has come
    let id = service.queued(OWNER).await;
    let mut upload = put(&service, &id).announcing(10).open().await;
    upload.write(b"12345").await;
    until(&service, &id, "saving").await;
    upload.finish_sending().await;
    let answer = upload.answer().await;
    assert!([0, 400].contains(&answer.status), "{}", answer.text());
    until(&service, &id, "queued").await;
    assert_empty(&service.show(OWNER, &id).await);
    service.assert_settled().await;
}

/// V2-205, V2-206 and A23: the status decides, and data that are there stay.
#[tokio::test]
async fn v2_205_206_and_a23_only_queued_images_with_formats_take_data() {
    let service = Service::start().await;
    for document in [json!({}), json!({ "disk_format": "raw" }), json!({ "container_format": "bare" })] {
        let id = service.create_id(OWNER, document).await;
        let before = service.record(&id).await;
        service.upload(OWNER, &id, b"data").await.expect(400);
        assert_eq!(service.record(&id).await, before);
    }
    let active = service.active(OWNER, json!({}), b"data").await;
    let other = service.queued(OWNER).await;
    for (id, status) in [
        (&active, "active"),
        (&active, "deactivated"),
        (&other, "saving"),
        (&other, "uploading"),
        (&other, "importing"),
    ] {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        let before = service.record(id).await;
        for caller in [OWNER, ADMIN] {
            service.upload(caller, id, b"other").await.expect(409);
            service.put(&file(id)).by(caller).chunked("other").send().await.expect(409);
            service.put(&format!("/v1/images/{id}")).by(caller).data("other").send().await.expect(409);
        }
        assert_eq!(service.record(id).await, before, "{status}");
    }
    // what v1 has killed is not there for v2 (§4.4)
    service.sql(&format!("UPDATE images SET status = 'killed' WHERE id = '{other}'")).await;
    service.upload(OWNER, &other, b"other").await.expect(404);
    service.sql(&format!("UPDATE images SET status = 'active' WHERE id = '{active}'")).await;
    assert_eq!(service.download(OWNER, &active).await.expect(200).body, b"data");
    assert_eq!(service.bucket.keys().await.len(), 1);
}

/// V2-207 and A20, by both APIs.
#[tokio::test]
async fn v2_207_and_a20_strangers_and_readers_upload_nothing() {
    let service = Service::start().await;
    let with = async |visibility: &str| {
        service.create_id(ADMIN, raw(json!({ "visibility": visibility, "owner": "alpha" }))).await
    };
    let shared = with("shared").await;
    service.share(&shared, OWNER, "beta", Some(true)).await;
    for (caller, id, status) in [
        (OTHER, &with("public").await, 403),
        (OTHER, &with("community").await, 403),
        (OTHER, &with("private").await, 404),
        (OTHER, &with("shared").await, 404),
        (OTHER, &shared, 403),
        (READER, &with("private").await, 403),
        (READER, &with("public").await, 403),
    ] {
        let before = service.record(id).await;
        service.upload(caller, id, b"data").await.expect(status);
        let by_v1 = service.put(&format!("/v1/images/{id}")).by(caller).data("data").send().await.status;
        assert!([403, 404].contains(&by_v1), "{by_v1}");
        assert_eq!(service.record(id).await, before);
    }
    for unknown in [new_id(), "x".to_owned()] {
        service.upload(OWNER, &unknown, b"data").await.expect(404);
    }
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_209_nothing_is_data_too() {
    let service = Service::start().await;
    for chunked in [false, true] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id);
        let request = if chunked { request.chunked("") } else { request.data("") };
        request.send().await.expect(204);
        let image = service.show(OWNER, &id).await;
        assert_eq!((&image["status"], &image["size"]), (&json!("active"), &json!(0)));
        assert_eq!((&image["checksum"], &image["virtual_size"]), (&json!(md5_hex(b"")), &Value::Null));
        assert_eq!(image["os_hash_value"], json!(hex::encode(Sha512::digest(b""))));
        assert!(service.download(OWNER, &id).await.expect(200).body.is_empty());
    }
    service.assert_settled().await;
}

/// V2-210 and A39: the cap is reached at the byte that crosses it, not at the end of the data.
#[tokio::test]
async fn v2_210_and_a39_an_image_above_the_cap() {
    let service = Service::start_with(|settings| settings.limits.image_size_cap = ByteSize(1000)).await;
    let id = service.queued(OWNER).await;
    let data = pattern(1001);
    put(&service, &id).data(&data).send().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    put(&service, &id).chunked(&data).send().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    let mut endless = put(&service, &id).announcing_chunks().open().await;
    endless.write(format!("{:x}\r\n", data.len()).as_bytes()).await;
    endless.write(&data).await;
    endless.answer().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
    service.upload(OWNER, &id, &data[..1000]).await.expect(204);
    assert_eq!(service.show(OWNER, &id).await["size"], json!(1000));
}

/// V2-211, V2-351 and A39.
#[tokio::test]
async fn v2_211_351_and_a39_images_above_the_quota() {
    let quota = 6 * MIB;
    let service = Service::start_with(|settings| {
        settings.limits.user_storage_quota = ByteSize(quota as u64);
        settings.stores.get_mut("main").unwrap().part_size = Some(ByteSize(PART as u64));
    })
    .await;
    let held = 600_000;
    service.active(OWNER, json!({}), &pattern(held)).await;
    let id = service.queued(OWNER).await;
    let data = pattern(2 * PART + 1000);
    // V2-211: a known length is judged beforehand
    put(&service, &id).data(&data).send().await.expect(413);
    put(&service, &id).data(&data[..=quota - held]).send().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    // V2-351: an unknown one while the data come, whether or not they fill a part
    put(&service, &id).chunked(&data).send().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    put(&service, &id).chunked(&data[..=quota - held]).send().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    let mut endless = put(&service, &id).announcing_chunks().open().await;
    endless.write(format!("{:x}\r\n", data.len() + 1).as_bytes()).await;
    endless.write_lossy(&data).await;
    endless.answer().await.expect(413);
    assert_empty(&service.show(OWNER, &id).await);
    service.assert_settled().await;
    assert_eq!(service.bucket.keys().await.len(), 1);
    // other projects have a quota of their own, and what fits exactly fits
    let theirs = service.queued(OTHER).await;
    service.upload(OTHER, &theirs, &data[..quota - held + 1]).await.expect(204);
    put(&service, &id).chunked(&data[..quota - held]).send().await.expect(204);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_212_the_store_that_is_named_gets_the_data() {
    let (service, second) = Service::start_with_two_stores(|_| {}).await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    for target in [&id, &new_id()] {
        // before the image is looked up
        let request = put(&service, target).header("X-Image-Meta-Store", "no-such-store").data("data");
        request.send().await.expect(400);
    }
    assert_eq!(service.record(&id).await, before);
    put(&service, &id).header("X-Image-Meta-Store", "second").data("data").send().await.expect(204);
    assert_eq!((second.keys().await.len(), service.bucket.keys().await.len()), (1, 0));
    let [key] = <[String; 1]>::try_from(second.keys().await).unwrap();
    assert_eq!(second.content(&key).await.unwrap(), b"data");
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"data");
    // without a wish, and with an empty one, it is the default
    put(&service, &service.queued(OWNER).await).data("data").send().await.expect(204);
    for wish in ["main", ""] {
        let request = put(&service, &service.queued(OWNER).await).header("X-Image-Meta-Store", wish);
        request.data("data").send().await.expect(204);
    }
    assert_eq!((second.keys().await.len(), service.bucket.keys().await.len()), (1, 3));
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    assert!(second.keys().await.is_empty());
}

/// V2-212 as clients see it.
#[tokio::test]
async fn v2_212_an_image_names_the_store_of_its_data() {
    let (service, _second) = Service::start_with_two_stores(|_| {}).await;
    for store in ["main", "second"] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id).header("X-Image-Meta-Store", store).data("data");
        request.send().await.expect(204);
        assert_eq!(service.show(OWNER, &id).await["stores"], json!(store));
    }
}

/// Without several stores there is nothing to choose, and nothing to be wrong about (V2-212).
#[tokio::test]
async fn a_wish_for_a_store_means_nothing_where_there_is_but_one() {
    let service = Service::start().await;
    for wish in ["main", "no-such-store"] {
        let request = put(&service, &service.queued(OWNER).await).header("X-Image-Meta-Store", wish);
        request.data("data").send().await.expect(204);
    }
    assert_eq!(service.bucket.keys().await.len(), 2);
}

/// V2-213 and A40: whoever deletes an image ends its upload, and nothing of it stays.
#[tokio::test]
async fn v2_213_and_a40_an_image_deleted_during_its_upload() {
    let service = Service::start_with(|settings| {
        settings.stores.get_mut("main").unwrap().part_size = Some(ByteSize(PART as u64));
    })
    .await;
    for (by, length, chunked) in
        [(OWNER, 10, false), (ADMIN, 10, true), (OWNER, 2 * PART + 100, false), (ADMIN, 2 * PART + 100, true)]
    {
        let id = service.queued(OWNER).await;
        let data = pattern(length);
        let (first, rest) = data.split_at(length / 2 + 1);
        let request = put(&service, &id);
        let request = if chunked { request.announcing_chunks() } else { request.announcing(length) };
        let mut upload = request.open().await;
        if chunked {
            upload.write(format!("{length:x}\r\n").as_bytes()).await;
        }
        upload.write(first).await;
        until(&service, &id, "saving").await;
        service.delete(&format!("/v2/images/{id}")).by(by).send().await.expect(204);
        upload.write_lossy(rest).await;
        if chunked {
            upload.write_lossy(b"\r\n0\r\n\r\n").await;
        }
        upload.answer().await.expect(410);
        service.get(&format!("/v2/images/{id}")).by(ADMIN).send().await.expect(404);
        assert_eq!(service.status(&id).await, "deleted");
    }
    until_bucket_is_empty(&service).await;
    service.assert_settled().await;
    assert_eq!(service.flows.catalog.storage_used("alpha").await.unwrap(), 0);
}

#[tokio::test]
async fn v2_214_a_client_that_leaves_finds_its_image_queued() {
    let service = Service::start_with(|settings| {
        settings.stores.get_mut("main").unwrap().part_size = Some(ByteSize(PART as u64));
    })
    .await;
    for (length, chunked) in [(10, false), (10, true), (3 * PART, false), (3 * PART, true)] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id);
        let request = if chunked { request.announcing_chunks() } else { request.announcing(length) };
        let mut upload = request.open().await;
        if chunked {
            upload.write(format!("{length:x}\r\n").as_bytes()).await;
        }
        upload.write(&pattern(length / 2 + 1)).await;
        until(&service, &id, "saving").await;
        if length > PART {
            eventually("a multipart upload is open", async || {
                (!service.bucket.open_uploads().await.is_empty()).then_some(())
            })
            .await;
        }
        drop(upload);
        until(&service, &id, "queued").await;
        assert_empty(&service.show(OWNER, &id).await);
        until_bucket_is_empty(&service).await;
        // V2-208
        service.upload(OWNER, &id, b"again").await.expect(204);
        service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    }
    service.assert_settled().await;
}

/// Rows 7 and 8 of §11.2 are one step: of many uploads at one time one wins, and its bytes are those of the image.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_at_one_time_one_wins() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let bodies: Vec<Vec<u8>> = (0..12_u8).map(|n| vec![n; 1000 + usize::from(n)]).collect();
    let answers = join_all(bodies.iter().map(|data| service.upload(OWNER, &id, data))).await;
    let mut winners = Vec::new();
    for (answer, data) in answers.iter().zip(&bodies) {
        match answer.status {
            204 => winners.push(data),
            status => assert_eq!(status, 409, "{}", answer.text()),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(&service.download(OWNER, &id).await.expect(200).body, winners[0]);
    assert_eq!(service.show(OWNER, &id).await["size"], json!(winners[0].len()));
    service.assert_settled().await;
}

/// Rows 15 and 16 of §11.2 and a store that is away: the image waits for a better day.
#[tokio::test]
async fn a_store_that_takes_nothing_leaves_the_image_queued() {
    for (fault, status) in [(Fault::Full, 413), (Fault::Denied, 503), (Fault::InternalError, 503)] {
        let broken = Arc::new(AtomicBool::new(true));
        let faulty = FaultyS3::start({
            let broken = Arc::clone(&broken);
            move |call| match call.operation {
                "PutObject" if broken.load(Ordering::SeqCst) => fault,
                _ => Fault::Pass,
            }
        });
        let service = Service::start_faulty(&faulty).await;
        let id = service.queued(OWNER).await;
        let answer = service.upload(OWNER, &id, b"data").await.expect(status);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert_empty(&service.show(OWNER, &id).await);
        broken.store(false, Ordering::SeqCst);
        service.upload(OWNER, &id, b"data").await.expect(204);
        service.assert_settled().await;
    }
}

/// Row 17 of §11.2.
#[tokio::test]
async fn a_store_closed_for_new_data_leaves_the_image_queued() {
    let service =
        Service::start_with(|settings| settings.stores.get_mut("main").unwrap().read_only = true).await;
    let id = service.queued(OWNER).await;
    service.upload(OWNER, &id, b"data").await.expect(410);
    assert_empty(&service.show(OWNER, &id).await);
    service.assert_settled().await;
}

/// Without a key manager no signature can be verified, so none is believed.
#[tokio::test]
async fn v2_225_a_signature_that_cannot_be_verified() {
    let service = Service::start().await;
    let signed = raw(json!({
        "img_signature": "AAAA",
        "img_signature_hash_method": "SHA-256",
        "img_signature_key_type": "RSA-PSS",
        "img_signature_certificate_uuid": new_id(),
    }));
    let id = service.create_id(OWNER, signed.clone()).await;
    let before = service.record(&id).await;
    service.upload(OWNER, &id, b"data").await.expect(400);
    put(&service, &id).chunked("data").send().await.expect(400);
    assert_eq!(service.record(&id).await, before);
    for name in signed.as_object().unwrap().keys().filter(|name| name.starts_with("img_")) {
        let mut partial = signed.clone();
        partial.as_object_mut().unwrap().remove(name);
        let id = service.create_id(OWNER, partial).await;
        service.upload(OWNER, &id, b"data").await.expect(204);
    }
    service.assert_settled().await;
}

/// The switches over the digests (§11.3).
#[tokio::test]
async fn digests_as_they_are_configured() {
    let service = Service::start_with(|settings| {
        settings.images.checksum = false;
        settings.images.hash_algorithm = HashAlgorithm::Sha256;
    })
    .await;
    let id = service.active(OWNER, json!({}), b"data").await;
    let image = service.show(OWNER, &id).await;
    assert_eq!((&image["checksum"], &image["os_hash_algo"]), (&Value::Null, &json!("sha256")));
    assert_eq!(image["os_hash_value"], json!(hex::encode(Sha256::digest(b"data"))));
    let answer = service.download(OWNER, &id).await.expect(200);
    assert_eq!((answer.body.as_slice(), answer.header("content-md5")), (&b"data"[..], None));
    // v1 compares what it was promised all the same
    let promise = service.post("/v1/images").by(OWNER).formats().meta("checksum", md5_hex(b"other"));
    promise.data("data").send().await.expect(400);
    service.assert_settled().await;
}

/// What is refused by its head is refused before the client sends anything else; what is taken is asked for.
#[tokio::test]
async fn a_refused_client_that_waits_to_be_asked_sends_nothing() {
    let service = Service::start_with(|settings| {
        settings.limits.image_size_cap = ByteSize(10_000);
        settings.limits.user_storage_quota = ByteSize(5_000);
    })
    .await;
    let queued = service.queued(OWNER).await;
    let bare = service.create_id(OWNER, json!({})).await;
    let active = service.active(OWNER, json!({}), b"data").await;
    let expecting = |caller: &str, id: &str, length: usize| {
        service.put(&file(id)).by(caller).announcing(length).header("Expect", "100-continue")
    };
    for (status, request) in [
        (404, expecting(OWNER, &new_id(), 10)),
        (404, expecting(OTHER, &queued, 10)),
        (403, expecting(READER, &queued, 10)),
        (400, expecting(OWNER, &bare, 10)),
        (409, expecting(OWNER, &active, 10)),
        (400, expecting(OWNER, &queued, 10).header("X-OpenStack-Image-Size", "x")),
        (413, expecting(OWNER, &queued, 5_001)),
        (413, expecting(OWNER, &queued, 10_001)),
        (413, expecting(ADMIN, &queued, 1 << 40)),
    ] {
        let head = request.open().await.read_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "instead of {status}: {head}");
    }
    assert_empty(&service.show(OWNER, &queued).await);
    let mut upload = expecting(OWNER, &queued, 4).open().await;
    let head = upload.read_head().await;
    assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
    upload.write(b"data").await;
    upload.answer().await.expect(204);
    service.assert_settled().await;
}

/// The cap is judged beforehand also where no quota is set.
#[tokio::test]
async fn a_client_above_the_cap_that_waits_to_be_asked_sends_nothing() {
    let service = Service::start_with(|settings| settings.limits.image_size_cap = ByteSize(1000)).await;
    let id = service.queued(OWNER).await;
    for promised in [None, Some("1001")] {
        let request = put(&service, &id).header("Expect", "100-continue");
        let request = match promised {
            None => request.announcing(1001),
            Some(size) => request.announcing_chunks().header("X-OpenStack-Image-Size", size),
        };
        let head = request.open().await.read_head().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert_empty(&service.show(OWNER, &id).await);
    }
    service.assert_settled().await;
}

/// Parts in their order, with the digests of the whole.
#[tokio::test]
async fn large_data_arrive_whole() {
    let service = Service::start_with(|settings| {
        settings.stores.get_mut("main").unwrap().part_size = Some(ByteSize(PART as u64));
    })
    .await;
    let data = pattern(2 * PART + 12_345);
    for chunked in [true, false] {
        let id = service.queued(OWNER).await;
        let request = put(&service, &id);
        let request =
            if chunked { request.chunked(&data) } else { request.header("Content-Type", OCTETS).body(&data) };
        request.send().await.expect(204);
        let image = service.show(OWNER, &id).await;
        assert_eq!((&image["size"], &image["checksum"]), (&json!(data.len()), &json!(md5_hex(&data))));
        assert_eq!(image["os_hash_value"], json!(hex::encode(Sha512::digest(&data))));
        assert!(service.download(OWNER, &id).await.expect(200).body == data, "other bytes came back");
    }
    service.assert_settled().await;
}
