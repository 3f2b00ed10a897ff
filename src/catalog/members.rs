//! Memberships.

use deadpool_postgres::Transaction;

use crate::domain::image::ImageId;
use crate::domain::member::{Member, MemberStatus};

use super::retry::{Attempt, ONCE, REPEATABLE};
use super::row::{self, sql};
use super::{Catalog, ErrorKind, Result, commit};

/// What became of a change of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersChanged {
    /// Done.
    Done,
    /// More members than the quota allows; nothing changed.
    OverQuota {
        /// How many there would have been.
        attempted: i64,
    },
}

/// What became of a new membership under v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// The member, `pending`.
    Done(Member),
    /// The image is gone or deleted.
    Gone,
    /// The image is not `shared` any more.
    NotShared,
    /// The project is a member already, whatever its answer.
    Duplicate,
    /// More members than the quota allows.
    OverQuota {
        /// How many there would have been.
        attempted: i64,
    },
}

impl Catalog {
    /// Members in the order they were added.
    pub async fn members(&self, id: ImageId) -> Result<Vec<Member>> {
        row::members(&self.rows(sql!(select "member" "members"), &[&id.0]).await?)
    }

    /// Adds `member`, or sets its `can_share` where given. New members are `pending` and may not share unless
    /// given. `quota` (negative: none) is compared with the present count + 1 also when the member exists
    /// (images-v1.md §9.5); the image row is locked meanwhile. With `keep_existing`, a member that exists stays as
    /// it is. On an image that is deleted meanwhile nothing is written: as if the delete had come right after.
    pub async fn put_member(
        &self,
        id: ImageId,
        member: &str,
        can_share: Option<bool>,
        keep_existing: bool,
        quota: i64,
    ) -> Result<MembersChanged> {
        let put = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(present) = lock_members(&transaction, id).await? else {
                return Ok(MembersChanged::Done);
            };
            let attempted = present + 1;
            if quota >= 0 && attempted > quota {
                return Ok(MembersChanged::OverQuota { attempted });
            }
            let change = if keep_existing { None } else { can_share };
            let new = can_share.unwrap_or(false);
            super::execute(&transaction, sql!("put_member"), &[&id.0, &member, &new, &change]).await?;
            commit(transaction).await?;
            Ok(MembersChanged::Done)
        };
        self.run(ONCE, put).await
    }

    /// One membership.
    pub async fn member(&self, id: ImageId, member: &str) -> Result<Option<Member>> {
        let found = self.row(sql!(select "member" "member"), &[&id.0, &member]).await?;
        found.as_ref().map(row::member).transpose()
    }

    /// Adds a `pending` member to a shared image (images-v2.md §18.2). The image row is locked meanwhile, so that
    /// neither a delete nor a change of its visibility comes in between and the quota (negative: none) holds.
    pub async fn add_member(&self, id: ImageId, member: &str, quota: i64) -> Result<Added> {
        let add = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let Some(image) = super::row(&transaction, sql!("lock_sharing"), &[&id.0]).await? else {
                return Ok(Added::Gone);
            };
            if !image.try_get::<_, bool>("shared")? {
                return Ok(Added::NotShared);
            }
            let known = sql!(select "member" "member");
            if super::row(&transaction, known, &[&id.0, &member]).await?.is_some() {
                return Ok(Added::Duplicate);
            }
            let attempted = count_members(&transaction, id).await? + 1;
            if quota >= 0 && attempted > quota {
                return Ok(Added::OverQuota { attempted });
            }
            let added = sql!("add_member" returning "member");
            let added = super::row(&transaction, added, &[&id.0, &member]).await?;
            commit(transaction).await?;
            Ok(Added::Done(row::member(&added.ok_or(ErrorKind::Internal)?)?))
        };
        self.run(ONCE, add).await
    }

    /// Sets what a member says of an image that is shared with it. None: it is no member, or the image is not shared.
    pub async fn set_member_status(
        &self,
        id: ImageId,
        member: &str,
        status: MemberStatus,
    ) -> Result<Option<Member>> {
        let statement = sql!("set_member_status" returning "member");
        let changed = self.change(REPEATABLE, statement, &[&id.0, &member, &status.as_str()]).await?;
        changed.as_ref().map(row::member).transpose()
    }

    /// Removes a member of a shared image. False: it is none, or the image is not shared.
    pub async fn remove_member(&self, id: ImageId, member: &str) -> Result<bool> {
        Ok(self.execute(ONCE, sql!("remove_member"), &[&id.0, &member]).await? == 1)
    }

    /// Removes a member. False: it was none.
    pub async fn delete_member(&self, id: ImageId, member: &str) -> Result<bool> {
        Ok(self.execute(ONCE, sql!("delete_member"), &[&id.0, &member]).await? == 1)
    }

    /// Replaces the members by `members` (unique). Those that stay keep `can_share` where none is given, and keep
    /// their place. With `only`, just the row of that member may be removed and rows of others stay as they are;
    /// new ones are added.
    pub async fn replace_members(
        &self,
        id: ImageId,
        members: &[(String, Option<bool>)],
        only: Option<&str>,
    ) -> Result<()> {
        let (names, can_share): (Vec<&str>, Vec<Option<bool>>) =
            members.iter().map(|(name, can_share)| (name.as_str(), *can_share)).unzip();
        let replace = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            if lock_members(&transaction, id).await?.is_none() {
                return Ok(());
            }
            super::execute(&transaction, sql!("remove_other_members"), &[&id.0, &names, &only]).await?;
            super::execute(&transaction, sql!("set_can_share"), &[&id.0, &names, &can_share, &only]).await?;
            super::execute(&transaction, sql!("put_members"), &[&id.0, &names, &can_share]).await?;
            commit(transaction).await
        };
        self.run(REPEATABLE, replace).await
    }

    /// Memberships of `member` on images that are not deleted, oldest first; with `owner`, only on that project's
    /// images.
    pub async fn memberships(&self, member: &str, owner: Option<&str>) -> Result<Vec<Member>> {
        row::members(&self.rows(sql!(select "member" "memberships"), &[&member, &owner]).await?)
    }
}

/// Locks the image against other changes of its members and counts them. None: it is gone or deleted.
async fn lock_members(transaction: &Transaction<'_>, id: ImageId) -> Attempt<Option<i64>> {
    if super::row(transaction, sql!("lock_image_in_use"), &[&id.0]).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(count_members(transaction, id).await?))
}

/// Counts the members of an image that is locked, by a statement of its own: one that waited for the lock would still
/// see the members of before.
async fn count_members(transaction: &Transaction<'_>, id: ImageId) -> Attempt<i64> {
    let counted =
        super::row(transaction, sql!("count_members"), &[&id.0]).await?.ok_or(ErrorKind::Internal)?;
    Ok(counted.try_get(0)?)
}
