//! What a project uses: bytes count until the object is gone.

use deadpool_postgres::Transaction;

use super::images::count;
use super::retry::Attempt;
use super::row::sql;
use super::{Catalog, Error, ErrorKind, Result};

impl Catalog {
    /// Bytes of a project: objects `writing` (reserved), `staged`, `live` and `garbage`, plus the sizes of active
    /// images that lie outside our stores.
    pub async fn storage_used(&self, owner: &str) -> Result<u64> {
        let counted = self.row(sql!("storage_used"), &[&owner]).await?;
        let bytes: i64 =
            counted.map_or(Ok(0), |row| row.try_get(0)).map_err(|e| Error::caused(ErrorKind::Internal, e))?;
        Ok(bytes.unsigned_abs())
    }
}

/// Fails with `QuotaExceeded` when `owner` would use more than `quota` bytes after replacing `held` bytes, which it
/// is charged already, by `wanted`. The transaction holds the owner's lock.
pub(super) async fn judge(
    transaction: &Transaction<'_>,
    owner: &str,
    held: i64,
    wanted: u64,
    quota: u64,
) -> Attempt<()> {
    let used = i128::from(count(transaction, sql!("storage_used"), owner).await?);
    if used - i128::from(held) + i128::from(wanted) > i128::from(quota) {
        return Err(ErrorKind::QuotaExceeded.into());
    }
    Ok(())
}
