//! v1 and v2 over the same images, in both directions (images-v1.md §14).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, OTHER, OWNER, Service};
use crate::support::v2::{add, raw, replace};

async fn put_v1(service: &Service, caller: &str, id: &str, meta: &[(&str, &str)]) {
    let mut request = service.put(&format!("/v1/images/{id}")).by(caller);
    for (name, value) in meta {
        request = request.meta(name, value);
    }
    request.send().await.expect(200);
}

#[tokio::test]
async fn v1_visibility_is_seen_in_v2() {
    let service = Service::start().await;
    let shown = async |id: &str| service.show(OWNER, id).await["visibility"].clone();
    let silent = service.image_id(OWNER, None, &[]).await;
    let public = service.image_id(ADMIN, None, &[("is_public", "True"), ("owner", "alpha")]).await;
    assert_eq!(shown(&silent).await, json!("shared"));
    assert_eq!(shown(&public).await, json!("public"));
    for before in ["private", "community"] {
        let id = service.create_id(OWNER, json!({ "visibility": before })).await;
        put_v1(&service, OWNER, &id, &[("name", "n")]).await;
        assert_eq!(shown(&id).await, json!(before), "is_public was not sent");
        put_v1(&service, OWNER, &id, &[("is_public", "False")]).await;
        assert_eq!(shown(&id).await, json!("shared"));
    }
    put_v1(&service, ADMIN, &silent, &[("is_public", "True")]).await;
    assert_eq!(shown(&silent).await, json!("public"));
}

#[tokio::test]
async fn v2_visibility_is_seen_in_v1() {
    let service = Service::start().await;
    for (visibility, is_public, listed, by_id) in [
        ("public", "True", true, 200),
        ("community", "False", false, 200),
        ("shared", "False", false, 404),
        ("private", "False", false, 404),
    ] {
        let document = json!({ "visibility": visibility, "owner": "alpha" });
        let id = service.create_id(ADMIN, document).await;
        let path = format!("/v1/images/{id}");
        let answer = service.head(&path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.meta("is_public").as_deref(), Some(is_public), "{visibility}");
        // V1-219: v2 knows no size of a queued image
        assert_eq!(answer.meta("size"), None);
        assert_eq!(service.ids(OTHER, "").await.contains(&id), listed, "{visibility}");
        assert_eq!(service.head(&path).by(OTHER).send().await.status, by_id, "{visibility}");
        assert!(service.ids(OWNER, "").await.contains(&id) || visibility == "public");
    }
}

#[tokio::test]
async fn memberships_cross_over() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("name", "from v1")]).await;
    service.share(&id, OWNER, "beta", Some(true)).await;
    // v1 makes members pending, so that the default list of v2 leaves the image out (A25)
    assert!(service.listed(OTHER, "").await.is_empty());
    assert_eq!(service.listed(OTHER, "member_status=pending").await, std::slice::from_ref(&id));
    assert_eq!(service.ids(OTHER, "").await, std::slice::from_ref(&id));
    let member = format!("/v2/images/{id}/members/beta");
    service.put(&member).by(OTHER).json(&json!({ "status": "accepted" })).send().await.expect(200);
    assert_eq!(service.listed(OTHER, "").await, std::slice::from_ref(&id));
    // what the member may pass on is kept
    assert_eq!(service.members(&id, OWNER).await, [("beta".to_owned(), true)]);

    // a private image ignores its members, until it is shared again
    service.change(OWNER, &id, &[replace("/visibility", "private")]).await.expect(200);
    service.head(&format!("/v1/images/{id}")).by(OTHER).send().await.expect(404);
    assert!(service.ids(OTHER, "").await.is_empty());
    put_v1(&service, OWNER, &id, &[("is_public", "False")]).await;
    assert_eq!(service.show(OTHER, &id).await["id"], json!(id));
    assert_eq!(service.listed(OTHER, "").await, [id]);
}

#[tokio::test]
async fn data_cross_over() {
    let service = Service::start().await;
    let from_v1 = service.image_id(OWNER, Some(b"one"), &[]).await;
    let shown = service.show(OWNER, &from_v1).await;
    assert_eq!((&shown["status"], &shown["size"]), (&json!("active"), &json!(3)));
    assert_eq!(shown["os_hash_algo"], json!("sha512"));
    assert_eq!(service.download(OWNER, &from_v1).await.expect(200).body, b"one");

    let from_v2 = service.active(OWNER, json!({ "name": "n" }), b"two!").await;
    let answer = service.get(&format!("/v1/images/{from_v2}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, b"two!");
    assert_eq!(answer.meta("status").as_deref(), Some("active"));
    assert_eq!(answer.meta("size").as_deref(), Some("4"));
    // each dialect fills what the other has queued
    let queued = service.queued(OWNER).await;
    let fill = service.put(&format!("/v1/images/{queued}")).by(OWNER).data(b"three");
    fill.send().await.expect(200);
    assert_eq!(service.show(OWNER, &queued).await["status"], json!("active"));
    let formats = [("disk_format", "raw"), ("container_format", "bare")];
    let queued = service.image_id(OWNER, None, &formats).await;
    service.upload(OWNER, &queued, b"four").await.expect(204);
    assert_eq!(service.status(&queued).await, "active");
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_sees_deactivation_and_downloads_nothing_then() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.post(&format!("/v2/images/{id}/actions/deactivate")).by(OWNER).send().await.expect(204);
    assert_eq!(service.status(&id).await, "deactivated");
    service.get(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(403);
}

#[tokio::test]
async fn a_v1_update_leaves_alone_what_it_cannot_show() {
    let service = Service::start().await;
    let document = json!({ "tags": ["a", "b"], "os_hidden": true, "visibility": "community" });
    let id = service.active(OWNER, document, b"data").await;
    let before = service.show(OWNER, &id).await;
    put_v1(&service, OWNER, &id, &[("name", "new"), ("property-p", "v")]).await;
    let after = service.show(OWNER, &id).await;
    for kept in ["os_hidden", "visibility", "os_hash_value", "checksum", "size", "virtual_size"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    assert_eq!(after["tags"].as_array().unwrap().len(), 2);
    assert_eq!((&after["name"], &after["p"]), (&json!("new"), &json!("v")));
    // hidden images are left out of v1 lists and are there by id
    assert!(service.ids(OWNER, "").await.is_empty());
    service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
}

#[tokio::test]
async fn properties_of_one_dialect_in_the_other() {
    let service = Service::start().await;
    // a null of v1 reads as empty text, and core attributes win over properties of their name
    let id = service.image_id(OWNER, None, &[("property-empty", ""), ("property-visibility", "x")]).await;
    let shown = service.show(OWNER, &id).await;
    assert_eq!((&shown["empty"], &shown["visibility"]), (&json!(""), &json!("shared")));
    // names as v2 has them stand in JSON as they are; in headers they are folded
    let id = service.create_id(OWNER, json!({ "Mixed-Case": "v" })).await;
    let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.header("x-image-meta-property-mixed-case").as_deref(), Some("v"));
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    let images: Vec<&Value> = detail["images"].as_array().unwrap().iter().collect();
    let found = images.iter().find(|image| image["id"] == json!(id)).unwrap();
    assert_eq!(found["properties"], json!({ "Mixed-Case": "v" }));
    put_v1(&service, OWNER, &id, &[("property-mixed_case", "w")]).await;
    let shown = service.show(OWNER, &id).await;
    assert_eq!((&shown["Mixed-Case"], &shown["mixed_case"]), (&Value::Null, &json!("w")));
}

#[tokio::test]
async fn deletes_have_the_same_effect() {
    let service = Service::start().await;
    let ids = [service.active(OWNER, json!({}), b"a").await, service.active(OWNER, json!({}), b"b").await];
    service.delete(&format!("/v1/images/{}", ids[0])).by(OWNER).send().await.expect(200);
    service.delete(&format!("/v2/images/{}", ids[1])).by(OWNER).send().await.expect(204);
    for id in &ids {
        service.get(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(404);
        service.get(&format!("/v2/images/{id}")).by(ADMIN).send().await.expect(404);
        service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(404);
    }
    assert!(service.listed(OWNER, "").await.is_empty());
    service.assert_settled().await;
    assert!(service.bucket.keys().await.is_empty());
}

#[tokio::test]
async fn v2_forbids_changing_formats_of_active_images_and_v1_does_not() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    service.change(OWNER, &id, &[replace("/disk_format", "qcow2")]).await.expect(403);
    put_v1(&service, OWNER, &id, &[("disk_format", "qcow2")]).await;
    assert_eq!(service.show(OWNER, &id).await["disk_format"], json!("qcow2"));
}

#[tokio::test]
async fn a_patch_and_a_v1_update_of_the_same_image_both_take_effect() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, raw(json!({}))).await;
    let patch = add("/p", "v");
    let patch = [patch];
    let (patched, ()) = tokio::join!(
        service.change(OWNER, &id, &patch),
        put_v1(&service, OWNER, &id, &[("name", "n"), ("min_ram", "5")]),
    );
    patched.expect(200);
    let shown = service.show(OWNER, &id).await;
    // the purge of v1 may take the property away, but nothing of either is torn
    assert_eq!((&shown["name"], &shown["min_ram"]), (&json!("n"), &json!(5)));
}
