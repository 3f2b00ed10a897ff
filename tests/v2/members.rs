//! Members (images-v2.md §18.2).

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine::error::ErrorKind;

use super::{
    ADMIN, ALIEN, OWNER, READER, THIRD, anonymous, assert_allow, image, send, set_visibility, system_admin,
};
use crate::support::api::{Answer, Service, new_id};
use crate::support::file::ScratchFile;

fn members_of(id: &str) -> String {
    format!("/v2/images/{id}/members")
}

fn member_of(id: &str, member: &str) -> String {
    format!("/v2/images/{id}/members/{member}")
}

async fn add(service: &Service, id: &str, caller: &str, document: &Value) -> Answer {
    service.post(&members_of(id)).by(caller).json(document).send().await
}

async fn share(service: &Service, id: &str, member: &str) -> Value {
    add(service, id, OWNER, &json!({ "member": member })).await.expect(200).json()
}

async fn answer(service: &Service, id: &str, caller: &str, member: &str, status: &str) -> Answer {
    service.put(&member_of(id, member)).by(caller).json(&json!({ "status": status })).send().await
}

async fn seen(service: &Service, id: &str, caller: &str) -> Vec<String> {
    let body = send(service, caller, "GET", &members_of(id)).await.expect(200).json();
    assert_eq!(body["schema"], json!("/v2/schemas/members"));
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    let members = body["members"].as_array().unwrap();
    members.iter().map(|member| member["member_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn v2_298_a_new_member_is_pending() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    let member = share(&service, &id, "p1").await;
    let created = member["created_at"].as_str().unwrap();
    assert_eq!((created.len(), &created[19..]), (20, "Z"), "{created}");
    let expected = json!({"member_id": "p1", "image_id": id, "status": "pending", "created_at": created,
                          "updated_at": created, "schema": "/v2/schemas/member"});
    assert_eq!(member, expected);
    assert_eq!(send(&service, OWNER, "GET", &member_of(&id, "p1")).await.expect(200).json(), expected);
    // sharing with the owner itself is accepted, and an administrator may share for it
    add(&service, &id, ADMIN, &json!({"member": "alpha"})).await.expect(200);
    assert_eq!(seen(&service, &id, OWNER).await, ["p1", "alpha"]);
}

#[tokio::test]
async fn v2_299_a_member_again() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    share(&service, &id, "beta").await;
    add(&service, &id, OWNER, &json!({"member": "beta"})).await.expect(409);
    answer(&service, &id, ALIEN, "beta", "accepted").await.expect(200);
    add(&service, &id, OWNER, &json!({"member": "beta"})).await.expect(409);
    send(&service, OWNER, "DELETE", &member_of(&id, "beta")).await.expect(204);
    assert_eq!(share(&service, &id, "beta").await["status"], json!("pending"));
}

#[tokio::test]
async fn v2_300_v2_344_documents_that_name_no_member() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    let before = service.record(&id).await;
    let long = "x".repeat(256);
    for document in [
        json!({}),
        json!({"member": ""}),
        json!([]),
        json!(["member"]),
        json!({"member_id": "x"}),
        json!({"member": null}),
        json!({"member": 5}),
        json!({"member": true}),
        json!({"member": {"a": 1}}),
        json!({"member": ["x"]}),
        json!({"member": long}),
        json!({"member": "😀"}),
        json!({"member": "a\u{0}b"}),
    ] {
        add(&service, &id, OWNER, &document).await.expect(400);
    }
    for body in ["", "5", "{", "\"member\""] {
        service.post(&members_of(&id)).by(OWNER).body(body).send().await.expect(400);
    }
    assert_eq!(service.record(&id).await, before);
    add(&service, &id, OWNER, &json!({"member": "日".repeat(255)})).await.expect(200);
}

#[tokio::test]
async fn v2_301_v2_309_only_shared_images_have_members() {
    let service = Service::start().await;
    for visibility in ["public", "community", "private"] {
        let id = image(&service, "shared").await;
        share(&service, &id, "beta").await;
        set_visibility(&service, &id, visibility).await;
        let before = service.record(&id).await;
        let words = "Only shared images have members";
        for caller in [OWNER, ADMIN] {
            add(&service, &id, caller, &json!({"member": "p"})).await.expect_text(403, words);
            send(&service, caller, "GET", &members_of(&id)).await.expect_text(403, words);
            for member in ["beta", "nobody"] {
                let path = member_of(&id, member);
                send(&service, caller, "DELETE", &path).await.expect_text(403, words);
                send(&service, caller, "GET", &path).await.expect(404);
                answer(&service, &id, caller, member, "accepted").await.expect(403);
            }
        }
        assert_eq!(service.record(&id).await, before, "{visibility}");
    }
}

#[tokio::test]
async fn v2_302_who_may_share() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    share(&service, &id, "beta").await;
    let public = image(&service, "public").await;
    let before = service.record(&id).await;
    let document = json!({"member": "p"});
    add(&service, &id, ALIEN, &document).await.expect(403);
    add(&service, &id, THIRD, &document).await.expect(404);
    add(&service, &id, READER, &document).await.expect(403);
    add(&service, &public, ALIEN, &document).await.expect(403);
    add(&service, &new_id(), OWNER, &document).await.expect(404);
    add(&service, "nonsense", ADMIN, &document).await.expect(404);
    let system = service.flows.add_member(&system_admin(), &id, "p").await;
    assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
    let nobody = service.flows.add_member(&anonymous(), &public, "p").await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v2_303_v2_304_a_member_sees_the_image_whatever_it_says() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    share(&service, &id, "beta").await;
    for status in ["pending", "rejected", "accepted", "pending"] {
        let member = answer(&service, &id, ALIEN, "beta", status).await.expect(200).json();
        assert_eq!((&member["status"], &member["member_id"]), (&json!(status), &json!("beta")));
        send(&service, ALIEN, "GET", &format!("/v2/images/{id}")).await.expect(200);
        let data = send(&service, ALIEN, "GET", &format!("/v2/images/{id}/file")).await.expect(200);
        assert_eq!(data.body, b"abc");
    }
    send(&service, THIRD, "GET", &format!("/v2/images/{id}")).await.expect(404);
}

#[tokio::test]
async fn v2_305_v2_307_who_may_answer() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    for member in ["beta", "gamma", "alpha"] {
        share(&service, &id, member).await;
    }
    let before = service.record(&id).await;
    answer(&service, &id, OWNER, "beta", "accepted").await.expect(403);
    answer(&service, &id, READER, "beta", "accepted").await.expect(403);
    answer(&service, &id, "bob:beta:reader", "beta", "accepted").await.expect(403);
    answer(&service, &id, THIRD, "beta", "accepted").await.expect(404);
    answer(&service, &id, OWNER, "nobody", "accepted").await.expect(404);
    answer(&service, &id, ADMIN, "nobody", "accepted").await.expect(404);
    answer(&service, &id, ADMIN, "a%00b", "accepted").await.expect(404);
    answer(&service, &id, "eve:epsilon:member,reader", "beta", "accepted").await.expect(404);
    let status = "accepted".parse().unwrap();
    let system = service.flows.answer_share(&system_admin(), &id, "beta", status).await;
    assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
    let nobody = service.flows.answer_share(&anonymous(), &id, "beta", status).await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(service.record(&id).await, before);

    answer(&service, &id, ADMIN, "beta", "accepted").await.expect(200);
    // the owner answers for its own project, as it is a member, and for no other
    answer(&service, &id, OWNER, "alpha", "accepted").await.expect(200);
    answer(&service, &id, OWNER, "gamma", "accepted").await.expect(403);
}

#[tokio::test]
async fn v2_306_what_is_no_status() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    share(&service, &id, "beta").await;
    for document in [
        json!({"status": "foo"}),
        json!({}),
        json!([]),
        json!({"status": null}),
        json!({"status": 5}),
        json!({"status": "Accepted"}),
    ] {
        let put = service.put(&member_of(&id, "beta")).by(ALIEN).json(&document);
        put.send().await.expect(400);
    }
    service.put(&member_of(&id, "beta")).by(ALIEN).send().await.expect(400);
    assert_eq!(service.record(&id).await["members"][0]["status"], json!("pending"));
}

#[tokio::test]
async fn v2_308_v2_310_who_sees_which_members() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    share(&service, &id, "beta").await;
    share(&service, &id, "somebody").await;
    for caller in [OWNER, READER, ADMIN] {
        assert_eq!(seen(&service, &id, caller).await, ["beta", "somebody"], "{caller}");
        send(&service, caller, "GET", &member_of(&id, "beta")).await.expect(200);
    }
    assert_eq!(seen(&service, &id, ALIEN).await, ["beta"]);
    send(&service, THIRD, "GET", &members_of(&id)).await.expect(404);
    send(&service, ALIEN, "GET", &member_of(&id, "beta")).await.expect(200);
    send(&service, ALIEN, "GET", &member_of(&id, "somebody")).await.expect(404);
    send(&service, OWNER, "GET", &member_of(&id, "nobody")).await.expect(404);
    send(&service, OWNER, "GET", &member_of(&id, "a%00b")).await.expect(404);
    send(&service, THIRD, "GET", &member_of(&id, "beta")).await.expect(404);
    let system = service.flows.show_members(&system_admin(), &id).await;
    assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);

    // V2-310
    set_visibility(&service, &id, "private").await;
    for caller in [OWNER, ADMIN, ALIEN] {
        send(&service, caller, "GET", &member_of(&id, "beta")).await.expect(404);
    }
    send(&service, ALIEN, "GET", &members_of(&id)).await.expect(404);
}

#[tokio::test]
async fn v2_311_who_may_remove_a_member() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    share(&service, &id, "beta").await;
    let path = member_of(&id, "beta");
    for caller in [ALIEN, READER] {
        send(&service, caller, "DELETE", &path).await.expect(403);
    }
    send(&service, THIRD, "DELETE", &path).await.expect(404);
    let system = service.flows.remove_member(&system_admin(), &id, "beta").await;
    assert_eq!(system.unwrap_err().kind(), ErrorKind::NotFound);
    let nobody = service.flows.remove_member(&anonymous(), &id, "beta").await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Forbidden);
    for unknown in ["unknown", "a%00b"] {
        send(&service, OWNER, "DELETE", &member_of(&id, unknown)).await.expect(404);
    }
    send(&service, ALIEN, "GET", &format!("/v2/images/{id}")).await.expect(200);
    send(&service, OWNER, "DELETE", &path).await.expect(204);
    send(&service, OWNER, "DELETE", &path).await.expect(404);
    send(&service, ALIEN, "GET", &format!("/v2/images/{id}")).await.expect(404);
    share(&service, &id, "beta").await;
    send(&service, ADMIN, "DELETE", &path).await.expect(204);
}

#[tokio::test]
async fn v2_312_one_member_above_the_quota() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    for number in 0..128 {
        share(&service, &id, &format!("m{number}")).await;
    }
    let words = "Attempted: 129, Maximum: 128";
    add(&service, &id, OWNER, &json!({"member": "one-more"})).await.expect_text(413, words);
    add(&service, &id, OWNER, &json!({"member": "m7"})).await.expect(409);
    assert_eq!(seen(&service, &id, OWNER).await.len(), 128);
}

/// A42: the quota holds for additions at once, and one project joins once.
#[tokio::test]
async fn additions_at_once_stay_within_the_quota() {
    let service = Service::start_with(|config| config.limits.image_member_quota = 5).await;
    let id = image(&service, "shared").await;
    let adds = (0..12).map(|n| {
        let (service, id) = (&service, &id);
        async move { add(service, id, OWNER, &json!({ "member": format!("m{}", n % 8) })).await.status }
    });
    let mut statuses = join_all(adds).await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409, 413].contains(status)), "{statuses:?}");
    assert_eq!(seen(&service, &id, OWNER).await.len(), 5);
}

/// Whatever wins, an image that is not shared or is deleted gets no new member.
#[tokio::test]
async fn additions_race_with_the_end_of_sharing() {
    let service = Service::start().await;
    for end in ["UPDATE images SET visibility = 'private'", "DELETE"] {
        let id = image(&service, "shared").await;
        let mut client = service.database.client().await;
        let transaction = client.transaction().await.unwrap();
        if end == "DELETE" {
            let sql = format!("UPDATE images SET status = 'deleted', deleted_at = now() WHERE id = '{id}'");
            transaction.batch_execute(&sql).await.unwrap();
        } else {
            transaction.batch_execute(&format!("{end} WHERE id = '{id}'")).await.unwrap();
        }
        let document = json!({"member": "p"});
        let adding = add(&service, &id, OWNER, &document);
        let ending = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            transaction.commit().await.unwrap();
        };
        let (added, ()) = tokio::join!(adding, ending);
        assert_eq!(added.status, if end == "DELETE" { 404 } else { 403 }, "{}", added.text());
        assert_eq!(service.record(&id).await["members"], json!([]), "{end}");
    }
}

#[tokio::test]
async fn rules_see_the_member_that_is_meant() {
    let rules = json!({"add_member": "project_id:%(owner)s and not 'rival':%(member_id)s",
                       "delete_member": "project_id:%(member_id)s"});
    let file = ScratchFile::new("policy.json", &rules.to_string());
    let service = Service::start_with(|settings| settings.policy.file = Some(file.path.clone())).await;
    let id = image(&service, "shared").await;
    add(&service, &id, OWNER, &json!({"member": "rival"})).await.expect(403);
    for member in ["beta", "gamma"] {
        share(&service, &id, member).await;
    }
    // a member leaves, and removes nobody else
    send(&service, ALIEN, "DELETE", &member_of(&id, "gamma")).await.expect(403);
    send(&service, OWNER, "DELETE", &member_of(&id, "gamma")).await.expect(403);
    send(&service, ALIEN, "DELETE", &member_of(&id, "beta")).await.expect(204);
    assert_eq!(seen(&service, &id, OWNER).await, ["gamma"]);
}

#[tokio::test]
async fn routes_of_members() {
    let service = Service::start().await;
    let id = image(&service, "shared").await;
    assert_allow(&service, &members_of(&id), "GET, POST").await;
    assert_allow(&service, &member_of(&id, "p"), "GET, PUT, DELETE").await;
    send(&service, OWNER, "GET", &format!("{}/", members_of(&id))).await.expect(404);
    for (method, path) in
        [("GET", members_of(&id)), ("GET", member_of(&id, "p")), ("DELETE", member_of(&id, "p"))]
    {
        let answer = service.request(method, &path).by(OWNER).body("{}").send().await;
        answer.expect_text(400, "body is not expected");
    }
}
