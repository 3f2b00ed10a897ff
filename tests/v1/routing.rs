//! Which paths and methods there are (images-v1.md §2).

use crate::support::api::{OWNER, Service, new_id};

/// Asserts that each method is refused on `path` and that these are named instead.
async fn assert_refused(service: &Service, methods: &[&str], path: &str, allow: Option<&str>) {
    for method in methods {
        let answer = service.request(method, path).by(OWNER).send().await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow").as_deref(), allow, "{method} {path}");
        let text = answer.text();
        if *method == "HEAD" {
            assert!(text.is_empty(), "{method} {path}: {text}");
        } else {
            let sentence = format!("The method {method} is not allowed for this resource.");
            assert!(text.contains(&sentence), "{method} {path}: {text}");
        }
    }
}

#[tokio::test]
async fn v1_019_to_022_lists_refuse_other_methods() {
    let service = Service::start().await;
    // V1-019
    assert_refused(&service, &["HEAD"], "/v1/images", Some("GET, POST")).await;
    // V1-020
    assert_refused(&service, &["PUT", "DELETE", "PATCH"], "/v1/images", Some("GET, POST")).await;
    // V1-021
    assert_refused(&service, &["HEAD"], "/v1/images/detail", Some("GET")).await;
    // V1-022
    let others = ["POST", "PUT", "DELETE", "PATCH"];
    assert_refused(&service, &others, "/v1/images/detail", Some("GET, HEAD")).await;
}

#[tokio::test]
async fn v1_023_to_026_images_and_members_refuse_other_methods() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("name", "kept")]).await;
    // the verb is judged before the image is looked for
    for id in [&id, &new_id()] {
        let image = format!("/v1/images/{id}");
        // V1-023
        assert_refused(&service, &["POST", "PATCH"], &image, Some("GET, HEAD, PUT, DELETE")).await;
        // V1-024
        let members = format!("{image}/members");
        assert_refused(&service, &["POST", "DELETE", "HEAD", "PATCH"], &members, Some("GET, PUT")).await;
        // V1-025
        let member = format!("{members}/beta");
        assert_refused(&service, &["POST", "HEAD", "PATCH"], &member, Some("GET, PUT, DELETE")).await;
        // V1-026
        assert_refused(&service, &["GET"], &member, None).await;
    }
    let kept = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(kept.meta("name").as_deref(), Some("kept"));
}

#[tokio::test]
async fn identity_is_asked_for_before_the_method_is_judged() {
    let service = Service::start().await;
    for (method, path) in [("PUT", "/v1/images"), ("PATCH", "/v1/images/detail"), ("GET", "/v1/nothing")] {
        let answer = service.request(method, path).header("X-Auth-Token", "nonsense").send().await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn v1_027_and_028_paths_match_whole() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    // V1-027
    let paths = [
        "/v1/images/".to_owned(),
        "/v1/images.xxx".to_owned(),
        "/v1/images.json".to_owned(),
        "/v1/images/detail.xxx".to_owned(),
        "/v1/images/detail/".to_owned(),
        "/v1/images/new".to_owned(),
        format!("/v1/images/{id}/"),
        format!("/v1/images/{id}.json"),
        format!("/v1/images/{id}/members.xxx"),
        format!("/v1/images/{id}/members/"),
        format!("/v1/images/{id}/members/beta/"),
        format!("/v1/images/{id}/file"),
        "/v1/shared-images".to_owned(),
        "/v1/shared-images/".to_owned(),
        "/v1//images".to_owned(),
    ];
    for path in paths {
        let answer = service.get(&path).by(OWNER).send().await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("404 Not Found"), "{path}: {}", answer.text());
    }
    // V1-028
    service.delete("/v1/images/").by(OWNER).send().await.expect(404);
    assert_eq!(service.status(&id).await, "queued");
}

#[tokio::test]
async fn v1_029_and_a37_nothing_but_the_method_says_what_is_done() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"data"), &[("name", "kept")]).await;
    let path = format!("/v1/images/{id}");
    for overriding in ["?_method=DELETE", "?_method=delete", "?method=DELETE"] {
        let answer = service.get(&format!("{path}{overriding}")).by(OWNER).send().await.expect(200);
        assert_eq!(answer.body, b"data");
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        service.get(&path).by(OWNER).header(name, "DELETE").send().await.expect(200);
        service.post(&path).by(OWNER).header(name, "DELETE").send().await.expect(405);
    }
    assert_eq!(service.status(&id).await, "active");
}

#[tokio::test]
async fn a37_odd_spellings_of_a_path_lead_nowhere() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"data"), &[]).await;
    let paths = [
        "/v1/Images".to_owned(),
        "/v1/IMAGES/detail".to_owned(),
        "/v1/images/Detail".to_owned(),
        format!("/v1/images%2F{id}"),
        format!("/v1/images/{id}%2Fmembers"),
        format!("/v1/images/%2e%2e%2fimages%2f{id}"),
        "/v1/images/..".to_owned(),
        "/v1/images/%2e%2e".to_owned(),
        format!("/v1/images/../images/{id}"),
        format!("/v1/nothing/../images/{id}"),
        format!("/v1/images/./{id}"),
        format!("/v1/images/{id}%00"),
        format!("/v1/images/{id};x=1"),
        format!("/v1/images/%FF{id}"),
        format!("/v1/images/{}", "a".repeat(4_000)),
    ];
    for path in paths {
        for method in ["GET", "DELETE"] {
            let answer = service.request(method, &path).by(OWNER).send().await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        }
    }
    assert_eq!(service.status(&id).await, "active");
}
