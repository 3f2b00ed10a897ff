//! Bodies that break, lie, change, stall or never end (A11, R-28).

use futures_util::TryStreamExt;

use super::*;

#[tokio::test]
async fn r28_a_body_that_breaks_often_is_resumed() {
    let now = "Date: Tue, 15 Nov 1994 12:45:28 GMT\nLast-Modified: Tue, 15 Nov 1994 12:45:26 GMT";
    for validator in ["ETag: \"a\"", now] {
        let body = data(100_000);
        let want = body.clone();
        let site = Site::start(move |request| piecewise(&body, 9_000, validator, request)).await;
        let fetcher = site.internet().fetcher();
        let source = fetcher.open(&public(), 100_000).await.unwrap();
        assert_eq!(source.size(), Some(100_000));
        let pieces: Vec<_> = source.into_stream().try_collect().await.unwrap();
        assert!(pieces.concat() == want);
        let heads = site.heads();
        assert_eq!(heads.len(), 12);
        assert!(
            heads[1].contains("range: bytes=9000-\r\n") && heads[1].contains("if-range: "),
            "{}",
            heads[1]
        );
    }
}

#[tokio::test]
async fn r28_refused_connections_in_between_are_survived() {
    let body = data(1_000);
    let want = body.clone();
    let site = Site::start(move |request| match request.nth {
        1 => say("503 Busy\nContent-Length: 0", b""),
        2 => Reply { bytes: vec![], then: Then::Close },
        _ => piecewise(&body, 600, "ETag: \"a\"", request),
    })
    .await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Ok(want));
}

#[tokio::test]
async fn r28_bytes_are_never_mixed() {
    type Script = fn(&Request, &[u8]) -> Reply;
    let cases: [(&str, Script, Kind); 9] = [
        ("ignores range", |_, body| piecewise_whole(body, "\"a\""), Kind::Changed),
        ("other etag", |request, body| piecewise(body, 600, "ETag: \"b\"", request), Kind::Changed),
        ("no etag", |request, body| piecewise(body, 600, "", request), Kind::Changed),
        ("other total", |_, _| partial("400-1000/1001", 601), Kind::Changed),
        ("other start", |_, _| partial("399-999/1000", 601), Kind::Changed),
        ("no range", |_, _| say("206 X\nContent-Length: 600\nETag: \"a\"", &[0; 600]), Kind::Changed),
        ("longer piece", |_, _| partial("400-999/1000", 700), Kind::Changed),
        ("shrunk", |_, _| say("416 X\nContent-Range: bytes */10\nContent-Length: 0", b""), Kind::Changed),
        ("vanished", |_, _| say("404 X\nContent-Length: 0", b""), Kind::NotFound),
    ];
    for (name, second, want) in cases {
        let body = data(1_000);
        let site = Site::start(move |request| match request.nth {
            0 => piecewise(&body, 400, "ETag: \"a\"", request),
            _ => second(request, &body),
        })
        .await;
        let mut source = site.internet().fetcher().open(&public(), 1_000).await.unwrap();
        let mut got = Vec::new();
        let error = loop {
            match source.chunk().await {
                Ok(data) => got.extend_from_slice(&data.unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), want, "{name}");
        assert!(got == data(400), "{name}");
        assert_eq!(source.chunk().await.unwrap_err().kind(), want, "{name}: errors are final");
        assert_eq!(site.heads().len(), 2, "{name}");
    }
}

fn piecewise_whole(body: &[u8], etag: &str) -> Reply {
    say(&format!("200 OK\nContent-Length: {}\nETag: {etag}", body.len()), body)
}

fn partial(range: &str, len: usize) -> Reply {
    let head = format!("206 X\nContent-Range: bytes {range}\nContent-Length: {len}\nETag: \"a\"");
    say(&head, &vec![0; len])
}

#[tokio::test]
async fn r28_without_a_strong_validator_nothing_is_resumed() {
    for validator in ["", "ETag: W/\"a\"", "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT"] {
        let body = data(1_000);
        let site = Site::start(move |request| piecewise(&body, 400, validator, request)).await;
        assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Err(Kind::Broken));
        assert_eq!(site.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_break_before_the_first_byte_starts_over() {
    let body = data(500);
    let want = body.clone();
    let site = Site::start(move |request| piecewise(&body, request.nth * 250, "", request)).await;
    let error = fetch(&site.internet().fetcher(), &public()).await;
    assert_eq!(error, Err(Kind::Broken), "the second answer breaks after 250 bytes");
    let body = want.clone();
    let site = Site::start(move |request| piecewise(&body, request.nth * 500, "", request)).await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Ok(want));
    let site = Site::start(|request| match request.nth {
        0 => say("200 OK\nContent-Length: 5", b""),
        _ => whole(b"123456"),
    })
    .await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Err(Kind::Changed));
}

#[tokio::test]
async fn v1_253_a11_a_source_that_lies_about_its_length_fails() {
    let site = Site::start(|_| say("200 OK\nContent-Length: 1000000", b"")).await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Err(Kind::Broken));
    assert_eq!(site.heads().len(), 4, "one request and three tries");

    let body = data(10);
    let site = Site::start(move |request| match request.nth {
        0 => piecewise(&body, 4, "ETag: \"a\"", request),
        // A correct head with an empty body, for ever.
        _ => piecewise(&body, 0, "ETag: \"a\"", request),
    })
    .await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Err(Kind::Broken));

    let cut = Site::start(|_| say("200 OK\nTransfer-Encoding: chunked", b"5\r\nabc")).await;
    assert_eq!(fetch(&cut.internet().fetcher(), &public()).await, Err(Kind::Broken));
}

#[tokio::test]
async fn a11_an_endless_body_stops_at_the_cap() {
    let endless = |_: &Request| Reply {
        bytes: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        then: Then::Repeat([b"1000\r\n".as_slice(), &[7; 4096], b"\r\n"].concat(), Duration::ZERO),
    };
    let site = Site::start(endless).await;
    let mut source = site.internet().fetcher().open(&public(), 100_000).await.unwrap();
    let mut got = 0;
    let error = loop {
        match source.chunk().await {
            Ok(data) => got += data.unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), error.retryable()), (Kind::TooLarge, false));
    assert!(got <= 100_000);
    let announced = Site::start(|_| say("200 OK\nContent-Length: 100001", b"")).await;
    let error = announced.internet().fetcher().open(&public(), 100_000).await.map(drop);
    assert_eq!(error.unwrap_err().kind(), Kind::TooLarge);
    let exact = Site::start(|_| whole(b"12345")).await;
    let source = exact.internet().fetcher().open(&public(), 5).await.unwrap();
    assert_eq!(read(source).await.unwrap(), b"12345");
}

#[tokio::test]
async fn a11_a_silent_source_is_given_up_after_the_idle_time() {
    let site = Site::start(|_| Reply { then: Then::Hold, ..say("200 OK\nContent-Length: 9", b"abc") }).await;
    let limits = Limits { idle: ms(300), ..quick() };
    let fetcher = site.internet().fetcher_with(&Import::default(), limits);
    assert_eq!(fetch(&fetcher, &public()).await, Err(Kind::Stalled));
}

#[tokio::test]
async fn a11_a_trickle_is_given_up_when_its_slack_is_used() {
    let trickle = |_: &Request| Reply {
        bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec(),
        then: Then::Repeat(b"x".to_vec(), ms(10)),
    };
    let slack = Limits { slack: ms(400), ..quick() };
    let total = Limits { total: ms(400), floor: 1, ..quick() };
    for limits in [slack, total] {
        let site = Site::start(trickle).await;
        let fetcher = site.internet().fetcher_with(&Import::default(), limits);
        let fetched = tokio::time::timeout(Duration::from_secs(5), fetch(&fetcher, &public())).await;
        assert_eq!(fetched.unwrap(), Err(Kind::Stalled));
    }
    // The same trickle is fine where it is fast enough.
    let site = Site::start(trickle).await;
    let limits = Limits { slack: ms(400), floor: 1, ..quick() };
    let mut source =
        site.internet().fetcher_with(&Import::default(), limits).open(&public(), u64::MAX).await.unwrap();
    let mut got = 0;
    while got < 60 {
        got += source.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a11_dropping_every_byte_is_a_trickle_too() {
    let body = data(1_000_000);
    let site = Site::start(move |request| piecewise(&body, 1, "ETag: \"a\"", request)).await;
    let limits = Limits { slack: ms(200), backoff: ms(10), ..quick() };
    let fetcher = site.internet().fetcher_with(&Import::default(), limits);
    assert_eq!(fetch(&fetcher, &public()).await, Err(Kind::Stalled));
    assert!(site.heads().len() <= 21, "the pauses use up the slack");
}
