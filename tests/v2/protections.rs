//! Property protections through v2 (images-v2.md §24).

use serde_json::{Value, json};
use vitrine::config::{Config, RuleFormat};

use crate::support::api::{ADMIN, OTHER, OWNER, Service};
use crate::support::file::ScratchFile;
use crate::support::v2::{add, id_of, remove, replace};

/// `admin_*` is an administrator's; `ro_*` is written once and read by all; `blind_*` is written by those who may not
/// read it; the rest is everybody's.
const RULES: &str = "
[^admin_]
create = admin
read = admin
update = admin
delete = admin

[^ro_]
create = admin,member
read = admin,member,reader
update = admin
delete = admin

[^blind_]
create = admin,member
read = admin
update = admin,member
delete = admin

[.*]
create = @
read = @
update = @
delete = @
";

async fn protected(rules: &str) -> (Service, ScratchFile) {
    let file = ScratchFile::new("protections.conf", rules);
    let name = |config: &mut Config| config.policy.property_protection_file = Some(file.path.clone());
    (Service::start_with(name).await, file)
}

/// Asserts that patches are refused with this status and change nothing.
async fn assert_refused(service: &Service, id: &str, status: u16, patches: &[Value]) {
    let before = service.record(id).await;
    for patch in patches {
        // with something that is allowed, which must not happen either
        let answer = service.change(OWNER, id, &[replace("/name", "new"), patch.clone()]).await;
        assert_eq!(answer.status, status, "{patch}: {}", answer.text());
    }
    assert_eq!(service.record(id).await, before);
}

#[tokio::test]
async fn v2_336_creation_is_denied_and_unreadable_properties_are_unseen() {
    let (service, _file) = protected(RULES).await;
    let denied = json!({ "admin_x": "v", "free": "f" });
    service.try_create(OWNER, &denied).await.expect_text(403, "admin_x");
    assert_eq!(service.count_images().await, 0);
    let id = service.create_id(OWNER, json!({ "ro_x": "v", "free": "f" })).await;
    service.change(ADMIN, &id, &[add("/blind_x", "v"), add("/admin_x", "v")]).await.expect(200);

    let own = service.show(OWNER, &id).await;
    assert_eq!((&own["ro_x"], &own["free"]), (&json!("v"), &json!("f")));
    assert_eq!((own.get("blind_x"), own.get("admin_x")), (None, None));
    assert_eq!(service.list(OWNER, "").await["images"], json!([own]));
    let full = service.show(ADMIN, &id).await;
    assert_eq!((&full["blind_x"], &full["admin_x"]), (&json!("v"), &json!("v")));
    assert_eq!(service.list(ADMIN, "").await["images"], json!([full]));
    // a reader reads what readers may
    assert_eq!(service.show("rita:alpha:reader", &id).await, own);

    let patches = [
        replace("/ro_x", "w"),
        remove("/ro_x"),
        add("/ro_x", "w"),
        add("/admin_y", "w"),
        add("/admin_x", "w"),
    ];
    assert_refused(&service, &id, 403, &patches).await;
    service.change(ADMIN, &id, &[replace("/ro_x", "w")]).await.expect(200);
    assert_eq!(service.show(OWNER, &id).await["ro_x"], json!("w"));
    service.change(ADMIN, &id, &[remove("/ro_x")]).await.expect(200);
    assert_eq!(service.show(OWNER, &id).await.get("ro_x"), None);
    service.change(OWNER, &id, &[add("/ro_x", "again")]).await.expect(200);
}

#[tokio::test]
async fn v2_337_an_unreadable_property_is_as_if_it_were_not() {
    let (service, _file) = protected(RULES).await;
    let id = service.create_id(OWNER, json!({ "free": "f" })).await;
    service.change(ADMIN, &id, &[add("/blind_x", "v"), add("/admin_x", "v")]).await.expect(200);
    for name in ["blind_x", "admin_x", "blind_missing"] {
        let path = format!("/{name}");
        assert_refused(&service, &id, 409, &[replace(&path, "w"), remove(&path)]).await;
    }
    let full = service.show(ADMIN, &id).await;
    assert_eq!((&full["blind_x"], &full["admin_x"]), (&json!("v"), &json!("v")));
}

#[tokio::test]
async fn v2_352_what_its_creator_may_not_read_is_stored() {
    let (service, _file) = protected(RULES).await;
    let made = service.create(OWNER, json!({ "blind_x": "v", "free": "f" })).await;
    assert_eq!((made.get("blind_x"), &made["free"]), (None, &json!("f")));
    let id = id_of(&made);
    assert_eq!(service.show(OWNER, &id).await, made);
    assert_eq!(service.show(ADMIN, &id).await["blind_x"], json!("v"));
    // the same with a patch
    let patched = service.change(OWNER, &id, &[add("/blind_y", "w")]).await.expect(200).json();
    assert_eq!(patched.get("blind_y"), None);
    assert_eq!(service.show(ADMIN, &id).await["blind_y"], json!("w"));
}

#[tokio::test]
async fn v2_353_a_patch_leaves_alone_what_its_author_may_not_read() {
    let (service, _file) = protected(RULES).await;
    let id = service.create_id(OWNER, json!({ "ro_x": "r" })).await;
    service.change(ADMIN, &id, &[add("/blind_x", "v"), add("/admin_x", "a")]).await.expect(200);
    let patch = [replace("/name", "n"), add("/free", "f")];
    let patched = service.change(OWNER, &id, &patch).await.expect(200).json();
    assert_eq!((&patched["name"], &patched["free"]), (&json!("n"), &json!("f")));
    assert_eq!((patched.get("blind_x"), patched.get("admin_x")), (None, None));
    service.change(OWNER, &id, &[]).await.expect(200);
    service.change(OWNER, &id, &[remove("/free")]).await.expect(200);
    let full = service.show(ADMIN, &id).await;
    for (name, value) in [("blind_x", "v"), ("admin_x", "a"), ("ro_x", "r"), ("name", "n")] {
        assert_eq!(full[name], json!(value), "{name}");
    }
    assert_eq!(full.get("free"), None);
}

#[tokio::test]
async fn the_first_section_decides_and_without_one_all_is_denied() {
    let rules = "
[^open_shut$]
create = !
read = !
update = !
delete = !

[open]
create = @
read = @
update = @
delete =
";
    let (service, _file) = protected(rules).await;
    for caller in [OWNER, ADMIN] {
        // sections are searched in the name
        let made = service.create(caller, json!({ "my_open_door": "v" })).await;
        assert_eq!(made["my_open_door"], json!("v"));
        let id = id_of(&made);
        service.change(caller, &id, &[replace("/my_open_door", "w")]).await.expect(200);
        // nobody is named
        service.change(caller, &id, &[remove("/my_open_door")]).await.expect(403);
        for name in ["open_shut", "other"] {
            service.try_create(caller, &json!({ name: "v" })).await.expect(403);
        }
    }
}

#[tokio::test]
async fn base_attributes_are_no_properties() {
    let (service, _file) = protected("[.*]\ncreate = !\nread = !\nupdate = !\ndelete = !\n").await;
    let made = service.create(OWNER, json!({ "name": "n", "tags": ["t"], "min_ram": 1 })).await;
    assert_eq!((&made["name"], &made["tags"], &made["min_ram"]), (&json!("n"), &json!(["t"]), &json!(1)));
    let id = id_of(&made);
    let patched = service.change(OWNER, &id, &[replace("/name", "m"), replace("/min_disk", 2)]).await;
    let patched = patched.expect(200).json();
    assert_eq!((&patched["name"], &patched["min_disk"]), (&json!("m"), &json!(2)));
    service.try_create(ADMIN, &json!({ "p": "v" })).await.expect(403);
}

#[tokio::test]
async fn sections_may_name_rules_of_the_policy() {
    let rules = "[^x_]\ncreate = staff\nread = staff\nupdate = staff\ndelete = staff\n\n\
                 [.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n";
    let file = ScratchFile::new("protections.conf", rules);
    let policy = ScratchFile::new("policy.json", &json!({ "staff": "role:staff" }).to_string());
    let service = Service::start_with(|config| {
        config.policy.file = Some(policy.path.clone());
        config.policy.property_protection_file = Some(file.path.clone());
        config.policy.property_protection_rule_format = RuleFormat::Policies;
    })
    .await;
    let staff = "olga:alpha:member,staff";
    let id = service.create_id(staff, json!({ "x_y": "v", "free": "f" })).await;
    assert_eq!(service.show(staff, &id).await["x_y"], json!("v"));
    let shown = service.show(OWNER, &id).await;
    assert_eq!((shown.get("x_y"), &shown["free"]), (None, &json!("f")));
    for caller in [OWNER, OTHER, ADMIN] {
        service.try_create(caller, &json!({ "x_y": "v" })).await.expect(403);
    }
}
