//! Domain → JSON of the Images API v2 (images-v2.md §4).

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::domain::schema::ImageSchema;
use crate::domain::timestamp;
use crate::flows::locations::ShownLocation;
use crate::flows::present::Presented;
use crate::flows::tasks::ShownTask;

/// Attributes that are there under conditions. v1 knows properties of these names, which must not pose as them.
const CONDITIONAL: [&str; 3] = ["direct_url", "locations", "stores"];

/// An image as every answer shows it: core attributes, what the configuration adds, and additional properties where
/// no core attribute has their name.
///
/// Written from the record itself, in the order of the names: documents of a page, made first and written then, took
/// more time than the database.
pub struct ShownImage<'a>(Vec<(&'a str, Shown<'a>)>);

/// A value of an image.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(Option<&'a str>),
    Made(String),
    Number(Option<i64>),
    Flag(bool),
    Texts(&'a [String]),
    Document(Value),
}

impl Serialize for ShownImage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A page of a list.
#[derive(Serialize)]
pub struct Page<'a> {
    /// Link to the first page.
    pub first: String,
    /// What the caller may see of it.
    pub images: Vec<ShownImage<'a>>,
    /// Link to the next page, where there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Path of its schema.
    pub schema: &'static str,
}

/// What is shown of an image.
pub fn image<'a>(presented: &'a Presented, schema: &ImageSchema) -> ShownImage<'a> {
    let mut shown = Vec::with_capacity(26 + presented.properties.len());
    shown.extend(conditional(presented));
    shown.extend(core(presented));
    shown.extend(properties(presented, schema));
    // of one name the first stays, which is never the property
    shown.sort_by_key(|(name, _)| *name);
    shown.dedup_by_key(|(name, _)| *name);
    ShownImage(shown)
}

/// Attributes that are there only where configuration and image say so (images-v2.md §4.2).
fn conditional(presented: &Presented) -> impl Iterator<Item = (&str, Shown<'_>)> {
    let stores = Some(&presented.stores).filter(|stores| !stores.is_empty());
    let pairs = [
        ("locations", presented.locations.as_deref().map(|list| Shown::Document(locations(list)))),
        ("direct_url", presented.direct_url.as_deref().map(|url| Shown::Text(Some(url)))),
        ("stores", stores.map(|stores| Shown::Made(stores.join(",")))),
        ("os_glance_import_task", presented.import_task.map(|task| Shown::Made(task.to_string()))),
        ("os_glance_importing_to_stores", joined(presented.importing_to.as_deref())),
        ("os_glance_failed_import", joined(presented.failed_import.as_deref())),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

/// Names of stores, if there are any to be told of.
fn joined(stores: Option<&[String]>) -> Option<Shown<'_>> {
    stores.map(|stores| Shown::Made(stores.join(",")))
}

/// Locations as a list of `url` and `metadata`, and nothing else of them.
pub fn locations(shown: &[ShownLocation]) -> Value {
    shown.iter().map(|location| json!({ "url": location.url, "metadata": location.metadata })).collect()
}

/// A task of an image (images-v2.md §15.1), with times as nothing else of v2 has them (§28 no. 10).
pub fn image_task(task: &ShownTask) -> Value {
    let record = &task.record;
    json!({
        "id": record.id.to_string(),
        "type": task.kind,
        "status": record.status.as_str(),
        "owner": record.owner,
        "user_id": record.user_id,
        "request_id": record.request_id,
        "image_id": record.image_id.map(|id| id.to_string()),
        "input": task.input,
        "result": record.result,
        "message": record.shown_message(),
        "created_at": timestamp::render_v1(record.created_at),
        "updated_at": timestamp::render_v1(record.updated_at),
        "expires_at": record.expires_at.map(timestamp::render_v1),
        "deleted": false,
        "deleted_at": null,
    })
}

/// A task as lists of the tasks API show it (images-v2.md §15.2).
pub fn listed_task(task: &ShownTask) -> Value {
    let record = &task.record;
    let mut shown = json!({
        "id": record.id.to_string(),
        "type": task.kind,
        "status": record.status.as_str(),
        "owner": record.owner,
        "created_at": timestamp::render(record.created_at),
        "updated_at": timestamp::render(record.updated_at),
        "self": format!("/v2/tasks/{}", record.id),
        "schema": "/v2/schemas/task",
    });
    if let Some(instant) = record.expires_at {
        shown["expires_at"] = timestamp::render(instant).into();
    }
    shown
}

/// A task with all there is to know of it (images-v2.md §15.2).
pub fn task(task: &ShownTask) -> Value {
    let record = &task.record;
    let mut shown = listed_task(task);
    shown["input"] = task.input.clone();
    shown["result"] = json!(record.result);
    shown["message"] = record.shown_message().into();
    let set = [
        ("image_id", record.image_id.map(|id| id.to_string())),
        ("request_id", record.request_id.clone()),
        ("user_id", record.user_id.clone()),
    ];
    for (name, value) in set {
        if let Some(value) = value {
            shown[name] = value.into();
        }
    }
    shown
}

/// Additional properties. A null is shown as such where the schema declares the property, else as empty text.
fn properties<'a>(
    presented: &'a Presented,
    schema: &ImageSchema,
) -> impl Iterator<Item = (&'a str, Shown<'a>)> {
    let ours = |name: &str| CONDITIONAL.contains(&name) || name.starts_with("os_glance");
    let own = presented.properties.iter().filter(move |(name, _)| !ours(name));
    own.map(|(name, value)| {
        let absent = if schema.is_declared(name) { None } else { Some("") };
        (name.as_str(), Shown::Text(value.as_deref().or(absent)))
    })
}

fn core(presented: &Presented) -> [(&str, Shown<'_>); 22] {
    let image = &presented.image;
    let text = |text: &'static str| Shown::Text(Some(text));
    let path = format!("/v2/images/{}", image.id);
    [
        ("id", Shown::Made(image.id.to_string())),
        ("name", Shown::Text(image.name.as_deref())),
        ("status", text(image.status.as_str())),
        ("visibility", text(image.visibility.as_str())),
        ("protected", Shown::Flag(image.protected)),
        ("os_hidden", Shown::Flag(image.os_hidden)),
        ("checksum", Shown::Text(image.checksum.as_deref())),
        ("os_hash_algo", Shown::Text(image.os_hash_algo.as_deref())),
        ("os_hash_value", Shown::Text(image.os_hash_value.as_deref())),
        ("owner", Shown::Text(image.owner.as_deref())),
        ("size", Shown::Number(image.size)),
        ("virtual_size", Shown::Number(image.virtual_size)),
        ("container_format", Shown::Text(image.container_format.as_deref())),
        ("disk_format", Shown::Text(image.disk_format.as_deref())),
        ("min_disk", Shown::Number(Some(image.min_disk.into()))),
        ("min_ram", Shown::Number(Some(image.min_ram.into()))),
        ("tags", Shown::Texts(&image.tags)),
        ("created_at", Shown::Made(timestamp::render(image.created_at))),
        ("updated_at", Shown::Made(timestamp::render(image.updated_at))),
        ("file", Shown::Made(format!("{path}/file"))),
        ("schema", text("/v2/schemas/image")),
        ("self", Shown::Made(path)),
    ]
}
