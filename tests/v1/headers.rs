//! `x-image-meta-*` headers of requests (images-v1.md §3.2).

use serde_json::{Value, json};
use vitrine::config::PercentDecode;

use crate::support::api::{ADMIN, Answer, OWNER, Service, new_id};

/// Creates an image with one header more. Returns the image of the answer.
async fn created(service: &Service, name: &str, value: impl AsRef<[u8]>) -> Value {
    service.post("/v1/images").by(ADMIN).header(name, value).send().await.expect(201).image()
}

/// Tries to create an image with one header more, which must fail with 400 and these words.
async fn assert_refused(service: &Service, name: &str, value: impl AsRef<[u8]>, words: &str) {
    let answer = service.post("/v1/images").by(ADMIN).header(name, value).send().await;
    assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    assert!(answer.text().contains(words), "{name} without {words:?}: {}", answer.text());
}

async fn assert_nothing_was_created(service: &Service) {
    let images = service.database.client().await.query("SELECT id FROM images", &[]).await.unwrap();
    assert!(images.is_empty(), "{} images", images.len());
}

async fn shown(service: &Service, image: &Value) -> Answer {
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    service.head(&path).by(ADMIN).send().await.expect(200)
}

#[tokio::test]
async fn v1_030_case_dashes_and_underscores_are_one() {
    let service = Service::start().await;
    for name in ["X-Image-Meta-Is-Public", "x-image-meta-is_public", "X-IMAGE-META-Is_Public"] {
        assert_eq!(created(&service, name, "True").await["is_public"], true, "{name}");
    }
    for name in ["x-image-meta-min-disk", "X-Image-Meta-Min_Disk"] {
        assert_eq!(created(&service, name, "3").await["min_disk"], 3, "{name}");
    }
}

#[tokio::test]
async fn v1_031_to_033_property_names_are_folded_and_otherwise_kept() {
    let service = Service::start().await;
    // V1-031
    let image = created(&service, "X-Image-Meta-Property-Distro", "Ubuntu").await;
    assert_eq!(image["properties"], json!({ "distro": "Ubuntu" }));
    // V1-032
    let image = created(&service, "x-image-meta-property-last-modified", "now").await;
    assert_eq!(image["properties"], json!({ "last_modified": "now" }));
    // V1-033
    let image = created(&service, "X-Image-Meta-Property-com.hp__1__Type", "x").await;
    assert_eq!(image["properties"], json!({ "com.hp__1__type": "x" }));
    let shown = shown(&service, &image).await;
    assert_eq!(shown.exact("X-Image-Meta-Property-Com.hp__1__type"), Some(b"x".as_slice()));
}

#[tokio::test]
async fn v1_034_to_036_unknown_attributes_are_refused() {
    let service = Service::start().await;
    // V1-034
    assert_refused(&service, "x-image-meta-foo", "1", "Bad header: x-image-meta-foo").await;
    assert_refused(&service, "X-Image-Meta-Foo", "1", "Bad header: ").await;
    // V1-035
    assert_refused(&service, "x-image-meta-", "1", "Bad header: x-image-meta-").await;
    // V1-036
    for rest in ["property", "property-", "properties", "visibility", "tags", "os_hidden", "location_data"] {
        let name = format!("x-image-meta-{rest}");
        assert_refused(&service, &name, "1", &format!("Bad header: {name}")).await;
    }
    assert_nothing_was_created(&service).await;
    let image = created(&service, "x-image-meta-property_foo", "1").await;
    assert_eq!(image["properties"], json!({ "foo": "1" }));
    // names that are known and have no effect of their own
    for name in ["x-image-meta-copy_from", "x-image-meta-uri"] {
        assert_eq!(created(&service, name, "http://host.example/x").await["status"], "queued", "{name}");
    }
}

#[tokio::test]
async fn v1_034_unknown_attributes_are_refused_before_the_image_is_looked_for() {
    let service = Service::start().await;
    let unknown = format!("/v1/images/{}", new_id());
    service.put(&unknown).by(OWNER).meta("foo", "1").send().await.expect_text(400, "Bad header");
    service.put(&unknown).by(OWNER).meta("name", "x").send().await.expect(404);
}

#[tokio::test]
async fn v1_037_an_empty_value_is_null() {
    let service = Service::start().await;
    let image = created(&service, "x-image-meta-property-void", "").await;
    assert_eq!(image["properties"], json!({ "void": null }));
    assert_eq!(shown(&service, &image).await.meta("property-void"), None);
    for name in ["name", "checksum"] {
        let image = created(&service, &format!("x-image-meta-{name}"), "").await;
        assert_eq!(image[name], Value::Null, "{name}");
        assert_eq!(shown(&service, &image).await.meta(name), None, "{name}");
    }
}

#[tokio::test]
async fn v1_038_to_041_integers_are_natural_numbers() {
    let service = Service::start().await;
    // V1-038
    let text =
        "Invalid value 'invalid' for parameter 'size': Cannot convert image size 'invalid' to an integer.";
    assert_refused(&service, "x-image-meta-size", "invalid", text).await;
    for value in ["1.5", "0x10", "1e3", "1 2", "None"] {
        let text = format!("Cannot convert image size '{value}' to an integer.");
        assert_refused(&service, "x-image-meta-size", value, &text).await;
    }
    // V1-039
    let text = "Invalid value '-10' for parameter 'size': Cannot be a negative value.";
    assert_refused(&service, "x-image-meta-size", "-10", text).await;
    // V1-040
    for (header, name) in [("min-disk", "min_disk"), ("min-ram", "min_ram")] {
        let header = format!("x-image-meta-{header}");
        let text = format!("Invalid value '-42' for parameter '{name}': Cannot be a negative value.");
        assert_refused(&service, &header, "-42", &text).await;
    }
    assert_nothing_was_created(&service).await;
    let path = format!("/v1/images/{}", service.image_id(OWNER, None, &[]).await);
    for name in ["min-disk", "min-ram"] {
        let answer = service.put(&path).by(OWNER).meta(name, "-42").send().await;
        answer.expect_text(400, "Invalid value '-42'");
    }
    // V1-041
    for (value, expected) in [("None", Value::Null), ("80", json!(80)), ("0", json!(0)), ("+7", json!(7))] {
        let image = created(&service, "x-image-meta-virtual_size", value).await;
        assert_eq!(image["virtual_size"], expected, "{value}");
        let header = shown(&service, &image).await.meta("virtual_size");
        assert_eq!(header, expected.as_u64().map(|n| n.to_string()), "{value}");
    }
    let image = created(&service, "x-image-meta-size", "  +5  ").await;
    assert_eq!(image["size"], 5);
}

#[tokio::test]
async fn v1_042_and_043_a_boolean_is_true_or_else_false() {
    let service = Service::start().await;
    // V1-042
    let image = created(&service, "x-image-meta-is_public", "None").await;
    assert_eq!(image["is_public"], false);
    // V1-043
    for word in ["1", "t", "true", "on", "y", "yes", "YES", "True", "  On "] {
        let image = created(&service, "x-image-meta-protected", word).await;
        assert_eq!(image["protected"], true, "{word:?}");
    }
    for word in ["maybe", "", "0", "2", "no", "None", "truee", "t rue"] {
        let image = created(&service, "x-image-meta-protected", word).await;
        assert_eq!(image["protected"], false, "{word:?}");
    }
}

#[tokio::test]
async fn v1_044_times_are_iso_8601_from_1900_on() {
    let service = Service::start().await;
    for name in ["created_at", "updated_at", "deleted_at"] {
        let text = format!("Invalid time format for {name}.");
        for value in ["-42", "foo", "1100", "2012-01-01hey12:32:12", "1899-12-31", "2012-02-30"] {
            assert_refused(&service, &format!("x-image-meta-{name}"), value, &text).await;
        }
    }
    assert_nothing_was_created(&service).await;
    let image = created(&service, "x-image-meta-created_at", "2012-01-01T12:32:12Z").await;
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    for name in ["created_at", "updated_at", "deleted_at"] {
        for value in ["2012", "2012-01-01", "20120101", "2012-01-01T12:32:12.5+01:00", "1900-01-01"] {
            created(&service, &format!("x-image-meta-{name}"), value).await;
        }
        let answer = service.put(&path).by(ADMIN).meta(name, "foo").send().await;
        answer.expect_text(400, &format!("Invalid time format for {name}."));
    }
}

#[tokio::test]
async fn v1_045_to_047_values_have_limits() {
    let service = Service::start().await;
    // V1-045: characters count, not bytes
    for letter in ["n", "ü", "東"] {
        assert_refused(&service, "x-image-meta-name", letter.repeat(256), "Image name too long").await;
    }
    // V1-046
    for length in [33, 42] {
        assert_refused(&service, "x-image-meta-checksum", "a".repeat(length), "Invalid checksum").await;
    }
    // V1-047
    for name in ["min_disk", "min_ram"] {
        for value in ["2147483648", "9223372036854775807"] {
            let text = format!("'{name}' value out of range");
            assert_refused(&service, &format!("x-image-meta-{name}"), value, &text).await;
        }
    }
    assert_nothing_was_created(&service).await;
    for letter in ["n", "ü", "東"] {
        let name = letter.repeat(255);
        assert_eq!(created(&service, "x-image-meta-name", &name).await["name"], name);
    }
    assert_eq!(created(&service, "x-image-meta-checksum", "a".repeat(32)).await["checksum"], "a".repeat(32));
    for name in ["min_disk", "min_ram"] {
        let image = created(&service, &format!("x-image-meta-{name}"), "2147483647").await;
        assert_eq!(image[name], 2_147_483_647, "{name}");
    }
}

#[tokio::test]
async fn v1_045_to_047_limits_hold_for_updates() {
    let service = Service::start().await;
    let path = format!("/v1/images/{}", service.image_id(OWNER, None, &[("name", "before")]).await);
    let long_name = "n".repeat(256);
    let long_checksum = "a".repeat(42);
    for (name, value, words) in [
        ("name", long_name.as_str(), "Image name too long"),
        ("checksum", long_checksum.as_str(), "Invalid checksum"),
        ("min_disk", "2147483648", "'min_disk' value out of range"),
        ("min_ram", "2147483648", "'min_ram' value out of range"),
    ] {
        service.put(&path).by(OWNER).meta(name, value).send().await.expect_text(400, words);
    }
    let shown = service.head(&path).by(OWNER).send().await.expect(200);
    assert_eq!(shown.meta("name").as_deref(), Some("before"));
    assert_eq!((shown.meta("checksum"), shown.meta("min_ram").as_deref()), (None, Some("0")));
}

#[tokio::test]
async fn v1_048_and_049_text_is_utf_8_of_the_basic_plane() {
    let service = Service::start().await;
    // V1-048
    let name = "Ärger über 東京 \u{ffff}";
    let image = created(&service, "x-image-meta-name", name).await;
    assert_eq!(image["name"], name);
    assert_eq!(shown(&service, &image).await.exact("X-Image-Meta-Name"), Some(name.as_bytes()));
    let property = created(&service, "x-image-meta-property-city", "Þórshöfn").await;
    assert_eq!(property["properties"]["city"], "Þórshöfn");
    let header = shown(&service, &property).await;
    assert_eq!(header.exact("X-Image-Meta-Property-City"), Some("Þórshöfn".as_bytes()));
    // V1-049
    let words = "Name can't contain 4 byte unicode characters.";
    assert_refused(&service, "x-image-meta-name", "smile \u{1f600}", words).await;
    let words = "can't contain 4 byte unicode characters.";
    assert_refused(&service, "x-image-meta-property-mood", "\u{10000}", words).await;
    let path = format!("/v1/images/{}", image["id"].as_str().unwrap());
    service.put(&path).by(ADMIN).meta("name", "\u{1f600}").send().await.expect_text(400, words);
    assert_eq!(shown(&service, &image).await.exact("X-Image-Meta-Name"), Some(name.as_bytes()));
}

#[tokio::test]
async fn v1_050_percent_sequences_are_decoded_for_glanceclient_only() {
    let service = Service::start().await;
    let stored = async |service: &Service, agent: Option<&str>, name: &str| {
        let mut request = service.post("/v1/images").by(OWNER).meta("name", name).meta("property-p", "c%2Fd");
        if let Some(agent) = agent {
            request = request.header("User-Agent", agent);
        }
        let image = request.send().await.expect(201).image();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&image["name"]), text(&image["properties"]["p"]))
    };
    let pair = |name: &str, property: &str| (name.to_owned(), property.to_owned());
    for agent in [None, Some("curl/8.5.0"), Some("not python-glanceclient"), Some("keystoneauth1/5")] {
        assert_eq!(stored(&service, agent, "a%20b").await, pair("a%20b", "c%2Fd"), "{agent:?}");
    }
    let client = Some("python-glanceclient");
    assert_eq!(stored(&service, client, "a%20b").await, pair("a b", "c/d"));
    assert_eq!(stored(&service, client, "%C3%A9").await, pair("é", "c/d"));
    // addresses, whose colon it encodes too, like any other value
    for name in ["x-glance-api-copy-from", "x-image-meta-location"] {
        let request =
            service.post("/v1/images").by(OWNER).header("User-Agent", "python-glanceclient").formats();
        let answer = request.header(name, "gopher%3A//example.com/a%20b").send().await;
        answer.expect_text(400, "External sources are not supported: 'gopher://example.com/a b'");
    }
    // what is no valid encoding of text stays as it is
    for name in ["100%", "%zz", "%FF", "a%20b%zz"] {
        assert_eq!(stored(&service, client, name).await, pair(name, "c/d"));
    }
    let off = Service::start_with(|config| config.server.v1_percent_decode = PercentDecode::Off).await;
    assert_eq!(stored(&off, client, "a%20b").await, pair("a%20b", "c%2Fd"));
}
