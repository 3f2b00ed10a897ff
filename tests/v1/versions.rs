//! Version negotiation and the version document (images-v1.md §1).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, Answer, OWNER, ROOT, Service};

/// An `Accept` value that names a version.
fn vendor(version: &str) -> String {
    format!("application/vnd.openstack.images-{version}")
}

fn entries(answer: &Answer) -> Vec<Value> {
    answer.json()["versions"].as_array().unwrap().clone()
}

/// Where the entries point, without repetitions.
fn links(answer: &Answer) -> Vec<String> {
    let mut links: Vec<String> = entries(answer)
        .iter()
        .filter(|entry| entry["id"].as_str().unwrap().starts_with("v1"))
        .map(|entry| entry["links"][0]["href"].as_str().unwrap().to_owned())
        .collect();
    links.dedup();
    links
}

#[tokio::test]
async fn v1_001_to_004_the_document_is_the_same_wherever_it_is_asked_for() {
    let service = Service::start().await;
    let root = service.get("/").send().await.expect(300);
    // V1-001
    assert_eq!(root.header("content-type").as_deref(), Some("application/json"));
    let document = root.json();
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["versions"]);
    assert!(root.text().starts_with("{\"versions\": [{\""), "{}", root.text());
    // V1-002
    let odd = service.get("/").header("Accept", "unknown").send().await.expect(300);
    assert_eq!(odd.body, root.body);
    // V1-003
    for path in ["/versions", "/versions/", "/versions/anything/else"] {
        let answer = service.get(path).send().await.expect(200);
        assert_eq!(answer.body, root.body, "{path}");
    }
    // V1-004
    let asked = service.get("/versions").header("Accept", vendor("v1")).send().await.expect(200);
    assert_eq!(asked.body, root.body);
}

#[tokio::test]
async fn the_document_needs_no_identity_and_no_particular_verb() {
    let service = Service::start().await;
    let document = service.get("/").send().await.body;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for (path, status) in [("/", 300), ("/anything", 300), ("/versions", 200)] {
            let request = service.request(method, path).header("X-Auth-Token", "nonsense");
            let answer = request.send().await;
            assert_eq!((answer.status, &answer.body), (status, &document), "{method} {path}");
        }
    }
    assert!(service.head("/").send().await.expect(300).body.is_empty());
}

#[tokio::test]
async fn v1_005_and_006_the_entries_of_v1_come_last_and_are_deprecated() {
    let service = Service::start().await;
    let answer = service.get("/versions").send().await.expect(200);
    let entries = entries(&answer);
    // V1-005
    let ids: Vec<&str> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    let (newer, v1) = ids.split_at(ids.len() - 2);
    assert_eq!(v1, ["v1.1", "v1.0"]);
    assert!(newer.iter().all(|id| id.starts_with("v2.")), "{ids:?}");
    // V1-006
    let href = format!("http://{}/v1/", service.address);
    for entry in &entries[newer.len()..] {
        let expected =
            json!({ "id": entry["id"], "status": "DEPRECATED", "links": [{ "rel": "self", "href": href }] });
        assert_eq!(*entry, expected);
    }
}

#[tokio::test]
async fn v1_007_links_start_with_the_host_that_was_asked() {
    let service = Service::start().await;
    let request = |path: &str| service.get(path).header("Host", "images.example.org:81");
    for path in ["/", "/versions"] {
        let answer = request(path).send().await;
        assert_eq!(links(&answer), ["http://images.example.org:81/v1/"], "{path}");
    }
    // nobody in particular may say what the scheme is
    let forged = request("/").header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "evil.example");
    assert_eq!(links(&forged.send().await), ["http://images.example.org:81/v1/"]);
}

#[tokio::test]
async fn v1_007_links_follow_a_trusted_proxy() {
    let service =
        Service::start_with(|config| config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
            .await;
    let request = service.get("/").header("Host", "internal:81").header("X-Forwarded-Proto", "https");
    let answer = request.header("X-Forwarded-Host", "images.example.org").send().await;
    assert_eq!(links(&answer), ["https://images.example.org/v1/"]);
}

#[tokio::test]
async fn v1_007_links_start_with_the_public_endpoint() {
    let service = Service::start_with(|config| {
        config.server.public_endpoint = Some("https://cloud.example.org/image/".to_owned());
    })
    .await;
    let answer = service.get("/").header("Host", "internal:81").send().await;
    assert_eq!(links(&answer), ["https://cloud.example.org/image/v1/"]);
}

#[tokio::test]
async fn v1_008_to_012_accept_may_name_the_version() {
    let service = Service::start().await;
    let images = |accept: &str| service.get("/images").by(ROOT).header("Accept", accept);
    // V1-008
    let answer = service.get("/images").by(ROOT).send().await.expect(300);
    assert_eq!(links(&answer).len(), 1);
    // V1-009, V1-010
    for version in ["v1", "v1.0", "v1.1"] {
        let answer = images(&vendor(version)).send().await.expect(200);
        assert_eq!(answer.body, b"{\"images\": []}", "{version}");
    }
    // V1-011
    images("application/vnd.openstack.compute-v1").send().await.expect(300);
    // V1-012, and others that are not exactly a version
    for version in ["v10", "v1.2", "V1", "", "v1;q=1", "v1, */*", "v1 , text/html"] {
        let answer = images(&vendor(version)).send().await;
        assert_eq!(answer.status, 300, "{version}");
    }
}

#[tokio::test]
async fn the_path_does_not_count_when_accept_names_a_version() {
    let service = Service::start().await;
    let images = |version: &str| service.get("/v1/images").by(OWNER).header("Accept", vendor(version));
    images("v1").send().await.expect(404);
    images("v10").send().await.expect(300);
    images("v1;q=1").send().await.expect(300);
    service.get("/v1/images").by(OWNER).header("Accept", "application/json").send().await.expect(200);
}

#[tokio::test]
async fn v1_013_the_three_spellings_of_v1_are_one_api() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("name", "one")]).await;
    let list = service.get("/v1/images").by(OWNER).send().await.expect(200);
    assert_eq!(list.json()["images"][0]["id"], id.as_str());
    for path in ["/v1.0/images", "/v1.1/images", "//v1/images", "///v1.1/images"] {
        let answer = service.get(path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.body, list.body, "{path}");
    }
    let shown = service.head(&format!("/v1.0/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(shown.meta("name").as_deref(), Some("one"));
}

#[tokio::test]
async fn v1_014_other_first_segments_are_answered_with_the_choices() {
    let service = Service::start().await;
    let document = service.get("/").send().await.body;
    for path in
        ["/v1.2/images", "/v1.a/images", "/va.1/images", "/v10", "/V1/images", "/1/images", "/v1%2Fimages"]
    {
        let answer = service.get(path).by(ADMIN).send().await;
        assert_eq!((answer.status, &answer.body), (300, &document), "{path}");
    }
}

#[tokio::test]
async fn v1_015_the_bare_version_redirects_to_its_root() {
    let service = Service::start().await;
    for path in ["/v1", "/v1.0", "/v1.1"] {
        let answer = service.get(path).by(OWNER).send().await.expect(302);
        let location = answer.header("location");
        assert_eq!(location, Some(format!("http://{}/v1/", service.address)), "{path}");
        assert!(answer.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn v1_016_and_017_the_root_of_a_version_is_the_brief_list() {
    let service = Service::start().await;
    service.image_id(OWNER, None, &[("name", "one")]).await;
    service.image_id(OWNER, None, &[("name", "two")]).await;
    // V1-016
    let list = service.get("/v1/images").by(OWNER).send().await.expect(200);
    assert_eq!(list.json()["images"].as_array().unwrap().len(), 2);
    for path in ["/v1/", "/v1.0/", "/v1.1/"] {
        let answer = service.get(path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.body, list.body, "{path}");
    }
    let one = service.get("/v1/?name=one").by(OWNER).send().await.expect(200);
    assert_eq!(one.json()["images"].as_array().unwrap().len(), 1);
    // V1-017
    service.get("/v1/versions").by(OWNER).send().await.expect(404);
}

#[tokio::test]
async fn v1_018_switched_off_v1_is_nowhere() {
    let service = Service::start_with(|config| config.server.v1 = false).await;
    for path in ["/v1/images", "/v1", "/v1/", "/v1.0/images", "/v1.1/images/detail"] {
        let answer = service.get(path).by(OWNER).send().await;
        assert_eq!(answer.status, 300, "{path}");
        let ids: Vec<Value> = entries(&answer).iter().map(|entry| entry["id"].clone()).collect();
        assert!(!ids.iter().any(|id| id.as_str().unwrap().starts_with("v1")), "{path}: {ids:?}");
    }
    service.get("/images").by(OWNER).header("Accept", vendor("v1")).send().await.expect(300);
    service.post("/v1/images").by(OWNER).meta("name", "x").send().await.expect(300);
    assert!(links(&service.get("/versions").send().await.expect(200)).is_empty());
    let images = service.database.client().await.query("SELECT id FROM images", &[]).await.unwrap();
    assert!(images.is_empty());
}
