//! A list request after parsing: what to select, in which order, and which page. Shared by both dialects.

use std::str::FromStr;

use time::OffsetDateTime;

use super::image::{ImageId, Status, Visibility};
use super::member::MemberStatus;

/// Images a caller asks for. Branches exclude each other; the catalog answers each with its own index.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageQuery {
    /// What the caller may see, as disjoint sets.
    pub branches: Vec<Branch>,
    /// Conditions on every image; all must hold.
    pub filters: Vec<Filter>,
    /// Whether deleted images are included.
    pub include_deleted: bool,
    /// Sort keys in order of weight; `created_at` and `id` are appended where missing.
    pub sort: Vec<(SortKey, SortDirection)>,
    /// Direction of what is appended to the sort keys.
    pub ties: SortDirection,
    /// Page size.
    pub limit: u32,
    /// The page starts strictly after this image. Its visibility has been checked by the flow.
    pub marker: Option<ImageId>,
}

/// One disjoint part of what a caller sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Only these visibilities; empty means any.
    pub visibility: Vec<Visibility>,
    /// Condition on the owner.
    pub owner: OwnerIs,
    /// Only images shared with this project, and only with this answer where given.
    pub shared_with: Option<(String, Option<MemberStatus>)>,
}

/// Condition on the owner of an image.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnerIs {
    /// No condition.
    Any,
    /// Owned by this project.
    Project(String),
    /// Owned by another project or by none.
    Not(String),
    /// Owned by another project; not by none.
    Another(String),
}

/// A text attribute that filters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextAttribute {
    /// `name`
    Name,
    /// `disk_format`
    DiskFormat,
    /// `container_format`
    ContainerFormat,
    /// `owner`
    Owner,
    /// `checksum`
    Checksum,
    /// `os_hash_algo`
    OsHashAlgo,
    /// `os_hash_value`
    OsHashValue,
}

/// An integer attribute that filters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntAttribute {
    /// `size`
    Size,
    /// `virtual_size`
    VirtualSize,
    /// `min_ram`
    MinRam,
    /// `min_disk`
    MinDisk,
}

/// A time attribute that filters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeAttribute {
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// One condition. Null attributes match no condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// The attribute is one of these texts (never empty of meaning: no text, no image).
    Text(TextAttribute, Vec<String>),
    /// The attribute compares so with the number.
    Int(IntAttribute, Comparison, i64),
    /// The attribute compares so with the instant.
    Time(TimeAttribute, Comparison, OffsetDateTime),
    /// The attribute lies before the first instant, or at the second or later.
    TimeOutside(TimeAttribute, OffsetDateTime, OffsetDateTime),
    /// The status is one of these.
    Status(Vec<Status>),
    /// The status is none of these.
    StatusNot(Vec<Status>),
    /// The visibility is one of these.
    Visibility(Vec<Visibility>),
    /// `protected` has this value.
    Protected(bool),
    /// `os_hidden` has this value.
    Hidden(bool),
    /// The property has this value.
    Property(String, String),
    /// The property is the empty text, or a null that is shown as one.
    EmptyProperty(String),
    /// The image carries this tag.
    Tag(String),
    /// The id is one of these.
    Id(Vec<ImageId>),
    /// No image matches (a filter value that nothing can equal).
    Nothing,
}

/// What a list is sorted by. Nulls sort as empty text or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `name`, in byte order.
    Name,
    /// `status`, by its word.
    Status,
    /// `container_format`
    ContainerFormat,
    /// `disk_format`
    DiskFormat,
    /// `size`
    Size,
    /// `id`
    Id,
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
}

impl SortKey {
    /// Every key with its word in the Images API.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("name", Self::Name),
        ("status", Self::Status),
        ("container_format", Self::ContainerFormat),
        ("disk_format", Self::DiskFormat),
        ("size", Self::Size),
        ("id", Self::Id),
        ("created_at", Self::CreatedAt),
        ("updated_at", Self::UpdatedAt),
    ];
}

impl FromStr for SortKey {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, key)| *key).ok_or(())
    }
}

/// Direction of one sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortDirection {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl FromStr for SortDirection {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "asc" => Ok(Self::Ascending),
            "desc" => Ok(Self::Descending),
            _ => Err(()),
        }
    }
}
