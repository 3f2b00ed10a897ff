#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;
use std::path::PathBuf;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const MIB: usize = 1 << 20;

/// A server with one bucket `images`, and its client.
struct Setup {
    root: PathBuf,
    server: S3Server,
    client: Client,
}

impl Setup {
    async fn new() -> Self {
        let root = std::env::temp_dir().join(format!("vitrine-s3-{}", uuid::Uuid::new_v4()));
        let server = start(&root);
        let client = client(&server, RequestChecksumCalculation::WhenRequired);
        client.create_bucket().bucket("images").send().await.unwrap();
        Self { root, server, client }
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> String {
        let put = self.client.put_object().bucket("images").key(key).body(body.into()).send().await.unwrap();
        put.e_tag.unwrap()
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket("images").key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    async fn start_upload(&self, key: &str) -> String {
        let started = self.client.create_multipart_upload().bucket("images").key(key).send().await.unwrap();
        started.upload_id.unwrap()
    }

    async fn part(&self, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
        let part = self.client.upload_part().bucket("images").key(key).upload_id(id).part_number(number);
        let part = part.body(body.into()).send().await.unwrap();
        CompletedPart::builder().part_number(number).e_tag(part.e_tag.unwrap()).build()
    }

    async fn complete(&self, key: &str, id: &str, parts: &[CompletedPart]) -> Result<String, String> {
        let list = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        let request = self.client.complete_multipart_upload().bucket("images").key(key).upload_id(id);
        match request.multipart_upload(list).send().await {
            Ok(done) => Ok(done.e_tag.unwrap()),
            Err(error) => Err(code(&error)),
        }
    }

    async fn keys(&self) -> Vec<String> {
        let list = self.client.list_objects_v2().bucket("images").send().await.unwrap();
        list.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    fn restart(&mut self) {
        self.server.stop();
        self.server = start(&self.root);
        self.client = client(&self.server, RequestChecksumCalculation::WhenRequired);
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.server.stop();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn start(root: &Path) -> S3Server {
    S3Server::start(root, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "key", "secret").unwrap()
}

fn client(server: &S3Server, checksums: RequestChecksumCalculation) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(server.endpoint())
        .request_checksum_calculation(checksums)
        .force_path_style(true);
    Client::from_conf(config.build())
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("none").to_owned()
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap().status().as_u16()
}

/// Bytes that differ from place to place.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect()
}

#[tokio::test]
async fn objects_of_every_size_come_back_whole_and_in_ranges() {
    let s3 = Setup::new().await;
    assert_eq!(s3.put("empty", Vec::new()).await, "\"d41d8cd98f00b204e9800998ecf8427e\"");
    assert_eq!(s3.get("empty").await, Vec::<u8>::new());
    let content = bytes(3 * MIB + 17);
    s3.put("a/b c/ü.%2F", content.clone()).await;
    assert_eq!(s3.get("a/b c/ü.%2F").await, content);
    assert_eq!(s3.keys().await, ["a/b c/ü.%2F", "empty"]);
    let ranges = [("bytes=5-9", 5..10), ("bytes=3145740-", 3_145_740..content.len())];
    for (range, span) in ranges.into_iter().chain([("bytes=-4", content.len() - 4..content.len())]) {
        let got =
            s3.client.get_object().bucket("images").key("a/b c/ü.%2F").range(range).send().await.unwrap();
        let shown = format!("bytes {}-{}/{}", span.start, span.end - 1, content.len());
        assert_eq!(got.content_range(), Some(shown.as_str()));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), content[span]);
    }
    let beyond =
        s3.client.get_object().bucket("images").key("empty").range("bytes=0-").send().await.unwrap_err();
    assert_eq!((status(&beyond), code(&beyond)), (416, "InvalidRange".to_owned()));
}

#[tokio::test]
async fn what_is_missing_is_reported_as_real_stores_do() {
    let s3 = Setup::new().await;
    let head = s3.client.head_bucket().bucket("absent").send().await.unwrap_err();
    assert_eq!(status(&head), 404);
    let put = s3.client.put_object().bucket("absent").key("k").send().await.unwrap_err();
    assert_eq!(code(&put), "NoSuchBucket");
    let got = s3.client.get_object().bucket("images").key("absent").send().await.unwrap_err();
    assert_eq!((status(&got), code(&got)), (404, "NoSuchKey".to_owned()));
    s3.client.delete_object().bucket("images").key("absent").send().await.unwrap();
    let again = s3.client.create_bucket().bucket("images").send().await.unwrap_err();
    assert_eq!((status(&again), code(&again)), (409, "BucketAlreadyOwnedByYou".to_owned()));
    // the parent of a key is no object
    s3.put("a/b", bytes(1)).await;
    let head = s3.client.head_object().bucket("images").key("a").send().await.unwrap_err();
    assert_eq!(status(&head), 404);
}

#[tokio::test]
async fn unknown_uploads_are_no_such_upload_in_every_operation() {
    let s3 = Setup::new().await;
    let open = s3.start_upload("other").await;
    for id in ["nonsense", "6f9619ff-8b86-d011-b42d-00c04fc964ff", &open] {
        let target = || (s3.client.clone(), "images", "key");
        let (c, b, k) = target();
        let abort = c.abort_multipart_upload().bucket(b).key(k).upload_id(id).send().await.unwrap_err();
        assert_eq!((status(&abort), code(&abort)), (404, "NoSuchUpload".to_owned()));
        let parts = c.list_parts().bucket(b).key(k).upload_id(id).send().await.unwrap_err();
        assert_eq!(code(&parts), "NoSuchUpload");
        let part = c.upload_part().bucket(b).key(k).upload_id(id).part_number(1).send().await.unwrap_err();
        assert_eq!(code(&part), "NoSuchUpload");
        let chosen = [CompletedPart::builder().part_number(1).e_tag("x").build()];
        assert_eq!(s3.complete(k, id, &chosen).await, Err("NoSuchUpload".to_owned()));
    }
}

#[tokio::test]
async fn multipart_upload_is_checked_and_appears_at_once() {
    let s3 = Setup::new().await;
    let id = s3.start_upload("k").await;
    // numbers may have gaps, and a part may be sent again
    s3.part("k", &id, 2, bytes(10)).await;
    let first = s3.part("k", &id, 2, bytes(5 * MIB)).await;
    let second = s3.part("k", &id, 7, bytes(3)).await;
    let small = s3.part("k", &id, 9, bytes(3)).await;
    assert!(s3.keys().await.is_empty());
    let listed = s3.client.list_parts().bucket("images").key("k").upload_id(&id).send().await.unwrap();
    let numbers: Vec<_> =
        listed.parts().iter().map(|p| (p.part_number().unwrap(), p.size().unwrap())).collect();
    assert_eq!(numbers, [(2, 5 << 20), (7, 3), (9, 3)]);
    assert_eq!(listed.parts()[0].e_tag(), first.e_tag());
    let forged = CompletedPart::builder().part_number(7).e_tag("\"00\"").build();
    let refused = [
        (vec![], "MalformedXML"),
        (vec![first.clone(), forged], "InvalidPart"),
        (vec![second.clone(), first.clone()], "InvalidPartOrder"),
        (vec![first.clone(), second.clone(), small], "EntityTooSmall"),
    ];
    for (parts, reason) in refused {
        assert_eq!(s3.complete("k", &id, &parts).await, Err(reason.to_owned()));
    }
    let etag = s3.complete("k", &id, &[first, second]).await.unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    assert_eq!(s3.get("k").await, [bytes(5 * MIB), bytes(3)].concat());
    let across =
        s3.client.get_object().bucket("images").key("k").range("bytes=5242878-5242881").send().await.unwrap();
    assert_eq!(across.e_tag(), Some(etag.as_str()));
    let expected = [&bytes(5 * MIB)[5 * MIB - 2..], &bytes(2)].concat();
    assert_eq!(across.body.collect().await.unwrap().to_vec(), expected);
    assert_eq!(s3.complete("k", &id, &[]).await, Err("NoSuchUpload".to_owned()));
}

#[tokio::test]
async fn open_uploads_are_listed_survive_a_restart_and_can_be_aborted() {
    let mut s3 = Setup::new().await;
    let kept = s3.start_upload("p/kept").await;
    let part = s3.part("p/kept", &kept, 1, bytes(100)).await;
    let aborted = s3.start_upload("p/aborted").await;
    s3.start_upload("other").await;
    s3.put("object", bytes(10)).await;
    s3.restart();
    let first = s3.client.list_multipart_uploads().bucket("images").prefix("p/").max_uploads(1);
    let first = first.send().await.unwrap();
    assert_eq!(first.uploads()[0].upload_id(), Some(aborted.as_str()));
    let second = s3.client.list_multipart_uploads().bucket("images").prefix("p/");
    let second = second
        .set_key_marker(first.next_key_marker.clone())
        .set_upload_id_marker(first.next_upload_id_marker.clone());
    let second = second.send().await.unwrap();
    assert_eq!(second.uploads()[0].key(), Some("p/kept"));
    assert_eq!((second.uploads().len(), second.is_truncated()), (1, Some(false)));
    let abort = s3.client.abort_multipart_upload().bucket("images").key("p/aborted").upload_id(&aborted);
    abort.send().await.unwrap();
    s3.complete("p/kept", &kept, &[part]).await.unwrap();
    assert_eq!(s3.get("p/kept").await, bytes(100));
    assert_eq!(s3.get("object").await, bytes(10));
    let left = s3.client.list_multipart_uploads().bucket("images").send().await.unwrap();
    assert_eq!(left.uploads().len(), 1);
}

#[tokio::test]
async fn conditions_and_copies() {
    let s3 = Setup::new().await;
    let etag = s3.put("k", bytes(6 * MIB)).await;
    let get = || s3.client.get_object().bucket("images").key("k");
    assert!(get().if_match(&etag).send().await.is_ok());
    let changed = get().if_match("\"00\"").send().await.unwrap_err();
    assert_eq!((status(&changed), code(&changed)), (412, "PreconditionFailed".to_owned()));
    let put = s3.client.put_object().bucket("images").key("k").if_none_match("*").send().await.unwrap_err();
    assert_eq!(code(&put), "PreconditionFailed");
    let id = s3.start_upload("copy").await;
    let mut parts = Vec::new();
    for (number, range) in [(1, "bytes=0-5242879"), (2, "bytes=5242880-6291455")] {
        let copy =
            s3.client.upload_part_copy().bucket("images").key("copy").upload_id(&id).part_number(number);
        let copy = copy.copy_source("images/k").copy_source_range(range).send().await.unwrap();
        let tag = copy.copy_part_result.unwrap().e_tag.unwrap();
        parts.push(CompletedPart::builder().part_number(number).e_tag(tag).build());
    }
    s3.complete("copy", &id, &parts).await.unwrap();
    s3.client.copy_object().bucket("images").key("whole").copy_source("images/copy").send().await.unwrap();
    s3.client.delete_object().bucket("images").key("copy").send().await.unwrap();
    assert_eq!(s3.get("whole").await, bytes(6 * MIB));
}

#[tokio::test]
async fn copies_reach_other_buckets_and_name_the_object_they_mean() {
    let s3 = Setup::new().await;
    s3.client.create_bucket().bucket("others").send().await.unwrap();
    let etag = s3.put("k", bytes(1000)).await;
    let whole = || s3.client.copy_object().bucket("others").key("whole").copy_source("images/k");
    let changed = whole().copy_source_if_match("\"00\"").send().await.unwrap_err();
    assert_eq!((status(&changed), code(&changed)), (412, "PreconditionFailed".to_owned()));
    whole().copy_source_if_match(&etag).send().await.unwrap();
    let started = s3.client.create_multipart_upload().bucket("others").key("part").send().await.unwrap();
    let part = || {
        let part = s3.client.upload_part_copy().bucket("others").key("part").copy_source("images/k");
        part.set_upload_id(started.upload_id.clone()).part_number(1).copy_source_range("bytes=10-999")
    };
    let changed = part().copy_source_if_match("\"00\"").send().await.unwrap_err();
    assert_eq!((status(&changed), code(&changed)), (412, "PreconditionFailed".to_owned()));
    let beyond = part().copy_source_range("bytes=10-1000").send().await.unwrap_err();
    assert_eq!(code(&beyond), "InvalidRange");
    let absent = part().copy_source("images/absent").send().await.unwrap_err();
    assert_eq!(code(&absent), "NoSuchKey");
    let number = part().part_number(10_001).send().await.unwrap_err();
    assert_eq!(code(&number), "InvalidArgument");
    part().copy_source_if_match(&etag).send().await.unwrap();
    let whole = s3.client.get_object().bucket("others").key("whole").send().await.unwrap();
    assert_eq!(whole.body.collect().await.unwrap().to_vec(), bytes(1000));
}

#[tokio::test]
async fn lists_are_paged_and_grouped() {
    let s3 = Setup::new().await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        s3.put(key, bytes(2)).await;
    }
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let list = s3.client.list_objects_v2().bucket("images").delimiter("/").max_keys(2);
        let page = list.set_continuation_token(token).send().await.unwrap();
        seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        seen.extend(page.common_prefixes().iter().map(|common| common.prefix().unwrap().to_owned()));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["a/", "b", "c/", "d"]);
    let list =
        s3.client.list_objects_v2().bucket("images").prefix("a/").start_after("a/1").send().await.unwrap();
    assert_eq!(list.contents()[0].key(), Some("a/2"));
}

#[tokio::test]
async fn a_wrong_digest_or_signature_leaves_no_object() {
    let s3 = Setup::new().await;
    let put = s3.client.put_object().bucket("images").key("k").body(ByteStream::from_static(b"content"));
    let put = put.content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await.unwrap_err();
    assert_eq!(code(&put), "BadDigest");
    let put = s3.client.put_object().bucket("images").key("k").body(ByteStream::from_static(b"content"));
    let put = put.checksum_crc32("AAAAAA==").send().await.unwrap_err();
    assert_eq!(code(&put), "BadDigest");
    // trailing checksums, as clients send them by default
    let strict = client(&s3.server, RequestChecksumCalculation::WhenSupported);
    strict.put_object().bucket("images").key("sum").body(bytes(MIB).into()).send().await.unwrap();
    assert_eq!(s3.get("sum").await, bytes(MIB));
    let config = s3.client.config().to_builder();
    let other = config.credentials_provider(Credentials::new("key", "wrong", None, None, "test")).build();
    let put = Client::from_conf(other).put_object().bucket("images").key("k").send().await.unwrap_err();
    assert_eq!((status(&put), code(&put)), (403, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(s3.keys().await, ["sum"]);
}

#[tokio::test]
async fn an_object_whose_body_was_cut_does_not_exist() {
    let s3 = Setup::new().await;
    let signed = s3.client.put_object().bucket("images").key("cut");
    let signed = signed
        .presigned(aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(60)).unwrap());
    let url = url::Url::parse(signed.await.unwrap().uri()).unwrap();
    let mut stream = tokio::net::TcpStream::connect(s3.server.address()).await.unwrap();
    let head = format!(
        "PUT {}?{} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\n",
        url.path(),
        url.query().unwrap(),
        s3.server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes(500_000)).await.unwrap();
    stream.shutdown().await.unwrap();
    // the answer, if any, comes only after the server has dealt with the end of the body
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    assert!(s3.keys().await.is_empty());
    assert_eq!(std::fs::read_dir(s3.root.join("images/tmp")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(s3.root.join("images/data")).unwrap().count(), 0);
}

#[tokio::test]
async fn deleting_leaves_no_files_and_empties_the_bucket() {
    let s3 = Setup::new().await;
    s3.put("k", bytes(10)).await;
    s3.put("k", bytes(20)).await;
    let refused = s3.client.delete_bucket().bucket("images").send().await.unwrap_err();
    assert_eq!(code(&refused), "BucketNotEmpty");
    s3.client.delete_object().bucket("images").key("k").send().await.unwrap();
    assert_eq!(std::fs::read_dir(s3.root.join("images/data")).unwrap().count(), 0);
    s3.client.delete_bucket().bucket("images").send().await.unwrap();
    assert_eq!(s3.client.list_buckets().send().await.unwrap().buckets().len(), 0);
}

#[tokio::test]
async fn content_of_an_interrupted_write_is_cleared_at_the_next_start() {
    let mut s3 = Setup::new().await;
    s3.put("k", bytes(10)).await;
    let id = s3.start_upload("open").await;
    let part = s3.part("open", &id, 1, bytes(10)).await;
    let bucket = s3.root.join("images");
    std::fs::create_dir(bucket.join("data/orphan")).unwrap();
    std::fs::write(bucket.join("data/orphan/1"), "x").unwrap();
    std::fs::write(bucket.join("tmp/draft"), "x").unwrap();
    s3.restart();
    assert!(!bucket.join("data/orphan").exists());
    assert!(!bucket.join("tmp/draft").exists());
    assert_eq!(s3.get("k").await, bytes(10));
    s3.complete("open", &id, &[part]).await.unwrap();
}
