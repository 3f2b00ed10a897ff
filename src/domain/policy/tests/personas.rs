//! The default rules, persona by persona (images-v2.md §23.1, images-v1.md §10.4, metadefs.md §9.2).

use super::*;

const PERSONAS: [(&str, &str, &[&str]); 8] = [
    ("admin", "root", &["admin", "member", "reader"]),
    ("bare admin", "root", &["admin"]),
    ("member", "one", &["member", "reader"]),
    ("reader", "one", &["reader"]),
    ("other", "two", &["member", "reader"]),
    ("other reader", "two", &["reader"]),
    ("roleless", "one", &[]),
    ("service", "serv", &["service", "member", "reader"]),
];

/// Who may do `action` to `target`, by default rules.
fn allowed(dialect: Dialect, action: &str, target: &Target<'_>) -> Vec<&'static str> {
    PERSONAS
        .iter()
        .filter(|(_, project, roles)| {
            Rules::defaults().allows(dialect, action, &caller(project, roles), target)
        })
        .map(|(name, ..)| *name)
        .collect()
}

const ADMINS: [&str; 2] = ["admin", "bare admin"];
const OWNERS: [&str; 3] = ["admin", "bare admin", "member"];
const READERS: [&str; 4] = ["admin", "bare admin", "member", "reader"];

#[test]
fn v2_writes_are_for_members_of_the_owner() {
    let image = image("one", Visibility::Shared);
    let target = Target::of_image(&image);
    for action in [
        "modify_image",
        "delete_image",
        "upload_image",
        "deactivate",
        "reactivate",
        "communitize_image",
        "set_image_location",
        "add_member",
        "delete_member",
    ] {
        // A28: readers change nothing
        assert_eq!(allowed(Dialect::V2, action, &target), OWNERS, "{action}");
    }
}

#[test]
fn v2_creation_is_for_the_own_project() {
    let create = |owner| Target::of_project(Some("one")).with("owner", Some(owner));
    assert_eq!(allowed(Dialect::V2, "add_image", &create("one")), OWNERS);
    assert_eq!(allowed(Dialect::V2, "add_image", &create("two")), ADMINS);
}

#[test]
fn v2_reads_follow_visibility() {
    let private = image("one", Visibility::Private);
    let target = Target::of_image(&private);
    assert_eq!(allowed(Dialect::V2, "get_image", &target), READERS);
    assert_eq!(allowed(Dialect::V2, "download_image", &target), OWNERS);
    for visibility in [Visibility::Public, Visibility::Community, Visibility::Shared] {
        let open = image("one", visibility);
        let target = Target::of_image(&open);
        let readers = ["admin", "bare admin", "member", "reader", "other", "other reader", "service"];
        assert_eq!(allowed(Dialect::V2, "get_image", &target), readers, "{visibility:?}");
        let members = ["admin", "bare admin", "member", "other", "service"];
        assert_eq!(allowed(Dialect::V2, "download_image", &target), members, "{visibility:?}");
        assert_eq!(allowed(Dialect::V2, "download_from_store", &target), members, "{visibility:?}");
    }
    assert_eq!(allowed(Dialect::V2, "get_images", &Target::of_project(Some("one"))), READERS);
}

#[test]
fn v2_members_of_a_private_image_count_where_they_are_named() {
    let private = image("one", Visibility::Private);
    let target = Target::of_image(&private).with_member(Some("two"));
    let with_member = ["admin", "bare admin", "member", "reader", "other", "other reader"];
    for action in ["get_image", "get_member", "get_members"] {
        assert_eq!(allowed(Dialect::V2, action, &target), with_member, "{action}");
    }
    assert_eq!(allowed(Dialect::V2, "modify_member", &target), ["admin", "bare admin", "other"]);
    assert_eq!(allowed(Dialect::V2, "get_members", &Target::of_image(&private)), READERS);
}

#[test]
fn v2_administration() {
    let image = image("one", Visibility::Public);
    let target = Target::of_image(&image);
    for action in [
        "publicize_image",
        "copy_image",
        "delete_image_location",
        "tasks_api_access",
        "manage_image_cache",
        "cache_list",
        "cache_image",
        "cache_delete",
        "cache_clean",
        "cache_prune",
        "list_cached_nodes",
        "add_metadef_namespace",
        "modify_metadef_object",
        "remove_metadef_property",
        "delete_metadef_tags",
        "remove_metadef_resource_type_association",
    ] {
        assert_eq!(allowed(Dialect::V2, action, &target), ADMINS, "{action}");
    }
    for action in ["stores_info_detail", "fetch_image_location"] {
        assert_eq!(allowed(Dialect::V2, action, &target), ["admin", "bare admin", "service"], "{action}");
    }
    let adders = ["admin", "bare admin", "member", "service"];
    assert_eq!(allowed(Dialect::V2, "add_image_location", &target), adders);
    assert_eq!(allowed(Dialect::V2, "get_image_location", &target), READERS);
    for action in ["get_task", "get_tasks", "add_task", "modify_task"] {
        assert_eq!(allowed(Dialect::V2, action, &target).len(), PERSONAS.len(), "{action}");
    }
}

#[test]
fn metadata_definitions_are_read_by_readers() {
    let public = Target::of_project(Some("one")).with("visibility", Some("public"));
    let private = Target::of_project(Some("one")).with("visibility", Some("private"));
    let everyone = ["admin", "bare admin", "member", "reader", "other", "other reader", "service"];
    for action in
        ["get_metadef_namespace", "get_metadef_objects", "get_metadef_tag", "list_metadef_resource_types"]
    {
        assert_eq!(allowed(Dialect::V2, action, &public), everyone, "{action}");
        assert_eq!(allowed(Dialect::V2, action, &private), READERS, "{action}");
    }
    assert_eq!(allowed(Dialect::V2, "get_metadef_namespaces", &public), READERS);
}

#[test]
fn v1_reads_are_open() {
    for action in ["get_images", "get_image", "download_image", "get_members"] {
        assert_eq!(allowed(Dialect::V1, action, &Target::none()).len(), PERSONAS.len(), "{action}");
    }
}

#[test]
fn v1_writes_are_closed_to_mere_readers() {
    // A28; callers without any role stay writers, as v1 always had it
    let writers = ["admin", "bare admin", "member", "other", "roleless", "service"];
    for action in [
        "add_image",
        "upload_image",
        "copy_from",
        "modify_image",
        "set_image_location",
        "delete_image",
        "modify_member",
        "delete_member",
    ] {
        assert_eq!(allowed(Dialect::V1, action, &Target::none()), writers, "{action}");
    }
    // V1-137, and everything v1 never asks about
    for action in ["publicize_image", "manage_image_cache", "deactivate", "add_member"] {
        assert_eq!(allowed(Dialect::V1, action, &Target::none()), ADMINS, "{action}");
    }
}

#[test]
fn tokens_of_system_or_domain_scope_are_refused() {
    let image = image("one", Visibility::Public);
    let target = Target::of_image(&image);
    let admin = Caller { roles: vec!["admin".to_owned(), "reader".to_owned()], ..Caller::default() };
    let system = Caller { system_scope: Some("all".to_owned()), ..admin.clone() };
    let domain = Caller { domain: Some("home".to_owned()), ..admin.clone() };
    for dialect in [Dialect::V1, Dialect::V2] {
        assert!(Rules::defaults().allows(dialect, "get_image", &admin, &target), "unscoped, {dialect:?}");
        assert!(!Rules::defaults().allows(dialect, "get_image", &system, &target), "system, {dialect:?}");
        assert!(!Rules::defaults().allows(dialect, "get_image", &domain, &target), "domain, {dialect:?}");
    }
}

#[test]
fn service_token_roles_count_for_the_location_api_only() {
    let image = image("one", Visibility::Shared);
    let target = Target::of_image(&image);
    let forwarded =
        Caller { service_roles: vec!["service".to_owned()], ..caller("two", &["member", "reader"]) };
    let may = |action| Rules::defaults().allows(Dialect::V2, action, &forwarded, &target);
    assert!(may("fetch_image_location") && may("add_image_location"));
    assert!(!may("stores_info_detail") && !may("modify_image"));
    let named = rules(&[("stores_info_detail", "service_roles:Service")]);
    assert!(named.allows(Dialect::V2, "stores_info_detail", &forwarded, &target));
}

#[test]
fn administrators_by_role_or_by_rule() {
    let custom = rules(&[("context_is_admin", "role:cloud_admin")]);
    for dialect in [Dialect::V1, Dialect::V2] {
        assert!(Rules::defaults().is_admin(dialect, &caller("one", &["admin"])));
        assert!(!Rules::defaults().is_admin(dialect, &caller("one", &["cloud_admin"])));
        assert!(custom.is_admin(dialect, &caller("one", &["cloud_admin"])));
        assert!(!custom.is_admin(dialect, &caller("one", &["member"])));
    }
    // a rule that is narrower than the role counts in v2, whose store layer relies on it
    assert!(custom.is_admin(Dialect::V1, &caller("one", &["admin"])));
    assert!(!custom.is_admin(Dialect::V2, &caller("one", &["admin"])));
    let image = image("two", Visibility::Private);
    let target = Target::of_image(&image);
    assert!(custom.allows(Dialect::V2, "delete_image", &caller("one", &["cloud_admin"]), &target));
}

#[test]
fn v2_anonymous_callers_read_what_is_public() {
    let may = |action, target: &Target<'_>| {
        Rules::defaults().allows(Dialect::V2, action, &Caller::anonymous(), target)
    };
    assert!(may("get_images", &Target::of_project(None)));
    for (visibility, readable) in [
        (Visibility::Public, true),
        (Visibility::Community, false),
        (Visibility::Shared, false),
        (Visibility::Private, false),
    ] {
        let image = image("one", visibility);
        let target = Target::of_image(&image);
        for action in ["get_image", "download_image"] {
            assert_eq!(may(action, &target), readable, "{action} {visibility:?}");
        }
        for action in ["modify_image", "upload_image", "delete_image", "get_members"] {
            assert!(!may(action, &target), "{action} {visibility:?}");
        }
    }
    assert!(!may("add_image", &Target::of_project(None).with("owner", None)));
}
