//! Sources that break off, lie, change, trickle or never end (R-28, A11).

use super::*;
use crate::support::bad_source::{Asked, BadSource, Reply};

const LENGTH: usize = 300_000;
/// Bytes after which connections break.
const PIECE: usize = 70_000;

/// Resumed, with the right bytes everywhere.
#[tokio::test]
async fn r28_a_source_that_drops_the_connection_again_and_again_is_resumed() {
    let service = service(quick(), |_| {}).await;
    let all = data(1, LENGTH);
    let source = BadSource::start({
        let all = all.clone();
        move |asked| match asked.first() {
            Some(first) if asked.header("if-range") == Some("\"a\"") => Reply::rest(&all, first, PIECE, "a"),
            _ => Reply::whole(&all, PIECE, "a"),
        }
    })
    .await;
    for entrance in ENTRANCES {
        source.forget();
        let end = end(&service, entrance, &source.url("/x"), &all).await;
        assert_data(&service, &end, &all, &format!("{entrance:?}")).await;
        let resumed = source.heads().iter().filter(|head| head.contains("range: bytes=")).count();
        assert!(resumed >= LENGTH / PIECE, "{entrance:?}: resumed {resumed} times");
    }
    service.assert_settled().await;
    assert_eq!(service.bucket.keys().await.len(), COPIES.len());
}

/// Failed with a reason: the rest would begin anew, and nothing says that it is the rest.
#[tokio::test]
async fn r28_a_source_that_ignores_range_fails() {
    let all = data(1, LENGTH);
    let source = BadSource::start({
        let all = all.clone();
        move |_| Reply::whole(&all, PIECE, "a")
    })
    .await;
    assert_broken(&source, &[&all]).await;
}

/// Failed with a reason: each answer is of another version than the one before, whether or not it is the range.
#[tokio::test]
async fn r28_a_source_that_changes_all_the_time_fails() {
    let versions = [data(1, LENGTH), data(2, LENGTH)];
    let source = BadSource::start({
        let versions = versions.clone();
        move |asked| {
            let (all, etag) = (&versions[asked.nth % 2], ["a", "b"][asked.nth % 2]);
            match asked.first() {
                Some(first) => Reply::rest(all, first, PIECE, etag),
                None => Reply::whole(all, PIECE, etag),
            }
        }
    })
    .await;
    assert_broken(&source, &[&versions[0], &versions[1]]).await;
}

/// Failed with a reason: what is announced never comes.
#[tokio::test]
async fn a11_a_source_that_announces_more_than_it_sends_fails() {
    let sent = data(1, 9);
    let source = BadSource::start({
        let sent = sent.clone();
        move |_| Reply::new("200 OK\nContent-Length: 1000000", &sent)
    })
    .await;
    assert_broken(&source, &[&sent]).await;
}

/// No copy, no proof, and no reader who takes what came for the whole.
async fn assert_broken(source: &BadSource, versions: &[&[u8]]) {
    let service = service(quick(), |_| {}).await;
    for entrance in ENTRANCES {
        let case = format!("{entrance:?}");
        source.forget();
        let end = end(&service, entrance, &source.url("/x"), versions[0]).await;
        match entrance {
            // such a location is registered by its size, and read when somebody wants it
            Patch | V1Location => assert_cut(&service, &end, versions, &case).await,
            LocationUnproven => {
                assert_eq!(end.task.as_ref().unwrap().0, "failure", "{case}");
                assert_eq!(service.show(ADMIN, &end.id).await["os_hash_value"], Value::Null, "{case}");
                assert_cut(&service, &end, versions, &case).await;
            }
            _ => end.assert_failed(entrance, &case),
        }
    }
    assert_nothing_left(&service).await;
}

/// Restarted: what came of the old version is thrown away, and the new one is read from its first byte.
#[tokio::test]
async fn r28_a_source_that_changes_midway_is_read_anew() {
    let service = service(quick(), |_| {}).await;
    let (old, new) = (data(1, LENGTH), data(2, LENGTH));
    for entrance in COPIES.into_iter().chain([Location, LocationUnproven]) {
        let case = format!("{entrance:?}");
        let source = BadSource::start({
            let (old, new) = (old.clone(), new.clone());
            let changed = std::sync::atomic::AtomicBool::new(false);
            move |asked: &Asked| {
                // as files do that somebody replaces: the first range comes too late
                if asked.first().is_some() {
                    changed.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                match changed.load(std::sync::atomic::Ordering::Relaxed) {
                    true => Reply::whole(&new, LENGTH, "b"),
                    false => Reply::whole(&old, PIECE, "a"),
                }
            }
        })
        .await;
        let end = end(&service, entrance, &source.url("/x"), &old).await;
        match entrance {
            // not what was promised to be there
            Location => end.assert_failed(entrance, &case),
            _ => assert_data(&service, &end, &new, &case).await,
        }
    }
    service.assert_settled().await;
    assert_eq!(service.bucket.keys().await.len(), COPIES.len());
}

#[tokio::test]
async fn a11_a_source_that_trickles_or_falls_silent_fails() {
    let byte = Duration::from_millis(10);
    let trickle =
        BadSource::start(move |_| Reply::new("200 OK\nContent-Length: 1000000", b"x").for_ever(b"x", byte))
            .await;
    // as long as the test lasts
    let silent = BadSource::start(|_| {
        Reply::new("200 OK\nContent-Length: 1000000", b"x").for_ever(b"", Duration::from_secs(3600))
    })
    .await;
    let limits = Limits { slack: Duration::from_millis(400), ..quick() };
    let idle = Limits { idle: Duration::from_millis(400), ..quick() };
    let xs = vec![b'x'; 1_000_000];
    for (source, limits) in [(trickle, limits), (silent, idle)] {
        let service = service(limits, |_| {}).await;
        for entrance in COPIES.into_iter().chain([Location]) {
            let end = end(&service, entrance, &source.url("/x"), &xs).await;
            end.assert_failed(entrance, &format!("{entrance:?}"));
        }
        for entrance in LINKS {
            let end = end(&service, entrance, &source.url("/x"), &xs).await;
            assert_cut(&service, &end, &[&xs], &format!("{entrance:?}")).await;
        }
        assert_nothing_left(&service).await;
    }
}

const CHUNK: usize = 256 << 10;

/// A body of chunks that never ends, of which HEAD tells what `head` says.
fn endless(head: &'static str) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| {
        if asked.head.starts_with("HEAD ") {
            return Reply::new(head, b"");
        }
        let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &[7; CHUNK], b"\r\n"].concat();
        Reply::new("200 OK\nTransfer-Encoding: chunked", b"").for_ever(&chunk, Duration::ZERO)
    }
}

/// It ends at the cap of an image, or at the quota of a project.
#[tokio::test]
async fn a11_a_source_that_never_ends_stops_at_cap_and_quota() {
    const MOST: u64 = 1 << 20;
    let cap: fn(&mut Config) = |settings| settings.limits.image_size_cap.0 = MOST;
    let quota: fn(&mut Config) = |settings| settings.limits.user_storage_quota.0 = MOST;
    let untold = BadSource::start(endless("200 OK")).await;
    let told = BadSource::start(endless("200 OK\nContent-Length: 8")).await;
    for limit in [cap, quota] {
        let service = service(quick(), limit).await;
        for entrance in COPIES {
            for source in [&untold, &told] {
                let end = end(&service, entrance, &source.url("/x"), b"").await;
                end.assert_failed(entrance, &format!("{entrance:?}"));
            }
        }
        // who tells no size is no location, and who tells another one is none with a digest
        for source in [&untold, &told] {
            end(&service, Location, &source.url("/x"), &[7; 8]).await.assert_failed(Location, "Location");
        }
        for entrance in LINKS {
            let case = format!("{entrance:?}");
            end(&service, entrance, &untold.url("/x"), b"").await.assert_refused(&case);
            let end = end(&service, entrance, &told.url("/x"), b"").await;
            assert_cut(&service, &end, &[&[7; 8]], &case).await;
        }
        assert_nothing_left(&service).await;
    }
}

/// What announces that it is too large is not read at all.
#[tokio::test]
async fn a11_a_source_that_announces_too_much_is_not_read() {
    let service = service(quick(), |settings| settings.limits.image_size_cap.0 = 1 << 20).await;
    let source = BadSource::start(|_| Reply::new("200 OK\nContent-Length: 1099511627776", b"x")).await;
    for entrance in ENTRANCES {
        let case = format!("{entrance:?}");
        let end = end(&service, entrance, &source.url("/x"), b"x").await;
        match entrance {
            Patch | V1Location => end.assert_refused(&case),
            _ => end.assert_failed(entrance, &case),
        }
    }
    assert_nothing_left(&service).await;
}
