//! Resource types, and their associations with namespaces (metadefs.md §7).

use crate::domain::metadef::document::Draft;
use crate::domain::metadef::{Association, AssociationFields, ResourceType};
use crate::error::Result;
use crate::flows::{Call, Flows};

use super::{missing, outcome, settled};

const ASSOCIATION: &str = "resource type association";

impl Flows {
    /// All resource types of the cloud.
    pub async fn list_resource_types(&self, call: &Call) -> Result<Vec<ResourceType>> {
        self.allow_at_large(call, "list_metadef_resource_types")?;
        Ok(self.catalog.resource_types().await?)
    }

    /// The associations of a namespace; none for who may not see single ones.
    pub async fn list_associations(&self, call: &Call, namespace: &str) -> Result<Vec<Association>> {
        let found = self.namespace_to_read(call, namespace, "list_metadef_resource_types").await?;
        if !self.lists_entries(call, &found, "get_metadef_resource_type") {
            return Ok(Vec::new());
        }
        Ok(self.catalog.associations(found.id).await?)
    }

    /// Associates a resource type, which need not be known yet.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for one that is associated already.
    pub async fn create_association(
        &self,
        call: &Call,
        namespace: &str,
        draft: Draft<AssociationFields>,
    ) -> Result<Association> {
        const ADD: &str = "add_metadef_resource_type_association";
        let found = self.namespace_to_change(call, namespace, ADD).await?;
        let fields = draft.accept()?;
        let created = self.catalog.create_association(found.id, &fields).await;
        settled(created, &found, ASSOCIATION, &fields.name, &fields.name)
    }

    /// Removes an association; the resource type stays.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_association(&self, call: &Call, namespace: &str, name: &str) -> Result<()> {
        const REMOVE: &str = "remove_metadef_resource_type_association";
        let found = self.namespace_to_change(call, namespace, REMOVE).await?;
        outcome(self.catalog.delete_association(found.id, name).await?, &found, || {
            missing(ASSOCIATION, name, &found)
        })
    }
}
