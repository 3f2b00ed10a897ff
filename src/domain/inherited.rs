//! What an image takes over, together with the data, from an image elsewhere (images-v2.md §14.5).

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::image::{Image, Properties};
use super::{protection, quota};

/// Attributes of the other image, as they become those of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Its disk format.
    pub disk_format: Option<String>,
    /// Its container format.
    pub container_format: Option<String>,
    /// Those of its properties that are copied.
    pub properties: Properties,
}

impl Inherited {
    /// Makes the image what it will be.
    pub fn apply(&self, image: &mut Image) {
        image.properties.extend(self.properties.clone());
        for (own, theirs) in [
            (&mut image.disk_format, &self.disk_format),
            (&mut image.container_format, &self.container_format),
        ] {
            if theirs.is_some() {
                own.clone_from(theirs);
            }
        }
    }

    /// Judges the number of properties that an image with these would have, if it got more. The service's own do not
    /// count (§4.3).
    ///
    /// # Errors
    /// `LimitExceeded`.
    pub fn check_quota(&self, own: &Properties, maximum: i64) -> Result<()> {
        let new = self.properties.keys().filter(|name| !own.contains_key(*name)).count();
        let counted = own.keys().filter(|name| !name.starts_with(protection::RESERVED)).count();
        if new == 0 { Ok(()) } else { quota::check_count("properties", counted + new, maximum) }
    }
}
