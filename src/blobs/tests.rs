//! The layer against a server that speaks S3, and against one that fails in all the ways stores fail.
#![expect(clippy::unwrap_used, reason = "tests")]

mod copying;
mod faults;
mod reading;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::call::Operation;
use super::*;
use crate::config::units::ByteSize;
use crate::config::{self, HashAlgorithm};
use crate::domain::digest::Digests;
use crate::domain::image::ImageId;
use crate::telemetry::metrics;
use faults::{ACCESS_KEY, Fault, FaultyS3, SECRET_KEY};

const MIB: usize = 1 << 20;

/// Part size of the store under test: the least S3 takes.
const PART: usize = 5 * MIB;

/// A server, a store on it with its bucket, and memory.
struct Setup {
    s3: Arc<FaultyS3>,
    store: Store,
    budget: Budget,
}

impl Setup {
    async fn new() -> Self {
        Self::with_budget(64 * MIB).await
    }

    async fn with_budget(bytes: usize) -> Self {
        let s3 = Arc::new(FaultyS3::start());
        let settings = settings(&s3.server.endpoint());
        Self::on(s3, settings, bytes).await
    }

    /// Another store on the same server.
    async fn beside(&self, bucket: &str, prefix: &str) -> Self {
        let settings = settings(&self.s3.server.endpoint());
        let settings = config::Store { bucket: bucket.to_owned(), prefix: prefix.to_owned(), ..settings };
        Self::on(Arc::clone(&self.s3), settings, 64 * MIB).await
    }

    async fn on(s3: Arc<FaultyS3>, settings: config::Store, budget: usize) -> Self {
        let stores = stores(&[("main", settings)], None).await.unwrap();
        let store = stores.default_store().clone();
        store.create_bucket().await.unwrap();
        Self { s3, store, budget: Budget::new(budget as u64, 4) }
    }

    fn new_key(&self) -> String {
        self.store.key(ObjectKey { image: ImageId::random(), blob: Uuid::new_v4() })
    }

    /// Uploads as a flow does; gives up properly on an error.
    async fn upload(&self, key: &str, data: &Bytes, length: Option<u64>, frame: usize) -> Result<Written> {
        let admission = self.budget.admit(self.store.layout(length)?).await?;
        let mut writer = ObjectWriter::new(&self.store, key, admission);
        match self.pump(&mut writer, data, frame).await {
            Ok(digests) => {
                let written = writer.finish().await;
                if written.is_ok() {
                    assert_eq!(digests.size, data.len() as u64);
                    assert_eq!(digests.checksum, Some(md5(data)));
                    return written;
                }
                writer.abort().await;
                written
            }
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn pump(&self, writer: &mut ObjectWriter, data: &Bytes, frame: usize) -> Result<Digests> {
        let mut hasher = Hasher::new(true, HashAlgorithm::Sha256);
        for frame in data.chunks(frame) {
            let mut frame = data.slice_ref(frame);
            while writer.push(&mut frame).await? == Pushed::PartFull {
                if !writer.is_multipart() {
                    writer.begin_multipart().await?;
                }
                hasher.push(writer.send_part().await?).await?;
            }
        }
        hasher.push(writer.send_last().await?).await?;
        hasher.finish().await
    }

    async fn read(&self, key: &str, size: usize, range: std::ops::Range<usize>) -> Result<Vec<u8>> {
        let range = range.start as u64..range.end as u64;
        let mut reader = self.store.read(key, None, size as u64, range).await?;
        let mut data = Vec::new();
        while let Some(frame) = reader.next().await {
            data.extend_from_slice(&frame?);
        }
        Ok(data)
    }

    async fn put(&self, data: &Bytes) -> (String, Written) {
        let key = self.new_key();
        let written = self.upload(&key, data, Some(data.len() as u64), 64 << 10).await.unwrap();
        (key, written)
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut objects = self.store.objects();
        while let Some(page) = objects.next_page().await.unwrap() {
            keys.extend(page.into_iter().map(|object| object.key));
        }
        keys
    }

    async fn open_uploads(&self) -> usize {
        let mut uploads = self.store.open_uploads();
        let mut count = 0;
        while let Some(page) = uploads.next_page().await.unwrap() {
            count += page.len();
        }
        count
    }

    /// All part memory is back; parts whose request was cut may take a moment to be let go.
    async fn assert_memory_is_back(&self) {
        let back = async {
            while self.budget.free() < 64 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), back).await.expect("part memory was lost");
    }
}

fn settings(endpoint: &str) -> config::Store {
    config::Store {
        bucket: "images".to_owned(),
        prefix: "one".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        access_key: Some(ACCESS_KEY.into()),
        secret_key: Some(SECRET_KEY.into()),
        part_size: Some(ByteSize(PART as u64)),
        ..config::Store::default()
    }
}

async fn stores(all: &[(&str, config::Store)], default: Option<&str>) -> Result<Stores, String> {
    let all: BTreeMap<_, _> = all.iter().map(|(id, store)| ((*id).to_owned(), store.clone())).collect();
    Stores::new(&all, default, &metrics::local().0).await
}

/// Bytes without a period that divides any part size.
fn data(size: usize) -> Bytes {
    (0..size).map(|n| (n % 251) as u8 ^ (n >> 16) as u8).collect::<Vec<_>>().into()
}

fn md5(data: &[u8]) -> String {
    let mut checksum = crate::domain::digest::Checksum::default();
    checksum.update(data);
    checksum.finish()
}

#[tokio::test]
async fn stores_are_built_in_order_with_one_default() {
    let one = settings("http://127.0.0.1:1");
    let all = [("b", one.clone()), ("a", config::Store { weight: 7, read_only: true, ..one.clone() })];
    let built = stores(&all, Some("b")).await.unwrap();
    assert_eq!(built.iter().map(|store| &*store.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(&*built.default_store().id, "b");
    let a = built.get("a").unwrap();
    assert!(a.read_only() && a.weight() == 7 && a.description().is_none());
    assert!(built.get("c").is_none());
    let key = ObjectKey { image: ImageId::random(), blob: Uuid::new_v4() };
    assert_eq!(a.key(key), format!("one/images/{}/{}", key.image, key.blob));
    assert_eq!(a.parse_key(&a.key(key)), Some(key));
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let good = settings("http://127.0.0.1:1");
    let wrong = [
        (vec![], None, "stores: configure"),
        (vec![("a", good.clone()), ("b", good.clone())], None, "default_store: name"),
        (vec![("a", good.clone())], Some("b"), "default_store: there is no store `b`"),
        (vec![("a", config::Store { bucket: String::new(), ..good.clone() })], None, "stores.a: bucket"),
        (vec![("a", config::Store { secret_key: None, ..good.clone() })], None, "stores.a: access_key"),
        (vec![("a", settings("localhost:9000"))], None, "stores.a: endpoint"),
        (vec![("a", settings("ftp://host"))], None, "stores.a: endpoint"),
        (
            vec![("a", config::Store { part_size: Some(ByteSize(1)), ..good.clone() })],
            None,
            "stores.a: part_size",
        ),
    ];
    for (all, default, message) in wrong {
        let error = stores(&all, default).await.unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[tokio::test]
async fn a53_no_credentials_in_debug_or_errors() {
    let setup = Setup::new().await;
    let key = setup.new_key();
    let mut texts = vec![format!("{:?}", setup.store)];
    for code in ["SignatureDoesNotMatch", "AccessDenied", "InvalidAccessKeyId"] {
        setup.s3.spoil("DeleteObject", 1, Fault::Refuse(403, code));
        let error = setup.store.remove(&key, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert_eq!(setup.s3.count("DeleteObject"), 1, "a refusal is not repeated");
        texts.push(format!("{error:?} {error} {}", crate::error::Chain(&error)));
    }
    for text in texts {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn buckets_are_checked_and_created_once() {
    let s3 = FaultyS3::start();
    let stores = stores(&[("main", settings(&s3.server.endpoint()))], None).await.unwrap();
    let store = stores.default_store();
    assert_eq!(store.check().await.unwrap_err().kind, ErrorKind::NotFound);
    s3.spoil("CreateBucket", 1, Fault::LostAnswer);
    store.create_bucket().await.unwrap();
    store.create_bucket().await.unwrap();
    store.check().await.unwrap();
    assert_eq!(s3.count("CreateBucket"), 2, "not again once it exists");
}

#[tokio::test]
async fn r07_an_unreachable_store_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let stores = stores(&[("main", settings(&endpoint))], None).await.unwrap();
    assert_eq!(stores.default_store().check().await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn r07_a_store_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stores = stores(&[("main", settings(&endpoint))], None).await.unwrap();
    let store = stores.default_store();
    let limits = Limits { attempt: Duration::from_millis(50), attempts: 2 };
    let mut connections = Vec::new();
    let head = store
        .call(Operation::new("HeadBucket"), limits, || store.client().head_bucket().bucket("images").send());
    let mut head = std::pin::pin!(head);
    let error = loop {
        tokio::select! {
            answer = &mut head => break answer.unwrap_err(),
            connection = listener.accept() => connections.push(connection.unwrap()),
        }
    };
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(connections.len(), 2, "the dead connection is not used again");
}

#[tokio::test]
async fn removing_what_is_absent_succeeds() {
    let setup = Setup::new().await;
    let (key, _) = setup.put(&data(10)).await;
    setup.store.remove(&key, Some("6f9619ff-8b86-d011-b42d-00c04fc964ff")).await.unwrap();
    assert!(setup.keys().await.is_empty());
    setup.store.remove(&key, None).await.unwrap();
}

#[tokio::test]
async fn removing_aborts_until_the_upload_is_unknown() {
    let setup = Setup::new().await;
    let part = "<ListPartsResult><Part><PartNumber>1</PartNumber><Size>1</Size></Part></ListPartsResult>";
    setup.s3.spoil("ListParts", 2, Fault::Answer(part.to_owned()));
    setup.store.remove(&setup.new_key(), Some("6f9619ff-8b86-d011-b42d-00c04fc964ff")).await.unwrap();
    assert_eq!(setup.s3.count("AbortMultipartUpload"), 3);
    setup.s3.spoil("ListParts", 99, Fault::Answer(part.to_owned()));
    let error = setup.store.remove(&setup.new_key(), Some("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(setup.s3.count("DeleteObject"), 0, "the sweep comes again");
}

#[tokio::test]
async fn listings_follow_pages_and_stop_where_a_token_repeats() {
    fn page(key: &str, token: Option<&str>) -> Fault {
        let more = token.is_some();
        let token = token.map(|t| format!("<NextContinuationToken>{t}</NextContinuationToken>"));
        let token = token.unwrap_or_default();
        Fault::Answer(format!(
            "<ListBucketResult><IsTruncated>{more}</IsTruncated>{token}<Contents><Key>{key}</Key><Size>3</Size>\
             <LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>"
        ))
    }
    let setup = Setup::new().await;
    setup.s3.plan(|_, n| Some([page("a", Some("1")), page("b", Some("2")), page("c", None)][n - 1].clone()));
    assert_eq!(setup.keys().await, ["a", "b", "c"]);
    setup.s3.plan(|_, _| Some(page("a", Some("1"))));
    let mut objects = setup.store.objects();
    let first = objects.next_page().await.unwrap().unwrap();
    assert_eq!(first[0].size, 3);
    assert_eq!(first[0].modified_at.unwrap().unix_timestamp(), 1_767_323_045);
    assert_eq!(objects.next_page().await.unwrap_err().kind, ErrorKind::Internal);
    assert_eq!(objects.next_page().await.unwrap(), None);
}

#[tokio::test]
async fn listings_do_not_reach_siblings() {
    let setup = Setup::new().await;
    let (key, _) = setup.put(&data(1)).await;
    let other = setup.beside("images", "one/imagesx").await;
    other.put(&data(1)).await;
    assert_eq!(setup.keys().await, [key]);
}
