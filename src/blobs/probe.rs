//! What `vitrine check` and the start ask of a bucket beside whether it answers.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use bytes::Bytes;
use tokio::time::timeout;

use super::client::base;
use super::write::put_object;
use super::{Error, ErrorKind, Result, Store};
use crate::config::Checksum;

/// Name of the object that is written to see whether one can be, in the folder of the store's objects: credentials may
/// be good for that alone. It is no key of an image, and no listing shows it.
const PROBE: &str = "vitrine-check";

/// What it holds, for who finds one that could not be removed.
const TEXT: &str = "Written by `vitrine check`, and of no further use.\n";

/// How long each of its two steps may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to ask without credentials.
const ANYBODY_LIMIT: Duration = Duration::from_secs(5);

/// What anybody can do with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// List what it holds.
    Listed,
    /// Read an object whose key is known.
    Read,
}

impl Exposure {
    /// What is wrong, as a sentence for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "anybody can list what the bucket holds, without credentials",
            Self::Read => "anybody can read objects of the bucket, without credentials",
        }
    }
}

impl Store {
    /// Whether objects can be written here and removed: does both with a small one, within 20 s.
    ///
    /// # Errors
    /// `Denied`, `Full` or `Unavailable`, with the operation that failed.
    pub async fn check_write(&self) -> Result<()> {
        let key = self.probe_key();
        let text = Bytes::from_static(TEXT.as_bytes());
        let put = put_object(self.clone(), key.as_str().into(), text);
        // boxed, as what the SDK makes of a request is large
        within("PutObject", Box::pin(put)).await?;
        within("DeleteObject", Box::pin(self.remove(&key, None))).await
    }

    /// The key that [`Store::check_write`] uses.
    pub(super) fn probe_key(&self) -> String {
        format!("{}{PROBE}", self.folder())
    }

    /// What anybody can do here without credentials, found out within 5 s; nothing where that could not be found out.
    /// Readers are looked for only if the store holds an object.
    pub async fn exposure(&self) -> Option<Exposure> {
        timeout(ANYBODY_LIMIT, self.ask_as_anybody()).await.ok().flatten()
    }

    /// Neither counted nor retried like other requests: to be refused is what is hoped for.
    async fn ask_as_anybody(&self) -> Option<Exposure> {
        let anybody = self.unsigned();
        let list = anybody.list_objects_v2().bucket(self.bucket()).prefix(self.folder()).max_keys(1);
        if Box::pin(list.send()).await.is_ok() {
            return Some(Exposure::Listed);
        }
        let first = self.objects().next_page().await.ok()??.into_iter().next()?;
        let head = anybody.head_object().bucket(self.bucket()).key(first.key);
        Box::pin(head.send()).await.is_ok().then_some(Exposure::Read)
    }

    /// A client that has no credentials.
    fn unsigned(&self) -> Client {
        let region = Region::new(self.region().to_owned());
        let mut client = base(Checksum::WhenRequired).force_path_style(self.path_style()).region(region);
        client.set_endpoint_url(self.endpoint().map(|endpoint| endpoint.as_str().to_owned()));
        Client::from_conf(client.allow_no_auth().build())
    }
}

async fn within<T>(operation: &'static str, step: impl Future<Output = Result<T>>) -> Result<()> {
    let done = timeout(WRITE_LIMIT, step).await;
    done.map_err(|_| Error::new(ErrorKind::Unavailable, operation))?.map(drop)
}
