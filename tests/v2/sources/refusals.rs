//! Sources and redirects that are forbidden, and ways of no answer (A01 to A03, A06 to A10, A12).

use super::*;
use crate::support::bad_source::{BadSource, Reply};
use crate::support::file::ScratchFile;
use crate::support::server::Server;

/// A server that nobody may reach.
async fn hidden() -> (BadSource, u16) {
    let hidden = BadSource::start(|_| Reply::whole(b"secret", 6, "a")).await;
    let port = hidden.address.port();
    (hidden, port)
}

fn assert_untouched(hidden: &BadSource, case: &str) {
    assert!(hidden.heads().is_empty(), "{case}: {:?}", hidden.heads());
}

/// Under the default rules, but for the port, so that it is the address that is judged.
#[tokio::test]
async fn a01_a02_a03_a07_a08_a09_a10_what_the_url_shows_is_refused_at_once() {
    let (hidden, port) = hidden().await;
    let service = service(quick(), |settings| {
        settings.import.allow_private_networks = false;
        settings.import.allowed_ports = vec![80, 443, port];
    })
    .await;
    let hosts = [
        "127.0.0.1",
        "localhost",
        "a.localhost",
        "0.0.0.0",
        "[::1]",
        "[::]", // A01
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "[fc00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]", // A02
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "[fe80::1%25lo]",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "0",
        "127.0.0.1.",
        "１２７.0.0.1", // A03
        "user:canary@127.0.0.1",
        "canary@127.0.0.1", // A09
    ];
    let long = format!("http://8.8.8.8/{}", "a".repeat(2048));
    let others = [
        "file:///etc/passwd",
        "filesystem:///etc/passwd",
        "swift+config://x/y",
        "s3://key:canary@bucket/object",
        "ftp://8.8.8.8/x",
        "gopher://8.8.8.8/x",
        "data:,x",
        "\\\\host\\share", // A08
        "http://8.8.8.8/#canary",
        "http://8.8.8.8/a\tb",
        "http://user:canary@8.8.8.8/",
        &long, // A09
        "http://8.8.8.8:22/",
        "https://8.8.8.8:6379/", // A10
    ];
    let urls = hosts.iter().map(|host| format!("http://{host}:{port}/x"));
    for url in urls.chain(others.into_iter().map(str::to_owned)) {
        for entrance in ENTRANCES {
            let case = format!("{entrance:?} {url}");
            end(&service, entrance, &url, b"secret").await.assert_refused(&case);
            assert_untouched(&hidden, &case);
        }
    }
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
    let kept = "SELECT count(*) FROM images AS i WHERE to_jsonb(i)::text LIKE '%canary%'";
    assert_eq!(service.count(kept).await + service.count("SELECT count(*) FROM image_locations").await, 0);
    assert_nothing_left(&service).await;
}

/// What the first URL does not show: each redirect is judged, at each entrance.
#[tokio::test]
async fn a06_a07_redirects_to_what_is_forbidden_are_not_followed() {
    let (hidden, port) = hidden().await;
    // 0.0.0.0 is this machine and forbidden whatever the configuration
    for (to, is_refused) in [
        (format!("http://127.0.0.1:{port}/x"), false),
        (format!("http://0.0.0.0:{port}/x"), true),
        (format!("//0:{port}/x"), true),
        (format!("http://0x0:{port}/x"), true),
        (format!("http://[::]:{port}/x"), true),
        (format!("http://[::ffff:0.0.0.0]:{port}/x"), true),
        (format!("http://localhost:{port}/x"), true),
        (format!("http://user:canary@127.0.0.1:{port}/x"), true),
        ("file:///etc/passwd".to_owned(), true),
        (format!("gopher://127.0.0.1:{port}/x"), true),
    ] {
        let location = to.clone();
        let source = BadSource::start(move |_| Reply::moved(&location)).await;
        let denied = |settings: &mut Config| settings.import.denied_hosts = vec!["localhost".to_owned()];
        let service = service(quick(), denied).await;
        hidden.forget();
        assert_redirect(&service, &source, &to, is_refused).await;
        assert_eq!(hidden.heads().is_empty(), is_refused, "{to}: {:?}", hidden.heads());
    }
}

/// A06: a port that may not be connected to.
#[tokio::test]
async fn a06_a10_redirects_to_other_ports_are_not_followed() {
    let (hidden, port) = hidden().await;
    let source = BadSource::start(move |_| Reply::moved(&format!("http://127.0.0.1:{port}/x"))).await;
    let only = source.address.port();
    let service = service(quick(), |settings| settings.import.allowed_ports = vec![only]).await;
    assert_redirect(&service, &source, "port", true).await;
    assert_untouched(&hidden, "port");
}

#[tokio::test]
async fn a06_redirects_come_to_an_end() {
    let pair = BadSource::start(|asked| Reply::moved(if asked.path() == "/x" { "/y" } else { "/x" })).await;
    let chain = BadSource::start(|asked| match asked.path()[1..].parse::<u32>() {
        Ok(0) => Reply::whole(b"secret", 6, "a"),
        Ok(left) => Reply::moved(&format!("/{}", left - 1)),
        Err(_) => Reply::moved("/5"),
    })
    .await;
    let service = service(quick(), |_| {}).await;
    assert_redirect(&service, &pair, "loop", true).await;
    // six are too many, five are not
    assert_redirect(&service, &chain, "chain", true).await;
    for entrance in ENTRANCES {
        let end = end(&service, entrance, &chain.url("/5"), b"secret").await;
        assert_data(&service, &end, b"secret", &format!("{entrance:?}")).await;
    }
}

/// Names a source that redirects at each entrance.
async fn assert_redirect(service: &Service, source: &BadSource, to: &str, is_refused: bool) {
    for entrance in ENTRANCES {
        let case = format!("{entrance:?} {to}");
        source.forget();
        let end = end(service, entrance, &source.url("/x"), b"secret").await;
        match entrance {
            _ if !is_refused => assert_data(service, &end, b"secret", &case).await,
            // asked at once
            CopyFrom | Patch | V1Location => end.assert_refused(&case),
            _ => end.assert_failed(entrance, &case),
        }
        assert!(!source.heads().is_empty(), "{case}: the source was not asked");
    }
    if is_refused {
        assert_nothing_left(service).await;
    }
}

/// One text for all ways in which there is no answer, so that nobody maps a network by them.
#[tokio::test]
async fn a10_refused_reset_and_silent_sources_look_the_same() {
    let limits = Limits { idle: Duration::from_millis(300), ..quick() };
    let service = service(limits, |_| {}).await;
    let reset = BadSource::start(|_| Reply::reset()).await;
    let silent = BadSource::start(|_| Reply::silence()).await;
    let urls = [source::unreachable().await, reset.url("/x"), silent.url("/x")];
    for entrance in ENTRANCES {
        let mut seen = Vec::new();
        for url in &urls {
            let end = end(&service, entrance, url, b"x").await;
            assert!(!end.text.contains("127.0.0.1"), "{entrance:?}: {}", end.text);
            seen.push((end.status, end.text, end.image, end.task));
        }
        assert!(seen[0] == seen[1] && seen[1] == seen[2], "{entrance:?}: {seen:?}");
    }
    assert_nothing_left(&service).await;
}

/// Neither a proxy nor a password of the environment has a say; and what a URL holds does not get into the log.
#[tokio::test]
async fn a09_a12_the_environment_is_ignored() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    open(&mut settings);
    let proxy = BadSource::start(|_| Reply::whole(b"proxy", 5, "a")).await;
    let source = BadSource::start(|_| Reply::whole(b"secret", 6, "a")).await;
    let netrc = ScratchFile::new(".netrc", "default login user password canary\n");
    let (url, home) = (proxy.url(""), netrc.path.parent().unwrap().to_str().unwrap());
    let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let mut environment = variables.map(|name| (name, &*url)).to_vec();
    environment.extend([("NETRC", netrc.path.to_str().unwrap()), ("HOME", home)]);
    let server = Server::start_with_env(&settings, &environment).await;
    for entrance in ENTRANCES {
        let id = new_id();
        let path = format!("/v2/images/{id}");
        source.forget();
        let named = entrance.name(server.api, &id, &source.url("/x?signature=canary"), b"secret").await;
        assert!(named.status < 300, "{entrance:?}: {}", named.text());
        eventually("the image is active", async || {
            let image = Request::to(server.api, "GET", &path).by(ADMIN).send().await;
            (image.status == 200 && image.json()["status"] == "active").then_some(())
        })
        .await;
        let got = Request::to(server.api, "GET", &format!("{path}/file")).by(ADMIN).send().await.expect(200);
        assert_eq!(got.body, b"secret", "{entrance:?}");
        let heads = source.heads().concat().to_lowercase();
        assert!(heads.contains("get /x") && !heads.contains("authorization"), "{entrance:?}: {heads}");
        let refused = entrance.name(server.api, &new_id(), "http://user:canary@8.8.8.8/", b"").await;
        refused.expect(400);
    }
    assert_untouched(&proxy, "proxy");
    assert!(!server.log().contains("canary"), "{}", server.log());
}
