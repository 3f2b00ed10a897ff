//! Tags of images, one at a time (images-v2.md §17).

use crate::domain::image::Image;
use crate::domain::{quota, text};
use crate::error::{Error, Result};

use super::{CHANGE_TRIES, Call, Flows, lost_race, may_write};

impl Flows {
    /// Adds a tag; one that is there already changes nothing but `updated_at`, also at the quota.
    ///
    /// # Errors
    /// `Invalid` for text that is no tag, `LimitExceeded` at the quota, `Conflict` when others kept changing the
    /// record.
    pub async fn add_tag(&self, call: &Call, id: &str, tag: &str) -> Result<()> {
        self.retag(call, id, |image| {
            check_tag(tag)?;
            if !image.tags.iter().any(|known| known == tag) {
                quota::check_count("tags", image.tags.len() + 1, self.config.limits.image_tag_quota)?;
                image.tags.push(tag.to_owned());
            }
            Ok(())
        })
        .await
    }

    /// Removes a tag.
    ///
    /// # Errors
    /// `NotFound` where it is not there, `Conflict` when others kept changing the record.
    pub async fn remove_tag(&self, call: &Call, id: &str, tag: &str) -> Result<()> {
        self.retag(call, id, |image| {
            let before = image.tags.len();
            image.tags.retain(|known| known != tag);
            if image.tags.len() == before {
                return Err(Error::not_found(format!("Image {id} has no such tag.")));
            }
            Ok(())
        })
        .await
    }

    /// Changes the tags as they are at the time of writing: a record that changed between read and write is read and
    /// judged again.
    async fn retag(&self, call: &Call, id: &str, change: impl Fn(&mut Image) -> Result<()>) -> Result<()> {
        may_write(&call.caller)?;
        for _ in 0..CHANGE_TRIES {
            let mut image = self.find_for(call, id, "modify_image").await?.image;
            change(&mut image)?;
            if self.catalog.update_image(&image).await?.is_some() {
                return Ok(());
            }
        }
        Err(lost_race(call))
    }
}

fn check_tag(tag: &str) -> Result<()> {
    text::check_storable_as("Tag", tag)?;
    if tag.chars().count() > text::MAX_NAME {
        return Err(Error::invalid(format!("A tag may have at most {} characters.", text::MAX_NAME)));
    }
    Ok(())
}
