//! Resource types and their associations (metadefs.md §7).

use serde_json::json;

use super::{
    ADMIN, ALIEN, LETTERS, NOBODY, OWNER, READER, STAMP, TYPES, all_refused, ask, child, delete, full, get,
    keys, kind, made, names, post, read, read_by, refused, space, without,
};
use crate::support::api::Service;

/// The path of all associations of the namespace `Ns`.
fn associations() -> String {
    kind("Ns", "resource_types")
}

async fn types(service: &Service) -> Vec<String> {
    let mut all = names(&read(service, TYPES).await, "resource_types");
    all.sort();
    all
}

#[tokio::test]
async fn md_067_an_unknown_type_is_made_along() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, TYPES).await, json!({ "resource_types": [] }));
    let whole = json!({ "name": "OS::Whole", "prefix": "p_", "properties_target": "image" });
    let answer = ask(&service, ADMIN, &post(associations(), whole.clone())).await.expect(201).json();
    assert_eq!(without(answer.clone(), &["created_at", "updated_at"]), whole);
    assert_eq!(answer["created_at"], answer["updated_at"]);
    let bare = made(&service, &associations(), json!({ "name": "OS::Bare" })).await;
    assert_eq!(keys(&bare), ["created_at", "name", "updated_at"].into());
    assert_eq!(types(&service).await, ["OS::Bare", "OS::Whole"]);
    assert_eq!(
        read(&service, &associations()).await,
        json!({ "resource_type_associations": [answer, bare] })
    );
    // one that is known is used
    space(&service, "Other", json!({})).await;
    made(&service, &kind("Other", "resource_types"), json!({ "name": "OS::Whole", "prefix": "other_" }))
        .await;
    assert_eq!(types(&service).await, ["OS::Bare", "OS::Whole"]);
    assert_eq!(read(&service, &associations()).await["resource_type_associations"][0]["prefix"], json!("p_"));
    // and names are told apart by case
    made(&service, &associations(), json!({ "name": "os::whole" })).await;
    assert_eq!(types(&service).await.len(), 3);
}

#[tokio::test]
async fn md_068_documents_that_do_not_fit_and_conflicts() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    made(&service, &associations(), json!({ "name": "OS::Taken", "prefix": "kept" })).await;
    refused(&service, ADMIN, &post(associations(), json!({ "name": "OS::Taken" })), 409).await;
    refused(&service, ADMIN, &post(associations(), json!({ "name": "OS::Taken", "prefix": "new" })), 409)
        .await;
    let long = "n".repeat(81);
    let calls: Vec<_> = [
        json!({}),
        json!({ "prefix": "x" }),
        json!({ "name": "n", "junk": 1 }),
        json!({ "name": "n", "protected": true }),
        json!({ "name": "n", "self": "x" }),
        json!({ "name": 5 }),
        json!({ "name": null }),
        json!({ "name": long }),
        json!({ "name": "n", "prefix": long }),
        json!({ "name": "n", "prefix": 5 }),
        json!({ "name": "n", "prefix": null }),
        json!({ "name": "n", "properties_target": long }),
        json!({ "name": "n", "properties_target": 5 }),
        json!({ "name": "n", "properties_target": null }),
    ]
    .into_iter()
    .map(|document| post(associations(), document))
    .collect();
    all_refused(&service, ADMIN, &calls, 400).await;
    refused(&service, ADMIN, &post(associations(), json!({ "name": "n", "created_at": STAMP })), 403).await;
    refused(&service, ADMIN, &post(kind("none", "resource_types"), json!({ "name": "n" })), 404).await;
    for letter in ["n", "日"] {
        let most = letter.repeat(80);
        let document = json!({ "name": most, "prefix": most, "properties_target": most });
        let answer = made(&service, &associations(), document.clone()).await;
        assert_eq!(without(answer, &["created_at", "updated_at"]), document);
    }
}

#[tokio::test]
async fn md_069_no_associations_are_an_empty_list() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    assert_eq!(read(&service, &associations()).await, json!({ "resource_type_associations": [] }));
    ask(&service, ADMIN, &get(kind("none", "resource_types"))).await.expect(404);
}

#[tokio::test]
async fn md_070_removing_leaves_the_type() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    full(&service, "Other", json!({})).await;
    for name in ["OS::Nova::Server", LETTERS, "a/b"] {
        made(&service, &associations(), json!({ "name": name })).await;
        made(&service, &kind("Other", "resource_types"), json!({ "name": name })).await;
        ask(&service, ADMIN, &delete(child("Ns", "resource_types", name))).await.expect(204);
        // known, but not associated
        refused(&service, ADMIN, &delete(child("Ns", "resource_types", name)), 404).await;
        assert!(types(&service).await.contains(&name.to_owned()));
        let others = read(&service, &kind("Other", "resource_types")).await;
        assert!(names(&others, "resource_type_associations").contains(&name.to_owned()));
        made(&service, &associations(), json!({ "name": name })).await;
    }
    refused(&service, ADMIN, &delete(child("Ns", "resource_types", "none")), 404).await;
    refused(&service, ADMIN, &delete(child("none", "resource_types", LETTERS)), 404).await;
}

#[tokio::test]
async fn md_071_all_types_for_everybody() {
    let service = Service::start().await;
    full(&service, "Private", json!({ "owner": "alpha" })).await;
    full(&service, "Public", json!({ "visibility": "public" })).await;
    let extra = json!({ "name": LETTERS, "prefix": "p", "properties_target": "t" });
    made(&service, &kind("Private", "resource_types"), extra).await;
    let all = read(&service, TYPES).await;
    assert_eq!(keys(&all), ["resource_types"].into());
    let found = all["resource_types"].as_array().unwrap();
    assert_eq!(found.len(), 3);
    for one in found {
        assert_eq!(keys(one), ["created_at", "name", "updated_at"].into());
        assert_eq!(one["created_at"], one["updated_at"]);
    }
    for caller in [OWNER, READER, ALIEN] {
        assert_eq!(read_by(&service, caller, TYPES).await, all, "{caller}");
    }
    let answer = ask(&service, NOBODY, &get(TYPES)).await;
    assert!(matches!(answer.status, 403 | 404), "{}", answer.status);
    // no parameter counts
    for query in ["limit=0", "limit=1", "limit=-1", "sort_dir=up", "marker=none", "visibility=foo"] {
        assert_eq!(read(&service, &format!("{TYPES}?{query}")).await, all, "{query}");
    }
    service.sql("UPDATE metadef_resource_types SET updated_at = NULL").await;
    for one in read(&service, TYPES).await["resource_types"].as_array().unwrap() {
        assert_eq!(keys(one), ["created_at", "name"].into());
    }
}
