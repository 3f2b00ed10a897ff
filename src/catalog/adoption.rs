//! Images that are taken over in place: each with everything that belongs to it in one transaction, or not at all.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::image::{Image, ImageId};
use crate::domain::member::Member;

use super::images::WholeRow;
use super::locations::Place;
use super::retry::{Attempt, ONCE, REPEATABLE};
use super::row::{self, sql};
use super::{Catalog, Result, commit};

/// An image to take over.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAdoption {
    /// The record; its revision is not taken over.
    pub image: Image,
    /// Its members in the order of joining.
    pub members: Vec<Member>,
    /// Objects with its data.
    pub objects: Vec<AdoptedObject>,
    /// URLs with its data, and the metadata of each.
    pub urls: Vec<(String, Value)>,
}

/// An object that is there already, to be entered into the ledger as live.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedObject {
    /// Store id of the configuration.
    pub store: String,
    /// Key in the bucket.
    pub key: String,
    /// Bytes.
    pub size: i64,
    /// Validator of the store, where it was asked.
    pub etag: Option<String>,
    /// Its digests in hex by algorithm.
    pub digests: Value,
    /// Metadata of the location.
    pub metadata: Value,
}

/// What became of an adoption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// The image is there now as it was given.
    Done,
    /// There is or was an image with its id, and not as it was taken over; nothing changed.
    Known,
    /// One of the objects is in the ledger already; nothing changed.
    ObjectTaken,
}

/// What is known of an id.
#[derive(Debug, Clone, PartialEq)]
pub enum KnownId {
    /// An image has it.
    Used(Box<KnownImage>),
    /// An image had it, and was purged.
    Purged {
        /// It was one that had been taken over.
        adopted: bool,
    },
}

/// What is here under an id.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownImage {
    /// The record, whatever its state.
    pub image: Image,
    /// Its members in the order of joining.
    pub members: Vec<Member>,
    /// Where its data lies.
    pub places: Vec<Place>,
    /// Whether it was taken over and neither it nor its members have changed since.
    pub untouched: bool,
}

impl Catalog {
    /// What is known of these ids, of those that are or were in use.
    pub async fn known_images(&self, ids: &[ImageId]) -> Result<HashMap<ImageId, KnownId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let values: super::Values<'_> = &[&ids];
        // first: what changes later is then no longer as it was compared, and a refresh finds that out
        let untouched: HashSet<_> =
            row::ids(&self.rows(sql!("untouched_images"), values).await?)?.into_iter().collect();
        let mut known = HashMap::new();
        for image in row::images(&self.rows(sql!(select "image" "known_images"), values).await?)? {
            let untouched = untouched.contains(&image.id);
            let (members, places) = (Vec::new(), Vec::new());
            known.insert(image.id, KnownImage { image, members, places, untouched });
        }
        for member in row::members(&self.rows(sql!(select "member" "members_of_images"), values).await?)? {
            if let Some(image) = known.get_mut(&member.image_id) {
                image.members.push(member);
            }
        }
        for placement in row::placements(&self.rows(sql!("placements"), values).await?)? {
            if let Some(image) = known.get_mut(&placement.image_id) {
                image.places.push(placement.place);
            }
        }
        let mut known: HashMap<_, _> =
            known.into_iter().map(|(id, image)| (id, KnownId::Used(Box::new(image)))).collect();
        // last: what is purged meanwhile is known all the same
        let purged = row::purged_ids(&self.rows(sql!("purged_among"), values).await?)?;
        known.extend(purged.into_iter().map(|(id, adopted)| (id, KnownId::Purged { adopted })));
        Ok(known)
    }

    /// Takes an image over. What is there under its id is left alone. No quota is judged, yet the bytes count from now
    /// on.
    ///
    /// # Errors
    /// `OutOfRange` for text that cannot be indexed.
    pub async fn adopt(&self, new: &NewAdoption) -> Result<Adopted> {
        let adopt = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let row = WholeRow::of(&new.image);
            if super::execute(&transaction, sql!("adopt_image"), &row.values()).await? == 0
                // after the insert, which waits for a purge of the same id
                || super::row(&transaction, sql!("is_purged"), &[&new.image.id.0]).await?.is_some()
            {
                return Ok(Adopted::Known);
            }
            finish(transaction, new, 0).await
        };
        self.run(REPEATABLE, adopt).await
    }

    /// Makes an image that was taken over, and that is untouched and at `revision`, what it is in Glance now. Its objects
    /// and URLs stay, with what is now known of their digests; those of `new` are added. Members that are in both stay
    /// as they are or are updated in place, so that whoever changes one at the same time changes what is there after.
    ///
    /// # Errors
    /// As [`Catalog::adopt`].
    pub async fn refresh(&self, new: &NewAdoption, revision: i64, digests: &Value) -> Result<Adopted> {
        let refresh = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            let id = new.image.id.0;
            super::rows(&transaction, sql!("lock_image"), &[&id]).await?;
            super::rows(&transaction, sql!("lock_members"), &[&id]).await?;
            if super::row(&transaction, sql!("untouched_images"), &[&vec![id]]).await?.is_none()
                || !refresh_image(&transaction, &new.image, revision).await?
            {
                return Ok(Adopted::Known);
            }
            let names: Vec<&str> = new.members.iter().map(|member| member.member.as_str()).collect();
            super::execute(&transaction, sql!("remove_other_members"), &[&id, &names, &None::<&str>]).await?;
            super::execute(&transaction, sql!("learn_digests"), &[&id, digests]).await?;
            let present = super::rows(&transaction, sql!(select "blob" "live_blobs"), &[&id]).await?;
            finish(transaction, new, present.len()).await
        };
        self.run(ONCE, refresh).await
    }
}

/// Rewrites a record that is at `revision`. False: it is not.
async fn refresh_image(transaction: &Transaction<'_>, image: &Image, revision: i64) -> Attempt<bool> {
    let row = WholeRow::of(image);
    let mut values = row.values().to_vec();
    values.push(&revision);
    Ok(super::execute(transaction, sql!("refresh_image"), &values).await? == 1)
}

/// Enters what belongs to the record, which is there, and commits. So many objects were made before its.
async fn finish(transaction: Transaction<'_>, new: &NewAdoption, before: usize) -> Attempt<Adopted> {
    let id = new.image.id.0;
    insert_members(&transaction, &new.image, &new.members).await?;
    for (place, object) in (i64::try_from(before).unwrap_or_default()..).zip(&new.objects) {
        // objects of an image are read in the order they were made
        let created_at = new.image.created_at + Duration::microseconds(place);
        if insert_object(&transaction, &new.image, object, created_at).await? == 0 {
            return Ok(Adopted::ObjectTaken);
        }
    }
    for (url, metadata) in &new.urls {
        let values: super::Values<'_> = &[&Uuid::new_v4(), &id, url, metadata];
        super::execute(&transaction, sql!("insert_location"), values).await?;
    }
    super::execute(&transaction, sql!("note_adoption"), &[&id]).await?;
    commit(transaction).await?;
    Ok(Adopted::Done)
}

async fn insert_members(transaction: &Transaction<'_>, image: &Image, members: &[Member]) -> Attempt<()> {
    if members.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = members.iter().map(|member| member.member.as_str()).collect();
    let can_share: Vec<bool> = members.iter().map(|member| member.can_share).collect();
    let statuses: Vec<&str> = members.iter().map(|member| member.status.as_str()).collect();
    let created: Vec<OffsetDateTime> = members.iter().map(|member| member.created_at).collect();
    let updated: Vec<OffsetDateTime> = members.iter().map(|member| member.updated_at).collect();
    let values: super::Values<'_> =
        &[&image.id.0, &names, &can_share, &statuses, &created, &updated, &image.created_at];
    super::execute(transaction, sql!("adopt_members"), values).await?;
    Ok(())
}

async fn insert_object(
    transaction: &Transaction<'_>,
    image: &Image,
    object: &AdoptedObject,
    created_at: OffsetDateTime,
) -> Attempt<u64> {
    let values: [&(dyn ToSql + Sync); 10] = [
        &Uuid::new_v4(),
        &image.id.0,
        &image.owner,
        &object.store,
        &object.key,
        &object.size,
        &object.etag,
        &object.digests,
        &object.metadata,
        &created_at,
    ];
    super::execute(transaction, sql!("adopt_blob"), &values).await
}
