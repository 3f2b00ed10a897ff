//! Version discovery and selection (images-v2.md §1).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vitrine::config::Config;

use crate::support::api::{Answer, OWNER, Request, Service};
use crate::support::v2::two_stores;

/// Selectors of a server with one store.
const ALWAYS: [&str; 11] =
    ["v2.0", "v2.1", "v2.2", "v2.3", "v2.4", "v2.5", "v2.6", "v2.7", "v2.9", "v2.15", "v2.17"];
/// More of them, with several stores.
const SEVERAL: [&str; 5] = ["v2.8", "v2.10", "v2.11", "v2.12", "v2.13"];
/// Those of a server with a cache, which this one is not.
const CACHE: [&str; 3] = ["v2.14", "v2.16", "v2.18"];

/// The entries of v2.
fn entries(answer: &Answer) -> Vec<Value> {
    let all = answer.json()["versions"].as_array().unwrap().clone();
    all.into_iter().filter(|entry| entry["id"].as_str().unwrap().starts_with("v2")).collect()
}

/// Ids of v2 with their status.
fn states(answer: &Answer) -> BTreeMap<String, String> {
    let entries = entries(answer);
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let states: BTreeMap<_, _> =
        entries.iter().map(|entry| (text(entry, "id"), text(entry, "status"))).collect();
    assert_eq!(states.len(), entries.len(), "an id stands twice");
    states
}

/// What [`states`] must be.
fn expected(supported: &[&str]) -> BTreeMap<String, String> {
    let supported = supported.iter().map(|id| ((*id).to_owned(), "SUPPORTED".to_owned()));
    supported.chain([("v2.17".to_owned(), "CURRENT".to_owned())]).collect()
}

/// The one place that all entries of v2 point to.
fn href(answer: &Answer) -> String {
    let mut links: Vec<Value> = entries(answer).iter().map(|entry| entry["links"].clone()).collect();
    links.dedup();
    let [links] = links.as_slice() else { panic!("different links: {links:?}") };
    let href = links[0]["href"].as_str().unwrap();
    // V2-010
    assert_eq!(*links, json!([{ "rel": "self", "href": href }]));
    assert!(href.ends_with("/v2/"), "{href}");
    href.to_owned()
}

fn trusting(config: &mut Config) {
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

#[tokio::test]
async fn v2_001_and_002_the_document_needs_no_token() {
    let service = Service::start().await;
    // V2-001
    let document = service.get("/versions").header("X-Auth-Token", "nonsense").send().await.expect(200);
    assert_eq!(document.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(document.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["versions"]);
    // V2-002
    let root = service.get("/").header("X-Auth-Token", "nonsense").send().await.expect(300);
    assert_eq!(root.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(root.json(), document.json());
}

#[tokio::test]
async fn v2_005_to_009_minor_versions_tell_what_is_configured() {
    let service = Service::start().await;
    let document = service.get("/versions").send().await.expect(200);
    // V2-005, V2-006, V2-008; V2-007 is about a server with a cache, which this one is not (contract.md §6.6)
    assert_eq!(states(&document), expected(&ALWAYS));

    // V2-009
    let (service, _second) = two_stores().await;
    let document = service.get("/versions").send().await.expect(200);
    assert_eq!(states(&document), expected(&[&ALWAYS[..], &SEVERAL].concat()));
}

#[tokio::test]
async fn v2_003_004_and_014_other_first_segments_are_answered_with_the_document() {
    let service = Service::start_with(|config| config.server.v1 = false).await;
    let document = service.get("/versions").send().await.expect(200);
    let cache = CACHE.map(|minor| format!("/{minor}/images"));
    // V2-014
    let several = SEVERAL.map(|minor| format!("/{minor}/images"));
    let others = [
        // V2-003
        "/v1/images",
        // V2-004
        "/v2.99/images",
        "/v2.01/images",
        "/v2./images",
        "/v2.17.0/images",
        "/v20/images",
        "/v3/images",
        "/V2/images",
        "/2/images",
        "/v2%2Fimages",
        "/foo",
        "/images",
    ];
    let all = others.iter().copied().chain(cache.iter().chain(&several).map(String::as_str));
    for path in all {
        let answer = service.get(path).by(OWNER).send().await;
        assert_eq!((answer.status, &answer.body), (300, &document.body), "{path}");
        let answer = service.post(path).by(OWNER).json(&json!({})).send().await;
        assert_eq!(answer.status, 300, "{path}");
    }
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v2_013_every_announced_version_is_the_same_api() {
    let (service, _second) = two_stores().await;
    let image = service.create(OWNER, json!({ "name": "n" })).await;
    let list = service.get("/v2/images?name=n").by(OWNER).send().await.expect(200);
    assert_eq!(list.json()["images"][0]["id"], image["id"]);
    // links stay those of v2
    assert_eq!(list.json()["first"], json!("/v2/images?name=n"));
    for minor in ALWAYS.iter().chain(&SEVERAL) {
        let answer = service.get(&format!("/{minor}/images?name=n")).by(OWNER).send().await;
        assert_eq!((answer.status, &answer.body), (200, &list.body), "{minor}");
    }
    let made = service.post("/v2.9/images").by(OWNER).json(&json!({})).send().await.expect(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.json()["self"], json!(format!("/v2/images/{id}")));
    assert_eq!(made.header("location"), Some(format!("http://{}/v2/images/{id}", service.address)));

    // V2-014
    let single = Service::start().await;
    single.get("/v2.12/images").by(OWNER).send().await.expect(300);
    service.get("/v2.12/images").by(OWNER).send().await.expect(200);
}

#[tokio::test]
async fn v2_015_accept_may_select_the_version() {
    let service = Service::start().await;
    let ask = |path: &str, selector: &str| {
        let accept = format!("application/vnd.openstack.images-{selector}");
        service.get(path).by(OWNER).header("Accept", accept)
    };
    for selector in ["v2", "v2.0", "v2.1", "v2.9", "v2.17"] {
        let list = ask("/images", selector).send().await.expect(200).json();
        assert_eq!(list["images"], json!([]), "{selector}");
        assert_eq!(list["first"], json!("/v2/images"), "{selector}");
        // a version in the path is one too many
        ask("/v2/images", selector).send().await.expect(404);
    }
    for selector in ["v9.9", "v2.8", "v2.99", "V2", "", "v2.1;q=1", "v2.1, */*"] {
        for path in ["/images", "/v2/images"] {
            let answer = ask(path, selector).send().await;
            assert_eq!(answer.status, 300, "{path} {selector:?}");
            assert_eq!(states(&answer), expected(&ALWAYS), "{path} {selector:?}");
        }
    }
    service.get("/images").by(OWNER).send().await.expect(300);
}

#[tokio::test]
async fn the_bare_version_leads_to_its_root_where_nothing_is() {
    let service = Service::start().await;
    for (path, status) in [("/v2", 302), ("/v2.9", 302), ("/v2/", 404), ("/v2.17/", 404)] {
        let answer = service.get(path).by(OWNER).send().await;
        assert_eq!(answer.status, status, "{path}");
        let root = (status == 302).then(|| format!("http://{}/v2/", service.address));
        assert_eq!(answer.header("location"), root, "{path}");
        service.get(path).header("X-Auth-Token", "nonsense").send().await.expect(401);
    }
}

#[tokio::test]
async fn v2_011_links_start_with_the_public_endpoint() {
    for endpoint in ["https://cloud.example.org/image", "https://cloud.example.org/image/"] {
        let service = Service::start_with(|config| {
            trusting(config);
            config.server.public_endpoint = Some(endpoint.to_owned());
        })
        .await;
        let request = service.get("/versions").header("Host", "internal:81");
        let answer = request.header("X-Forwarded-Host", "other.example").send().await;
        assert_eq!(href(&answer), "https://cloud.example.org/image/v2/");
    }
}

/// The headers of a proxy that calls itself `front.example` and mounts the service under `/image`.
fn proxied(request: Request) -> Request {
    let request = request.header("Host", "img.example:8099").header("X-Forwarded-Proto", "https");
    request.header("X-Forwarded-Host", "front.example:8443").header("X-Forwarded-Prefix", "/image")
}

#[tokio::test]
async fn v2_012_and_340_links_start_with_the_host_that_was_asked() {
    let service = Service::start().await;
    for path in ["/", "/versions"] {
        let answer = service.get(path).header("Host", "img.example:8099").send().await;
        assert_eq!(href(&answer), "http://img.example:8099/v2/", "{path}");
    }
    // V2-340: nobody in particular may say otherwise
    assert_eq!(href(&proxied(service.get("/")).send().await), "http://img.example:8099/v2/");
    let forged = service.get("/").header("Host", "img.example:8099");
    let forged = forged.header("Forwarded", "proto=https;host=front.example");
    assert_eq!(href(&forged.send().await), "http://img.example:8099/v2/");
    let made = proxied(service.post("/v2/images").by(OWNER).json(&json!({}))).send().await.expect(201);
    assert!(made.header("location").unwrap().starts_with("http://img.example:8099/v2/images/"));
}

#[tokio::test]
async fn v2_012_and_340_links_follow_a_trusted_proxy() {
    let service = Service::start_with(trusting).await;
    assert_eq!(href(&proxied(service.get("/")).send().await), "https://front.example:8443/image/v2/");
    // what a client gave the outermost proxy comes first
    for forwarded in [
        "for=192.0.2.1;proto=https;host=front.example",
        "Host=\"front.example\"; Proto=HTTPS, proto=http;host=inner.example",
    ] {
        let request = service.get("/versions").header("Host", "img.example").header("Forwarded", forwarded);
        assert_eq!(href(&request.send().await), "https://front.example/v2/", "{forwarded}");
    }
    let plain = service.get("/versions").header("Host", "img.example").send().await;
    assert_eq!(href(&plain), "http://img.example/v2/");
    // links to images have no mount prefix
    let made = proxied(service.post("/v2/images").by(OWNER).json(&json!({}))).send().await.expect(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("https://front.example:8443/v2/images/{id}")));
    assert_eq!(made.json()["self"], json!(format!("/v2/images/{id}")));
    let list = proxied(service.get("/v2/images").by(OWNER)).send().await.expect(200).json();
    assert_eq!(list["first"], json!("/v2/images"));
}
