#![expect(clippy::unwrap_used, reason = "tests")]

mod apply;
mod syntax;

use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::image::{Image, ImageId, Status, Visibility};
use super::super::protection;
use super::super::samples;
use super::*;
use crate::error::ErrorKind::{self, Conflict, Forbidden, Invalid, LimitExceeded, TooLarge};

fn parse(media: MediaType, document: &Value) -> Result<Patch> {
    Patch::parse(media, document, samples::shipped())
}

fn v21(verb: &str, path: &str, value: impl Into<Value>) -> Value {
    json!({ "op": verb, "path": path, "value": value.into() })
}

fn remove(path: &str) -> Value {
    json!({ "op": "remove", "path": path })
}

fn image() -> Image {
    let properties = [("p", "1"), ("bar", "b"), ("pp_ro_x", "v"), ("pp_blind_x", "v"), ("os_glance_x", "v")];
    Image {
        id: ImageId(Uuid::nil()),
        owner: Some("owner".to_owned()),
        name: Some("old".to_owned()),
        status: Status::Queued,
        visibility: Visibility::Shared,
        os_hidden: false,
        protected: false,
        disk_format: None,
        container_format: None,
        min_disk: 0,
        min_ram: 0,
        size: None,
        virtual_size: None,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        tags: vec!["a".to_owned(), "b".to_owned()],
        properties: properties.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        deleted_at: None,
        revision: 3,
        importing_to: None,
        failed_import: None,
    }
}

fn everything(_: protection::Operation, _: &str) -> bool {
    true
}

/// A member under the protections that conformance checks use.
fn protected(operation: protection::Operation, name: &str) -> bool {
    use protection::Operation::{Create, Read, Update};
    match name {
        _ if name.starts_with("pp_admin_") => false,
        _ if name.starts_with("pp_ro_") => matches!(operation, Create | Read),
        _ if name.starts_with("pp_blind_") => matches!(operation, Create | Update),
        _ => true,
    }
}

fn no_publicity(wanted: Visibility) -> Result<()> {
    if wanted == Visibility::Public { Err(Error::forbidden("not yours to publish")) } else { Ok(()) }
}

fn member() -> Permits<'static> {
    Permits {
        property: &everything,
        visibility: &no_publicity,
        is_admin: false,
        property_quota: 128,
        tag_quota: 128,
    }
}

fn admin() -> Permits<'static> {
    Permits { visibility: &|_| Ok(()), is_admin: true, ..member() }
}

/// Parses, then applies one operation after the other.
fn run(media: MediaType, document: &Value, image: &mut Image, permits: &Permits<'_>) -> Result<()> {
    let patch = parse(media, document).unwrap();
    patch.operations.iter().try_for_each(|operation| {
        let before = image.clone();
        let outcome = operation.apply(image, permits);
        if outcome.is_err() {
            assert_eq!(*image, before, "a failing operation leaves its image alone");
        }
        outcome
    })
}

fn kind(outcome: Result<()>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn outcome(operation: &Value, permits: &Permits<'_>) -> Option<ErrorKind> {
    kind(run(MediaType::V21, &json!([operation]), &mut image(), permits))
}

/// The image after operations that all succeed.
fn after(operations: &Value, permits: &Permits<'_>) -> Image {
    let mut image = image();
    run(MediaType::V21, operations, &mut image, permits).unwrap();
    image
}
