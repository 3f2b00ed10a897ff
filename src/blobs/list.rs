//! Listing of a store, page by page: what it really holds, for the scrub against the ledger.

use aws_sdk_s3::primitives::DateTime;
use time::OffsetDateTime;

use super::call::{Limits, Operation};
use super::{Error, ErrorKind, Result, Store};

/// An object the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Key, prefix included.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified_at: Option<OffsetDateTime>,
}

/// A multipart upload that is neither complete nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// Key, prefix included.
    pub key: String,
    /// Id of the upload.
    pub upload_id: String,
    /// When it was begun, by the store's clock.
    pub begun_at: Option<OffsetDateTime>,
}

impl Store {
    /// All objects below the store's prefix, in order of key, but for what [`Store::check_write`] may leave behind.
    pub fn objects(&self) -> Objects {
        Objects { store: self.clone(), token: Next::First }
    }

    /// All open multipart uploads below the store's prefix.
    pub fn open_uploads(&self) -> OpenUploads {
        self.uploads(self.folder())
    }

    pub(super) fn uploads(&self, prefix: &str) -> OpenUploads {
        OpenUploads { store: self.clone(), prefix: prefix.to_owned(), markers: Next::First }
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next<T> {
    First,
    After(T),
    End,
}

impl<T: PartialEq> Next<T> {
    /// Moves on. A store that repeats a position would keep us here for ever.
    fn advance(&mut self, operation: &'static str, next: Option<T>) -> Result<()> {
        let next = next.map_or(Self::End, Self::After);
        if next != Self::End && next == *self {
            *self = Self::End;
            return Err(Error::new(ErrorKind::Internal, operation).with_source("listing does not advance"));
        }
        *self = next;
        Ok(())
    }
}

/// A listing of objects.
#[derive(Debug)]
pub struct Objects {
    store: Store,
    token: Next<String>,
}

impl Objects {
    /// The next page, at most 1,000 objects and possibly none; nothing after the last one.
    ///
    /// # Errors
    /// Those of the store; `Internal` when its listing does not advance.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>> {
        const OPERATION: &str = "ListObjectsV2";
        let token = match &self.token {
            Next::First => None,
            Next::After(token) => Some(token.clone()),
            Next::End => return Ok(None),
        };
        let store = &self.store;
        let probe = store.probe_key();
        let page = store.call(Operation::new(OPERATION), Limits::SMALL, || {
            let request = store.client().list_objects_v2().bucket(store.bucket()).prefix(store.folder());
            request.set_continuation_token(token.clone()).send()
        });
        let page = page.await?;
        let next = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
        self.token.advance(OPERATION, next)?;
        let objects = page.contents.unwrap_or_default().into_iter();
        let objects = objects.filter(|object| object.key.as_ref() != Some(&probe)).filter_map(|object| {
            Some(Listed {
                key: object.key?,
                size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                modified_at: object.last_modified.and_then(instant),
            })
        });
        Ok(Some(objects.collect()))
    }
}

/// A listing of multipart uploads.
#[derive(Debug)]
pub struct OpenUploads {
    store: Store,
    prefix: String,
    markers: Next<(Option<String>, Option<String>)>,
}

impl OpenUploads {
    /// The next page, possibly empty; nothing after the last one.
    ///
    /// # Errors
    /// As [`Objects::next_page`].
    pub async fn next_page(&mut self) -> Result<Option<Vec<OpenUpload>>> {
        const OPERATION: &str = "ListMultipartUploads";
        let (key, id) = match &self.markers {
            Next::First => (None, None),
            Next::After(markers) => markers.clone(),
            Next::End => return Ok(None),
        };
        let store = &self.store;
        let page = store.call(Operation::new(OPERATION), Limits::SMALL, || {
            let request = store.client().list_multipart_uploads().bucket(store.bucket()).prefix(&self.prefix);
            request.set_key_marker(key.clone()).set_upload_id_marker(id.clone()).send()
        });
        let page = page.await?;
        let next = (page.next_key_marker, page.next_upload_id_marker);
        let next = (page.is_truncated == Some(true) && next != (None, None)).then_some(next);
        self.markers.advance(OPERATION, next)?;
        let uploads = page.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
            Some(OpenUpload {
                key: upload.key?,
                upload_id: upload.upload_id?,
                begun_at: upload.initiated.and_then(instant),
            })
        });
        Ok(Some(uploads.collect()))
    }
}

fn instant(time: DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.secs()).ok()
}
