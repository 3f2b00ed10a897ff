//! Memberships: the projects an image is shared with.

use std::str::FromStr;

use time::OffsetDateTime;

use super::image::ImageId;

/// What a member project says of an image shared with it (Images API v2; invisible in v1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberStatus {
    /// Not answered yet; the image stays out of the member's default v2 list.
    Pending,
    /// Taken into the member's list.
    Accepted,
    /// Refused; still readable by id.
    Rejected,
}

impl MemberStatus {
    /// The word used on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl FromStr for MemberStatus {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "pending" => Self::Pending,
            "accepted" => Self::Accepted,
            "rejected" => Self::Rejected,
            _ => return Err(()),
        })
    }
}

/// One project an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The shared image.
    pub image_id: ImageId,
    /// Project id, kept as the sharer wrote it; never checked for existence.
    pub member: String,
    /// Whether the member may share the image further (Images API v1; invisible in v2).
    pub can_share: bool,
    /// The member's answer.
    pub status: MemberStatus,
    /// When the project became a member.
    pub created_at: OffsetDateTime,
    /// When `can_share` or `status` last changed.
    pub updated_at: OffsetDateTime,
}
