//! Pages of namespaces (metadefs.md §4.3).

use serde_json::{Value, json};

use super::{
    ADMIN, ALIEN, LETTERS, OWNER, ROOT, all_refused, ask, at, delete, get, level_times, listed, names, read,
    read_by, space,
};
use crate::support::api::Service;
use crate::support::v2::encoded;

const TYPE: &str = "OS::Paged";

/// `count` namespaces, `ns-00` the oldest, all associated with [`TYPE`].
async fn spaces(service: &Service, count: usize) -> Vec<String> {
    let all: Vec<String> = (0..count).map(|n| format!("ns-{n:02}")).collect();
    for name in &all {
        space(service, name, json!({ "resource_type_associations": [{ "name": TYPE }] })).await;
    }
    all
}

/// The pages that `next` leads through, each with its names.
async fn pages(service: &Service, caller: &str, query: &str) -> Vec<Vec<String>> {
    let (mut all, mut path) = (Vec::new(), format!("{ROOT}?{query}"));
    for _ in 0..50 {
        let page = read_by(service, caller, &path).await;
        all.push(names(&page, "namespaces"));
        let Some(next) = page["next"].as_str() else { return all };
        assert!(next.starts_with(&format!("{ROOT}?")), "{next}");
        next.clone_into(&mut path);
    }
    panic!("next never ends: {all:?}");
}

fn reversed(mut list: Vec<String>) -> Vec<String> {
    list.reverse();
    list
}

#[tokio::test]
async fn md_027_pages_lose_and_repeat_nothing() {
    let service = Service::start().await;
    let made = spaces(&service, 5).await;
    let found = pages(&service, ADMIN, "limit=2").await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(found.concat(), reversed(made.clone()));
    for (query, expected) in [
        ("limit=2&sort_dir=asc", made.clone()),
        ("limit=1&sort_key=namespace&sort_dir=asc", made.clone()),
        ("limit=3&sort_key=namespace", reversed(made.clone())),
        ("limit=4&sort_key=updated_at&sort_dir=asc", made.clone()),
    ] {
        assert_eq!(pages(&service, ADMIN, query).await.concat(), expected, "{query}");
    }
    // a full last page leads to an empty one
    let found = pages(&service, ADMIN, "limit=5").await;
    assert_eq!(found, [reversed(made), Vec::new()]);
}

#[tokio::test]
async fn md_027_ties_lose_and_repeat_nothing_either() {
    let service = Service::start().await;
    let made = spaces(&service, 7).await;
    level_times(&service).await;
    for key in ["created_at", "updated_at", "visibility", "protected", "owner", "display_name", "description"]
    {
        for (direction, expected) in [("asc", made.clone()), ("desc", reversed(made.clone()))] {
            let query = format!("sort_key={key}&sort_dir={direction}");
            // the order of creation breaks the tie, in the same direction
            assert_eq!(listed(&service, ADMIN, &query).await, expected, "{query}");
            for limit in [1, 2, 3, 6] {
                let query = format!("{query}&limit={limit}");
                assert_eq!(pages(&service, ADMIN, &query).await.concat(), expected, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_deleted_between_pages_does_no_harm() {
    let service = Service::start().await;
    let made = spaces(&service, 8).await;
    let first = read(&service, &format!("{ROOT}?limit=3&sort_dir=asc")).await;
    assert_eq!(names(&first, "namespaces"), made[..3]);
    // one that was shown, and one that was not yet
    for gone in [&made[0], &made[4]] {
        ask(&service, ADMIN, &delete(at(gone))).await.expect(204);
    }
    space(&service, "late", json!({})).await;
    let second = read(&service, first["next"].as_str().unwrap()).await;
    assert_eq!(names(&second, "namespaces"), [&made[3][..], &made[5], &made[6]]);
    let third = read(&service, second["next"].as_str().unwrap()).await;
    assert_eq!(names(&third, "namespaces"), [made[7].as_str(), "late"]);
    assert_eq!(third.get("next"), None);
    // the marker itself
    ask(&service, ADMIN, &delete(at(&made[2]))).await.expect(204);
    ask(&service, ADMIN, &get(first["next"].as_str().unwrap())).await.expect(404);
}

/// Names and decoded values of the query of a link, in order of the names.
fn parameters(link: &Value) -> Vec<(String, String)> {
    let (path, query) = link.as_str().unwrap().split_once('?').unwrap_or((link.as_str().unwrap(), ""));
    assert_eq!(path, ROOT);
    let decode = |text: &str| {
        let spaces = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaces).decode_utf8().unwrap().into_owned()
    };
    let pair = |part: &str| part.split_once('=').map(|(name, value)| (decode(name), decode(value)));
    let mut all: Vec<_> = query.split('&').filter_map(pair).collect();
    all.sort();
    all
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn md_028_links_keep_what_was_asked() {
    let service = Service::start().await;
    let made = spaces(&service, 3).await;
    let query = format!("resource_types={TYPE}&limit=1&marker={}&visibility=private", made[2]);
    let page = read(&service, &format!("{ROOT}?{query}")).await;
    assert_eq!(names(&page, "namespaces"), [made[1].as_str()]);
    let first = owned(&[("limit", "1"), ("resource_types", TYPE), ("visibility", "private")]);
    assert_eq!(parameters(&page["first"]), first);
    let next =
        owned(&[("limit", "1"), ("marker", &made[1]), ("resource_types", TYPE), ("visibility", "private")]);
    assert_eq!(parameters(&page["next"]), next);
    assert_eq!(page["schema"], json!("/v2/schemas/metadefs/namespaces"));
    // nothing asked
    let page = read(&service, ROOT).await;
    assert_eq!(parameters(&page["first"]), []);
    assert_eq!(page.get("next"), None);
    // sorting stays too
    let page = read(&service, &format!("{ROOT}?sort_key=namespace&sort_dir=asc&limit=2")).await;
    let next = owned(&[("limit", "2"), ("marker", &made[1]), ("sort_dir", "asc"), ("sort_key", "namespace")]);
    assert_eq!(parameters(&page["next"]), next);
}

#[tokio::test]
async fn md_028_and_095_links_are_encoded() {
    let service = Service::start().await;
    let odd = [LETTERS, "a b", "a&b=c", "100%", "x#y?z", "OS::Nova::Server", "a/b", "a+b", "\"<'>"];
    for name in odd {
        let types = json!({ "resource_type_associations": [{ "name": "Größe & co" }] });
        space(&service, name, types).await;
    }
    let query = format!("limit=1&sort_dir=asc&resource_types={}", encoded("Größe & co"));
    let page = read(&service, &format!("{ROOT}?{query}")).await;
    for link in ["first", "next"] {
        let link = page[link].as_str().unwrap();
        assert!(link.is_ascii() && !link.contains(' '), "{link}");
    }
    let next =
        owned(&[("limit", "1"), ("marker", LETTERS), ("resource_types", "Größe & co"), ("sort_dir", "asc")]);
    assert_eq!(parameters(&page["next"]), next);
    let found = pages(&service, ADMIN, &query).await.concat();
    assert_eq!(found, odd);
}

#[tokio::test]
async fn md_029_as_many_as_the_default_and_never_more_than_the_limit() {
    let service = Service::start().await;
    let made = spaces(&service, 26).await;
    let page = read(&service, ROOT).await;
    assert_eq!(names(&page, "namespaces").len(), 25);
    assert_eq!(parameters(&page["next"]), owned(&[("marker", &made[1])]));
    assert_eq!(
        names(&read(&service, page["next"].as_str().unwrap()).await, "namespaces"),
        [made[0].as_str()]
    );
    assert_eq!(listed(&service, ADMIN, "limit=5000").await.len(), 26);

    let service = Service::start_with(|config| {
        config.limits.api_limit_max = 3;
        config.limits.limit_param_default = 2;
    })
    .await;
    spaces(&service, 5).await;
    assert_eq!(listed(&service, ADMIN, "").await.len(), 2);
    let page = read(&service, &format!("{ROOT}?limit=5000")).await;
    assert_eq!(names(&page, "namespaces").len(), 3);
    // which is full
    assert!(page["next"].is_string());
    assert_eq!(pages(&service, ADMIN, "limit=5000").await.concat().len(), 5);
}

#[tokio::test]
async fn md_030_limits_and_markers_that_are_none() {
    let service = Service::start().await;
    let made = spaces(&service, 2).await;
    let page = read(&service, &format!("{ROOT}?limit=0")).await;
    assert_eq!(page["namespaces"], json!([]));
    assert_eq!(page.get("next"), None);
    for limit in ["-1", "abc", "1.5", "1e3", "0x1", "99999999999999999999999"] {
        let call = get(format!("{ROOT}?limit={limit}"));
        if limit.len() > 20 {
            // an integer; whether it is clamped or refused
            let answer = ask(&service, ADMIN, &call).await;
            assert!(matches!(answer.status, 200 | 400), "{limit}");
            continue;
        }
        all_refused(&service, ADMIN, &[call], 400).await;
    }
    for marker in ["none", "NS-00", "%20", "%F0%9F%98%80", "%00", &made[0][..3]] {
        let answer = ask(&service, ADMIN, &get(format!("{ROOT}?marker={marker}"))).await;
        assert_eq!(answer.status, 404, "{marker}: {}", answer.text());
    }
    // what a reader cannot see is no marker either
    space(&service, "public", json!({ "visibility": "public" })).await;
    all_refused(&service, ALIEN, &[get(format!("{ROOT}?marker={}", made[0]))], 404).await;
    assert_eq!(listed(&service, ADMIN, &format!("marker={}", made[0])).await, [""; 0]);
    assert_eq!(listed(&service, ALIEN, "marker=public").await, [""; 0]);
    // one that a filter leaves out is still a place in the order
    assert_eq!(listed(&service, ADMIN, "marker=public&visibility=private").await, [&made[1][..], &made[0]]);
}

#[tokio::test]
async fn a_page_is_full_before_the_policy_thins_it_out() {
    let rules = json!({ "get_metadef_namespace": "role:admin or 'public':%(visibility)s" });
    let service = Service::start_with_rules(&rules).await;
    for n in 0..6 {
        let visibility = if n % 2 == 0 { "public" } else { "private" };
        space(&service, &format!("ns-{n}"), json!({ "owner": "alpha", "visibility": visibility })).await;
    }
    let found = pages(&service, OWNER, "limit=2&sort_dir=asc").await;
    assert_eq!(found[..3], [["ns-0"], ["ns-2"], ["ns-4"]]);
    assert_eq!(found.concat().len(), 3);
    let found = pages(&service, OWNER, "limit=1&sort_dir=asc").await;
    assert_eq!(found.concat(), ["ns-0", "ns-2", "ns-4"]);
}

#[tokio::test]
async fn pages_of_a_reader_hold_what_the_reader_sees() {
    let service = Service::start().await;
    for n in 0..9 {
        let owner = ["alpha", "beta", "gamma"][n % 3];
        let visibility = if n < 3 { "public" } else { "private" };
        space(&service, &format!("ns-{n}"), json!({ "owner": owner, "visibility": visibility })).await;
    }
    let found = pages(&service, OWNER, "limit=2&sort_dir=asc").await;
    assert_eq!(found, [vec!["ns-0", "ns-1"], vec!["ns-2", "ns-3"], vec!["ns-6"]]);
    let found = pages(&service, ADMIN, "limit=4&sort_dir=asc").await;
    assert_eq!(found.concat().len(), 9);
}
