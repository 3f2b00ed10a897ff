//! What `vitrine check` asks of a bucket beside whether it answers.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::write::put_object;
use super::{Error, ErrorKind, Result, Store};

/// Name of the object that is written to see whether one can be, in the folder of the store's objects: credentials may
/// be good for that alone. It is no key of an image, and no listing shows it.
const PROBE: &str = "vitrine-check";

/// What it holds, for who finds one that could not be removed.
const TEXT: &str = "Written by `vitrine check`, and of no further use.\n";

/// How long each of its two steps may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

impl Store {
    /// Whether objects can be written here and removed: does both with a small one, within 20 s.
    ///
    /// # Errors
    /// `Denied`, `Full` or `Unavailable`, with the operation that failed.
    pub async fn check_write(&self) -> Result<()> {
        let key = self.probe_key();
        let text = Bytes::from_static(TEXT.as_bytes());
        let put = put_object(self.clone(), key.as_str().into(), text);
        within("PutObject", put).await?;
        within("DeleteObject", self.remove(&key, None)).await
    }

    /// The key that [`Store::check_write`] uses.
    pub(super) fn probe_key(&self) -> String {
        format!("{}{PROBE}", self.folder())
    }
}

async fn within<T>(operation: &'static str, step: impl Future<Output = Result<T>>) -> Result<()> {
    let done = timeout(WRITE_LIMIT, step).await;
    done.map_err(|_| Error::new(ErrorKind::Unavailable, operation))?.map(drop)
}
