//! What an action is done to, as rules see it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::domain::image::{Image, Visibility};
use crate::domain::metadef::{self, Namespace};

/// Attributes that rules can name as `%(attribute)s`: those of an image, those set one by one, or both.
///
/// An attribute without a value is absent, so that no comparison with it holds.
#[derive(Debug, Clone, Default)]
pub struct Target<'a> {
    image: Option<&'a Image>,
    own: BTreeMap<&'static str, Option<&'a str>>,
}

impl<'a> Target<'a> {
    /// A target without attributes.
    pub fn none() -> Self {
        Self::default()
    }

    /// What belongs to `project`, or will: for lists and creation the caller's own project.
    pub fn of_project(project: Option<&'a str>) -> Self {
        Self::default().with("project_id", project)
    }

    /// An image: its core attributes under their v2 names, `project_id` for its owner, `is_public` for v1 rules,
    /// and its additional properties where no core attribute has the name (images-v1.md §8.2).
    pub fn of_image(image: &'a Image) -> Self {
        Self { image: Some(image), own: BTreeMap::new() }
    }

    /// A namespace of metadata definitions, or something in it (metadefs.md §9.2).
    pub fn of_namespace(namespace: &'a Namespace) -> Self {
        let visibility = namespace.fields.visibility.unwrap_or(metadef::Visibility::Private);
        Self::of_project(Some(&namespace.fields.owner)).with("visibility", Some(visibility.as_str()))
    }

    /// Adds or replaces an attribute; `None` makes it absent.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<&'a str>) -> Self {
        self.own.insert(name, value);
        self
    }

    /// Adds `member_id`: the project the image is shared with, where that matters to the rule.
    #[must_use]
    pub fn with_member(self, member: Option<&'a str>) -> Self {
        self.with("member_id", member)
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(value) = self.own.get(name) {
            return value.map(Cow::Borrowed);
        }
        let image = self.image?;
        match core(image, name) {
            Core::Value(value) => value,
            Core::Unknown => image.properties.get(name)?.as_deref().map(Cow::Borrowed),
        }
    }
}

enum Core<'a> {
    Value(Option<Cow<'a, str>>),
    Unknown,
}

fn core<'a>(image: &'a Image, name: &str) -> Core<'a> {
    let text = |value: &'a Option<String>| value.as_deref().map(Cow::Borrowed);
    let number = |value: Option<i64>| value.map(|n| Cow::Owned(n.to_string()));
    let flag = |value: bool| Some(Cow::Borrowed(if value { "True" } else { "False" }));
    Core::Value(match name {
        "id" | "image_id" => Some(Cow::Owned(image.id.to_string())),
        "owner" | "project_id" | "tenant" | "tenant_id" => text(&image.owner),
        "name" => text(&image.name),
        "status" => Some(Cow::Borrowed(image.status.as_str())),
        "visibility" => Some(Cow::Borrowed(image.visibility.as_str())),
        "is_public" => flag(image.visibility == Visibility::Public),
        "os_hidden" => flag(image.os_hidden),
        "protected" => flag(image.protected),
        "deleted" => flag(image.is_deleted()),
        "disk_format" => text(&image.disk_format),
        "container_format" => text(&image.container_format),
        "min_disk" => number(Some(image.min_disk.into())),
        "min_ram" => number(Some(image.min_ram.into())),
        "size" => number(image.size),
        "virtual_size" => number(image.virtual_size),
        "checksum" => text(&image.checksum),
        "os_hash_algo" => text(&image.os_hash_algo),
        "os_hash_value" => text(&image.os_hash_value),
        // No property may pose as what only the service knows, above all not as a membership.
        "member" | "member_id" | "user_id" | "domain_id" | "tags" | "locations" | "created_at"
        | "updated_at" | "deleted_at" => None,
        _ => return Core::Unknown,
    })
}
