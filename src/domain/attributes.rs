//! Attributes of an image as a client sends them, before anything is known of the image itself.

use crate::error::{Error, Result};

use super::image::{Properties, Visibility};

/// Formats in which a disk is delivered as three files; both formats of such an image are the same word.
const AMAZON_FORMATS: [&str; 3] = ["ami", "ari", "aki"];

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

    /// Checks what the database can hold: `min_disk` and `min_ram` up to 2³¹−1, no characters above U+FFFF.
    ///
    /// # Errors
    /// `Invalid`, naming the attribute.
    pub fn check_ranges(&self) -> Result<()> {
        for (name, value) in [("min_disk", self.min_disk), ("min_ram", self.min_ram)] {
            if value.is_some_and(|v| v > i32::MAX.into()) {
                let text = format!("'{name}' value out of range, must not exceed {}.", i32::MAX);
                return Err(Error::invalid(text));
            }
        }
        Ok(())
    }
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
