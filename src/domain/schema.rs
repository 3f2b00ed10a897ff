//! JSON schemas of the Images API v2: the documents served under `/v2/schemas` and the judge of what clients send
//! (images-v2.md §5).
//!
//! The properties of every document are data, in `schema/*.json`. Each property has a validator of its own, so that a
//! PATCH can check one attribute without the rest of the document, and `required` stays out of it (§5.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use super::text::clip;
use crate::error::{Error, Result};

const IMAGE: &str = include_str!("schema/image.json");
const EXTENSION: &str = include_str!("schema/extension.json");
const MEMBER: &str = include_str!("schema/member.json");
const TASK: &str = include_str!("schema/task.json");

/// Properties of a task that lists leave out (§5.4).
const TASK_DETAILS: [&str; 3] = ["input", "result", "message"];
/// Most characters of a refusal's reason: reasons quote the value, which is as long as the client likes.
const REASON: usize = 400;
/// Most characters of an attribute's name in a refusal.
const NAME: usize = 255;

/// What is wrong with a schema extension; the server does not start with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema extension: {0}")]
pub struct SchemaError(String);

/// The schema `image` with the extension of this installation (§5.1, §5.3).
#[derive(Debug)]
pub struct ImageSchema {
    image: Value,
    images: Value,
    /// For every base and declared property.
    validators: BTreeMap<String, Validator>,
    declared: BTreeSet<String>,
    required: Vec<String>,
}

impl ImageSchema {
    /// The schema for the configured formats and an extension in either layout of §5.3: `{name: definition}`, or
    /// `{"properties": {name: definition}, "required": [name]}`.
    ///
    /// # Errors
    /// When the extension is in neither layout, redefines a base property (V2-053), or declares a property that could
    /// not be stored as text.
    pub fn new(
        disk_formats: &[String],
        container_formats: &[String],
        extension: &Value,
    ) -> Result<Self, SchemaError> {
        let mut properties = shipped(IMAGE);
        offer(&mut properties, "disk_format", disk_formats);
        offer(&mut properties, "container_format", container_formats);
        let (extra, required) = layout(extension)?;
        let mut declared = BTreeSet::new();
        for (name, definition) in extra {
            if let Some(base) = properties.get(name) {
                if normative(base) != normative(definition) {
                    return Err(wrong(format!("'{name}' is a base property and cannot be redefined")));
                }
                continue;
            }
            properties.insert(name.clone(), declaration(name, definition)?);
            declared.insert(name.clone());
        }
        let mut validators = BTreeMap::new();
        for (name, definition) in &properties {
            let validator = compile(definition).map_err(|why| wrong(format!("'{name}': {why}")))?;
            validators.insert(name.clone(), validator);
        }
        let mut image = json!({
            "name": "image",
            "properties": properties,
            "additionalProperties": { "type": "string" },
            "links": [
                { "rel": "self", "href": "{self}" },
                { "rel": "enclosure", "href": "{file}" },
                { "rel": "describedby", "href": "{schema}" },
            ],
        });
        if !required.is_empty() {
            image["required"] = json!(required);
        }
        let images = json!({
            "name": "images",
            "properties": {
                "images": { "type": "array", "items": image },
                "first": { "type": "string" },
                "next": { "type": "string" },
                "schema": { "type": "string" },
            },
            "links": [
                { "rel": "first", "href": "{first}" },
                { "rel": "next", "href": "{next}" },
                { "rel": "describedby", "href": "{schema}" },
            ],
        });
        Ok(Self { image, images, validators, declared, required })
    }

    /// The document `/v2/schemas/image` (§5.1).
    pub fn image(&self) -> &Value {
        &self.image
    }

    /// The document `/v2/schemas/images` (§5.2).
    pub fn images(&self) -> &Value {
        &self.images
    }

    /// Checks a whole image document, as create takes it (§6 row 3).
    ///
    /// # Errors
    /// `Invalid`, naming the attribute that is missing or does not fit.
    pub fn validate(&self, document: &Map<String, Value>) -> Result<()> {
        if let Some(missing) = self.required.iter().find(|name| !document.contains_key(*name)) {
            return Err(mismatch("image", "a value is required", missing));
        }
        document.iter().try_for_each(|(name, value)| self.validate_fragment(name, value))
    }

    /// Checks one attribute, as PATCH takes it (§9.1 row 9). What the extension requires is not asked for here: with
    /// it, most patches would fail (§5.3).
    ///
    /// # Errors
    /// `Invalid`, naming the attribute.
    pub fn validate_fragment(&self, name: &str, value: &Value) -> Result<()> {
        match self.validators.get(name) {
            Some(validator) => {
                validator.validate(value).map_err(|error| mismatch("image", &error.to_string(), name))
            }
            // custom properties are text (§4.3)
            None if value.is_string() => Ok(()),
            None => Err(mismatch("image", &format!("{value} is not of type \"string\""), name)),
        }
    }

    /// Whether `name` is one of the 25 properties of every image schema (§5.1).
    pub fn is_base(&self, name: &str) -> bool {
        self.validators.contains_key(name) && !self.is_declared(name)
    }

    /// Whether the extension declares `name`. Such a property may be null where its type says so, and null is rendered
    /// as null (§4.3).
    pub fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }
}

/// The extension that is in force unless the configuration names another (§5.3).
pub fn default_extension() -> Value {
    Value::Object(shipped(EXTENSION))
}

/// The document `/v2/schemas/member` (§5.4).
pub fn member() -> Value {
    json!({ "name": "member", "properties": shipped(MEMBER) })
}

/// The document `/v2/schemas/members` (§5.4).
pub fn members() -> Value {
    collection("members", &member())
}

/// The document `/v2/schemas/task` (§5.4).
pub fn task() -> Value {
    json!({ "name": "task", "properties": shipped(TASK) })
}

/// The document `/v2/schemas/tasks` (§5.4).
pub fn tasks() -> Value {
    let mut properties = shipped(TASK);
    properties.retain(|name, _| !TASK_DETAILS.contains(&name.as_str()));
    collection("tasks", &json!({ "name": "task", "properties": properties }))
}

/// Holds a document against the schema of tasks.
///
/// # Errors
/// `Invalid`, naming the attribute that does not fit.
pub fn validate_task(document: &Map<String, Value>) -> Result<()> {
    static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
        let compiled =
            |(name, definition): (String, Value)| (name, compile(&definition).expect("shipped, and tested"));
        shipped(TASK).into_iter().map(compiled).collect()
    });
    document.iter().try_for_each(|(name, value)| match VALIDATORS.get(name) {
        Some(validator) => {
            validator.validate(value).map_err(|error| mismatch("task", &error.to_string(), name))
        }
        None => Ok(()),
    })
}

fn collection(name: &str, item: &Value) -> Value {
    json!({
        "name": name,
        "properties": { name: { "type": "array", "items": item }, "schema": { "type": "string" } },
        "links": [{ "rel": "describedby", "href": "{schema}" }],
    })
}

fn shipped(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("the shipped schemas are JSON objects, every one read by a test")
}

/// Formats come from the configuration; nova reads this list to learn what it may upload (§5.1).
fn offer(properties: &mut Map<String, Value>, name: &str, formats: &[String]) {
    let choices = std::iter::once(Value::Null).chain(formats.iter().map(|format| json!(format)));
    if let Some(definition) = properties.get_mut(name) {
        definition["enum"] = choices.collect();
    }
}

/// Definitions and required names of an extension in either layout. A flat extension may declare a property that is
/// called `properties`; its definition holds words, not definitions.
fn layout(extension: &Value) -> Result<(&Map<String, Value>, Vec<String>), SchemaError> {
    let flat = extension.as_object().ok_or_else(|| wrong("it must be a JSON object".to_owned()))?;
    let nested = flat.get("properties").and_then(Value::as_object);
    let Some(nested) = nested.filter(|nested| nested.values().all(Value::is_object)) else {
        return Ok((flat, Vec::new()));
    };
    if let Some(unknown) = flat.keys().find(|key| !matches!(key.as_str(), "properties" | "required")) {
        return Err(wrong(format!("'{unknown}' stands beside 'properties', where only 'required' may")));
    }
    let required = match flat.get("required") {
        None => Some(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(|n| n.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let required = required.ok_or_else(|| wrong("'required' must be a list of names".to_owned()))?;
    Ok((nested, required))
}

/// What counts when two definitions are compared: descriptions are free text.
fn normative(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Some(definition) = definition.as_object_mut() {
        definition.remove("description");
    }
    definition
}

/// A property of the extension as it is served. Properties are stored as text or null, so nothing else can be
/// declared (operations.md, `schema-image.json`).
fn declaration(name: &str, definition: &Value) -> Result<Value, SchemaError> {
    let is_text = match &definition["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => {
            kinds.contains(&json!("string")) && kinds.iter().all(|kind| kind == "string" || kind == "null")
        }
        _ => false,
    };
    if !is_text {
        return Err(wrong(format!("'{name}' must be of type string, or string and null")));
    }
    let mut definition = definition.clone();
    definition["is_base"] = json!(false);
    Ok(definition)
}

// Draft 4 is what clients of this API have always been judged by: 1.0 is no integer. Patterns run in linear time, for
// the text they are tried on is the client's.
fn compile(definition: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .with_pattern_options(PatternOptions::regex())
        .build(definition)
        .map_err(|error| error.to_string())
}

fn wrong(why: String) -> SchemaError {
    SchemaError(why)
}

fn mismatch(schema: &str, why: &str, name: &str) -> Error {
    let (why, name) = (clip(why, REASON), clip(name, NAME));
    Error::invalid(format!("Provided object does not match schema '{schema}': {why} on attribute '{name}'"))
}

#[cfg(test)]
mod tests;
