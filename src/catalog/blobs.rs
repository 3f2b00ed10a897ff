//! The object ledger: one row for every key the service ever writes.
//!
//! `writing → staged | live → garbage → row removed`. A row exists before the first byte is sent and keys are
//! never reused, so a row is the fence of its writer: it leaves `writing` once. A garbage object whose writer may
//! still be alive passes through `deleted`, in which the object is gone but the key is removed once more after a
//! grace, so that a late single PUT cannot stay.

use std::str::FromStr;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::image::ImageId;

use super::row::{self, sql};
use super::{Catalog, Result};

/// State of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// A writer holds the lease.
    Writing,
    /// Complete, waiting for its import.
    Staged,
    /// Data of an image.
    Live,
    /// To be removed.
    Garbage,
    /// Removed, and to be removed once more after the grace.
    Deleted,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Blob {
    /// Identifier, last part of the key.
    pub id: Uuid,
    /// Image it was written for.
    pub image_id: ImageId,
    /// Store id of the configuration.
    pub store: String,
    /// Object key, prefix included.
    pub key: String,
    /// State.
    pub state: BlobState,
    /// Bytes; while `writing`, what is reserved against the quota.
    pub size: Option<i64>,
    /// Opaque validator of the store.
    pub etag: Option<String>,
    /// Multipart upload, if one was begun and not completed.
    pub upload_id: Option<String>,
    /// Whether its writer was given up instead of having ended: a late write may still arrive.
    pub abandoned: bool,
    /// Row made.
    pub created_at: OffsetDateTime,
}

impl FromStr for BlobState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "writing" => Self::Writing,
            "staged" => Self::Staged,
            "live" => Self::Live,
            "garbage" => Self::Garbage,
            "deleted" => Self::Deleted,
            _ => return Err(()),
        })
    }
}

impl Catalog {
    /// Live objects of an image, oldest first.
    pub async fn live_blobs(&self, id: ImageId) -> Result<Vec<Blob>> {
        row::blobs(&self.rows(sql!(select "blob" "live_blobs"), &[&id.0]).await?)
    }

    /// Keys of `store` with their state, in key order, after `after`; for the scrub.
    pub async fn ledger_page(&self, store: &str, after: &str, limit: i64) -> Result<Vec<Blob>> {
        row::blobs(&self.rows(sql!(select "blob" "ledger_page"), &[&store, &after, &limit]).await?)
    }
}
