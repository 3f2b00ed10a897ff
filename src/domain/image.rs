//! The image record, its states, and who may reach it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::caller::Caller;
use super::member::Member;

/// Identifier of an image: a UUID in canonical form. Other spellings are accepted on input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub Uuid);

impl ImageId {
    /// A random identifier.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Life of an image. The words are those of the Images API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Record without data.
    Queued,
    /// Data is flowing into a store.
    Saving,
    /// Data is flowing into staging (v2).
    Uploading,
    /// An import works on staged data (v2).
    Importing,
    /// Data is complete and never changes again.
    Active,
    /// Complete, but withheld from download by an administrator (v2).
    Deactivated,
    /// A v1 upload failed; the record is all that is left.
    Killed,
    /// Deleted for its users; data is kept until the scrub time has passed.
    PendingDelete,
    /// Deleted; the row keeps the id taken until it is purged.
    Deleted,
}

impl Status {
    /// The word used on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Saving => "saving",
            Self::Uploading => "uploading",
            Self::Importing => "importing",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Killed => "killed",
            Self::PendingDelete => "pending_delete",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "queued" => Self::Queued,
            "saving" => Self::Saving,
            "uploading" => Self::Uploading,
            "importing" => Self::Importing,
            "active" => Self::Active,
            "deactivated" => Self::Deactivated,
            "killed" => Self::Killed,
            "pending_delete" => Self::PendingDelete,
            "deleted" => Self::Deleted,
            _ => return Err(()),
        })
    }
}

/// Who may find an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Listed and readable for everybody.
    Public,
    /// Readable for everybody, listed for its owner only (v1) or on request (v2).
    Community,
    /// Readable for its owner and its members.
    Shared,
    /// Readable for its owner; memberships give no access.
    Private,
}

impl Visibility {
    /// The word used on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Community => "community",
            Self::Shared => "shared",
            Self::Private => "private",
        }
    }
}

impl FromStr for Visibility {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "public" => Self::Public,
            "community" => Self::Community,
            "shared" => Self::Shared,
            "private" => Self::Private,
            _ => return Err(()),
        })
    }
}

/// Additional properties: name → text, or null (v1 stores an empty header as null).
pub type Properties = BTreeMap<String, Option<String>>;

/// One image record, whatever API made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Identifier.
    pub id: ImageId,
    /// Owning project; none for images made without a project.
    pub owner: Option<String>,
    /// Free text, at most 255 characters, not unique.
    pub name: Option<String>,
    /// State in the life cycle.
    pub status: Status,
    /// Who may find it.
    pub visibility: Visibility,
    /// Left out of default lists (v2).
    pub os_hidden: bool,
    /// Cannot be deleted while set.
    pub protected: bool,
    /// Format of the disk in the data.
    pub disk_format: Option<String>,
    /// Format of the envelope around the disk.
    pub container_format: Option<String>,
    /// Least disk in GB to boot it.
    pub min_disk: i32,
    /// Least memory in MB to boot it.
    pub min_ram: i32,
    /// Bytes of data; none where not known (v2 queued images).
    pub size: Option<i64>,
    /// Bytes of the disk inside the data.
    pub virtual_size: Option<i64>,
    /// MD5 of the data in hex.
    pub checksum: Option<String>,
    /// Algorithm of `os_hash_value`.
    pub os_hash_algo: Option<String>,
    /// Secure hash of the data in hex.
    pub os_hash_value: Option<String>,
    /// Labels (v2).
    pub tags: Vec<String>,
    /// Additional properties.
    pub properties: Properties,
    /// When the record was made.
    pub created_at: OffsetDateTime,
    /// When the record last changed.
    pub updated_at: OffsetDateTime,
    /// When it was deleted.
    pub deleted_at: Option<OffsetDateTime>,
    /// Grows with every change; an update names the revision it was computed from.
    pub revision: i64,
    /// Stores that the last import has still to put the data into; none where there was no import
    /// (`os_glance_importing_to_stores`).
    pub importing_to: Option<Vec<String>>,
    /// Stores that the last import could not put the data into; none where there was no import
    /// (`os_glance_failed_import`).
    pub failed_import: Option<Vec<String>>,
}

impl Image {
    /// Whether the record is deleted for its users (also while its data still waits for the scrub).
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// The first of the two formats that data need (images-v2.md §4.4) and the image lacks.
    pub fn missing_format(&self) -> Option<&'static str> {
        match (&self.container_format, &self.disk_format) {
            (None, _) => Some("container_format"),
            (_, None) => Some("disk_format"),
            _ => None,
        }
    }

    /// The properties a reader may see: none once deleted.
    pub fn shown_properties(&self) -> Properties {
        if self.is_deleted() { Properties::new() } else { self.properties.clone() }
    }
}

/// What a caller may do with one image (images-v1.md §10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The caller may not know the image exists.
    None,
    /// Read only.
    Read,
    /// Read and change.
    Write,
}

/// Access of `caller` to `image`; `membership` is the row of the caller's project, if there is one.
pub fn access(caller: &Caller, image: &Image, membership: Option<&Member>) -> Access {
    if caller.is_admin {
        return Access::Write;
    }
    if image.is_deleted() {
        return Access::None;
    }
    if caller.owns(image.owner.as_deref()) {
        return Access::Write;
    }
    let readable = image.owner.is_none()
        || match image.visibility {
            Visibility::Public | Visibility::Community => true,
            Visibility::Shared => membership.is_some(),
            Visibility::Private => false,
        };
    if readable { Access::Read } else { Access::None }
}

/// Whether `caller` may know of `image` under the Images API v2 (images-v2.md §18.1); `membership` is the row of the
/// caller's project, if there is one. What the caller may do with it is up to the policy.
pub fn is_visible(caller: &Caller, image: &Image, membership: Option<&Member>) -> bool {
    if image.is_deleted() || image.status == Status::Killed {
        return false;
    }
    if caller.is_admin || caller.owns(image.owner.as_deref()) {
        return true;
    }
    match image.visibility {
        Visibility::Public | Visibility::Community => true,
        // what nobody owns, nobody shares
        Visibility::Shared => image.owner.is_some() && membership.is_some(),
        Visibility::Private => false,
    }
}
