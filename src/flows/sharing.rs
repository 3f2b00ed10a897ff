//! Memberships under the rules of the Images API v2 (images-v2.md §18.2).
//!
//! Every call looks the image up, asks the policy, and demands that the image is `shared`, in this order: who may not
//! know the image learns nothing of its visibility. Rules about one member see that member as `member_id`, so that
//! nobody answers for somebody else.

use crate::catalog::members::Added;
use crate::domain::image::{Image, Visibility};
use crate::domain::member::{Member, MemberStatus};
use crate::domain::policy::Target;
use crate::error::{Error, ErrorKind, Result};

use super::members::check_quota;
use super::{Call, Flows, Found, may_write};

impl Flows {
    /// Shares an image with a project, which has yet to accept it.
    ///
    /// # Errors
    /// `Forbidden` unless the image is `shared`, `Conflict` for a member, `LimitExceeded` at the quota.
    pub async fn add_member(&self, call: &Call, id: &str, member: &str) -> Result<Member> {
        may_write(&call.caller)?;
        let found = self.find_visible(call, id).await?;
        self.allow_member(call, &found, "add_member", member)?;
        require_shared(&found.image)?;
        let quota = self.config.limits.image_member_quota;
        match self.catalog.add_member(found.image.id, member, quota).await? {
            Added::Done(member) => Ok(member),
            Added::Gone => Err(Error::not_found(format!("No image found with ID {id}"))),
            Added::NotShared => Err(only_shared()),
            Added::Duplicate => {
                Err(Error::conflict(format!("Project {member} is a member of image {id} already.")))
            }
            Added::OverQuota { attempted } => {
                check_quota(attempted, quota)?;
                Err(Error::new(ErrorKind::LimitExceeded, ""))
            }
        }
    }

    /// Members of an image; a member sees itself only.
    ///
    /// # Errors
    /// `Forbidden` unless the image is `shared`.
    pub async fn show_members(&self, call: &Call, id: &str) -> Result<Vec<Member>> {
        let found = self.find_for(call, id, "get_members").await?;
        require_shared(&found.image)?;
        let mut members = self.catalog.members(found.image.id).await?;
        members.retain(|member| knows(call, &found, &member.member));
        Ok(members)
    }

    /// One member of an image. Whatever stands against it, there is no such member.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn show_member(&self, call: &Call, id: &str, member: &str) -> Result<Member> {
        let found = self.find_visible(call, id).await?;
        let allowed = self.allow_member(call, &found, "get_member", member).is_ok();
        if !allowed || require_shared(&found.image).is_err() {
            return Err(no_member(id, member));
        }
        self.find_member(call, &found, member).await
    }

    /// Sets what a project says of an image shared with it.
    ///
    /// # Errors
    /// `NotFound` for memberships the caller may not know of, `Forbidden` for those it may only know of.
    pub async fn answer_share(
        &self,
        call: &Call,
        id: &str,
        member: &str,
        status: MemberStatus,
    ) -> Result<Member> {
        may_write(&call.caller)?;
        let found = self.find_visible(call, id).await?;
        let allowed = self.allow_member(call, &found, "modify_member", member);
        if found.image.visibility == Visibility::Shared {
            // API parity: a membership that is not there is not found, whoever asks
            self.find_member(call, &found, member).await?;
        }
        allowed?;
        require_shared(&found.image)?;
        let changed = self.catalog.set_member_status(found.image.id, member, status).await?;
        changed.ok_or_else(|| no_member(id, member))
    }

    /// Stops sharing an image with a project.
    ///
    /// # Errors
    /// `Forbidden` unless the image is `shared`, `NotFound` for what is no member.
    pub async fn remove_member(&self, call: &Call, id: &str, member: &str) -> Result<()> {
        may_write(&call.caller)?;
        let found = self.find_visible(call, id).await?;
        self.allow_member(call, &found, "delete_member", member)?;
        require_shared(&found.image)?;
        self.find_member(call, &found, member).await?;
        match self.catalog.remove_member(found.image.id, member).await? {
            true => Ok(()),
            false => Err(no_member(id, member)),
        }
    }

    /// Asks the policy for an action on one membership. Who may not even see the image is told that there is none.
    fn allow_member(&self, call: &Call, found: &Found, action: &str, member: &str) -> Result<()> {
        let target = Target::of_image(&found.image).with_member(Some(member));
        self.allow_on(call, action, &target)
            .map_err(|refusal| self.allow_found(call, found, "get_image").err().unwrap_or(refusal))
    }

    /// The membership, if the caller may know of it.
    async fn find_member(&self, call: &Call, found: &Found, member: &str) -> Result<Member> {
        let image = found.image.id;
        let unknown = || no_member(&image.to_string(), member);
        // what cannot be stored is nobody's id; asking the database would be an error
        if !knows(call, found, member) || member.contains('\0') {
            return Err(unknown());
        }
        self.catalog.member(image, member).await?.ok_or_else(unknown)
    }
}

/// Owner and administrators know all members, a member itself.
fn knows(call: &Call, found: &Found, member: &str) -> bool {
    let caller = &call.caller;
    caller.is_admin || caller.owns(found.image.owner.as_deref()) || caller.owns(Some(member))
}

fn require_shared(image: &Image) -> Result<()> {
    if image.visibility == Visibility::Shared { Ok(()) } else { Err(only_shared()) }
}

// clients and suites look for this text
fn only_shared() -> Error {
    Error::forbidden("Only shared images have members.")
}

fn no_member(image: &str, member: &str) -> Error {
    Error::not_found(format!("{member} is not a member of image {image}."))
}
