//! Requests that nobody sends in good faith, through v2 (hardening.md A37, A44, A45, A48).

use serde_json::{Value, json};

use crate::support::api::{OTHER, OWNER, Service, new_id};
use crate::support::v2::{V20, V21, add};

#[tokio::test]
async fn a37_no_header_and_no_parameter_makes_another_method() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let path = format!("/v2/images/{id}");
    for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let answer = service.get(&path).by(OWNER).header(header, "DELETE").send().await.expect(200);
        assert_eq!(answer.json()["id"], json!(id), "{header}");
        service.post(&path).by(OWNER).header(header, "DELETE").send().await.expect(405);
    }
    service.get(&format!("{path}?_method=DELETE")).by(OWNER).send().await.expect(200);
    let form = service.post(&path).by(OWNER).header("Content-Type", "application/x-www-form-urlencoded");
    form.body("_method=DELETE").send().await.expect(405);
    assert_eq!(service.show(OWNER, &id).await["status"], json!("queued"));
}

#[tokio::test]
async fn a37_paths_are_taken_as_they_stand_and_decoded_once() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    // one character of the id, encoded once and twice
    let (first, rest) = id.split_at(1);
    let code = format!("{:02X}", first.as_bytes()[0]);
    let once = service.get(&format!("/v2/images/%{code}{rest}")).by(OWNER).send().await.expect(200);
    assert_eq!(once.json()["id"], json!(id));
    // an encoded slash separates like any other (§2.5)
    for path in [format!("/v2/images%2F{id}"), format!("/v2/images%2f{id}")] {
        let answer = service.get(&path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.json()["id"], json!(id), "{path}");
    }
    let data = service.get(&format!("/v2/images/{id}%2Ffile")).by(OWNER).send().await.expect(200);
    assert_eq!(data.body, b"data");
    for path in [
        format!("/v2/images/%25{code}{rest}"),
        format!("/v2/images%252F{id}"),
        format!("/v2/Images/{id}"),
        format!("/v2//images/{id}"),
        format!("/v2/images//{id}"),
        format!("/v2/nonsense/../images/{id}"),
        format!("/v2/images/x/../{id}"),
        format!("/v2/images/x/%2e%2e/{id}"),
        format!("/v2/../v2/images/{id}"),
        format!("/v2/images/{id};x=1"),
        format!("/v2/images/{id}%00"),
        format!("/v2/images/{id}%20"),
        format!("/v2/images/{id}.json"),
        "/v2/images/%FF".to_owned(),
        "/v2/images/..".to_owned(),
        "/v2/images/%2e%2e".to_owned(),
        "/v2/images/%2e%2e%2fschemas%2fimage".to_owned(),
    ] {
        let answer = service.get(&path).by(OWNER).send().await;
        assert_eq!(answer.status, 404, "GET {path}");
        let answer = service.delete(&path).by(OWNER).send().await;
        assert_eq!(answer.status, 404, "DELETE {path}");
    }
    assert_eq!(service.show(OWNER, &id).await["status"], json!("active"));
}

#[tokio::test]
async fn a44_documents_have_a_size() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    let large = json!({ "name": "n", "p": "v".repeat(1 << 20) }).to_string();
    service.post("/v2/images").by(OWNER).body(&large).send().await.expect(413);
    service.post("/v2/images").by(OWNER).chunked(&large).send().await.expect(413);
    let patch = json!([add("/p", "v".repeat(1 << 20))]).to_string();
    let request = service.patch(&format!("/v2/images/{id}")).by(OWNER).header("Content-Type", V21);
    request.body(&patch).send().await.expect(413);
    assert_eq!(service.record(&id).await, before);
    assert_eq!(service.count_images().await, 1);
    // a value may have 64 KiB less one byte (§4.3)
    let longest = "v".repeat(65_535);
    let made = service.create(OWNER, json!({ "p": longest })).await;
    assert_eq!(made["p"], json!(longest));
    service.try_create(OWNER, &json!({ "p": "v".repeat(65_536) })).await.expect(400);
}

#[tokio::test]
async fn a44_documents_have_a_depth() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    for depth in [100, 200, 10_000, 200_000] {
        let lists = format!("{{\"p\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{{\"p\": {}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let open = "[".repeat(depth);
        for body in [lists, objects, open] {
            let answer = service.post("/v2/images").by(OWNER).body(&body).send().await;
            assert!(matches!(answer.status, 400 | 413), "{depth}: {}", answer.status);
            let request = service.patch(&format!("/v2/images/{id}")).by(OWNER).header("Content-Type", V21);
            let answer = request.body(&body).send().await;
            assert!(matches!(answer.status, 400 | 413), "{depth}: {}", answer.status);
        }
    }
    assert_eq!(service.record(&id).await, before);
    assert_eq!(service.count_images().await, 1);
}

#[tokio::test]
async fn a44_of_repeated_keys_the_last_counts() {
    let service = Service::start().await;
    let post = |body: &str| service.post("/v2/images").by(OWNER).body(body).send();
    let made = post(r#"{"name": "a", "p": "1", "name": "b", "p": "2"}"#).await.expect(201).json();
    assert_eq!((&made["name"], &made["p"]), (&json!("b"), &json!("2")));
    // so the first cannot smuggle anything past the checks
    post(r#"{"visibility": "shared", "visibility": "public"}"#).await.expect(403);
    let made = post(r#"{"owner": "beta", "owner": "alpha"}"#).await.expect(201).json();
    assert_eq!(made["owner"], json!("alpha"));
    post(r#"{"owner": "alpha", "owner": "beta"}"#).await.expect(403);
    assert_eq!(service.count_images().await, 2);
}

#[tokio::test]
async fn a44_ten_thousand_operations_are_too_many() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let before = service.record(&id).await;
    let many: Vec<Value> = (0..10_000).map(|n| add("/p", n.to_string())).collect();
    let old: Vec<Value> =
        (0..10_000).map(|n| json!({ "replace": "/name", "value": n.to_string() })).collect();
    for (kind, operations) in [(V21, many), (V20, old)] {
        let request = service.patch(&format!("/v2/images/{id}")).by(OWNER).header("Content-Type", kind);
        let answer = request.body(json!(operations).to_string()).send().await;
        assert!(matches!(answer.status, 400 | 413), "{kind}: {}", answer.status);
    }
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn a44_text_that_is_none() {
    let service = Service::start().await;
    let bodies: [&[u8]; 17] = [
        br#"{"name": "a\u0000b"}"#,
        br#"{"p": "\u0000"}"#,
        br#"{"a\u0000": "v"}"#,
        br#"{"tags": ["\u0000"]}"#,
        br#"{"name": "\ud800"}"#,
        br#"{"p": "\udc00\ud800"}"#,
        br#"{"\ud800": "v"}"#,
        br#"{"name": "\ud83d\ude00"}"#,
        b"{\"name\": \"a\0b\"}",
        b"{\"name\": \"a\nb\"}",
        b"{\"name\": \"\xff\"}",
        b"{\"name\": \"\xed\xa0\x80\"}",
        b"{\"name\": \"\xc0\x80\"}",
        b"\xef\xbb\xbf{\"name\": 5}",
        b"\xff\xfe{\0}\0",
        br#"{"min_ram": NaN}"#,
        br#"{"min_ram": Infinity}"#,
    ];
    for body in bodies {
        let answer = service.post("/v2/images").by(OWNER).body(body).send().await;
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(service.count_images().await, 0);
    // control characters have no meaning here, and the BMP is all there
    let name = "a\tb\u{1}\u{fffd}日本語";
    let made = service.create(OWNER, json!({ "name": name })).await;
    assert_eq!(made["name"], json!(name));
}

#[tokio::test]
async fn a44_numbers_that_are_none() {
    let service = Service::start().await;
    for number in
        ["1e400", "-1", "1.5", "1.0", "2147483648", "9223372036854775808", "1e30", "\"1\"", "true", "null"]
    {
        for name in ["min_ram", "min_disk"] {
            let body = format!("{{\"{name}\": {number}}}");
            let answer = service.post("/v2/images").by(OWNER).body(&body).send().await;
            assert_eq!(answer.status, 400, "{body}");
        }
    }
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn a45_and_a48_heads_that_are_none() {
    let service = Service::start().await;
    let post = || service.post("/v2/images").by(OWNER).header("Content-Type", "application/json");
    // A45
    post().header("X-Custom", "a".repeat(70_000)).body("{}").send().await.expect(431);
    let many = (0..300).fold(post(), |request, n| request.header(&format!("X-Custom-{n}"), "v"));
    many.body("{}").send().await.expect(431);
    post().header("X-Custom", "a\r\n b").body("{}").send().await.expect(400);
    let long = service.get(&format!("/v2/images?name={}", "a".repeat(70_000))).by(OWNER).send().await;
    assert!(matches!(long.status, 414 | 431), "{}", long.status);
    // A48
    post().header("Content-Length", "2").chunked("{}").send().await.expect(400);
    post().header("Content-Length", "2").header("Content-Length", "3").body("{}").send().await.expect(400);
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn a43_queries_have_a_size() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "name": "n" })).await;
    let parameters = |count: usize| (0..count).map(|_| "tag=x").collect::<Vec<_>>().join("&");
    let values = |count: usize| format!("name=in:{}", vec!["n"; count].join(","));
    let keys = |count: usize| vec!["sort_key=name"; count].join("&");
    let status =
        async |query: String| service.get(&format!("/v2/images?{query}")).by(OWNER).send().await.status;
    assert_eq!(status(parameters(200)).await, 200);
    assert_eq!(status(parameters(5_000)).await, 400);
    assert_eq!(service.listed(OWNER, &values(1_000)).await, [id]);
    assert_eq!(status(values(10_000)).await, 400);
    assert_eq!(status(keys(100)).await, 400);
    let sorts = vec!["name"; 100].join(",");
    assert_eq!(status(format!("sort={sorts}")).await, 400);
}

#[tokio::test]
async fn a37_ids_that_are_none() {
    let service = Service::start().await;
    let shown = service.create_id(OWNER, json!({ "visibility": "community" })).await;
    let nothing = new_id();
    for id in [
        "abc",
        "%20",
        "0",
        "-1",
        "null",
        "'%20OR%20'1'='1",
        "%2A",
        "detail",
        &shown[..35],
        &format!("{shown}0"),
        &format!("urn:uuid:{shown}x"),
        &"a".repeat(5_000),
        &nothing,
    ] {
        for caller in [OWNER, OTHER] {
            let answer = service.get(&format!("/v2/images/{id}")).by(caller).send().await;
            assert_eq!(answer.status, 404, "{id}");
        }
    }
}
