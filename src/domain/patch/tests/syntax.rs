//! The syntax phase (images-v2.md §9.1).

use super::*;

#[test]
fn media_types() {
    // V2-141
    let cases = [
        (V20, Some(MediaType::V20)),
        (V21, Some(MediaType::V21)),
        ("Application/OpenStack-Images-V2.1-JSON-Patch ; charset=utf-8", Some(MediaType::V21)),
        ("application/json", None),
        ("application/json-patch+json", None),
        ("application/openstack-images-v2.2-json-patch", None),
        ("application/openstack-images-v2.1-json-patch-x", None),
        ("text/plain; application/openstack-images-v2.1-json-patch", None),
        ("", None),
        (";", None),
    ];
    for (content_type, expected) in cases {
        assert_eq!(MediaType::from_content_type(content_type), expected, "{content_type:?}");
    }
    assert_eq!(ACCEPT_PATCH, format!("{V20}, {V21}"));
}

#[test]
fn syntax_of_v21() {
    let value = json!("v");
    let cases = [
        // V2-142
        (json!({}), Invalid),
        (json!({ "op": "replace" }), Invalid),
        (json!(5), Invalid),
        (json!("x"), Invalid),
        (json!(null), Invalid),
        (json!(["x"]), Invalid),
        (json!([[]]), Invalid),
        // V2-144
        (json!([{ "op": "test", "path": "/name", "value": value }]), Invalid),
        (json!([{ "op": "move", "path": "/name", "from": "/x", "value": value }]), Invalid),
        (json!([{ "op": "copy", "path": "/name", "from": "/x" }]), Invalid),
        (json!([{ "op": "", "path": "/name", "value": value }]), Invalid),
        (json!([{ "op": "Replace", "path": "/name", "value": value }]), Invalid),
        (json!([{ "op": 5, "path": "/name", "value": value }]), Invalid),
        // V2-145
        (json!([{ "path": "/name", "value": value }]), Invalid),
        (json!([{ "op": "replace", "value": value }]), Invalid),
        (json!([{ "op": "replace", "path": 5, "value": value }]), Invalid),
        (json!([{ "op": "replace", "path": "/name" }]), Invalid),
        (json!([{ "op": "add", "path": "/new" }]), Invalid),
        (json!([{ "add": "/new", "value": value }]), Invalid),
        // V2-147 to V2-150
        (json!([v21("replace", "name", "v")]), Invalid),
        (json!([v21("replace", "", "v")]), Invalid),
        (json!([v21("add", "/", "v")]), Invalid),
        (json!([v21("replace", "/name/", "v")]), Invalid),
        (json!([v21("add", "/a//b", "v")]), Invalid),
        (json!([v21("add", "/a~2", "v")]), Invalid),
        (json!([v21("add", "/a~", "v")]), Invalid),
        // V2-152, V2-176
        (json!([v21("replace", "/name/x", "v")]), Invalid),
        (json!([v21("add", "/prop/x", "v")]), Invalid),
        (json!([v21("add", "/tags/-", "v")]), Invalid),
        (json!([v21("add", "/tags/x", "v")]), Invalid),
        // row 5, locations
        (json!([v21("add", "/locations", json!([]))]), Invalid),
        (json!([remove("/locations")]), Invalid),
        (json!([v21("replace", "/locations/0", json!({ "url": "u", "metadata": {} }))]), Invalid),
        (json!([v21("add", "/locations/x", json!({ "url": "u", "metadata": {} }))]), Invalid),
        (json!([remove("/locations/0/url")]), Invalid),
        // row 5 and row 6 go before row 7
        (json!([v21("replace", "/id/x", "v")]), Invalid),
        (json!([{ "op": "replace", "path": "/id" }]), Invalid),
        // V2-167, V2-170, V2-086: row 9
        (json!([v21("replace", "/p", 5)]), Invalid),
        (json!([v21("add", "/q", json!(null))]), Invalid),
        (json!([v21("add", "/q", json!({}))]), Invalid),
        (json!([v21("replace", "/visibility", "x")]), Invalid),
        (json!([v21("replace", "/name", "n".repeat(256))]), Invalid),
        (json!([v21("replace", "/protected", "true")]), Invalid),
        (json!([v21("replace", "/os_hidden", 1)]), Invalid),
        (json!([v21("replace", "/min_ram", "1")]), Invalid),
        (json!([v21("replace", "/disk_format", "x")]), Invalid),
        (json!([v21("replace", "/tags", "x")]), Invalid),
        (json!([v21("replace", "/tags", json!(["t".repeat(256)]))]), Invalid),
        (json!([v21("replace", "/kernel_id", "x")]), Invalid),
        // V2-193 is the flow's, V2-195 the schema's; §2.4 for what is stored of locations
        (json!([v21("add", "/locations/-", json!({ "url": "u", "metadata": "x" }))]), Invalid),
        (
            json!([v21(
                "add",
                "/locations/-",
                json!({ "url": "u", "metadata": {}, "validation_data": { "os_hash_algo": "sha512" } })
            )]),
            Invalid,
        ),
        (json!([v21("add", "/locations/-", json!({ "url": "😀", "metadata": {} }))]), Invalid),
        (
            json!([v21("replace", "/locations", json!([{ "url": "u", "metadata": { "a": ["\0"] } }]))]),
            Invalid,
        ),
        (json!([v21("replace", "/locations", json!([{ "url": "u", "metadata": { "\0": "a" } }]))]), Invalid),
        // V2-080 by PATCH
        (json!([v21("add", &format!("/{}", "k".repeat(256)), "v")]), Invalid),
    ];
    for (document, expected) in cases {
        let error = parse(MediaType::V21, &document).unwrap_err();
        assert_eq!(error.kind(), expected, "{document}: {error}");
        assert!(!error.message().is_empty(), "{document}");
    }
}

#[test]
fn read_only_and_reserved_names() {
    // V2-154 to V2-160, A22, A27: whatever the verb, and whether or not the value would fit
    let roots = [
        "id",
        "status",
        "checksum",
        "size",
        "virtual_size",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "self",
        "file",
        "schema",
        "direct_url",
        "stores",
        "os_glance_x",
        "os_glance_import_task",
        "os_glance",
        "location",
        "deleted",
        "deleted_at",
    ];
    for root in roots {
        for operation in [
            v21("replace", &format!("/{root}"), "x"),
            v21("add", &format!("/ {root}"), 5),
            remove(&format!("/{root}")),
        ] {
            let error = parse(MediaType::V21, &json!([operation])).unwrap_err();
            assert_eq!(error.kind(), Forbidden, "{operation}");
        }
        for operation in
            [json!({ "add": format!("/{root}"), "value": "x" }), json!({ "remove": format!("/{root}") })]
        {
            let error = parse(MediaType::V20, &json!([operation])).unwrap_err();
            assert_eq!(error.kind(), Forbidden, "{operation}");
        }
    }
    for root in ["Status", "os_glanc", "x_os_glance", "location_x", "links"] {
        assert!(parse(MediaType::V21, &json!([v21("add", &format!("/{root}"), "x")])).is_ok(), "{root}");
    }
}

#[test]
fn the_first_wrong_operation_decides() {
    let (bad, forbidden) = (v21("add", "/a//b", "v"), remove("/id"));
    for (list, expected) in [([&bad, &forbidden], Invalid), ([&forbidden, &bad], Forbidden)] {
        assert_eq!(parse(MediaType::V21, &json!(list)).unwrap_err().kind(), expected);
    }
    let late = json!([v21("replace", "/name", "x"), remove("/missing"), bad]);
    assert_eq!(parse(MediaType::V21, &late).unwrap_err().kind(), Invalid, "syntax goes before state");
}

#[test]
fn syntax_of_v20() {
    // V2-146
    for bad in [
        json!({ "replace": "/name", "add": "/x", "value": "v" }),
        json!({ "value": "v" }),
        json!({ "op": "replace", "path": "/name" }),
        json!({ "op": "replace", "path": "/name", "value": "v" }),
        json!({ "replace": "/name" }),
        json!({ "add": 5, "value": "v" }),
        json!({ "add": "x", "value": "v" }),
        json!({}),
    ] {
        assert_eq!(parse(MediaType::V20, &json!([bad])).unwrap_err().kind(), Invalid, "{bad}");
    }
    let mut changed = image();
    let document = json!([{ "replace": "/name", "value": "v20" }, { "add": "/x", "value": "v", "op": "test" }, { "remove": "/x" }]);
    run(MediaType::V20, &document, &mut changed, &member()).unwrap();
    assert_eq!(changed, Image { name: Some("v20".to_owned()), ..image() });
}

#[test]
fn patches_are_bounded() {
    // V2-143, A44
    assert!(parse(MediaType::V21, &json!([])).unwrap().is_empty());
    let many = |n: usize| Value::Array(vec![v21("replace", "/name", "x"); n]);
    let patch = parse(MediaType::V21, &many(MAX_OPERATIONS)).unwrap();
    assert!(!patch.is_empty());
    assert_eq!(parse(MediaType::V21, &many(MAX_OPERATIONS + 1)).unwrap_err().kind(), TooLarge);
}

#[test]
fn locations_are_parsed_and_left_to_the_flow() {
    // V2-181, V2-183, V2-187, V2-191
    let location = json!({ "url": "s3://a", "metadata": { "k": ["v", { "n": "é" }] } });
    let document = json!([
        v21("add", "/locations/-", location.clone()),
        v21("add", "/locations/3", location.clone()),
        v21("replace", "/locations", json!([])),
        remove("/locations/9"),
        remove("/locations/99999999999999999999999"),
    ]);
    let expected = [
        (Path::Location(Position::End), Change::Add(location.clone())),
        (Path::Location(Position::Index(3)), Change::Add(location)),
        (Path::Locations, Change::Replace(json!([]))),
        (Path::Location(Position::Index(9)), Change::Remove),
        (Path::Location(Position::Index(usize::MAX)), Change::Remove),
    ];
    let patch = parse(MediaType::V21, &document).unwrap();
    for (operation, (path, change)) in patch.operations.iter().zip(&expected) {
        assert_eq!((operation.path(), operation.change(), operation.media()), (path, change, MediaType::V21));
        assert_eq!(operation.value().is_none(), *change == Change::Remove);
        let mut untouched = image();
        let error = operation.apply(&mut untouched, &admin()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    assert_eq!(patch.operations.len(), expected.len());
    assert_eq!(
        parse(MediaType::V20, &json!([{ "remove": "/locations/-" }])).unwrap().operations[0].path(),
        &Path::Location(Position::End)
    );
}

proptest! {
    #[test]
    fn no_document_breaks_it(document in samples::json(), old in any::<bool>()) {
        let media = if old { MediaType::V20 } else { MediaType::V21 };
        let _ = parse(media, &document);
    }
}
