//! How images look in answers: headers, JSON, and what never shows (images-v1.md §3.3 to §3.5).

use regex::Regex;
use serde_json::Value;

use crate::support::api::{ADMIN, Answer, OCTETS, OWNER, Service};

const DATA: &[u8] = b"hello";
const MD5_OF_DATA: &str = "5d41402abc4b2a76b9719d911017c592";

/// An active, protected image with a property. Returns its path.
async fn full_image(service: &Service) -> String {
    let meta = [
        ("name", "full"),
        ("disk_format", "raw"),
        ("container_format", "bare"),
        ("protected", "True"),
        ("virtual_size", "80"),
        ("property-last-modified", "now"),
    ];
    let id = service.image_id(OWNER, Some(DATA), &meta).await;
    format!("/v1/images/{id}")
}

/// The answers to create, update, show and download of one image, with what each was.
async fn answers(service: &Service, data: Option<&[u8]>) -> Vec<(&'static str, Answer)> {
    let mut create = service.post("/v1/images").by(OWNER);
    create = create.meta("disk_format", "raw").meta("container_format", "bare");
    if let Some(data) = data {
        create = create.data(data);
    }
    let created = create.send().await.expect(201);
    let path = format!("/v1/images/{}", created.image()["id"].as_str().unwrap());
    let updated = service.put(&path).by(OWNER).meta("name", "n").send().await.expect(200);
    let shown = service.head(&path).by(OWNER).send().await.expect(200);
    let mut answers = vec![("POST", created), ("PUT", updated), ("HEAD", shown)];
    if data.is_some() {
        answers.push(("GET", service.get(&path).by(OWNER).send().await.expect(200)));
    }
    answers
}

#[tokio::test]
async fn v1_051_header_names_have_capitals_after_dashes_only() {
    let service = Service::start().await;
    let path = full_image(&service).await;
    for method in ["HEAD", "GET"] {
        let answer = service.request(method, &path).by(OWNER).send().await.expect(200);
        for (name, value) in [
            ("X-Image-Meta-Disk_format", "raw"),
            ("X-Image-Meta-Container_format", "bare"),
            ("X-Image-Meta-Is_public", "False"),
            ("X-Image-Meta-Min_disk", "0"),
            ("X-Image-Meta-Min_ram", "0"),
            ("X-Image-Meta-Virtual_size", "80"),
            ("X-Image-Meta-Property-Last_modified", "now"),
            ("X-Image-Meta-Checksum", MD5_OF_DATA),
            ("Etag", MD5_OF_DATA),
        ] {
            assert_eq!(answer.exact(name), Some(value.as_bytes()), "{method} {name}");
        }
        for (name, _) in &answer.headers {
            let capitalised = name.split('-').all(|part| {
                let (first, rest) = part.split_at(1);
                first == first.to_uppercase() && rest == rest.to_lowercase()
            });
            assert!(capitalised, "{method} {name}");
        }
    }
}

#[tokio::test]
async fn v1_052_booleans_are_spelled_as_python_does() {
    let service = Service::start().await;
    let path = full_image(&service).await;
    let answer = service.head(&path).by(OWNER).send().await.expect(200);
    let flags = ["protected", "is_public", "deleted"].map(|name| answer.meta(name).unwrap());
    assert_eq!(flags, ["True", "False", "False"]);
    let public = service.image_id(ADMIN, None, &[("is_public", "yes")]).await;
    let answer = service.head(&format!("/v1/images/{public}")).by(OWNER).send().await.expect(200);
    assert_eq!(answer.meta("is_public").as_deref(), Some("True"));
}

#[tokio::test]
async fn v1_053_null_has_no_header_and_empty_text_has_an_empty_one() {
    let service = Service::start().await;
    let id = service.image_id(OWNER, None, &[("property-void", "")]).await;
    let path = format!("/v1/images/{id}");
    let answer = service.head(&path).by(OWNER).send().await.expect(200);
    let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut attributes: Vec<String> =
        names.iter().filter_map(|name| name.strip_prefix("X-Image-Meta-")).map(str::to_lowercase).collect();
    attributes.sort();
    let always = [
        "created_at",
        "deleted",
        "id",
        "is_public",
        "min_disk",
        "min_ram",
        "owner",
        "protected",
        "size",
        "status",
        "updated_at",
    ];
    assert_eq!(attributes, always);
    // as another dialect may leave it
    service
        .sql(&format!(
            "UPDATE images SET owner = NULL, name = '', properties = '{{\"p\": \"\"}}' WHERE id = '{id}'"
        ))
        .await;
    let answer = service.head(&path).by(ADMIN).send().await.expect(200);
    assert_eq!(answer.meta("owner"), None);
    assert_eq!(answer.meta("name").as_deref(), Some(""));
    assert_eq!(answer.meta("property-p").as_deref(), Some(""));
}

#[tokio::test]
async fn v1_054_times_have_six_digits_and_no_zone() {
    let service = Service::start().await;
    let stamp = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$").unwrap();
    let image = service.image(OWNER, None, &[]).await;
    let id = image["id"].as_str().unwrap();
    let shown = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let list = service.get("/v1/images/detail").by(OWNER).send().await.expect(200).json();
    for name in ["created_at", "updated_at"] {
        let time = image[name].as_str().unwrap();
        assert!(stamp.is_match(time), "{name} {time}");
        assert_eq!(shown.meta(name).as_deref(), Some(time));
        assert_eq!(list["images"][0][name], time);
    }
    // a full second keeps its digits
    service.sql("UPDATE images SET created_at = '2016-05-10T23:14:04+02:00'").await;
    let shown = service.head(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    assert_eq!(shown.meta("created_at").as_deref(), Some("2016-05-10T21:14:04.000000"));
    service.delete(&format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let list = service.get("/v1/images/detail?changes-since=2016").by(OWNER).send().await.expect(200).json();
    let time = list["images"][0]["deleted_at"].as_str().unwrap();
    assert!(stamp.is_match(time), "deleted_at {time}");
}

#[tokio::test]
async fn v1_055_head_announces_no_body_and_has_none() {
    let service = Service::start().await;
    let path = full_image(&service).await;
    let answer = service.head(&path).by(OWNER).send().await.expect(200);
    assert_eq!(answer.header("content-length").as_deref(), Some("0"));
    assert_eq!(answer.header("content-type").as_deref(), Some("text/html; charset=UTF-8"));
    assert!(answer.body.is_empty());
    assert_eq!(answer.meta("size").as_deref(), Some("5"));
}

#[tokio::test]
async fn v1_056_and_057_the_etag_is_the_bare_checksum() {
    let service = Service::start().await;
    // V1-056
    for (what, answer) in answers(&service, Some(DATA)).await {
        assert_eq!(answer.header("etag").as_deref(), Some(MD5_OF_DATA), "{what}");
    }
    // V1-057
    for (what, answer) in answers(&service, None).await {
        assert_eq!(answer.header("etag"), None, "{what}");
    }
}

#[tokio::test]
async fn v1_058_and_059_location_leads_to_the_new_image() {
    let service = Service::start().await;
    // V1-058
    let answers = answers(&service, Some(DATA)).await;
    let created = &answers[0].1;
    let location = created.header("location").unwrap();
    let id = created.image()["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("http://{}/v1/images/{id}", service.address));
    let path = location.strip_prefix(&format!("http://{}", service.address)).unwrap();
    assert_eq!(service.get(path).by(OWNER).send().await.expect(200).body, DATA);
    for (what, answer) in &answers[1..] {
        assert_eq!(answer.header("location"), None, "{what}");
    }
    // V1-059
    let vendor = "application/vnd.openstack.images-v1.1";
    for (path, accept) in [("/v1.1/images", "*/*"), ("/v1.0/images", "*/*"), ("/images", vendor)] {
        let answer = service.post(path).by(OWNER).header("Accept", accept).send().await.expect(201);
        let id = answer.image()["id"].as_str().unwrap().to_owned();
        let expected = format!("http://{}/v1/images/{id}", service.address);
        assert_eq!(answer.header("location"), Some(expected), "{path}");
    }
    let named = service.post("/v1/images").by(OWNER).header("Host", "images.example.org:81").send().await;
    let location = named.expect(201).header("location").unwrap();
    assert!(location.starts_with("http://images.example.org:81/v1/images/"), "{location}");
}

#[tokio::test]
async fn v1_060_where_the_data_lies_is_never_shown() {
    let service = Service::start_with(|config| {
        config.images.show_direct_url = true;
        config.images.show_multiple_locations = true;
    })
    .await;
    let answers = answers(&service, Some(DATA)).await;
    let list = service.get("/v1/images").by(OWNER).send().await.expect(200);
    let detail = service.get("/v1/images/detail").by(OWNER).send().await.expect(200);
    let hidden = ["location", "location_data", "locations", "direct_url"];
    let mut documents: Vec<Value> = answers[..2].iter().map(|(_, answer)| answer.image()).collect();
    documents.extend([list.json()["images"][0].clone(), detail.json()["images"][0].clone()]);
    for document in &documents {
        for name in hidden {
            assert_eq!(document.get(name), None, "{document}");
        }
    }
    let bucket = &service.bucket.name;
    for (what, answer) in
        answers.iter().map(|(what, answer)| (*what, answer)).chain([("list", &list), ("detail", &detail)])
    {
        for (name, value) in &answer.headers {
            let name = name.to_lowercase();
            let told = name.starts_with("x-image-meta") && hidden.iter().any(|hidden| name.contains(hidden));
            assert!(!told, "{what}: {name}");
            assert!(!String::from_utf8_lossy(value).contains(bucket), "{what}: {name}");
        }
        assert!(!answer.text().contains(bucket), "{what}");
    }
}

#[tokio::test]
async fn v1_061_answers_name_their_request() {
    let service = Service::start().await;
    let form = Regex::new("^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").unwrap();
    let mut seen = Vec::new();
    for (path, status) in [("/v1/images", 200), ("/v1/images/nothing", 404), ("/v1/nothing", 404)] {
        let answer = service.get(path).by(OWNER).send().await.expect(status);
        let id = String::from_utf8(answer.exact("X-Openstack-Request-Id").unwrap().to_vec()).unwrap();
        assert!(form.is_match(&id), "{path}: {id}");
        assert!(!seen.contains(&id), "{id} twice");
        seen.push(id);
    }
}

#[tokio::test]
async fn v1_062_an_empty_list_is_exactly_that() {
    let service = Service::start().await;
    for path in ["/v1/images", "/v1/images/detail", "/v1/"] {
        let answer = service.get(path).by(OWNER).send().await.expect(200);
        assert_eq!(answer.body, b"{\"images\": []}", "{path}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{path}");
        assert_eq!(answer.header("content-length").as_deref(), Some("14"), "{path}");
    }
}

#[tokio::test]
async fn answers_carry_the_headers_of_their_operation_and_no_others() {
    let service = Service::start().await;
    let answers = answers(&service, Some(DATA)).await;
    for (what, answer) in &answers {
        let content_type = match *what {
            "HEAD" => "text/html; charset=UTF-8",
            "GET" => OCTETS,
            _ => "application/json",
        };
        assert_eq!(answer.header("content-type").as_deref(), Some(content_type), "{what}");
        let length = answer.header("content-length");
        assert_eq!(length, Some(answer.body.len().to_string()), "{what}");
        for name in ["Content-MD5", "Accept-Ranges", "Last-Modified", "Content-Disposition", "Content-Range"]
        {
            assert_eq!(answer.header(name), None, "{what}");
        }
        let attributes = answer.headers.iter().any(|(name, _)| name.starts_with("X-Image-Meta-"));
        assert_eq!(attributes, matches!(*what, "HEAD" | "GET"), "{what}");
    }
    let created = answers[0].1.text();
    assert!(created.starts_with("{\"image\": {\""), "{created}");
    assert!(created.contains("\", \"") && !created.contains("\",\""), "{created}");
}

#[tokio::test]
async fn a49_ranges_and_conditions_are_ignored() {
    let service = Service::start().await;
    let path = full_image(&service).await;
    let pieces = (0..1_000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    for (name, value) in [
        ("Range", "bytes=0-1"),
        ("Range", "bytes=-2"),
        ("Range", "bytes=5-"),
        ("Range", "bytes=100-200"),
        ("Range", "bytes=0-18446744073709551616"),
        ("Range", "bytes=3-1"),
        ("Range", "bytes=--1"),
        ("Range", "nonsense"),
        ("Range", &format!("bytes={pieces}")),
        ("If-None-Match", MD5_OF_DATA),
        ("If-None-Match", "*"),
        ("If-Match", "\"other\""),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ] {
        let answer = service.get(&path).by(OWNER).header(name, value).send().await;
        let shown = &value[..value.len().min(40)];
        assert_eq!((answer.status, answer.body.as_slice()), (200, DATA), "{name}: {shown}");
        assert_eq!(answer.header("content-length").as_deref(), Some("5"), "{name}: {shown}");
    }
}
