//! Protected namespaces (metadefs.md §9.4).

use serde_json::json;

use super::{
    ADMIN, OWNER, all_refused, ask, at, child, delete, deletes, full, kind, post, post_nothing, property,
    put, read, tags_of,
};
use crate::support::api::Service;

#[tokio::test]
async fn md_093_nothing_of_it_is_deleted() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "protected": true })).await;
    for caller in [ADMIN, "ada:alpha:admin"] {
        all_refused(&service, caller, &deletes("Ns"), 403).await;
    }
    // where there is nothing to delete either
    full(&service, "Empty", json!({ "objects": [], "properties": {}, "tags": [], "protected": true })).await;
    let all: Vec<_> = ["objects", "properties", "tags"].map(|name| delete(kind("Empty", name))).into();
    all_refused(&service, ADMIN, &all, 403).await;
    // and no policy changes that
    let open = json!({
        "delete_metadef_namespace": "", "delete_metadef_object": "", "remove_metadef_property": "",
        "delete_metadef_tag": "", "delete_metadef_tags": "", "remove_metadef_resource_type_association": "",
    });
    let service = Service::start_with_rules(&open).await;
    full(&service, "Ns", json!({ "protected": true, "owner": "alpha" })).await;
    all_refused(&service, OWNER, &deletes("Ns"), 403).await;
    ask(&service, ADMIN, &put(at("Ns"), json!({ "namespace": "Ns", "owner": "alpha" }))).await.expect(200);
    for call in deletes("Ns") {
        ask(&service, OWNER, &call).await.expect(204);
    }
}

#[tokio::test]
async fn md_093_what_is_inside_is_made_and_changed_as_ever() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "protected": true })).await;
    let calls = [
        (post(kind("Ns", "objects"), json!({ "name": "new" })), 201),
        (put(child("Ns", "objects", "obj"), json!({ "name": "renamed", "description": "d" })), 200),
        (post(kind("Ns", "properties"), property("new", json!({}))), 201),
        (put(child("Ns", "properties", "size"), property("renamed", json!({}))), 200),
        (post_nothing(child("Ns", "tags", "new")), 201),
        (put(child("Ns", "tags", "t1"), json!({ "name": "renamed" })), 200),
        (post(kind("Ns", "resource_types"), json!({ "name": "OS::New" })), 201),
        (put(at("Ns"), json!({ "namespace": "Renamed", "protected": true })), 200),
    ];
    for (call, status) in calls {
        let answer = ask(&service, ADMIN, &call).await;
        assert_eq!(answer.status, status, "{call:?}: {}", answer.text());
    }
    assert_eq!(read(&service, &child("Renamed", "objects", "renamed")).await["description"], json!("d"));
    let mut tags = tags_of(&service, "Renamed", "").await;
    tags.sort();
    assert_eq!(tags, ["new", "renamed"]);
    // replacing all tags deletes those there were, which is not checked
    let document = json!({ "tags": [{ "name": "only" }] });
    ask(&service, ADMIN, &post(kind("Renamed", "tags"), document)).await.expect(201);
    assert_eq!(tags_of(&service, "Renamed", "").await, ["only"]);
}
