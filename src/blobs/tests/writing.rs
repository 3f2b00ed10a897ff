//! Uploads.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn every_size_around_the_part_size_arrives_whole() {
    let setup = Setup::new().await;
    let sizes = [0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 4 * PART + 77];
    for size in sizes {
        let data = data(size);
        for length in [None, Some(size as u64)] {
            let frame = if length.is_some() { 99_991 } else { 3 * PART };
            let key = setup.new_key();
            setup.s3.plan(|_, _| None);
            let written = setup.upload(&key, &data, length, frame).await.unwrap();
            assert_eq!(written.size, size as u64);
            let parts = if size <= PART { 0 } else { size.div_ceil(PART) };
            assert_eq!(setup.s3.count("UploadPart"), parts, "{size} {length:?}");
            assert_eq!(setup.s3.count("PutObject"), usize::from(parts == 0));
            assert_eq!(setup.s3.count("HeadObject") + setup.s3.count("HeadBucket"), 0, "one round trip each");
            assert!(setup.read(&key, size, 0..size).await.unwrap() == data, "{size} {length:?}");
        }
    }
    setup.assert_memory_is_back().await;
    assert_eq!(setup.open_uploads().await, 0);
}

#[tokio::test]
async fn bodies_are_signed_over_plain_http() {
    let setup = Setup::new().await;
    for size in [0, 10, 100_000, PART + 1] {
        setup.s3.plan(|_, _| None);
        setup.put(&data(size)).await;
        for call in setup.s3.calls() {
            assert_eq!(call.payload.len(), 64, "{call:?}");
        }
    }
}

#[tokio::test]
async fn checksums_are_sent_where_switched_on() {
    let mut setup = Setup::new().await;
    let strict =
        config::Store { checksum: config::Checksum::WhenSupported, ..settings(&setup.s3.server.endpoint()) };
    setup.store = stores(&[("main", strict)], None).await.unwrap().default_store().clone();
    let data = data(PART + 3);
    let (key, _) = setup.put(&data).await;
    assert!(setup.read(&key, data.len(), 0..data.len()).await.unwrap() == data);
}

#[tokio::test]
async fn r13_uploads_share_little_memory_without_deadlock() {
    let setup = Setup::with_budget(3 * PART + MIB).await;
    let data = data(4 * PART + 5);
    let uploads = (0..6).map(|n| {
        let (setup, data) = (&setup, &data);
        async move {
            let key = setup.new_key();
            let length = (n % 2 == 0).then_some(data.len() as u64);
            setup.upload(&key, data, length, 64 << 10).await.unwrap();
            assert!(setup.read(&key, data.len(), 0..data.len()).await.unwrap() == *data);
        }
    });
    join_all(uploads).await;
    assert_eq!(setup.budget.free(), (3 * PART + MIB) as u64);
}

#[tokio::test]
async fn r06_single_faults_are_survived_by_every_call() {
    let setup = Setup::new().await;
    let data = data(2 * PART + 9);
    let faults = [
        Fault::Refuse(500, "InternalError"),
        Fault::Refuse(503, "SlowDown"),
        Fault::Refuse(429, "TooManyRequests"),
        Fault::Reset,
        Fault::LostAnswer,
    ];
    let operations = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"];
    for operation in operations {
        for fault in faults.iter().cloned().chain(inside(operation)) {
            let key = setup.new_key();
            setup.s3.spoil(operation, 1, fault.clone());
            let written = setup.upload(&key, &data, None, 200_000).await;
            assert_eq!(written.unwrap().size, data.len() as u64, "{operation} {fault:?}");
            setup.s3.plan(|_, _| None);
            assert!(
                setup.read(&key, data.len(), 0..data.len()).await.unwrap() == data,
                "{operation} {fault:?}"
            );
            assert_eq!(setup.open_uploads().await, 0, "{operation} {fault:?}");
        }
    }
    setup.assert_memory_is_back().await;
}

fn inside(operation: &str) -> Option<Fault> {
    (operation == "CompleteMultipartUpload").then_some(Fault::ErrorInside("SlowDown"))
}

#[tokio::test]
async fn r06_single_faults_of_small_objects() {
    let setup = Setup::new().await;
    for fault in [Fault::Refuse(503, "SlowDown"), Fault::Reset, Fault::LostAnswer] {
        let key = setup.new_key();
        setup.s3.spoil("PutObject", 1, fault);
        setup.upload(&key, &data(100_000), None, 4096).await.unwrap();
        assert_eq!(setup.s3.count("PutObject"), 2);
    }
}

#[tokio::test]
async fn attempts_are_limited() {
    let setup = Setup::new().await;
    setup.s3.spoil("PutObject", 99, Fault::Refuse(503, "SlowDown"));
    let error = setup.upload(&setup.new_key(), &data(1), None, 1).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Unavailable, "PutObject"));
    assert_eq!(setup.s3.count("PutObject"), 4);
}

#[tokio::test]
async fn a_failed_part_ends_the_upload_and_leaves_nothing() {
    let setup = Setup::new().await;
    let data = data(8 * PART);
    for (operation, kind) in [
        ("UploadPart", ErrorKind::Denied),
        ("CreateMultipartUpload", ErrorKind::Denied),
        ("CompleteMultipartUpload", ErrorKind::Denied),
    ] {
        setup.s3.spoil(operation, 99, Fault::Refuse(403, "AccessDenied"));
        let error = setup.upload(&setup.new_key(), &data, None, 1 << 20).await.unwrap_err();
        assert_eq!((error.kind, error.operation), (kind, operation));
        assert!(setup.s3.count(operation) <= 5, "no further parts after the failure");
        setup.s3.plan(|_, _| None);
        assert_eq!(setup.open_uploads().await, 0);
        assert!(setup.keys().await.is_empty());
    }
    setup.assert_memory_is_back().await;
}

#[tokio::test]
async fn a_failure_is_told_while_the_flow_waits_for_its_client() {
    let setup = Setup::new().await;
    setup.s3.spoil("UploadPart", 99, Fault::Refuse(507, "XMinioStorageFull"));
    let admission = setup.budget.admit(setup.store.layout(None).unwrap()).await.unwrap();
    let mut writer = ObjectWriter::new(&setup.store, &setup.new_key(), admission);
    {
        let quiet = std::pin::pin!(writer.failure());
        assert!(futures_util::poll!(quiet).is_pending(), "nothing was sent");
    }
    let mut frame = data(PART + 1);
    assert_eq!(writer.push(&mut frame).await.unwrap(), Pushed::PartFull);
    writer.begin_multipart().await.unwrap();
    writer.send_part().await.unwrap();
    assert_eq!(writer.failure().await.kind, ErrorKind::Full);
    writer.abort().await;
    assert_eq!(setup.open_uploads().await, 0);
    setup.assert_memory_is_back().await;
}

#[tokio::test]
async fn a_dropped_upload_gives_its_memory_back() {
    let setup = Setup::new().await;
    let admission = setup.budget.admit(setup.store.layout(None).unwrap()).await.unwrap();
    let mut writer = ObjectWriter::new(&setup.store, &setup.new_key(), admission);
    let mut frame = data(2 * PART);
    assert_eq!(writer.push(&mut frame).await.unwrap(), Pushed::PartFull);
    let upload_id = writer.begin_multipart().await.unwrap();
    writer.send_part().await.unwrap();
    let key = setup.keys().await;
    assert!(key.is_empty());
    drop(writer);
    setup.assert_memory_is_back().await;
    let open = setup.store.open_uploads().next_page().await.unwrap().unwrap();
    assert_eq!(open[0].upload_id, upload_id);
    setup.store.remove(&open[0].key, Some(&upload_id)).await.unwrap();
    assert_eq!(setup.open_uploads().await, 0);
}

#[tokio::test]
async fn more_bytes_than_announced_are_refused() {
    let setup = Setup::new().await;
    let error = setup.upload(&setup.new_key(), &data(11), Some(10), 4).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Internal, "push"));
}

#[tokio::test]
async fn r06_mixed_faults() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let setup = Setup::new().await;
    let mut state = seed;
    setup.s3.plan(move |operation, _| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match (z ^ (z >> 31)) % 100 {
            0..=1 => Some(Fault::Refuse(500, "InternalError")),
            2..=3 => Some(Fault::Refuse(503, "ServiceUnavailable")),
            4 => Some(Fault::Refuse(503, "SlowDown")),
            5..=6 => Some(Fault::Reset),
            7 if operation == "GetObject" => Some(Fault::Truncate(z as usize % 100_000)),
            8 if operation == "CompleteMultipartUpload" => Some(Fault::ErrorInside("InternalError")),
            9 => Some(Fault::LostAnswer),
            _ => None,
        }
    });
    let small = data(100_000);
    let large = data(2 * PART + 1);
    let work = (0..48).map(|n| {
        let (setup, data) = (&setup, if n % 8 == 0 { &large } else { &small });
        async move {
            let key = setup.new_key();
            setup.upload(&key, data, (n % 2 == 0).then_some(data.len() as u64), 70_000).await.unwrap();
            assert!(setup.read(&key, data.len(), 0..data.len()).await.unwrap() == *data);
        }
    });
    join_all(work).await;
    setup.s3.plan(|_, _| None);
    assert_eq!(setup.keys().await.len(), 48);
    assert_eq!(setup.open_uploads().await, 0);
    setup.assert_memory_is_back().await;
}
