//! What stands before the API: health check, request ids, CORS, and heads that are refused (operations.md §6 and §9,
//! hardening.md A45, A48, A57).

use serde_json::json;

use crate::support::api::{Answer, OCTETS, OWNER, ROOT, Service, new_id};
use crate::support::file::ScratchFile;

const DASHBOARD: &str = "https://dashboard.example.org";

async fn assert_no_image(service: &Service) {
    let images = service.database.client().await.query("SELECT id FROM images", &[]).await.unwrap();
    assert!(images.is_empty(), "{} images", images.len());
}

fn request_id(answer: &Answer) -> String {
    answer.header("x-openstack-request-id").expect("an id of the request")
}

#[tokio::test]
async fn ops_017_the_health_check_answers_without_identity() {
    let service = Service::start().await;
    for token in ["nonsense", OWNER] {
        let answer = service.get("/healthcheck").header("X-Auth-Token", token).send().await.expect(200);
        assert_eq!(answer.body, b"OK");
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    }
    let ask = |accept: &str| service.get("/healthcheck").header("Accept", accept);
    let answer = ask("application/json").send().await.expect(200);
    assert_eq!(answer.json(), json!({ "detailed": false, "reasons": ["OK"] }));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    let answer = ask("text/html").send().await.expect_text(200, "OK");
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    let answer = ask("image/png").send().await.expect(200);
    assert_eq!(answer.body, b"OK");
    let answer = service.head("/healthcheck").send().await.expect(204);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn ops_017_a_file_takes_the_node_out_and_its_removal_brings_it_back() {
    let switch = ScratchFile::absent("disabled");
    let path = switch.path.clone();
    let service = Service::start_with(|config| config.server.disable_by_file_path = Some(path)).await;
    service.get("/healthcheck").send().await.expect(200);
    service.head("/healthcheck").send().await.expect(204);
    switch.write("");
    let answer = service.get("/healthcheck").send().await.expect(503);
    assert_eq!(answer.body, b"DISABLED BY FILE");
    let answer = service.get("/healthcheck").header("Accept", "application/json").send().await.expect(503);
    assert_eq!(answer.json()["reasons"], json!(["DISABLED BY FILE"]));
    assert!(service.head("/healthcheck").send().await.expect(503).body.is_empty());
    // it is a word to balancers; who comes is served
    service.get("/v1/images").by(OWNER).send().await.expect(200);
    switch.remove();
    service.get("/healthcheck").send().await.expect(200);
}

#[tokio::test]
async fn ops_018_every_answer_names_its_request() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let unknown = format!("/v1/images/{}", new_id());
    for (method, path, token, status) in [
        ("GET", "/", OWNER, 300),
        ("GET", "/v1", OWNER, 302),
        ("GET", "/v1/images", OWNER, 200),
        ("HEAD", &unknown, OWNER, 404),
        ("GET", "/v1/nothing", OWNER, 404),
        ("GET", "/v1/images", "nonsense", 401),
        ("POST", "/v1/images/detail", OWNER, 405),
        ("GET", "/v1/images?limit=-1", OWNER, 400),
        ("BREW", "/v1/nothing", OWNER, 501),
        ("DELETE", &format!("/v1/images/{id}"), OWNER, 200),
    ] {
        let answer = service.request(method, path).header("X-Auth-Token", token).send().await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(request_id(&answer).starts_with("req-"), "{method} {path}");
    }
    service.sql("ALTER TABLE images RENAME TO elsewhere").await;
    let answer = service.get("/v1/images").by(OWNER).send().await.expect(500);
    assert!(request_id(&answer).starts_with("req-"));
    // and what broke stays in the log
    assert!(!answer.text().contains("relation") && !answer.text().contains("images"), "{}", answer.text());
}

#[tokio::test]
async fn ops_018_and_019_a_clients_request_id_is_taken_over_if_it_is_one() {
    let service = Service::start().await;
    let ask = |id: &str| service.get("/v1/images").by(OWNER).header("X-OpenStack-Request-ID", id);
    let longest = format!("req-{}", "a".repeat(60));
    for (sent, answered) in [
        ("req-5f1a", "req-5f1a"),
        ("5f1a", "req-5f1a"),
        ("from-nova_1.2:3", "req-from-nova_1.2:3"),
        (longest.as_str(), longest.as_str()),
    ] {
        assert_eq!(request_id(&ask(sent).send().await.expect(200)), answered);
    }
    // refused requests keep it too
    let refused = service.get("/v1/nothing").by(OWNER).header("x-openstack-request-id", "req-1");
    assert_eq!(request_id(&refused.send().await.expect(404)), "req-1");
    // OPS-019
    for length in [65, 4_000] {
        let answer = ask(&"a".repeat(length)).send().await.expect(431);
        assert_eq!(request_id(&answer).len(), "req-".len() + 36);
    }
    // A45: what could forge a line of a log is replaced
    for sent in ["", "a b", "a\tb", "é", "<script>", "a\"b"] {
        let id = request_id(&ask(sent).send().await.expect(200));
        assert_eq!(id.len(), "req-".len() + 36, "{sent:?} became {id}");
    }
}

#[tokio::test]
async fn a57_browsers_may_call_from_the_configured_origins_only() {
    let service = Service::start_with(|config| config.server.cors_origins = vec![DASHBOARD.to_owned()]).await;
    // a preflight comes without identity
    let preflight = |origin: &str| {
        let request = service.request("OPTIONS", "/v1/images").header("X-Auth-Token", "nonsense");
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "PUT");
        request.header("Access-Control-Request-Headers", "x-auth-token, x-image-meta-name")
    };
    let answer = preflight(DASHBOARD).send().await.expect(200);
    assert!(answer.body.is_empty());
    let allowed = |answer: &Answer, what: &str| answer.header(&format!("access-control-allow-{what}"));
    assert_eq!(allowed(&answer, "origin").as_deref(), Some(DASHBOARD));
    assert!(allowed(&answer, "methods").unwrap().contains("PUT"));
    assert_eq!(allowed(&answer, "headers").as_deref(), Some("x-auth-token, x-image-meta-name"));
    // V2-339
    assert_eq!(allowed(&answer, "credentials").as_deref(), Some("true"));
    assert_eq!(answer.header("vary").as_deref(), Some("Origin"));
    for (path, status) in [("/v1/images", 200), ("/v1/nothing", 404)] {
        let answer = service.get(path).by(OWNER).header("Origin", DASHBOARD).send().await.expect(status);
        assert_eq!(allowed(&answer, "origin").as_deref(), Some(DASHBOARD), "{path}");
        assert!(answer.header("access-control-expose-headers").unwrap().contains("X-OpenStack-Request-ID"));
    }
    for foreign in [
        "https://evil.example.org",
        "http://dashboard.example.org",
        "https://dashboard.example.org:444",
        "https://dashboard.example.org.evil.example",
        "https://DASHBOARD.example.org",
        "null",
        "*",
        "",
    ] {
        let answers = [
            preflight(foreign).send().await.expect(200),
            service.get("/v1/images").by(OWNER).header("Origin", foreign).send().await.expect(200),
        ];
        for answer in answers {
            let told = answer.headers.iter().any(|(name, _)| name.starts_with("Access-Control-"));
            assert!(!told, "{foreign:?}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn a57_no_origin_is_allowed_by_default() {
    let service = Service::start().await;
    for path in ["/", "/v1/images", "/nothing"] {
        let answer = service.request("OPTIONS", path).header("Origin", DASHBOARD).send().await.expect(200);
        assert!(answer.body.is_empty(), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    let answer = service.get("/v1/images").by(OWNER).header("Origin", DASHBOARD).send().await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a45_heads_have_a_size() {
    let service = Service::start().await;
    let post = || service.post("/v1/images").by(ROOT);
    // one header: 16 KiB
    post().meta("property-p", "a".repeat(16_385)).send().await.expect(431);
    post().meta("property-p", "a".repeat(40_000)).send().await.expect(431);
    // all headers together: 64 KiB
    let large = (0..5).fold(post(), |request, n| request.meta(&format!("property-p{n}"), "a".repeat(15_000)));
    large.send().await.expect(431);
    // their number
    let many = (0..300).fold(post(), |request, n| request.meta(&format!("property-p{n}"), "v"));
    many.send().await.expect(431);
    // and that of the address
    let long = service.get(&format!("/v1/images?name={}", "a".repeat(70_000))).by(ROOT).send().await;
    assert!(matches!(long.status, 414 | 431), "{}", long.status);
    assert_no_image(&service).await;
}

#[tokio::test]
async fn a45_heads_may_be_large_and_have_many_lines() {
    let service = Service::start().await;
    let long = "a".repeat(16_000);
    let image = service.image(OWNER, None, &[("property-p", &long)]).await;
    assert_eq!(image["properties"]["p"], long.as_str());
    let request = service.post("/v1/images").by(OWNER);
    let many = (0..128).fold(request, |request, n| request.meta(&format!("property-p{n}"), n.to_string()));
    let image = many.send().await.expect(201).image();
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    let shown = service.head(&path).by(OWNER).send().await.expect(200);
    for n in 0..128 {
        assert_eq!(shown.meta(&format!("property-p{n}")), Some(n.to_string()));
    }
}

#[tokio::test]
async fn a45_folded_lines_and_lone_carriage_returns_are_refused() {
    let service = Service::start().await;
    for value in ["a\r\n b", "a\r\n\tb", "a\rb", "a\nb: c\r\n d", "a\0b"] {
        let answer = service.post("/v1/images").by(OWNER).meta("name", value).send().await;
        assert_eq!(answer.status, 400, "{value:?}");
    }
    let spaced = service.post("/v1/images").by(OWNER).header("X-Image-Meta-Name ", "a").send().await;
    assert_eq!(spaced.status, 400);
    assert_no_image(&service).await;
}

#[tokio::test]
async fn a48_ambiguous_lengths_are_refused() {
    let service = Service::start().await;
    let post = || {
        let request = service.post("/v1/images").by(OWNER).header("Connection", "keep-alive");
        request.meta("disk_format", "raw").meta("container_format", "bare")
    };
    for request in [
        post().chunked("hello").header("Content-Length", "5"),
        post().header("Content-Length", "5").chunked("hello"),
        post().data("hello").header("Content-Length", "5").header("Content-Length", "6"),
        post().data("hello").header("Content-Length", "+5"),
        post().data("hello").header("Content-Length", "-5"),
        post().data("hello").header("Content-Length", "5, 6"),
        post().data("hello").header("Content-Length", "18446744073709551616"),
    ] {
        // it was to be kept, so an answer that ends shows that it was closed all the same
        request.send().await.expect(400);
    }
    assert_no_image(&service).await;
    service.assert_settled().await;
}

#[tokio::test]
async fn a48_bad_chunks_leave_no_data() {
    let service = Service::start().await;
    for chunks in
        ["xyz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\nhello", "5\r\nhelloX"]
    {
        let id = new_id();
        let request = service.post("/v1/images").by(OWNER).meta("id", &id).header("Content-Type", OCTETS);
        let request = request.meta("disk_format", "raw").meta("container_format", "bare");
        let mut exchange = request.header("Transfer-Encoding", "chunked").open().await;
        exchange.write(chunks.as_bytes()).await;
        exchange.finish_sending().await;
        let answer = exchange.answer().await;
        assert!(matches!(answer.status, 0 | 400), "{chunks:?}: {}", answer.status);
        let shown = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await;
        assert_ne!(shown.meta("status").as_deref(), Some("active"), "{chunks:?}");
    }
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}
