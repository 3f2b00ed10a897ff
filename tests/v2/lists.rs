//! What every list has, and how large it is (images-v2.md §8.1, §8.2).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};
use crate::support::v2::ids_of;

/// Makes `count` images of project `alpha` at once, three of each second, the oldest first.
async fn fill(service: &Service, count: u32) {
    let statement = format!(
        "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, min_disk, min_ram,
           created_at, updated_at)
         SELECT gen_random_uuid(), 'alpha', 'image ' || n, 'queued', 'shared', false, false, 0, 0,
           '2020-01-01T00:00:00Z'::timestamptz + n / 3 * interval '1 s', now() FROM generate_series(1, {count}) AS n"
    );
    service.sql(&statement).await;
}

async fn assert_refused(service: &Service, query: &str) {
    let answer = service.get(&format!("/v2/images?{query}")).by(OWNER).send().await;
    assert_eq!(answer.status, 400, "{query}: {}", answer.text());
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

#[tokio::test]
async fn v2_097_a_page_is_25_images_newest_first() {
    let service = Service::start().await;
    fill(&service, 40).await;
    let all = service.list(OWNER, "limit=1000").await["images"].as_array().unwrap().clone();
    assert_eq!(all.len(), 40);
    let page = service.list(OWNER, "").await;
    let images = page["images"].as_array().unwrap();
    assert_eq!(images[..], all[..25]);
    let order: Vec<(&str, &str)> =
        all.iter().map(|image| (text(image, "created_at"), text(image, "id"))).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable_by(|one, two| two.cmp(one));
    assert_eq!(order, sorted, "by created_at, then by id");
    assert!(order.windows(2).any(|pair| pair[0].0 == pair[1].0), "some are of the same second");
    assert_eq!(page["next"], json!(format!("/v2/images?marker={}", order[24].1)));
}

#[tokio::test]
async fn v2_097_and_101_sizes_of_pages_can_be_set() {
    let service = Service::start_with(|config| {
        config.limits.limit_param_default = 3;
        config.limits.api_limit_max = 5;
    })
    .await;
    fill(&service, 7).await;
    assert_eq!(service.listed(OWNER, "").await.len(), 3);
    assert_eq!(service.listed(OWNER, "limit=4").await.len(), 4);
    let page = service.list(OWNER, "limit=6").await;
    assert_eq!(ids_of(&page).len(), 5);
    assert!(text(&page, "next").starts_with("/v2/images?limit=6&marker="), "{page}");
}

#[tokio::test]
async fn v2_098_the_next_page_starts_after_the_last_row() {
    let service = Service::start().await;
    fill(&service, 5).await;
    let all = service.listed(OWNER, "").await;
    let page = service.list(OWNER, "limit=2&visibility=shared").await;
    assert_eq!(ids_of(&page), all[..2]);
    assert_eq!(page["next"], json!(format!("/v2/images?limit=2&visibility=shared&marker={}", all[1])));
    let page = service.get(text(&page, "next")).by(OWNER).send().await.expect(200).json();
    assert_eq!(ids_of(&page), all[2..4]);
    // the marker comes last and once, and the way back is to the start
    assert_eq!(page["next"], json!(format!("/v2/images?limit=2&visibility=shared&marker={}", all[3])));
    assert_eq!(page["first"], json!("/v2/images?limit=2&visibility=shared"));
    let page = service.get(text(&page, "next")).by(OWNER).send().await.expect(200).json();
    assert_eq!(ids_of(&page), all[4..]);
    assert_eq!(page.get("next"), None);
}

#[tokio::test]
async fn v2_100_and_102_limits() {
    let service = Service::start().await;
    fill(&service, 2).await;
    // V2-100
    let page = service.list(OWNER, "limit=0").await;
    let expected = json!({ "images": [], "first": "/v2/images?limit=0", "schema": "/v2/schemas/images" });
    assert_eq!(page, expected);
    // V2-102
    for value in ["-1", "x", "", "1.5", "0x1", "1e1", "1,2"] {
        assert_refused(&service, &format!("limit={value}")).await;
    }
    assert_eq!(service.listed(OWNER, "limit=1").await.len(), 1);
}

#[tokio::test]
async fn v2_101_a_page_has_at_most_a_thousand_images() {
    let service = Service::start().await;
    fill(&service, 1_002).await;
    for limit in ["5000", "1001", "18446744073709551616"] {
        let page = service.list(OWNER, &format!("limit={limit}")).await;
        let ids = ids_of(&page);
        assert_eq!(ids.len(), 1_000, "{limit}");
        assert_eq!(page["first"], json!(format!("/v2/images?limit={limit}")));
        assert_eq!(page["next"], json!(format!("/v2/images?limit={limit}&marker={}", ids[999])));
    }
    let last = service.listed(OWNER, "limit=1000").await[999].clone();
    let page = service.list(OWNER, &format!("limit=5000&marker={last}")).await;
    assert_eq!((ids_of(&page).len(), page.get("next")), (2, None));
}

#[tokio::test]
async fn v2_103_markers_that_mark_nothing() {
    let service = Service::start().await;
    fill(&service, 2).await;
    let [deleted, killed] = [service.queued(OWNER).await, service.queued(OWNER).await];
    service.delete(&format!("/v2/images/{deleted}")).by(OWNER).send().await.expect(204);
    service.set(&killed, "status = 'killed'").await;
    let invisible = service.queued(OTHER).await;
    for marker in [&new_id(), &deleted, &killed, &invisible, "abc", "", "%20"] {
        assert_refused(&service, &format!("marker={marker}")).await;
        // nothing to list makes it no better
        assert_refused(&service, &format!("marker={marker}&limit=0")).await;
    }
    // one that can be seen will do, even if it is not of this list
    let hidden = service.create_id(OWNER, json!({ "os_hidden": true })).await;
    assert_eq!(service.listed(OWNER, &format!("marker={hidden}")).await.len(), 2);
    assert_eq!(service.listed(OWNER, &format!("marker={hidden}&sort_dir=asc")).await, [""; 0]);
    let upper = hidden.to_uppercase();
    assert_eq!(service.listed(OWNER, &format!("marker={upper}")).await.len(), 2);
    // to administrators all can
    assert_eq!(service.listed(ADMIN, &format!("marker={invisible}")).await.len(), 2);
}

#[tokio::test]
async fn v2_104_and_105_links_of_a_list() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "name": "a b" })).await;
    let page = service.list(OWNER, "").await;
    // V2-105
    assert_eq!(page["schema"], json!("/v2/schemas/images"));
    assert_eq!((&page["first"], page.get("next")), (&json!("/v2/images"), None));
    assert_eq!(page.as_object().unwrap().len(), 3);
    // V2-104
    for (query, first) in [
        (format!("limit=2&name=a%20b&marker={id}"), "/v2/images?limit=2&name=a+b"),
        (format!("marker={id}"), "/v2/images"),
        (format!("marker={id}&name=%C3%A9%26%3D%2B&empty="), "/v2/images?name=%C3%A9%26%3D%2B&empty="),
    ] {
        let page = service.list(OWNER, &query).await;
        assert_eq!(page["first"], json!(first), "{query}");
    }
}

#[tokio::test]
async fn v2_138_and_140_parameters_that_are_none() {
    let service = Service::start().await;
    let id = service.queued(OWNER).await;
    // V2-138
    assert_refused(&service, "changes-since=2020-01-01T00:00:00Z").await;
    assert_refused(&service, "changes-since=").await;
    // V2-140
    let page = service.list(OWNER, "no_such_property_anywhere=x").await;
    assert_eq!(page["images"], json!([]));
    // deleted images are not to be had
    let deleted = service.queued(OWNER).await;
    service.delete(&format!("/v2/images/{deleted}")).by(OWNER).send().await.expect(204);
    for value in ["true", "false", "True", "x", ""] {
        for caller in [OWNER, ADMIN] {
            let found = service.listed(caller, &format!("deleted={value}")).await;
            assert_eq!(found, std::slice::from_ref(&id), "{value:?}");
        }
    }
}

#[tokio::test]
async fn rows_are_what_show_shows() {
    let service = Service::start().await;
    let active = service.active(OWNER, json!({ "name": "n", "p": "v", "tags": ["t"] }), b"data").await;
    let queued = service.create_id(OWNER, json!({ "kernel_id": null })).await;
    let page = service.list(OWNER, "").await;
    assert_eq!(
        page["images"],
        json!([service.show(OWNER, &queued).await, service.show(OWNER, &active).await])
    );
}
