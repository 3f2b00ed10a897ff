//! Limits on projects (images-v2.md §21).

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine::config::units::ByteSize;

use super::{ADMIN, ALIEN, OWNER, READER, THIRD, send};
use crate::support::api::{Answer, Service};
use crate::support::v2::replace;

const MIB: usize = 1 << 20;
const FORMATS: [(&str, &str); 2] = [("disk_format", "raw"), ("container_format", "bare")];

async fn queued(service: &Service, caller: &str) -> String {
    service.image_id(caller, None, &FORMATS).await
}

async fn upload(service: &Service, caller: &str, id: &str, size: usize) -> Answer {
    service.put(&format!("/v2/images/{id}/file")).by(caller).data(vec![0; size]).send().await
}

async fn usage(service: &Service, caller: &str) -> Value {
    send(service, caller, "GET", "/v2/info/usage").await.expect(200).json()["usage"].clone()
}

fn over(project: &str, resource: &str, limit: i64, usage: i64, delta: i64) -> String {
    format!(
        "Project {project} is over a limit for [Resource {resource} is over limit of {limit} due to current usage \
         {usage} and delta {delta}]"
    )
}

#[tokio::test]
async fn v2_092_no_more_images() {
    let service = Service::start_with(|config| config.limits.image_count_total = 2).await;
    let create = |caller: &'static str| service.post("/v2/images").by(caller).json(&json!({})).send();
    let first = create(OWNER).await.expect(201).json();
    create(OWNER).await.expect(201);
    create(OWNER).await.expect_text(413, &over("alpha", "image_count_total", 2, 2, 1));
    let v1 = service.post("/v1/images").by(OWNER).send().await;
    v1.expect_text(413, "The limit has been exceeded on the number of images or uploads of this project.");
    // administrators have limits too, each project its own
    for status in [201, 201, 413] {
        create(ADMIN).await.expect(status);
    }
    create(ALIEN).await.expect(201);
    let path = format!("/v2/images/{}", first["id"].as_str().unwrap());
    send(&service, OWNER, "DELETE", &path).await.expect(204);
    create(OWNER).await.expect(201);
    assert_eq!(service.count("SELECT count(*) FROM images WHERE owner = 'alpha' AND NOT deleted").await, 2);
}

#[tokio::test]
async fn v2_324_usage_of_all_limits() {
    let service = Service::start_with(|config| {
        config.limits.image_size_total = 100;
        config.limits.image_count_uploading = 0;
        config.limits.image_stage_total = -7;
    })
    .await;
    let nothing = json!({
        "image_size_total": {"usage": 0, "limit": 100}, "image_stage_total": {"usage": 0, "limit": -1},
        "image_count_total": {"usage": 0, "limit": -1}, "image_count_uploading": {"usage": 0, "limit": 0},
    });
    for caller in [OWNER, READER, ADMIN, "rosa:none:admin"] {
        assert_eq!(usage(&service, caller).await, nothing, "{caller}");
    }
    let id = queued(&service, OWNER).await;
    service.sql(&format!("UPDATE images SET status = 'saving' WHERE id = '{id}'")).await;
    let now = usage(&service, READER).await;
    assert_eq!(now["image_count_total"], json!({"usage": 1, "limit": -1}));
    assert_eq!(now["image_count_uploading"], json!({"usage": 1, "limit": 0}));
    assert_eq!(usage(&service, ALIEN).await, nothing, "another project");
}

#[tokio::test]
async fn v2_325_no_more_bytes() {
    let service = Service::start_with(|config| config.limits.image_size_total = 3).await;
    let id = queued(&service, OWNER).await;
    let words = over("alpha", "image_size_total", 3, 0, 4);
    upload(&service, OWNER, &id, 4 * MIB).await.expect_text(413, &words);
    assert_eq!(service.status(&id).await, "queued");
    assert_eq!(service.count("SELECT count(*) FROM blobs").await, 0);
    upload(&service, OWNER, &id, 2 * MIB).await.expect(204);
    assert_eq!(usage(&service, OWNER).await["image_size_total"], json!({"usage": 2, "limit": 3}));

    // v1 is bound by it in its own words
    let v1 = service.post("/v1/images").by(OWNER).formats().data(vec![0; 2 * MIB]).send().await;
    v1.expect_text(413, "The storage quota of the project has been exceeded.");

    // what has no known size is let in below the limit, and overshoots once
    let id = queued(&service, OWNER).await;
    let path = format!("/v2/images/{id}/file");
    service.put(&path).by(OWNER).chunked(vec![0; 3 * MIB]).send().await.expect(204);
    let id = queued(&service, OWNER).await;
    let path = format!("/v2/images/{id}/file");
    let again = service.put(&path).by(OWNER).chunked(b"x").send().await;
    again.expect_text(413, &over("alpha", "image_size_total", 3, 5, 0));
    assert_eq!(service.status(&id).await, "queued");
    let other = queued(&service, ALIEN).await;
    upload(&service, ALIEN, &other, MIB).await.expect(204);
    service.assert_settled().await;
}

/// A copy counts like another image.
#[tokio::test]
async fn every_copy_counts() {
    let (service, second) = Service::start_with_two_stores(|config| config.limits.image_size_total = 3).await;
    let id = queued(&service, OWNER).await;
    upload(&service, OWNER, &id, MIB).await.expect(204);
    service.copy_to_second(&second, &id).await;
    assert_eq!(usage(&service, OWNER).await["image_size_total"]["usage"], json!(2));
    let id = queued(&service, OWNER).await;
    let words = over("alpha", "image_size_total", 3, 2, 2);
    upload(&service, OWNER, &id, 2 * MIB).await.expect_text(413, &words);
}

#[tokio::test]
async fn v2_327_no_more_uploads() {
    let service = Service::start_with(|config| config.limits.image_count_uploading = 1).await;
    let (first, second) = (queued(&service, OWNER).await, queued(&service, OWNER).await);
    // limit 1 allows exactly one
    service.sql(&format!("UPDATE images SET status = 'uploading' WHERE id = '{first}'")).await;
    let words = over("alpha", "image_count_uploading", 1, 1, 1);
    upload(&service, OWNER, &second, 10).await.expect_text(413, &words);
    assert_eq!(service.status(&second).await, "queued");
    service.sql(&format!("UPDATE images SET status = 'queued' WHERE id = '{first}'")).await;
    upload(&service, OWNER, &second, 10).await.expect(204);
}

/// A41: of creations and uploads at once no more succeed than the limits allow.
#[tokio::test]
async fn limits_hold_for_requests_at_once() {
    let service = Service::start_with(|config| {
        config.limits.image_count_total = 8;
        config.limits.image_size_total = 3;
    })
    .await;
    let creations = (0..12).map(|_| service.post("/v2/images").by(OWNER).json(&json!({})).send());
    let created = join_all(creations).await;
    assert_eq!(created.iter().filter(|answer| answer.status == 201).count(), 8);
    assert_eq!(created.iter().filter(|answer| answer.status == 413).count(), 4);
    service.sql("UPDATE images SET disk_format = 'raw', container_format = 'bare'").await;
    let ids: Vec<String> = created
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["id"].as_str().unwrap().to_owned())
        .collect();
    let uploads = join_all(ids.iter().map(|id| upload(&service, OWNER, id, MIB))).await;
    let mut statuses: Vec<u16> = uploads.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 204, 204, 413, 413, 413, 413, 413]);
    service.assert_settled().await;
}

/// The storage quota of §11.7 is that of who owns the images now, whichever API moved them.
#[tokio::test]
async fn the_storage_quota_follows_the_owner() {
    let service = Service::start_with(|config| config.limits.user_storage_quota = ByteSize(1000)).await;
    let fits = async |caller: &str, status: u16| {
        let id = queued(&service, caller).await;
        upload(&service, caller, &id, 800).await.expect(status);
        id
    };
    let moved = fits(OWNER, 204).await;
    fits(OWNER, 413).await;
    service.change(ADMIN, &moved, &[replace("/owner", "beta")]).await.expect(200);
    fits(ALIEN, 413).await;
    let second = fits(OWNER, 204).await;
    fits(OWNER, 413).await;

    service.put(&format!("/v1/images/{moved}")).by(ADMIN).meta("owner", "gamma").send().await.expect(200);
    fits(THIRD, 413).await;
    fits(ALIEN, 204).await;
    fits(OWNER, 413).await;
    send(&service, OWNER, "DELETE", &format!("/v2/images/{second}")).await.expect(204);
    service.assert_settled().await;
}

/// As §11.7 also of a change that is made together with one of the locations.
#[tokio::test]
async fn the_storage_quota_follows_the_owner_with_the_locations() {
    let service = Service::start_with(|config| {
        config.limits.user_storage_quota = ByteSize(1000);
        config.images.show_multiple_locations = true;
    })
    .await;
    let id = queued(&service, OWNER).await;
    upload(&service, OWNER, &id, 800).await.expect(204);
    let mut locations = service.show(ADMIN, &id).await["locations"].clone();
    locations[0]["metadata"] = json!({ "shelf": "3" });
    let both = [replace("/owner", "beta"), replace("/locations", locations)];
    service.change(ADMIN, &id, &both).await.expect(200);
    let id = queued(&service, ALIEN).await;
    upload(&service, ALIEN, &id, 800).await.expect(413);
    let id = queued(&service, OWNER).await;
    upload(&service, OWNER, &id, 800).await.expect(204);
}
