//! Requests at the same time.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    ADMIN, Call, ROOT, TYPES, ask, at, child, delete, full, get, kind, made, names, post, post_nothing,
    property, put, read, space, tag, tags_of,
};
use crate::support::api::Service;

const AT_ONCE: usize = 8;

/// Statuses of requests that are sent at once, in order.
async fn statuses(service: &Service, calls: Vec<Call>) -> Vec<u16> {
    let answers = join_all(calls.iter().map(|call| ask(service, ADMIN, call))).await;
    let mut all: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    all.sort_unstable();
    all
}

fn one_of(status: u16, others: u16) -> Vec<u16> {
    std::iter::once(status).chain(std::iter::repeat_n(others, AT_ONCE - 1)).collect()
}

#[tokio::test]
async fn md_103_one_of_many_creations_succeeds() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let contents = json!({
        "namespace": "with contents", "objects": [{ "name": "o" }], "tags": [{ "name": "t" }],
        "resource_type_associations": [{ "name": "OS::Raced" }],
    });
    for round in 0..5 {
        let name = format!("new-{round}");
        for call in [
            post(ROOT, json!({ "namespace": name })),
            post(ROOT, super::merged(contents.clone(), &json!({ "namespace": format!("full-{round}") }))),
            post(kind("Ns", "objects"), json!({ "name": name })),
            post(kind("Ns", "properties"), property(&name, json!({}))),
            post(kind("Ns", "resource_types"), json!({ "name": name })),
            post_nothing(child("Ns", "tags", &name)),
        ] {
            assert_eq!(statuses(&service, vec![call.clone(); AT_ONCE]).await, one_of(201, 409), "{call:?}");
        }
        assert_eq!(read(&service, &child("Ns", "objects", &name)).await["name"], json!(name));
    }
    let shown = read(&service, &at("Ns")).await;
    for member in ["objects", "tags", "resource_type_associations"] {
        assert_eq!(shown[member].as_array().unwrap().len(), 5, "{member}");
    }
}

#[tokio::test]
async fn md_103_a_new_resource_type_is_made_once() {
    let service = Service::start().await;
    for n in 0..AT_ONCE {
        space(&service, &format!("Ns{n}"), json!({})).await;
    }
    for round in 0..5 {
        let document = json!({ "name": format!("OS::New{round}") });
        let calls = (0..AT_ONCE).map(|n| post(kind(&format!("Ns{n}"), "resource_types"), document.clone()));
        assert_eq!(statuses(&service, calls.collect()).await, [201; AT_ONCE]);
        let types = names(&read(&service, TYPES).await, "resource_types");
        assert_eq!(types.len(), round + 1, "{types:?}");
    }
    // types in different orders within one request do not wait for each other for ever
    let list = |reverse: bool| {
        let mut all: Vec<Value> = (0..20).map(|n| json!({ "name": format!("OS::Many{n}") })).collect();
        if reverse {
            all.reverse();
        }
        all
    };
    let calls = (0..AT_ONCE).map(|n| {
        let types = list(n % 2 == 0);
        post(ROOT, json!({ "namespace": format!("many-{n}"), "resource_type_associations": types }))
    });
    assert_eq!(statuses(&service, calls.collect()).await, [201; AT_ONCE]);
}

#[tokio::test]
async fn md_103_one_of_many_takes_the_name() {
    let service = Service::start().await;
    for n in 0..AT_ONCE {
        full(&service, &format!("Ns{n}"), json!({})).await;
        made(&service, &kind("Ns0", "objects"), json!({ "name": format!("o{n}") })).await;
        made(&service, &kind("Ns0", "properties"), property(&format!("p{n}"), json!({}))).await;
        tag(&service, "Ns0", &format!("x{n}")).await;
    }
    let all = |call: &dyn Fn(usize) -> Call| (0..AT_ONCE).map(call).collect::<Vec<_>>();
    let wanted = json!({ "name": "wanted" });
    let objects = all(&|n| put(child("Ns0", "objects", &format!("o{n}")), wanted.clone()));
    assert_eq!(statuses(&service, objects).await, one_of(200, 409));
    let properties =
        all(&|n| put(child("Ns0", "properties", &format!("p{n}")), property("wanted", json!({}))));
    assert_eq!(statuses(&service, properties).await, one_of(200, 409));
    let tags = all(&|n| put(child("Ns0", "tags", &format!("x{n}")), wanted.clone()));
    assert_eq!(statuses(&service, tags).await, one_of(200, 409));
    let namespaces = all(&|n| put(at(&format!("Ns{n}")), json!({ "namespace": "Wanted" })));
    assert_eq!(statuses(&service, namespaces).await, one_of(200, 409));
    // none is lost
    assert_eq!(super::listed(&service, ADMIN, "").await.len(), AT_ONCE);
}

#[tokio::test]
async fn one_of_many_deletions_succeeds() {
    let service = Service::start().await;
    full(&service, "Ns", json!({})).await;
    for (kind, name) in
        [("objects", "obj"), ("properties", "size"), ("tags", "t1"), ("resource_types", super::BARE)]
    {
        let calls = vec![delete(child("Ns", kind, name)); AT_ONCE];
        assert_eq!(statuses(&service, calls).await, one_of(204, 404), "{kind}");
    }
    assert_eq!(statuses(&service, vec![delete(kind("Ns", "tags")); AT_ONCE]).await, [204; AT_ONCE]);
    assert_eq!(statuses(&service, vec![delete(at("Ns")); AT_ONCE]).await, one_of(204, 404));
}

#[tokio::test]
async fn replacing_all_tags_is_one_change() {
    let service = Service::start().await;
    space(&service, "Ns", json!({})).await;
    let group = |n: usize| (0..10).map(|m| format!("g{n}-{m}")).collect::<Vec<_>>();
    for _ in 0..5 {
        let calls = (0..AT_ONCE).map(|n| {
            let tags: Vec<Value> = group(n).iter().map(|name| json!({ "name": name })).collect();
            post(kind("Ns", "tags"), json!({ "tags": tags }))
        });
        assert_eq!(statuses(&service, calls.collect()).await, [201; AT_ONCE]);
        let left = tags_of(&service, "Ns", "sort_dir=asc").await;
        assert!((0..AT_ONCE).any(|n| left == group(n)), "{left:?}");
    }
}

#[tokio::test]
async fn a_namespace_that_goes_takes_what_comes_in_at_the_same_time() {
    let service = Service::start().await;
    for round in 0..10 {
        let name = format!("Ns{round}");
        full(&service, &name, json!({})).await;
        let mut calls = super::writes(&name);
        calls.extend(super::reads(&name));
        calls.rotate_left(round);
        calls.push(get(ROOT));
        let answers = join_all(calls.iter().map(|call| ask(&service, ADMIN, call))).await;
        for (call, answer) in calls.iter().zip(answers) {
            // changes of the same thing may meet
            assert!(matches!(answer.status, 200 | 201 | 204 | 404 | 409), "{call:?}: {}", answer.text());
        }
        ask(&service, ADMIN, &get(at(&name))).await.expect(404);
    }
    for table in ["namespaces", "objects", "properties", "tags"] {
        assert_eq!(service.count(&format!("SELECT count(*) FROM metadef_{table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn what_becomes_protected_is_deleted_before_or_not_at_all() {
    let service = Service::start().await;
    for round in 0..10 {
        let name = format!("Ns{round}");
        full(&service, &name, json!({})).await;
        let (protecting, deleting) = (
            put(at(&name), json!({ "namespace": name, "protected": true })),
            delete(child(&name, "objects", "obj")),
        );
        let (protecting, deleting) =
            tokio::join!(ask(&service, ADMIN, &protecting), ask(&service, ADMIN, &deleting));
        protecting.expect(200);
        let left = read(&service, &kind(&name, "objects")).await["objects"].as_array().unwrap().len();
        assert!(
            matches!((deleting.status, left), (204, 0) | (403, 1)),
            "{} and {left} left",
            deleting.status
        );
    }
}

#[tokio::test]
async fn md_104_lists_go_on_while_namespaces_come_and_go() {
    let service = Service::start().await;
    full(&service, "Stays", json!({})).await;
    let churn = async |n: usize| {
        for round in 0..15 {
            let name = format!("Goes {n} {round}");
            full(&service, &name, json!({})).await;
            let (showing, deleting) = (get(at(&name)), delete(at(&name)));
            let (shown, gone) = tokio::join!(ask(&service, ADMIN, &showing), ask(&service, ADMIN, &deleting));
            assert!(matches!(shown.status, 200 | 404), "{}", shown.status);
            gone.expect(204);
        }
    };
    let look = async || {
        for _ in 0..40 {
            for query in ["limit=1000", "limit=2", "resource_types=OS::Test::Bare&limit=1000"] {
                let list = read(&service, &format!("{ROOT}?{query}")).await;
                if query != "limit=2" {
                    assert!(names(&list, "namespaces").contains(&"Stays".to_owned()));
                }
                for row in list["namespaces"].as_array().unwrap() {
                    // all of its associations, or none any more
                    let associations = row["resource_type_associations"].as_array().map(Vec::len);
                    assert!(matches!(associations, None | Some(2)), "{row}");
                }
            }
        }
    };
    tokio::join!(churn(0), churn(1), look(), look());
    assert_eq!(super::listed(&service, ADMIN, "").await, ["Stays"]);
}
