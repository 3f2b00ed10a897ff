//! Attributes of an image as a client sends them, before anything is known of the image itself.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::{Error, Result};

use super::image::{Properties, Visibility};
use super::protection;
use super::text;

/// Formats in which a disk is delivered as three files; both formats of such an image are the same word.
const AMAZON_FORMATS: [&str; 3] = ["ami", "ari", "aki"];

/// Attributes made for every answer, which the Images API v2 refuses in requests before it looks at anything else
/// (images-v2.md §6 row 2, §9.1 row 7).
pub const DERIVED: [&str; 5] = ["direct_url", "self", "file", "schema", "stores"];
/// Attributes that the service alone sets (images-v2.md §4.1, §6 row 11, §9.1 row 7).
pub const READ_ONLY: [&str; 8] = [
    "checksum",
    "created_at",
    "os_hash_algo",
    "os_hash_value",
    "size",
    "status",
    "updated_at",
    "virtual_size",
];

/// Whether v2 takes no property of this name (images-v2.md §4.3): what old versions of the service called its own, and
/// the properties it keeps for itself today.
pub fn is_reserved(name: &str) -> bool {
    matches!(name, "location" | "deleted" | "deleted_at") || name.starts_with(protection::RESERVED)
}

/// Attributes that clients set, each in a way of its own.
const SETTABLE: [&str; 12] = [
    "container_format",
    "disk_format",
    "id",
    "locations",
    "min_disk",
    "min_ram",
    "name",
    "os_hidden",
    "owner",
    "protected",
    "tags",
    "visibility",
];

/// Whether an additional property may have this name.
pub fn can_be_property(name: &str) -> bool {
    let taken = [DERIVED.as_slice(), &READ_ONLY, &SETTABLE];
    !taken.iter().any(|taken| taken.contains(&name)) && !is_reserved(name)
}

/// The refusal of an attribute that is [`DERIVED`], [`READ_ONLY`], or fixed once the image is made.
pub fn read_only(name: &str) -> Error {
    Error::forbidden(format!("Attribute '{name}' is read-only."))
}

/// The refusal of a name that [`is_reserved`].
pub fn reserved(name: &str) -> Error {
    let name = text::clip(name, text::MAX_NAME);
    Error::forbidden(format!("Attribute '{name}' is reserved."))
}

/// What a client sent. The outer `Option` says whether it was sent at all, the inner one whether it is null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    /// Wanted identifier, as spelled.
    pub id: Option<String>,
    /// Name.
    pub name: Option<Option<String>>,
    /// State; clients repeat it, nobody may change it.
    pub status: Option<Option<String>>,
    /// Who may find the image.
    pub visibility: Option<Visibility>,
    /// Whether deleting is refused.
    pub protected: Option<bool>,
    /// Owning project.
    pub owner: Option<Option<String>>,
    /// Disk format.
    pub disk_format: Option<Option<String>>,
    /// Container format.
    pub container_format: Option<Option<String>>,
    /// Least disk in GB.
    pub min_disk: Option<i64>,
    /// Least memory in MB.
    pub min_ram: Option<i64>,
    /// Bytes of data, as announced.
    pub size: Option<i64>,
    /// Bytes of the disk inside.
    pub virtual_size: Option<Option<i64>>,
    /// MD5 of the data in hex, as announced.
    pub checksum: Option<Option<String>>,
    /// Left out of default lists (v2).
    pub os_hidden: Option<bool>,
    /// Labels, each once, in the order of their first mention (v2).
    pub tags: Option<Vec<String>>,
    /// Additional properties.
    pub properties: Properties,
}

impl Attributes {
    /// Checks what can be judged without the image (images-v1.md §5.3 step 3, §5.4): formats, name, checksum; and
    /// completes the formats of Amazon images.
    ///
    /// # Errors
    /// `Invalid`, naming the attribute.
    pub fn settle(&mut self, disk_formats: &[String], container_formats: &[String]) -> Result<()> {
        known_format("disk", self.disk_format.as_ref(), disk_formats)?;
        known_format("container", self.container_format.as_ref(), container_formats)?;
        self.complete_amazon_formats()?;
        if let Some(Some(name)) = &self.name
            && name.chars().count() > 255
        {
            return Err(Error::invalid("Image name too long: it may have at most 255 characters."));
        }
        if let Some(Some(owner)) = &self.owner
            && owner.chars().count() > 255
        {
            return Err(Error::invalid("Image owner too long: it may have at most 255 characters."));
        }
        if let Some(Some(checksum)) = &self.checksum
            && checksum.chars().count() > 32
        {
            let text = format!("Invalid checksum '{checksum}': can't exceed 32 characters");
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    fn complete_amazon_formats(&mut self) -> Result<()> {
        let is_amazon = |f: &Option<String>| f.as_deref().is_some_and(|f| AMAZON_FORMATS.contains(&f));
        let disk = self.disk_format.clone().flatten();
        let container = self.container_format.clone().flatten();
        if !is_amazon(&disk) && !is_amazon(&container) {
            return Ok(());
        }
        match (&disk, &container) {
            (Some(disk), Some(container)) if disk != container => Err(Error::invalid(
                "Invalid mix of disk and container formats. When setting a disk or container format to one of \
                 'aki', 'ari', or 'ami', the container and disk formats must match.",
            )),
            _ => {
                let format = Some(disk.or(container));
                self.disk_format.clone_from(&format);
                self.container_format = format;
                Ok(())
            }
        }
    }

    /// Checks what the database can hold: `min_disk` and `min_ram` from 0 to 2³¹−1 (images-v2.md §6 row 13).
    ///
    /// # Errors
    /// `Invalid`, naming the attribute.
    pub fn check_ranges(&self) -> Result<()> {
        for (name, value) in [("min_disk", self.min_disk), ("min_ram", self.min_ram)] {
            if let Some(value) = value {
                least(name, value)?;
            }
        }
        Ok(())
    }
}

/// A value for `min_disk` or `min_ram` as it is stored (images-v2.md §4.1).
///
/// # Errors
/// `Invalid` when it is negative or above 2³¹−1.
pub fn least(name: &str, value: i64) -> Result<i32> {
    if value < 0 {
        return Err(Error::invalid(format!("'{name}' value out of range, must not be negative.")));
    }
    i32::try_from(value)
        .map_err(|_| Error::invalid(format!("'{name}' value out of range, must not exceed {}.", i32::MAX)))
}

/// Tags as they are stored (images-v2.md §4.1): each once, in the order of first mention.
///
/// # Errors
/// `Invalid` when the value is no list of text, or a tag cannot be stored.
pub fn tag_set(value: &Value) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut tags = Vec::new();
    for tag in value.as_array().ok_or_else(|| wrong_type("tags"))? {
        let tag = tag.as_str().ok_or_else(|| wrong_type("tags"))?;
        text::check_storable_as("Image tag", tag)?;
        if seen.insert(tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

/// A JSON number for an attribute that is an integer. Numbers beyond 64 bits are cut off there, which is out of range
/// for every attribute that a client may set.
pub fn integer(name: &str, value: &Value) -> Result<i64> {
    match value.as_i64() {
        Some(number) => Ok(number),
        None if value.is_u64() => Ok(i64::MAX),
        None => Err(wrong_type(name)),
    }
}

/// The refusal of a value whose JSON type is not the attribute's. The schema finds these first.
pub fn wrong_type(name: &str) -> Error {
    let name = text::clip(name, text::MAX_NAME);
    Error::invalid(format!("The value of attribute '{name}' has the wrong type."))
}

fn known_format(kind: &str, sent: Option<&Option<String>>, known: &[String]) -> Result<()> {
    match sent {
        None => Ok(()),
        Some(Some(format)) if known.contains(format) => Ok(()),
        Some(format) => {
            let shown = format.as_deref().filter(|f| !f.is_empty()).unwrap_or("None");
            Err(Error::invalid(format!("Invalid {kind} format '{shown}' for image.")))
        }
    }
}
