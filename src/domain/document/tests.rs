#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::samples;
use crate::error::ErrorKind;

const UUID: &str = "1B2c3d4e-0000-4000-8000-00000000000f";

fn read(document: &Value) -> Result<Document> {
    parse(document, samples::shipped())
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    json!({ name: value.into() })
}

#[test]
fn nothing_is_enough() {
    // V2-054
    let document = read(&json!({})).unwrap();
    assert_eq!(document.attributes, Attributes::default());
    assert!(document.refused.is_none());
}

#[test]
fn everything_a_client_may_set_is_read() {
    // V2-062, V2-067, V2-069, V2-078, V2-086, V2-087
    let document = json!({
        "id": UUID, "name": "n", "visibility": "community", "protected": true, "os_hidden": true, "owner": "o",
        "disk_format": "qcow2", "container_format": "bare", "min_disk": 2_147_483_647, "min_ram": 0,
        "tags": ["b", "a", "b", "A", ""], "hw_thing": "x", "Hw_thing": "y", "empty": "", "kernel_id": null,
        "ramdisk_id": UUID,
    });
    let read = self::read(&document).unwrap();
    assert!(read.refused.is_none());
    let text = |text: &str| Some(text.to_owned());
    let expected = Attributes {
        id: text(UUID),
        name: Some(text("n")),
        visibility: Some(Visibility::Community),
        protected: Some(true),
        os_hidden: Some(true),
        owner: Some(text("o")),
        disk_format: Some(text("qcow2")),
        container_format: Some(text("bare")),
        min_disk: Some(2_147_483_647),
        min_ram: Some(0),
        tags: Some(["b", "a", "A", ""].map(str::to_owned).to_vec()),
        properties: [
            ("hw_thing", text("x")),
            ("Hw_thing", text("y")),
            ("empty", text("")),
            ("kernel_id", None),
            ("ramdisk_id", text(UUID)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        ..Attributes::default()
    };
    assert_eq!(read.attributes, expected);
    let nulls = json!({ "name": null, "owner": null, "disk_format": null, "container_format": null });
    let expected = Attributes {
        name: Some(None),
        owner: Some(None),
        disk_format: Some(None),
        container_format: Some(None),
        ..Attributes::default()
    };
    assert_eq!(self::read(&nulls).unwrap().attributes, expected);
    assert_eq!(self::read(&json!({ "owner": "" })).unwrap().attributes.owner, Some(text("")));
}

/// Row 13 is judged after the rows about who may do this: V2-075, V2-076.
#[test]
fn ranges_are_left_to_the_flow() {
    for (name, value) in [
        ("min_ram", json!(-1)),
        ("min_disk", json!(-1)),
        ("min_ram", json!(2_147_483_648_u64)),
        ("min_disk", json!(u64::MAX)),
        ("min_disk", json!(i64::MIN)),
    ] {
        let document = read(&json!({ name: value })).unwrap();
        assert_eq!(document.attributes.check_ranges().unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
}

#[test]
fn refused_documents() {
    let long = |n: usize| "k".repeat(n);
    let (invalid, forbidden) = (ErrorKind::Invalid, ErrorKind::Forbidden);
    let cases = [
        // row 1, and the array of row 3
        (json!(5), invalid),
        (json!("x"), invalid),
        (json!(null), invalid),
        (json!([]), invalid),
        (json!([{ "self": "x" }]), invalid),
        // V2-082, row 2 goes before row 3
        (with("self", "x"), forbidden),
        (with("file", "x"), forbidden),
        (with("schema", "x"), forbidden),
        (with("direct_url", "x"), forbidden),
        (with("stores", 5), forbidden),
        (json!({ "stores": "x", "name": 5 }), forbidden),
        // row 3: V2-065, V2-066, V2-068, V2-070, V2-077, V2-079, V2-086, V2-088
        (with("id", "abc"), invalid),
        (with("name", long(256)), invalid),
        (with("disk_format", "foo"), invalid),
        (with("visibility", "secret"), invalid),
        (with("protected", "true"), invalid),
        (with("tags", json!([1])), invalid),
        (with("tags", json!([long(256)])), invalid),
        (with("some_property", json!(null)), invalid),
        (with("some_property", 5), invalid),
        (with("kernel_id", "x"), invalid),
        (with("size", "5"), invalid),
        (with("locations", "x"), invalid),
        (with("os_hash_algo", 5), invalid),
        // row 3 goes before row 5
        (with("location", 5), invalid),
        // row 4: V2-080, before row 5
        (json!({ long(256): "v" }), invalid),
        (json!({ "deleted": "x", long(256): "v" }), invalid),
        (json!({ format!("os_glance_{}", long(250)): "v" }), invalid),
        // row 5: V2-084, V2-085, A27
        (with("location", "x"), forbidden),
        (with("deleted", "x"), forbidden),
        (with("deleted_at", "x"), forbidden),
        (with("os_glance_foo", "x"), forbidden),
        (with("os_glance", "x"), forbidden),
        // row 15: V2-091, A44
        (with("name", "😀"), invalid),
        (with("owner", "😀"), invalid),
        (with("tags", json!(["😀"])), invalid),
        (with("p", "😀"), invalid),
        (with("😀", "v"), invalid),
        (with("name", "a\0"), invalid),
        (with("owner", "a\0"), invalid),
        (with("tags", json!(["a\0"])), invalid),
        (with("p", "a\0"), invalid),
        (with("p\0", "v"), invalid),
        // §4.3
        (with("p", long(65_536)), invalid),
    ];
    for (document, expected) in cases {
        let error = read(&document).unwrap_err();
        assert_eq!(error.kind(), expected, "{document}");
        assert!(!error.message().is_empty() && error.message().len() < 2000, "{document}");
    }
}

#[test]
fn limits_are_inclusive() {
    // V2-066, V2-080, V2-088
    for document in [
        with("name", "é".repeat(255)),
        json!({ "k".repeat(255): "v" }),
        with("tags", json!(["t".repeat(255)])),
        with("p", "v".repeat(65_535)),
        with("name", "日本語é"),
        with("os_glanc", "v"),
        with("Location", "v"),
    ] {
        assert!(read(&document).is_ok(), "{document}");
    }
}

#[test]
fn what_the_service_sets_is_refused_later() {
    // V2-081, V2-083, A22: rows 11 and 12 come after policies, quotas and protections
    let documents = [
        json!({ "status": "active" }),
        json!({ "size": 5 }),
        json!({ "size": null }),
        json!({ "virtual_size": 5 }),
        json!({ "checksum": "a".repeat(32) }),
        json!({ "created_at": "2020-01-01T00:00:00Z" }),
        json!({ "updated_at": "2020-01-01T00:00:00Z" }),
        json!({ "os_hash_algo": "sha512" }),
        json!({ "os_hash_value": null }),
        json!({ "locations": [{ "url": "http://127.0.0.1/x", "metadata": {} }] }),
        json!({ "locations": [] }),
    ];
    for document in documents {
        let read = read(&document).unwrap();
        assert_eq!(read.refused.unwrap().kind(), ErrorKind::Forbidden, "{document}");
        assert_eq!(read.attributes, Attributes::default(), "{document}");
    }
}

proptest! {
    #[test]
    fn no_document_breaks_it(document in samples::json()) {
        let _ = read(&document);
    }
}
