//! What becomes of an image of Glance that is taken over in place: judged by its rows alone.
//!
//! An image is taken over whole or left out whole. What Vitrine could not keep, or could not tell from data of others, is
//! a reason to leave it out; the reasons are for the operator, and hold no credentials.

mod compare;
pub mod definitions;
pub mod location;
mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value};

pub use definitions::NamespaceRecord;
pub use location::{Address, Location};
pub use record::{Record, Row};

use super::attributes::least;
use super::image::{Image, ImageId, Properties, Status, Visibility};
use super::member::{Member, MemberStatus};
use super::protection::RESERVED;

/// What Glance keeps in properties while an import holds the image.
const IMPORT_LOCK: &str = "os_glance_import_task";
/// What Glance keeps in properties from the first import on.
const IMPORTING_TO: &str = "os_glance_importing_to_stores";
/// Stores that the last import could not fill.
const FAILED_IMPORT: &str = "os_glance_failed_import";
/// Keys of a location's metadata that name its store, the newer one first.
const STORE_KEYS: [&str; 2] = ["store", "backend"];

/// An image to take over.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The record as it will be. Its revision does not count.
    pub image: Image,
    /// Its members in the order of joining.
    pub members: Vec<Member>,
    /// Where its data lies.
    pub places: Vec<Place>,
    /// What is not taken over with it, one sentence each.
    pub notes: Vec<String>,
}

/// One place of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Where.
    pub location: Location,
    /// Id that Glance gives the store.
    pub store: Option<String>,
    /// Metadata of the location, without the store.
    pub metadata: Value,
}

/// What the rows of an image come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It can be taken over, as far as the rows tell.
    Adopt(Box<Adoption>),
    /// It cannot, for this reason.
    LeaveOut(String),
    /// It is deleted, and no image of Vitrine can have its id.
    Nothing,
}

/// Judges an image.
pub fn judge(record: &Record) -> Verdict {
    let id: Option<ImageId> = record.image.text("id").and_then(|id| id.parse().ok());
    let status = record.image.text("status").unwrap_or_default();
    let marked = match record.image.flag("deleted") {
        Ok(marked) => marked,
        Err(reason) => return Verdict::LeaveOut(reason),
    };
    let gone = marked || matches!(status, "deleted" | "pending_delete");
    let judged = match (id, gone) {
        (None, true) => return Verdict::Nothing,
        (None, false) => Err("its id is no UUID".to_owned()),
        (Some(id), true) => tombstone(id, record, status == "pending_delete"),
        (Some(id), false) => living(id, record),
    };
    judged.map_or_else(Verdict::LeaveOut, |adoption| Verdict::Adopt(Box::new(adoption)))
}

/// A deleted image: only its record, which keeps the id taken.
fn tombstone(id: ImageId, record: &Record, pending: bool) -> Result<Adoption, String> {
    let mut image = attributes_of(id, Status::Deleted, record)?;
    image.deleted_at = Some(record.image.instant("deleted_at")?.unwrap_or(image.updated_at));
    let notes = if pending { vec![data_left_behind(record)] } else { Vec::new() };
    Ok(Adoption { image, members: Vec::new(), places: Vec::new(), notes })
}

/// What nobody removes any more once Glance's scrubber has ended.
fn data_left_behind(record: &Record) -> String {
    let bytes = record.image.text("size").unwrap_or("unknown");
    let waiting = record.locations.iter().filter(|row| row.text("status") == Some("pending_delete"));
    let objects = waiting.filter_map(|row| match Location::parse(row.text("value").unwrap_or_default()) {
        Location::Object(address) => Some(address.to_string()),
        _ => None,
    });
    let objects: Vec<String> = objects.collect();
    let which = match objects.is_empty() {
        true => String::new(),
        false => format!(" ({bytes} bytes each: {})", objects.join(" ")),
    };
    format!(
        "pending_delete: taken over as deleted; unless glance-scrubber removes its data before the cut-over, they stay \
         until they are removed by hand{which}"
    )
}

fn living(id: ImageId, record: &Record) -> Result<Adoption, String> {
    if record.overfull {
        return Err(
            "it has more properties, members, tags or locations, or longer ones, than can be taken over"
                .to_owned(),
        );
    }
    let status = match record.image.text("status").unwrap_or_default() {
        "active" => Status::Active,
        "deactivated" => Status::Deactivated,
        "queued" => Status::Queued,
        "killed" => Status::Killed,
        busy @ ("saving" | "uploading" | "importing") => {
            return Err(format!(
                "{busy}: its data is on its way; let that end in Glance, or delete the image there"
            ));
        }
        _ => return Err("its status is unknown".to_owned()),
    };
    let mut image = attributes_of(id, status, record)?;
    let mut notes = Vec::new();
    let members = members(&image, record)?;
    image.visibility = visibility(record, !members.is_empty())?;
    image.tags = tags(record)?;
    image.properties = properties(record, &mut image, &mut notes)?;
    let places = places(record)?;
    check_data(&image, &places)?;
    notes.extend(copies_left_behind(&places));
    Ok(Adoption { image, members, places, notes })
}

/// Whether the image has the data that its status says.
fn check_data(image: &Image, places: &[Place]) -> Result<(), String> {
    let has_data = matches!(image.status, Status::Active | Status::Deactivated);
    match image.size {
        _ if !has_data && places.is_empty() => Ok(()),
        _ if !has_data => Err(format!("{}, but it has a location", image.status.as_str())),
        None => Err("Glance does not know its size".to_owned()),
        Some(1..) if places.is_empty() => Err("it has no location, so its data is nowhere".to_owned()),
        Some(_) => Ok(()),
    }
}

/// The columns of `images`; visibility, tags and properties come from elsewhere.
fn attributes_of(id: ImageId, status: Status, record: &Record) -> Result<Image, String> {
    let row = &record.image;
    let created_at = row.instant("created_at")?.ok_or("`created_at` is missing")?;
    let count = |column| {
        let value = row.number(column)?.unwrap_or_default();
        least(column, value).map_err(|error| error.to_string())
    };
    Ok(Image {
        id,
        owner: row.owned("owner"),
        name: row.owned("name"),
        status,
        visibility: visibility(record, false)?,
        os_hidden: row.flag("os_hidden")?,
        protected: row.flag("protected")?,
        disk_format: row.owned("disk_format"),
        container_format: row.owned("container_format"),
        min_disk: count("min_disk")?,
        min_ram: count("min_ram")?,
        size: bytes(row, "size")?,
        virtual_size: bytes(row, "virtual_size")?,
        checksum: row.owned("checksum"),
        os_hash_algo: row.owned("os_hash_algo"),
        os_hash_value: row.owned("os_hash_value"),
        tags: Vec::new(),
        properties: Properties::new(),
        created_at,
        updated_at: row.instant("updated_at")?.unwrap_or(created_at),
        deleted_at: None,
        revision: 1,
        importing_to: None,
        failed_import: None,
    })
}

fn bytes(row: &Row, column: &str) -> Result<Option<i64>, String> {
    match row.number(column)? {
        Some(negative @ ..0) => Err(format!("`{column}` is {negative}")),
        number => Ok(number),
    }
}

/// Who may find the image. Databases older than Ocata have `is_public` instead; what is not public there is shared with
/// its members, if there are any.
fn visibility(record: &Record, has_members: bool) -> Result<Visibility, String> {
    match record.image.text("visibility") {
        Some(word) => word.parse().map_err(|()| "its visibility is unknown".to_owned()),
        None if record.image.flag("is_public")? => Ok(Visibility::Public),
        None if has_members => Ok(Visibility::Shared),
        None => Ok(Visibility::Private),
    }
}

/// Rows that are not deleted.
fn present(rows: &[Row]) -> Result<Vec<&Row>, String> {
    let mut present = Vec::new();
    for row in rows {
        if !row.flag("deleted")? {
            present.push(row);
        }
    }
    Ok(present)
}

fn members(image: &Image, record: &Record) -> Result<Vec<Member>, String> {
    let mut seen = HashSet::new();
    let mut members = Vec::new();
    for row in present(&record.members)? {
        let member = row.text("member").ok_or("a member has no name")?;
        if !seen.insert(member) {
            continue;
        }
        let status = row.text("status").map_or(Ok(MemberStatus::Pending), |word| {
            word.parse().map_err(|()| format!("the status of member {member} is unknown"))
        })?;
        let created_at = row.instant("created_at")?.unwrap_or(image.created_at);
        members.push(Member {
            image_id: image.id,
            member: member.to_owned(),
            can_share: row.flag("can_share")?,
            status,
            created_at,
            updated_at: row.instant("updated_at")?.unwrap_or(created_at),
        });
    }
    Ok(members)
}

fn tags(record: &Record) -> Result<Vec<String>, String> {
    let mut seen = HashSet::new();
    let tags = present(&record.tags)?.into_iter().filter_map(|row| row.text("value"));
    Ok(tags.filter(|tag| seen.insert(*tag)).map(str::to_owned).collect())
}

/// Additional properties, of whatever name: one that v1 gave the name of an attribute hides behind it here too. Those of
/// the service itself are rendered here and not kept as properties.
fn properties(record: &Record, image: &mut Image, notes: &mut Vec<String>) -> Result<Properties, String> {
    let mut kept = Properties::new();
    for row in present(&record.properties)? {
        let name = row.text("name").ok_or("a property has no name")?;
        let value = row.owned("value");
        match name {
            IMPORT_LOCK => {
                notes.push("an import holds it in Glance; what that adds later is not taken over".to_owned());
            }
            IMPORTING_TO => image.importing_to = Some(Vec::new()),
            FAILED_IMPORT => image.failed_import = Some(words(value.as_deref().unwrap_or_default())),
            own if own.starts_with(RESERVED) => {}
            _ => {
                kept.insert(name.to_owned(), value);
            }
        }
    }
    Ok(kept)
}

fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Where the data lies, by the locations that are in use.
fn places(record: &Record) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    for row in present(&record.locations)? {
        if !matches!(row.text("status"), None | Some("active")) {
            continue;
        }
        let metadata = row.text("meta_data").and_then(|text| serde_json::from_str(text).ok());
        let mut metadata: Map<String, Value> = metadata.unwrap_or_default();
        let named: Vec<Value> = STORE_KEYS.iter().filter_map(|key| metadata.remove(*key)).collect();
        places.push(Place {
            location: Location::parse(row.text("value").unwrap_or_default()),
            store: named.first().and_then(Value::as_str).map(str::to_owned),
            metadata: Value::Object(metadata),
        });
    }
    Ok(places)
}

/// The copies in stores of other kinds of an image that lies where it can be taken over, too.
fn copies_left_behind(places: &[Place]) -> impl Iterator<Item = String> {
    let reachable =
        places.iter().any(|place| matches!(place.location, Location::Object(_) | Location::Url(_)));
    places.iter().filter(move |_| reachable).filter_map(|place| match &place.location {
        Location::Elsewhere(scheme) => {
            Some(format!("its copy in a store of kind `{scheme}` is not taken over"))
        }
        _ => None,
    })
}

/// Whether `key` is how Glance names the object of the image: its id, in whatever spelling.
///
/// An object of another name may be that of another image: Glance let whoever could register a location name any object
/// of the bucket. Taking it over would give it to somebody, and deleting the image would delete it.
pub fn is_named_after(key: &str, id: ImageId) -> bool {
    key.parse::<ImageId>().is_ok_and(|named| named == id)
}
