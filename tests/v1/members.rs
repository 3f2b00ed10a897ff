//! Members and shared images (images-v1.md §9).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, Answer, LONELY, OTHER, OWNER, Service, THIRD, new_id};
use crate::support::eventually;
use crate::support::file::ScratchFile;

fn members_of(id: &str) -> String {
    format!("/v1/images/{id}/members")
}

fn member_of(id: &str, member: &str) -> String {
    format!("/v1/images/{id}/members/{member}")
}

fn pairs(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected.iter().map(|(member, can_share)| ((*member).to_owned(), *can_share)).collect()
}

async fn put(service: &Service, id: &str, caller: &str, member: &str, body: &str) -> Answer {
    service.put(&member_of(id, member)).by(caller).body(body).send().await
}

async fn replace(service: &Service, id: &str, caller: &str, body: &str) -> Answer {
    service.put(&members_of(id)).by(caller).body(body).send().await
}

/// Ids that `/v1/shared-images/{member}` shows to a caller, with `can_share`.
async fn shared(service: &Service, caller: &str, member: &str) -> Vec<(String, bool)> {
    let answer = service.get(&format!("/v1/shared-images/{member}")).by(caller).send().await.expect(200);
    let entries = answer.json()["shared_images"].as_array().unwrap().clone();
    let mut found: Vec<_> = entries
        .iter()
        .map(|e| {
            assert_eq!(e.as_object().unwrap().len(), 2, "{e}");
            (e["image_id"].as_str().unwrap().to_owned(), e["can_share"].as_bool().unwrap())
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn v1_187_v1_188_members_of_a_new_image_and_the_first_one() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let answer = service.get(&members_of(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, br#"{"members": []}"#, "V1-187");

    // V1-188
    let answer = service.put(&member_of(&id, "pat")).by(OWNER).send().await.expect(204);
    assert!(answer.body.is_empty());
    let answer = service.get(&members_of(&id)).by(OWNER).send().await.expect(200);
    assert_eq!(answer.json(), json!({"members": [{"member_id": "pat", "can_share": false}]}));
}

#[tokio::test]
async fn v1_189_can_share_is_set_and_kept() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let steps = [
        (r#"{"member": {"can_share": true}}"#, true),
        ("", true),
        (r#"{"member": {"can_share": false}}"#, false),
        ("", false),
        // truth as the reference sees it: any text but the empty one
        (r#"{"member": {"can_share": "false"}}"#, true),
        (r#"{"member": {"can_share": ""}}"#, false),
        (r#"{"member": {"can_share": 1}}"#, true),
        (r#"{"member": {"can_share": null}}"#, false),
    ];
    for (body, expected) in steps {
        put(&service, &id, OWNER, "pat", body).await.expect(204);
        assert_eq!(service.members(&id, OWNER).await, pairs(&[("pat", expected)]), "{body}");
    }
}

#[tokio::test]
async fn v1_190_documents_that_say_nothing_of_can_share() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let bodies =
        [r#"{"member": {}}"#, "{}", r#"{"other": 1}"#, r#"{"member": []}"#, r#"{"member": "x"}"#, "[]"];
    let mut expected = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let member = format!("pat{n}");
        put(&service, &id, OWNER, &member, body).await.expect(204);
        expected.push((member, false));
    }
    assert_eq!(service.members(&id, OWNER).await, expected);
}

#[tokio::test]
async fn v1_191_v1_239_bodies_that_are_refused_on_add() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let before = service.record(&id).await;
    put(&service, &id, OWNER, "pat", r#"{"member": "#)
        .await
        .expect_text(400, "Malformed JSON in request body.");
    for scalar in ["7", "true", "null", r#""member""#] {
        let answer = put(&service, &id, OWNER, "pat", scalar).await;
        answer.expect_text(400, "Unexpected body type. Expected list/dict.");
    }
    for value in ["null", "7", "true"] {
        // V1-239
        put(&service, &id, OWNER, "pat", &format!(r#"{{"member": {value}}}"#)).await.expect(400);
    }
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_192_a_member_reads_and_lists_the_image() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, Some(b"abc"), &[]).await;
    let path = format!("/v1/images/{id}");
    service.share(&id, OWNER, "beta", None).await;
    service.head(&path).by(OTHER).send().await.expect(200);
    assert_eq!(service.get(&path).by(OTHER).send().await.expect(200).body, b"abc");
    assert_eq!(service.ids(OTHER, "").await, std::slice::from_ref(&id));
    let detail = service.get("/v1/images/detail").by(OTHER).send().await.expect(200).json();
    assert_eq!(detail["images"][0]["id"], json!(id));
    service.head(&path).by(THIRD).send().await.expect(404);
    service
        .get(&path)
        .by(THIRD)
        .send()
        .await
        .expect_text(404, &format!("Image with identifier {id} not found"));
    assert!(service.ids(THIRD, "").await.is_empty());
}

#[tokio::test]
async fn v1_193_v1_194_a_member_is_removed_and_comes_back() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let image = format!("/v1/images/{id}");
    service.share(&id, OWNER, "beta", Some(true)).await;
    let answer = service.delete(&member_of(&id, "beta")).by(OWNER).send().await.expect(204);
    assert!(answer.body.is_empty());
    service.head(&image).by(OTHER).send().await.expect(404);
    assert!(service.ids(OTHER, "").await.is_empty());
    let again = service.delete(&member_of(&id, "beta")).by(OWNER).send().await;
    again.expect_text(404, "Membership could not be found.");

    // V1-194
    service.share(&id, OWNER, "beta", None).await;
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("beta", false)]));
    service.head(&image).by(OTHER).send().await.expect(200);
    service.delete(&member_of(&id, "beta")).by(OWNER).send().await.expect(204);
    service.share(&id, OWNER, "beta", Some(true)).await;
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("beta", true)]));
}

#[tokio::test]
async fn v1_195_replacing_the_list() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "pat", Some(true)).await;
    service.share(&id, OWNER, "quin", None).await;
    let body = r#"{"memberships": [{"member_id": "pat"}, {"member_id": "rex", "can_share": true},
                                   {"member_id": "sue"}]}"#;
    let answer = replace(&service, &id, OWNER, body).await.expect(204);
    assert!(answer.body.is_empty());
    let expected = pairs(&[("pat", true), ("rex", true), ("sue", false)]);
    assert_eq!(service.members(&id, OWNER).await, expected);
    replace(&service, &id, OWNER, r#"{"memberships": [{"member_id": "pat", "can_share": false}]}"#)
        .await
        .expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("pat", false)]));
    replace(&service, &id, OWNER, r#"{"memberships": []}"#).await.expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[]));
}

#[tokio::test]
async fn v1_196_v1_240_v1_261_replacements_that_are_refused() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "pat", None).await;
    let before = service.record(&id).await;
    let invalid = [
        r#"{"image_memberships": [{"member_id": "x"}]}"#,
        r#"{"memberships": [{"can_share": true}]}"#,
        r#"{"memberships": [{"member_id": "x"}, {"can_share": true}]}"#,
        r#"{"memberships": ["x"]}"#,
        r#"{"memberships": {"member_id": "x"}}"#,
        // V1-240
        "",
        "[]",
        r#"[{"member_id": "x"}]"#,
        r#"{"memberships": null}"#,
        // V1-261
        r#"{"memberships": [{"member_id": null}]}"#,
        r#"{"memberships": [{"member_id": 5}]}"#,
        r#"{"memberships": [{"member_id": true}]}"#,
        r#"{"memberships": [{"member_id": ["x"]}]}"#,
        r#"{"memberships": [{"member_id": ""}]}"#,
    ];
    for body in invalid {
        replace(&service, &id, OWNER, body).await.expect_text(400, "Invalid membership association: ");
    }
    replace(&service, &id, OWNER, "{").await.expect_text(400, "Malformed JSON in request body.");
    replace(&service, &id, OWNER, "7").await.expect_text(400, "Unexpected body type. Expected list/dict.");
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_197_the_quota_of_members() {
    let service = Service::start_with(|config| config.limits.image_member_quota = 10).await;
    let id = service.image_id(OWNER, None, &[]).await;
    let people = |count: usize| json!({"memberships": (0..count).map(|n| json!({"member_id": format!("m{n}")})).collect::<Vec<_>>()});
    let words = "The limit has been exceeded on the number of allowed image members for this image. \
                 Attempted: 11, Maximum: 10";
    replace(&service, &id, OWNER, &people(11).to_string()).await.expect_text(413, words);
    assert!(service.members(&id, OWNER).await.is_empty());
    replace(&service, &id, OWNER, &people(10).to_string()).await.expect(204);
    let before = service.record(&id).await;
    put(&service, &id, OWNER, "more", "").await.expect_text(413, words);
    // counted although it is there already
    put(&service, &id, OWNER, "m0", "").await.expect_text(413, words);
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_198_quotas_of_no_limit_and_of_nothing() {
    let unlimited = Service::start_with(|config| config.limits.image_member_quota = -1).await;
    let id = unlimited.image_id(OWNER, None, &[]).await;
    let people: Vec<Value> = (0..200).map(|n| json!({"member_id": format!("m{n}")})).collect();
    replace(&unlimited, &id, OWNER, &json!({"memberships": people}).to_string()).await.expect(204);
    unlimited.share(&id, OWNER, "more", None).await;
    assert_eq!(unlimited.members(&id, OWNER).await.len(), 201);

    let none = Service::start_with(|config| config.limits.image_member_quota = 0).await;
    let id = none.image_id(OWNER, None, &[]).await;
    put(&none, &id, OWNER, "pat", "").await.expect_text(413, "Attempted: 1, Maximum: 0");
    assert!(none.members(&id, OWNER).await.is_empty());
}

#[tokio::test]
async fn v1_199_v1_200_members_of_deleted_and_unknown_images() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "pat", None).await;
    service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let before = service.record(&id).await;
    let unknown = new_id();
    let cases = [
        (id.as_str(), ADMIN, format!("Image with identifier {id} has been deleted.")),
        (id.as_str(), OWNER, format!("Image with identifier {id} not found")),
        (unknown.as_str(), ADMIN, format!("Image with identifier {unknown} not found")),
        ("nonsense", ADMIN, "Image with identifier nonsense not found".to_owned()),
    ];
    for (id, caller, words) in cases {
        put(&service, id, caller, "quin", "").await.expect_text(404, &words);
        replace(&service, id, caller, r#"{"memberships": []}"#).await.expect_text(404, &words);
        service.delete(&member_of(id, "pat")).by(caller).send().await.expect_text(404, &words);
        service.get(&members_of(id)).by(caller).send().await.expect_text(404, &words);
    }
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_201_sharing_needs_a_project() {
    let service = Service::start().await;
    let id = service.image_id(ADMIN, None, &[("is_public", "True"), ("owner", "alpha")]).await;
    service.share(&id, OWNER, "pat", None).await;
    let before = service.record(&id).await;
    put(&service, &id, LONELY, "quin", "").await.expect_text(401, "No authenticated user");
    replace(&service, &id, LONELY, r#"{"memberships": []}"#).await.expect_text(401, "No authenticated user");
    let answer = service.delete(&member_of(&id, "pat")).by(LONELY).send().await;
    answer.expect_text(401, "No authenticated user");
    assert_eq!(service.record(&id).await, before);
    assert!(service.members(&id, LONELY).await.is_empty());
}

#[tokio::test]
async fn v1_202_who_may_share() {
    let service = Service::start().await;
    let public = service.image_id(ADMIN, None, &[("is_public", "True"), ("owner", "alpha")]).await;
    put(&service, &public, OTHER, "pat", "").await.expect(404);
    assert!(service.members(&public, OTHER).await.is_empty());
    assert!(service.members(&public, OWNER).await.is_empty());

    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "beta", Some(true)).await;
    service.share(&id, OWNER, "gamma", None).await;
    service.share(&id, OTHER, "pat", None).await;
    put(&service, &id, THIRD, "quin", "").await.expect(404);
    replace(&service, &id, THIRD, r#"{"memberships": []}"#).await.expect(404);
    service.delete(&member_of(&id, "gamma")).by(THIRD).send().await.expect(404);
    let all = pairs(&[("beta", true), ("gamma", false), ("pat", false)]);
    assert_eq!(service.members(&id, OWNER).await, all);
    assert_eq!(service.members(&id, ADMIN).await, all);
    // a member sees its own entry and no other
    assert_eq!(service.members(&id, OTHER).await, pairs(&[("beta", true)]));
    assert_eq!(service.members(&id, THIRD).await, pairs(&[("gamma", false)]));
}

#[tokio::test]
async fn v1_203_policies_of_members() {
    let policy = ScratchFile::new("policy.json", "{}");
    let service = Service::start_with(|config| config.policy.file = Some(policy.path.clone())).await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "pat", None).await;
    let before = service.record(&id).await;
    policy.write(r#"{"get_members": "!", "modify_member": "!", "delete_member": "!"}"#);
    eventually("the policy is in force", async || {
        let answer = service.get(&members_of(&id)).by(OWNER).send().await;
        (answer.status != 200).then_some(())
    })
    .await;
    let words = "Access was denied to this resource.";
    for caller in [OWNER, ADMIN] {
        service.get(&members_of(&id)).by(caller).send().await.expect_text(403, words);
        put(&service, &id, caller, "quin", "").await.expect_text(403, words);
        replace(&service, &id, caller, r#"{"memberships": []}"#).await.expect_text(403, words);
        service.delete(&member_of(&id, "pat")).by(caller).send().await.expect_text(403, words);
    }
    assert_eq!(service.record(&id).await, before);
    // shared-images has no policy of its own
    assert_eq!(shared(&service, OWNER, "pat").await, pairs(&[(&id, false)]));
}

#[tokio::test]
async fn v1_204_v1_205_v1_206_images_shared_with_a_project() {
    let service = Service::start().await;
    let answer = service.get("/v1/shared-images/nobody").by(OWNER).send().await.expect(200);
    assert_eq!(answer.body, br#"{"shared_images": []}"#, "V1-204");

    // V1-205
    let first = service.image_id(OWNER, None, &[]).await;
    let second = service.image_id(OWNER, None, &[]).await;
    service.share(&first, OWNER, "beta", Some(true)).await;
    service.share(&second, OWNER, "beta", None).await;
    let mut expected = pairs(&[(&first, true), (&second, false)]);
    expected.sort();
    assert_eq!(shared(&service, OTHER, "beta").await, expected);

    // V1-206: another project learns of its own images alone
    let foreign = service.image_id(THIRD, None, &[]).await;
    service.share(&foreign, THIRD, "beta", None).await;
    assert_eq!(shared(&service, OWNER, "beta").await, expected);
    assert_eq!(shared(&service, THIRD, "beta").await, pairs(&[(&foreign, false)]));
    assert!(shared(&service, LONELY, "beta").await.is_empty());
    expected.push((foreign, false));
    expected.sort();
    assert_eq!(shared(&service, OTHER, "beta").await, expected);
    assert_eq!(shared(&service, ADMIN, "beta").await, expected);

    service.delete(&format!("/v1/images/{second}")).by(OWNER).send().await.expect(200);
    assert_eq!(shared(&service, OWNER, "beta").await, pairs(&[(&first, true)]));
}

#[tokio::test]
async fn v1_207_members_come_in_the_order_of_joining() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let people = ["zoe", "abe", "moe", "bob", "yan"];
    for member in people {
        service.share(&id, OWNER, member, None).await;
    }
    // a change is no new membership
    service.share(&id, OWNER, "zoe", Some(true)).await;
    let found = service.members(&id, OWNER).await;
    assert_eq!(found.iter().map(|(member, _)| member.as_str()).collect::<Vec<_>>(), people);
}

#[tokio::test]
async fn v1_241_v1_242_a_bare_membership_and_a_member_named_twice() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "quin", None).await;
    replace(&service, &id, OWNER, r#"{"member_id": "pat", "can_share": true}"#).await.expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("pat", true)]));

    // V1-242
    let body = r#"{"memberships": [{"member_id": "rex", "can_share": true}, {"member_id": "sue"},
                                   {"member_id": "rex", "can_share": false}]}"#;
    replace(&service, &id, OWNER, body).await.expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("rex", false), ("sue", false)]));
}

#[tokio::test]
async fn v1_259_a_member_that_may_share_and_the_shares_of_others() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.share(&id, OWNER, "pat", None).await;
    service.share(&id, OWNER, "beta", Some(true)).await;
    let before = service.record(&id).await;
    let answer = service.delete(&member_of(&id, "pat")).by(OTHER).send().await;
    answer.expect_text(404, "Membership could not be found.");
    service.share(&id, OTHER, "pat", Some(true)).await;
    assert_eq!(service.record(&id).await, before, "one row, unchanged");

    service.delete(&member_of(&id, "beta")).by(OTHER).send().await.expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("pat", false)]));
    service.share(&id, OWNER, "beta", Some(true)).await;
    replace(&service, &id, OTHER, r#"{"memberships": [{"member_id": "zed"}]}"#).await.expect(204);
    assert_eq!(service.members(&id, OWNER).await, pairs(&[("pat", false), ("zed", false)]));
}

#[tokio::test]
async fn v1_260_an_image_without_owner() {
    let service = Service::start().await;
    let id = service.image_id(ADMIN, None, &[("owner", ""), ("name", "orphan")]).await;
    service.share(&id, ADMIN, "pat", None).await;
    let before = service.record(&id).await;
    assert_eq!(before["owner"], Value::Null);
    let path = format!("/v1/images/{id}");
    service.head(&path).by(OTHER).send().await.expect(200);
    service.put(&path).by(OTHER).meta("name", "x").send().await.expect(404);
    service.delete(&path).by(OTHER).send().await.expect(404);
    put(&service, &id, OTHER, "quin", "").await.expect(404);
    assert!(service.members(&id, OTHER).await.is_empty());
    assert_eq!(service.record(&id).await, before);

    // everybody knows of one that is public (§6.1 row 17, §7 row 6)
    let sent = [("owner", ""), ("is_public", "True")];
    let path = format!("/v1/images/{}", service.image_id(ADMIN, None, &sent).await);
    service
        .put(&path)
        .by(OTHER)
        .meta("name", "x")
        .send()
        .await
        .expect_text(403, "Forbidden to update image: ");
    service.delete(&path).by(OTHER).send().await.expect_text(403, "Forbidden to delete image: ");
}

/// No project can have such a name (§9.6, §9.8).
#[tokio::test]
async fn a_null_character_names_no_member() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    let answer = service.delete(&member_of(&id, "%00")).by(OWNER).send().await;
    answer.expect_text(404, "Membership could not be found.");
    for caller in [OWNER, ADMIN] {
        let answer = service.get("/v1/shared-images/%00").by(caller).send().await.expect(200);
        assert_eq!(answer.json()["shared_images"], serde_json::json!([]));
    }
}
