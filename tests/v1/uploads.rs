//! The way of the data, for POST and PUT: V1-140, V1-141, V1-168 and the table of §5.6.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use md5::{Digest, Md5};
use sha2::Sha512;

use crate::support::api::{ADMIN, OWNER, Service, new_id};
use crate::support::eventually;
use crate::support::s3::{Fault, FaultyS3};

/// MD5 in hex.
pub fn md5_hex(data: &[u8]) -> String {
    hex::encode(Md5::digest(data))
}

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

/// Bytes without a short period, so that a part in the wrong place shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

async fn until(service: &Service, id: &str, status: &str) {
    eventually(&format!("the image is {status}"), async || {
        let answer = service.head(&path(id)).by(ADMIN).send().await;
        (answer.meta("status").as_deref() == Some(status)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn v1_140_an_upload_that_breaks_off_kills_the_image() {
    let service = Service::start().await;
    let post = |id: &str| service.post("/v1/images").by(OWNER).meta("id", id).formats();
    let (length, chunked, half) = (new_id(), new_id(), new_id());
    let mut upload = post(&length).announcing(10).open().await;
    upload.write(b"12345").await;
    until(&service, &length, "saving").await;
    drop(upload);
    until(&service, &length, "killed").await;

    let mut upload = post(&chunked).announcing_chunks().open().await;
    upload.write(b"5\r\n12345\r\n").await;
    until(&service, &chunked, "saving").await;
    drop(upload);
    until(&service, &chunked, "killed").await;

    // the end of the sending half is an end, too
    let mut upload = post(&half).announcing(10).open().await;
    upload.write(b"12345").await;
    until(&service, &half, "saving").await;
    upload.finish_sending().await;
    let answer = upload.answer().await;
    if answer.status != 0 {
        answer.expect_text(400, "Client disconnected before sending all data to backend");
    }
    until(&service, &half, "killed").await;
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v1_140_a_large_upload_that_breaks_off_leaves_no_parts() {
    let service = Service::start().await;
    let id = new_id();
    let length = 24 << 20;
    let mut upload =
        service.post("/v1/images").by(OWNER).meta("id", &id).formats().announcing(length).open().await;
    upload.write(&pattern(20 << 20)).await;
    eventually("a multipart upload is open", async || {
        (!service.bucket.open_uploads().await.is_empty()).then_some(())
    })
    .await;
    drop(upload);
    until(&service, &id, "killed").await;
    eventually("the parts are gone", async || service.bucket.open_uploads().await.is_empty().then_some(()))
        .await;
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v1_141_an_image_is_saving_during_a_slow_upload() {
    let service = Service::start().await;
    let posted = new_id();
    let reserved =
        service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "bare")]).await;
    for (id, request) in [
        (&posted, service.post("/v1/images").meta("id", &posted).formats()),
        (&reserved, service.put(&path(&reserved))),
    ] {
        let mut upload = request.by(OWNER).announcing(10).open().await;
        upload.write(b"12345").await;
        until(&service, id, "saving").await;
        service.get(&path(id)).by(OWNER).send().await.expect_text(404, "is not active");
        assert_eq!(service.ids(OWNER, "status=saving").await, std::slice::from_ref(id));
        upload.write(b"67890").await;
        let answer = upload.answer().await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.image()["status"], "active");
        assert_eq!(answer.image()["size"], 10);
        assert_eq!(service.get(&path(id)).by(OWNER).send().await.expect(200).body, b"1234567890");
    }
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_168_an_image_deleted_during_its_upload_leaves_no_data() {
    let service = Service::start().await;
    for caller in [OWNER, ADMIN] {
        for length in [10, 20 << 20] {
            let formats = [("disk_format", "raw"), ("container_format", "bare")];
            let id = service.image_id(caller, None, &formats).await;
            let data = pattern(length);
            let (first, rest) = data.split_at(length / 2);
            let mut upload = service.put(&path(&id)).by(caller).announcing(length).open().await;
            upload.write(first).await;
            until(&service, &id, "saving").await;
            service.delete(&path(&id)).by(caller).send().await.expect(200);
            upload.write_lossy(rest).await;
            let answer = upload.answer().await;
            answer.expect_text(412, &format!("Image {id} could not be found after upload."));
            assert_eq!(service.status(&id).await, "deleted", "{caller}");
        }
    }
    eventually("nothing is left in the bucket", async || {
        let nothing =
            service.bucket.keys().await.is_empty() && service.bucket.open_uploads().await.is_empty();
        nothing.then_some(())
    })
    .await;
    service.assert_settled().await;
}

#[tokio::test]
async fn large_data_of_unknown_length_arrive_whole_and_with_their_digests() {
    let faulty = FaultyS3::start(|_| Fault::Pass);
    let service = Service::start_faulty(&faulty).await;
    let data = pattern((18 << 20) + 12_345);
    for chunked in [true, false] {
        let parts = faulty.count("UploadPart");
        let request = service.post("/v1/images").by(OWNER).formats();
        let request = if chunked { request.chunked(&data) } else { request.data(&data) };
        let image = request.send().await.expect(201).image();
        assert!(faulty.count("UploadPart") >= parts + 2, "not in parts");
        assert_eq!(image["size"], data.len());
        assert_eq!(image["checksum"], md5_hex(&data));
        let id = image["id"].as_str().unwrap();
        let got = service.get(&path(id)).by(OWNER).send().await.expect(200);
        assert!(got.body == data, "other bytes came back");
        let row = format!("SELECT checksum, os_hash_algo, os_hash_value FROM images WHERE id = '{id}'");
        let row = service.database.client().await.query_one(&row, &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), md5_hex(&data));
        assert_eq!(row.get::<_, String>(1), "sha512");
        assert_eq!(row.get::<_, String>(2), hex::encode(Sha512::digest(&data)));
    }
    service.assert_settled().await;
}

/// Rows "store full" and "store refuses write permission" of §5.6.
#[tokio::test]
async fn a_store_that_takes_nothing_kills_the_image() {
    for (fault, status, text) in [
        (Fault::Full, 413, "Image storage media is full"),
        (Fault::Denied, 503, "Insufficient permissions on image storage media"),
    ] {
        let faulty = FaultyS3::start(move |call| match call.operation {
            "PutObject" | "CreateMultipartUpload" => fault,
            _ => Fault::Pass,
        });
        let service = Service::start_faulty(&faulty).await;
        for length in [4, 18 << 20] {
            let id = new_id();
            let request = service.post("/v1/images").by(OWNER).meta("id", &id).formats();
            request.data(pattern(length)).send().await.expect_text(status, text);
            assert_eq!(service.status(&id).await, "killed");
            service.delete(&path(&id)).by(OWNER).send().await.expect(200);
        }
        service.assert_settled().await;
    }
}

/// Row "adding disabled for the store" of §5.6.
#[tokio::test]
async fn a_store_closed_for_new_data_kills_the_image() {
    let service = Service::start_with(|settings| {
        settings.stores.get_mut("main").unwrap().read_only = true;
    })
    .await;
    let id = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &id).formats().data("abc");
    request.send().await.expect_text(410, "Adding images to store main is disabled.");
    assert_eq!(service.status(&id).await, "killed");
    service.assert_settled().await;
}

/// Row "data object already exists, or another upload" of §5.6: the first upload wins.
#[tokio::test]
async fn a_second_upload_is_refused_while_the_first_goes_on() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "bare")]).await;
    let mut first = service.put(&path(&id)).by(OWNER).announcing(6).open().await;
    first.write(b"abc").await;
    until(&service, &id, "saving").await;
    let before = service.snapshot(&id).await;
    service
        .put(&path(&id))
        .by(OWNER)
        .data("other")
        .send()
        .await
        .expect_text(409, "Cannot upload to an unqueued image");
    assert_eq!(service.snapshot(&id).await, before);
    first.write(b"def").await;
    first.answer().await.expect(200);
    assert_eq!(service.get(&path(&id)).by(OWNER).send().await.expect(200).body, b"abcdef");
    service.assert_settled().await;
}

/// A store that fails for a while costs the uploader nothing but time; one that fails on costs the image.
#[tokio::test]
async fn a_store_that_fails_for_good_kills_the_image_and_keeps_nothing() {
    let down = Arc::new(AtomicBool::new(false));
    let faulty = FaultyS3::start({
        let down = Arc::clone(&down);
        move |call| match call.operation {
            "PutObject" if down.load(Ordering::SeqCst) => Fault::InternalError,
            _ => Fault::Pass,
        }
    });
    let service = Service::start_faulty(&faulty).await;
    down.store(true, Ordering::SeqCst);
    let id = new_id();
    let post = |id: &str| service.post("/v1/images").by(OWNER).meta("id", id).formats().data("abc");
    post(&id).send().await.expect_text(503, "The image storage is not available.");
    assert_eq!(service.status(&id).await, "killed");
    down.store(false, Ordering::SeqCst);
    post(&new_id()).send().await.expect(201);
    assert!(faulty.count("PutObject") > 2, "a failed request was not repeated");
    service.assert_settled().await;
}
