//! What a scrub of a store asks besides pages of the ledger.

use time::OffsetDateTime;

use super::blobs::Blob;
use super::row::{self, sql};
use super::{Catalog, Error, ErrorKind, Result};

impl Catalog {
    /// The object at a key, in any state.
    pub async fn blob_at(&self, store: &str, key: &str) -> Result<Option<Blob>> {
        Ok(self.blobs_at(&[store], key).await?.pop())
    }

    /// The objects at a key of any of these stores, in any state.
    pub async fn blobs_at(&self, stores: &[&str], key: &str) -> Result<Vec<Blob>> {
        row::blobs(&self.rows(sql!(select "blob" "blobs_at"), &[&stores, &key]).await?)
    }

    /// The time of the database, which is the only clock that ages are measured with.
    pub async fn now(&self) -> Result<OffsetDateTime> {
        let row = self.row("SELECT statement_timestamp()", &[]).await?;
        let row = row.ok_or_else(|| Error::plain(ErrorKind::Internal))?;
        row.try_get(0).map_err(|error| Error::caused(ErrorKind::Internal, error))
    }
}
