//! Lists of namespaces: what is in them, filters and order (metadefs.md §4.3).

use serde_json::json;

use super::{
    ADMIN, ALIEN, LETTERS, NOBODY, OWNER, ROOT, all_refused, ask, at, full, get, keys, listed, names, read,
    read_by, space, without,
};
use crate::support::api::{LONELY, Service};

/// Namespaces of these names in this order, each associated with a type of its own and one that all have.
async fn spaces(service: &Service, names: &[&str]) {
    for name in names {
        let types = json!([{ "name": "OS::All" }, { "name": format!("OS::{name}") }]);
        space(service, name, json!({ "resource_type_associations": types })).await;
    }
}

#[tokio::test]
async fn md_024_rows_hold_associations_and_no_other_contents() {
    let service = Service::start().await;
    full(&service, "Full", json!({ "description": "E" })).await;
    space(&service, "Bare", json!({ "display_name": "D" })).await;
    let list = read(&service, &format!("{ROOT}?sort_key=namespace&sort_dir=asc")).await;
    assert_eq!(keys(&list), ["first", "namespaces", "schema"].into());
    assert_eq!(list["schema"], json!("/v2/schemas/metadefs/namespaces"));
    let (bare, row) = (&list["namespaces"][0], &list["namespaces"][1]);
    // nothing but what showing it says
    assert_eq!(*bare, read(&service, &at("Bare")).await);
    let shown = read(&service, &at("Full")).await;
    assert_eq!(*row, without(shown, &["objects", "properties", "tags"]));
    let found = row["resource_type_associations"].as_array().unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(keys(&found[0]), ["created_at", "name", "prefix", "updated_at"].into());
    assert_eq!(keys(&found[1]), ["created_at", "name", "updated_at"].into());
}

#[tokio::test]
async fn md_026_order() {
    let service = Service::start().await;
    let made = ["b", "d", "a", "c"];
    spaces(&service, &made).await;
    let newest: Vec<&str> = made.iter().rev().copied().collect();
    for query in [
        "",
        "sort_key=created_at",
        "sort_dir=desc",
        "sort_key=updated_at",
        "sort_key=created_at&sort_dir=desc",
    ] {
        assert_eq!(listed(&service, ADMIN, query).await, newest, "{query}");
    }
    for query in ["sort_dir=asc", "sort_key=created_at&sort_dir=asc", "sort_key=updated_at&sort_dir=asc"] {
        assert_eq!(listed(&service, ADMIN, query).await, made, "{query}");
    }
    assert_eq!(listed(&service, ADMIN, "sort_key=namespace&sort_dir=asc").await, ["a", "b", "c", "d"]);
    assert_eq!(listed(&service, ADMIN, "sort_key=namespace").await, ["d", "c", "b", "a"]);
    // a change moves it only where changes count
    ask(&service, ADMIN, &super::put(at("d"), json!({ "namespace": "d" }))).await.expect(200);
    assert_eq!(listed(&service, ADMIN, "").await, newest);
    assert_eq!(listed(&service, ADMIN, "sort_key=updated_at").await, ["d", "c", "a", "b"]);
    for query in
        ["sort_dir=ASC", "sort_dir=up", "sort_dir=", "sort_key=junk", "sort_key=objects", "sort_key=name"]
    {
        all_refused(&service, ADMIN, &[get(format!("{ROOT}?{query}"))], 400).await;
    }
}

#[tokio::test]
async fn any_attribute_sorts_with_unset_ones_somewhere() {
    let service = Service::start().await;
    let rows = [
        ("n1", json!({ "display_name": "b", "visibility": "public", "owner": "x", "protected": true })),
        ("n2", json!({ "display_name": "a", "description": "z", "owner": "z" })),
        ("n3", json!({ "description": "y", "visibility": "public", "owner": "y" })),
        ("n4", json!({})),
        ("n5", json!({})),
    ];
    for (name, more) in &rows {
        space(&service, name, more.clone()).await;
    }
    for key in ["namespace", "display_name", "description", "visibility", "protected", "owner", "updated_at"]
    {
        let up = listed(&service, ADMIN, &format!("sort_key={key}&sort_dir=asc")).await;
        let mut down = listed(&service, ADMIN, &format!("sort_key={key}&sort_dir=desc")).await;
        down.reverse();
        assert_eq!(up, down, "{key}");
        // no page loses one, wherever the unset ones are
        let mut paged = Vec::new();
        let mut path = format!("{ROOT}?sort_key={key}&sort_dir=asc&limit=1");
        for _ in 0..=rows.len() {
            let page = read(&service, &path).await;
            paged.extend(names(&page, "namespaces"));
            let Some(next) = page["next"].as_str() else { break };
            next.clone_into(&mut path);
        }
        assert_eq!(paged, up, "{key}");
        assert_eq!(paged.len(), rows.len(), "{key}");
    }
    let visible = listed(&service, ADMIN, "sort_key=owner&sort_dir=asc").await;
    assert_eq!(visible, ["n4", "n5", "n1", "n3", "n2"]);
}

#[tokio::test]
async fn md_031_visibility_filters_inside_what_the_caller_sees() {
    let service = Service::start().await;
    space(&service, "own", json!({ "owner": "alpha" })).await;
    space(&service, "own public", json!({ "owner": "alpha", "visibility": "public" })).await;
    space(&service, "public", json!({ "visibility": "public", "owner": "beta" })).await;
    space(&service, "other", json!({ "owner": "gamma" })).await;
    for (caller, public, private) in [
        (ADMIN, vec!["public", "own public"], vec!["other", "own"]),
        (OWNER, vec!["public", "own public"], vec!["own"]),
        (ALIEN, vec!["public", "own public"], vec![]),
    ] {
        assert_eq!(listed(&service, caller, "visibility=public").await, public, "{caller}");
        assert_eq!(listed(&service, caller, "visibility=private").await, private, "{caller}");
    }
    for word in ["shared", "Public", "PRIVATE", "community", "all", ""] {
        all_refused(&service, OWNER, &[get(format!("{ROOT}?visibility={word}"))], 400).await;
    }
}

#[tokio::test]
async fn md_032_resource_types_filter() {
    let service = Service::start().await;
    spaces(&service, &["a", "b", "c"]).await;
    space(&service, "none", json!({})).await;
    let odd = json!({ "resource_type_associations": [{ "name": LETTERS }, { "name": "a b&c" }] });
    space(&service, "odd", odd).await;
    for (types, expected) in [
        ("OS::a,OS::b", vec!["b", "a"]),
        ("OS::b,OS::a", vec!["b", "a"]),
        ("OS::All", vec!["c", "b", "a"]),
        ("OS::All,OS::a,OS::a", vec!["c", "b", "a"]),
        ("OS%3A%3Aa%2COS::c", vec!["c", "a"]),
        ("OS::a,none", vec!["a"]),
        ("none", vec![]),
        ("os::all", vec![]),
        ("OS::Al", vec![]),
        ("Gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC", vec!["odd"]),
        ("a+b%26c", vec!["odd"]),
        ("%25", vec![]),
        ("", vec![]),
        (",OS::a", vec!["a"]),
    ] {
        assert_eq!(listed(&service, ADMIN, &format!("resource_types={types}")).await, expected, "{types}");
    }
    // more than anybody needs
    all_refused(&service, ADMIN, &[get(format!("{ROOT}?resource_types={}", "x,".repeat(1001)))], 400).await;
    // rows show all their associations, not only the one that was asked for
    let list = read(&service, &format!("{ROOT}?resource_types=OS::a")).await;
    assert_eq!(list["namespaces"][0]["resource_type_associations"].as_array().unwrap().len(), 2);
    // and with the others it still filters
    assert_eq!(
        listed(&service, ADMIN, "resource_types=OS::All&sort_dir=asc&limit=2&marker=a").await,
        ["b", "c"]
    );
    assert_eq!(listed(&service, ADMIN, "resource_types=OS::All&visibility=public").await, [""; 0]);
    assert_eq!(listed(&service, OWNER, "resource_types=OS::All").await, [""; 0]);
}

#[tokio::test]
async fn md_033_what_is_not_known_is_ignored() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    let whole = listed(&service, ADMIN, "").await;
    for query in
        ["junk=1", "name=x", "namespace=x", "owner=x", "created_at=x", "=", "&&", "junk", "resource_type=x"]
    {
        assert_eq!(listed(&service, ADMIN, query).await, whole, "{query}");
    }
    let shown = read(&service, &at("Ns")).await;
    for query in
        ["junk=1", "limit=-1", "sort_dir=x", "marker=none", "visibility=public", "visibility=private"]
    {
        assert_eq!(read(&service, &format!("{}?{query}", at("Ns"))).await, shown, "{query}");
        let both = format!("{}?{query}&resource_type=none", at("Ns"));
        assert_eq!(read(&service, &both).await, shown, "{query}");
    }
    // all but a bad visibility
    all_refused(&service, ADMIN, &[get(format!("{}?visibility=shared", at("Ns")))], 400).await;
}

#[tokio::test]
async fn md_085_whose_namespaces_are_listed() {
    let service = Service::start().await;
    space(&service, "own", json!({ "owner": "alpha" })).await;
    space(&service, "public", json!({ "visibility": "public" })).await;
    space(&service, "other", json!({ "owner": "gamma" })).await;
    space(&service, "nobody", json!({ "owner": "" })).await;
    let all = vec!["nobody", "other", "public", "own"];
    for (caller, expected) in [
        (ADMIN, all.clone()),
        (crate::support::api::ROOT, all),
        (OWNER, vec!["public", "own"]),
        (super::READER, vec!["public", "own"]),
        (ALIEN, vec!["public"]),
    ] {
        assert_eq!(listed(&service, caller, "").await, expected, "{caller}");
    }
    // what a reader may not see, a filter does not find
    assert_eq!(listed(&service, ALIEN, "visibility=private").await, [""; 0]);
    let answer = ask(&service, NOBODY, &get(ROOT)).await;
    assert_eq!(answer.status, 404);
    // without a project there is nothing to own, not even what nobody owns
    let answer = ask(&service, LONELY, &get(ROOT)).await;
    if answer.status == 200 {
        assert_eq!(names(&answer.json(), "namespaces"), ["public"]);
    }
    let empty = read_by(&Service::start().await, OWNER, ROOT).await;
    assert_eq!(without(empty, &["first", "schema"]), json!({ "namespaces": [] }));
}
