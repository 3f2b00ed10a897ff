//! Change image records by patches (images-v2.md §9).

use uuid::Uuid;

use crate::domain::image::{Image, Visibility};
use crate::domain::patch::{Patch, Path, Permits};
use crate::error::{Error, Result};

use super::patch_locations::{LocationEdit, Measured};
use super::{CHANGE_TRIES, Call, Flows, Found, lost_race, may_write, target_of};

/// A record after a patch.
pub struct Patched {
    /// As it is now.
    pub image: Image,
    /// Ids of its locations in the order that the patch gave them; empty where it did not touch them.
    pub order: Vec<Uuid>,
}

impl Flows {
    /// Applies all operations of a patch in their order, or none of them. A record that changed between read and
    /// write is read and judged again.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Conflict` and `LimitExceeded` as the operations say; `Conflict` also when others kept
    /// changing the record.
    pub async fn patch_image(&self, call: &Call, id: &str, patch: &Patch) -> Result<Patched> {
        may_write(&call.caller)?;
        let mut measured = Measured::new();
        for _ in 0..CHANGE_TRIES {
            let found = self.find_for(call, id, "modify_image").await?;
            if patch.is_empty() {
                return Ok(Patched { image: found.image, order: Vec::new() });
            }
            let (changed, edit) = self.patched(call, &found, patch, &mut measured).await?;
            if let Some(patched) = self.store_patched(&found.image, &changed, edit).await? {
                return Ok(patched);
            }
        }
        Err(lost_race(call))
    }

    /// Record and locations as they will be.
    async fn patched(
        &self,
        call: &Call,
        found: &Found,
        patch: &Patch,
        measured: &mut Measured,
    ) -> Result<(Image, Option<LocationEdit>)> {
        let target = target_of(&found.image, found.membership.as_ref());
        let limits = &self.config.limits;
        let permits = Permits {
            property: &|operation, name| self.property_allowed(call, operation, name),
            visibility: &|wanted: Visibility| self.allow_publicity(call, Some(wanted), &target),
            is_admin: call.caller.is_admin,
            property_quota: limits.image_property_quota,
            tag_quota: limits.image_tag_quota,
        };
        let (mut changed, mut edit) = (found.image.clone(), None);
        for operation in &patch.operations {
            if matches!(operation.path(), Path::Attribute(_)) {
                operation.apply(&mut changed, &permits)?;
                continue;
            }
            if !self.config.images.show_multiple_locations {
                return Err(Error::forbidden("Locations may not be changed, as they are not shown."));
            }
            let edit = match &mut edit {
                Some(edit) => edit,
                none => none.insert(self.edit_locations(&found.image).await?),
            };
            self.apply_to_locations(call, found, operation, &mut changed, edit, measured).await?;
        }
        Ok((changed, edit))
    }

    /// Writes record and locations in one transaction. None: somebody was faster.
    async fn store_patched(
        &self,
        before: &Image,
        changed: &Image,
        edit: Option<LocationEdit>,
    ) -> Result<Option<Patched>> {
        let Some(edit) = edit else {
            let image = self.store_changed(before, changed).await?;
            return Ok(image.map(|image| Patched { image, order: Vec::new() }));
        };
        let (order, changes) = (edit.order(), edit.into_changes());
        let quota = self.config.limits.user_storage_quota.0;
        let stored = self.catalog.update_with_locations(changed, &changes, quota).await?;
        let Some((image, garbage)) = stored else { return Ok(None) };
        self.remove_soon(garbage).await;
        Ok(Some(Patched { image, order }))
    }
}
