//! Answers held against the document.

use serde_json::{Value, json};

use super::{Operation, resolved};
use crate::support::api::Answer;

/// Asserts that an answer is one that the document lists for the operation: status, content type, and the schema of a
/// JSON body.
#[track_caller]
pub fn assert_described(document: &Value, operation: &Operation<'_>, answer: &Answer) {
    let what = format!("{} answered {}", operation.id, answer.status);
    let response = &operation.object["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{what}, which is not described: {}", answer.text());
    if answer.body.is_empty() {
        return;
    }
    let response = resolved(document, response);
    let media = answer.header("Content-Type").unwrap_or_default();
    let media = media.split(';').next().unwrap().trim();
    let content = &response["content"][media];
    assert!(content.is_object(), "{what} with {media:?}, which is not described");
    if media == "application/json" && content["schema"].is_object() {
        // references are looked up from the root
        let schema = json!({ "allOf": [content["schema"]], "components": document["components"] });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let body = answer.json();
        let problems: Vec<String> =
            validator.iter_errors(&body).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(problems.is_empty(), "{what}: {problems:?}\n{body}");
    }
}
