//! Shape of the lists, and who sees which images in them (images-v1.md §4.1, §4.3, §4.4).

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::support::api::{ADMIN, LONELY, OTHER, OWNER, ROOT, Service, THIRD, new_id};
use crate::support::file::ScratchFile;

const BRIEF: [&str; 6] = ["checksum", "container_format", "disk_format", "id", "name", "size"];
const DETAIL: [&str; 18] = [
    "checksum",
    "container_format",
    "created_at",
    "deleted",
    "deleted_at",
    "disk_format",
    "id",
    "is_public",
    "min_disk",
    "min_ram",
    "name",
    "owner",
    "properties",
    "protected",
    "size",
    "status",
    "updated_at",
    "virtual_size",
];

/// Names of an object's members, in order.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

async fn entries(service: &Service, caller: &str, path: &str) -> Vec<Value> {
    let document = service.get(path).by(caller).send().await.expect(200).json();
    assert_eq!(keys(&document), ["images"], "{path}");
    document["images"].as_array().unwrap().clone()
}

/// One image of each kind that matters to lists.
struct Cast {
    service: Service,
    /// Public, of project `delta`.
    public: String,
    /// Of `alpha`, seen by nobody else.
    own: String,
    /// Of `beta`, shared with `alpha`.
    shared: String,
    /// Of `beta`, seen by nobody else.
    foreign: String,
}

impl Cast {
    async fn assemble() -> Self {
        let service = Service::start().await;
        let public = service.image_id(ADMIN, None, &[("is_public", "True")]).await;
        let own = service.image_id(OWNER, None, &[]).await;
        let shared = service.image_id(OTHER, None, &[]).await;
        service.share(&shared, OTHER, "alpha", None).await;
        let foreign = service.image_id(OTHER, None, &[]).await;
        Self { service, public, own, shared, foreign }
    }
}

#[tokio::test]
async fn v1_063_and_064_entries_have_exactly_their_keys() {
    let service = Service::start().await;
    service.image_id(OWNER, None, &[]).await;
    let meta = [("name", "full"), ("disk_format", "raw"), ("container_format", "bare"), ("property-a", "b")];
    let full = service.image(OWNER, Some(b"hello"), &meta).await;
    // V1-063
    let brief = entries(&service, OWNER, "/v1/images").await;
    assert_eq!(brief.len(), 2);
    for entry in &brief {
        assert_eq!(keys(entry), BRIEF);
    }
    for name in BRIEF {
        assert_eq!(brief[0][name], full[name], "{name}");
    }
    assert_eq!(brief[1]["name"], Value::Null);
    // V1-064
    let detail = entries(&service, OWNER, "/v1/images/detail").await;
    assert_eq!(detail.len(), 2);
    for entry in &detail {
        assert_eq!(keys(entry), DETAIL);
    }
    assert_eq!(detail[0], full);
}

#[tokio::test]
async fn v1_065_the_newest_image_comes_first() {
    let service = Service::start().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.insert(0, service.image_id(OWNER, None, &[]).await);
    }
    assert_eq!(service.ids(OWNER, "").await, made);
    let detail = entries(&service, OWNER, "/v1/images/detail").await;
    assert_eq!(detail.iter().map(|entry| entry["id"].as_str().unwrap()).collect::<Vec<_>>(), made);
    // the time of creation counts, not that of the last change
    service.put(&format!("/v1/images/{}", made[3])).by(OWNER).meta("name", "x").send().await.expect(200);
    assert_eq!(service.ids(OWNER, "").await, made);
}

#[tokio::test]
async fn v1_077_and_078_is_public_is_checked_for_everybody_and_used_for_administrators() {
    let Cast { service, public, own, shared, .. } = Cast::assemble().await;
    // V1-077
    for caller in [ADMIN, ROOT, OWNER, LONELY] {
        for value in ["imalittleteapot", "", "2", "yes"] {
            for path in ["/v1/images", "/v1/images/detail"] {
                let request = service.get(&format!("{path}?is_public={value}")).by(caller);
                let words = format!("Bad value passed to filter is_public got {value}");
                request.send().await.expect_text(400, &words);
            }
        }
    }
    // V1-078
    for value in ["False", "True", "None", "0", "1", "nOnE"] {
        service.assert_lists(OWNER, &format!("is_public={value}"), &[&public, &own, &shared]).await;
    }
}

#[tokio::test]
async fn v1_079_and_080_an_administrator_without_project_chooses_with_is_public() {
    let service = Service::start().await;
    let public = service.image_id(ROOT, None, &[("is_public", "True")]).await;
    let shared = service.image_id(ROOT, None, &[]).await;
    service.share(&shared, ROOT, "beta", None).await;
    let hidden = service.image_id(ROOT, None, &[]).await;
    // V1-079
    service.assert_lists(ROOT, "", &[&public]).await;
    // V1-080
    for value in ["None", "none"] {
        service.assert_lists(ROOT, &format!("is_public={value}"), &[&public, &shared, &hidden]).await;
    }
    for value in ["False", "0"] {
        service.assert_lists(ROOT, &format!("is_public={value}"), &[&shared, &hidden]).await;
    }
    for value in ["True", "1"] {
        service.assert_lists(ROOT, &format!("is_public={value}"), &[&public]).await;
    }
}

#[tokio::test]
async fn v1_081_an_administrator_sees_as_a_tenant_unless_asking_for_more() {
    let Cast { service, public, own, shared, foreign } = Cast::assemble().await;
    let mine = service.image_id(ADMIN, None, &[]).await;
    for query in ["", "is_public=true", "is_public=1"] {
        service.assert_lists(ADMIN, query, &[&public, &mine]).await;
    }
    service.share(&foreign, OTHER, "delta", None).await;
    service.assert_lists(ADMIN, "", &[&public, &mine, &foreign]).await;
    let all = [&public, &mine, &own, &shared, &foreign];
    service.assert_lists(ADMIN, "is_public=none", &all).await;
    service.assert_lists(ADMIN, "is_public=false", &all[1..]).await;
}

#[tokio::test]
async fn v1_082_a_tenant_sees_public_own_and_shared_images() {
    let Cast { service, public, own, shared, foreign } = Cast::assemble().await;
    service.assert_lists(OWNER, "", &[&public, &own, &shared]).await;
    service.assert_lists(OTHER, "", &[&public, &shared, &foreign]).await;
    service.assert_lists(THIRD, "", &[&public]).await;
    // whatever the other side said to the share
    for status in ["accepted", "rejected", "pending"] {
        service.sql(&format!("UPDATE image_members SET status = '{status}'")).await;
        service.assert_lists(OWNER, "", &[&public, &own, &shared]).await;
    }
    let member = format!("/v1/images/{shared}/members/alpha");
    service.delete(&member).by(OTHER).send().await.expect(204);
    service.assert_lists(OWNER, "", &[&public, &own]).await;
}

#[tokio::test]
async fn v1_083_a_caller_without_project_sees_public_images_only() {
    let Cast { service, public, .. } = Cast::assemble().await;
    for query in ["", "is_public=none", "is_public=false"] {
        service.assert_lists(LONELY, query, &[&public]).await;
    }
}

#[tokio::test]
async fn community_images_are_listed_to_their_owner_only() {
    let Cast { service, public, own, shared, foreign } = Cast::assemble().await;
    service.sql(&format!("UPDATE images SET visibility = 'community' WHERE id = '{foreign}'")).await;
    service.sql(&format!("UPDATE images SET visibility = 'private' WHERE id = '{own}'")).await;
    service.assert_lists(OTHER, "", &[&public, &shared, &foreign]).await;
    service.assert_lists(OWNER, "", &[&public, &own, &shared]).await;
    service.assert_lists(ADMIN, "is_public=none", &[&public, &own, &shared]).await;
    service.assert_lists(ADMIN, "is_public=false", &[&own, &shared]).await;
    let detail = entries(&service, OTHER, "/v1/images/detail").await;
    let flags: Vec<(&str, bool)> = detail
        .iter()
        .map(|entry| (entry["id"].as_str().unwrap(), entry["is_public"].as_bool().unwrap()))
        .collect();
    assert!(flags.contains(&(&foreign, false)) && flags.contains(&(&public, true)), "{flags:?}");
}

#[tokio::test]
async fn images_without_owner_are_in_no_tenants_list() {
    let service = Service::start().await;
    let id = service.image_id(ROOT, None, &[]).await;
    service.assert_lists(OWNER, "", &[]).await;
    service.assert_lists(LONELY, "", &[]).await;
    service.assert_lists(ADMIN, "is_public=none", &[&id]).await;
}

#[tokio::test]
async fn v1_089_deleted_images_do_not_come_back_by_asking() {
    let service = Service::start().await;
    let kept = service.image_id(OWNER, None, &[]).await;
    let gone = service.image_id(OWNER, None, &[]).await;
    service.delete(&format!("/v1/images/{gone}")).by(OWNER).send().await.expect(200);
    for value in ["true", "True", "1", "false", "nonsense"] {
        service.assert_lists(OWNER, &format!("deleted={value}"), &[&kept]).await;
        service.assert_lists(ADMIN, &format!("is_public=none&deleted={value}"), &[&kept]).await;
    }
    service.assert_lists(ADMIN, "is_public=none&status=deleted", &[]).await;
}

#[tokio::test]
async fn v1_090_killed_images_are_not_listed() {
    let service = Service::start().await;
    let id = new_id();
    let request = service.post("/v1/images").by(OWNER).meta("id", &id).meta("checksum", "0".repeat(32));
    request.meta("disk_format", "raw").meta("container_format", "bare").data("abc").send().await.expect(400);
    assert_eq!(service.status(&id).await, "killed");
    for query in ["", "status=killed", "status=in:killed,active"] {
        service.assert_lists(OWNER, query, &[]).await;
    }
    service.assert_lists(ADMIN, "is_public=none&status=killed", &[]).await;
    let before = (OffsetDateTime::now_utc() - Duration::minutes(5)).date();
    service.assert_lists(OWNER, &format!("changes-since={before}"), &[&id]).await;
    service.assert_lists(OWNER, &format!("changes-since={before}&status=killed"), &[&id]).await;
    service.assert_lists(THIRD, &format!("changes-since={before}"), &[]).await;
}

#[tokio::test]
async fn v1_098_unknown_parameters_are_ignored() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("name", "n")]).await;
    for query in [
        "nonsense=1",
        "owner=x",
        "checksum=y",
        "id=z",
        "visibility=private",
        "virtual_size=9",
        "deleted=maybe",
        "&&=&",
        "name=other&name=n",
    ] {
        service.assert_lists(OWNER, query, &[&id]).await;
    }
}

#[tokio::test]
async fn v1_099_a_policy_may_forbid_the_lists() {
    let policy = ScratchFile::new("policy.json", r#"{"get_images": "!"}"#);
    let service = Service::start_with(|config| config.policy.file = Some(policy.path.clone())).await;
    let id = service.image_id(OWNER, None, &[]).await;
    for path in ["/v1/images", "/v1/images/detail", "/v1/"] {
        for caller in [OWNER, ADMIN] {
            service.get(path).by(caller).send().await.expect(403);
        }
        // the policy speaks before the parameters are looked at
        service.get(&format!("{path}?limit=-1&is_public=x")).by(OWNER).send().await.expect(403);
    }
    service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
}
