//! Properties of a namespace (metadefs.md §6).

use crate::domain::metadef::document::Draft;
use crate::domain::metadef::{Namespace, Property};
use crate::error::Result;
use crate::flows::{Call, Flows};

use super::{missing, outcome, settled};

const PROPERTY: &str = "property";

impl Flows {
    /// The properties of a namespace.
    pub async fn list_properties(&self, call: &Call, namespace: &str) -> Result<Vec<Property>> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_properties").await?;
        Ok(self.catalog.properties(found.id).await?)
    }

    /// One property: by its name, or by that which it has on resources of this type. A type without a prefix has no such
    /// names.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn show_property(
        &self,
        call: &Call,
        namespace: &str,
        name: &str,
        resource_type: Option<&str>,
    ) -> Result<Property> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_property").await?;
        let Some(resource_type) = resource_type else {
            return self.find_property(&found, name).await;
        };
        self.allow_in(call, &found, "get_metadef_resource_type")?;
        let unknown = || missing(PROPERTY, name, &found);
        let association = self.catalog.association(found.id, resource_type).await?;
        let prefix = association.and_then(|one| one.fields.prefix).filter(|prefix| !prefix.is_empty());
        let rest = prefix.and_then(|prefix| name.strip_prefix(&prefix)).ok_or_else(unknown)?;
        self.find_property(&found, rest).await
    }

    /// Adds a property.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn create_property(
        &self,
        call: &Call,
        namespace: &str,
        draft: Draft<Property>,
    ) -> Result<Property> {
        let found = self.namespace_to_change(call, namespace, "add_metadef_property").await?;
        let property = draft.accept()?;
        let created = self.catalog.create_property(found.id, &property).await;
        settled(created, &found, PROPERTY, &property.name, &property.name)
    }

    /// Replaces a property, its name included.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn update_property(
        &self,
        call: &Call,
        namespace: &str,
        name: &str,
        draft: Draft<Property>,
    ) -> Result<Property> {
        let found = self.namespace_to_change(call, namespace, "modify_metadef_property").await?;
        // whether it is there is told before what cannot be stored
        self.find_property(&found, name).await?;
        let property = draft.accept()?;
        let changed = self.catalog.update_property(found.id, name, &property).await;
        settled(changed, &found, PROPERTY, name, &property.name)
    }

    /// Deletes a property.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_property(&self, call: &Call, namespace: &str, name: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "remove_metadef_property").await?;
        outcome(self.catalog.delete_property(found.id, name).await?, &found, || {
            missing(PROPERTY, name, &found)
        })
    }

    /// Deletes all properties of a namespace.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_properties(&self, call: &Call, namespace: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "delete_metadef_namespace").await?;
        outcome(self.catalog.delete_properties(found.id).await?, &found, || missing(PROPERTY, "", &found))
    }

    async fn find_property(&self, namespace: &Namespace, name: &str) -> Result<Property> {
        self.catalog.property(namespace.id, name).await?.ok_or_else(|| missing(PROPERTY, name, namespace))
    }
}
