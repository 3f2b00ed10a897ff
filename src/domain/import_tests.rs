#![expect(clippy::unwrap_used, reason = "tests")]

use crate::error::ErrorKind;

use super::*;

fn enabled() -> Vec<String> {
    METHODS.map(str::to_owned).to_vec()
}

fn parse(body: &Value) -> Result<ImportRequest> {
    ImportRequest::parse(body, &enabled())
}

fn request(method: &str, more: Value) -> ImportRequest {
    let mut body = more;
    body["method"] = json!({ "name": method });
    parse(&body).unwrap()
}

/// Three stores, one of them read-only, and `b` the default.
fn several<'a>(header: Option<&'a str>, held: &'a [String]) -> Choice<'a> {
    Choice { several: true, writable: &["c", "b"], default: "b", header, held }
}

fn single(held: &[String]) -> Choice<'_> {
    Choice { several: false, writable: &["a"], default: "a", header: Some("x"), held }
}

fn refused(result: Result<Vec<String>>, kind: ErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

#[test]
fn v2_249_v2_250_methods_need_a_name_that_is_enabled() {
    for body in [
        json!({}),
        json!([]),
        json!({ "method": null }),
        json!({ "method": "glance-direct" }),
        json!({ "method": {} }),
        json!({ "method": { "name": null } }),
        json!({ "method": { "name": ["glance-direct"] } }),
        json!({ "method": { "name": "magic" } }),
    ] {
        assert_eq!(parse(&body).unwrap_err().kind(), ErrorKind::Invalid, "{body}");
    }
    let few = ["web-download".to_owned()];
    let body = json!({ "method": { "name": "glance-direct" } });
    assert_eq!(ImportRequest::parse(&body, &few).unwrap_err().kind(), ErrorKind::Invalid);
    for name in METHODS {
        assert_eq!(request(name, json!({})).method.name(), name);
    }
}

#[test]
fn v2_267_flags_are_flags() {
    for (name, value) in [("all_stores", json!("yes")), ("all_stores", json!(1)), ("all_stores", Value::Null)]
    {
        let body = json!({ "method": { "name": "glance-direct" }, name: value });
        assert_eq!(parse(&body).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let body = json!({ "method": { "name": "glance-direct" }, "all_stores_must_succeed": "no" });
    assert!(parse(&body).is_err());
    let plain = request("glance-direct", json!({}));
    assert!(!plain.all_stores && plain.all_stores_must_succeed && plain.stores.is_none());
    for stores in [json!("b"), json!({}), json!([1]), json!(["b", null])] {
        let body = json!({ "method": { "name": "glance-direct" }, "stores": stores });
        assert!(parse(&body).is_err(), "{body}");
    }
}

/// V2-261: data come from where the method says.
#[test]
fn a_uri_means_something_to_web_download_alone() {
    for name in ["glance-direct", "copy-image"] {
        let body = json!({ "method": { "name": name, "uri": "http://user:secret@host/" } });
        let document = parse(&body).unwrap().document();
        assert!(!document.to_string().contains("secret"), "{document}");
    }
    for (uri, read) in [(json!("http://a/"), Some("http://a/")), (json!(""), None), (json!(5), None)] {
        let body = json!({ "method": { "name": "web-download", "uri": uri } });
        let uri = read.map(str::to_owned);
        assert_eq!(parse(&body).unwrap().method, Method::WebDownload { uri });
    }
}

#[test]
fn v2_279_glance_download_needs_its_parameters() {
    const ID: &str = "3f2c9a1e-1111-4222-8333-444455556666";
    let check = |method: Value| parse(&json!({ "method": method })).unwrap().method.check();
    let name = "glance-download";
    for method in [
        json!({ "name": name }),
        json!({ "name": name, "glance_image_id": ID }),
        json!({ "name": name, "glance_image_id": ID, "glance_region": "" }),
        json!({ "name": name, "glance_region": "R" }),
        json!({ "name": name, "glance_region": "R", "glance_image_id": "x" }),
        json!({ "name": name, "glance_region": 1, "glance_image_id": ID }),
    ] {
        assert_eq!(check(method.clone()).unwrap_err().kind(), ErrorKind::Invalid, "{method}");
    }
    check(json!({ "name": name, "glance_region": "R", "glance_image_id": ID })).unwrap();
    check(json!({ "name": "glance-direct" })).unwrap();
}

#[test]
fn a_request_survives_its_task() {
    for body in [
        json!({ "method": { "name": "glance-direct" } }),
        json!({ "method": { "name": "web-download", "uri": "http://a/" }, "stores": ["b", "b"] }),
        json!({ "method": { "name": "copy-image" }, "all_stores": true, "all_stores_must_succeed": false }),
        json!({ "method": { "name": "glance-download", "glance_region": "R", "glance_image_id": "x",
            "glance_service_interface": "internal" }, "more": 1 }),
    ] {
        let request = parse(&body).unwrap();
        assert_eq!(ImportRequest::accepted(&request.document()).unwrap(), request);
    }
}

#[test]
fn stores_are_chosen_by_list_header_or_default() {
    let direct = |more| request("glance-direct", more);
    let targets = |more, header| direct(more).targets(&several(header, &[])).unwrap();
    assert_eq!(targets(json!({}), None), ["b"]);
    assert_eq!(targets(json!({}), Some("c")), ["c"]);
    assert_eq!(targets(json!({ "stores": ["c", "b", "c"] }), None), ["c", "b"]);
    assert_eq!(targets(json!({ "all_stores": true }), None), ["b", "c"]);
    assert_eq!(targets(json!({ "all_stores_must_succeed": false }), None), ["b"]);
}

#[test]
fn v2_270_v2_271_choices_that_cannot_be() {
    let targets = |more, header| request("glance-direct", more).targets(&several(header, &[]));
    refused(targets(json!({ "all_stores": true, "stores": ["b"] }), None), ErrorKind::Invalid);
    refused(targets(json!({ "all_stores": true }), Some("b")), ErrorKind::Invalid);
    refused(targets(json!({ "stores": ["b"] }), Some("b")), ErrorKind::Invalid);
    refused(targets(json!({ "stores": [] }), None), ErrorKind::Invalid);
    for unknown in ["nope", "read-only"] {
        refused(targets(json!({ "stores": ["b", unknown] }), None), ErrorKind::Conflict);
        refused(targets(json!({}), Some(unknown)), ErrorKind::Conflict);
    }
    let read_only = Choice { writable: &["c"], ..several(None, &[]) };
    refused(request("glance-direct", json!({})).targets(&read_only), ErrorKind::Conflict);
}

#[test]
fn v2_268_v2_269_one_store_leaves_no_choice() {
    let targets = |more| request("glance-direct", more).targets(&single(&[]));
    for ignored in
        [json!({}), json!({ "all_stores": true }), json!({ "stores": ["x"] }), json!({ "stores": [] })]
    {
        assert_eq!(targets(ignored).unwrap(), ["a"]);
    }
    refused(targets(json!({ "all_stores_must_succeed": false })), ErrorKind::Invalid);
}

#[test]
fn v2_277_v2_278_copies_that_are_there() {
    let held = ["b".to_owned()];
    let targets = |more, held: &[String]| request("copy-image", more).targets(&several(None, held));
    refused(targets(json!({ "stores": ["c", "b"] }), &held), ErrorKind::Invalid);
    refused(targets(json!({}), &held), ErrorKind::Invalid);
    assert_eq!(targets(json!({ "stores": ["c"] }), &held).unwrap(), ["c"]);
    assert_eq!(targets(json!({ "all_stores": true }), &held).unwrap(), ["c"]);
    let everywhere = ["b".to_owned(), "c".to_owned(), "read-only".to_owned()];
    assert!(targets(json!({ "all_stores": true }), &everywhere).unwrap().is_empty());
    // one store has nowhere to copy to
    let all = request("copy-image", json!({ "all_stores": true }));
    refused(all.targets(&single(&["a".to_owned()])), ErrorKind::Invalid);
    // what a failed import left behind does not keep others from trying
    let direct = request("glance-direct", json!({ "stores": ["b"] }));
    assert_eq!(direct.targets(&several(None, &held)).unwrap(), ["b"]);
}
