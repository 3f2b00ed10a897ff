//! What every operation has in common, added once rather than beside every handler.

use serde_json::{Map, Value, json};

use super::faults;

/// Adds to every operation the refusals that all may meet, bodies to refusals that have none, and the request id.
pub(super) fn complete(document: &mut Value) {
    if let Some(paths) = document["paths"].as_object_mut() {
        for operation in paths.values_mut().flat_map(operations) {
            let open = operation.get("security").is_some();
            if let Some(parameters) = operation.get_mut("parameters") {
                tidy_parameters(parameters);
            }
            let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
                continue;
            };
            add_refusals(responses, open);
            responses.values_mut().for_each(add_request_id);
        }
    }
    let mut refusals = faults::components();
    refusals.values_mut().for_each(add_request_id);
    document["components"]["responses"] = Value::Object(refusals);
    document["components"]["headers"] = json!({ "RequestId": {
        "description": "Id of the request, the client's where it sent one; `req-` and a UUID otherwise",
        "schema": { "type": "string" },
    }});
    document["components"]["schemas"]["Fault"] = json!({
        "description": "Why a request was refused",
        "type": "object",
        "required": ["code", "message", "title"],
        "properties": {
            "code": { "type": "string", "description": "Status with its phrase, such as `404 Not Found`" },
            "message": { "type": "string", "description": "The reason, with line breaks of HTML at its end" },
            "title": { "type": "string", "description": "Phrase of the status" },
        },
    });
}

/// The operations of a path.
fn operations(item: &mut Value) -> impl Iterator<Item = &mut Value> {
    const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let entries = item.as_object_mut().into_iter().flatten();
    entries.filter(|(name, _)| METHODS.contains(&name.as_str())).map(|(_, operation)| operation)
}

/// A parameter that may be left out is not sent as null.
fn tidy_parameters(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        let Some(kinds) = parameter.pointer_mut("/schema/type") else { continue };
        if let Some(kind) = kinds.as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")) {
            *kinds = kind.clone();
        }
    }
}

fn add_refusals(responses: &mut Map<String, Value>, open: bool) {
    // who needs no token is asked for none, and touches nothing that could be away
    let common = faults::OF_EVERY_OPERATION.iter().filter(|name| !open || **name == "HeaderTooLarge");
    for name in common {
        let status = faults::status(name).unwrap_or_default().to_string();
        let named = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.entry(status).or_insert(named);
    }
    for (status, response) in responses {
        let is_refusal = status.starts_with('4') || status.starts_with('5');
        if is_refusal && response.get("$ref").is_none() && response.get("content").is_none() {
            response["content"] = faults::content();
        }
    }
}

fn add_request_id(response: &mut Value) {
    if response.get("$ref").is_none() {
        response["headers"]["X-Openstack-Request-Id"] = json!({ "$ref": "#/components/headers/RequestId" });
    }
}
