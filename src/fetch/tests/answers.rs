//! Statuses, sizes and encodings.

use super::*;

#[tokio::test]
async fn v1_129_v1_133_a_missing_source_is_told_apart() {
    for status in ["404 Not Found", "410 Gone"] {
        let site = Site::start(move |_| say(&format!("{status}\nContent-Length: 0"), b"")).await;
        let fetcher = site.internet().fetcher();
        assert_eq!(fetcher.probe(&public()).await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(fetch(&fetcher, &public()).await, Err(Kind::NotFound));
    }
}

#[tokio::test]
async fn other_statuses_are_errors() {
    for (status, again) in [(204, false), (206, false), (304, false), (403, false), (429, true), (503, true)]
    {
        let site = Site::start(move |_| say(&format!("{status} X\nContent-Length: 0"), b"")).await;
        let error = site.internet().fetcher().open(&public(), 1).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.retryable()), (Kind::BadStatus(status), again));
    }
}

#[tokio::test]
async fn sizes_come_from_head_or_get_or_not_at_all() {
    let get = |request: &Request| request.head.starts_with("GET");
    let head = Site::start(|_| say("200 OK\nContent-Length: 1000000", b"")).await;
    assert_eq!(head.internet().fetcher().probe(&public()).await.unwrap(), Some(1_000_000));
    assert_eq!(head.heads().len(), 1);
    for refusal in ["405 X", "501 X", "403 X", "200 OK"] {
        let site =
            Site::start(move |request| if get(request) { whole(b"12345") } else { say(refusal, b"") }).await;
        assert_eq!(site.internet().fetcher().probe(&public()).await.unwrap(), Some(5), "{refusal}");
    }
    let chunked = Site::start(|_| say("200 OK\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")).await;
    let fetcher = chunked.internet().fetcher();
    assert_eq!(fetcher.probe(&public()).await.unwrap(), None);
    let source = fetcher.open(&public(), 3).await.unwrap();
    assert_eq!(source.size(), None);
    assert_eq!(read(source).await.unwrap(), b"abc");
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let site = Site::start(|_| say("200 OK\nContent-Encoding: gzip\nContent-Length: 3", b"abc")).await;
    let fetcher = site.internet().fetcher();
    assert_eq!(fetch(&fetcher, &public()).await, Err(Kind::Encoded));
    assert_eq!(fetcher.probe(&public()).await.unwrap_err().kind(), Kind::Encoded);
    let site = Site::start(|_| say("200 OK\nContent-Encoding: identity\nContent-Length: 3", b"abc")).await;
    assert_eq!(fetch(&site.internet().fetcher(), &public()).await, Ok(b"abc".to_vec()));
}
