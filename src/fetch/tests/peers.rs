//! Image services of a catalogue, and the token that goes there and nowhere else.

use secrecy::SecretString;

use super::*;

const PRIVATE: &str = "10.1.2.3";

fn token() -> SecretString {
    SecretString::from("t0ken")
}

/// A fetcher for `http://peer.test/x`, which is denied to users and in a private network, and that target.
fn peer(site: &Site) -> (Fetcher, Target) {
    let internet = site.internet().name("peer.test", &[&[PRIVATE]]).home(PRIVATE, site);
    let rules = Import { denied_hosts: vec!["peer.test".into()], ..Import::default() };
    let fetcher = internet.fetcher_with(&rules, quick()).for_peers().unwrap();
    let target = fetcher.parse("http://peer.test/x").unwrap();
    (fetcher.with_token(&target, &token()).unwrap(), target)
}

fn tokens(site: &Site) -> Vec<bool> {
    site.heads().iter().map(|head| head.contains("x-auth-token: t0ken\r\n")).collect()
}

#[tokio::test]
async fn a13_the_token_goes_to_the_peer_with_every_resumption() {
    let body = data(1000);
    let served = body.clone();
    let site = Site::start(move |request| piecewise(&served, 400, "ETag: \"a\"", request)).await;
    let (fetcher, target) = peer(&site);
    assert_eq!(fetch(&fetcher, &target).await, Ok(body));
    assert_eq!(tokens(&site), [true, true, true]);
    assert!(site.heads()[2].contains("range: bytes=800-"), "{:?}", site.heads());
}

#[tokio::test]
async fn r28_what_is_proven_by_a_digest_needs_no_validator() {
    let body = data(1000);
    let served = body.clone();
    let site = Site::start(move |request| piecewise(&served, 600, "X: y", request)).await;
    let (fetcher, target) = peer(&site);
    assert_eq!(fetch(&fetcher, &target).await, Err(Kind::Broken));
    let source = fetcher.open_proven(&target, 1000).await.unwrap();
    assert_eq!(read(source).await.unwrap(), body);
    assert_eq!(tokens(&site), [true, true, true]);
    let last = site.heads().pop().unwrap();
    assert!(last.contains("range: bytes=600-") && !last.contains("if-range"), "{last}");
}

#[tokio::test]
async fn r28_where_there_is_a_validator_it_holds_for_what_is_proven_too() {
    let served = data(1000);
    let site = Site::start(move |request| {
        let validator = if request.nth == 0 { "ETag: \"a\"" } else { "ETag: \"b\"" };
        piecewise(&served, 600, validator, request)
    })
    .await;
    let (fetcher, target) = peer(&site);
    let source = fetcher.open_proven(&target, 1000).await.unwrap();
    assert_eq!(read(source).await.unwrap_err().kind(), Kind::Changed);
}

#[tokio::test]
async fn a13_no_redirect_is_followed_with_a_token() {
    for to in ["http://public.test/y", "http://peer.test/y", "/y"] {
        let site = Site::start(move |_| moved(to)).await;
        let (fetcher, target) = peer(&site);
        assert_eq!(fetch(&fetcher, &target).await, Err(NO_REDIRECT), "{to}");
        assert_eq!(site.heads().len(), 1);
        assert_eq!(fetcher.refusals(), 1);
    }
}

#[tokio::test]
async fn a13_the_token_goes_to_no_other_origin() {
    let site = Site::start(|_| whole(b"abc")).await;
    let (fetcher, _) = peer(&site);
    let other_port = format!("http://peer.test:{}/x", site.address.port());
    for url in ["http://public.test/x", &other_port] {
        let target = fetcher.parse(url).unwrap();
        assert_eq!(fetch(&fetcher, &target).await, Ok(b"abc".to_vec()));
    }
    assert_eq!(tokens(&site), [false, false]);
}

#[tokio::test]
async fn a01_metadata_services_are_no_peers() {
    let site = Site::start(|_| whole(b"abc")).await;
    let internet = site.internet().name("meta.test", &[&["169.254.169.254"]]);
    let fetcher = internet.fetcher().for_peers().unwrap();
    let refusal = fetcher.parse("http://169.254.169.254/x").unwrap_err();
    assert_eq!(refusal, Refusal::Forbidden(Part::Address));
    let target = fetcher.parse("http://meta.test/x").unwrap();
    assert_eq!(fetch(&fetcher, &target).await, Err(NO_ADDRESS));
}

#[tokio::test]
async fn small_bodies_are_bounded_in_size_and_time() {
    let site = Site::start(|_| whole(b"{\"a\": 1}")).await;
    let (fetcher, target) = peer(&site);
    assert_eq!(fetcher.read(&target, 8).await.unwrap(), b"{\"a\": 1}");
    assert_eq!(fetcher.read(&target, 7).await.unwrap_err().kind(), Kind::TooLarge);
    let endless = Site::start(|_| Reply {
        bytes: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        then: Then::Repeat(b"1\r\na\r\n".to_vec(), ms(5)),
    })
    .await;
    let limits = Limits { idle: ms(100), ..quick() };
    let fetcher = endless.internet().fetcher_with(&Import::default(), limits);
    assert_eq!(fetcher.read(&public(), 1 << 20).await.unwrap_err().kind(), Kind::Stalled);
}
