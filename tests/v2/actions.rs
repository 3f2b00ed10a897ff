//! Deactivate and reactivate (images-v2.md §19).

use serde_json::json;
use vitrine::error::ErrorKind;

use super::{
    ADMIN, ALIEN, OWNER, READER, anonymous, assert_allow, image, send, set_visibility, system_admin,
};
use crate::support::api::{Service, new_id};

fn action(id: &str, action: &str) -> String {
    format!("/v2/images/{id}/actions/{action}")
}

async fn active(service: &Service, visibility: &str) -> String {
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    set_visibility(service, &id, visibility).await;
    id
}

#[tokio::test]
async fn v2_313_there_and_back() {
    let service = Service::start().await;
    let id = active(&service, "private").await;
    for caller in [OWNER, ADMIN] {
        for (what, status) in [
            ("deactivate", "deactivated"),
            ("deactivate", "deactivated"),
            ("reactivate", "active"),
            ("reactivate", "active"),
        ] {
            let before = service.record(&id).await;
            let answer = send(&service, caller, "POST", &action(&id, what)).await.expect(204);
            assert!(answer.body.is_empty());
            let after = service.record(&id).await;
            assert_eq!(after["status"], json!(status));
            // what is so already is left as it is, time stamps included
            assert_eq!(after == before, before["status"] == json!(status), "{what}");
        }
    }
    let data = send(&service, OWNER, "GET", &format!("/v2/images/{id}/file")).await.expect(200);
    assert_eq!(data.body, b"abc");
}

/// V2-237, V2-243, A21: without its data an image is as any other.
#[tokio::test]
async fn v2_237_v2_243_a_deactivated_image() {
    let service = Service::start().await;
    let id = active(&service, "public").await;
    send(&service, OWNER, "POST", &action(&id, "deactivate")).await.expect(204);
    let file = format!("/v2/images/{id}/file");
    for caller in [OWNER, READER, ALIEN] {
        send(&service, caller, "GET", &file).await.expect(403);
        send(&service, caller, "GET", &format!("/v2/images/{id}")).await.expect(200);
        send(&service, caller, "GET", &format!("/v1/images/{id}")).await.expect(403);
    }
    assert_eq!(send(&service, ADMIN, "GET", &file).await.expect(200).body, b"abc");
    send(&service, OWNER, "PUT", &format!("/v2/images/{id}/tags/x")).await.expect(204);
    send(&service, OWNER, "DELETE", &format!("/v2/images/{id}")).await.expect(204);
    service.assert_settled().await;
}

#[tokio::test]
async fn v2_314_other_statuses() {
    let service = Service::start().await;
    for status in ["queued", "saving", "uploading", "importing"] {
        let id = image(&service, "shared").await;
        service.sql(&format!("UPDATE images SET status = '{status}' WHERE id = '{id}'")).await;
        let before = service.record(&id).await;
        for what in ["deactivate", "reactivate"] {
            for caller in [OWNER, ADMIN] {
                send(&service, caller, "POST", &action(&id, what)).await.expect_text(403, status);
            }
        }
        assert_eq!(service.record(&id).await, before, "{status}");
    }
    for status in ["killed", "pending_delete", "deleted"] {
        let id = image(&service, "shared").await;
        let deleted_at = if status == "killed" { "NULL" } else { "now()" };
        let sql =
            format!("UPDATE images SET status = '{status}', deleted_at = {deleted_at} WHERE id = '{id}'");
        service.sql(&sql).await;
        send(&service, ADMIN, "POST", &action(&id, "deactivate")).await.expect(404);
    }
}

/// V2-315, A28
#[tokio::test]
async fn v2_315_who_may_deactivate() {
    let service = Service::start().await;
    let (public, private, shared) = (
        active(&service, "public").await,
        active(&service, "private").await,
        active(&service, "shared").await,
    );
    service.share(&shared, OWNER, "beta", None).await;
    let cases =
        [(ALIEN, &public, 403), (ALIEN, &private, 404), (ALIEN, &shared, 403), (READER, &private, 403)];
    for what in ["deactivate", "reactivate"] {
        for (caller, id, status) in cases {
            send(&service, caller, "POST", &action(id, what)).await.expect(status);
        }
        send(&service, OWNER, "POST", &action(&new_id(), what)).await.expect(404);
    }
    for id in [&public, &private] {
        let system = service.flows.deactivate_image(&system_admin(), id).await;
        assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
        let nobody = service.flows.deactivate_image(&anonymous(), id).await;
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    }
    assert_eq!(service.count("SELECT count(*) FROM images WHERE status = 'active'").await, 3);
}

#[tokio::test]
async fn routes_of_actions() {
    let service = Service::start().await;
    let id = active(&service, "private").await;
    for what in ["deactivate", "reactivate"] {
        assert_allow(&service, &action(&id, what), "POST").await;
        let answer = service.post(&action(&id, what)).by(OWNER).json(&json!({})).send().await;
        answer.expect_text(400, "body is not expected");
    }
    send(&service, OWNER, "POST", &action(&id, "destroy")).await.expect(404);
    assert_eq!(service.record(&id).await["status"], json!("active"));
}
