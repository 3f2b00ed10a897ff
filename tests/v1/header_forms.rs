//! Less usual forms of metadata headers.

use serde_json::{Value, json};

use crate::support::api::{ADMIN, OWNER, Service, new_id};

#[tokio::test]
async fn v1_223_underscores_and_dashes_are_one_in_the_whole_name() {
    let service = Service::start().await;
    let request = service.post("/v1/images").by(OWNER).header("x_image_meta_name", "under");
    let answer = request.header("X_Image_Meta_Property_Last-Modified", "now").send().await.expect(201);
    assert_eq!(answer.image()["name"], json!("under"));
    assert_eq!(answer.image()["properties"], json!({"last_modified": "now"}));
}

#[tokio::test]
async fn v1_224_an_empty_number_counts_as_not_sent() {
    let service = Service::start().await;
    for (name, default) in
        [("size", json!(0)), ("min_disk", json!(0)), ("min_ram", json!(0)), ("virtual_size", Value::Null)]
    {
        let image = service.image(OWNER, None, &[(name, "")]).await;
        assert_eq!(image[name], default, "{name}");
        // a size of 0 that is sent would make it active
        assert_eq!(image["status"], json!("queued"), "{name}");
    }
    let id = service.image_id(OWNER, None, &[("min_disk", "3"), ("virtual_size", "5")]).await;
    let request = service.put(&format!("/v1/images/{id}")).by(OWNER);
    let image = request.meta("min_disk", "").meta("virtual_size", "").send().await.expect(200).image();
    assert_eq!((&image["min_disk"], &image["virtual_size"]), (&json!(3), &json!(5)));
}

#[tokio::test]
async fn v1_225_v1_226_times_and_deleted_have_no_effect() {
    let service = Service::start().await;
    let stamp = "2001-02-03T04:05:06";
    let sent = [("created_at", stamp), ("updated_at", stamp), ("deleted_at", stamp), ("deleted", "True")];
    let image = service.image(OWNER, None, &sent).await;
    let id = image["id"].as_str().unwrap();
    let not_sent = |image: &Value| {
        for name in ["created_at", "updated_at"] {
            assert!(!image[name].as_str().unwrap().starts_with("2001"), "{name}: {image}");
        }
        assert_eq!((&image["deleted"], &image["deleted_at"]), (&json!(false), &Value::Null));
    };
    not_sent(&image);
    service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    not_sent(&service.image(OWNER, None, &[("deleted", "True")]).await);

    // V1-226
    let mut request = service.put(&format!("/v1/images/{id}")).by(OWNER);
    for (name, value) in sent {
        request = request.meta(name, value);
    }
    let updated = request.send().await.expect(200).image();
    not_sent(&updated);
    assert_eq!(updated["created_at"], image["created_at"]);
    assert_eq!(updated["status"], json!("queued"));
}

#[tokio::test]
async fn v1_227_a_header_sent_twice_is_joined() {
    let service = Service::start().await;
    let image = service.image(OWNER, None, &[("property-a", "1"), ("property-a", "2"), ("name", "x")]).await;
    assert_eq!(image["properties"], json!({"a": "1,2"}));
    // in two spellings too
    let request = service.post("/v1/images").by(OWNER).meta("property-b-c", "1").meta("property-b_c", "2");
    assert_eq!(request.send().await.expect(201).image()["properties"], json!({"b_c": "1,2"}));
    let request = service.post("/v1/images").by(OWNER).meta("min-disk", "1").meta("min_disk", "2");
    request.send().await.expect(400);
}

/// images-v1.md §3.2 rule 4
#[tokio::test]
async fn an_empty_id_or_store_is_none() {
    let service = Service::start().await;
    let image = service.image(OWNER, Some(b"abc"), &[("id", ""), ("store", "")]).await;
    assert_eq!(image["status"], json!("active"));
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    service.put(&path).by(OWNER).meta("store", "").send().await.expect(200);
    service
        .put(&path)
        .by(OWNER)
        .meta("id", "")
        .send()
        .await
        .expect_text(403, "Forbidden to modify 'id' of image.");
}

/// images-v1.md §3.1: what others than administrators say of the owner is passed over, whatever it is.
#[tokio::test]
async fn an_owner_that_counts_for_nothing_is_not_judged() {
    let service = Service::start().await;
    let long = "x".repeat(256);
    let image = service.image(OWNER, None, &[("owner", &long)]).await;
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    let changed = service.put(&path).by(OWNER).meta("owner", &long).send().await.expect(200).image();
    assert_eq!(changed["owner"], image["owner"]);
    service.put(&path).by(ADMIN).meta("owner", &long).send().await.expect(400);
}

#[tokio::test]
async fn v1_228_bytes_that_are_no_text_are_refused() {
    let service = Service::start().await;
    for name in ["name", "property-a"] {
        let answer = service.post("/v1/images").by(OWNER).meta(name, b"\xff\xfe").send().await;
        answer.expect_text(400, "Bad header: ");
    }
    assert_eq!(service.count_images().await, 0);
}

#[tokio::test]
async fn v1_229_other_spellings_of_an_id_mean_the_canonical_one() {
    // The one deviation from V1-229, and decided: a spelling is not an id of its own. Any spelling is taken, kept
    // and answered in canonical form, and finds the image.
    let service = Service::start().await;
    let spellings: [fn(&str) -> String; 2] = [|id| id.to_uppercase(), |id| id.replace('-', "")];
    for spell in spellings {
        let id = new_id();
        let spelt = spell(&id);
        let image = service.image(OWNER, None, &[("id", &spelt)]).await;
        assert_eq!(image["id"], json!(id));
        for known in [&id, &spelt] {
            let answer = service.head(&format!("/v1/images/{known}")).by(OWNER).send().await.expect(200);
            assert_eq!(answer.meta("id").as_ref(), Some(&id));
            let again = service.post("/v1/images").by(OWNER).meta("id", known).send().await;
            again.expect_text(409, &format!("An image with identifier {id} already exists"));
        }
    }
}

#[tokio::test]
async fn v1_230_a_failed_upload_keeps_the_metadata_sent_with_it() {
    let service = Service::start().await;
    let formats = [("disk_format", "raw"), ("container_format", "bare")];
    let id = service.image_id(OWNER, None, &formats).await;
    let request =
        service.put(&format!("/v1/images/{id}")).by(OWNER).meta("name", "new").meta("property-a", "1");
    request.meta("checksum", "0".repeat(32)).data(b"abc").send().await.expect(400);
    let answer = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.meta("status").as_deref(), Some("killed"));
    assert_eq!(answer.meta("name").as_deref(), Some("new"));
    assert_eq!(answer.meta("property-a").as_deref(), Some("1"));
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_232_v1_233_empty_values_are_null() {
    let service = Service::start().await;
    let sum = "0".repeat(32);
    let id = service.image_id(OWNER, None, &[("name", "n"), ("checksum", &sum)]).await;
    let path = format!("/v1/images/{id}");
    // V1-233
    let image =
        service.put(&path).by(OWNER).meta("name", "").meta("checksum", "").send().await.expect(200).image();
    assert_eq!((&image["name"], &image["checksum"]), (&Value::Null, &Value::Null));
    // V1-232: nobody but an administrator gives an image away
    let image = service.put(&path).by(OWNER).meta("owner", "").send().await.expect(200).image();
    assert_eq!(image["owner"], json!("alpha"));
    let image = service.put(&path).by(ADMIN).meta("owner", "").send().await.expect(200).image();
    assert_eq!(image["owner"], Value::Null);
    let answer = service.head(&path).by(ADMIN).send().await.expect(200);
    assert_eq!((answer.meta("owner"), answer.meta("name"), answer.meta("checksum")), (None, None, None));
    assert_eq!(answer.header("etag"), None);
}

#[tokio::test]
async fn v1_257_the_largest_virtual_size() {
    let service = Service::start().await;
    let largest = i64::MAX.to_string();
    let image = service.image(OWNER, None, &[("virtual_size", &largest)]).await;
    assert_eq!(image["virtual_size"], json!(i64::MAX));
    let id = image["id"].as_str().unwrap();
    let before = service.record(id).await;
    let beyond = "9223372036854775808";
    service.post("/v1/images").by(OWNER).meta("virtual_size", beyond).send().await.expect(400);
    let request = service.put(&format!("/v1/images/{id}")).by(OWNER);
    request.meta("virtual_size", beyond).send().await.expect(400);
    assert_eq!(service.record(id).await, before);
    assert_eq!(service.count_images().await, 1);
}
