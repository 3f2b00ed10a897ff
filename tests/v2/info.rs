//! What the service tells of itself (images-v2.md §20.1, §21.2), and the cache it has not (§22).

use serde_json::json;

use super::{ADMIN, ALIEN, OWNER, READER, assert_allow, image, send, system_admin};
use crate::support::api::{Service, new_id};
use vitrine::error::ErrorKind;

#[tokio::test]
async fn v2_316_import_methods() {
    let service = Service::start().await;
    let body = send(&service, READER, "GET", "/v2/info/import").await.expect(200).json();
    let methods = json!(["glance-direct", "web-download", "copy-image"]);
    let text = body["import-methods"]["description"].clone();
    assert!(text.is_string());
    let expected = json!({"import-methods": {"description": text, "type": "array", "value": methods}});
    assert_eq!(body, expected);
    let few = Service::start_with(|config| config.import.methods = vec!["web-download".to_owned()]).await;
    let body = send(&few, OWNER, "GET", "/v2/info/import").await.expect(200).json();
    assert_eq!(body["import-methods"]["value"], json!(["web-download"]));
}

#[tokio::test]
async fn v2_317_one_store_is_not_told_of() {
    let service = Service::start().await;
    for caller in [ADMIN, OWNER, READER] {
        send(&service, caller, "GET", "/v2/info/stores").await.expect(404);
        send(&service, caller, "GET", "/v2/info/stores/detail").await.expect(404);
    }
}

#[tokio::test]
async fn v2_318_v2_319_several_stores() {
    let (service, _second) = Service::start_with_two_stores(|config| {
        let second = config.stores.get_mut("second").unwrap();
        second.read_only = true;
        second.description = Some("slow and cheap".to_owned());
        config.stores.get_mut("main").unwrap().part_size = Some("8MiB".parse().unwrap());
    })
    .await;
    let body = send(&service, READER, "GET", "/v2/info/stores").await.expect(200).json();
    let expected = json!({"stores": [
        {"id": "main", "default": "true"},
        {"id": "second", "description": "slow and cheap", "read-only": "true"},
    ]});
    assert_eq!(body, expected);

    for caller in [OWNER, READER, ALIEN] {
        send(&service, caller, "GET", "/v2/info/stores/detail").await.expect(403);
    }
    let system = service.flows.list_store_details(&system_admin()).err().unwrap();
    assert_eq!(system.kind(), ErrorKind::Forbidden);
    for caller in [ADMIN, "sid:services:service"] {
        let body = send(&service, caller, "GET", "/v2/info/stores/detail").await.expect(200).json();
        let properties = |size: u64| {
            json!({"s3_store_large_object_size": size, "s3_store_large_object_chunk_size": size,
                   "s3_store_thread_pools": 4})
        };
        let expected = json!({"stores": [
            {"id": "main", "default": "true", "type": "s3", "weight": 0, "properties": properties(8)},
            {"id": "second", "description": "slow and cheap", "read-only": "true", "type": "s3", "weight": 5,
             "properties": properties(16)},
        ]});
        assert_eq!(body, expected, "{caller}");
    }
}

#[tokio::test]
async fn v2_323_usage_without_limits() {
    let service = Service::start().await;
    service.image_id(OWNER, Some(b"abc"), &[]).await;
    for caller in [OWNER, READER, ADMIN] {
        let body = send(&service, caller, "GET", "/v2/info/usage").await.expect(200).json();
        assert_eq!(body, json!({"usage": {}}));
    }
}

#[tokio::test]
async fn v2_328_there_is_no_cache() {
    let service = Service::start().await;
    let (id, hidden) = (image(&service, "public").await, image(&service, "private").await);
    for (method, path) in [
        ("GET", "/v2/cache".to_owned()),
        ("DELETE", "/v2/cache".to_owned()),
        ("PUT", format!("/v2/cache/{id}")),
        ("DELETE", format!("/v2/cache/{id}")),
        ("GET", format!("/v2/cache/nodes/{id}")),
        ("POST", "/v2/cache/clean".to_owned()),
        ("POST", "/v2/cache/prune".to_owned()),
    ] {
        for caller in [OWNER, READER, ALIEN] {
            send(&service, caller, method, &path).await.expect(403);
        }
        send(&service, ADMIN, method, &path).await.expect_text(404, "Caching is not enabled");
    }
    for method in ["PUT", "DELETE"] {
        send(&service, ALIEN, method, &format!("/v2/cache/{hidden}")).await.expect(404);
        send(&service, ADMIN, method, &format!("/v2/cache/{}", new_id())).await.expect(404);
    }
}

#[tokio::test]
async fn routes_of_information() {
    let service = Service::start().await;
    for path in ["/v2/info/import", "/v2/info/stores", "/v2/info/stores/detail"] {
        assert_allow(&service, path, "GET").await;
        let answer = service.get(path).by(OWNER).body("{}").send().await;
        answer.expect_text(400, "body is not expected");
    }
    assert_allow(&service, "/v2/cache", "GET, DELETE").await;
    assert_allow(&service, "/v2/cache/x", "DELETE, PUT").await;
    assert_allow(&service, "/v2/cache/clean", "POST").await;
    assert_allow(&service, "/v2/stores/main/x", "DELETE").await;
    // usage refuses no body, and is unknown to other methods
    service.get("/v2/info/usage").by(OWNER).body("{}").send().await.expect(200);
    for method in ["HEAD", "POST", "PUT", "DELETE", "PATCH"] {
        let answer = send(&service, OWNER, method, "/v2/info/usage").await.expect(404);
        assert_eq!(answer.header("allow"), None, "{method}");
    }
    send(&service, OWNER, "BREW", "/v2/info/usage").await.expect(501);
}
