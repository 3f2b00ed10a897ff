//! Memberships under the rules of the Images API v1 (images-v1.md §9).

use crate::catalog::members::MembersChanged;
use crate::domain::image::{Access, Image};
use crate::domain::member::Member;
use crate::error::{Error, ErrorKind, Result};

use super::{Call, Flows, Found, may_write};

/// A wanted membership: project, and `can_share` where given.
pub type Share = (String, Option<bool>);

/// What a caller may do with the members of an image.
enum Sharing {
    /// Owner or administrator.
    All,
    /// A member that may share: adds others, and gives up its own membership.
    Own(String),
}

impl Flows {
    /// Members of an image; a member sees its own entry only, other projects none.
    pub async fn list_members(&self, call: &Call, id: &str) -> Result<Vec<Member>> {
        self.allow(call, "get_members")?;
        let found = self.find(call, id).await?;
        refuse_deleted(&found.image)?;
        let mut members = self.catalog.members(found.image.id).await?;
        if found.access != Access::Write {
            members.retain(|m| call.caller.project.as_ref() == Some(&m.member));
        }
        Ok(members)
    }

    /// Adds a member or sets its `can_share`. `wanted` is the body's content, judged last.
    pub async fn put_member(
        &self,
        call: &Call,
        id: &str,
        member: &str,
        wanted: Result<Option<bool>>,
    ) -> Result<()> {
        let found = self.find_to_share(call, id, "modify_member").await?;
        let quota = self.config.limits.image_member_quota;
        if quota >= 0 {
            let present = self.catalog.members(found.image.id).await?.len();
            check_quota(i64::try_from(present).unwrap_or(i64::MAX).saturating_add(1), quota)?;
        }
        let sharing = sharing(call, &found)?;
        let can_share = wanted?;
        let keep_existing = matches!(sharing, Sharing::Own(_));
        match self.catalog.put_member(found.image.id, member, can_share, keep_existing, quota).await? {
            MembersChanged::Done => Ok(()),
            MembersChanged::OverQuota { attempted } => check_quota(attempted, quota),
        }
    }

    /// Removes a member.
    pub async fn delete_member(&self, call: &Call, id: &str, member: &str) -> Result<()> {
        let found = self.find_to_share(call, id, "delete_member").await?;
        let unknown = || Error::not_found("Membership could not be found.");
        if let Sharing::Own(project) = sharing(call, &found)?
            && project != member
        {
            return Err(unknown());
        }
        // no text of the database can have it
        let known = !member.contains('\0') && self.catalog.delete_member(found.image.id, member).await?;
        if known { Ok(()) } else { Err(unknown()) }
    }

    /// Replaces the members. `count` entries were given; `wanted` is their content, judged last.
    pub async fn replace_members(
        &self,
        call: &Call,
        id: &str,
        count: usize,
        wanted: Result<Vec<Share>>,
    ) -> Result<()> {
        let found = self.find_to_share(call, id, "modify_member").await?;
        check_quota(i64::try_from(count).unwrap_or(i64::MAX), self.config.limits.image_member_quota)?;
        let sharing = sharing(call, &found)?;
        let members = last_of_each(wanted?);
        let only = match &sharing {
            Sharing::All => None,
            Sharing::Own(project) => Some(project.as_str()),
        };
        Ok(self.catalog.replace_members(found.image.id, &members, only).await?)
    }

    /// Memberships of a project, as far as the caller may know them: all as administrator or as that project, else
    /// those on the caller's own images.
    pub async fn memberships(&self, call: &Call, member: &str) -> Result<Vec<Member>> {
        let caller = &call.caller;
        if member.contains('\0') {
            return Ok(Vec::new());
        }
        if caller.is_admin || caller.owns(Some(member)) {
            return Ok(self.catalog.memberships(member, None).await?);
        }
        match caller.project.as_deref() {
            Some(project) => Ok(self.catalog.memberships(member, Some(project)).await?),
            None => Ok(Vec::new()),
        }
    }

    async fn find_to_share(&self, call: &Call, id: &str, action: &str) -> Result<Found> {
        may_write(&call.caller)?;
        if call.caller.project.is_none() && !call.caller.is_admin {
            return Err(Error::new(ErrorKind::Unauthenticated, "No authenticated user"));
        }
        self.allow(call, action)?;
        let found = self.find(call, id).await?;
        refuse_deleted(&found.image)?;
        Ok(found)
    }
}

fn refuse_deleted(image: &Image) -> Result<()> {
    if image.is_deleted() {
        return Err(Error::not_found(format!("Image with identifier {} has been deleted.", image.id)));
    }
    Ok(())
}

// API parity: who may not share is told 404, not 403
fn sharing(call: &Call, found: &Found) -> Result<Sharing> {
    if found.access == Access::Write {
        return Ok(Sharing::All);
    }
    match (&found.membership, &call.caller.project) {
        (Some(membership), Some(project)) if membership.can_share => Ok(Sharing::Own(project.clone())),
        _ => Err(Error::not_found(format!("Image with identifier {} not found", found.image.id))),
    }
}

/// Holds the quota of members of one image against what it would have; negative: no limit.
pub(super) fn check_quota(attempted: i64, maximum: i64) -> Result<()> {
    if maximum < 0 || attempted <= maximum {
        return Ok(());
    }
    Err(Error::limit_exceeded(format!(
        "The limit has been exceeded on the number of allowed image members for this image. Attempted: {attempted}, \
         Maximum: {maximum}"
    )))
}

/// One entry a project, in the place of its first mention, with the word of its last.
fn last_of_each(wanted: Vec<Share>) -> Vec<Share> {
    let mut unique: Vec<Share> = Vec::with_capacity(wanted.len());
    for (member, can_share) in wanted {
        match unique.iter_mut().find(|(known, _)| *known == member) {
            Some(known) => known.1 = can_share,
            None => unique.push((member, can_share)),
        }
    }
    unique
}
