//! Metadata definitions as they are shown. What is unset is left out, and so are empty collections of a namespace
//! (metadefs.md §4.1).

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::domain::metadef::{
    Association, AssociationFields, Contents, Namespace, Object, ObjectFields, Property, ResourceType, Tag,
    Visibility,
};
use crate::domain::timestamp;

/// The collection of namespaces.
pub const COLLECTION: &str = "/v2/metadefs/namespaces";
/// What only the service says of an entry of a collection.
const KEPT_BY_SERVICE: [&str; 4] = ["self", "schema", "created_at", "updated_at"];

/// A namespace by itself.
pub fn namespace(namespace: &Namespace) -> Value {
    let fields = &namespace.fields;
    let mut view = json!({
        "namespace": fields.namespace,
        "visibility": fields.visibility.unwrap_or(Visibility::Private).as_str(),
        "protected": namespace.is_protected(),
        "owner": fields.owner,
        "self": format!("{COLLECTION}/{}", fields.namespace),
        "schema": "/v2/schemas/metadefs/namespace",
    });
    set(&mut view, "display_name", fields.display_name.as_ref());
    set(&mut view, "description", fields.description.as_ref());
    stamp(&mut view, namespace.created_at, namespace.updated_at);
    view
}

/// A namespace in a list: with its associations.
pub fn listed(row: &Namespace, associations: &[Association]) -> Value {
    let mut view = namespace(row);
    add_list(&mut view, "resource_type_associations", associations, association);
    view
}

/// A namespace with all that is in it.
pub fn whole(row: &Namespace, contents: &Contents) -> Value {
    let mut view = listed(row, &contents.associations);
    add_list(&mut view, "objects", &contents.objects, |one| object(&row.fields.namespace, one));
    add_list(&mut view, "tags", &contents.tags, |tag| json!({ "name": tag.name }));
    if !contents.properties.is_empty() {
        view["properties"] = properties(&contents.properties);
    }
    view
}

/// A namespace that was just created of this document, with the collections as they were given (metadefs.md §4.2).
pub fn created(row: &Namespace, document: &Value) -> Value {
    const COLLECTIONS: [&str; 4] = ["resource_type_associations", "objects", "tags", "properties"];
    let mut view = namespace(row);
    for name in COLLECTIONS {
        let Some(given) = document.get(name) else { continue };
        let mut given = given.clone();
        for entry in given.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.retain(|name, _| !KEPT_BY_SERVICE.contains(&name.as_str()));
        }
        view[name] = given;
    }
    view
}

/// An object of the namespace of this name.
pub fn object(namespace: &str, object: &Object) -> Value {
    let mut view = object_fields(&object.fields);
    view["self"] = json!(format!("{COLLECTION}/{namespace}/objects/{}", object.fields.name));
    view["schema"] = json!("/v2/schemas/metadefs/object");
    stamp(&mut view, object.created_at, object.updated_at);
    view
}

/// Properties by their names.
pub fn properties(properties: &[Property]) -> Value {
    let entry = |one: &Property| (one.name.clone(), property(one));
    Value::Object(properties.iter().map(entry).collect())
}

/// A property: its schema and its name.
pub fn property(property: &Property) -> Value {
    let mut view: Map<String, Value> = property.schema.clone();
    view.insert("name".to_owned(), json!(property.name));
    Value::Object(view)
}

/// A tag by itself.
pub fn tag(tag: &Tag) -> Value {
    let mut view = json!({ "name": tag.name });
    stamp(&mut view, tag.created_at, tag.updated_at);
    view
}

/// An association of a namespace.
pub fn association(association: &Association) -> Value {
    let mut view = association_fields(&association.fields);
    stamp(&mut view, association.created_at, association.updated_at);
    view
}

/// A resource type.
pub fn resource_type(kind: &ResourceType) -> Value {
    let mut view = json!({ "name": kind.name });
    stamp(&mut view, kind.created_at, kind.updated_at);
    view
}

fn object_fields(fields: &ObjectFields) -> Value {
    let mut view = json!({
        "name": fields.name,
        "required": fields.required,
        "properties": fields.properties,
    });
    set(&mut view, "description", fields.description.as_ref());
    view
}

fn association_fields(fields: &AssociationFields) -> Value {
    let mut view = json!({ "name": fields.name });
    set(&mut view, "prefix", fields.prefix.as_ref());
    set(&mut view, "properties_target", fields.properties_target.as_ref());
    view
}

fn add_list<T>(view: &mut Value, name: &str, entries: &[T], entry: impl Fn(&T) -> Value) {
    if !entries.is_empty() {
        view[name] = entries.iter().map(entry).collect();
    }
}

fn set(view: &mut Value, name: &str, text: Option<&String>) {
    if let Some(text) = text {
        view[name] = json!(text);
    }
}

fn stamp(view: &mut Value, created_at: OffsetDateTime, updated_at: Option<OffsetDateTime>) {
    view["created_at"] = json!(timestamp::render(created_at));
    if let Some(updated_at) = updated_at {
        view["updated_at"] = json!(timestamp::render(updated_at));
    }
}
