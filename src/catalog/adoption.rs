//! Images that are taken over in place: each with everything that belongs to it in one transaction, or not at all.

use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::domain::image::{Image, ImageId};
use crate::domain::member::Member;

use super::retry::{Attempt, REPEATABLE};
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
    /// The image is there now.
    Done,
    /// There is or was an image with its id; nothing changed.
    Known,
    /// One of the objects belongs to another image; nothing changed.
    ObjectTaken,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownImage {
    /// The id.
    pub id: ImageId,
    /// Whether the image is deleted, or even purged.
    pub deleted: bool,
    /// When it was created; none once it is purged.
    pub created_at: Option<OffsetDateTime>,
    /// When it last changed; none once it is purged.
    pub updated_at: Option<OffsetDateTime>,
}

impl Catalog {
    /// What is known of these ids, of those that are or were in use.
    pub async fn known_images(&self, ids: &[ImageId]) -> Result<Vec<KnownImage>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        row::known_images(&self.rows(sql!("known_images"), &[&ids]).await?)
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
            let id = new.image.id.0;
            if insert(&transaction, &new.image).await? == 0
                // after the insert, which waits for a purge of the same id
                || super::row(&transaction, sql!("is_purged"), &[&id]).await?.is_some()
            {
                return Ok(Adopted::Known);
            }
            insert_members(&transaction, &new.image, &new.members).await?;
            for (place, object) in (0..).zip(&new.objects) {
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
            commit(transaction).await?;
            Ok(Adopted::Done)
        };
        self.run(REPEATABLE, adopt).await
    }
}

type Transaction<'a> = deadpool_postgres::Transaction<'a>;

async fn insert(transaction: &Transaction<'_>, image: &Image) -> Attempt<u64> {
    let (status, visibility, properties) =
        (image.status.as_str(), image.visibility.as_str(), Json(&image.properties));
    let values: [&(dyn ToSql + Sync); 23] = [
        &image.id.0,
        &image.owner,
        &image.name,
        &status,
        &visibility,
        &image.os_hidden,
        &image.protected,
        &image.disk_format,
        &image.container_format,
        &image.min_disk,
        &image.min_ram,
        &image.size,
        &image.virtual_size,
        &image.checksum,
        &image.os_hash_algo,
        &image.os_hash_value,
        &image.tags,
        &properties,
        &image.created_at,
        &image.updated_at,
        &image.deleted_at,
        &image.importing_to,
        &image.failed_import,
    ];
    super::execute(transaction, sql!("adopt_image"), &values).await
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
