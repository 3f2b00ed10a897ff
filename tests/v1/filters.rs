//! Query parameters that select images (images-v1.md §4.2).

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::support::api::{ADMIN, OWNER, ROOT, Service};

/// Asserts that the query is refused for everybody, with these words.
async fn assert_refused(service: &Service, query: &str, words: &str) {
    for caller in [OWNER, ADMIN, ROOT] {
        for path in ["/v1/images", "/v1/images/detail"] {
            let answer = service.get(&format!("{path}?{query}")).by(caller).send().await;
            assert_eq!(answer.status, 400, "{path}?{query} by {caller}: {}", answer.text());
            assert!(answer.text().contains(words), "{query} without {words:?}: {}", answer.text());
        }
    }
}

/// An image with one attribute.
async fn image(service: &Service, name: &str, value: &str) -> String {
    service.image_id(OWNER, None, &[(name, value)]).await
}

#[tokio::test]
async fn v1_066_names_are_compared_whole() {
    let service = Service::start().await;
    let id = image(&service, "name", "My Image!").await;
    image(&service, "name", "My Image!x").await;
    image(&service, "name", "my image!").await;
    service.image_id(OWNER, None, &[]).await;
    for query in ["name=My%20Image!", "name=My+Image%21"] {
        service.assert_lists(OWNER, query, &[&id]).await;
    }
    for query in ["name=My", "name=", "name=None", "name=My%2520Image!"] {
        service.assert_lists(OWNER, query, &[]).await;
    }
    let city = image(&service, "name", "東京").await;
    service.assert_lists(OWNER, "name=%E6%9D%B1%E4%BA%AC", &[&city]).await;
}

#[tokio::test]
async fn a43_wildcards_quotes_and_long_sets_are_plain_text() {
    let service = Service::start().await;
    let percent = image(&service, "name", "a%b").await;
    let underscore = image(&service, "name", "a_b").await;
    let letter = image(&service, "name", "axb").await;
    let quote = image(&service, "name", "a'b").await;
    let property = image(&service, "property-p", "a%b").await;
    image(&service, "property-p", "axb").await;
    for (query, id) in [
        ("name=a%25b", &percent),
        ("name=a_b", &underscore),
        ("name=axb", &letter),
        ("name=a'b", &quote),
        ("property-p=a%25b", &property),
    ] {
        service.assert_lists(OWNER, query, &[id]).await;
    }
    for query in ["name=%25", "name=a%5C_b", "name=a'%20OR%20'1'='1", "property-p'=a", "property-%25=axb"] {
        service.assert_lists(OWNER, query, &[]).await;
    }
    let many = vec!["zzzzzzzzz"; 4_000].join(",");
    service.assert_lists(OWNER, &format!("name=in:{many},axb,a_b"), &[&letter, &underscore]).await;
    for query in ["name=a%00b", "property-p%00=x"] {
        assert_refused(&service, query, "null characters").await;
    }
}

#[tokio::test]
async fn v1_067_and_068_status_and_formats_are_compared() {
    let service = Service::start().await;
    let queued = service.image_id(OWNER, None, &[("disk_format", "raw"), ("container_format", "ovf")]).await;
    let active =
        service.image_id(OWNER, Some(b"data"), &[("disk_format", "iso"), ("container_format", "bare")]).await;
    let vdi = service.image_id(OWNER, None, &[("disk_format", "vdi"), ("container_format", "bare")]).await;
    // V1-067
    service.assert_lists(OWNER, "status=queued", &[&queued, &vdi]).await;
    service.assert_lists(OWNER, "status=active", &[&active]).await;
    for status in ["nonsense", "Queued", "", "deleted", "saving"] {
        service.assert_lists(OWNER, &format!("status={status}"), &[]).await;
    }
    // V1-068
    service.assert_lists(OWNER, "container_format=ovf", &[&queued]).await;
    service.assert_lists(OWNER, "disk_format=vdi", &[&vdi]).await;
    service.assert_lists(OWNER, "container_format=bare&disk_format=vdi", &[&vdi]).await;
    service.assert_lists(OWNER, "container_format=ovf&disk_format=vdi", &[]).await;
    service.assert_lists(OWNER, "disk_format=nonsense", &[]).await;
}

#[tokio::test]
async fn v1_069_to_071_sizes_are_bounded_inclusively() {
    let service = Service::start().await;
    let small = image(&service, "size", "19").await;
    let middle = image(&service, "size", "20").await;
    let large = image(&service, "size", "21").await;
    // as another dialect makes them: of no size at all
    let unknown = image(&service, "size", "20").await;
    service.sql(&format!("UPDATE images SET size = NULL WHERE id = '{unknown}'")).await;
    // V1-069
    service.assert_lists(OWNER, "size_max=20", &[&small, &middle]).await;
    service.assert_lists(OWNER, "size_min=20", &[&middle, &large]).await;
    service.assert_lists(OWNER, "size_min=20&size_max=20", &[&middle]).await;
    service.assert_lists(OWNER, "size_min=21&size_max=19", &[]).await;
    service.assert_lists(OWNER, "size_min=0", &[&small, &middle, &large]).await;
    service.assert_lists(OWNER, "size_min=99999999999999999999", &[]).await;
    service.assert_lists(OWNER, "size_max=99999999999999999999", &[&small, &middle, &large]).await;
    for name in ["size_min", "size_max"] {
        // V1-070, V1-071
        for value in ["-1", "abc", "", "1.5"] {
            let words = format!("Bad value passed to filter {name} got {value}");
            assert_refused(&service, &format!("{name}={value}"), &words).await;
        }
    }
}

#[tokio::test]
async fn v1_072_to_074_min_ram_and_min_disk_are_compared_for_equality() {
    let service = Service::start().await;
    // V1-072
    for value in ["-1", "abc", ""] {
        let words = format!("Bad value passed to filter min_ram got {value}");
        assert_refused(&service, &format!("min_ram={value}"), &words).await;
    }
    // V1-073
    image(&service, "min_ram", "513").await;
    let ram = image(&service, "min_ram", "514").await;
    image(&service, "min_ram", "515").await;
    service.assert_lists(OWNER, "min_ram=514", &[&ram]).await;
    service.assert_lists(OWNER, "min_ram=9223372036854775808", &[]).await;
    // V1-074
    image(&service, "min_disk", "6").await;
    let disk = image(&service, "min_disk", "7").await;
    image(&service, "min_disk", "8").await;
    service.assert_lists(OWNER, "min_disk=7", &[&disk]).await;
    service.assert_lists(OWNER, "min_disk=-7", &[]).await;
    service.assert_lists(OWNER, "min_disk=9223372036854775808", &[]).await;
}

#[tokio::test]
async fn v1_075_and_076_protected_takes_four_words() {
    let service = Service::start().await;
    let locked = image(&service, "protected", "True").await;
    let free = service.image_id(OWNER, None, &[]).await;
    // V1-075
    for word in ["True", "true", "TRUE", "1"] {
        service.assert_lists(OWNER, &format!("protected={word}"), &[&locked]).await;
    }
    for word in ["FALSE", "False", "false", "0"] {
        service.assert_lists(OWNER, &format!("protected={word}"), &[&free]).await;
    }
    assert_refused(&service, "protected=imalittleteapot", "protected got imalittleteapot").await;
    // V1-076
    for word in ["", "None", "none", "yes"] {
        assert_refused(&service, &format!("protected={word}"), "Bad value passed to filter protected").await;
    }
}

#[tokio::test]
async fn v1_084_and_085_properties_must_all_match() {
    let service = Service::start().await;
    let meta = [("property-pants", "are on"), ("property-big-hat", "red")];
    let both = service.image_id(OWNER, None, &meta).await;
    let one = image(&service, "property-pants", "are on").await;
    let void = image(&service, "property-pants", "").await;
    // V1-084
    service.assert_lists(OWNER, "property-pants=are%20on", &[&both, &one]).await;
    service.assert_lists(OWNER, "property-pants=are%20on&property-big_hat=red", &[&both]).await;
    service.assert_lists(OWNER, "property-big_hat=red&name=x", &[]).await;
    // V1-085
    for query in [
        "property-pants=off",
        "property-socks=on",
        "property-pants=are%20on&property-big_hat=blue",
        // the key is taken as it stands
        "property-Pants=are%20on",
        "property-big-hat=red",
        "property-=red",
        // null equals nothing
        "property-pants=",
    ] {
        service.assert_lists(OWNER, query, &[]).await;
    }
    let shown = service.head(&format!("/v1/images/{void}")).by(OWNER).send().await.expect(200);
    assert_eq!(shown.meta("property-pants"), None);
}

/// An instant as the query takes it, some days from now.
fn days_from_now(days: i64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    (OffsetDateTime::now_utc() + Duration::days(days)).format(form).unwrap()
}

#[tokio::test]
async fn v1_086_changes_since_includes_deleted_images() {
    let service = Service::start().await;
    let kept = image(&service, "property-a", "b").await;
    let gone = image(&service, "property-a", "b").await;
    service.delete(&format!("/v1/images/{gone}")).by(OWNER).send().await.expect(200);
    let (yesterday, tomorrow) = (days_from_now(-1), days_from_now(1));
    service.assert_lists(OWNER, "", &[&kept]).await;
    service.assert_lists(OWNER, &format!("changes-since={yesterday}"), &[&kept, &gone]).await;
    service.assert_lists(OWNER, &format!("changes-since={tomorrow}"), &[]).await;
    let all = format!("is_public=none&changes-since={yesterday}");
    service.assert_lists(ADMIN, &all, &[&kept, &gone]).await;
    service.assert_lists(ADMIN, &format!("{all}&status=deleted"), &[&gone]).await;
    service.assert_lists(ADMIN, &format!("{all}&property-a=b"), &[&kept]).await;
    let path = format!("/v1/images/detail?changes-since={yesterday}&status=deleted");
    let entry = service.get(&path).by(OWNER).send().await.expect(200).json()["images"][0].clone();
    assert_eq!((entry["id"].as_str(), entry["deleted"].as_bool()), (Some(gone.as_str()), Some(true)));
    assert_eq!(entry["properties"], serde_json::json!({}));
    assert!(entry["deleted_at"].is_string(), "{entry}");
}

#[tokio::test]
async fn v1_086_to_088_changes_since_is_an_instant_in_any_form() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[]).await;
    service.sql("UPDATE images SET updated_at = '2013-05-01T10:00:00Z'").await;
    for earlier in [
        "2013-05-01T09:59:59Z",
        "2013-05-01T09:59:59",
        "2013-05-01T09:59:59.999999Z",
        "2013-05-01%2009:59:59",
        // V1-087
        "2013-05-01T10:59:59%2B01:00",
        "2013-05-01T10:59:59%2B0100",
        "2013-05-01T08:59:59-01:00",
        "2013-05-02T00:30:00%2B14:31",
        // V1-088
        "2013-05-01",
        "20130501",
        "2013-0501",
        "2013",
    ] {
        service.assert_lists(OWNER, &format!("changes-since={earlier}"), &[&id]).await;
    }
    for not_earlier in [
        // later means strictly later
        "2013-05-01T10:00:00Z",
        "2013-05-01T10:00:00",
        // V1-087
        "2013-05-01T11:00:00%2B01:00",
        "2013-05-01T09:00:00-01:00",
        "2013-05-01T09:59:59-01:00",
        // V1-088
        "2013-05-02",
        "20130502",
        "2013-0502",
    ] {
        service.assert_lists(OWNER, &format!("changes-since={not_earlier}"), &[]).await;
    }
    // V1-088
    for value in ["", "garbage", "2013-13-45", "2013-05-01T25:00:00", "1800-01-01", "yesterday", "-1"] {
        assert_refused(&service, &format!("changes-since={value}"), "changes-since").await;
    }
}

#[tokio::test]
async fn filters_hold_together_with_visibility_and_hidden_images_stay_hidden() {
    let service = Service::start().await;
    let foreign = service.image_id(ADMIN, None, &[("name", "n")]).await;
    let own = image(&service, "name", "n").await;
    let hidden = image(&service, "name", "n").await;
    service.sql(&format!("UPDATE images SET os_hidden = true WHERE id = '{hidden}'")).await;
    service.assert_lists(OWNER, "name=n", &[&own]).await;
    service.assert_lists(ADMIN, "name=n&is_public=none", &[&own, &foreign]).await;
    service.assert_lists(ADMIN, "name=n&is_public=none&status=active", &[]).await;
}
