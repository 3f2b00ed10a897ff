//! Tags (images-v2.md §17).

use futures_util::future::join_all;
use serde_json::json;
use vitrine::error::ErrorKind;

use super::{ADMIN, ALIEN, EMOJI, OWNER, READER, anonymous, assert_allow, image, send, system_admin, tags};
use crate::support::api::{Service, new_id};

fn tag(id: &str, tag: &str) -> String {
    format!("/v2/images/{id}/tags/{tag}")
}

#[tokio::test]
async fn v2_295_a_tag_comes_and_goes() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    service.sql("UPDATE images SET updated_at = updated_at - interval '1 hour'").await;
    let old = service.record(&id).await["updated_at"].clone();
    for _ in 0..2 {
        let answer = send(&service, OWNER, "PUT", &tag(&id, "A%20b")).await.expect(204);
        assert!(answer.body.is_empty());
    }
    assert_eq!(tags(&service, &id).await, ["A b"]);
    assert_ne!(service.record(&id).await["updated_at"], old);
    // tags are case-sensitive
    send(&service, OWNER, "DELETE", &tag(&id, "a%20b")).await.expect(404);
    send(&service, OWNER, "DELETE", &tag(&id, "A%20b")).await.expect(204);
    send(&service, OWNER, "DELETE", &tag(&id, "A%20b")).await.expect(404);
    send(&service, OWNER, "DELETE", &tag(&id, "a%00")).await.expect(404);
    assert!(tags(&service, &id).await.is_empty());
}

#[tokio::test]
async fn v2_296_length_and_number() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    service.sql("UPDATE images SET tags = ARRAY(SELECT 't' || n FROM generate_series(1, 128) AS n)").await;
    let before = service.record(&id).await;
    let words =
        "The limit has been exceeded on the number of allowed image tags. Attempted: 129, Maximum: 128";
    send(&service, OWNER, "PUT", &tag(&id, "one-more")).await.expect_text(413, words);
    assert_eq!(service.record(&id).await, before);
    send(&service, OWNER, "PUT", &tag(&id, "t1")).await.expect(204);

    let id = image(&service, "shared").await;
    send(&service, OWNER, "PUT", &tag(&id, &"t".repeat(256))).await.expect(400);
    send(&service, OWNER, "PUT", &tag(&id, &"t".repeat(255))).await.expect(204);
    send(&service, OWNER, "PUT", &tag(&id, &"%C3%A9".repeat(255))).await.expect(204);
    assert_eq!(tags(&service, &id).await, ["t".repeat(255), "é".repeat(255)]);
}

/// V2-297, A28
#[tokio::test]
async fn v2_297_who_may_tag() {
    let service = Service::start().await;
    let (public, private, shared) =
        (image(&service, "public").await, image(&service, "private").await, image(&service, "shared").await);
    service.sql("UPDATE images SET tags = '{x}'").await;
    service.share(&shared, OWNER, "beta", None).await;
    let unknown = new_id();
    let cases = [
        (ALIEN, &public, 403),
        (ALIEN, &private, 404),
        (ALIEN, &shared, 403),
        (OWNER, &unknown, 404),
        (ADMIN, &unknown, 404),
        (READER, &private, 403),
        (READER, &public, 403),
    ];
    for (caller, id, status) in cases {
        let before = service.record(id).await;
        for (method, name) in [("PUT", "new"), ("DELETE", "x")] {
            send(&service, caller, method, &tag(id, name)).await.expect(status);
        }
        assert_eq!(service.record(id).await, before, "{caller} {status}");
    }
    for id in [&public, &private] {
        let system = service.flows.add_tag(&system_admin(), id, "new").await;
        assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
        let nobody = service.flows.add_tag(&anonymous(), id, "new").await;
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
        let nobody = service.flows.remove_tag(&anonymous(), id, "x").await;
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    }
    for caller in [OWNER, ADMIN] {
        send(&service, caller, "PUT", &tag(&private, "new")).await.expect(204);
        send(&service, caller, "DELETE", &tag(&private, "new")).await.expect(204);
    }
}

#[tokio::test]
async fn v2_345_v2_348_characters() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    for bad in [EMOJI, "a%00b"] {
        send(&service, OWNER, "PUT", &tag(&id, bad)).await.expect(400);
    }
    for fine in ["%C3%A9", "%E6%97%A5%E6%9C%AC"] {
        send(&service, OWNER, "PUT", &tag(&id, fine)).await.expect(204);
    }
    assert_eq!(tags(&service, &id).await, ["é", "日本"]);
    send(&service, OWNER, "DELETE", &tag(&id, "%E6%97%A5%E6%9C%AC")).await.expect(204);
    assert_eq!(tags(&service, &id).await, ["é"]);
}

/// Tags of many clients at once: none is lost, and none beyond the quota is kept.
#[tokio::test]
async fn tags_at_once_are_all_kept() {
    let service = Service::start_with(|config| config.limits.image_tag_quota = 8).await;
    let id = image(&service, "shared").await;
    let puts = (0..10).map(|n| {
        let (service, path) = (&service, tag(&id, &format!("t{n}")));
        async move { send(service, OWNER, "PUT", &path).await.status }
    });
    let statuses = join_all(puts).await;
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 8, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 413).count(), 2, "{statuses:?}");
    assert_eq!(tags(&service, &id).await.len(), 8);
}

#[tokio::test]
async fn routes_of_tags() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    assert_allow(&service, &tag(&id, "x"), "PUT, DELETE").await;
    for path in [tag(&id, ""), format!("/v2/images/{id}/tags"), tag(&id, "a%2Fb"), tag(&id, "a/")] {
        send(&service, OWNER, "PUT", &path).await.expect(404);
    }
    for method in ["PUT", "DELETE"] {
        let answer = service.request(method, &tag(&id, "x")).by(OWNER).json(&json!({})).send().await;
        answer.expect_text(400, "body is not expected");
    }
    send(&service, OWNER, "DELETE", &format!("/v1/images/{id}")).await.expect(200);
    send(&service, OWNER, "PUT", &tag(&id, "x")).await.expect(404);
    send(&service, ADMIN, "PUT", &tag(&id, "x")).await.expect(404);
}
