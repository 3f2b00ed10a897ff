//! Who may change an image, and in which order refusals come: V1-160 to V1-162, V1-167 and the rows of §6.1. A refused
//! request changes nothing.

use std::fmt::Write;

use serde_json::json;

use crate::support::api::{ADMIN, OTHER, OWNER, Request, Service, new_id};
use crate::support::file::ScratchFile;

const DENIED: &str = "Access was denied to this resource.";

fn path(id: &str) -> String {
    format!("/v1/images/{id}")
}

fn put(service: &Service, caller: &str, id: &str) -> Request {
    service.put(&path(id)).by(caller).meta("name", "changed")
}

#[tokio::test]
async fn v1_160_and_v1_161_unknown_and_deleted_images_cannot_be_changed() {
    let service = Service::start().await;
    for id in [new_id(), "1".to_owned(), "x".repeat(300)] {
        for caller in [OWNER, ADMIN] {
            let text = format!("Image with identifier {id} not found");
            put(&service, caller, &id).send().await.expect_text(404, &text);
            put(&service, caller, &id).data("abc").send().await.expect_text(404, &text);
        }
    }
    assert_eq!(service.count("SELECT count(*) FROM images").await, 0);
    let id = service.image_id(OWNER, None, &[("name", "old")]).await;
    service.delete(&path(&id)).by(OWNER).send().await.expect(200);
    let before = service.snapshot(&id).await;
    put(&service, OWNER, &id).send().await.expect(404);
    put(&service, ADMIN, &id).send().await.expect_text(403, "Forbidden to update deleted image.");
    put(&service, ADMIN, &id).formats().data("abc").send().await.expect(403);
    assert_eq!(service.snapshot(&id).await, before);
    service.assert_settled().await;
}

#[tokio::test]
async fn v1_162_strangers_change_nothing() {
    let service = Service::start().await;
    let public = service.image_id(ADMIN, None, &[("is_public", "True")]).await;
    let private = service.image_id(OWNER, None, &[]).await;
    let shared = service.image_id(OWNER, None, &[]).await;
    let share = json!({ "member": { "can_share": true } });
    let members = format!("{}/members/beta", path(&shared));
    service.put(&members).by(OWNER).json(&share).send().await.expect(204);
    let ownerless = service.image_id(ADMIN, None, &[("owner", "")]).await;
    let community = service.image_id(OWNER, None, &[]).await;
    service.sql(&format!("UPDATE images SET visibility = 'community' WHERE id = '{community}'")).await;
    for (id, status, text) in [
        (&public, 403, "Forbidden to update image"),
        (&community, 403, "Forbidden to update image"),
        (&private, 404, "not found"),
        (&shared, 404, "not found"),
        (&ownerless, 404, "not found"),
    ] {
        let before = service.snapshot(id).await;
        put(&service, OTHER, id).send().await.expect_text(status, text);
        put(&service, OTHER, id).formats().data("abc").send().await.expect_text(status, text);
        put(&service, OTHER, id).meta("property-a", "b").send().await.expect(status);
        assert_eq!(service.snapshot(id).await, before);
        put(&service, ADMIN, id).send().await.expect(200);
    }
    assert!(service.bucket.keys().await.is_empty());
    service.assert_settled().await;
}

/// Rows 1 to 4 of §6.1, which come before the lookup.
#[tokio::test]
async fn malformed_updates_change_nothing() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("disk_format", "raw"), ("property-a", "b")]).await;
    let before = service.snapshot(&id).await;
    put(&service, "nonsense", &id).send().await.expect(401);
    for (name, value, text) in [
        ("foo", "1", "Bad header"),
        ("size", "x", "Cannot convert image size 'x' to an integer."),
        ("min_disk", "-42", "Invalid value"),
        ("disk_format", "bad_value", "Invalid disk format 'bad_value' for image"),
        ("container_format", "", "Invalid container format 'None' for image"),
        ("disk_format", "ami", "Invalid mix of disk and container formats."),
        ("checksum", "012345678901234567890123456789012", "Invalid checksum"),
        ("updated_at", "foo", ""),
        ("size", "1099511627777", "Denying attempt to upload image larger than 1099511627776 bytes."),
    ] {
        for target in [id.clone(), new_id()] {
            let mut request = put(&service, OWNER, &target).meta(name, value);
            if value == "ami" {
                request = request.meta("container_format", "bare");
            }
            request.send().await.expect_text(400, text);
        }
    }
    assert_eq!(service.snapshot(&id).await, before);
    service.assert_settled().await;
}

/// V1-167 and the other policies of row 6, which come before the lookup, too.
#[tokio::test]
async fn v1_167_denied_policies_change_nothing() {
    let rules = json!({
        "modify_image": "not role:fixed",
        "upload_image": "not role:empty",
        "copy_from": "not role:original",
        "set_image_location": "not role:local",
        "publicize_image": "!",
    });
    let service = Service::start_with_rules(&rules).await;
    let id = service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "bare")]).await;
    let before = service.snapshot(&id).await;
    let as_role = |role: &str, target: &str| put(&service, &format!("olga:alpha:{role}"), target);
    for target in [id.clone(), new_id()] {
        as_role("fixed", &target).send().await.expect_text(403, DENIED);
        as_role("empty", &target).data("abc").send().await.expect_text(403, DENIED);
        for caller in [OWNER, ADMIN] {
            put(&service, caller, &target).meta("is_public", "True").send().await.expect_text(403, DENIED);
        }
        for role in ["original", "empty"] {
            let request = as_role(role, &target).header("x-glance-api-copy-from", "http://example.org/x");
            request.send().await.expect_text(403, DENIED);
        }
    }
    for location in ["http://example.org/x", ""] {
        as_role("local", &id).meta("location", location).send().await.expect_text(403, DENIED);
    }
    assert_eq!(service.snapshot(&id).await, before);
    // also where it is public already
    service.sql(&format!("UPDATE images SET visibility = 'public' WHERE id = '{id}'")).await;
    put(&service, ADMIN, &id).meta("is_public", "True").send().await.expect_text(403, DENIED);
    as_role("empty", &id).send().await.expect(200);
    service.assert_settled().await;
}

/// Rows 8 to 18: what comes first where several things are wrong.
#[tokio::test]
async fn the_state_of_the_image_comes_before_protection_quota_and_ownership() {
    let mut protections = String::new();
    for (section, roles) in [("^x_admin_", "admin"), (".*", "@")] {
        writeln!(protections, "[{section}]\ncreate = {roles}\nread = @\nupdate = {roles}\ndelete = {roles}")
            .unwrap();
    }
    let file = ScratchFile::new("protections.conf", &protections);
    let service = Service::start_with(|settings| {
        settings.policy.property_protection_file = Some(file.path.clone());
        settings.limits.image_property_quota = 2;
    })
    .await;
    let id =
        service.image_id(ADMIN, Some(b"abc"), &[("is_public", "True"), ("property-x_admin_a", "1")]).await;
    let before = service.snapshot(&id).await;
    let full = |request: Request| {
        request.meta("property-x_admin_a", "2").meta("property-b", "").meta("property-c", "")
    };
    let location = |request: Request| request.meta("location", "http://example.org/x");
    let stranger = || put(&service, OTHER, &id).meta("min_disk", "2147483648");
    // row 9, then 10, then 11
    let request = full(stranger()).meta("size", "9").meta("status", "queued").data("abc");
    request.send().await.expect_text(403, "Forbidden to modify 'size' of active image.");
    let request = full(stranger()).meta("status", "queued").data("abc");
    request.send().await.expect_text(403, "Forbidden to modify 'status' of image.");
    full(stranger()).data("abc").send().await.expect_text(409, "Cannot upload to an unqueued image");
    // row 12
    let request = full(stranger()).meta("location", "");
    request.send().await.expect_text(400, "External source should not be empty");
    // row 15: change, create, remove
    full(stranger()).send().await.expect_text(403, "Property 'x_admin_a' is protected");
    stranger().send().await.expect_text(403, "Property 'x_admin_a' is protected");
    let create = stranger().meta("property-x_admin_a", "1").meta("property-x_admin_b", "1");
    create.send().await.expect_text(403, "Property 'x_admin_b' is protected");
    // row 16
    let many = full(put(&service, ADMIN, &id)).meta("min_disk", "2147483648");
    many.send().await.expect_text(413, "Attempted: 3, Maximum: 2");
    // row 17
    let request = stranger().meta("property-x_admin_a", "1");
    request.send().await.expect_text(403, "Forbidden to update image");
    // row 19
    let request = put(&service, ADMIN, &id).meta("property-x_admin_a", "1").meta("min_disk", "2147483648");
    let text = "Failed to update image metadata. Got error: 'min_disk' value out of range";
    request.send().await.expect_text(400, text);
    assert_eq!(service.snapshot(&id).await, before);
    // row 14, where locations are allowed at all
    let service = Service::start_with(crate::support::source::allow).await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let before = service.snapshot(&id).await;
    let text = "Attempted to update Location field for an image not in queued status.";
    location(put(&service, OWNER, &id)).send().await.expect_text(400, text);
    assert_eq!(service.snapshot(&id).await, before);
    service.assert_settled().await;
}
