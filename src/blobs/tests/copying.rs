//! Copies inside the object store.

use super::*;

/// A store with objects, and another one on the same server to copy them to.
struct Copies {
    from: Setup,
    to: Setup,
}

/// An object to copy.
struct Object {
    key: String,
    data: Bytes,
    etag: String,
}

impl Copies {
    async fn new() -> Self {
        let from = Setup::new().await;
        let to = from.beside("copies", "two").await;
        Self { from, to }
    }

    async fn object(&self, size: usize) -> Object {
        let data = data(size);
        let (key, written) = self.from.put(&data).await;
        self.s3().plan(|_, _| None);
        Object { key, data, etag: written.etag }
    }

    fn s3(&self) -> &FaultyS3 {
        &self.from.s3
    }

    fn start(&self, object: &Object, key: &str) -> ObjectCopy {
        self.start_as(object, key, Some(&object.etag), object.data.len())
    }

    fn start_as(&self, object: &Object, key: &str, etag: Option<&str>, size: usize) -> ObjectCopy {
        let (to, from) = (&self.to.store, &self.from.store);
        ObjectCopy::new(to, key, from, &object.key, etag, size as u64).with_range(PART as u64)
    }

    /// Copies as a flow does; gives up properly on an error.
    async fn copy(&self, object: &Object, key: &str) -> Result<Written> {
        let mut copy = self.start(object, key);
        match run(&mut copy).await {
            Ok(written) => Ok(written),
            Err(error) => {
                copy.abort().await;
                Err(error)
            }
        }
    }

    async fn assert_nothing_is_left(&self, case: &str) {
        self.s3().plan(|_, _| None);
        assert_eq!(self.to.open_uploads().await, 0, "{case}");
        assert!(self.to.keys().await.is_empty(), "{case}");
    }
}

async fn run(copy: &mut ObjectCopy) -> Result<Written> {
    copy.begin().await?;
    while copy.next_part().await? {}
    copy.finish().await
}

#[tokio::test]
async fn every_size_around_the_range_arrives_whole() {
    let copies = Copies::new().await;
    for size in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 6 * PART + 77] {
        let object = copies.object(size).await;
        let key = copies.to.new_key();
        let mut copy = copies.start(&object, &key);
        let upload_id = copy.begin().await.unwrap();
        assert_eq!(upload_id.is_some(), size > PART, "{size}");
        let mut progress = copy.copied();
        while copy.next_part().await.unwrap() {
            assert!(copy.copied() > progress || size == 0, "{size}");
            progress = copy.copied();
            let started = copies.s3().count("UploadPartCopy");
            assert!(started <= progress.div_ceil(PART as u64) as usize + 4, "{started}");
        }
        assert_eq!(progress, size as u64);
        let written = copy.finish().await.unwrap();
        let ranges = if size > PART { size.div_ceil(PART) } else { 0 };
        assert_eq!(copies.s3().count("UploadPartCopy"), ranges, "{size}");
        assert_eq!(copies.s3().count("CopyObject"), usize::from(ranges == 0), "{size}");
        let sent = ["GetObject", "PutObject", "UploadPart"].map(|operation| copies.s3().count(operation));
        assert_eq!(sent, [0, 0, 0], "{size}");
        assert_eq!(written.size, size as u64);
        let validated = copies.to.store.read(&key, Some(&written.etag), size as u64, 0..size as u64).await;
        assert_eq!(validated.unwrap().remaining(), size as u64);
        assert!(copies.to.read(&key, size, 0..size).await.unwrap() == object.data, "{size}");
        assert!(copies.from.read(&object.key, size, 0..size).await.unwrap() == object.data, "{size}");
    }
    assert_eq!(copies.to.open_uploads().await, 0);
}

#[tokio::test]
async fn any_prefix_can_be_copied_from() {
    let to = Setup::new().await;
    let from = to.beside("images", "eu west/ü+%41?&").await;
    let copies = Copies { from, to };
    for size in [10, PART + 1] {
        let object = copies.object(size).await;
        let key = copies.to.new_key();
        copies.copy(&object, &key).await.unwrap();
        assert!(copies.to.read(&key, size, 0..size).await.unwrap() == object.data);
    }
}

#[tokio::test]
async fn another_object_is_not_copied() {
    let copies = Copies::new().await;
    for size in [10, 2 * PART] {
        let object = copies.object(size).await;
        let key = copies.to.new_key();
        for (etag, claimed) in
            [(Some("\"other\""), size), (Some(object.etag.as_str()), size + 1), (None, size - 1)]
        {
            let mut copy = copies.start_as(&object, &key, etag, claimed);
            assert_eq!(copy.begin().await.unwrap_err().kind, ErrorKind::Changed, "{size} {etag:?}");
            copy.abort().await;
        }
        // with and without a validator to begin with
        for etag in [Some(object.etag.as_str()), None] {
            copies.from.upload(&object.key, &object.data, None, size).await.unwrap();
            let mut copy = copies.start_as(&object, &key, etag, size);
            copy.begin().await.unwrap();
            let other = Bytes::from(vec![1; size]);
            copies.from.upload(&object.key, &other, None, size).await.unwrap();
            assert_eq!(copy.next_part().await.unwrap_err().kind, ErrorKind::Changed, "{size} {etag:?}");
            copy.abort().await;
        }
    }
    copies.assert_nothing_is_left("changed").await;
}

#[tokio::test]
async fn an_absent_source_is_told_from_an_aborted_upload() {
    let copies = Copies::new().await;
    let key = copies.to.new_key();
    for size in [10, 2 * PART] {
        let object = copies.object(size).await;
        let mut copy = copies.start(&object, &key);
        copy.begin().await.unwrap();
        copies.from.store.remove(&object.key, None).await.unwrap();
        assert_eq!(copy.next_part().await.unwrap_err().kind, ErrorKind::NotFound, "{size}");
        copy.abort().await;
        assert_eq!(copies.copy(&object, &key).await.unwrap_err().kind, ErrorKind::NotFound, "{size}");
    }
    assert_eq!(copies.s3().count("CreateMultipartUpload"), 1, "not for a source that is not there");
    let object = copies.object(2 * PART).await;
    for copied in [0, 2] {
        let mut copy = copies.start(&object, &key);
        let upload_id = copy.begin().await.unwrap().unwrap();
        for _ in 0..copied {
            assert!(copy.next_part().await.unwrap());
        }
        copies.to.store.remove(&key, Some(&upload_id)).await.unwrap();
        let error = if copied == 0 { copy.next_part().await.err() } else { copy.finish().await.err() };
        assert_eq!(error.unwrap().kind, ErrorKind::Aborted, "{copied}");
        copy.abort().await;
    }
    copies.assert_nothing_is_left("absent").await;
}

#[tokio::test]
async fn r06_single_faults_are_survived_by_every_call() {
    let copies = Copies::new().await;
    let small = copies.object(1000).await;
    let large = copies.object(2 * PART + 9).await;
    let faults = [
        Fault::Refuse(500, "InternalError"),
        Fault::Refuse(503, "SlowDown"),
        Fault::Reset,
        Fault::LostAnswer,
        Fault::ErrorInside("SlowDown"),
        Fault::ErrorInside("InternalError"),
        Fault::ErrorInside("Unheard"),
    ];
    let operations = [
        ("CopyObject", &small),
        ("CreateMultipartUpload", &large),
        ("UploadPartCopy", &large),
        ("CompleteMultipartUpload", &large),
        ("HeadObject", &small),
    ];
    for (operation, object) in operations {
        let inside = !matches!(operation, "CreateMultipartUpload" | "HeadObject");
        for fault in &faults[..if inside { faults.len() } else { 4 }] {
            let key = copies.to.new_key();
            copies.s3().spoil(operation, 1, fault.clone());
            let written = copies.copy(object, &key).await;
            assert_eq!(written.unwrap().size, object.data.len() as u64, "{operation} {fault:?}");
            assert!(copies.s3().count(operation) >= 2, "{operation} {fault:?}");
            let read = copies.to.read(&key, object.data.len(), 0..object.data.len()).await.unwrap();
            assert!(read == object.data, "{operation} {fault:?}");
            copies.to.store.remove(&key, None).await.unwrap();
            copies.assert_nothing_is_left(operation).await;
        }
    }
}

#[tokio::test]
async fn errors_inside_a_success_are_repeated_as_often_as_others() {
    let copies = Copies::new().await;
    for (operation, size) in [("CopyObject", 10), ("UploadPartCopy", PART + 1)] {
        let object = copies.object(size).await;
        copies.s3().plan(move |called, _| (called == operation).then_some(Fault::ErrorInside("SlowDown")));
        let error = copies.copy(&object, &copies.to.new_key()).await.unwrap_err();
        assert_eq!((error.kind, error.operation), (ErrorKind::Unavailable, operation));
        assert!(copies.s3().count(operation) >= 4);
        copies.assert_nothing_is_left(operation).await;
    }
}

#[tokio::test]
async fn a_store_that_refuses_copies_is_told_apart() {
    let copies = Copies::new().await;
    let refusals = [
        Fault::Refuse(501, "NotImplemented"),
        Fault::Refuse(403, "AccessDenied"),
        Fault::Refuse(400, "InvalidRequest"),
        Fault::Refuse(405, "MethodNotAllowed"),
        // the header was ignored
        Fault::Answer(String::new()),
    ];
    for (operation, size) in [("CopyObject", 10), ("UploadPartCopy", PART + 1)] {
        let object = copies.object(size).await;
        for refusal in &refusals {
            let case = format!("{operation} {refusal:?}");
            copies.s3().spoil(operation, 9, refusal.clone());
            let error = copies.copy(&object, &copies.to.new_key()).await.unwrap_err();
            assert_eq!((error.kind, error.operation), (ErrorKind::Unsupported, operation), "{case}");
            assert!(copies.s3().count(operation) <= 2, "not repeated: {case}");
            copies.assert_nothing_is_left(&case).await;
        }
    }
}

#[tokio::test]
async fn a_copy_of_another_size_is_not_taken_for_one() {
    let copies = Copies::new().await;
    let object = copies.object(1000).await;
    let key = copies.to.new_key();
    copies.to.upload(&key, &data(999), None, 999).await.unwrap();
    let answer = "<CopyObjectResult><ETag>\"00\"</ETag></CopyObjectResult>";
    copies.s3().spoil("CopyObject", 1, Fault::Answer(answer.to_owned()));
    assert_eq!(copies.copy(&object, &key).await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn what_the_store_refuses_to_begin_is_no_refusal_to_copy() {
    let copies = Copies::new().await;
    let object = copies.object(PART + 1).await;
    copies.s3().spoil("CreateMultipartUpload", 9, Fault::Refuse(403, "AccessDenied"));
    let error = copies.copy(&object, &copies.to.new_key()).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Denied, "CreateMultipartUpload"));
    copies.s3().spoil("UploadPartCopy", 9, Fault::Refuse(507, "XMinioStorageFull"));
    let error = copies.copy(&object, &copies.to.new_key()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full);
    copies.assert_nothing_is_left("begin").await;
}

#[tokio::test]
async fn an_aborted_copy_leaves_nothing() {
    let copies = Copies::new().await;
    let object = copies.object(6 * PART).await;
    for copied in [0, 1, 6] {
        let key = copies.to.new_key();
        let mut copy = copies.start(&object, &key);
        copy.begin().await.unwrap();
        for _ in 0..copied {
            assert!(copy.next_part().await.unwrap());
        }
        copy.abort().await;
        copies.assert_nothing_is_left(&format!("after {copied}")).await;
    }
}

#[tokio::test]
async fn waiting_can_be_cut_short_and_taken_up_again() {
    let copies = Copies::new().await;
    let object = copies.object(6 * PART).await;
    let key = copies.to.new_key();
    let mut copy = copies.start(&object, &key);
    copy.begin().await.unwrap();
    let begun = loop {
        match futures_util::poll!(std::pin::pin!(copy.next_part())) {
            std::task::Poll::Pending => tokio::task::yield_now().await,
            std::task::Poll::Ready(more) if more.as_ref().is_ok_and(|more| *more) => {}
            std::task::Poll::Ready(more) => break more,
        }
    };
    assert!(!begun.unwrap());
    assert_eq!(copy.copied(), 6 * PART as u64);
    copy.finish().await.unwrap();
    assert!(copies.to.read(&key, 6 * PART, 0..6 * PART).await.unwrap() == object.data);
}

#[tokio::test]
async fn unfinished_copies_are_not_completed() {
    let copies = Copies::new().await;
    for size in [0, 10, 2 * PART] {
        let object = copies.object(size).await;
        let mut copy = copies.start(&object, &copies.to.new_key());
        assert!(!copy.next_part().await.unwrap(), "not begun");
        assert_eq!(copy.finish().await.unwrap_err().kind, ErrorKind::Internal);
        copy.abort().await;
    }
    copies.assert_nothing_is_left("unfinished").await;
}

#[tokio::test]
async fn stores_of_one_account_can_copy_from_each_other() {
    let one = settings("http://127.0.0.1:1");
    let all = [
        ("one", one.clone()),
        ("other_bucket", config::Store { bucket: "b".to_owned(), ..one.clone() }),
        ("slash", config::Store { endpoint: Some("http://127.0.0.1:1/".to_owned()), ..one.clone() }),
        ("endpoint", settings("http://127.0.0.1:2")),
        ("region", config::Store { region: Some("eu-west-1".to_owned()), ..one.clone() }),
        ("key", config::Store { access_key: Some("other".into()), ..one.clone() }),
        ("chain", config::Store { access_key: None, secret_key: None, ..one.clone() }),
    ];
    let stores = stores(&all, Some("one")).await.unwrap();
    let one = stores.get("one").unwrap();
    for (id, can) in [
        ("one", true),
        ("other_bucket", true),
        ("slash", true),
        ("endpoint", false),
        ("region", false),
        ("key", false),
        ("chain", false),
    ] {
        assert_eq!(one.can_copy_from(stores.get(id).unwrap()), can, "{id}");
        assert_eq!(stores.get(id).unwrap().can_copy_from(one), can, "{id}");
    }
}
