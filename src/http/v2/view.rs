//! Domain → JSON of the Images API v2 (images-v2.md §4).

use serde_json::{Map, Value, json};

use crate::domain::schema::ImageSchema;
use crate::domain::timestamp;
use crate::flows::image_tasks::ShownTask;
use crate::flows::locations::ShownLocation;
use crate::flows::present::Presented;

/// Attributes that are there under conditions. v1 knows properties of these names, which must not pose as them.
const CONDITIONAL: [&str; 3] = ["direct_url", "locations", "stores"];

/// An image as every answer shows it: core attributes, what the configuration adds, and additional properties where
/// no core attribute has their name.
pub fn image(presented: &Presented, schema: &ImageSchema) -> Value {
    let mut body = properties(presented, schema);
    body.extend(core(presented));
    body.extend(conditional(presented));
    Value::Object(body)
}

/// Attributes that are there only where configuration and image say so (images-v2.md §4.2).
fn conditional(presented: &Presented) -> impl Iterator<Item = (String, Value)> {
    let list = presented.locations.as_deref().map(locations);
    let task = presented.import_task.map(|task| task.to_string().into());
    let direct_url = presented.direct_url.as_deref().map(Value::from);
    let stores = Some(&presented.stores).filter(|stores| !stores.is_empty());
    let stores = stores.map(|stores| stores.join(",").into());
    let pairs = [
        ("locations", list),
        ("direct_url", direct_url),
        ("stores", stores),
        ("os_glance_import_task", task),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
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
        "message": record.message.as_deref().unwrap_or_default(),
        "created_at": timestamp::render_v1(record.created_at),
        "updated_at": timestamp::render_v1(record.updated_at),
        "expires_at": record.expires_at.map(timestamp::render_v1),
        "deleted": false,
        "deleted_at": null,
    })
}

/// Additional properties. A null is shown as such where the schema declares the property, else as empty text.
fn properties(presented: &Presented, schema: &ImageSchema) -> Map<String, Value> {
    let ours = |name: &str| CONDITIONAL.contains(&name) || name.starts_with("os_glance");
    let own = presented.properties.iter().filter(|(name, _)| !ours(name));
    let shown = own.map(|(name, value)| {
        let value = match value {
            Some(text) => Value::from(text.as_str()),
            None if schema.is_declared(name) => Value::Null,
            None => Value::from(""),
        };
        (name.clone(), value)
    });
    shown.collect()
}

fn core(presented: &Presented) -> Map<String, Value> {
    let image = &presented.image;
    let path = format!("/v2/images/{}", image.id);
    let Value::Object(core) = json!({
        "id": image.id.to_string(),
        "name": image.name,
        "status": image.status.as_str(),
        "visibility": image.visibility.as_str(),
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "owner": image.owner,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "tags": image.tags,
        "created_at": timestamp::render(image.created_at),
        "updated_at": timestamp::render(image.updated_at),
        "file": format!("{path}/file"),
        "schema": "/v2/schemas/image",
        "self": path,
    }) else {
        return Map::new();
    };
    core
}
