//! `GET /v2/images/{id}` (images-v2.md §4, §7).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, LONELY, OTHER, OWNER, ROOT, Service, THIRD, new_id};
use crate::support::v2::raw;

/// Members of projects `alpha` and `beta` who may only read.
const READER: &str = "rita:alpha:reader";
const OTHER_READER: &str = "ralf:beta:reader";

async fn assert_shown(service: &Service, id: &str, expected: &[(&str, u16)]) {
    for (caller, status) in expected {
        let answer = service.get(&format!("/v2/images/{id}")).by(caller).send().await;
        assert_eq!(answer.status, *status, "{caller}: {}", answer.text());
    }
}

#[tokio::test]
async fn v2_093_what_is_not_there_is_not_found() {
    let service = Service::start().await;
    let deleted = service.active(OWNER, json!({}), b"data").await;
    service.delete(&format!("/v2/images/{deleted}")).by(OWNER).send().await.expect(204);
    let killed = service.queued(OWNER).await;
    service.set(&killed, "status = 'killed'").await;
    let pending = service.queued(OWNER).await;
    service.set(&pending, "status = 'pending_delete', deleted_at = now()").await;
    for id in [&new_id(), "abc", "%20", &deleted, &killed, &pending] {
        assert_shown(&service, id, &[(OWNER, 404), (ADMIN, 404), (ROOT, 404), (OTHER, 404)]).await;
    }
}

#[tokio::test]
async fn v2_094_to_096_who_may_see_what() {
    let service = Service::start().await;
    // V2-094
    for visibility in ["private", "shared"] {
        let id = service.create_id(OWNER, json!({ "visibility": visibility })).await;
        let expected = [
            (OWNER, 200),
            (READER, 200),
            (ADMIN, 200),
            (ROOT, 200),
            (OTHER, 404),
            (OTHER_READER, 404),
            (THIRD, 404),
            (LONELY, 404),
        ];
        assert_shown(&service, &id, &expected).await;
        // an owner of none is nobody's
        let id = service.create_id(ADMIN, json!({ "visibility": visibility, "owner": null })).await;
        assert_shown(&service, &id, &[(ADMIN, 200), (OWNER, 404), (LONELY, 404)]).await;
    }
    // V2-095, V2-096
    for visibility in ["community", "public"] {
        for owner in [json!("alpha"), Value::Null] {
            let id = service.create_id(ADMIN, json!({ "visibility": visibility, "owner": owner })).await;
            assert_shown(&service, &id, &[(OWNER, 200), (OTHER, 200), (OTHER_READER, 200), (ROOT, 200)])
                .await;
        }
    }
    // who holds no role sees nothing
    let id = service.create_id(ADMIN, json!({ "visibility": "public" })).await;
    assert_shown(&service, &id, &[("nora:alpha:nothing", 404)]).await;
}

#[tokio::test]
async fn members_see_a_shared_image_whatever_they_answered() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    service.share(&id, OWNER, "beta", None).await;
    for status in ["pending", "accepted", "rejected"] {
        service.sql(&format!("UPDATE image_members SET status = '{status}'")).await;
        assert_shown(&service, &id, &[(OTHER, 200), (OTHER_READER, 200), (THIRD, 404)]).await;
    }
    // they remain members and see it no longer
    service.set(&id, "visibility = 'private'").await;
    assert_shown(&service, &id, &[(OTHER, 404), (OWNER, 200)]).await;
    service.set(&id, "visibility = 'shared'").await;
    assert_shown(&service, &id, &[(OTHER, 200)]).await;
}

#[tokio::test]
async fn ids_may_be_spelled_in_any_way() {
    // contract.md §6.13
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    for spelled in [id.to_uppercase(), id.replace('-', "")] {
        let shown = service.show(OWNER, &spelled).await;
        assert_eq!(shown["id"], json!(id));
        assert_eq!(shown["self"], json!(format!("/v2/images/{id}")));
    }
}

#[tokio::test]
async fn an_active_image_shows_everything_but_where_it_is() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({ "name": "n", "p": "v" }), b"0123456789").await;
    let image = service.show(OWNER, &id).await;
    let expected = json!({
        "id": id,
        "name": "n",
        "status": "active",
        "visibility": "shared",
        "owner": "alpha",
        "protected": false,
        "os_hidden": false,
        "size": 10,
        "virtual_size": image["virtual_size"],
        "checksum": "781e5e245d69b566979b86e28d23f2c7",
        "os_hash_algo": "sha512",
        "os_hash_value": image["os_hash_value"],
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "tags": [],
        "created_at": image["created_at"],
        "updated_at": image["updated_at"],
        "self": format!("/v2/images/{id}"),
        "file": format!("/v2/images/{id}/file"),
        "schema": "/v2/schemas/image",
        "p": "v",
    });
    assert_eq!(image, expected);
    // as sha512sum has it
    let hash = "bb96c2fc40d2d54617d6f276febe571f623a8dadf0b734855299b0e107fda32c\
                f6b69f2da32b36445d73690b93cbd0f7bfc20e0f7f28553d2a4428f23b716e90";
    assert_eq!(image["os_hash_value"], json!(hash));
    // the same in lists, and to administrators
    assert_eq!(service.list(OWNER, "").await["images"], json!([expected]));
    assert_eq!(service.show(ADMIN, &id).await, expected);
}

#[tokio::test]
async fn nothing_of_a_property_that_has_no_value() {
    let service = Service::start().await;
    let document = raw(json!({ "kernel_id": null }));
    let id = service.create_id(OWNER, document).await;
    service.set(&id, r#"properties = properties || '{"free": null}'"#).await;
    // §4.3: null where the schema declares it, else empty text
    let shown = service.show(OWNER, &id).await;
    assert_eq!((&shown["kernel_id"], &shown["free"]), (&Value::Null, &json!("")));
    assert!(shown.as_object().unwrap().contains_key("kernel_id"));
    let listed = service.list(OWNER, "").await;
    assert_eq!(listed["images"][0], shown);
}

#[tokio::test]
async fn times_are_shown_in_whole_seconds_of_utc() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    let times = "created_at = '2020-02-29T23:59:59.999999Z', updated_at = '2021-01-01T01:00:00.5+01:00'";
    service.set(&id, times).await;
    let shown = service.show(OWNER, &id).await;
    assert_eq!(shown["created_at"], json!("2020-02-29T23:59:59Z"));
    assert_eq!(shown["updated_at"], json!("2021-01-01T00:00:00Z"));
}

#[tokio::test]
async fn policy_decides_who_may_see_an_image() {
    let rules = json!({ "get_image": "role:admin or project_id:%(owner)s" });
    let service = Service::start_with_rules(&rules).await;
    let id = service.create_id(ADMIN, json!({ "visibility": "public", "owner": "alpha" })).await;
    assert_shown(&service, &id, &[(OWNER, 200), (ADMIN, 200), (OTHER, 404)]).await;
}
