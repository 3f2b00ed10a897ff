//! The apply phase of patches (images-v2.md §9.2, §9.3, §24).

use serde_json::Value;

use super::{Change, MediaType, Operation, Path};
use crate::domain::attributes::{self, wrong_type};
use crate::domain::image::{Image, Status, Visibility};
use crate::domain::protection;
use crate::domain::quota;
use crate::domain::text::{self, clip};
use crate::error::{Error, Result};

/// Whether the protections allow an operation on the property of this name (§24).
type PropertyPermit<'a> = &'a (dyn Fn(protection::Operation, &str) -> bool + Sync);
/// Whether the policy allows the caller to give the image this visibility (§9.3).
type VisibilityPermit<'a> = &'a (dyn Fn(Visibility) -> Result<()> + Sync);

/// What the caller may do, asked while operations are applied. Closures, so that the domain knows of no flow.
pub struct Permits<'a> {
    /// The property protections.
    pub property: PropertyPermit<'a>,
    /// The policies on `public` and `community`; not asked for other values.
    pub visibility: VisibilityPermit<'a>,
    /// Whether the caller may give images away.
    pub is_admin: bool,
    /// Most properties of an image; negative for no limit.
    pub property_quota: i64,
    /// Most tags of an image; negative for no limit.
    pub tag_quota: i64,
}

/// The attributes a client may set (§9.2). Every other name is a property's.
#[derive(Clone, Copy)]
enum Attribute {
    Name,
    Visibility,
    Protected,
    OsHidden,
    Owner,
    DiskFormat,
    ContainerFormat,
    MinDisk,
    MinRam,
    Tags,
}

impl Attribute {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "visibility" => Self::Visibility,
            "protected" => Self::Protected,
            "os_hidden" => Self::OsHidden,
            "owner" => Self::Owner,
            "disk_format" => Self::DiskFormat,
            "container_format" => Self::ContainerFormat,
            "min_disk" => Self::MinDisk,
            "min_ram" => Self::MinRam,
            "tags" => Self::Tags,
            _ => return None,
        })
    }
}

impl Operation {
    /// Carries out the operation on a copy of the image. When it fails, that copy is as it was before it.
    ///
    /// # Errors
    /// `Conflict` when the state of the image does not fit the verb (§9.2), `Forbidden` for what this caller or this
    /// image does not allow, `Invalid` for values out of range, `LimitExceeded` over quota (§9.3). `Internal` for
    /// operations on locations, which are the caller's to carry out.
    pub fn apply(&self, image: &mut Image, permits: &Permits<'_>) -> Result<()> {
        let Path::Attribute(name) = &self.path else {
            return Err(Error::internal("an operation on locations was applied as one on attributes"));
        };
        match Attribute::named(name) {
            Some(attribute) => self.set_attribute(image, attribute, name, permits),
            None => self.change_property(image, name, permits),
        }
    }

    fn set_attribute(
        &self,
        image: &mut Image,
        attribute: Attribute,
        name: &str,
        permits: &Permits<'_>,
    ) -> Result<()> {
        let value = match &self.change {
            Change::Remove => {
                return Err(Error::forbidden(format!("Property {name} may not be removed.")));
            }
            Change::Add(_) if self.media == MediaType::V20 => return Err(present(name)),
            Change::Add(value) | Change::Replace(value) => value,
        };
        match attribute {
            Attribute::Name => image.name = nullable(name, value)?,
            Attribute::Visibility => image.visibility = visibility(value, permits)?,
            Attribute::Protected => image.protected = boolean(name, value)?,
            Attribute::OsHidden => image.os_hidden = boolean(name, value)?,
            Attribute::Owner if !permits.is_admin => {
                return Err(Error::forbidden("You are not permitted to modify 'owner' on this image."));
            }
            Attribute::Owner => image.owner = nullable(name, value)?,
            Attribute::DiskFormat => image.disk_format = format(image.status, name, value)?,
            Attribute::ContainerFormat => image.container_format = format(image.status, name, value)?,
            Attribute::MinDisk => image.min_disk = least(name, value)?,
            Attribute::MinRam => image.min_ram = least(name, value)?,
            Attribute::Tags => image.tags = tags(value, permits.tag_quota)?,
        }
        Ok(())
    }

    /// A property the caller may not read looks absent: `replace` and `remove` do not find it, and for `add` it is
    /// the right to create that counts (§24).
    fn change_property(&self, image: &mut Image, name: &str, permits: &Permits<'_>) -> Result<()> {
        let exists = image.properties.contains_key(name);
        let is_visible = exists && (permits.property)(protection::Operation::Read, name);
        let (needed, value) = match &self.change {
            Change::Add(_) if is_visible && self.media == MediaType::V20 => return Err(present(name)),
            Change::Add(value) if is_visible => (protection::Operation::Update, Some(value)),
            Change::Add(value) => (protection::Operation::Create, Some(value)),
            Change::Replace(_) | Change::Remove if !is_visible => return Err(absent(name)),
            Change::Replace(value) => (protection::Operation::Update, Some(value)),
            Change::Remove => (protection::Operation::Delete, None),
        };
        if !(permits.property)(needed, name) {
            let name = clip(name, text::MAX_NAME);
            return Err(Error::forbidden(format!("Property '{name}' is protected")));
        }
        let Some(value) = value else {
            image.properties.remove(name);
            return Ok(());
        };
        let value = match value {
            Value::String(text) => Some(text.clone()),
            // the schema lets it pass only where the extension declares it
            Value::Null => None,
            _ => return Err(wrong_type(name)),
        };
        text::check_property(name, value.as_deref())?;
        if !exists {
            check_property_quota(image, permits.property_quota)?;
        }
        image.properties.insert(name.to_owned(), value);
        Ok(())
    }
}

fn present(name: &str) -> Error {
    Error::conflict(format!("Property {} already present.", clip(name, text::MAX_NAME)))
}

fn absent(name: &str) -> Error {
    Error::conflict(format!("Property {} does not exist.", clip(name, text::MAX_NAME)))
}

fn nullable(name: &str, value: &Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            text::check_storable_as(&format!("Image {name}"), text)?;
            Ok(Some(text.clone()))
        }
        _ => Err(wrong_type(name)),
    }
}

fn boolean(name: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong_type(name))
}

fn least(name: &str, value: &Value) -> Result<i32> {
    attributes::least(name, attributes::integer(name, value)?)
}

fn visibility(value: &Value, permits: &Permits<'_>) -> Result<Visibility> {
    let word = value.as_str().and_then(|word| word.parse().ok());
    let wanted = word.ok_or_else(|| wrong_type("visibility"))?;
    if matches!(wanted, Visibility::Public | Visibility::Community) {
        (permits.visibility)(wanted)?;
    }
    Ok(wanted)
}

/// Formats say how to read data that is there, or that an import is about to read.
fn format(status: Status, name: &str, value: &Value) -> Result<Option<String>> {
    if !matches!(status, Status::Queued | Status::Importing) {
        return Err(Error::forbidden(format!("Attribute {name} can be only replaced for a queued image.")));
    }
    if status == Status::Importing && value.is_null() {
        // the data are about to become active, which nothing without formats can be (§4.4)
        return Err(Error::forbidden(format!(
            "Attribute {name} cannot be removed while the image is importing."
        )));
    }
    nullable(name, value)
}

fn tags(value: &Value, quota: i64) -> Result<Vec<String>> {
    let tags = attributes::tag_set(value)?;
    quota::check_count("tags", tags.len(), quota)?;
    Ok(tags)
}

/// Whether one more property fits. The service's own do not count (§4.3).
fn check_property_quota(image: &Image, quota: i64) -> Result<()> {
    let counted = image.properties.keys().filter(|name| !name.starts_with(protection::RESERVED)).count();
    quota::check_count("properties", counted + 1, quota)
}
