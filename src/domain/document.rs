//! Image documents as clients send them to create an image (images-v2.md §6).

use serde_json::{Map, Value};

use crate::error::{Error, Result};

use super::attributes::{self, Attributes, DERIVED, READ_ONLY};
use super::image::Visibility;
use super::schema::ImageSchema;
use super::text;

/// What a document asks for.
#[derive(Debug, Default)]
pub struct Document {
    /// Everything a client may set.
    pub attributes: Attributes,
    /// `Forbidden`, when the document also names what only the service sets (§6 rows 11 and 12). It is judged after
    /// policies, quotas and protections, so it is handed on.
    pub refused: Option<Error>,
}

/// Reads a document: §6 rows 1 (scalars and arrays) to 5 in their order, then what cannot be stored (rows 13, 15).
///
/// # Errors
/// `Forbidden` for attributes made for answers (row 2) and reserved names (row 5), else `Invalid`, naming the attribute.
pub fn parse(document: &Value, schema: &ImageSchema) -> Result<Document> {
    let object =
        document.as_object().ok_or_else(|| Error::invalid("The request body must be a JSON object."))?;
    if let Some(name) = DERIVED.into_iter().find(|name| object.contains_key(*name)) {
        return Err(attributes::read_only(name));
    }
    schema.validate(object)?;
    let custom = || object.iter().filter(|(name, _)| !schema.is_base(name));
    custom().try_for_each(|(name, _)| text::check_property_name(name))?;
    if let Some((name, _)) = custom().find(|(name, _)| attributes::is_reserved(name)) {
        return Err(attributes::reserved(name));
    }
    let mut read = read_base(object)?;
    for (name, value) in custom() {
        // anything but text and null was refused by the schema
        let value = value.as_str();
        text::check_property(name, value)?;
        read.properties.insert(name.clone(), value.map(str::to_owned));
    }
    Ok(Document { attributes: read, refused: refuse_read_only(object) })
}

/// §6 rows 11 and 12. Also the secure hash: the reference takes it and shows null, which deceives (§6).
fn refuse_read_only(object: &Map<String, Value>) -> Option<Error> {
    if let Some(name) = READ_ONLY.into_iter().find(|name| object.contains_key(*name)) {
        return Some(attributes::read_only(name));
    }
    let has_locations = object.contains_key("locations");
    has_locations.then(|| Error::forbidden("It's not allowed to set locations when an image is created."))
}

fn read_base(object: &Map<String, Value>) -> Result<Attributes> {
    let visibility = text_of(object, "visibility")?.flatten();
    Ok(Attributes {
        id: text_of(object, "id")?.flatten(),
        name: text_of(object, "name")?,
        visibility: match visibility {
            Some(word) => {
                let known = word.parse::<Visibility>();
                Some(known.map_err(|()| attributes::wrong_type("visibility"))?)
            }
            None => None,
        },
        protected: object.get("protected").and_then(Value::as_bool),
        os_hidden: object.get("os_hidden").and_then(Value::as_bool),
        owner: text_of(object, "owner")?,
        disk_format: text_of(object, "disk_format")?,
        container_format: text_of(object, "container_format")?,
        min_disk: integer_of(object, "min_disk")?,
        min_ram: integer_of(object, "min_ram")?,
        tags: object.get("tags").map(attributes::tag_set).transpose()?,
        ..Attributes::default()
    })
}

fn text_of(object: &Map<String, Value>, name: &str) -> Result<Option<Option<String>>> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let Some(value) = value.as_str() else { return Ok(Some(None)) };
    text::check_storable_as(&format!("Image {name}"), value)?;
    Ok(Some(Some(value.to_owned())))
}

fn integer_of(object: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    object.get(name).map(|value| attributes::integer(name, value)).transpose()
}

#[cfg(test)]
mod tests;
