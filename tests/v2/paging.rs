//! Sorting, and the way through all pages (images-v2.md §8.2).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, OWNER, Service};
use crate::support::v2::{encoded, id_of, ids_of};

const SORT_KEYS: [&str; 8] =
    ["name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"];

/// Images that differ in every sort key, with ties and nulls in all of them.
async fn fill_with_ties(service: &Service) {
    service
        .sql(
            "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, min_disk, min_ram, size,
               disk_format, container_format, created_at, updated_at)
             SELECT gen_random_uuid(), 'alpha', (ARRAY['b', NULL, 'a', 'B', 'é', ''])[n % 6 + 1],
               (ARRAY['queued', 'active', 'saving'])[n % 3 + 1]::image_status, 'shared', false, false, 0, 0,
               (ARRAY[7, NULL, 0, 70])[n % 4 + 1], (ARRAY['raw', NULL, 'iso'])[n % 3 + 1],
               (ARRAY['bare', 'ovf', NULL])[n % 3 + 1], '2020-01-01T00:00:00Z'::timestamptz + n / 3 * interval '1 s',
               '2020-02-01T00:00:00Z'::timestamptz - n / 2 * interval '1 s'
             FROM generate_series(0, 12) AS n",
        )
        .await;
}

/// All images of a list, by way of its links.
async fn walk(service: &Service, caller: &str, query: &str, size: usize) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    let mut path = format!("/v2/images?{query}");
    loop {
        let page = service.get(&path).by(caller).send().await.expect(200).json();
        let images = page["images"].as_array().unwrap();
        assert!(images.len() <= size, "{path}: a page of {}", images.len());
        seen.extend(images.iter().cloned());
        match page.get("next") {
            // more than there can be
            Some(next) if seen.len() <= 100 => path = next.as_str().unwrap().to_owned(),
            Some(_) => panic!("{path}: no end"),
            None => return seen,
        }
    }
}

/// What an image is sorted by, for byte order; nulls count as empty text or 0.
fn rank(image: &Value, key: &str) -> String {
    match key {
        "size" => format!("{:020}", image[key].as_u64().unwrap_or(0)),
        _ => image[key].as_str().unwrap_or_default().to_owned(),
    }
}

/// Puts images in the order of these keys, each with whether it descends.
fn sort(images: &mut [Value], keys: &[(&str, bool)]) {
    images.sort_by(|one, two| {
        let compared = keys.iter().map(|(key, descending)| {
            let order = rank(one, key).cmp(&rank(two, key));
            if *descending { order.reverse() } else { order }
        });
        compared.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
}

/// Asserts that the pages of `query` hold exactly `all`, in the order of `keys`.
async fn assert_order(service: &Service, all: &[Value], query: &str, keys: &[(&str, bool)]) {
    let mut expected = all.to_vec();
    sort(&mut expected, keys);
    let ids = |images: &[Value]| images.iter().map(id_of).collect::<Vec<_>>();
    for size in [2, 5] {
        let found = walk(service, OWNER, &format!("limit={size}&{query}"), size).await;
        assert_eq!(ids(&found), ids(&expected), "{query} in pages of {size}");
    }
}

async fn assert_refused(service: &Service, query: &str) {
    let answer = service.get(&format!("/v2/images?{query}")).by(OWNER).send().await;
    assert_eq!(answer.status, 400, "{query}: {}", answer.text());
}

#[tokio::test]
async fn v2_099_106_and_341_pages_hold_every_image_once_in_the_order_of_a_key() {
    let service = Service::start().await;
    fill_with_ties(&service).await;
    let all = service.list(OWNER, "limit=100").await["images"].as_array().unwrap().clone();
    assert_eq!(all.len(), 13);
    for key in SORT_KEYS {
        for (direction, descending) in [("asc", false), ("desc", true)] {
            let keys = [(key, descending), ("created_at", descending), ("id", descending)];
            assert_order(&service, &all, &format!("sort_key={key}&sort_dir={direction}"), &keys).await;
            assert_order(&service, &all, &format!("sort={key}:{direction}"), &keys).await;
        }
        // without a direction: descending
        let keys = [(key, true), ("created_at", true), ("id", true)];
        assert_order(&service, &all, &format!("sort_key={key}"), &keys).await;
        assert_order(&service, &all, &format!("sort={key}"), &keys).await;
    }
}

#[tokio::test]
async fn v2_107_112_and_341_pages_in_the_order_of_several_keys() {
    let service = Service::start().await;
    fill_with_ties(&service).await;
    let all = service.list(OWNER, "limit=100").await["images"].as_array().unwrap().clone();
    let latest = [("created_at", true), ("id", true)];
    let earliest = [("created_at", false), ("id", false)];
    for (query, keys, ties) in [
        // V2-107
        ("sort=name:asc,size", &[("name", false), ("size", true)][..], latest),
        ("sort=name,size:asc", &[("name", true), ("size", false)], latest),
        ("sort=disk_format:asc,size:desc", &[("disk_format", false), ("size", true)], latest),
        ("sort=size:asc,name:asc", &[("size", false), ("name", false)], latest),
        ("sort=status:asc,created_at:asc", &[("status", false), ("created_at", false)], latest),
        ("sort=updated_at:asc,id:desc", &[("updated_at", false), ("id", true)], latest),
        // V2-112
        ("sort_key=name&sort_key=size&sort_dir=asc", &[("name", false), ("size", false)], earliest),
        ("sort_key=status&sort_key=name&sort_dir=desc", &[("status", true), ("name", true)], latest),
        ("sort_key=name&sort_key=size", &[("name", true), ("size", true)], latest),
        (
            "sort_key=name&sort_key=size&sort_dir=desc&sort_dir=asc",
            &[("name", true), ("size", false)],
            latest,
        ),
        (
            "sort_key=disk_format&sort_dir=asc&sort_key=container_format&sort_dir=desc",
            &[("disk_format", false), ("container_format", true)],
            latest,
        ),
        ("sort_dir=asc", &[], earliest),
        ("sort_dir=desc", &[], latest),
        ("", &[], latest),
    ] {
        assert_order(&service, &all, query, &[keys, &ties].concat()).await;
    }
}

#[tokio::test]
async fn v2_108_to_111_sortings_that_are_none() {
    let service = Service::start().await;
    service.queued(OWNER).await;
    for query in [
        // V2-108
        "sort=name&sort_key=name",
        "sort=name&sort_dir=asc",
        "sort_key=name&sort_dir=asc&sort=name",
        // V2-109
        "sort_key=foo",
        "sort=foo:asc",
        "sort_key=",
        "sort=",
        "sort=name,",
        "sort_key=owner",
        "sort_key=Name",
        "sort_key=min_ram",
        "sort_key=name,size",
        "sort_key=name%20desc",
        "sort_key=id;--",
        // V2-110
        "sort_dir=up",
        "sort_dir=ASC",
        "sort_dir=",
        "sort=name:up",
        "sort=name:asc:desc",
        "sort_key=name&sort_key=size&sort_dir=asc&sort_dir=up",
        // V2-111
        "sort_key=name&sort_key=id&sort_dir=asc&sort_dir=asc&sort_dir=desc",
        "sort_key=name&sort_dir=asc&sort_dir=desc",
        "sort_key=name&sort_key=id&sort_key=size&sort_dir=asc&sort_dir=desc",
        "sort_dir=asc&sort_dir=desc",
    ] {
        assert_refused(&service, query).await;
    }
}

#[tokio::test]
async fn v2_346_links_keep_repeated_parameters() {
    let service = Service::start().await;
    let mut made = Vec::new();
    for name in ["b", "a", "b"] {
        made.push(service.create_id(OWNER, json!({ "name": name, "tags": ["t", "a", "b c"] })).await);
    }
    service.create_id(OWNER, json!({ "name": "c", "tags": ["t", "b c"] })).await;
    service.create_id(OWNER, json!({ "name": "0", "tags": ["t", "a"] })).await;
    let query = "limit=1&tag=t&tag=a&tag=b%20c&sort_key=name&sort_key=created_at&sort_dir=asc&sort_dir=desc";
    let kept =
        "/v2/images?limit=1&tag=t&tag=a&tag=b+c&sort_key=name&sort_key=created_at&sort_dir=asc&sort_dir=desc";
    let page = service.list(OWNER, query).await;
    assert_eq!(page["first"], json!(kept));
    assert_eq!(page["next"], json!(format!("{kept}&marker={}", made[1])));
    let found: Vec<String> = walk(&service, OWNER, query, 1).await.iter().map(id_of).collect();
    assert_eq!(found, [made[1].as_str(), &made[2], &made[0]]);
}

#[tokio::test]
async fn v2_099_links_carry_any_text() {
    let service = Service::start().await;
    let name = "a b&c=d+e%20é日\"';#/?";
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(service.create_id(OWNER, json!({ "name": name, "key &=": name })).await);
    }
    service.create_id(OWNER, json!({ "name": "a b" })).await;
    made.reverse();
    let text = encoded(name);
    // quotes are written \" inside of quotes
    let quoted = encoded(&name.replace('"', "\\\""));
    let query = format!("limit=1&name={text}&key%20%26%3D={text}&name=in:%22{quoted}%22");
    let found: Vec<String> = walk(&service, OWNER, &query, 1).await.iter().map(id_of).collect();
    assert_eq!(found, made);
}

#[tokio::test]
async fn v2_099_pages_stay_together_while_images_come_and_go() {
    let service = Service::start().await;
    fill_with_ties(&service).await;
    let before = service.listed(OWNER, "").await;
    let page = service.list(OWNER, "limit=4").await;
    // the marker's own neighbours vanish and a newer image comes
    service.delete(&format!("/v2/images/{}", before[2])).by(ADMIN).send().await.expect(204);
    service.delete(&format!("/v2/images/{}", before[4])).by(ADMIN).send().await.expect(204);
    service.queued(OWNER).await;
    let mut found = ids_of(&page);
    let rest = page["next"].as_str().unwrap().trim_start_matches("/v2/images?").to_owned();
    found.extend(walk(&service, OWNER, &rest, 4).await.iter().map(id_of));
    let expected = [&before[..4], &before[5..]].concat();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn v2_099_pages_over_what_is_listed_for_several_reasons() {
    let service = Service::start().await;
    // own images of every visibility, images shared with the caller, and public ones of others, by turns
    let mut made = Vec::new();
    for n in 0..12 {
        let (caller, document) = match n % 4 {
            0 => (OWNER, json!({ "visibility": "private" })),
            1 => (ADMIN, json!({ "visibility": "public", "owner": "gamma" })),
            2 => ("otto:beta:member", json!({})),
            _ => (OWNER, json!({ "visibility": "community" })),
        };
        let id = service.create_id(caller, document).await;
        if n % 4 == 2 {
            service.share(&id, caller, "alpha", None).await;
        }
        made.push(id);
    }
    service.sql("UPDATE image_members SET status = 'accepted'").await;
    made.reverse();
    for size in [1, 2, 5, 12, 13] {
        let found = walk(&service, OWNER, &format!("limit={size}"), size).await;
        assert_eq!(found.iter().map(id_of).collect::<Vec<_>>(), made, "{size}");
    }
}
