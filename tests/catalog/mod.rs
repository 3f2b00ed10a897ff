//! The database layer, method by method.

mod faults;
mod images;
mod imports;
mod lists;
mod members;
mod metadef_lists;
mod metadefs;
mod migrate;
mod paging;
mod quotas;
mod sweep;
mod tasks;
mod uploads;

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;
use vitrine::catalog::Catalog;
use vitrine::catalog::uploads::{Begin, Finished, NewUpload, Started, Stored};
use vitrine::catalog::usage::Quota;
use vitrine::domain::image::{Image, ImageId, Properties, Status, Visibility};

use crate::support::db::{TestDatabase, test_database};

pub const LEASE: Duration = Duration::from_secs(60);
pub const GRACE: Duration = Duration::from_secs(1200);
pub const NO_LIMIT: i64 = -1;

/// A catalog over a database of its own.
pub struct World {
    pub catalog: Catalog,
    /// For statements of the test itself.
    pub sql: Client,
    pub database: TestDatabase,
}

pub async fn world() -> World {
    let database = test_database().await;
    World { catalog: Catalog::new(&database.config()).unwrap(), sql: database.client().await, database }
}

/// A queued image that is in no database yet.
pub fn image(owner: &str) -> Image {
    Image {
        id: ImageId::random(),
        owner: Some(owner.to_owned()),
        name: None,
        status: Status::Queued,
        visibility: Visibility::Shared,
        os_hidden: false,
        protected: false,
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        min_disk: 0,
        min_ram: 0,
        size: None,
        virtual_size: None,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        tags: Vec::new(),
        properties: Properties::new(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        deleted_at: None,
        revision: 0,
        importing_to: None,
        failed_import: None,
    }
}

pub fn upload(id: ImageId) -> NewUpload {
    let blob_id = Uuid::new_v4();
    NewUpload {
        blob_id,
        image_id: id,
        begin: Begin::Saving,
        store: "main".to_owned(),
        key: format!("images/{id}/{blob_id}"),
        reserve: 0,
        on_failure: Status::Killed,
        lease: LEASE,
        quota: 0,
        uploading_limit: NO_LIMIT,
        size_limit: NO_LIMIT,
        stage_limit: NO_LIMIT,
    }
}

pub fn stored(size: u64) -> Stored {
    Stored {
        size,
        virtual_size: None,
        etag: "\"e\"".to_owned(),
        checksum: Some("0cc175b9c0f1b6a831c399e269772661".to_owned()),
        os_hash_algo: "sha512",
        os_hash_value: "ab".repeat(64),
    }
}

impl World {
    pub async fn queued(&self, owner: &str) -> Image {
        self.add(&image(owner)).await
    }

    pub async fn add(&self, image: &Image) -> Image {
        self.catalog.insert_image(image, NO_LIMIT).await.unwrap()
    }

    /// An upload that has begun; its blob.
    pub async fn saving(&self, id: ImageId) -> Uuid {
        let upload = upload(id);
        assert!(matches!(self.catalog.start_upload(&upload).await.unwrap(), Started::Begun(_)));
        upload.blob_id
    }

    /// An active image of `size` bytes, and its blob.
    pub async fn active(&self, owner: &str, size: u64) -> (Image, Uuid) {
        let id = self.queued(owner).await.id;
        let blob = self.saving(id).await;
        match self.catalog.finish_upload(blob, &stored(size), Quota::NONE).await.unwrap() {
            Finished::Done(image) => (image, blob),
            Finished::Lost(status) => panic!("lost to {status:?}"),
        }
    }

    pub async fn get(&self, id: ImageId) -> Image {
        self.catalog.image(id, None).await.unwrap().unwrap().image
    }

    /// State and whether it was abandoned, of one ledger row.
    pub async fn ledger(&self, blob: Uuid) -> Option<(String, bool)> {
        let row =
            self.sql.query_opt("SELECT state::text, abandoned FROM blobs WHERE id = $1", &[&blob]).await;
        row.unwrap().map(|row| (row.get(0), row.get(1)))
    }

    pub async fn execute(&self, statement: &str) {
        self.sql.batch_execute(statement).await.unwrap();
    }

    /// Lets every lease and grace run out.
    pub async fn pass_time(&self) {
        self.execute("UPDATE blobs SET due_at = due_at - interval '1 day' WHERE due_at IS NOT NULL").await;
        self.execute(
            "UPDATE tasks SET due_at = due_at - interval '1 day', expires_at = expires_at - interval '1 day'",
        )
        .await;
    }
}
