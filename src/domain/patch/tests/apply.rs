//! The apply phase (images-v2.md §9.2, §9.3, §24).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn attributes_are_set() {
    // V2-153, V2-162, V2-168, V2-171, V2-172, V2-174, V2-175
    let uuid = "1b2c3d4e-0000-4000-8000-00000000000f";
    for verb in ["add", "replace"] {
        let changed = after(
            &json!([
                v21(verb, "/name", "new"),
                v21(verb, "/visibility", "public"),
                v21(verb, "/protected", true),
                v21(verb, "/os_hidden", true),
                v21(verb, "/owner", json!(null)),
                v21(verb, "/disk_format", "iso"),
                v21(verb, "/container_format", "ovf"),
                v21(verb, "/min_disk", 2_147_483_647),
                v21(verb, "/min_ram", 3),
                v21(verb, "/tags", json!(["b", "c", "c", "b"])),
            ]),
            &admin(),
        );
        let expected = Image {
            name: Some("new".to_owned()),
            visibility: Visibility::Public,
            protected: true,
            os_hidden: true,
            owner: None,
            disk_format: Some("iso".to_owned()),
            container_format: Some("ovf".to_owned()),
            min_disk: i32::MAX,
            min_ram: 3,
            tags: vec!["b".to_owned(), "c".to_owned()],
            ..image()
        };
        assert_eq!(changed, expected);
    }
    assert_eq!(after(&json!([v21("replace", "/name", json!(null))]), &member()).name, None);
    assert_eq!(after(&json!([v21("replace", "/tags", json!([]))]), &member()).tags, Vec::<String>::new());
    let changed =
        after(&json!([v21("add", "/kernel_id", uuid), v21("replace", "/kernel_id", json!(null))]), &member());
    assert_eq!(changed.properties["kernel_id"], None, "declared properties may be null");
}

#[test]
fn properties_are_set_and_removed() {
    // V2-151, V2-161, V2-162, V2-164, V2-165, V2-178
    let changed = after(
        &json!([
            v21("replace", "/name", "z"),
            v21("add", "/foo", "1"),
            v21("replace", "/foo", "2"),
            remove("/bar"),
            v21("add", "/p", "3"),
            v21("add", "/a~1b", "1"),
            v21("add", "/a~0b", "2"),
            v21("add", "/a~01b", "3"),
            v21("add", "/gone", "x"),
            remove("/gone"),
        ]),
        &member(),
    );
    let shown = |name: &str| changed.properties.get(name).cloned().flatten();
    for (name, value) in [
        ("foo", Some("2")),
        ("bar", None),
        ("p", Some("3")),
        ("a/b", Some("1")),
        ("a~b", Some("2")),
        ("a~1b", Some("3")),
        ("gone", None),
    ] {
        assert_eq!(shown(name).as_deref(), value, "{name}");
    }
    assert!(!changed.properties.contains_key("bar") && !changed.properties.contains_key("gone"));
}

#[test]
fn refused_changes() {
    let owner = member();
    let cases = [
        // V2-164, V2-165
        (v21("replace", "/missing", "v"), Some(Conflict)),
        (remove("/missing"), Some(Conflict)),
        (v21("replace", "/P", "v"), Some(Conflict)),
        // V2-166
        (remove("/name"), Some(Forbidden)),
        (remove("/visibility"), Some(Forbidden)),
        (remove("/protected"), Some(Forbidden)),
        (remove("/os_hidden"), Some(Forbidden)),
        (remove("/owner"), Some(Forbidden)),
        (remove("/disk_format"), Some(Forbidden)),
        (remove("/container_format"), Some(Forbidden)),
        (remove("/min_disk"), Some(Forbidden)),
        (remove("/min_ram"), Some(Forbidden)),
        (remove("/tags"), Some(Forbidden)),
        // V2-168: add is no way around it, nor is the present value
        (v21("replace", "/owner", "other"), Some(Forbidden)),
        (v21("add", "/owner", "other"), Some(Forbidden)),
        (v21("replace", "/owner", "owner"), Some(Forbidden)),
        // V2-169
        (v21("replace", "/visibility", "public"), Some(Forbidden)),
        (v21("add", "/visibility", "public"), Some(Forbidden)),
        (v21("replace", "/visibility", "community"), None),
        (v21("replace", "/visibility", "private"), None),
        (v21("replace", "/visibility", "shared"), None),
        // V2-173
        (v21("replace", "/min_ram", -1), Some(Invalid)),
        (v21("replace", "/min_disk", -1), Some(Invalid)),
        (v21("replace", "/min_ram", 2_147_483_648_i64), Some(Invalid)),
        (v21("replace", "/min_disk", u64::MAX), Some(Invalid)),
        // §9.3, A44
        (v21("replace", "/name", "😀"), Some(Invalid)),
        (v21("replace", "/name", "a\0"), Some(Invalid)),
        (v21("replace", "/tags", json!(["😀"])), Some(Invalid)),
        (v21("replace", "/p", "😀"), Some(Invalid)),
        (v21("add", "/q", "\0"), Some(Invalid)),
        (v21("add", "/😀", "v"), Some(Invalid)),
        (v21("add", "/q", "v".repeat(65_536)), Some(Invalid)),
        (v21("add", "/q", "v".repeat(65_535)), None),
    ];
    for (operation, expected) in cases {
        assert_eq!(outcome(&operation, &owner), expected, "{operation}");
    }
    assert_eq!(outcome(&v21("replace", "/owner", "😀"), &admin()), Some(Invalid));
    assert_eq!(outcome(&v21("replace", "/owner", "other"), &admin()), None);
}

#[test]
fn add_of_v20_never_overwrites() {
    // V2-163
    for (path, expected) in [
        ("/p", Some(Conflict)),
        ("/name", Some(Conflict)),
        ("/owner", Some(Conflict)),
        ("/tags", Some(Conflict)),
        ("/new", None),
    ] {
        let value = if path == "/tags" { json!([]) } else { json!("2") };
        let document = json!([{ "add": path, "value": value }]);
        assert_eq!(kind(run(MediaType::V20, &document, &mut image(), &member())), expected, "{path}");
    }
    let twice = json!([{ "add": "/new", "value": "1" }, { "add": "/new", "value": "2" }]);
    assert_eq!(kind(run(MediaType::V20, &twice, &mut image(), &member())), Some(Conflict));
}

#[test]
fn formats_change_only_before_there_is_data() {
    // V2-171, V2-172, V2-184's ground
    let states = [
        (Status::Queued, true),
        (Status::Importing, true),
        (Status::Saving, false),
        (Status::Uploading, false),
        (Status::Active, false),
        (Status::Deactivated, false),
    ];
    for (status, allowed) in states {
        for (path, format) in [("/disk_format", "raw"), ("/container_format", "bare")] {
            let mut image = Image { status, ..image() };
            let document = json!([v21("replace", path, format)]);
            let expected = (!allowed).then_some(Forbidden);
            assert_eq!(
                kind(run(MediaType::V21, &document, &mut image, &admin())),
                expected,
                "{status:?} {path}"
            );
        }
    }
}

#[test]
fn publicity_is_asked_for_only_where_it_is_wanted() {
    // V2-169, §9.3
    let asked = AtomicUsize::new(0);
    let count = |_: Visibility| {
        asked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let permits = Permits { visibility: &count, ..member() };
    for (visibility, times) in [("private", 0), ("shared", 0), ("community", 1), ("public", 2)] {
        after(&json!([v21("replace", "/visibility", visibility)]), &permits);
        assert_eq!(asked.load(Ordering::Relaxed), times, "{visibility}");
    }
}

#[test]
fn tags_are_counted_once_each() {
    // V2-175
    let permits = |tag_quota| Permits { tag_quota, ..member() };
    let tags = |n: usize| json!((0..n).map(|k| format!("t{k}")).collect::<Vec<_>>());
    assert_eq!(outcome(&v21("replace", "/tags", tags(128)), &permits(128)), None);
    assert_eq!(outcome(&v21("replace", "/tags", tags(129)), &permits(128)), Some(LimitExceeded));
    assert_eq!(outcome(&v21("add", "/tags", tags(129)), &permits(128)), Some(LimitExceeded));
    assert_eq!(outcome(&v21("replace", "/tags", tags(129)), &permits(-1)), None);
    assert_eq!(outcome(&v21("replace", "/tags", tags(1)), &permits(0)), Some(LimitExceeded));
    assert_eq!(outcome(&v21("replace", "/tags", tags(0)), &permits(0)), None);
    assert_eq!(outcome(&v21("replace", "/tags", json!(["x", "x", "x"])), &permits(1)), None);
}

#[test]
fn only_new_properties_count_against_the_quota() {
    // V2-177; the image has four properties, and one of the service's that does not count
    let permits = |property_quota| Permits { property_quota, ..member() };
    let run =
        |operations: &Value, quota| kind(run(MediaType::V21, operations, &mut image(), &permits(quota)));
    let more = v21("add", "/more", "v");
    assert_eq!(run(&json!([more]), 4), Some(LimitExceeded));
    assert_eq!(run(&json!([more]), 5), None);
    assert_eq!(run(&json!([more]), -1), None);
    assert_eq!(run(&json!([v21("add", "/p", "w"), v21("replace", "/p", "x"), remove("/bar")]), 0), None);
    assert_eq!(run(&json!([remove("/bar"), more]), 4), None, "what was removed makes room");
    assert_eq!(run(&json!([more, remove("/more")]), 4), Some(LimitExceeded), "every add is counted");
}

#[test]
fn protections() {
    // V2-336, V2-337, §24, A27
    let guarded = Permits { property: &protected, ..member() };
    let cases = [
        (v21("add", "/free", "f"), None),
        (v21("add", "/pp_admin_x", "v"), Some(Forbidden)),
        (v21("add", "/pp_ro_y", "v"), None),
        (v21("add", "/pp_ro_x", "w"), Some(Forbidden)),
        (v21("replace", "/pp_ro_x", "w"), Some(Forbidden)),
        (remove("/pp_ro_x"), Some(Forbidden)),
        // unreadable looks absent, even where updating is allowed
        (v21("replace", "/pp_blind_x", "w"), Some(Conflict)),
        (remove("/pp_blind_x"), Some(Conflict)),
        (v21("add", "/pp_blind_x", "w"), None),
        // absent is absent before it is protected
        (v21("replace", "/pp_admin_x", "w"), Some(Conflict)),
        (remove("/pp_admin_x"), Some(Conflict)),
        // base attributes are no properties
        (v21("replace", "/name", "n"), None),
    ];
    for (operation, expected) in cases {
        assert_eq!(outcome(&operation, &guarded), expected, "{operation}");
    }
    // the right to create decides on an unreadable one
    let blind = |operation, _: &str| {
        operation != protection::Operation::Read && operation != protection::Operation::Create
    };
    let blind = Permits { property: &blind, ..member() };
    assert_eq!(outcome(&v21("add", "/p", "w"), &blind), Some(Forbidden));
    // V2-353: a PATCH of something else leaves unreadable properties alone
    let changed = after(&json!([v21("replace", "/name", "n"), v21("add", "/free", "f")]), &guarded);
    assert_eq!(changed.properties["pp_blind_x"].as_deref(), Some("v"));
    // protection is judged before quota (as on create, §6 rows 9 and 10)
    let both = Permits { property: &protected, property_quota: 0, ..member() };
    assert_eq!(outcome(&v21("add", "/pp_admin_x", "v"), &both), Some(Forbidden));
}

#[test]
fn hidden_properties_cannot_be_told_from_absent_ones() {
    let guarded = Permits { property: &protected, ..member() };
    for operation in ["/pp_blind_x", "/pp_blind_y"].map(|path| v21("replace", path, "w")) {
        let error = run(MediaType::V21, &json!([operation]), &mut image(), &guarded).unwrap_err();
        assert!(error.message().ends_with(" does not exist."), "{error}");
    }
    let document = json!([{ "add": "/pp_blind_x", "value": "w" }]);
    assert_eq!(kind(run(MediaType::V20, &document, &mut image(), &guarded)), None);
}

/// Values that some attribute takes, which arbitrary ones seldom are.
fn fitting() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{0,8}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec("[a-c]", 0..200).prop_map(Value::from),
        prop::sample::select(vec!["public", "private", "raw", "a\0", "😀"]).prop_map(Value::from),
        Just(Value::Null),
    ]
}

proptest! {
    #[test]
    fn whatever_is_parsed_can_be_applied(
        operations in prop::collection::vec(
            (
                prop::sample::select(vec!["add", "replace", "remove"]),
                prop::sample::select(vec![
                    "/name", "/tags", "/p", "/x", "/owner", "/min_ram", "/visibility", "/locations/-", "/kernel_id",
                    "/protected", "/disk_format", "/pp_blind_x",
                ]),
                prop_oneof![samples::json(), fitting()],
            ),
            0..8,
        ),
    ) {
        for (verb, path, value) in operations {
            let Ok(patch) = parse(MediaType::V21, &json!([v21(verb, path, value)])) else { continue };
            let mut changed = image();
            let before = changed.clone();
            if patch.operations[0].apply(&mut changed, &member()).is_err() {
                prop_assert_eq!(&changed, &before);
            }
            prop_assert!(changed.properties.contains_key("os_glance_x"));
            prop_assert_eq!(changed.status, before.status);
            prop_assert_eq!(changed.owner, before.owner);
        }
    }
}
