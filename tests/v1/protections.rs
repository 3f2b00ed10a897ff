//! Property protections (images-v1.md §10.5).

use serde_json::json;
use vitrine::config::Config;

use crate::support::api::{ADMIN, OWNER, Service};
use crate::support::file::ScratchFile;

/// Nobody has `x_owner_foo`; `secret` is an administrator's; `frozen` is written once; the rest is everybody's.
const RULES: &str = "
[^x_owner_foo$]
create = !
read = !
update = !
delete = !

[^secret]
create = admin
read = admin
update = admin
delete = admin

[^frozen]
create = @
read = @
update = !
delete = !

[.*]
create = @
read = @
update = @
delete = @
";

async fn protected() -> (Service, ScratchFile) {
    let file = ScratchFile::new("protections.conf", RULES);
    let name = |config: &mut Config| config.policy.property_protection_file = Some(file.path.clone());
    (Service::start_with(name).await, file)
}

#[tokio::test]
async fn v1_211_a_property_that_may_not_be_created() {
    let (service, _file) = protected().await;
    for (caller, name) in [(OWNER, "x_owner_foo"), (ADMIN, "x_owner_foo"), (OWNER, "secret")] {
        let request = service.post("/v1/images").by(caller).meta("property-fine", "1");
        let answer = request.meta(&format!("property-{name}"), "x").send().await;
        answer.expect_text(403, &format!("Property '{name}' is protected"));
    }
    assert_eq!(service.count_images().await, 0);
    let id = service.image_id(OWNER, None, &[("property-fine", "1")]).await;
    let before = service.record(&id).await;
    let request = service.put(&format!("/v1/images/{id}")).by(OWNER).meta("name", "new");
    let answer = request.meta("property-x_owner_foo", "x").send().await;
    answer.expect_text(403, "Property 'x_owner_foo' is protected");
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_212_an_unreadable_property_is_unseen_and_survives() {
    let (service, _file) = protected().await;
    let meta = [("owner", "alpha"), ("property-secret", "x"), ("property-a", "1")];
    let id = service.image_id(ADMIN, None, &meta).await;
    let path = format!("/v1/images/{id}");
    let answer = service.head(&path).by(OWNER).send().await.expect(200);
    assert_eq!((answer.meta("property-secret"), answer.meta("property-a")), (None, Some("1".to_owned())));
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    assert_eq!(detail["images"][0]["properties"], json!({"a": "1"}));
    // a purge, for nothing says otherwise
    let image = service.put(&path).by(OWNER).meta("property-b", "2").send().await.expect(200).image();
    assert_eq!(image["properties"], json!({"b": "2"}));
    assert_eq!(service.record(&id).await["properties"], json!({"b": "2", "secret": "x"}));
    let answer = service.head(&path).by(ADMIN).send().await.expect(200);
    assert_eq!(answer.meta("property-secret").as_deref(), Some("x"));
    // guessing its value tells nothing
    let request = service.put(&path).by(OWNER).header("x-glance-registry-purge-props", "false");
    request.meta("property-secret", "x").send().await.expect_text(403, "Property 'secret' is protected");
}

#[tokio::test]
async fn v1_213_a_frozen_property_may_be_repeated_and_not_changed() {
    let (service, _file) = protected().await;
    let id = service.image_id(OWNER, None, &[("property-frozen", "x")]).await;
    let path = format!("/v1/images/{id}");
    let image = service.put(&path).by(OWNER).meta("property-frozen", "x").send().await.expect(200).image();
    assert_eq!(image["properties"], json!({"frozen": "x"}));
    let before = service.record(&id).await;
    let answer = service.put(&path).by(OWNER).meta("property-frozen", "y").send().await;
    answer.expect_text(403, "Property 'frozen' is protected");
    assert_eq!(service.record(&id).await, before);
}

#[tokio::test]
async fn v1_214_a_purge_of_a_frozen_property_fails_as_a_whole() {
    let (service, _file) = protected().await;
    let id = service.image_id(OWNER, None, &[("property-frozen", "x"), ("property-a", "1")]).await;
    let path = format!("/v1/images/{id}");
    let before = service.record(&id).await;
    let answer = service.put(&path).by(OWNER).meta("property-b", "2").meta("name", "new").send().await;
    answer.expect_text(403, "Property 'frozen' is protected");
    assert_eq!(service.record(&id).await, before);
    let request = service.put(&path).by(OWNER).header("x-glance-registry-purge-props", "false");
    let image = request.meta("property-b", "2").send().await.expect(200).image();
    assert_eq!(image["properties"], json!({"a": "1", "b": "2", "frozen": "x"}));
}
