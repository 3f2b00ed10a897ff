//! The patches of images: three operations of JSON Patch in two dialects (images-v2.md §9).
//!
//! [`Patch::parse`] is the syntax phase, which needs no image and comes before any lookup (§9.1). [`Operation::apply`]
//! is one step of the apply phase on a copy of the image (§9.2, §9.3); an operation that fails leaves that copy as it
//! was, and dropping the copy undoes those before it. Operations on locations touch stores, so they are parsed here
//! and carried out by the flow (§10).

mod apply;
mod pointer;

pub use apply::Permits;

use serde_json::{Map, Value};

use super::attributes::{self, DERIVED, READ_ONLY};
use super::schema::ImageSchema;
use super::text::{self, clip};
use crate::error::{Error, Result};

/// What `Accept-Patch` says when a patch comes in no type that is known (§9).
pub const ACCEPT_PATCH: &str = "application/openstack-images-v2.0-json-patch, \
                                application/openstack-images-v2.1-json-patch";
/// Most operations in one patch. Each may count the properties of the image anew, and no client sends more than a few
/// hundred: an image has 10 attributes that can be set and 128 properties (§4.5).
pub const MAX_OPERATIONS: usize = 1000;

const V20: &str = "application/openstack-images-v2.0-json-patch";
const V21: &str = "application/openstack-images-v2.1-json-patch";
const LOCATIONS: &str = "locations";
/// Most characters of a pointer that an error repeats.
const SHOWN: usize = 255;

/// The dialects of patches (§9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `{"add": "/x", "value": v}`; `add` does not overwrite.
    V20,
    /// `{"op": "add", "path": "/x", "value": v}`.
    V21,
}

impl MediaType {
    /// The dialect a `Content-Type` names. Case and parameters do not matter.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        [(V20, Self::V20), (V21, Self::V21)]
            .into_iter()
            .find_map(|(name, dialect)| essence.eq_ignore_ascii_case(name).then_some(dialect))
    }
}

/// A patch whose syntax is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// In the order in which they are carried out.
    pub operations: Vec<Operation>,
}

/// One step of a patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    media: MediaType,
    path: Path,
    change: Change,
}

/// What is done, and with which value. Values have passed the image schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sets what is not there yet; in v2.1 also what is.
    Add(Value),
    /// Sets what is there.
    Replace(Value),
    /// Removes what is there.
    Remove,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// A base attribute or a property.
    Attribute(String),
    /// The whole list of locations.
    Locations,
    /// One place in the list of locations.
    Location(Position),
}

/// A place in the list of locations (§10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Counted from 0. Numbers that do not fit are the largest that does: beyond the end of every list.
    Index(usize),
    /// `-`
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

impl Verb {
    const ALL: [Self; 3] = [Self::Add, Self::Replace, Self::Remove];

    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

impl Patch {
    /// Reads a patch: for each operation the rows of §9.1 in their order. The first operation that is wrong decides,
    /// whatever the others are.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_OPERATIONS`], `Forbidden` for attributes that no client may change (rows 7 and 8), else
    /// `Invalid`.
    pub fn parse(media: MediaType, document: &Value, schema: &ImageSchema) -> Result<Self> {
        let list = document
            .as_array()
            .ok_or_else(|| Error::invalid("Request body must be a JSON array of operation objects."))?;
        if list.len() > MAX_OPERATIONS {
            return Err(Error::too_large(format!("A patch may have at most {MAX_OPERATIONS} operations.")));
        }
        let operations = list.iter().map(|operation| Operation::parse(media, operation, schema));
        Ok(Self { operations: operations.collect::<Result<_>>()? })
    }

    /// Whether there is nothing to do. Such a patch succeeds and leaves even `updated_at` alone (§9).
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

impl Operation {
    /// What is changed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is done.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The value to set; none when something is removed.
    pub fn value(&self) -> Option<&Value> {
        match &self.change {
            Change::Add(value) | Change::Replace(value) => Some(value),
            Change::Remove => None,
        }
    }

    /// The dialect it was written in; it decides whether `add` overwrites.
    pub fn media(&self) -> MediaType {
        self.media
    }

    fn parse(media: MediaType, operation: &Value, schema: &ImageSchema) -> Result<Self> {
        let operation =
            operation.as_object().ok_or_else(|| Error::invalid("Operations must be JSON objects."))?;
        let (verb, pointer) = match media {
            MediaType::V20 => verb_key(operation)?,
            MediaType::V21 => verb_member(operation)?,
        };
        let (root, path) = path(verb, pointer, pointer::tokens(pointer)?)?;
        let value = value(verb, operation)?;
        if root == "id" || DERIVED.contains(&root.as_str()) || READ_ONLY.contains(&root.as_str()) {
            return Err(attributes::read_only(&root));
        }
        if attributes::is_reserved(&root) {
            return Err(attributes::reserved(&root));
        }
        if let Some(value) = value {
            check_value(&root, &path, value, schema)?;
        }
        let change = match (verb, value) {
            (Verb::Add, Some(value)) => Change::Add(value.clone()),
            (Verb::Replace, Some(value)) => Change::Replace(value.clone()),
            _ => Change::Remove,
        };
        Ok(Self { media, path, change })
    }
}

/// Verb and pointer of v2.0 (§9.1 row 3): exactly one verb is a key, other keys do not matter.
fn verb_key(operation: &Map<String, Value>) -> Result<(Verb, &str)> {
    let mut verbs = Verb::ALL.into_iter().filter_map(|verb| Some((verb, operation.get(verb.as_str())?)));
    let (Some((verb, pointer)), None) = (verbs.next(), verbs.next()) else {
        return Err(Error::invalid(
            "Operation objects must contain exactly one member named \"add\", \"remove\", or \"replace\".",
        ));
    };
    Ok((verb, text_of(pointer, verb.as_str())?))
}

/// Verb and pointer of v2.1 (§9.1 row 2).
fn verb_member(operation: &Map<String, Value>) -> Result<(Verb, &str)> {
    let member = |name: &str| {
        let value = operation.get(name);
        value.ok_or_else(|| Error::invalid(format!("Unable to find '{name}' in JSON Schema change")))
    };
    let word = text_of(member("op")?, "op")?;
    let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == word).ok_or_else(|| {
        let word = clip(word, SHOWN);
        Error::invalid(format!(
            "Invalid operation: '{word}'. It must be one of the following: add, remove, replace."
        ))
    })?;
    Ok((verb, text_of(member("path")?, "path")?))
}

fn text_of<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value.as_str().ok_or_else(|| Error::invalid(format!("The member \"{name}\" must be a string.")))
}

/// Root token and path, when the pointer is as deep as the verb takes it (§9.1 row 5).
fn path(verb: Verb, pointer: &str, mut tokens: Vec<String>) -> Result<(String, Path)> {
    let wrong = || {
        let pointer = clip(pointer, SHOWN);
        Error::invalid(format!("Invalid JSON pointer for this resource: '{pointer}'"))
    };
    let rest = tokens.split_off(tokens.len().min(1));
    let root = tokens.pop().ok_or_else(wrong)?;
    let path = match (root.as_str(), verb, rest.as_slice()) {
        (LOCATIONS, Verb::Replace, []) => Path::Locations,
        (LOCATIONS, Verb::Add | Verb::Remove, [position]) => {
            Path::Location(pointer::position(position).ok_or_else(wrong)?)
        }
        (LOCATIONS, ..) => return Err(wrong()),
        (name, _, []) => Path::Attribute(name.to_owned()),
        _ => return Err(wrong()),
    };
    Ok((root, path))
}

/// The value that `add` and `replace` need (§9.1 row 6). Null is a value.
fn value(verb: Verb, operation: &Map<String, Value>) -> Result<Option<&Value>> {
    match (verb, operation.get("value")) {
        (Verb::Remove, _) => Ok(None),
        (_, Some(value)) => Ok(Some(value)),
        (_, None) => {
            let verb = verb.as_str();
            Err(Error::invalid(format!("Operation \"{verb}\" requires a member named \"value\".")))
        }
    }
}

/// The value against the image schema (§9.1 row 9), and the name of a property as on create (§4.3).
fn check_value(root: &str, path: &Path, value: &Value, schema: &ImageSchema) -> Result<()> {
    match path {
        Path::Location(_) => schema.validate_fragment(root, &Value::Array(vec![value.clone()]))?,
        Path::Locations | Path::Attribute(_) => schema.validate_fragment(root, value)?,
    }
    if matches!(path, Path::Attribute(_)) { text::check_property_name(root) } else { check_texts(value) }
}

/// Locations are stored by the flow, which shall not have to think of what the database can hold (§2.4).
fn check_texts(value: &Value) -> Result<()> {
    match value {
        Value::String(text) => text::check_storable_as("Image location", text),
        Value::Array(items) => items.iter().try_for_each(check_texts),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            text::check_storable_as("Image location", name)?;
            check_texts(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
