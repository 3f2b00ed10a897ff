//! Metadata definitions: namespaces of objects, properties, tags and resource type associations that tell users which
//! properties images and other resources may have (metadefs.md §1).

pub mod document;
pub mod schema;

use std::str::FromStr;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::caller::Caller;
use super::query::SortDirection;

/// Who may see a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// The project that owns it, and administrators.
    Private,
}

impl Visibility {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

impl FromStr for Visibility {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "public" => Ok(Self::Public),
            "private" => Ok(Self::Private),
            _ => Err(()),
        }
    }
}

/// What can be said of a namespace, apart from its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFields {
    /// Name, unique over the whole cloud.
    pub namespace: String,
    /// Name for users.
    pub display_name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Who may see it. None comes from files that leave it open (§13); it counts as private.
    pub visibility: Option<Visibility>,
    /// Whether it and its contents may not be deleted. None, from such files too, counts as false.
    pub protected: Option<bool>,
    /// Owning project, or any other text.
    pub owner: String,
}

/// A namespace as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Internal id, the last word in every order.
    pub id: i64,
    /// What is said of it.
    pub fields: NamespaceFields,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed itself; none for one that was loaded from a file.
    pub updated_at: Option<OffsetDateTime>,
}

impl Namespace {
    /// Whether `caller` may know of it, whatever the policy says (§9.1).
    pub fn is_visible(&self, caller: &Caller) -> bool {
        caller.is_admin
            || self.fields.visibility == Some(Visibility::Public)
            || caller.owns(Some(&self.fields.owner))
    }

    /// Whether nothing of it may be deleted (§9.4).
    pub fn is_protected(&self) -> bool {
        self.fields.protected.unwrap_or(false)
    }
}

/// What can be said of an object: a group of properties.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectFields {
    /// Name, unique in the namespace.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Names of properties that must be given.
    pub required: Vec<String>,
    /// Schema of each property, by name.
    pub properties: Map<String, Value>,
}

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What is said of it.
    pub fields: ObjectFields,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed; none for one that was loaded from a file.
    pub updated_at: Option<OffsetDateTime>,
}

/// A property of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Name, unique in the namespace.
    pub name: String,
    /// Its schema in the form that is stored and shown (§6), without the name.
    pub schema: Map<String, Value>,
}

/// A tag of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Name, unique in the namespace.
    pub name: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last renamed; none for one that was loaded from a file.
    pub updated_at: Option<OffsetDateTime>,
}

/// What can be said of an association of a namespace with a resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationFields {
    /// Name of the resource type.
    pub name: String,
    /// What its properties' names begin with on such resources.
    pub prefix: Option<String>,
    /// Which of the resource's properties are meant.
    pub properties_target: Option<String>,
}

/// An association as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// What is said of it.
    pub fields: AssociationFields,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed, which only loading files does; none for one that was loaded once.
    pub updated_at: Option<OffsetDateTime>,
}

/// A kind of resource that namespaces can be associated with, unique over the cloud (§7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Name.
    pub name: String,
    /// When it was first named.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: Option<OffsetDateTime>,
}

/// A namespace with all that is in it, as it is created at once (§4.2) or stands in a file (§13).
#[derive(Debug, Clone, PartialEq)]
pub struct Definitions {
    /// The namespace itself.
    pub namespace: NamespaceFields,
    /// Resource types it is for.
    pub associations: Vec<AssociationFields>,
    /// Its objects.
    pub objects: Vec<ObjectFields>,
    /// Names of its tags.
    pub tags: Vec<String>,
    /// Its properties.
    pub properties: Vec<Property>,
}

/// All that is in a namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Resource types it is for, in the order of creation, as is everything here.
    pub associations: Vec<Association>,
    /// Its objects.
    pub objects: Vec<Object>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its properties.
    pub properties: Vec<Property>,
}

/// Whose namespaces a list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceScope {
    /// Everybody's, for administrators.
    All,
    /// Public ones, and those of this project where there is one.
    Project(Option<String>),
}

/// What lists of namespaces are sorted by: any attribute, with `created_at` and `id` behind it (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceSortKey {
    /// `namespace`
    Namespace,
    /// `display_name`
    DisplayName,
    /// `description`
    Description,
    /// `visibility`
    Visibility,
    /// `protected`
    Protected,
    /// `owner`
    Owner,
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
    /// `id`
    Id,
}

/// A list of namespaces after parsing (§4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceQuery {
    /// Whose.
    pub scope: NamespaceScope,
    /// Only those of this visibility.
    pub visibility: Option<Visibility>,
    /// Only those that are associated with one of these resource types, where any is named.
    pub resource_types: Vec<String>,
    /// What to sort by.
    pub sort: NamespaceSortKey,
    /// In which direction, ties included.
    pub direction: SortDirection,
    /// The page starts after the namespace of this name.
    pub marker: Option<String>,
    /// Page size.
    pub limit: u32,
}

/// What lists of tags are sorted by, with `created_at` and `id` behind it (§8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagSortKey {
    /// `name`
    Name,
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
}

/// A list of the tags of one namespace after parsing (§8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagQuery {
    /// What to sort by.
    pub sort: TagSortKey,
    /// In which direction, ties included.
    pub direction: SortDirection,
    /// The page starts after the tag of this name.
    pub marker: Option<String>,
    /// Page size; none for all.
    pub limit: Option<u32>,
}
