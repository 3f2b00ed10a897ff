//! Schemas of metadata definitions, made of the documents under `/v2/schemas/metadefs`.

use serde_json::{Map, Value, json};

use crate::domain::metadef::document::MAX_NAME;
use crate::domain::metadef::schema::Document;

/// Where named schemas are in the document.
const COMPONENTS: &str = "#/components/schemas/";

/// Puts the schemas into the components of a document.
pub(super) fn insert(components: &mut Value) {
    let schemas: [(&str, Value); 16] = [
        ("MetadefPropertySchema", entry_of_map()),
        ("MetadefProperty", property()),
        ("MetadefProperties", listed("properties", &map_of("MetadefProperty"), &[])),
        ("MetadefNamespace", shown(Document::Namespace, &["namespace", "visibility", "protected", "owner"])),
        ("MetadefNamespaces", namespaces()),
        ("NewMetadefNamespace", new_namespace()),
        ("MetadefObject", shown(Document::Object, &["name", "required", "properties"])),
        ("MetadefObjects", listed("objects", &list_of("MetadefObject"), &["schema"])),
        ("NewMetadefObject", written(Document::Object)),
        ("MetadefTag", shown(Document::Tag, &["name"])),
        ("MetadefTags", listed("tags", &list_of("NewMetadefTag"), &[])),
        ("NewMetadefTag", written(Document::Tag)),
        ("MetadefAssociation", shown(Document::ResourceType, &["name"])),
        ("MetadefAssociations", listed("resource_type_associations", &list_of("MetadefAssociation"), &[])),
        ("NewMetadefAssociation", written(Document::ResourceType)),
        // a resource type by itself has what a tag has
        ("MetadefResourceTypes", listed("resource_types", &list_of("MetadefTag"), &[])),
    ];
    for (name, schema) in schemas {
        components[name] = schema;
    }
}

/// What is said of a property under its name. A name within is kept and means nothing, so that it may be empty.
fn entry_of_map() -> Value {
    let mut entry = property();
    entry["required"] = json!(["title", "type"]);
    entry["properties"]["name"] = json!({ "type": "string", "maxLength": MAX_NAME });
    entry
}

/// A property with its name. What is published beside, `required`, is not accepted (§6).
fn property() -> Value {
    let mut property = written(Document::Property);
    if let Some(properties) = property["properties"].as_object_mut() {
        properties.remove("required");
        properties["default"] =
            json!({ "description": "Value unless another is given; shown as text, or null" });
        properties["enum"]["items"] = json!({ "type": "string" });
        properties["items"]["properties"]["enum"]["items"] = json!({ "type": "string" });
        properties["items"]["required"] = json!(["type"]);
        properties["items"]["additionalProperties"] = json!(false);
    }
    property
}

fn namespaces() -> Value {
    let mut page = listed("namespaces", &list_of("MetadefNamespace"), &["first", "schema"]);
    page["properties"]["next"] =
        json!({ "type": "string", "description": "The next page; absent on the last" });
    page
}

/// What a namespace may be created with: entries of its collections are what they are by themselves.
fn new_namespace() -> Value {
    let mut new = written(Document::Namespace);
    new["properties"]["objects"]["items"] = reference("NewMetadefObject");
    new["properties"]["tags"]["items"] = reference("NewMetadefTag");
    new["properties"]["resource_type_associations"]["items"] = reference("NewMetadefAssociation");
    new
}

/// An object as it is shown: these attributes always, and those that only the service sets, but the time of a change
/// that has not been.
fn shown(document: Document, always: &[&str]) -> Value {
    let published = document.value();
    let properties = properties(&published);
    let ours =
        properties.iter().filter(|(name, definition)| is_read_only(definition) && *name != "updated_at");
    let mut required: Vec<&str> = always.to_vec();
    required.extend(ours.map(|(name, _)| name.as_str()));
    json!({ "type": "object", "properties": properties, "required": required })
}

/// What a client may send.
fn written(document: Document) -> Value {
    let published = document.value();
    let mut properties = properties(&published);
    properties.retain(|_, definition| !is_read_only(definition));
    for name in ["namespace", "name"] {
        if let Some(definition) = properties.get_mut(name) {
            (definition["minLength"], definition["maxLength"]) = (1.into(), MAX_NAME.into());
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": published["required"],
        "additionalProperties": false,
    })
}

fn is_read_only(definition: &Value) -> bool {
    definition["readOnly"] == json!(true)
}

fn listed(name: &str, member: &Value, links: &[&str]) -> Value {
    let mut properties = Map::from_iter([(name.to_owned(), member.clone())]);
    properties.extend(links.iter().map(|link| ((*link).to_owned(), json!({ "type": "string" }))));
    let required: Vec<&str> = std::iter::once(name).chain(links.iter().copied()).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

fn list_of(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

fn map_of(name: &str) -> Value {
    json!({ "type": "object", "additionalProperties": reference(name) })
}

/// The attributes of a published document, with its definitions in place of references to them.
fn properties(published: &Value) -> Map<String, Value> {
    let mut properties = published["properties"].clone();
    resolve(&mut properties, &published["definitions"]);
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn resolve(value: &mut Value, definitions: &Value) {
    if let Some(name) = value["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/")) {
        *value = match name {
            "property" => map_of("MetadefPropertySchema"),
            name => definitions[name].clone(),
        };
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| resolve(member, definitions)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| resolve(element, definitions)),
        _ => {}
    }
}
