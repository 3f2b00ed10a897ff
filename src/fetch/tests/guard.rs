//! Where the fetcher may go (A01–A12).

use super::*;

#[tokio::test]
async fn a01_no_packet_leaves_for_a_forbidden_address() {
    let inside = Site::start(|_| whole(b"secret")).await;
    let open = Import { allow_private_networks: true, allowed_ports: vec![], ..Import::default() };
    let url = format!("http://{}/", inside.address);
    let fetcher = Internet::default().fetcher();
    // A07: a target that another entrance let through is judged again.
    let smuggled = Target::parse(&url, &open).unwrap();
    assert!(matches!(fetch(&fetcher, &smuggled).await, Err(Kind::Refused(_))));
    assert!(fetcher.probe(&smuggled).await.is_err());
    assert!(fetcher.check(&smuggled).await.is_err());
    assert_eq!(fetcher.parse("http://10.0.0.1/"), Err(Refusal::Forbidden(Part::Address)));
    assert_eq!(fetcher.refusals(), 4);
    assert!(inside.heads().is_empty());
    let permitted = Fetcher::new(&open).unwrap();
    assert_eq!(fetch(&permitted, &smuggled).await, Ok(b"secret".to_vec()));
    let named = permitted.parse(&format!("http://localhost:{}/", inside.address.port())).unwrap();
    assert!(permitted.check(&named).await.is_ok());
    assert_eq!(fetch(&permitted, &named).await, Ok(b"secret".to_vec()));
}

#[tokio::test]
async fn a04_one_private_record_spoils_a_name() {
    let inside = Site::start(|_| whole(b"secret")).await;
    let internet = inside.internet().home("127.0.0.1", &inside).home("::1", &inside);
    let internet = internet
        .name("loop.test", &[&["127.0.0.1"]])
        .name("mixed.test", &[&[PUBLIC, "10.0.0.1"]])
        .name("mapped.test", &[&["::ffff:169.254.169.254"]])
        .name("six.test", &[&[PUBLIC, "::1"]]);
    let fetcher = internet.fetcher();
    for name in ["loop.test", "mixed.test", "mapped.test", "six.test"] {
        let target = target(&format!("http://{name}/"));
        assert_eq!(fetcher.check(&target).await.unwrap_err().kind(), NO_ADDRESS, "{name}");
        assert_eq!(fetch(&fetcher, &target).await, Err(NO_ADDRESS), "{name}");
        assert!(!fetcher.probe(&target).await.unwrap_err().retryable());
    }
    assert_eq!(fetcher.refusals(), 12);
    assert!(inside.heads().is_empty());
    assert!(fetcher.check(&public()).await.is_ok());
}

#[tokio::test]
async fn a05_the_connection_goes_to_the_checked_address() {
    let outside = Site::start(|_| whole(b"public")).await;
    let inside = Site::start(|_| whole(b"secret")).await;
    let internet = outside.internet().home("127.0.0.1", &inside);
    let fetcher = internet.name("rebind.test", &[&[PUBLIC], &["127.0.0.1"]]).fetcher();
    let rebind = target("http://rebind.test/");
    // One look-up serves both check and connection; the next one is judged on its own.
    assert_eq!(fetch(&fetcher, &rebind).await, Ok(b"public".to_vec()));
    assert_eq!(fetch(&fetcher, &rebind).await, Err(NO_ADDRESS));
    assert!(inside.heads().is_empty());
    assert!(outside.heads()[0].contains("host: rebind.test\r\n"));
}

#[tokio::test]
async fn a05_a_resumption_is_judged_like_a_first_request() {
    let body = data(1000);
    let outside = Site::start(move |request| piecewise(&body, 400, "ETag: \"a\"", request)).await;
    let fetcher = outside.internet().name("rebind.test", &[&[PUBLIC], &["127.0.0.1"]]).fetcher();
    assert_eq!(fetch(&fetcher, &target("http://rebind.test/")).await, Err(NO_ADDRESS));
    assert_eq!(outside.heads().len(), 1);
}

#[tokio::test]
async fn a06_every_redirect_is_judged() {
    let inside = Site::start(|_| whole(b"secret")).await;
    let port = inside.address.port();
    let (malformed, scheme) = (Kind::Refused(Refusal::Malformed), Kind::Refused(Refusal::Scheme));
    let no_port = Kind::Refused(Refusal::Forbidden(Part::Port));
    let cases = [
        ("http://127.0.0.1/".to_string(), NO_ADDRESS),
        ("http://2130706433/".into(), NO_ADDRESS),
        ("http://[::ffff:7f00:1]/".into(), NO_ADDRESS),
        ("http://inside.test/".into(), NO_ADDRESS),
        ("//localhost/".into(), NO_ADDRESS),
        (format!("http://127.0.0.1:{port}/"), no_port),
        ("http://public.test:22/".into(), no_port),
        ("file:///etc/passwd".into(), scheme),
        ("gopher://public.test/".into(), scheme),
        ("http://user:canary@public.test/".into(), malformed),
    ];
    for (location, want) in cases {
        let shown = location.clone();
        let outside = Site::start(move |_| moved(&location)).await;
        let internet = outside.internet().name("inside.test", &[&["127.0.0.1"]]).home("127.0.0.1", &inside);
        let fetcher = internet.fetcher();
        assert_eq!(fetch(&fetcher, &public()).await, Err(want), "{shown}");
        assert_eq!((outside.heads().len(), fetcher.refusals()), (1, 1), "{shown}");
    }
    assert!(inside.heads().is_empty());
}

#[tokio::test]
async fn a06_redirects_end() {
    let count = |request: &Request| moved(&format!("/{}", request.path()[1..].parse::<u32>().unwrap() + 1));
    let site = Site::start(count).await;
    let fetcher = site.internet().fetcher();
    assert_eq!(fetch(&fetcher, &target("http://public.test/0")).await, Err(NO_REDIRECT));
    assert_eq!(site.heads().len(), 6);

    let pair = Site::start(|request| moved(if request.path() == "/x" { "y" } else { "x#again" })).await;
    assert_eq!(fetch(&pair.internet().fetcher(), &public()).await, Err(NO_REDIRECT));
    assert_eq!(pair.heads().len(), 2);

    let lost = Site::start(|_| say("302 Found\nContent-Length: 0", b"")).await;
    assert_eq!(fetch(&lost.internet().fetcher(), &public()).await, Err(Kind::BadStatus(302)));
}

#[tokio::test]
async fn permitted_redirects_are_followed() {
    let site = Site::start(|request| match request.path() {
        "/5" => whole(b"here"),
        path => moved(&format!("/{}", path[1..].parse::<u32>().unwrap() + 1)),
    })
    .await;
    let fetcher = site.internet().fetcher();
    let start = target("http://public.test/0");
    assert_eq!(fetch(&fetcher, &start).await, Ok(b"here".to_vec()));
    assert_eq!(fetcher.probe(&start).await.unwrap(), Some(4));
}

#[tokio::test]
async fn a10_all_ways_of_no_answer_look_the_same() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = Site::start(|_| Reply { bytes: vec![], then: Then::Hold }).await;
    let abrupt = Site::start(|_| Reply { bytes: vec![], then: Then::Close }).await;
    let garbled = Site::start(|_| Reply { bytes: b"SSH-2.0-x\r\n".to_vec(), then: Then::Close }).await;
    let homes = [closed, silent.address, abrupt.address, garbled.address];
    let mut texts = Vec::new();
    for home in homes {
        let mut internet = Internet::default().name("public.test", &[&[PUBLIC]]);
        internet.homes.insert(PUBLIC.parse().unwrap(), home);
        let fetcher = internet.fetcher_with(&Import::default(), Limits { idle: ms(300), ..quick() });
        texts.push(fetcher.open(&public(), 1).await.map(drop).unwrap_err());
    }
    let fetcher = Internet::default().fetcher();
    texts.push(fetcher.probe(&target("http://unknown.test/")).await.unwrap_err());
    for error in texts {
        assert_eq!((error.kind(), error.retryable()), (Kind::Unreachable, true));
        assert_eq!(error.to_string(), "the source could not be reached");
    }
}

#[tokio::test]
async fn a12_a54_requests_carry_nothing_else_and_errors_no_url() {
    let site = Site::start(|_| whole(b"")).await;
    let fetcher = site.internet().fetcher();
    assert_eq!(fetch(&fetcher, &target("http://public.test/p?q=canary")).await, Ok(vec![]));
    let mut lines: Vec<_> = site.heads()[0].lines().map(str::to_owned).collect();
    lines.sort();
    let agent = concat!("user-agent: vitrine/", env!("CARGO_PKG_VERSION"));
    let want = [
        "",
        "GET /p?q=canary HTTP/1.1",
        "accept-encoding: identity",
        "accept: */*",
        "host: public.test",
        agent,
    ];
    assert_eq!(lines, want);

    let error = Internet::default().fetcher().open(&target("http://gone.test/?q=canary"), 1).await.map(drop);
    let error = error.unwrap_err();
    assert!(!format!("{error:?} {}", crate::error::Chain(&error)).contains("canary"));
}
