//! Order and pages of the lists (images-v1.md §4.2, §4.5).

use serde_json::Value;

use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};

const SORT_KEYS: [&str; 8] =
    ["name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"];

/// Makes `count` images of project `alpha` at once.
async fn fill(service: &Service, count: u32) {
    let statement = format!(
        "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, min_disk, min_ram, size,
           created_at, updated_at)
         SELECT gen_random_uuid(), 'alpha', 'image ' || n, 'queued', 'shared', false, false, 0, 0, 0,
           now() + n * interval '1 microsecond', now() FROM generate_series(1, {count}) AS n"
    );
    service.sql(&statement).await;
}

/// Images that differ in every sort key, with ties and nulls in all of them.
async fn fill_with_ties(service: &Service) {
    service
        .sql(
            "INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, min_disk, min_ram, size,
               disk_format, container_format, created_at, updated_at)
             SELECT gen_random_uuid(), 'alpha', (ARRAY['b', NULL, 'a', 'B', 'é'])[n % 5 + 1],
               (ARRAY['queued', 'active', 'saving'])[n % 3 + 1]::image_status, 'shared', false, false, 0, 0,
               (ARRAY[7, NULL, 0, 70])[n % 4 + 1], (ARRAY['raw', NULL, 'iso'])[n % 3 + 1],
               (ARRAY['bare', 'ovf', NULL])[n % 3 + 1], '2020-01-01T00:00:00Z'::timestamptz + n / 3 * interval '1 s',
               '2020-02-01T00:00:00Z'::timestamptz - n / 2 * interval '1 s'
             FROM generate_series(0, 10) AS n",
        )
        .await;
}

/// What an image is sorted by; nulls count as empty text or 0.
fn rank(image: &Value, key: &str) -> (String, String, String) {
    let text = |name: &str| image[name].as_str().unwrap_or_default().to_owned();
    let first = if key == "size" { format!("{:020}", image[key].as_u64().unwrap_or(0)) } else { text(key) };
    (first, text("created_at"), text("id"))
}

/// All ids of a list, fetched page after page.
async fn pages(service: &Service, caller: &str, query: &str, size: usize) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let marker = seen.last().map(|id| format!("&marker={id}")).unwrap_or_default();
        let page = service.ids(caller, &format!("limit={size}&{query}{marker}")).await;
        assert!(page.len() <= size, "{query}: a page of {}", page.len());
        if page.is_empty() {
            return seen;
        }
        for id in page {
            assert!(!seen.contains(&id), "{query}: {id} twice");
            seen.push(id);
        }
    }
}

async fn assert_refused(service: &Service, query: &str, words: &str) {
    for path in ["/v1/images", "/v1/images/detail"] {
        let answer = service.get(&format!("{path}?{query}")).by(OWNER).send().await;
        assert_eq!(answer.status, 400, "{path}?{query}: {}", answer.text());
        assert!(answer.text().contains(words), "{query} without {words:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn v1_091_and_092_limit_sets_the_size_of_a_page() {
    let service = Service::start().await;
    fill(&service, 1_002).await;
    let count = async |query: &str| service.ids(OWNER, query).await.len();
    // V1-091
    assert_eq!(count("limit=2").await, 2);
    assert_eq!(count("limit=0").await, 0);
    assert_eq!(count("").await, 25);
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200);
    assert_eq!(detail.json()["images"].as_array().unwrap().len(), 25);
    // V1-092
    for value in ["-1", "a", "", "1.5", "-0x1"] {
        assert_refused(&service, &format!("limit={value}"), "limit param must be").await;
    }
    assert_eq!(count("limit=5000").await, 1_000);
    // A43
    assert_eq!(count("limit=1000000000000000000").await, 1_000);
    assert_eq!(count("limit=18446744073709551616").await, 1_000);
}

#[tokio::test]
async fn v1_091_the_default_and_the_largest_page_can_be_set() {
    let service = Service::start_with(|config| {
        config.limits.limit_param_default = 3;
        config.limits.api_limit_max = 5;
    })
    .await;
    fill(&service, 7).await;
    assert_eq!(service.ids(OWNER, "").await.len(), 3);
    assert_eq!(service.ids(OWNER, "limit=4").await.len(), 4);
    assert_eq!(service.ids(OWNER, "limit=6").await.len(), 5);
    assert_eq!(pages(&service, OWNER, "", 100).await.len(), 7);
}

#[tokio::test]
async fn v1_093_a_page_starts_after_its_marker() {
    let service = Service::start().await;
    let old = service.image_id(OWNER, None, &[("name", "old")]).await;
    let middle = service.image_id(OWNER, None, &[("name", "middle")]).await;
    let new = service.image_id(OWNER, None, &[("name", "new")]).await;
    let after = async |marker: &str, more: &str| service.ids(OWNER, &format!("marker={marker}{more}")).await;
    assert_eq!(after(&new, "").await, [middle.clone(), old.clone()]);
    assert_eq!(after(&new, "&limit=1").await, std::slice::from_ref(&middle));
    assert!(after(&old, "").await.is_empty());
    // the marker need not be of the list itself
    assert_eq!(after(&new, "&name=old").await, std::slice::from_ref(&old));
    assert_eq!(after(&old, "&sort_dir=asc").await, [middle.clone(), new.clone()]);
    // any spelling of the id will do
    assert_eq!(after(&new.to_uppercase().replace('-', ""), "").await, [middle, old]);
}

#[tokio::test]
async fn v1_094_a_marker_must_be_an_image_that_the_caller_sees() {
    let service = Service::start().await;
    let own = service.image_id(OWNER, None, &[]).await;
    let hidden = service.image_id(OTHER, None, &[]).await;
    let absent = "Invalid marker. Image could not be found.";
    assert_refused(&service, &format!("marker={}", new_id()), absent).await;
    assert_refused(&service, &format!("marker={hidden}"), absent).await;
    assert_refused(&service, "marker=", absent).await;
    for marker in ["4", "nonsense", &own[1..], &format!("{own}0"), "'"] {
        assert_refused(&service, &format!("marker={marker}"), "Invalid marker format").await;
    }
    service.ids(OTHER, &format!("marker={hidden}")).await;
    service.share(&hidden, OTHER, "alpha", None).await;
    assert_eq!(service.ids(OWNER, &format!("marker={hidden}")).await, [own]);
}

#[tokio::test]
async fn v1_095_and_096_lists_sort_by_name_and_by_size() {
    let service = Service::start().await;
    let image =
        async |name: &str, size: &str| service.image_id(OWNER, None, &[("name", name), ("size", size)]).await;
    let (b, c, a) = (image("b", "20").await, image("c", "3").await, image("a", "100").await);
    // V1-095
    let by_name = "sort_key=name&sort_dir=asc";
    assert_eq!(service.ids(OWNER, by_name).await, [&a, &b, &c].map(Clone::clone));
    assert_eq!(service.ids(OWNER, &format!("{by_name}&marker={a}")).await, [&b, &c].map(Clone::clone));
    assert!(service.ids(OWNER, &format!("{by_name}&marker={c}")).await.is_empty());
    assert_eq!(service.ids(OWNER, "sort_key=name").await, [&c, &b, &a].map(Clone::clone));
    // V1-096
    assert_eq!(service.ids(OWNER, "sort_key=size&sort_dir=desc").await, [&a, &b, &c].map(Clone::clone));
    assert_eq!(service.ids(OWNER, "sort_key=size&sort_dir=asc").await, [&c, &b, &a].map(Clone::clone));
    assert_eq!(service.ids(OWNER, "sort_dir=asc").await, [b, c, a]);
}

#[tokio::test]
async fn v1_097_other_sort_words_are_refused() {
    let service = Service::start().await;
    for key in ["asdf", "owner", "min_ram", "Name", "", "name,id", "created_at;--"] {
        assert_refused(&service, &format!("sort_key={key}"), "Unsupported sort_key. Acceptable values: ")
            .await;
    }
    for direction in ["foo", "ASC", ""] {
        assert_refused(&service, &format!("sort_dir={direction}"), "Unsupported sort_dir.").await;
    }
    for key in SORT_KEYS {
        for direction in ["asc", "desc"] {
            service.ids(OWNER, &format!("sort_key={key}&sort_dir={direction}")).await;
        }
    }
}

#[tokio::test]
async fn v1_100_paging_visits_every_image_once_in_order() {
    let service = Service::start().await;
    fill_with_ties(&service).await;
    let list = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    let mut images = list["images"].as_array().unwrap().clone();
    assert_eq!(images.len(), 11);
    for key in SORT_KEYS {
        for direction in ["asc", "desc"] {
            images.sort_by_key(|image| rank(image, key));
            if direction == "desc" {
                images.reverse();
            }
            let expected: Vec<&str> = images.iter().map(|image| image["id"].as_str().unwrap()).collect();
            let query = format!("sort_key={key}&sort_dir={direction}");
            assert_eq!(service.ids(OWNER, &query).await, expected, "{query}");
            assert_eq!(pages(&service, OWNER, &query, 1).await, expected, "{query} by one");
            let all = format!("{query}&is_public=none");
            assert_eq!(pages(&service, ADMIN, &all, 4).await, expected, "{all} by four");
        }
    }
}

#[tokio::test]
async fn v1_100_paging_holds_across_public_own_and_shared_images() {
    let service = Service::start().await;
    let mut made = Vec::new();
    for n in 0..9 {
        let (caller, meta) = match n % 3 {
            0 => (ADMIN, ("is_public", "True")),
            1 => (OWNER, ("is_public", "False")),
            _ => (OTHER, ("is_public", "False")),
        };
        let id = service.image_id(caller, None, &[meta]).await;
        if n % 3 == 2 {
            service.share(&id, OTHER, "alpha", None).await;
        }
        made.insert(0, id);
    }
    for size in [1, 2, 4] {
        assert_eq!(pages(&service, OWNER, "", size).await, made, "pages of {size}");
    }
}
