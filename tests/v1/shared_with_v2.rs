//! Images made or changed by the Images API v2 and seen by v1 (images-v1.md §14). Rows are written here as v2 leaves
//! them; what v2 would read is asserted on the stored columns.

use serde_json::{Value, json};

use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};

/// A queued image of project `alpha` as v2 makes it: without a size. Returns its id.
async fn made_by_v2(service: &Service, visibility: &str, name: &str, properties: &Value) -> String {
    let id = new_id();
    let sql = "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, min_disk, min_ram, \
               properties, tags, created_at, updated_at) VALUES ($1, 'alpha', $2, 'queued', \
               $3::text::image_visibility, false, false, 0, 0, $4, '{one,two}', now(), now())";
    let key: uuid::Uuid = id.parse().unwrap();
    let client = service.database.client().await;
    client.execute(sql, &[&key, &name, &visibility, properties]).await.unwrap();
    id
}

async fn plain(service: &Service, visibility: &str) -> String {
    made_by_v2(service, visibility, "made by v2", &json!({})).await
}

async fn visibility(service: &Service, id: &str) -> Value {
    service.record(id).await["visibility"].clone()
}

#[tokio::test]
async fn v1_215_an_image_made_here_is_shared() {
    let service = Service::start().await;
    let silent = service.image_id(OWNER, None, &[]).await;
    let private = service.image_id(OWNER, None, &[("is_public", "False")]).await;
    let public = service.image_id(ADMIN, None, &[("is_public", "True")]).await;
    assert_eq!(visibility(&service, &silent).await, json!("shared"));
    assert_eq!(visibility(&service, &private).await, json!("shared"));
    assert_eq!(visibility(&service, &public).await, json!("public"));
}

#[tokio::test]
async fn v1_216_private_and_community_are_not_public() {
    let service = Service::start().await;
    for visibility in ["private", "community", "shared"] {
        let id = plain(&service, visibility).await;
        let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
        assert_eq!(answer.meta("is_public").as_deref(), Some("False"), "{visibility}");
    }
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    let images = detail["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    assert!(images.iter().all(|image| image["is_public"] == json!(false)));
}

#[tokio::test]
async fn v1_217_v1_263_a_community_image_and_other_projects() {
    let service = Service::start().await;
    let id = plain(&service, "community").await;
    let path = format!("/v1/images/{id}");
    assert!(service.ids(OTHER, "").await.is_empty());
    assert_eq!(service.ids(OWNER, "").await, std::slice::from_ref(&id));
    service.head(&path).by(OTHER).send().await.expect(200);

    // V1-263
    let before = service.record(&id).await;
    let answer = service.put(&path).by(OTHER).meta("name", "x").send().await;
    answer.expect_text(403, "Forbidden to update image: ");
    service.delete(&path).by(OTHER).send().await.expect_text(403, "Forbidden to delete image: ");
    for word in ["none", "false", "true"] {
        assert!(service.ids(ADMIN, &format!("is_public={word}")).await.is_empty(), "{word}");
    }
    service.head(&path).by(ADMIN).send().await.expect(200);
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_218_is_public_false_makes_an_image_shared() {
    let service = Service::start().await;
    for before in ["private", "community"] {
        let id = plain(&service, before).await;
        let path = format!("/v1/images/{id}");
        service.put(&path).by(OWNER).meta("name", "n").send().await.expect(200);
        assert_eq!(visibility(&service, &id).await, json!(before), "untouched where nothing was said");
        service.put(&path).by(OWNER).meta("is_public", "False").send().await.expect(200);
        assert_eq!(visibility(&service, &id).await, json!("shared"));
    }
}

#[tokio::test]
async fn v1_219_a_member_of_a_private_image_has_no_access() {
    let service = Service::start().await;
    let id = plain(&service, "private").await;
    let path = format!("/v1/images/{id}");
    service.share(&id, OWNER, "beta", None).await;
    service.head(&path).by(OTHER).send().await.expect(404);
    assert!(service.ids(OTHER, "").await.is_empty());
    service.put(&path).by(OWNER).meta("is_public", "False").send().await.expect(200);
    service.head(&path).by(OTHER).send().await.expect(200);
    assert_eq!(service.ids(OTHER, "").await, [id]);
}

#[tokio::test]
async fn v1_220_an_empty_property_is_stored_as_null() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("property-void", "")]).await;
    // which is what v2 shows as empty text
    assert_eq!(service.record(&id).await["properties"], json!({"void": null}));
}

#[tokio::test]
async fn v1_221_a_member_added_here_is_pending() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "beta", None).await;
    let members = service.record(&id).await["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 1);
    assert_eq!((&members[0]["member"], &members[0]["status"]), (&json!("beta"), &json!("pending")));
    assert_eq!(service.ids(OTHER, "").await, std::slice::from_ref(&id));
    // a change of can_share is no change of what the member decided
    service.sql("UPDATE image_members SET status = 'accepted'").await;
    service.share(&id, OWNER, "beta", Some(true)).await;
    assert_eq!(service.record(&id).await["members"][0]["status"], json!("accepted"));
}

#[tokio::test]
async fn v1_222_a_queued_image_of_v2_has_no_size() {
    let service = Service::start().await;
    let id = plain(&service, "shared").await;
    for list in ["/v1/images", "/v1/images/detail"] {
        let image = service.get(list).by(OWNER).send().await.expect(200).json()["images"][0].clone();
        assert_eq!((&image["id"], image.get("size")), (&json!(id), Some(&Value::Null)), "{list}");
    }
    let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.meta("size"), None);
}

#[tokio::test]
async fn v1_247_a_name_with_line_breaks_smuggles_no_header() {
    let service = Service::start().await;
    let id = made_by_v2(&service, "shared", "two\r\nX-Evil: 1", &json!({"p": "a\nX-Evil: 2"})).await;
    let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.header("X-Evil"), None);
    assert_eq!(answer.meta("name").as_deref(), Some("two  X-Evil: 1"));
    assert_eq!(answer.meta("property-p").as_deref(), Some("a X-Evil: 2"));
    let image = service.get("/v1/images").by(OWNER).send().await.expect(200).json()["images"][0].clone();
    assert_eq!(image["name"], json!("two\r\nX-Evil: 1"), "JSON has no such need");
}

#[tokio::test]
async fn v1_248_property_names_with_capitals() {
    let service = Service::start().await;
    let id = made_by_v2(&service, "shared", "n", &json!({"Big-Name": "x"})).await;
    let path = format!("/v1/images/{id}");
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    assert_eq!(detail["images"][0]["properties"], json!({"Big-Name": "x"}));
    let answer = service.head(&path).by(OWNER).send().await.expect(200);
    assert_eq!(answer.meta("property-big-name").as_deref(), Some("x"));
    let image = service.put(&path).by(OWNER).meta("property-Big-Name", "y").send().await.expect(200).image();
    assert_eq!(image["properties"], json!({"big_name": "y"}));
    assert_eq!(service.record(&id).await["properties"], json!({"big_name": "y"}));
}

#[tokio::test]
async fn v1_249_an_update_leaves_tags_alone() {
    let service = Service::start().await;
    let id = plain(&service, "shared").await;
    service.sql("UPDATE images SET os_hash_algo = 'sha512', os_hash_value = 'abc'").await;
    service.put(&format!("/v1/images/{id}")).by(OWNER).meta("name", "n").send().await.expect(200);
    let record = service.record(&id).await;
    assert_eq!((&record["tags"], &record["name"]), (&json!(["one", "two"]), &json!("n")));
    assert_eq!(record["os_hash_value"], json!("abc"));
}

#[tokio::test]
async fn v1_250_data_rejected_shares_and_deletion() {
    let service = Service::start().await;
    // data uploaded through v2 lies as it does here, beside a hash that v1 does not show
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let path = format!("/v1/images/{id}");
    let answer = service.get(&path).by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, b"abc");
    assert_eq!(answer.header("etag").as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
    let record = service.record(&id).await;
    assert_eq!(record["os_hash_algo"], json!("sha512"));
    let hash = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    assert_eq!(record["os_hash_value"], json!(hash));
    service.share(&id, OWNER, "beta", None).await;
    service.sql("UPDATE image_members SET status = 'rejected'").await;
    assert_eq!(
        service.ids(OTHER, "").await,
        std::slice::from_ref(&id),
        "a rejected share is listed all the same"
    );
    service.delete(&path).by(OWNER).send().await.expect(200);
    let record = service.record(&id).await;
    assert_eq!((&record["status"], &record["members"]), (&json!("deleted"), &json!([])));
    assert_eq!(record["tags"], json!([]));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_266_empty_text_of_v2_is_an_empty_header() {
    let service = Service::start().await;
    let id = made_by_v2(&service, "shared", "", &json!({"foo": ""})).await;
    let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.meta("name").as_deref(), Some(""));
    assert_eq!(answer.meta("property-foo").as_deref(), Some(""));
}
