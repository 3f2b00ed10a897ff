//! Domain → JSON of the Images API v1, in the reference's spacing.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Value, json};

use crate::domain::image::{Image, Properties, Visibility};
use crate::domain::timestamp;

/// The brief form: exactly six keys (images-v1.md §4.1).
pub fn brief(image: &Image) -> Value {
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "checksum": image.checksum,
    })
}

/// The detailed form: exactly eighteen keys (images-v1.md §3.1).
pub fn detail(image: &Image, properties: &Properties) -> Value {
    json!({
        "id": image.id.to_string(),
        "name": image.name,
        "status": image.status.as_str(),
        "size": image.size,
        "virtual_size": image.virtual_size,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "checksum": image.checksum,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "is_public": image.visibility == Visibility::Public,
        "protected": image.protected,
        "owner": image.owner,
        "created_at": timestamp::render_v1(image.created_at),
        "updated_at": timestamp::render_v1(image.updated_at),
        "deleted_at": image.deleted_at.map(timestamp::render_v1),
        "deleted": image.is_deleted(),
        "properties": properties,
    })
}

/// Serialises with `", "` and `": "` between elements, which some clients compare byte for byte (V1-062).
pub fn to_bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    value.serialize(&mut serializer).expect("a JSON value always serialises into memory");
    bytes
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
