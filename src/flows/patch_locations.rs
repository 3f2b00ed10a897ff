//! Operations of patches on locations (images-v2.md §10), carried out on a copy of the list.
//!
//! The bytes of an active image never change (A23): a location that is added must have data of the same size, data is
//! read from own objects as long as there is one, and the last own object is not given up for a URL that nobody can
//! vouch for.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::catalog::locations::{LocationChanges, NewLocation, Place, Placement};
use crate::domain::digest;
use crate::domain::image::{Image, Status};
use crate::domain::patch::{Change, Operation, Path, Position};
use crate::domain::quota;
use crate::error::{Error, Result};

use super::locations::{STORE, invalid_location, own_metadata};
use super::sources::require_formats;
use super::{Call, Flows, Found};

/// Sizes that locations told, so that a patch that is applied anew asks once.
pub(super) type Measured = HashMap<String, i64>;

/// The locations of one image while a patch is applied.
pub(super) struct LocationEdit {
    entries: Vec<Entry>,
    removed: Vec<Placement>,
}

struct Entry {
    url: String,
    /// As it is shown.
    metadata: Value,
    origin: Origin,
}

enum Origin {
    Stored { placement: Placement, is_changed: bool },
    Added(NewLocation),
}

impl Entry {
    fn id(&self) -> Uuid {
        match &self.origin {
            Origin::Stored { placement, .. } => placement.id,
            Origin::Added(location) => location.id,
        }
    }

    fn is_object(&self) -> bool {
        matches!(&self.origin, Origin::Stored { placement, .. } if matches!(placement.place, Place::Object { .. }))
    }
}

impl LocationEdit {
    /// Ids of the locations in their order in this list.
    pub(super) fn order(&self) -> Vec<Uuid> {
        self.entries.iter().map(Entry::id).collect()
    }

    /// What is to be stored.
    pub(super) fn into_changes(self) -> LocationChanges {
        let mut changes = LocationChanges { removed: self.removed, ..LocationChanges::default() };
        for entry in self.entries {
            match entry.origin {
                Origin::Added(location) => changes.added.push(location),
                Origin::Stored { placement, is_changed: true } => changes.changed.push(placement),
                Origin::Stored { .. } => {}
            }
        }
        changes
    }

    /// Whether another place can be added beside those there are.
    fn check_quota(&self, maximum: i64) -> Result<()> {
        quota::check_count("locations", self.entries.len() + 1, maximum)
    }

    fn remove(&mut self, position: Position) -> Result<()> {
        // API parity: the last location is judged before the index
        if self.entries.len() <= 1 {
            return Err(Error::forbidden("Cannot remove last location in the image."));
        }
        let index = match position {
            Position::Index(index) if index < self.entries.len() => index,
            Position::Index(_) | Position::End => {
                return Err(Error::invalid("Invalid position for removing a location."));
            }
        };
        let objects = self.entries.iter().filter(|entry| entry.is_object()).count();
        if objects == 1 && self.entries.get(index).is_some_and(Entry::is_object) {
            return Err(Error::forbidden("Cannot remove the last copy of the image that the service holds."));
        }
        if let Origin::Stored { placement, .. } = self.entries.remove(index).origin {
            self.removed.push(placement);
        }
        Ok(())
    }

    /// Takes new metadata for the same set of URLs, in a new order.
    fn rearrange(&mut self, wanted: &[Value]) -> Result<()> {
        let differs = || Error::invalid("Cannot replace locations from a non-empty list by other ones.");
        if wanted.len() != self.entries.len() {
            return Err(differs());
        }
        let mut left = std::mem::take(&mut self.entries);
        for value in wanted {
            let (url, metadata) = parts(value)?;
            let same = |entry: &Entry| entry.url == url;
            let exact = left.iter().position(|entry| same(entry) && entry.metadata == *metadata);
            let index = exact.or_else(|| left.iter().position(same)).ok_or_else(differs)?;
            let mut entry = left.remove(index);
            entry.set_metadata(metadata)?;
            self.entries.push(entry);
        }
        let twice = |(index, entry): (usize, &Entry)| {
            self.entries
                .iter()
                .take(index)
                .any(|other| (&other.url, &other.metadata) == (&entry.url, &entry.metadata))
        };
        if self.entries.iter().enumerate().any(twice) { Err(invalid_location()) } else { Ok(()) }
    }
}

impl Entry {
    fn set_metadata(&mut self, metadata: &Value) -> Result<()> {
        if *metadata == self.metadata {
            return Ok(());
        }
        let is_object = self.is_object();
        let stored = if is_object { own_metadata(metadata) } else { free_metadata(metadata)? };
        self.metadata.clone_from(metadata);
        match &mut self.origin {
            Origin::Stored { placement, is_changed } => {
                *is_changed = *is_changed || placement.metadata != stored;
                placement.metadata = stored;
            }
            Origin::Added(location) => location.metadata = stored,
        }
        Ok(())
    }
}

impl Flows {
    /// The locations of an image, to be changed.
    pub(super) async fn edit_locations(&self, image: &Image) -> Result<LocationEdit> {
        let placements = self.catalog.placements(&[image.id]).await?;
        let entry = |placement: Placement| {
            let shown = self.shown_location(&placement)?;
            let origin = Origin::Stored { placement, is_changed: false };
            Some(Entry { url: shown.url, metadata: shown.metadata, origin })
        };
        Ok(LocationEdit { entries: placements.into_iter().filter_map(entry).collect(), removed: Vec::new() })
    }

    /// Carries out one operation on locations. When it fails, the patch is dropped.
    ///
    /// # Errors
    /// By the rows of images-v2.md §10.
    pub(super) async fn apply_to_locations(
        &self,
        call: &Call,
        found: &Found,
        operation: &Operation,
        image: &mut Image,
        edit: &mut LocationEdit,
        measured: &mut Measured,
    ) -> Result<()> {
        match (operation.path(), operation.change()) {
            (Path::Location(position), Change::Add(value)) => {
                self.allow_found(call, found, "set_image_location")?;
                check_status(image, &[Status::Queued, Status::Active])?;
                self.set_claims(image, std::slice::from_ref(value))?;
                let index = match position {
                    Position::Index(index) => (*index).min(edit.entries.len()),
                    Position::End => edit.entries.len(),
                };
                self.insert_location(image, edit, index, value, measured).await
            }
            (Path::Locations, Change::Replace(Value::Array(list))) if list.is_empty() => {
                Err(Error::forbidden("Cannot set locations to empty list."))
            }
            (Path::Locations, Change::Replace(Value::Array(list))) => {
                self.allow_found(call, found, "set_image_location")?;
                check_status(image, &[Status::Queued, Status::Active])?;
                list.iter().try_for_each(|value| check_metadata(parts(value)?.1))?;
                self.set_claims(image, list)?;
                if !edit.entries.is_empty() {
                    return edit.rearrange(list);
                }
                for (index, value) in list.iter().enumerate() {
                    self.insert_location(image, edit, index, value, measured).await?;
                }
                Ok(())
            }
            (Path::Location(position), Change::Remove) => {
                self.allow_found(call, found, "delete_image_location")?;
                check_status(image, &[Status::Active])?;
                edit.remove(*position)
            }
            _ => Err(Error::internal("an operation on attributes was applied as one on locations")),
        }
    }

    /// Adds a place, and activates an image that had none (images-v2.md §10).
    async fn insert_location(
        &self,
        image: &mut Image,
        edit: &mut LocationEdit,
        index: usize,
        value: &Value,
        measured: &mut Measured,
    ) -> Result<()> {
        let (url, metadata) = parts(value)?;
        check_metadata(metadata)?;
        if image.status == Status::Queued {
            require_formats(image)?;
        }
        let is_same = |entry: &Entry| entry.url == url && entry.metadata == *metadata;
        if edit.entries.iter().any(is_same) {
            return Err(Error::invalid("The location is there already."));
        }
        edit.check_quota(self.config.limits.image_location_quota)?;
        let metadata = free_metadata(metadata)?;
        let target = self.check_location_url(url)?;
        let url = target.url().to_string();
        if edit.entries.iter().any(|entry| entry.url == url && entry.metadata == metadata) {
            return Err(Error::invalid("The location is there already."));
        }
        let size = match measured.get(&url) {
            Some(size) => *size,
            None => {
                self.measure_location(&target).await.map_err(|error| invalid_location().with_source(error))?
            }
        };
        measured.insert(url.clone(), size);
        match image.status {
            Status::Queued => {
                image.status = Status::Active;
                image.size = Some(size);
            }
            _ if image.size != Some(size) => return Err(invalid_location()),
            _ => {}
        }
        let added = NewLocation { id: Uuid::new_v4(), url: url.clone(), metadata: metadata.clone(), size };
        edit.entries.insert(index, Entry { url, metadata, origin: Origin::Added(added) });
        Ok(())
    }

    /// Takes over what clients say the data is, from all locations of one operation (images-v2.md §10).
    fn set_claims(&self, image: &mut Image, values: &[Value]) -> Result<()> {
        let claims = merged_claims(values)?;
        let mut is_new = false;
        for (name, wanted) in &claims {
            let current = match *name {
                "checksum" => &image.checksum,
                "os_hash_algo" => &image.os_hash_algo,
                _ => &image.os_hash_value,
            };
            match current {
                Some(current) if current == wanted => {}
                Some(_) => {
                    return Err(Error::conflict(format!("{name} is already set with a different value.")));
                }
                None => is_new = true,
            }
        }
        if !is_new {
            return Ok(());
        }
        check_status(image, &[Status::Queued])?;
        let configured = self.config.images.hash_algorithm.as_str();
        if claims.get("os_hash_algo").is_some_and(|algorithm| algorithm != configured) {
            return Err(Error::conflict(format!("os_hash_algo must be {configured}.")));
        }
        for (name, algorithm) in [("checksum", "md5"), ("os_hash_value", configured)] {
            if claims.get(name).is_some_and(|value| !is_digest(value, algorithm)) {
                return Err(Error::conflict(format!(
                    "{name} is not a digest by {algorithm} in hexadecimal."
                )));
            }
        }
        image.checksum = claims.get("checksum").cloned().or(image.checksum.take());
        image.os_hash_algo = claims.get("os_hash_algo").cloned().or(image.os_hash_algo.take());
        image.os_hash_value = claims.get("os_hash_value").cloned().or(image.os_hash_value.take());
        Ok(())
    }
}

/// The members of all `validation_data`, which must not contradict each other.
fn merged_claims(values: &[Value]) -> Result<HashMap<&str, String>> {
    let mut merged = HashMap::new();
    let claims = values.iter().filter_map(|value| value.get("validation_data")?.as_object());
    for (name, value) in claims.flatten() {
        let value = value.as_str().unwrap_or_default();
        if merged.insert(name.as_str(), value.to_owned()).is_some_and(|other| other != value) {
            return Err(Error::conflict(format!("Conflicting values for {name} in validation_data.")));
        }
    }
    Ok(merged)
}

fn is_digest(value: &str, algorithm: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_hexdigit()) && digest::claimable(algorithm) == Some(value.len())
}

fn check_status(image: &Image, allowed: &[Status]) -> Result<()> {
    if allowed.contains(&image.status) {
        return Ok(());
    }
    let status = image.status.as_str();
    Err(Error::conflict(format!("Locations of an image cannot be changed this way while it is {status}.")))
}

/// URL and metadata of a location whose form the schema has judged.
fn parts(value: &Value) -> Result<(&str, &Value)> {
    let url = value.get("url").and_then(Value::as_str);
    url.zip(value.get("metadata")).ok_or_else(invalid_location)
}

/// Metadata may hold objects, arrays and texts, to any depth (images-v2.md §10).
fn check_metadata(metadata: &Value) -> Result<()> {
    match metadata {
        Value::String(_) => Ok(()),
        Value::Array(items) => items.iter().try_for_each(check_metadata),
        Value::Object(members) => members.values().try_for_each(check_metadata),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(Error::invalid("The metadata of a location may hold objects, arrays and strings only."))
        }
    }
}

/// Metadata of a place outside our stores, which may not pose as one of them.
fn free_metadata(metadata: &Value) -> Result<Value> {
    match metadata.get(STORE) {
        Some(_) => Err(Error::invalid("The metadata key \"store\" is set by the service.")),
        None => Ok(metadata.clone()),
    }
}
