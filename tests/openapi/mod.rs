//! The OpenAPI document: that it covers every route, that it is true, and who may do what of all it lists.

mod coverage;
mod described;
mod document;
mod matrix;
mod served;
mod table;

use serde_json::Value;
use vitrine::config::Config;

/// An operation of a document.
pub struct Operation<'a> {
    /// Its `operationId`.
    pub id: &'a str,
    /// Method, in capitals.
    pub method: String,
    /// Path with its templates.
    pub path: &'a str,
    /// The operation object.
    pub object: &'a Value,
}

/// The document of a default installation.
pub fn document() -> Value {
    vitrine::app::openapi(&Config::default()).unwrap()
}

/// All operations of a document in the order of their paths.
pub fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, object) in item.as_object().unwrap() {
            let id = object["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
            operations.push(Operation { id, method: method.to_uppercase(), path, object });
        }
    }
    operations
}

/// What a reference points at, or the value itself.
pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path}")),
        None => value,
    }
}
