//! Downloads.

use futures_util::StreamExt;

use super::*;

#[tokio::test]
async fn ranges_are_exact() {
    let setup = Setup::new().await;
    let data = data(300_000);
    let (key, written) = setup.put(&data).await;
    for range in [0..300_000, 0..1, 299_999..300_000, 5..5, 17..250_000, 300_000..300_000] {
        assert!(setup.read(&key, 300_000, range.clone()).await.unwrap() == data[range.clone()], "{range:?}");
    }
    let reader = setup.store.read(&key, Some(&written.etag), 300_000, 10..20).await.unwrap();
    assert_eq!(reader.remaining(), 10);
    let frames: Vec<_> = reader.into_stream().map(Result::unwrap).collect().await;
    assert_eq!(frames.concat(), data[10..20]);
    let beyond = setup.store.read(&key, None, 10, 5..11).await.unwrap_err();
    assert_eq!(beyond.kind, ErrorKind::Internal);
}

#[tokio::test]
async fn refusals_come_before_the_first_byte() {
    let setup = Setup::new().await;
    let (key, written) = setup.put(&data(1000)).await;
    let absent = setup.store.read(&setup.new_key(), None, 1000, 0..1000).await.unwrap_err();
    assert_eq!(absent.kind, ErrorKind::NotFound);
    let changed = setup.store.read(&key, Some("\"other\""), 1000, 0..1000).await.unwrap_err();
    assert_eq!(changed.kind, ErrorKind::Changed);
    for size in [999, 1001] {
        let resized = setup.store.read(&key, Some(&written.etag), size, 0..size).await.unwrap_err();
        assert_eq!(resized.kind, ErrorKind::Changed, "{size}");
    }
    let beyond = setup.store.read(&key, None, 2000, 1500..2000).await.unwrap_err();
    assert_eq!(beyond.kind, ErrorKind::Changed);
}

#[tokio::test]
async fn r09_truncated_bodies_go_on_where_they_broke() {
    let setup = Setup::new().await;
    let data = data(200_000);
    let (key, _) = setup.put(&data).await;
    for cut in [0, 1, 65_536, 199_899] {
        for fault in [Fault::Truncate(cut), Fault::EndEarly(cut)] {
            setup.s3.spoil("GetObject", 1, fault.clone());
            assert!(setup.read(&key, 200_000, 0..200_000).await.unwrap() == data, "{fault:?}");
            setup.s3.spoil("GetObject", 1, fault.clone());
            let read = setup.read(&key, 200_000, 100..200_000).await.unwrap();
            assert!(read == data[100..], "{fault:?}");
        }
    }
    // each time it comes a bit further
    setup.s3.spoil("GetObject", 6, Fault::Truncate(20_000));
    assert!(setup.read(&key, 200_000, 0..200_000).await.unwrap() == data);
}

#[tokio::test]
async fn r09_never_a_clean_short_end() {
    let setup = Setup::new().await;
    let data = data(200_000);
    let (key, written) = setup.put(&data).await;
    for later in [Fault::Reset, Fault::Refuse(503, "SlowDown"), Fault::Truncate(0)] {
        let mut first = Some(Fault::Truncate(50_000));
        setup.s3.plan(move |_, _| first.take().or_else(|| Some(later.clone())));
        let mut reader = setup.store.read(&key, Some(&written.etag), 200_000, 0..200_000).await.unwrap();
        let mut got = 0;
        let error = loop {
            match reader.next().await.expect("a clean end before all bytes") {
                Ok(frame) => got += frame.len(),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind, got), (ErrorKind::Unavailable, 50_000));
        assert_eq!(setup.s3.count("GetObject"), 1 + 3);
    }
}

#[tokio::test]
async fn another_object_is_not_mixed_in() {
    let setup = Setup::new().await;
    let (key, _) = setup.put(&data(200_000)).await;
    setup.s3.spoil("GetObject", 1, Fault::Truncate(50_000));
    let mut reader = setup.store.read(&key, None, 200_000, 0..200_000).await.unwrap();
    let other = Bytes::from(vec![1; 200_000]);
    setup.upload(&key, &other, None, 200_000).await.unwrap();
    let error = loop {
        match reader.next().await.unwrap() {
            Ok(frame) => assert!(frame.iter().any(|byte| *byte != 1)),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Changed);
}

#[tokio::test]
async fn more_bytes_than_the_object_has_are_an_error() {
    let setup = Setup::new().await;
    let (key, _) = setup.put(&data(1000)).await;
    setup.s3.spoil("GetObject", 1, Fault::Append("x"));
    assert_eq!(setup.read(&key, 1000, 0..1000).await.unwrap_err().kind, ErrorKind::Changed);
}
