//! Namespaces themselves (metadefs.md §4).

use serde_json::Map;

use crate::domain::metadef::document::Draft;
use crate::domain::metadef::{
    Association, Contents, Definitions, Namespace, NamespaceFields, NamespaceQuery, NamespaceScope,
};
use crate::domain::policy::Target;
use crate::error::Result;
use crate::flows::{Call, Flows, may_write};

use super::{SHOW, conflict, no_namespace, outcome};

/// What showing a namespace asks of the policy beside [`SHOW`]: all that is shown with it.
const SHOWN: [&str; 4] =
    ["list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags"];

/// A page of namespaces.
pub struct NamespacePage {
    /// Those that the caller may see, each with its associations.
    pub rows: Vec<(Namespace, Vec<Association>)>,
    /// Name of the last one, also of one that is not shown, where another page may follow.
    pub next: Option<String>,
}

/// Whose namespaces a caller finds: an administrator everybody's, others public ones and those of their project.
pub fn namespace_scope(call: &Call) -> NamespaceScope {
    match &call.caller.project {
        _ if call.caller.is_admin => NamespaceScope::All,
        project => NamespaceScope::Project(project.clone()),
    }
}

impl Flows {
    /// One page of namespaces.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` for a marker that is not among what the caller may know.
    pub async fn list_namespaces(&self, call: &Call, query: &NamespaceQuery) -> Result<NamespacePage> {
        self.allow_at_large(call, "get_metadef_namespaces")?;
        self.allow_at_large(call, "list_metadef_resource_types")?;
        let marker = query.marker.as_deref().unwrap_or_default();
        let page = self.catalog.namespaces(query).await?;
        let mut rows = page.ok_or_else(|| no_namespace(marker))?;
        let full = query.limit > 0 && rows.len() == query.limit as usize;
        let last = rows.last().filter(|_| full);
        let next = last.map(|(namespace, _)| namespace.fields.namespace.clone());
        rows.retain(|(namespace, _)| self.passes(call, SHOW, &Target::of_namespace(namespace)));
        Ok(NamespacePage { rows, next })
    }

    /// A namespace with all that is in it, the names of properties as they are on resources of this type (§4.4).
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for who may not see all of it.
    pub async fn show_namespace(
        &self,
        call: &Call,
        name: &str,
        resource_type: Option<&str>,
    ) -> Result<(Namespace, Contents)> {
        let found = self.namespace_to_read(call, name, SHOW).await?;
        SHOWN.iter().try_for_each(|action| self.allow_in(call, &found, action))?;
        // it may have been changed, hidden or deleted meanwhile
        let whole = self.catalog.whole_namespace(found.id).await?;
        let whole = whole.filter(|(namespace, _)| namespace.is_visible(&call.caller));
        let (namespace, contents) = whole.ok_or_else(|| no_namespace(name))?;
        Ok((namespace, prefixed(contents, resource_type)))
    }

    /// Creates a namespace with all that is to be in it, or nothing of it.
    ///
    /// # Errors
    /// `Forbidden`, `Invalid`, `Conflict` for a name that is taken or given twice.
    pub async fn create_namespace(&self, call: &Call, draft: Draft<Definitions>) -> Result<Namespace> {
        self.allow_at_large(call, "add_metadef_namespace")?;
        let wanted = draft.content();
        for (action, asked) in [
            ("add_metadef_resource_type_association", !wanted.associations.is_empty()),
            ("add_metadef_object", !wanted.objects.is_empty()),
            ("add_metadef_property", !wanted.properties.is_empty()),
            ("add_metadef_tag", !wanted.tags.is_empty()),
        ] {
            if asked {
                self.allow_at_large(call, action)?;
            }
        }
        may_write(&call.caller)?;
        let definitions = draft.accept()?;
        self.catalog.create_namespace(&definitions).await.map_err(|error| {
            let name = &definitions.namespace.namespace;
            conflict(error, || {
                format!(
                    "Metadata definition namespace {name} exists already, or a name in it is given twice."
                )
            })
        })
    }

    /// Replaces what is said of a namespace, its name included.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`, `Conflict` for a name that is taken.
    pub async fn update_namespace(
        &self,
        call: &Call,
        name: &str,
        draft: Draft<NamespaceFields>,
    ) -> Result<Namespace> {
        let found = self.namespace_to_change(call, name, "modify_metadef_namespace").await?;
        let fields = draft.accept()?;
        let changed = self.catalog.update_namespace(found.id, &fields).await.map_err(|error| {
            let name = &fields.namespace;
            conflict(error, || format!("Metadata definition namespace {name} exists already."))
        })?;
        outcome(changed, &found, || no_namespace(name))
    }

    /// Deletes a namespace with all that is in it.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also for a protected one.
    pub async fn delete_namespace(&self, call: &Call, name: &str) -> Result<()> {
        let found = self.namespace_to_change(call, name, "delete_metadef_namespace").await?;
        let changed = self.catalog.delete_namespace(found.id).await?;
        outcome(changed, &found, || no_namespace(name))
    }
}

/// What names of properties begin with on resources of a type; a type without a prefix, or one that the namespace is not
/// for, changes nothing.
fn prefixed(mut contents: Contents, resource_type: Option<&str>) -> Contents {
    let association =
        contents.associations.iter().find(|one| Some(one.fields.name.as_str()) == resource_type);
    let Some(prefix) = association.and_then(|one| one.fields.prefix.clone()).filter(|p| !p.is_empty()) else {
        return contents;
    };
    let full = |name: &str| format!("{prefix}{name}");
    for property in &mut contents.properties {
        property.name = full(&property.name);
    }
    for object in &mut contents.objects {
        let fields = &mut object.fields;
        fields.required.iter_mut().for_each(|name| *name = full(name));
        let properties: Map<_, _> = std::mem::take(&mut fields.properties);
        fields.properties = properties.into_iter().map(|(name, schema)| (full(&name), schema)).collect();
    }
    contents
}
