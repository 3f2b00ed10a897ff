//! Patches of images in both dialects (images-v2.md §9, hardening.md A44): an operation is carried out whole or not at
//! all, and never touches what only the service sets.

use serde_json::Value;
use vitrine::domain::image::{Image, Status, Visibility};
use vitrine::domain::patch::{MAX_OPERATIONS, MediaType, Patch, Path, Permits};
use vitrine::domain::protection::RESERVED;
use vitrine::error::{Error, ErrorKind};
use vitrine::http::document;

use super::{SCHEMA, check_clipped_refusal, check_properties, check_storable, choice, image};

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let Some((flags, json)) = choice(data) else { return };
    let document = match document::parse(json) {
        Ok(document) => document,
        Err(error) => return check_clipped_refusal(&error),
    };
    for media in [MediaType::V20, MediaType::V21] {
        match Patch::parse(media, &document, &SCHEMA) {
            Ok(patch) => check_patch(&patch, &document, flags),
            Err(error) => check_clipped_refusal(&error),
        }
    }
}

fn check_patch(patch: &Patch, document: &Value, flags: usize) {
    assert_eq!(document.as_array().map(Vec::len), Some(patch.operations.len()));
    assert!(patch.operations.len() <= MAX_OPERATIONS);
    let is = |bit: usize| flags & 1 << bit != 0;
    let is_admin = is(0);
    let status = if is(1) { Status::Active } else { Status::Queued };
    let (property_quota, tag_quota) = if is(2) { (5, 2) } else { (-1, -1) };
    let visibility = |_: Visibility| if is(3) { Ok(()) } else { Err(Error::forbidden("no")) };
    let permits = Permits {
        property: &|_, name| !name.starts_with("hidden"),
        visibility: &visibility,
        is_admin,
        property_quota,
        tag_quota,
    };

    let before = image(status);
    let mut after = before.clone();
    for operation in &patch.operations {
        let last = after.clone();
        match (operation.apply(&mut after, &permits), operation.path()) {
            (Ok(()), path) => {
                assert!(matches!(path, Path::Attribute(_)), "locations are the flow's to change");
            }
            (Err(error), path) => {
                assert_eq!(after, last, "a failed operation left traces");
                match path {
                    Path::Attribute(_) => check_clipped_refusal(&error),
                    Path::Locations | Path::Location(_) => assert_eq!(error.kind(), ErrorKind::Internal),
                }
            }
        }
    }

    assert_eq!(fixed(&after), fixed(&before), "read-only attributes changed");
    assert!(is_admin || after.owner == before.owner, "the image was given away");
    if status == Status::Active {
        let formats = |image: &Image| (image.disk_format.clone(), image.container_format.clone());
        assert_eq!(formats(&after), formats(&before), "data that is there changed its format");
    }
    let is_open = |v: Visibility| matches!(v, Visibility::Public | Visibility::Community);
    assert!(is(3) || !is_open(after.visibility), "the image was published");
    assert!(after.min_disk >= 0 && after.min_ram >= 0);
    [&after.name, &after.owner, &after.disk_format, &after.container_format]
        .into_iter()
        .flatten()
        .for_each(|t| check_storable(t));
    after.tags.iter().for_each(|tag| check_storable(tag));
    assert!(
        (1..after.tags.len()).all(|n| !after.tags[n..].contains(&after.tags[n - 1])),
        "a tag is there twice"
    );
    check_properties(&after.properties);
    assert!(after.properties.keys().all(|name| name.chars().count() <= 255));
    let own = |image: &Image| -> Vec<_> {
        let kept =
            |(name, _): &(String, Option<String>)| name.starts_with(RESERVED) || name.starts_with("hidden");
        image.properties.clone().into_iter().filter(kept).collect()
    };
    assert_eq!(own(&after), own(&before), "protected properties changed");
    if is(2) {
        let counted = after.properties.keys().filter(|name| !name.starts_with(RESERVED)).count();
        assert!(counted <= 5 && after.tags.len() <= 2, "over quota");
    }
}

/// What no client may change.
fn fixed(image: &Image) -> Image {
    Image {
        owner: None,
        name: None,
        visibility: Visibility::Private,
        os_hidden: false,
        protected: false,
        disk_format: None,
        container_format: None,
        min_disk: 0,
        min_ram: 0,
        tags: vec![],
        properties: [].into(),
        ..image.clone()
    }
}
