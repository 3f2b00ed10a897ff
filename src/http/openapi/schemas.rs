//! Schemas of what v2 shows, made of the documents under `/v2/schemas`, so that both agree and the formats and
//! properties of this installation appear.
//!
//! The types here are names for `#[utoipa::path]`; [`insert`] puts the schemas in their place.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::schema::{self, ImageSchema};

use super::definitions;

/// Declares a name for each schema that is inserted at run time.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new().into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($name))
                }
            }
        )*
    };
}

names! {
    /// An image.
    Image;
    /// A page of images.
    Images;
    /// What a new image may be given.
    NewImage;
    /// A member of an image.
    Member;
    /// The members of an image.
    Members;
    /// A task.
    Task;
    /// A page of tasks.
    Tasks;
    /// A namespace of metadata definitions.
    MetadefNamespace;
    /// A page of namespaces.
    MetadefNamespaces;
    /// What can be said of a namespace.
    NewMetadefNamespace;
    /// An object of a namespace.
    MetadefObject;
    /// The objects of a namespace.
    MetadefObjects;
    /// What can be said of an object.
    NewMetadefObject;
    /// A property with its name.
    MetadefProperty;
    /// The properties of a namespace.
    MetadefProperties;
    /// A tag of a namespace.
    MetadefTag;
    /// Tags of a namespace.
    MetadefTags;
    /// The name of a tag.
    NewMetadefTag;
    /// An association of a namespace with a resource type.
    MetadefAssociation;
    /// The associations of a namespace.
    MetadefAssociations;
    /// What can be said of an association.
    NewMetadefAssociation;
    /// The resource types of the cloud.
    MetadefResourceTypes;
}

/// Attributes that an image has only under some configurations, or in some states (images-v2.md §4.2).
const CONDITIONAL: [&str; 3] = ["direct_url", "locations", "stores"];

/// Puts the schemas of this installation into the components of a document.
pub(super) fn insert(components: &mut Value, images: &ImageSchema) {
    let (member, task) = (schema::member(), schema::task());
    components["Image"] = image(images.image());
    components["NewImage"] = new_image(images.image());
    components["Images"] = page("images", "Image", &["first", "schema"]);
    components["Images"]["properties"]["next"] =
        json!({ "type": "string", "description": "The next page; absent on the last" });
    components["Member"] = shown(&member, &[]);
    components["Members"] = page("members", "Member", &["schema"]);
    components["Task"] =
        shown(&task, &["expires_at", "image_id", "input", "message", "request_id", "result", "user_id"]);
    // a task of somebody without a project has no owner
    components["Task"]["properties"]["owner"]["type"] = json!(["null", "string"]);
    components["Tasks"] = page("tasks", "Task", &["first", "schema"]);
    components["Tasks"]["properties"]["next"] = components["Images"]["properties"]["next"].clone();
    definitions::insert(components);
}

/// An image as it is shown. Where the published schema says what a client may write, an image may hold more: v1
/// stores any text under a declared name, and formats stay when they are no longer configured.
fn image(published: &Value) -> Value {
    let mut shown = shown(published, &CONDITIONAL);
    shown["description"] = "An image; what is not listed is an additional property of text".into();
    shown["additionalProperties"] = json!({ "type": "string" });
    if let Some(url) = shown.pointer_mut("/properties/locations/items/properties/url") {
        remove(url, &["maxLength"]);
    }
    shown
}

/// An object as it is shown: all that is published is there, but for what is optional and for what was declared by
/// the operator.
fn shown(published: &Value, optional: &[&str]) -> Value {
    let mut properties = properties(published);
    let is_declared = |definition: &Value| definition["is_base"] == json!(false);
    let always = properties
        .iter()
        .filter(|(name, definition)| !optional.contains(&name.as_str()) && !is_declared(definition));
    let required: Vec<String> = always.map(|(name, _)| name.clone()).collect();
    for definition in properties.values_mut() {
        if is_declared(definition) {
            remove(definition, &["is_base", "enum", "pattern", "maxLength", "minLength"]);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// What a client may send to make an image: all that is not read-only.
fn new_image(published: &Value) -> Value {
    let mut properties = properties(published);
    properties.retain(|name, definition| definition["readOnly"] != json!(true) && name != "locations");
    properties.values_mut().for_each(|definition| remove(definition, &["is_base"]));
    for size in ["min_disk", "min_ram"] {
        if let Some(definition) = properties.get_mut(size) {
            (definition["minimum"], definition["maximum"]) = (0.into(), i32::MAX.into());
        }
    }
    let mut new = json!({
        "description": "A new image; what is not listed is stored as an additional property of text",
        "type": "object",
        "properties": properties,
        "additionalProperties": { "type": "string", "maxLength": 65_535 },
    });
    if let Some(required) = published.get("required") {
        new["required"] = required.clone();
    }
    new
}

fn page(name: &str, entry: &str, required: &[&str]) -> Value {
    let mut properties = Map::new();
    let entries = json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{entry}") } });
    properties.insert(name.to_owned(), entries);
    properties.extend(required.iter().map(|link| ((*link).to_owned(), json!({ "type": "string" }))));
    let required: Vec<&str> = std::iter::once(name).chain(required.iter().copied()).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn properties(published: &Value) -> Map<String, Value> {
    published["properties"].as_object().cloned().unwrap_or_default()
}

fn remove(definition: &mut Value, keywords: &[&str]) {
    if let Some(definition) = definition.as_object_mut() {
        definition.retain(|keyword, _| !keywords.contains(&keyword.as_str()));
    }
}
