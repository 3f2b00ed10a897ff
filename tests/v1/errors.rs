//! Error bodies, their order, and the protocol around them (images-v1.md §5.8, §11).

use crate::support::api::{ADMIN, OCTETS, OTHER, OWNER, Service, new_id};
use crate::support::eventually;
use crate::support::file::ScratchFile;

const FORMATS: [(&str, &str); 2] = [("disk_format", "raw"), ("container_format", "bare")];

/// A public image with data, owned by project `alpha`.
async fn public(service: &Service, meta: &[(&str, &str)]) -> String {
    let meta = [meta, &[("is_public", "True"), ("owner", "alpha")]].concat();
    service.image_id(ADMIN, Some(b"abc"), &[&meta[..], &FORMATS].concat()).await
}

#[tokio::test]
async fn v1_210_the_form_of_an_error_follows_accept() {
    let service = Service::start().await;
    let id = new_id();
    let words = format!("Image with identifier {id} not found");
    let html = "text/html; charset=UTF-8";
    let text = "text/plain; charset=UTF-8";
    let cases = [
        (Some("*/*"), html),
        (Some("text/html"), html),
        (Some("text/html, application/json"), html),
        (Some("application/json"), "application/json"),
        (Some("application/json, text/html;q=0.5"), "application/json"),
        (None, text),
        (Some("image/png"), text),
    ];
    for (accept, kind) in cases {
        let mut request = service.get(&format!("/v1/images/{id}")).by(OWNER);
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let answer = request.send().await.expect_text(404, &words);
        assert_eq!(answer.header("content-type").as_deref(), Some(kind), "{accept:?}");
        let body = answer.text();
        match kind {
            "application/json" => {
                let document = answer.json();
                assert_eq!(document["code"], "404 Not Found");
                assert_eq!(document["title"], "Not Found");
                assert!(document["message"].as_str().unwrap().contains(&words));
            }
            _ if kind == html => {
                assert!(body.starts_with("<html>") && body.contains("<h1>404 Not Found</h1>"), "{body}");
            }
            _ => assert!(body.starts_with("404 Not Found\n\n"), "{body}"),
        }
    }
    // what the client sent does not become markup
    let request = service.get("/v1/images?size_min=%3Cscript%3E").by(OWNER).header("Accept", "*/*");
    let answer = request.send().await.expect(400);
    let raw = String::from_utf8(answer.body.clone()).unwrap();
    assert!(!raw.contains("<script>") && raw.contains("&lt;script&gt;"), "{raw}");
}

#[tokio::test]
async fn v1_235_the_root_and_shared_images_are_read_only() {
    let service = Service::start().await;
    for path in ["/v1/", "/v1/shared-images/m"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = service.request(method, path).by(OWNER).send().await;
            let answer =
                answer.expect_text(405, &format!("The method {method} is not allowed for this resource."));
            assert_eq!(answer.header("allow").as_deref(), Some("GET, HEAD"), "{method} {path}");
        }
        service.get(path).by(OWNER).send().await.expect(200);
        assert!(service.head(path).by(OWNER).send().await.expect(200).body.is_empty());
    }
}

#[tokio::test]
async fn v1_236_unknown_paths_and_verbs() {
    let service = Service::start().await;
    let id = new_id();
    let nested = format!("/v1/images/{id}/nonsense");
    for path in ["/v1/nonsense", &nested, "/v1/images/a/b/c", "/v1/members", "/v1/images/"] {
        service.get(path).by(OWNER).send().await.expect_text(404, "The resource could not be found.");
        service.request("BREW", path).by(OWNER).send().await.expect(501);
    }
    let image = format!("/v1/images/{id}");
    for path in ["/v1/images", "/v1/images/detail", &image] {
        service.request("BREW", path).by(OWNER).send().await.expect(405);
    }
}

#[tokio::test]
async fn v1_237_options_are_answered_for_everybody() {
    let service = Service::start().await;
    let image = format!("/v1/images/{}", new_id());
    for path in ["/v1/images", &image, "/v1/nonsense", "/"] {
        // a token that this service refuses anywhere else
        let answer = service.request("OPTIONS", path).by("nonsense").send().await.expect(200);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn v1_238_media_types() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let (json, html) = (Some("application/json"), Some("text/html; charset=UTF-8"));
    let image = format!("/v1/images/{id}");
    let members = format!("/v1/images/{id}/members");
    let member = format!("/v1/images/{id}/members/pat");
    let cases = [
        ("GET", "/v1/", 200, json),
        ("GET", "/v1/images", 200, json),
        ("GET", "/v1/images/detail", 200, json),
        ("POST", "/v1/images", 201, json),
        ("PUT", &image, 200, json),
        ("HEAD", &image, 200, html),
        ("GET", &image, 200, Some(OCTETS)),
        ("PUT", &member, 204, None),
        ("GET", &members, 200, json),
        ("GET", "/v1/shared-images/pat", 200, json),
        ("DELETE", &member, 204, None),
        ("DELETE", &image, 200, html),
    ];
    for (method, path, status, kind) in cases {
        let answer = service.request(method, path).by(OWNER).send().await.expect(status);
        assert_eq!(answer.header("content-type").as_deref(), kind, "{method} {path}");
    }
}

#[tokio::test]
async fn v1_244_expect_100_continue() {
    let service = Service::start().await;
    let id = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta("disk_format", "raw");
    let request = request.meta("container_format", "bare").header("Content-Type", OCTETS);
    let request = request.header("Content-Length", "3").header("Expect", "100-continue");
    let mut exchange = request.open().await;
    let interim = exchange.read_head().await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    exchange.write(b"abc").await;
    let image = exchange.answer().await.expect(201).image();
    assert_eq!((image["id"].as_str(), image["status"].as_str()), (Some(id.as_str()), Some("active")));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_245_a_body_that_ends_early_kills_the_image() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &FORMATS).await;
    let request = service.put(&format!("/v1/images/{id}")).by(OWNER).header("Content-Type", OCTETS);
    let mut exchange = request.header("Content-Length", "10").body(b"abc").open().await;
    exchange.finish_sending().await;
    eventually("the image is killed", async || (service.status(&id).await == "killed").then_some(())).await;
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v1_246_a_header_beyond_the_limit() {
    let service = Service::start().await;
    // 16 KiB with its name is the longest
    service.get("/v1/images").by(OWNER).header("X-Long", "x".repeat(16_000)).send().await.expect(200);
    service.get("/v1/images").by(OWNER).header("X-Long", "x".repeat(40_000)).send().await.expect(431);
    let request = service.post("/v1/images").by(OWNER).meta("property-long", "x".repeat(40_000));
    request.send().await.expect(431);
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v1_264_which_error_wins() {
    let service = Service::start().await;
    let queued = service.image_id(OWNER, None, &[]).await;
    let public = public(&service, &[("protected", "True")]).await;
    let (path, unknown) = (format!("/v1/images/{public}"), format!("/v1/images/{}", new_id()));
    let (before, count) = (service.record(&public).await, service.count_images().await);
    let big = ("min_ram", "2147483648");

    // header validation, then policy, then lookup
    let request = service.post("/v1/images").by(OWNER).meta("disk_format", "x").meta("is_public", "True");
    request.send().await.expect_text(400, "Invalid disk format 'x' for image");
    let answer = service.put(&unknown).by(OWNER).meta("is_public", "True").send().await;
    answer.expect_text(403, "Access was denied to this resource.");

    // the form of the id, then ranges, then duplicates
    let request = service.post("/v1/images").by(OWNER).meta("id", "x").meta(big.0, big.1);
    request.send().await.expect_text(400, "Invalid image id format");
    let request = service.post("/v1/images").by(OWNER).meta("id", &queued).meta(big.0, big.1);
    request.send().await.expect_text(400, "'min_ram' value out of range, must not exceed 2147483647.");
    service.post("/v1/images").by(OWNER).meta("id", &queued).send().await.expect(409);

    // the image's state, then ownership, then ranges
    let answer = service.put(&path).by(OTHER).data(b"x").send().await;
    answer.expect_text(409, "Cannot upload to an unqueued image");
    let answer = service.put(&path).by(OTHER).meta(big.0, big.1).send().await;
    answer.expect_text(403, "Forbidden to update image: ");
    let answer = service.put(&path).by(OWNER).meta(big.0, big.1).send().await;
    answer.expect_text(400, "Failed to update image metadata. Got error: ");

    // protection, then ownership
    service.delete(&path).by(OTHER).send().await.expect_text(403, "Image is protected");
    // JSON, then lookup
    let answer = service.put(&format!("{unknown}/members/pat")).by(OWNER).body("{").send().await;
    answer.expect_text(400, "Malformed JSON in request body.");
    service.put(&format!("{unknown}/members/pat")).by(OWNER).body("{}").send().await.expect(404);

    assert_eq!(service.record(&public).await, before);
    assert_eq!(service.count_images().await, count);
}

/// RFC 9110 §5.3 and §8.3.1: lines of a header are one list, and names of media types have no case.
#[tokio::test]
async fn accept_has_lines_and_no_case() {
    let service = Service::start().await;
    let path = format!("/v1/images/{}", new_id());
    for (lines, due) in [
        (&["TEXT/HTML"][..], "text/html; charset=UTF-8"),
        (&["Application/JSON"], "application/json"),
        (&["text/plain", "application/json"], "application/json"),
    ] {
        let mut request = service.head(&path).by(OWNER);
        for line in lines {
            request = request.header("Accept", *line);
        }
        let answer = request.send().await.expect(404);
        assert_eq!(answer.header("content-type").as_deref(), Some(due), "{lines:?}");
    }
}

#[tokio::test]
async fn v1_265_denied_policies_hide_what_is_missing() {
    let rules = r#"{"download_image": "!", "delete_image": "!", "modify_image": "!", "modify_member": "!",
                    "delete_member": "!", "set_image_location": "!"}"#;
    let policy = ScratchFile::new("policy.json", rules);
    let service = Service::start_with(|config| config.policy.file = Some(policy.path.clone())).await;
    let queued = service.image_id(OWNER, None, &[]).await;
    let before = service.record(&queued).await;
    let unknown = new_id();
    let words = "Access was denied to this resource.";
    for id in [&unknown, &queued] {
        let path = format!("/v1/images/{id}");
        let member = format!("{path}/members/pat");
        for (method, path) in
            [("GET", &path), ("DELETE", &path), ("PUT", &path), ("PUT", &member), ("DELETE", &member)]
        {
            service.request(method, path).by(OWNER).send().await.expect_text(403, words);
        }
    }
    service.head(&format!("/v1/images/{unknown}")).by(OWNER).send().await.expect(404);
    service.head(&format!("/v1/images/{queued}")).by(OWNER).send().await.expect(200);
    let answer = service.post("/v1/images").by(OWNER).meta("location", "").send().await;
    answer.expect_text(403, words);
    assert_eq!(service.record(&queued).await, before);
    assert_eq!(service.count_images().await, 1);
}
