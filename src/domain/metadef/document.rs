//! Documents of metadata definitions as clients and files give them, held against the schemas of §12.
//!
//! Readers refuse in the order of §2.1: what only the service sets (step 5), then what does not fit the schema (step 6).
//! Text that cannot be stored (step 13) is judged after existence and policy, so that it is handed on in a [`Draft`].

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::domain::text::{self, clip};
use crate::error::{Error, Result};

use super::schema::Base;
use super::{AssociationFields, Definitions, NamespaceFields, ObjectFields, Property, Visibility};

/// Most characters of a name, where the schemas do not say so themselves (§1).
pub const MAX_NAME: usize = 80;
/// Most characters of a pointer in a refusal.
const POINTER: usize = 255;
/// The owner of what files bring, unless they name one (§13).
const FILE_OWNER: &str = "admin";
/// Collections within a namespace.
const COLLECTIONS: [&str; 4] = ["resource_type_associations", "properties", "objects", "tags"];

/// Where and why a document does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Misfit {
    /// What is wrong, as a JSON pointer (RFC 6901) into the document.
    pub pointer: String,
    /// Why, in words that a client or operator may read.
    pub reason: String,
}

impl Misfit {
    fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }

    /// The same of what has this member.
    fn below(self, name: &str) -> Self {
        Self { pointer: format!("{}{}", join("", name), self.pointer), ..self }
    }

    fn refusal(&self, schema: &str) -> Error {
        let at = match self.pointer.as_str() {
            "" => String::new(),
            pointer => format!(" at '{}'", clip(pointer, POINTER)),
        };
        Error::invalid(format!("Provided object does not match schema '{schema}': {}{at}", self.reason))
    }
}

/// What a client asks for, with what is to be said of it only after existence and policy were looked at.
#[derive(Debug)]
pub struct Draft<T> {
    content: T,
    refused: Option<Error>,
}

impl<T> Draft<T> {
    fn new(content: T, refused: Option<Error>) -> Self {
        Self { content, refused }
    }

    /// What is asked for; not to be stored.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// Whether [`accept`](Self::accept) will fail.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// What is to be stored.
    ///
    /// # Errors
    /// `Invalid` for text that cannot be stored, and for a namespace that nobody would own.
    pub fn accept(self) -> Result<T> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(self.content),
        }
    }
}

/// Reads a namespace to create with all that is to be in it (§4.2). Unless it names its owner, that is `project`.
///
/// # Errors
/// `Forbidden` for attributes that only the service sets, else `Invalid`.
pub fn new_namespace(document: &Value, project: Option<&str>) -> Result<Draft<Definitions>> {
    check_writable(document, Base::Namespace)?;
    let read = definitions(document, project.unwrap_or_default());
    let mut read = read.map_err(|misfit| misfit.refusal(Base::Namespace.name()))?;
    let refused = refusal_of(document, project);
    set_defaults(&mut read.namespace);
    Ok(Draft::new(read, refused))
}

/// Reads what is to be said of a namespace from now on; what is in it must fit and is ignored (§4.5).
///
/// # Errors
/// As [`new_namespace`].
pub fn namespace(document: &Value, project: Option<&str>) -> Result<Draft<NamespaceFields>> {
    check_writable(document, Base::Namespace)?;
    let refuse = |misfit: Misfit| misfit.refusal(Base::Namespace.name());
    Base::Namespace.judge(document).map_err(refuse)?;
    let members = document.as_object().into_iter().flatten();
    let said = members.filter(|(name, _)| !COLLECTIONS.contains(&name.as_str()));
    let said: Value = said.map(|(name, member)| (name.clone(), member.clone())).collect();
    let mut fields = namespace_fields(&said, project.unwrap_or_default()).map_err(refuse)?;
    let refused = refusal_of(&said, project);
    set_defaults(&mut fields);
    Ok(Draft::new(fields, refused))
}

/// Reads an object, to create or to take the place of another (§5).
///
/// # Errors
/// As [`new_namespace`].
pub fn object(document: &Value) -> Result<Draft<ObjectFields>> {
    read(document, Base::Object, |document| object_fields("", document))
}

/// Reads a property, to create or to take the place of another (§6).
///
/// # Errors
/// As [`new_namespace`].
pub fn property(document: &Value) -> Result<Draft<Property>> {
    read(document, Base::Property, |document| {
        let name = name_of("", document)?;
        let mut schema = property_schema("", document)?;
        schema.remove("name");
        Ok(Property { name, schema })
    })
}

/// Reads an association with a resource type (§7).
///
/// # Errors
/// As [`new_namespace`].
pub fn association(document: &Value) -> Result<Draft<AssociationFields>> {
    read(document, Base::ResourceType, |document| association_fields("", document))
}

/// Reads the new name of a tag (§8).
///
/// # Errors
/// As [`new_namespace`].
pub fn tag(document: &Value) -> Result<Draft<String>> {
    read(document, Base::Tag, |document| name_of("", document))
}

/// Reads the names of several tags (§8).
///
/// # Errors
/// As [`new_namespace`].
pub fn tags(document: &Value) -> Result<Draft<Vec<String>>> {
    check_writable(document, Base::Tag)?;
    let names = || {
        only("", document, &["tags"])?;
        let entries = document.get("tags").and_then(Value::as_array);
        let entries = entries.ok_or_else(|| Misfit::new("", "'tags' must be given as a list"))?;
        each("/tags", entries, tag_name)
    };
    let names = names().map_err(|misfit| misfit.refusal("tags"))?;
    Ok(Draft::new(names, refusal_of(document, Some(""))))
}

/// Checks the name of a tag that stands in a URL (§2.1 step 9).
///
/// # Errors
/// `Invalid` above 80 characters.
pub fn check_tag_name(name: &str) -> Result<()> {
    check_length("", name).map_err(|misfit| misfit.refusal(Base::Tag.name()))
}

/// Reads the document of a file (§13): like one that creates a namespace, with the defaults of files. A missing owner is
/// `admin`; missing `visibility` and `protected` stay open.
///
/// # Errors
/// The first thing that does not fit.
pub fn of_file(document: &Value) -> Result<Definitions, Misfit> {
    let read = definitions(document, FILE_OWNER)?;
    match unstorable(document).or_else(|| repeated(&read)) {
        Some(misfit) => Err(misfit),
        None => Ok(read),
    }
}

/// The first thing whose name another of its kind has. Properties have their names as keys, of which the last counts.
fn repeated(definitions: &Definitions) -> Option<Misfit> {
    let again = |kind: &str, names: Vec<&String>| {
        let mut seen = HashSet::new();
        let at = names.into_iter().position(|name| !seen.insert(name))?;
        Some(Misfit::new(format!("/{kind}/{at}"), "there is another of the same name"))
    };
    let associations = definitions.associations.iter().map(|association| &association.name);
    again("resource_type_associations", associations.collect())
        .or_else(|| again("objects", definitions.objects.iter().map(|object| &object.name).collect()))
        .or_else(|| again("tags", definitions.tags.iter().collect()))
}

/// The document of a file that [`of_file`] reads back to the same definitions. What is unset or empty is left out, the
/// owner too where it is `admin`.
pub fn to_file(definitions: &Definitions) -> Value {
    let fields = &definitions.namespace;
    let mut file = json!({ "namespace": fields.namespace });
    let owner = (fields.owner != FILE_OWNER).then(|| json!(fields.owner));
    for (name, value) in [
        ("display_name", fields.display_name.as_ref().map(|text| json!(text))),
        ("description", fields.description.as_ref().map(|text| json!(text))),
        ("visibility", fields.visibility.map(|visibility| json!(visibility.as_str()))),
        ("protected", fields.protected.map(|protected| json!(protected))),
        ("owner", owner),
        ("resource_type_associations", list(&definitions.associations, association_entry)),
        ("objects", list(&definitions.objects, object_entry)),
        ("tags", list(&definitions.tags, |name| json!({ "name": name }))),
    ] {
        if let Some(value) = value {
            file[name] = value;
        }
    }
    if !definitions.properties.is_empty() {
        let entry = |property: &Property| (property.name.clone(), Value::Object(property.schema.clone()));
        file["properties"] = Value::Object(definitions.properties.iter().map(entry).collect());
    }
    file
}

fn list<T>(entries: &[T], entry: impl Fn(&T) -> Value) -> Option<Value> {
    (!entries.is_empty()).then(|| entries.iter().map(entry).collect())
}

fn association_entry(fields: &AssociationFields) -> Value {
    let mut entry = json!({ "name": fields.name });
    if let Some(prefix) = &fields.prefix {
        entry["prefix"] = json!(prefix);
    }
    if let Some(target) = &fields.properties_target {
        entry["properties_target"] = json!(target);
    }
    entry
}

fn object_entry(fields: &ObjectFields) -> Value {
    let mut entry = json!({ "name": fields.name });
    if let Some(description) = &fields.description {
        entry["description"] = json!(description);
    }
    if !fields.required.is_empty() {
        entry["required"] = json!(fields.required);
    }
    if !fields.properties.is_empty() {
        entry["properties"] = json!(fields.properties);
    }
    entry
}

/// Steps 4 and 5 of §2.1: an object without what only the service sets.
fn check_writable(document: &Value, base: Base) -> Result<()> {
    let Some(object) = document.as_object() else {
        return Err(Error::invalid("The request body must be a JSON object."));
    };
    match base.read_only().iter().find(|name| object.contains_key(**name)) {
        Some(name) => Err(Error::forbidden(format!("Attribute '{name}' is read-only."))),
        None => Ok(()),
    }
}

fn read<T>(
    document: &Value,
    base: Base,
    reader: impl FnOnce(&Value) -> Result<T, Misfit>,
) -> Result<Draft<T>> {
    check_writable(document, base)?;
    let content = base.judge(document).and_then(|()| reader(document));
    let content = content.map_err(|misfit| misfit.refusal(base.name()))?;
    Ok(Draft::new(content, refusal_of(document, Some(""))))
}

/// What is wrong with a document that fits: text that cannot be stored, or that neither it nor the caller has a
/// `project` to own it.
fn refusal_of(document: &Value, project: Option<&str>) -> Option<Error> {
    if let Some(Misfit { pointer, reason }) = unstorable(document) {
        return Some(Error::invalid(format!("{reason} At '{}'.", clip(&pointer, POINTER))));
    }
    let owned = project.is_some() || document.get("owner").is_some();
    (!owned).then(|| Error::invalid("Without a project to own it, a namespace needs 'owner'."))
}

/// What the API sets where nothing is said (§4.1).
fn set_defaults(fields: &mut NamespaceFields) {
    fields.visibility.get_or_insert(Visibility::Private);
    fields.protected.get_or_insert(false);
}

fn definitions(document: &Value, owner: &str) -> Result<Definitions, Misfit> {
    Base::Namespace.judge(document)?;
    let entries = |name: &str| document.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut properties = Vec::new();
    for (name, entry) in document.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let pointer = join("/properties", name);
        check_length(&pointer, name)?;
        let mut schema = property_schema(&pointer, entry)?;
        // the key wins
        schema.remove("name");
        properties.push(Property { name: name.clone(), schema });
    }
    let associations = entries("resource_type_associations");
    Ok(Definitions {
        namespace: namespace_fields(document, owner)?,
        associations: each("/resource_type_associations", associations, association_fields)?,
        objects: each("/objects", entries("objects"), object_fields)?,
        tags: each("/tags", entries("tags"), tag_name)?,
        properties,
    })
}

/// The six attributes that can be written, of a document that fits the schema.
fn namespace_fields(document: &Value, owner: &str) -> Result<NamespaceFields, Misfit> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let namespace = text("namespace").unwrap_or_default();
    check_length("/namespace", &namespace)?;
    Ok(NamespaceFields {
        namespace,
        display_name: text("display_name"),
        description: text("description"),
        visibility: text("visibility").and_then(|word| word.parse().ok()),
        protected: document.get("protected").and_then(Value::as_bool),
        owner: text("owner").unwrap_or_else(|| owner.to_owned()),
    })
}

fn object_fields(pointer: &str, entry: &Value) -> Result<ObjectFields, Misfit> {
    const KNOWN: [&str; 8] =
        ["name", "description", "required", "properties", "self", "schema", "created_at", "updated_at"];
    only(pointer, entry, &KNOWN)?;
    let required = entry.get("required").and_then(Value::as_array).into_iter().flatten();
    let mut properties = Map::new();
    for (name, entry) in entry.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let schema = property_schema(&join(&format!("{pointer}/properties"), name), entry)?;
        properties.insert(name.clone(), Value::Object(schema));
    }
    Ok(ObjectFields {
        name: name_of(pointer, entry)?,
        description: entry.get("description").and_then(Value::as_str).map(str::to_owned),
        required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
        properties,
    })
}

fn association_fields(pointer: &str, entry: &Value) -> Result<AssociationFields, Misfit> {
    only(pointer, entry, &["name", "prefix", "properties_target", "created_at", "updated_at"])?;
    let text = |name: &str| match entry.get(name).and_then(Value::as_str) {
        Some(text) if is_longer(text) => Err(too_long(&join(pointer, name))),
        text => Ok(text.map(str::to_owned)),
    };
    Ok(AssociationFields {
        name: name_of(pointer, entry)?,
        prefix: text("prefix")?,
        properties_target: text("properties_target")?,
    })
}

fn tag_name(pointer: &str, entry: &Value) -> Result<String, Misfit> {
    only(pointer, entry, &["name"])?;
    name_of(pointer, entry)
}

/// The form in which the schema of a property is stored and shown (§6); types were checked by the schema.
fn property_schema(pointer: &str, entry: &Value) -> Result<Map<String, Value>, Misfit> {
    const KNOWN: [&str; 18] = [
        "name",
        "title",
        "type",
        "description",
        "operators",
        "default",
        "readonly",
        "minimum",
        "maximum",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "additionalItems",
    ];
    only(pointer, entry, &KNOWN)?;
    check_choices(pointer, entry)?;
    if let Some(items) = entry.get("items") {
        let pointer = format!("{pointer}/items");
        only(&pointer, items, &["type", "enum"])?;
        if items.get("type").is_none() {
            return Err(Misfit::new(pointer, "'type' is a required property"));
        }
        check_choices(&pointer, items)?;
    }
    let mut schema = entry.as_object().cloned().unwrap_or_default();
    if let Some(default) = schema.get_mut("default") {
        check_exact(&format!("{pointer}/default"), default)?;
        *default = default_text(default);
    }
    Ok(schema)
}

/// Numbers that are read as something else cannot be text.
fn check_exact(pointer: &str, default: &Value) -> Result<(), Misfit> {
    /// From here on, not even every integer is a number of its own.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    match default {
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.abs() > LARGEST) => {
            Err(Misfit::new(pointer, "the number is too large; give it as text"))
        }
        _ => Ok(()),
    }
}

/// Whatever the type, defaults are text; what is no scalar has none.
fn default_text(default: &Value) -> Value {
    match default {
        Value::String(text) => json!(text),
        Value::Number(number) => json!(number.to_string()),
        Value::Bool(true) => json!("True"),
        Value::Bool(false) => json!("False"),
        Value::Null | Value::Array(_) | Value::Object(_) => Value::Null,
    }
}

fn check_choices(pointer: &str, entry: &Value) -> Result<(), Misfit> {
    let choices = entry.get("enum").and_then(Value::as_array);
    match choices.and_then(|choices| choices.iter().position(|choice| !choice.is_string())) {
        Some(at) => Err(Misfit::new(format!("{pointer}/enum/{at}"), "choices must be strings")),
        None => Ok(()),
    }
}

/// Reads every entry of a list.
fn each<T>(
    pointer: &str,
    entries: &[Value],
    reader: impl Fn(&str, &Value) -> Result<T, Misfit>,
) -> Result<Vec<T>, Misfit> {
    entries.iter().enumerate().map(|(at, entry)| reader(&format!("{pointer}/{at}"), entry)).collect()
}

/// Refuses what is no object or has other attributes than these.
fn only(pointer: &str, entry: &Value, known: &[&str]) -> Result<(), Misfit> {
    let Some(entry) = entry.as_object() else {
        return Err(Misfit::new(pointer, "it must be an object"));
    };
    match entry.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Misfit::new(join(pointer, name), "there is no such attribute")),
        None => Ok(()),
    }
}

fn name_of(pointer: &str, entry: &Value) -> Result<String, Misfit> {
    match entry.get("name") {
        Some(Value::String(name)) => {
            check_length(&format!("{pointer}/name"), name)?;
            Ok(name.clone())
        }
        Some(_) => Err(Misfit::new(format!("{pointer}/name"), "it must be a string")),
        None => Err(Misfit::new(pointer, "'name' is a required property")),
    }
}

/// Names stand in URLs, where nothing at all is no name.
fn check_length(pointer: &str, name: &str) -> Result<(), Misfit> {
    match name {
        "" => Err(Misfit::new(pointer, "a name must not be empty")),
        name if is_longer(name) => Err(too_long(pointer)),
        _ => Ok(()),
    }
}

fn is_longer(text: &str) -> bool {
    text.chars().nth(MAX_NAME).is_some()
}

fn too_long(pointer: &str) -> Misfit {
    Misfit::new(pointer, format!("it may have at most {MAX_NAME} characters"))
}

/// The first text in a document that cannot be stored, be it a name (§10).
fn unstorable(value: &Value) -> Option<Misfit> {
    let judge = |text: &str| text::check_storable(text).err().map(|error| Misfit::new("", error.message()));
    match value {
        Value::String(text) => judge(text),
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .find_map(|(at, entry)| unstorable(entry).map(|misfit| misfit.below(&at.to_string()))),
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            judge(name).or_else(|| unstorable(member)).map(|misfit| misfit.below(name))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The pointer to a member of what `pointer` is at.
pub(super) fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
