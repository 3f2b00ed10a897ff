//! Tags of a namespace (metadefs.md §8).

use crate::domain::metadef::document::{self, Draft};
use crate::domain::metadef::{Namespace, Tag, TagQuery};
use crate::domain::text;
use crate::error::Result;
use crate::flows::{Call, Flows, may_write};

use super::{conflict, missing, outcome, settled};

const TAG: &str = "tag";

impl Flows {
    /// One page of the tags of a namespace.
    ///
    /// # Errors
    /// `NotFound`, also for a marker that is not among them; `Forbidden`.
    pub async fn list_tags(&self, call: &Call, namespace: &str, query: &TagQuery) -> Result<Vec<Tag>> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_tags").await?;
        let marker = query.marker.as_deref().unwrap_or_default();
        self.catalog.tags(found.id, query).await?.ok_or_else(|| missing(TAG, marker, &found))
    }

    /// One tag.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn show_tag(&self, call: &Call, namespace: &str, name: &str) -> Result<Tag> {
        let found = self.namespace_to_read(call, namespace, "get_metadef_tag").await?;
        self.find_tag(&found, name).await
    }

    /// Adds a tag.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a name that is too long, which is told before the policy is asked (§2.1), or that cannot
    /// be stored; `Forbidden`; `Conflict` for a name that is taken.
    pub async fn create_tag(&self, call: &Call, namespace: &str, name: &str) -> Result<Tag> {
        let found = self.find_namespace(call, namespace).await?;
        document::check_tag_name(name)?;
        self.allow_in(call, &found, "add_metadef_tag")?;
        may_write(&call.caller)?;
        text::check_storable_as("Tag", name)?;
        let created = self.catalog.create_tag(found.id, name).await;
        settled(created, &found, TAG, name, name)
    }

    /// Adds tags, or replaces all there are by them unless `append`; their names come back.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken or given twice.
    pub async fn create_tags(
        &self,
        call: &Call,
        namespace: &str,
        draft: Draft<Vec<String>>,
        append: bool,
    ) -> Result<Vec<String>> {
        let found = self.namespace_to_change(call, namespace, "add_metadef_tags").await?;
        let names = draft.accept()?;
        let created = self.catalog.create_tags(found.id, &names, append).await;
        let created = created.map_err(|error| {
            conflict(error, || {
                let namespace = &found.fields.namespace;
                format!(
                    "A metadata definition tag is given twice, or exists already in namespace {namespace}."
                )
            })
        })?;
        outcome(created, &found, || missing(TAG, "", &found))?;
        Ok(names)
    }

    /// Renames a tag.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn rename_tag(
        &self,
        call: &Call,
        namespace: &str,
        name: &str,
        draft: Draft<String>,
    ) -> Result<Tag> {
        let found = self.namespace_to_change(call, namespace, "modify_metadef_tag").await?;
        // whether it is there is told before what cannot be stored
        self.find_tag(&found, name).await?;
        let new = draft.accept()?;
        let renamed = self.catalog.rename_tag(found.id, name, &new).await;
        settled(renamed, &found, TAG, name, &new)
    }

    /// Deletes a tag.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_tag(&self, call: &Call, namespace: &str, name: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "delete_metadef_tag").await?;
        outcome(self.catalog.delete_tag(found.id, name).await?, &found, || missing(TAG, name, &found))
    }

    /// Deletes all tags of a namespace, for which two rules are asked.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also in a protected namespace.
    pub async fn delete_tags(&self, call: &Call, namespace: &str) -> Result<()> {
        let found = self.namespace_to_change(call, namespace, "delete_metadef_namespace").await?;
        self.allow_in(call, &found, "delete_metadef_tags")?;
        outcome(self.catalog.delete_tags(found.id).await?, &found, || missing(TAG, "", &found))
    }

    async fn find_tag(&self, namespace: &Namespace, name: &str) -> Result<Tag> {
        self.catalog.tag(namespace.id, name).await?.ok_or_else(|| missing(TAG, name, namespace))
    }
}
