//! Which policy rules each route asks (metadefs.md §3, §9.2).
//!
//! Most of these tests run under rules that hold for everybody but those whose roles name the rule, so that one service
//! knows a caller for every combination.

use serde_json::{Map, Value, json};

use super::{
    ADMIN, ALIEN, BARE, Call, OWNER, PREFIXED, ROOT, TYPES, all_refused, ask, at, child, delete, full, get,
    keys, kind, listed, names, post, post_nothing, property, put, read, read_by, reads, schema, snapshot,
    space, writes,
};
use crate::support::api::Service;

const SHOW: &str = "get_metadef_namespace";
const RULES: [&str; 26] = [
    "get_metadef_namespaces",
    SHOW,
    "add_metadef_namespace",
    "modify_metadef_namespace",
    "delete_metadef_namespace",
    "get_metadef_objects",
    "get_metadef_object",
    "add_metadef_object",
    "modify_metadef_object",
    "delete_metadef_object",
    "get_metadef_properties",
    "get_metadef_property",
    "add_metadef_property",
    "modify_metadef_property",
    "remove_metadef_property",
    "list_metadef_resource_types",
    "get_metadef_resource_type",
    "add_metadef_resource_type_association",
    "remove_metadef_resource_type_association",
    "get_metadef_tags",
    "get_metadef_tag",
    "add_metadef_tag",
    "add_metadef_tags",
    "modify_metadef_tag",
    "delete_metadef_tag",
    "delete_metadef_tags",
];

/// A service whose rules hold for everybody but those who have the role `no_<rule>`.
async fn with_exceptions() -> Service {
    let rules: Map<String, Value> =
        RULES.iter().map(|rule| ((*rule).to_owned(), json!(format!("not role:no_{rule}")))).collect();
    Service::start_with_rules(&rules.into()).await
}

/// Somebody of the project `alpha` for whom these rules do not hold.
fn denied(rules: &[&str]) -> String {
    let roles: Vec<String> = rules.iter().map(|rule| format!("no_{rule}")).collect();
    format!("olga:alpha:member,{}", roles.join(","))
}

/// Every route under a namespace of [`full`], the status of its success, and the rules it asks.
fn routes(namespace: &str) -> Vec<(Call, u16, Vec<&'static str>)> {
    let one = |kind: &str, name: &str| child(namespace, kind, name);
    let all = |name: &str| kind(namespace, name);
    let prefixed = format!("{}?resource_type={PREFIXED}", one("properties", "pre_size"));
    let contents =
        ["list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags"];
    vec![
        (get(at(namespace)), 200, [&[SHOW][..], &contents].concat()),
        (put(at(namespace), json!({ "namespace": namespace })), 200, vec!["modify_metadef_namespace"]),
        (delete(at(namespace)), 204, vec!["delete_metadef_namespace"]),
        (get(all("objects")), 200, vec!["get_metadef_objects"]),
        (post(all("objects"), json!({ "name": "new" })), 201, vec!["add_metadef_object"]),
        (delete(all("objects")), 204, vec!["delete_metadef_namespace"]),
        (get(one("objects", "obj")), 200, vec!["get_metadef_object"]),
        (put(one("objects", "obj"), json!({ "name": "o" })), 200, vec!["modify_metadef_object"]),
        (delete(one("objects", "obj")), 204, vec!["delete_metadef_object"]),
        (get(all("properties")), 200, vec!["get_metadef_properties"]),
        (post(all("properties"), property("new", json!({}))), 201, vec!["add_metadef_property"]),
        (delete(all("properties")), 204, vec!["delete_metadef_namespace"]),
        (get(one("properties", "size")), 200, vec!["get_metadef_property"]),
        (get(prefixed), 200, vec!["get_metadef_property", "get_metadef_resource_type"]),
        (put(one("properties", "size"), property("p", json!({}))), 200, vec!["modify_metadef_property"]),
        (delete(one("properties", "size")), 204, vec!["remove_metadef_property"]),
        (get(all("tags")), 200, vec!["get_metadef_tags"]),
        (post(all("tags"), json!({ "tags": [{ "name": "new" }] })), 201, vec!["add_metadef_tags"]),
        // MD-081
        (delete(all("tags")), 204, vec!["delete_metadef_namespace", "delete_metadef_tags"]),
        (get(one("tags", "t1")), 200, vec!["get_metadef_tag"]),
        (post_nothing(one("tags", "new")), 201, vec!["add_metadef_tag"]),
        (put(one("tags", "t1"), json!({ "name": "t2" })), 200, vec!["modify_metadef_tag"]),
        (delete(one("tags", "t1")), 204, vec!["delete_metadef_tag"]),
        (get(all("resource_types")), 200, vec!["list_metadef_resource_types"]),
        (
            post(all("resource_types"), json!({ "name": "OS::New" })),
            201,
            vec!["add_metadef_resource_type_association"],
        ),
        (delete(one("resource_types", BARE)), 204, vec!["remove_metadef_resource_type_association"]),
    ]
}

/// The rules but these.
fn others(rules: &[&str]) -> Vec<&'static str> {
    RULES.into_iter().filter(|rule| !rules.contains(rule)).collect()
}

#[tokio::test]
async fn md_081_089_and_091_each_route_asks_its_rules_and_no_others() {
    let service = with_exceptions().await;
    for n in 0..routes("").len() {
        let name = format!("Ns{n}");
        full(&service, &name, json!({ "owner": "alpha" })).await;
        let (call, status, rules) = routes(&name).remove(n);
        let before = read(&service, &at(&name)).await;
        for rule in &rules {
            let answer = ask(&service, &denied(&[rule]), &call).await;
            let refusal = if *rule == SHOW { 404 } else { 403 };
            assert_eq!(answer.status, refusal, "{call:?} without {rule}");
            // MD-091
            let answer = ask(&service, &denied(&[rule, SHOW]), &call).await;
            assert_eq!(answer.status, 404, "{call:?} without {rule} and {SHOW}");
        }
        assert_eq!(read(&service, &at(&name)).await, before, "{call:?}");
        let answer = ask(&service, &denied(&others(&rules)), &call).await;
        assert_eq!(answer.status, status, "{call:?} with {rules:?} only: {}", answer.text());
    }
}

#[tokio::test]
async fn the_rules_of_routes_without_a_namespace() {
    let service = with_exceptions().await;
    full(&service, "Ns", json!({ "owner": "alpha" })).await;
    let before = snapshot(&service).await;
    let nested = [
        ("resource_type_associations", json!([{ "name": "OS::T" }]), "add_metadef_resource_type_association"),
        ("objects", json!([{ "name": "o" }]), "add_metadef_object"),
        ("properties", json!({ "p": schema() }), "add_metadef_property"),
        ("tags", json!([{ "name": "t" }]), "add_metadef_tag"),
    ];
    let bare = post(ROOT, json!({ "namespace": "bare" }));
    let mut cases = vec![
        (get(ROOT), 200, vec!["get_metadef_namespaces", "list_metadef_resource_types"]),
        (get(TYPES), 200, vec!["list_metadef_resource_types"]),
        (bare, 201, vec!["add_metadef_namespace"]),
    ];
    for (member, contents, rule) in &nested {
        let document = json!({ "namespace": format!("with {member}"), *member: contents });
        cases.push((post(ROOT, document), 201, vec!["add_metadef_namespace", *rule]));
        // an empty collection asks nothing
        let empty = if contents.is_array() { json!([]) } else { json!({}) };
        let document = json!({ "namespace": format!("without {member}"), *member: empty });
        cases.push((post(ROOT, document), 201, vec!["add_metadef_namespace"]));
    }
    for (call, _, rules) in &cases {
        for rule in rules {
            let answer = ask(&service, &denied(&[rule]), call).await;
            assert_eq!(answer.status, 403, "{call:?} without {rule}");
            let answer = ask(&service, &denied(&[rule, SHOW]), call).await;
            assert!(matches!(answer.status, 403 | 404), "{call:?} without {rule} and {SHOW}");
        }
    }
    assert_eq!(snapshot(&service).await, before);
    for (call, status, rules) in &cases {
        let answer = ask(&service, &denied(&others(rules)), call).await;
        assert_eq!(answer.status, *status, "{call:?} with {rules:?} only: {}", answer.text());
    }
    // schemas ask none
    for name in ["namespace", "namespaces", "object", "properties", "tags", "resource_type"] {
        let call = get(format!("/v2/schemas/metadefs/{name}"));
        ask(&service, &denied(&RULES), &call).await.expect(200);
    }
}

#[tokio::test]
async fn md_087_without_either_rule_there_is_no_list() {
    for rule in ["get_metadef_namespaces", "list_metadef_resource_types"] {
        let service = Service::start_with_rules(&json!({ rule: "!" })).await;
        full(&service, "Ns", json!({ "visibility": "public" })).await;
        for caller in [ADMIN, OWNER] {
            all_refused_plainly(&service, caller, &get(ROOT), 403).await;
        }
        // the contents of the namespace are another matter
        read_by(&service, OWNER, &kind("Ns", "objects")).await;
    }
}

/// Asserts a refusal where not even an administrator could read what there is.
async fn all_refused_plainly(service: &Service, caller: &str, call: &Call, status: u16) {
    let answer = ask(service, caller, call).await;
    assert_eq!(answer.status, status, "{caller}: {call:?}: {}", answer.text());
}

#[tokio::test]
async fn md_088_without_the_rule_nothing_is_listed_and_nothing_shown() {
    let service = Service::start_with_rules(&json!({ SHOW: "!" })).await;
    full(&service, "Ns", json!({ "visibility": "public", "owner": "alpha" })).await;
    for caller in [ADMIN, OWNER] {
        assert_eq!(listed(&service, caller, "").await, [""; 0], "{caller}");
        all_refused_plainly(&service, caller, &get(at("Ns")), 404).await;
    }
    // row by row
    let service = with_exceptions().await;
    full(&service, "Ns", json!({ "owner": "alpha" })).await;
    let blind = denied(&[SHOW]);
    assert_eq!(listed(&service, &blind, "").await, [""; 0]);
    assert_eq!(listed(&service, OWNER, "").await, ["Ns"]);
}

#[tokio::test]
async fn md_089_what_may_not_be_listed_may_not_be_shown_either() {
    for rule in
        ["get_metadef_objects", "get_metadef_properties", "get_metadef_tags", "list_metadef_resource_types"]
    {
        let service = Service::start_with_rules(&json!({ rule: "!" })).await;
        // even with nothing of the kind in it
        space(&service, "Ns", json!({ "visibility": "public" })).await;
        for caller in [ADMIN, ALIEN] {
            all_refused_plainly(&service, caller, &get(at("Ns")), 403).await;
        }
    }
}

#[tokio::test]
async fn md_090_rows_that_may_not_be_seen_are_left_out() {
    let service = with_exceptions().await;
    full(&service, "Ns", json!({ "owner": "alpha" })).await;
    let list = read_by(&service, &denied(&["get_metadef_object"]), &kind("Ns", "objects")).await;
    assert_eq!(list, json!({ "objects": [], "schema": "v2/schemas/metadefs/objects" }));
    let list =
        read_by(&service, &denied(&["get_metadef_resource_type"]), &kind("Ns", "resource_types")).await;
    assert_eq!(list, json!({ "resource_type_associations": [] }));
    // those of the others are not filtered
    let list = read_by(&service, &denied(&["get_metadef_property"]), &kind("Ns", "properties")).await;
    assert_eq!(keys(&list["properties"]), ["size"].into());
    let list = read_by(&service, &denied(&["get_metadef_tag"]), &kind("Ns", "tags")).await;
    assert_eq!(names(&list, "tags"), ["t1"]);
}

#[tokio::test]
async fn md_091_what_cannot_be_seen_is_not_there() {
    let rules = json!({ "get_metadef_objects": "!", SHOW: "role:admin" });
    let service = Service::start_with_rules(&rules).await;
    full(&service, "Ns", json!({ "visibility": "public", "owner": "alpha" })).await;
    let before = read(&service, &kind("Ns", "properties")).await;
    all_refused_plainly(&service, ADMIN, &get(kind("Ns", "objects")), 403).await;
    for caller in [OWNER, ALIEN] {
        all_refused_plainly(&service, caller, &get(kind("Ns", "objects")), 404).await;
        for call in writes("Ns") {
            all_refused_plainly(&service, caller, &call, 404).await;
        }
        // what is allowed by itself still is
        assert_eq!(read_by(&service, caller, &kind("Ns", "properties")).await, before);
    }
}

#[tokio::test]
async fn md_092_no_policy_opens_what_belongs_to_others() {
    let open: Map<String, Value> = RULES.iter().map(|rule| ((*rule).to_owned(), json!(""))).collect();
    let service = Service::start_with_rules(&open.into()).await;
    full(&service, "Private", json!({ "owner": "alpha" })).await;
    full(&service, "Public", json!({ "owner": "alpha", "visibility": "public" })).await;
    let mut calls = reads("Private");
    calls.extend(writes("Private"));
    for caller in [ALIEN, super::NOBODY.replace("alpha", "beta").as_str()] {
        all_refused(&service, caller, &calls, 404).await;
        assert_eq!(listed(&service, caller, "").await, ["Public"], "{caller}");
        assert_eq!(listed(&service, caller, "visibility=private").await, [""; 0], "{caller}");
    }
    for call in reads("Private") {
        ask(&service, OWNER, &call).await.expect(200);
    }
    // what is open is open: everybody writes, the owner's private ones too
    for (caller, namespace) in [(OWNER, "Private"), (ALIEN, "Public")] {
        let document = json!({ "namespace": namespace, "owner": "alpha", "visibility": "public" });
        ask(&service, caller, &put(at(namespace), document)).await.expect(200);
        ask(&service, caller, &delete(at(namespace))).await.expect(204);
    }
}

#[tokio::test]
async fn rules_see_whose_namespace_it_is_and_who_may_see_it() {
    let rules = json!({
        "modify_metadef_namespace": "project_id:%(project_id)s",
        "add_metadef_object": "'public':%(visibility)s",
        "add_metadef_namespace": "role:member and project_id:%(project_id)s",
    });
    let service = Service::start_with_rules(&rules).await;
    space(&service, "Own", json!({ "owner": "alpha" })).await;
    space(&service, "Theirs", json!({ "owner": "beta", "visibility": "public" })).await;
    let change = |name: &str, more: Value| put(at(name), super::merged(json!({ "namespace": name }), &more));
    let refused = [change("Theirs", json!({})), post(kind("Own", "objects"), json!({ "name": "new" }))];
    all_refused(&service, OWNER, &refused, 403).await;
    // not even an administrator's role counts where the rule does not say so
    all_refused(&service, ADMIN, &refused, 403).await;
    ask(&service, OWNER, &post(kind("Theirs", "objects"), json!({ "name": "new" }))).await.expect(201);
    ask(&service, OWNER, &change("Own", json!({ "description": "x" }))).await.expect(200);
    assert_eq!(read(&service, &at("Own")).await["owner"], json!("alpha"));
    // the target of a creation is the caller's project, whatever owner is asked for
    let document = json!({ "namespace": "Given", "owner": "beta" });
    ask(&service, OWNER, &post(ROOT, document)).await.expect(201);
    ask(&service, OWNER, &get(at("Given"))).await.expect(404);
    ask(&service, ALIEN, &get(at("Given"))).await.expect(200);
    // and handing over what one owns goes by its old owner
    ask(&service, OWNER, &change("Own", json!({ "owner": "beta" }))).await.expect(200);
    ask(&service, OWNER, &change("Own", json!({}))).await.expect(404);
}
