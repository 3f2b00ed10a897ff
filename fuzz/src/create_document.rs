//! Documents that create images through v2 (images-v2.md §6, hardening.md A44).

use vitrine::config::Images;
use vitrine::domain::attributes::{Attributes, DERIVED, READ_ONLY, is_reserved};
use vitrine::domain::document;
use vitrine::http::document as json;

use super::{SCHEMA, check_clipped_refusal, check_properties, check_refusal, check_storable};

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let body = match json::parse(data) {
        Ok(body) => body,
        Err(error) => return check_clipped_refusal(&error),
    };
    match document::parse(&body, &SCHEMA) {
        Ok(read) => {
            let names = |known: &[&str]| known.iter().any(|name| body.get(name).is_some());
            assert!(!names(&DERIVED));
            assert_eq!(read.refused.is_some(), names(&READ_ONLY) || names(&["locations"]));
            if let Some(error) = &read.refused {
                check_clipped_refusal(error);
            }
            check(read.attributes);
        }
        Err(error) => check_clipped_refusal(&error),
    }
}

fn check(mut attributes: Attributes) {
    let texts = [&attributes.name, &attributes.owner, &attributes.disk_format, &attributes.container_format];
    texts.into_iter().flatten().flatten().chain(&attributes.id).for_each(|text| check_storable(text));
    let tags = attributes.tags.as_deref().unwrap_or_default();
    tags.iter().for_each(|tag| check_storable(tag));
    assert!((1..tags.len()).all(|n| !tags[n..].contains(&tags[n - 1])), "a tag is there twice");
    check_properties(&attributes.properties);
    for name in attributes.properties.keys() {
        assert!(
            name.chars().count() <= 255 && !is_reserved(name) && !SCHEMA.is_base(name),
            "property {name:?}"
        );
    }
    // judged apart from the document, after policy (§6 row 13)
    if attributes.check_ranges().is_ok() {
        let in_range = |n| i32::try_from(n).is_ok_and(|n| n >= 0);
        assert!([attributes.min_disk, attributes.min_ram].into_iter().flatten().all(in_range));
    }
    let images = Images::default();
    match attributes.settle(&images.disk_formats, &images.container_formats) {
        Ok(()) => {
            let name = attributes.name.flatten().unwrap_or_default();
            assert!(name.chars().count() <= 255);
        }
        Err(error) => check_refusal(&error),
    }
}
