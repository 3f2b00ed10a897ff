//! Filters of the list (images-v2.md §8.3, §8.4).

use serde_json::json;

use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};
use crate::support::v2::{encoded, raw};

/// Asserts that the owner's list has exactly the images of these names, in any order.
async fn assert_named(service: &Service, query: &str, expected: &[&str]) {
    let mut found = service.names(OWNER, query).await;
    let mut expected = expected.to_vec();
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected, "{query}");
}

async fn assert_refused(service: &Service, queries: &[&str]) {
    for query in queries {
        let answer = service.get(&format!("/v2/images?{query}")).by(OWNER).send().await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
}

async fn named(service: &Service, names: &[&str]) {
    for name in names {
        service.create(OWNER, json!({ "name": name })).await;
    }
}

#[tokio::test]
async fn v2_113_to_117_names() {
    let service = Service::start().await;
    named(&service, &["x", "X", "xx", "a", "b", "b,c", "a:b", "q\"r", "", "in", "2020-01-01T00:00:00Z"])
        .await;
    service.create(OWNER, json!({ "name": null, "marked": "yes" })).await;
    for (value, expected) in [
        // V2-113
        ("x", &["x"][..]),
        ("y", &[]),
        ("%", &[]),
        ("in", &["in"]),
        ("b,c", &["b,c"]),
        ("q\"r", &["q\"r"]),
        ("eq:x", &["x"]),
        // V2-114
        ("in:a,\"b,c\"", &["a", "b,c"]),
        ("in:a,b,c", &["a", "b"]),
        ("in:x", &["x"]),
        ("in:\"x\"", &["x"]),
        ("in:\"q\\\"r\",X", &["q\"r", "X"]),
        ("in:y,z", &[]),
        // V2-117
        ("eq:a:b", &["a:b"]),
        ("in:\"a:b\",x", &["a:b", "x"]),
        ("eq:in:a", &[]),
        // an instant is no operator
        ("2020-01-01T00:00:00Z", &["2020-01-01T00:00:00Z"]),
    ] {
        assert_named(&service, &format!("name={}", encoded(value)), expected).await;
    }
    // an empty value is one that images may have
    assert_named(&service, "name=", &[""]).await;
    assert_eq!(service.list(OWNER, "name=").await["images"][0].get("marked"), None, "null is not empty");
    // V2-115
    let quoted = ["in:\"a", "in:a\"b\"", "in:\"a\"b", "in:\"", "in:a,\"b", "in:\"a\"\"b\"", "in:a\""];
    for value in quoted {
        assert_refused(&service, &[&format!("name={}", encoded(value))]).await;
    }
    // V2-116
    assert_refused(&service, &["name=neq:a", "name=foo:bar", "name=gt:a", "name=:a", "name=EQ:a"]).await;
    assert_refused(&service, &["disk_format=like:r", "container_format=foo:bare", "status=neq:active"]).await;
    assert_refused(&service, &["id=gt:0", "status=foo:active"]).await;
}

#[tokio::test]
async fn v2_118_states() {
    let service = Service::start().await;
    named(&service, &["queued"]).await;
    service.active(OWNER, json!({ "name": "active" }), b"data").await;
    for status in ["saving", "uploading", "importing", "deactivated", "killed"] {
        let id = service.create_id(OWNER, json!({ "name": status })).await;
        service.set(&id, &format!("status = '{status}'")).await;
    }
    for status in ["deleted", "pending_delete"] {
        let id = service.create_id(OWNER, json!({ "name": status })).await;
        service.set(&id, &format!("status = '{status}', deleted_at = now()")).await;
    }
    let listed = ["queued", "active", "saving", "uploading", "importing", "deactivated"];
    assert_named(&service, "", &listed).await;
    for status in listed {
        assert_named(&service, &format!("status={status}"), &[status]).await;
        assert_named(&service, &format!("status=eq:{status}"), &[status]).await;
    }
    assert_named(&service, "status=in:queued,active", &["queued", "active"]).await;
    assert_named(&service, "status=in:%22queued%22,nonsense", &["queued"]).await;
    for status in ["deleted", "killed", "pending_delete", "nonsense", "", "Active"] {
        assert_named(&service, &format!("status={status}"), &[]).await;
        assert_eq!(service.names(ADMIN, &format!("status={status}")).await, [""; 0], "{status}");
    }
    assert_named(&service, "status=in:killed,deleted,queued", &["queued"]).await;
}

#[tokio::test]
async fn v2_119_and_120_ids_and_formats() {
    let service = Service::start().await;
    let one = json!({ "name": "one", "disk_format": "raw", "container_format": "bare" });
    let one = service.create_id(OWNER, one).await;
    let two = json!({ "name": "two", "disk_format": "qcow2", "container_format": "ovf" });
    let two = service.create_id(OWNER, two).await;
    service.create_id(OWNER, json!({ "name": "three", "disk_format": "iso" })).await;
    let foreign = service.queued(OTHER).await;
    // V2-119
    assert_named(&service, &format!("id={one}"), &["one"]).await;
    assert_named(&service, &format!("id=in:{one},{two}"), &["one", "two"]).await;
    assert_named(&service, &format!("id=in:%22{one}%22,{foreign},{},abc", new_id()), &["one"]).await;
    for nothing in [&foreign, &new_id(), "abc", "", "in:"] {
        assert_named(&service, &format!("id={nothing}"), &[]).await;
    }
    // V2-120
    assert_named(&service, "disk_format=raw", &["one"]).await;
    assert_named(&service, "disk_format=eq:raw", &["one"]).await;
    assert_named(&service, "disk_format=in:raw,qcow2", &["one", "two"]).await;
    assert_named(&service, "disk_format=foo", &[]).await;
    assert_named(&service, "container_format=ovf", &["two"]).await;
    assert_named(&service, "container_format=in:ovf,bare", &["one", "two"]).await;
    assert_named(&service, "disk_format=in:raw,iso&container_format=bare", &["one"]).await;
}

#[tokio::test]
async fn v2_121_and_122_times() {
    let service = Service::start().await;
    for (name, created, updated) in [
        ("old", "2020-01-01T00:00:00.25Z", "2021-01-01T00:00:00Z"),
        ("same", "2020-01-01T00:00:00Z", "2021-01-01T00:00:01.999Z"),
        ("new", "2020-01-01T00:00:01Z", "2021-06-01T00:00:00Z"),
    ] {
        let id = service.create_id(OWNER, json!({ "name": name })).await;
        service.set(&id, &format!("created_at = '{created}', updated_at = '{updated}'")).await;
    }
    let instant = "2020-01-01T00:00:00Z";
    for (value, expected) in [
        // V2-121; what is shown as the same instant is the same
        (format!("gt:{instant}"), &["new"][..]),
        (format!("gte:{instant}"), &["old", "same", "new"]),
        (format!("lt:{instant}"), &[]),
        (format!("lte:{instant}"), &["old", "same"]),
        (format!("eq:{instant}"), &["old", "same"]),
        (format!("neq:{instant}"), &["new"]),
        (instant.to_owned(), &["old", "same"]),
        ("lt:2020-01-01T00:00:01Z".to_owned(), &["old", "same"]),
        ("lte:2020-01-01T00:00:01Z".to_owned(), &["old", "same", "new"]),
        ("gt:2999-01-01T00:00:00Z".to_owned(), &[]),
        ("lt:2999-01-01T00:00:00Z".to_owned(), &["old", "same", "new"]),
        // the zone counts
        ("eq:2020-01-01T02:00:00+02:00".to_owned(), &["old", "same"]),
        ("gt:2020-01-01T02:00:00+02:00".to_owned(), &["new"]),
        ("gt:2020-01-01T00:00:01+02:00".to_owned(), &["old", "same", "new"]),
        ("lt:2019-12-31T22:00:01-02:00".to_owned(), &["old", "same"]),
    ] {
        assert_named(&service, &format!("created_at={}", encoded(&value)), expected).await;
    }
    // V2-122
    assert_named(&service, "updated_at=2021-01-01T00:00:01Z", &["same"]).await;
    assert_named(&service, "updated_at=2021-01-01T00:00:02Z", &[]).await;
    assert_named(&service, "updated_at=gt:2021-01-01T00:00:01Z", &["new"]).await;
    assert_named(
        &service,
        "updated_at=lte:2021-01-01T00:00:01Z&created_at=lt:2020-01-01T00:00:01Z",
        &["old", "same"],
    )
    .await;
    for value in [
        format!("foo:{instant}"),
        format!("in:{instant}"),
        format!(":{instant}"),
        "gt:yesterday".to_owned(),
        "gt:".to_owned(),
        "nonsense".to_owned(),
        String::new(),
        "gt:2020-13-01T00:00:00Z".to_owned(),
        "2020-02-30T00:00:00Z".to_owned(),
        "gt:1577836800".to_owned(),
    ] {
        let value = encoded(&value);
        assert_refused(&service, &[&format!("created_at={value}"), &format!("updated_at={value}")]).await;
    }
}

#[tokio::test]
async fn v2_123_sizes() {
    let service = Service::start().await;
    for (name, size) in [("one", 1), ("ten", 10), ("eleven", 11)] {
        service
            .active(OWNER, json!({ "name": name, "min_ram": size, "min_disk": size }), &vec![b'x'; size])
            .await;
    }
    service.set(&service.queued(OWNER).await, "name = 'none', virtual_size = 5").await;
    service.sql("UPDATE images SET virtual_size = size WHERE size IS NOT NULL").await;
    for name in ["size", "virtual_size", "min_ram", "min_disk"] {
        assert_named(&service, &format!("{name}_min=1&{name}_max=10&status=active"), &["one", "ten"]).await;
        assert_named(&service, &format!("{name}_min=10"), &["ten", "eleven"]).await;
        assert_named(&service, &format!("{name}_max=1&status=active"), &["one"]).await;
        assert_named(&service, &format!("{name}_min=2&{name}_max=9&status=active"), &[]).await;
        assert_named(&service, &format!("{name}=10"), &["ten"]).await;
        assert_named(&service, &format!("{name}=x"), &[]).await;
        // larger than any
        assert_named(&service, &format!("{name}_min=99999999999999999999"), &[]).await;
        for value in ["x", "", "1.5", "1e1", "eq:1"] {
            let queries = [format!("{name}_min={value}"), format!("{name}_max={value}")];
            assert_refused(&service, &[&queries[0], &queries[1]]).await;
        }
    }
    assert_named(&service, "virtual_size=5", &["none"]).await;
    assert_named(&service, "min_ram_min=-5&min_ram_max=0", &["none"]).await;
}

#[tokio::test]
async fn v2_124_tags() {
    let service = Service::start().await;
    for (name, tags) in
        [("both", &["a", "b"][..]), ("one", &["a"]), ("case", &["a", "B"]), ("odd", &["a,b", "é"])]
    {
        service.create(OWNER, json!({ "name": name, "tags": tags })).await;
    }
    assert_named(&service, "tag=a&tag=b", &["both"]).await;
    assert_named(&service, "tag=a", &["both", "one", "case"]).await;
    assert_named(&service, "tag=B", &["case"]).await;
    assert_named(&service, "tag=a&tag=a", &["both", "one", "case"]).await;
    assert_named(&service, "tag=a%2Cb", &["odd"]).await;
    assert_named(&service, "tag=%C3%A9", &["odd"]).await;
    assert_named(&service, "tag=+b+", &["both"]).await;
    assert_named(&service, "tag=a&tag=c", &[]).await;
    assert_named(&service, "tag=", &[]).await;
    assert_named(&service, "tag=a&name=one", &["one"]).await;
}

#[tokio::test]
async fn v2_125_hashes() {
    let service = Service::start().await;
    let one = service.active(OWNER, json!({ "name": "one" }), b"one").await;
    service.active(OWNER, json!({ "name": "two" }), b"two").await;
    named(&service, &["queued"]).await;
    let shown = service.show(OWNER, &one).await;
    for name in ["checksum", "os_hash_value"] {
        let value = shown[name].as_str().unwrap();
        assert_named(&service, &format!("{name}={value}"), &["one"]).await;
        assert_named(&service, &format!("{name}={}", &value[1..]), &[]).await;
        assert_named(&service, &format!("{name}=eq:{value}"), &[]).await;
    }
    assert_named(&service, "os_hash_algo=sha512", &["one", "two"]).await;
    assert_named(&service, "os_hash_algo=md5", &[]).await;
}

#[tokio::test]
async fn v2_126_owners() {
    let service = Service::start().await;
    for (caller, name, document) in [
        (OWNER, "own", json!({ "visibility": "private" })),
        (OTHER, "foreign", json!({ "visibility": "private" })),
        (OTHER, "community", json!({ "visibility": "community" })),
        (ADMIN, "public", json!({ "visibility": "public", "owner": "beta" })),
        (ADMIN, "nobody's", json!({ "visibility": "public", "owner": null })),
    ] {
        let id = service.create_id(caller, document).await;
        service.set(&id, &format!("name = $${name}$$")).await;
    }
    assert_named(&service, "owner=alpha", &["own"]).await;
    // it only narrows (A29)
    assert_named(&service, "owner=beta", &["public"]).await;
    assert_named(&service, "owner=beta&visibility=all", &["public", "community"]).await;
    assert_named(&service, "owner=beta&visibility=private", &[]).await;
    assert_named(&service, "owner=ALPHA", &[]).await;
    assert_named(&service, "owner=", &[]).await;
    let mut found = service.names(ADMIN, "owner=beta&visibility=all").await;
    found.sort();
    assert_eq!(found, ["community", "foreign", "public"]);
    assert_eq!(service.names(ADMIN, "owner=alpha").await, ["own"]);
}

#[tokio::test]
async fn v2_127_to_129_protected_and_hidden_images() {
    let service = Service::start().await;
    for (name, protected, hidden) in
        [("plain", false, false), ("protected", true, false), ("hidden", false, true), ("both", true, true)]
    {
        service.create(OWNER, json!({ "name": name, "protected": protected, "os_hidden": hidden })).await;
    }
    // V2-127
    assert_named(&service, "protected=true", &["protected"]).await;
    assert_named(&service, "protected=false", &["plain"]).await;
    assert_refused(&service, &["protected=True", "protected=1", "protected=", "protected=eq:true"]).await;
    // V2-128
    for value in ["true", "TRUE", "True"] {
        assert_named(&service, &format!("os_hidden={value}"), &["hidden", "both"]).await;
    }
    assert_named(&service, "os_hidden=true&protected=true", &["both"]).await;
    assert_named(&service, "os_hidden=FALSE", &["plain", "protected"]).await;
    assert_refused(&service, &["os_hidden=x", "os_hidden=1", "os_hidden="]).await;
    // V2-129
    assert_named(&service, "", &["plain", "protected"]).await;
    assert_named(&service, "visibility=all", &["plain", "protected"]).await;
    assert_named(&service, "name=hidden", &[]).await;
    assert_eq!(service.names(ADMIN, "name=hidden").await, [""; 0]);
    let hidden = service.listed(OWNER, "os_hidden=true&name=hidden").await;
    assert_eq!(service.show(OWNER, &hidden[0]).await["os_hidden"], json!(true));
}

#[tokio::test]
async fn v2_139_and_140_custom_properties() {
    let service = Service::start().await;
    for (name, key, value) in [
        ("one", "key", "v 1"),
        ("two", "key", "v 2"),
        ("case", "Key", "v 1"),
        ("empty", "key", ""),
        ("colon", "key", "eq:x"),
        ("odd", "a&b=c", "é+%"),
        // names that something here or in the reference is called
        ("bound", "level_min", "3"),
        ("locations", "members", "m"),
        ("properties", "properties", "p"),
        ("status", "owner_id", "alpha"),
        ("public", "is_public", "True"),
    ] {
        service.create(OWNER, json!({ "name": name, key: value })).await;
    }
    // V2-139
    for (query, expected) in [
        ("key=v+1", &["one"][..]),
        ("key=v%201", &["one"]),
        ("Key=v+1", &["case"]),
        ("key=V+1", &[]),
        ("key=v", &[]),
        ("key=in:x", &[]),
        ("key=eq:x", &["colon"]),
        ("key=", &["empty"]),
        ("a%26b%3Dc=%C3%A9%2B%25", &["odd"]),
        ("level_min=3", &["bound"]),
        ("level_min=x", &[]),
        ("members=m", &["locations"]),
        ("properties=p", &["properties"]),
        ("is_public=True", &["public"]),
        ("owner_id=alpha", &["status"]),
        ("key=v+1&name=one", &["one"]),
        ("key=v+1&name=two", &[]),
        // V2-140
        ("no_such_property_anywhere=x", &[]),
        ("no_such_property_anywhere=", &[]),
        ("locations=x", &[]),
        ("metadata=x", &[]),
        ("member_id=beta", &[]),
        ("created_at_min=x", &[]),
        ("=x", &[]),
    ] {
        assert_named(&service, query, expected).await;
    }
}

#[tokio::test]
async fn filters_work_together_and_of_repeated_ones_the_last_counts() {
    let service = Service::start().await;
    let document = json!({ "name": "a", "tags": ["t"], "protected": true, "p": "v", "min_ram": 5 });
    service.create(OWNER, raw(document)).await;
    service.create(OWNER, raw(json!({ "name": "a", "tags": ["t"], "p": "v", "min_ram": 5 }))).await;
    let all = "name=a&tag=t&p=v&min_ram=5&disk_format=raw&visibility=shared&status=queued&owner=alpha";
    assert_named(&service, all, &["a", "a"]).await;
    assert_named(&service, &format!("{all}&protected=true"), &["a"]).await;
    for other in
        ["name=b", "tag=u", "p=w", "min_ram=6", "disk_format=iso", "visibility=private", "status=active"]
    {
        assert_named(&service, &format!("{all}&{other}"), &[]).await;
    }
    assert_named(&service, "name=b&name=a", &["a", "a"]).await;
    assert_named(&service, "&&name=a&", &["a", "a"]).await;
}
