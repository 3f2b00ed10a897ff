//! Objects of a namespace (metadefs.md §5).

use crate::domain::metadef::document::Draft;
use crate::domain::metadef::{Namespace, Object, ObjectFields};
use crate::error::Result;
use crate::flows::{Call, Flows};

use super::{missing, outcome, settled};

const OBJECT: &str = "object";

impl Flows {
    /// The objects of a namespace; none for who may not see single ones.
    pub async fn list_objects(&self, call: &Call, namespace: &str) -> Result<Vec<Object>> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_objects").await?;
        if !self.lists_entries(call, &found, "get_metadef_object") {
            return Ok(Vec::new());
        }
        Ok(self.catalog.objects(found.id).await?)
    }

    /// One object.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn show_object(&self, call: &Call, namespace: &str, name: &str) -> Result<Object> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_object").await?;
        self.find_object(&found, name).await
    }

    /// Adds an object.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn create_object(
        &self,
        call: &Call,
        namespace: &str,
        draft: Draft<ObjectFields>,
    ) -> Result<Object> {
        let found = self.namespace_to_change(call, namespace, "add_metadef_object").await?;
        let fields = draft.accept()?;
        let created = self.catalog.create_object(found.id, &fields).await;
        settled(created, &found, OBJECT, &fields.name, &fields.name)
    }

    /// Replaces an object, its name included.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn update_object(
        &self,
        call: &Call,
        namespace: &str,
        name: &str,
        draft: Draft<ObjectFields>,
    ) -> Result<Object> {
        let found = self.namespace_to_change(call, namespace, "modify_metadef_object").await?;
        // whether it is there is told before what cannot be stored
        self.find_object(&found, name).await?;
        let fields = draft.accept()?;
        let changed = self.catalog.update_object(found.id, name, &fields).await;
        settled(changed, &found, OBJECT, name, &fields.name)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_object(&self, call: &Call, namespace: &str, name: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "delete_metadef_object").await?;
        outcome(self.catalog.delete_object(found.id, name).await?, &found, || missing(OBJECT, name, &found))
    }

    /// Deletes all objects of a namespace.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_objects(&self, call: &Call, namespace: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "delete_metadef_namespace").await?;
        outcome(self.catalog.delete_objects(found.id).await?, &found, || missing(OBJECT, "", &found))
    }

    async fn find_object(&self, namespace: &Namespace, name: &str) -> Result<Object> {
        self.catalog.object(namespace.id, name).await?.ok_or_else(|| missing(OBJECT, name, namespace))
    }
}
