//! The way of the data out of an image: V2-226 to V2-239, V2-349 and A21.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use vitrine::config::units::ByteSize;

use super::READER;
use super::uploads::{PART, file, md5_hex, pattern};
use crate::support::api::{ADMIN, Answer, OCTETS, OTHER, OWNER, Service, THIRD, new_id};
use crate::support::file::ScratchFile;
use crate::support::s3::{Fault, FaultyS3, TestBucket};

const DATA: &[u8] = b"0123456789";
/// Every way to ask for data: header, and query.
const WAYS: [(Option<(&str, &str)>, &str); 5] = [
    (None, ""),
    (Some(("Range", "bytes=0-1")), ""),
    (Some(("Content-Range", "bytes 0-1/*")), ""),
    (None, "?prefer=main"),
    (Some(("Prefer", "redirect")), ""),
];

async fn get(service: &Service, caller: &str, id: &str, header: Option<(&str, &str)>, query: &str) -> Answer {
    let request = service.get(&format!("{}{query}", file(id))).by(caller);
    let request = match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    request.send().await
}

/// Asserts that these bytes come as a part of `data`.
#[track_caller]
fn assert_part(answer: Answer, data: &[u8], first: usize, last: usize) {
    let answer = answer.expect(206);
    assert!(answer.body == data[first..=last], "{first} to {last}: other bytes came");
    let header = |name: &str| answer.header(name);
    assert_eq!(header("content-range"), Some(format!("bytes {first}-{last}/{}", data.len())));
    assert_eq!(header("content-length"), Some((last + 1 - first).to_string()));
    assert_eq!(header("content-type").as_deref(), Some(OCTETS));
    // of the whole, not of the part
    assert_eq!(header("content-md5"), Some(md5_hex(data)));
}

#[tokio::test]
async fn v2_226_a_whole_download() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let answer = service.download(OWNER, &id).await.expect(200);
    assert_eq!(answer.body, DATA);
    assert_eq!(answer.header("content-type").as_deref(), Some(OCTETS));
    assert_eq!(answer.header("content-length").as_deref(), Some("10"));
    assert_eq!(answer.header("content-md5").as_deref(), Some("781e5e245d69b566979b86e28d23f2c7"));
    for absent in ["etag", "accept-ranges", "location", "content-range", "transfer-encoding"] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
    // a body has no business here, and nothing but GET reads
    service.get(&file(&id)).by(OWNER).body("x").send().await.expect(400);
    service.head(&file(&id)).by(OWNER).send().await.expect(405);
}

#[tokio::test]
async fn v2_227_images_without_data_have_nothing_to_download() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    for status in ["queued", "saving", "uploading", "importing"] {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        for header in [None, Some(("Range", "bytes=0-1")), Some(("Range", "bytes=99-"))] {
            for caller in [OWNER, ADMIN] {
                let answer = get(&service, caller, &id, header, "").await.expect(204);
                assert!(answer.body.is_empty());
            }
        }
    }
}

/// V2-228 to V2-235 and V2-349.
#[tokio::test]
async fn v2_228_to_235_and_349_parts_of_the_data() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    for (name, value, first, last) in [
        // V2-228
        ("Range", "bytes=0-0", 0, 0),
        ("Range", "bytes=9-9", 9, 9),
        ("Range", "bytes=2-5", 2, 5),
        // V2-229
        ("Range", "bytes=5-", 5, 9),
        ("Range", "bytes=0-", 0, 9),
        // V2-230
        ("Range", "bytes=-3", 7, 9),
        ("Range", "bytes=-10", 0, 9),
        ("Range", "bytes=-300", 0, 9),
        // V2-231
        ("Range", "bytes=0-999999", 0, 9),
        ("Range", "bytes=4-18446744073709551615", 4, 9),
        ("Range", "bytes=4-99999999999999999999999", 4, 9),
        ("Range", "bytes=-99999999999999999999999", 0, 9),
        // the unit is known in any case
        ("Range", "Bytes=0-1", 0, 1),
        // V2-235
        ("Content-Range", "bytes 1-2/10", 1, 2),
        ("Content-Range", "bytes 1-2/*", 1, 2),
        ("Content-Range", "bytes 0-9/10", 0, 9),
    ] {
        assert_part(get(&service, OWNER, &id, Some((name, value)), "").await, DATA, first, last);
    }
    for (name, value, status) in [
        // V2-232
        ("Range", "bytes=10-", 416),
        ("Range", "bytes=99-100", 416),
        ("Range", "bytes=-0", 416),
        // V2-233
        ("Range", "bytes=5-2", 416),
        ("Range", "bytes=1", 416),
        ("Range", "bytes=a-b", 416),
        ("Range", "bytes=-", 416),
        ("Range", "lines=1-2", 416),
        ("Range", "junk", 416),
        ("Range", "bytes=99999999999999999999999-", 416),
        // V2-234
        ("Range", "bytes=0-1,3-4", 400),
        ("Range", "bytes=0-1,", 400),
        // V2-235
        ("Content-Range", "bytes 5-12/*", 416),
        ("Content-Range", "bytes 10-10/*", 416),
        ("Content-Range", "bytes 5-2/10", 416),
        ("Content-Range", "junk", 416),
        // V2-349
        ("Content-Range", "bytes 5-12/13", 416),
        ("Content-Range", "bytes 5-10/10", 416),
    ] {
        let answer = get(&service, OWNER, &id, Some((name, value)), "").await;
        assert_eq!(answer.status, status, "{name}: {value}: {}", answer.text());
        assert_eq!(answer.header("content-md5"), None);
        if status == 416 {
            assert_eq!(answer.header("content-range").as_deref(), Some("bytes */10"), "{name}: {value}");
        }
    }
    // of both headers the newer one counts
    let both =
        service.get(&file(&id)).by(OWNER).header("Range", "bytes=0-1").header("Content-Range", "bytes 5-6/*");
    assert_part(both.send().await, DATA, 0, 1);
}

/// V2-234 in the order of §13: several ranges are judged where there are data to read, by who may read them.
#[tokio::test]
async fn several_ranges_are_refused_last() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let queued = service.queued(OWNER).await;
    let several = Some(("Range", "bytes=0-1,3-4"));
    for (caller, id, status) in [
        (OWNER, &new_id(), 404),
        (OTHER, &id, 404),
        (OWNER, &queued, 204),
        (READER, &id, 403),
        (OWNER, &id, 400),
    ] {
        get(&service, caller, id, several, "").await.expect(status);
    }
    service.set(&id, "status = 'deactivated'").await;
    get(&service, OWNER, &id, several, "").await.expect(403);
}

#[tokio::test]
async fn data_of_no_bytes_have_no_parts() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"").await;
    let answer = service.download(OWNER, &id).await.expect(200);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("content-length").as_deref(), Some("0"));
    assert_eq!(answer.header("content-md5"), Some(md5_hex(b"")));
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        get(&service, OWNER, &id, Some(("Range", range)), "").await.expect(416);
    }
}

/// Parts that begin and end anywhere in an object of several parts, whose bytes come in many frames.
#[tokio::test]
async fn v2_228_to_231_parts_across_the_seams_of_a_large_object() {
    let service = Service::start_with(|settings| {
        settings.stores.get_mut("main").unwrap().part_size = Some(ByteSize(PART as u64));
    })
    .await;
    let data = pattern(2 * PART + 54_321);
    let id = service.active(OWNER, json!({}), &data).await;
    let end = data.len() - 1;
    for (range, first, last) in [
        (format!("bytes={}-{}", PART - 1, PART), PART - 1, PART),
        (format!("bytes={PART}-{}", PART + 70_000), PART, PART + 70_000),
        (format!("bytes=17-{}", 2 * PART + 3), 17, 2 * PART + 3),
        (format!("bytes={}-", 2 * PART - 5), 2 * PART - 5, end),
        ("bytes=-54322".to_owned(), 2 * PART - 1, end),
        ("bytes=0-".to_owned(), 0, end),
        (format!("bytes={end}-"), end, end),
    ] {
        assert_part(get(&service, OWNER, &id, Some(("Range", &range)), "").await, &data, first, last);
    }
    get(&service, OWNER, &id, Some(("Range", &format!("bytes={}-", end + 1))), "").await.expect(416);
}

/// V2-236 and A21: who may look but not download gets the data in no way.
#[tokio::test]
async fn v2_236_and_a21_readers_and_strangers_download_nothing() {
    let service = Service::start().await;
    let with = async |visibility: &str| {
        service.active(ADMIN, json!({ "visibility": visibility, "owner": "alpha" }), DATA).await
    };
    let (private, public, community, shared) =
        (with("private").await, with("public").await, with("community").await, with("shared").await);
    service.share(&shared, OWNER, "beta", None).await;
    for (caller, id, status) in [
        (READER, &private, 403),
        (READER, &public, 403),
        ("otto:beta:reader", &public, 403),
        ("otto:beta:reader", &shared, 403),
        (OTHER, &private, 404),
        (THIRD, &shared, 404),
        (OTHER, &new_id(), 404),
    ] {
        for (header, query) in WAYS {
            let answer = get(&service, caller, id, header, query).await;
            assert_eq!(answer.status, status, "{caller} {header:?} {query}: {}", answer.text());
        }
    }
    for (caller, id) in
        [(OTHER, &public), (OTHER, &community), (OTHER, &shared), (OWNER, &private), (ADMIN, &private)]
    {
        assert_eq!(service.download(caller, id).await.expect(200).body, DATA);
    }
}

/// A21: a rule that depends on the image holds for every way to its data.
#[tokio::test]
async fn a21_a_rule_against_downloads_holds_on_every_way() {
    let service = Service::start_with_rules(&json!({ "download_image": "role:admin" })).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    for (header, query) in WAYS {
        get(&service, OWNER, &id, header, query).await.expect(403);
    }
    service.get(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(403);
    service.get(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(service.download(ADMIN, &id).await.expect(200).body, DATA);
}

/// V2-237 and A21.
#[tokio::test]
async fn v2_237_and_a21_a_deactivated_image_keeps_its_data() {
    let service = Service::start_with(|settings| {
        settings.images.show_direct_url = true;
        settings.images.show_multiple_locations = true;
    })
    .await;
    let id = service.active(ADMIN, json!({ "visibility": "public", "owner": "alpha" }), DATA).await;
    let set = async |status: &str| {
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
    };
    set("deactivated").await;
    for caller in [OWNER, OTHER, READER, "sven:serv:service,member"] {
        for (header, query) in WAYS {
            get(&service, caller, &id, header, query).await.expect(403);
        }
        service.head(&file(&id)).by(caller).send().await.expect(405);
        service.get(&format!("/v1/images/{id}")).by(caller).send().await.expect(403);
    }
    let image = service.show(OWNER, &id).await;
    assert_eq!(image["status"], json!("deactivated"));
    assert_eq!((image.get("direct_url"), image.get("stores")), (None, None));
    assert!(image.get("locations").is_none_or(|locations| locations == &json!([])), "{image}");
    assert_eq!(service.download(ADMIN, &id).await.expect(200).body, DATA);
    assert_part(get(&service, ADMIN, &id, Some(("Range", "bytes=3-4")), "").await, DATA, 3, 4);
    set("active").await;
    assert_eq!(service.download(OTHER, &id).await.expect(200).body, DATA);
}

#[tokio::test]
async fn v2_238_no_choice_without_several_stores() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), DATA).await;
    for store in ["x", "main"] {
        get(&service, OWNER, &id, None, &format!("?prefer={store}")).await.expect(400);
        get(&service, ADMIN, &id, Some(("Range", "bytes=0-0")), &format!("?prefer={store}"))
            .await
            .expect(400);
    }
    get(&service, OWNER, &id, None, "?other=x").await.expect(200);
}

/// Makes the copy in the second store another text, so that it shows who served it.
async fn mark_copy(service: &Service, second: &TestBucket, id: &str, data: &'static [u8]) {
    service.copy_to_second(second, id).await;
    let key = second.keys().await.into_iter().find(|key| key.contains(id)).unwrap();
    let put = second.client().put_object().bucket(&second.name).key(&key).body(data.to_vec().into());
    let etag = put.send().await.unwrap().e_tag().unwrap().to_owned();
    let database = service.database.client().await;
    let marked = database.execute("UPDATE blobs SET etag = $1 WHERE key = $2", &[&etag, &key]).await.unwrap();
    assert_eq!(marked, 1);
}

#[tokio::test]
async fn v2_239_the_stores_that_are_preferred_come_first() {
    let (service, second) = Service::start_with_two_stores(|_| {}).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    let copy = b"copy of it";
    mark_copy(&service, &second, &id, copy).await;
    for unknown in ["no-such-store", "second,nope", "nope,second"] {
        get(&service, OWNER, &id, None, &format!("?prefer={unknown}")).await.expect(400);
    }
    // the second store weighs more
    for (query, expected) in [
        ("", &copy[..]),
        ("?prefer=", copy),
        ("?prefer=%20", copy),
        ("?prefer=,", copy),
        ("?prefer=second", copy),
        ("?prefer=main", DATA),
        ("?prefer=%20main%20", DATA),
        // not in the order they are given
        ("?prefer=main,second", copy),
    ] {
        let answer = get(&service, OWNER, &id, None, query).await.expect(200);
        assert_eq!(answer.body, expected, "{query}");
    }
    let part = get(&service, OWNER, &id, Some(("Range", "bytes=2-3")), "?prefer=main").await.expect(206);
    assert_eq!(part.body, b"23");
    // a preference is not a demand
    let key = second.keys().await.pop().unwrap();
    second.client().delete_object().bucket(&second.name).key(key).send().await.unwrap();
    for query in ["", "?prefer=second", "?prefer=main"] {
        assert_eq!(get(&service, OWNER, &id, None, query).await.expect(200).body, DATA, "{query}");
    }
}

/// Row 1 of §13.2, and that nobody is told of stores before what they may do is known.
#[tokio::test]
async fn v2_239_who_may_choose_the_store() {
    let rules = json!({ "download_from_store": "role:admin" });
    let file = ScratchFile::new("policy.json", &rules.to_string());
    let (service, _second) =
        Service::start_with_two_stores(|settings| settings.policy.file = Some(file.path.clone())).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    for query in ["?prefer=main", "?prefer=nope"] {
        get(&service, OWNER, &id, None, query).await.expect(403);
    }
    get(&service, OWNER, &id, None, "").await.expect(200);
    get(&service, ADMIN, &id, None, "?prefer=main").await.expect(200);
}

/// The last rows of §13: what the store says before the first byte is told to the client.
#[tokio::test]
async fn a_store_without_the_data_is_told_in_words() {
    let fault = Arc::new(Mutex::new(Fault::Pass));
    let faulty = FaultyS3::start({
        let fault = Arc::clone(&fault);
        move |call| if call.operation == "GetObject" { *fault.lock().unwrap() } else { Fault::Pass }
    });
    let service = Service::start_faulty(&faulty).await;
    let id = service.active(OWNER, json!({}), DATA).await;
    for (state, status) in
        [(Fault::Denied, 400), (Fault::InternalError, 503), (Fault::Reset, 503), (Fault::Pass, 200)]
    {
        *fault.lock().unwrap() = state;
        for header in [None, Some(("Range", "bytes=1-2"))] {
            let expected = if status == 200 && header.is_some() { 206 } else { status };
            let answer = get(&service, OWNER, &id, header, "").await;
            assert_eq!(answer.status, expected, "{state:?}: {}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), status == 503);
        }
    }
    let [key] = <[String; 1]>::try_from(service.bucket.keys().await).unwrap();
    service.bucket.client().delete_object().bucket(&service.bucket.name).key(key).send().await.unwrap();
    // where the reference says 204, as if there never were data
    service.download(OWNER, &id).await.expect(404);
    assert_eq!(service.show(OWNER, &id).await["status"], json!("active"));
}

/// A stream that breaks at the store goes on where it broke, in parts as in whole downloads.
#[tokio::test]
async fn a_download_survives_a_stream_cut_at_the_store() {
    let data = pattern(400_000);
    for (header, first, last) in
        [(None, 0, 399_999), (Some(("Range", "bytes=50000-349999")), 50_000, 349_999)]
    {
        let faulty = FaultyS3::nth("GetObject", 0, Fault::Truncate(100_000));
        let service = Service::start_faulty(&faulty).await;
        let id = service.active(OWNER, json!({}), &data).await;
        let answer = get(&service, OWNER, &id, header, "").await;
        assert_eq!(answer.status, if header.is_some() { 206 } else { 200 });
        assert!(answer.body == data[first..=last], "other bytes came back");
        assert!(faulty.count("GetObject") >= 2);
    }
}

/// A store that cannot go on must not make a short image look whole.
#[tokio::test]
async fn a_download_that_cannot_go_on_is_cut_and_never_ends_cleanly() {
    let data = pattern(400_000);
    for header in [None, Some(("Range", "bytes=50000-349999"))] {
        let gets = AtomicUsize::new(0);
        let faulty = FaultyS3::start(move |call| match call.operation {
            "GetObject" if gets.fetch_add(1, Ordering::SeqCst) == 0 => Fault::Truncate(100_000),
            "GetObject" => Fault::Truncate(0),
            _ => Fault::Pass,
        });
        let service = Service::start_faulty(&faulty).await;
        let id = service.active(OWNER, json!({}), &data).await;
        let answer = get(&service, OWNER, &id, header, "").await;
        if answer.status == 503 {
            // the cut overtook the head of the store's answer, so the client is told in words
            continue;
        }
        let (status, from, length) =
            if header.is_some() { (206, 50_000, "300000") } else { (200, 0, "400000") };
        let answer = answer.expect(status);
        assert_eq!(answer.header("content-length").as_deref(), Some(length));
        assert_eq!(answer.header("transfer-encoding"), None);
        assert!(answer.body.len() <= 100_000, "{} bytes", answer.body.len());
        assert!(data[from..].starts_with(&answer.body), "other bytes came");
        assert_eq!(service.show(OWNER, &id).await["status"], json!("active"));
    }
}
