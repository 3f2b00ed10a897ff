//! What a caller is shown of images besides their records (images-v2.md §4.2, §4.3).

use std::cmp::Reverse;
use std::collections::HashMap;

use uuid::Uuid;

use crate::domain::image::{Image, ImageId, Properties, Status, Visibility};
use crate::domain::policy::Target;
use crate::error::{Error, Result};

use super::locations::{ShownLocation, may_see_locations};
use super::{Call, Flows};

/// An image as one caller may see it.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The record.
    pub image: Image,
    /// Its additional properties, as far as the caller may read them.
    pub properties: Properties,
    /// Ids of the stores that hold its data, highest weight first; none where there is but one store, and where the
    /// caller may not see where the data lies.
    pub stores: Vec<String>,
    /// Where its data lies, where the configuration shows that.
    pub locations: Option<Vec<ShownLocation>>,
    /// URL of its best copy, where the configuration shows that.
    pub direct_url: Option<String>,
    /// The open task that holds its import lock (images-v2.md §14.6).
    pub import_task: Option<Uuid>,
    /// Stores that an import has yet to fill, in order of id; none before the first import.
    pub importing_to: Option<Vec<String>>,
    /// Stores that the last import failed to fill, in order of id; none before the first import.
    pub failed_import: Option<Vec<String>>,
}

impl Flows {
    /// One image as the caller may see it.
    pub async fn present(&self, call: &Call, image: Image) -> Result<Presented> {
        let mut presented = self.present_all(call, vec![image]).await?;
        presented.pop().ok_or_else(|| Error::internal("an image was lost on its way to the answer"))
    }

    /// As [`Flows::present`], with its locations in this order of their ids; others follow.
    pub async fn present_in_order(&self, call: &Call, image: Image, order: &[Uuid]) -> Result<Presented> {
        let mut presented = self.present(call, image).await?;
        if let Some(locations) = &mut presented.locations {
            let place = |id| order.iter().position(|known| *known == id).unwrap_or(order.len());
            locations.sort_by_key(|location| place(location.id));
        }
        Ok(presented)
    }

    /// The rows of a list as the caller may see them; a row that policy `get_image` denies is left out.
    pub async fn present_visible(&self, call: &Call, mut images: Vec<Image>) -> Result<Vec<Presented>> {
        let rules = self.policy.rules();
        images.retain(|image| {
            let target = Target::of_image(image).with_member(listed_as_member(call, image));
            rules.allows(call.dialect, "get_image", &call.caller, &target)
        });
        self.present_all(call, images).await
    }

    async fn present_all(&self, call: &Call, images: Vec<Image>) -> Result<Vec<Presented>> {
        let mut tasks = self.open_tasks(&images).await?;
        let mut locations = self.shown_locations(call, &images).await?;
        let settings = &self.config.images;
        let presented = images.into_iter().map(|image| {
            let locations = locations.remove(&image.id).unwrap_or_default();
            // the first among equals, which `max_by_key` would not give
            let best = locations.iter().rev().max_by_key(|location| location.weight);
            Presented {
                properties: self.readable_properties(call, &image),
                stores: self.stores_of(&locations),
                direct_url: best.filter(|_| settings.show_direct_url).map(|best| best.url.clone()),
                locations: settings.show_multiple_locations.then_some(locations),
                import_task: tasks.remove(&image.id),
                importing_to: self.shown_stores(image.importing_to.as_deref()),
                failed_import: self.shown_stores(image.failed_import.as_deref()),
                image,
            }
        });
        Ok(presented.collect())
    }

    /// What these images hold for the caller, in one statement; none where the configuration shows nothing of it.
    async fn shown_locations(
        &self,
        call: &Call,
        images: &[Image],
    ) -> Result<HashMap<ImageId, Vec<ShownLocation>>> {
        let settings = &self.config.images;
        let seen = images.iter().filter(|image| may_see_locations(call, image)).map(|image| image.id);
        let seen: Vec<ImageId> = seen.collect();
        let mut shown: HashMap<ImageId, Vec<ShownLocation>> = HashMap::new();
        let wanted =
            settings.show_multiple_locations || settings.show_direct_url || self.stores.are_several();
        if seen.is_empty() || !wanted {
            return Ok(shown);
        }
        for placement in self.catalog.placements(&seen).await? {
            if let Some(location) = self.shown_location(&placement) {
                shown.entry(placement.image_id).or_default().push(location);
            }
        }
        Ok(shown)
    }

    /// The stores among these locations, each once, highest weight first; none where there is but one.
    fn stores_of(&self, locations: &[ShownLocation]) -> Vec<String> {
        if !self.stores.are_several() {
            return Vec::new();
        }
        let mut ordered: Vec<&ShownLocation> = locations.iter().collect();
        // stable: copies of one weight stay in the order they were made
        ordered.sort_by_key(|location| Reverse(location.weight));
        let mut stores: Vec<String> = Vec::new();
        for store in ordered.into_iter().filter_map(|location| location.store.clone()) {
            if !stores.contains(&store) {
                stores.push(store);
            }
        }
        stores
    }

    /// Stores of an import, sorted. Where there is but one store it is not told of (images-v2.md §4.2).
    fn shown_stores(&self, stores: Option<&[String]>) -> Option<Vec<String>> {
        let mut shown = stores?.to_vec();
        shown.retain(|_| self.stores.are_several());
        shown.sort_unstable();
        Some(shown)
    }

    async fn open_tasks(&self, images: &[Image]) -> Result<HashMap<ImageId, Uuid>> {
        let busy: Vec<ImageId> =
            images.iter().filter(|image| may_be_busy(image)).map(|image| image.id).collect();
        if busy.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.catalog.open_tasks(&busy).await?)
    }
}

/// Whether a task may work on the image: it gets its data, more copies of data it has, or their hash. Spares the others
/// a look-up.
fn may_be_busy(image: &Image) -> bool {
    match image.status {
        Status::Queued | Status::Uploading | Status::Importing => true,
        Status::Active | Status::Deactivated => {
            image.os_hash_value.is_none() || image.importing_to.as_ref().is_some_and(|to| !to.is_empty())
        }
        Status::Saving | Status::Killed | Status::PendingDelete | Status::Deleted => false,
    }
}

/// The project as whose membership a listed image is visible: a shared image of others is listed for no other reason.
fn listed_as_member<'a>(call: &'a Call, image: &Image) -> Option<&'a str> {
    let foreign = image.visibility == Visibility::Shared && !call.caller.owns(image.owner.as_deref());
    call.caller.project.as_deref().filter(|_| foreign && !call.caller.is_admin)
}
