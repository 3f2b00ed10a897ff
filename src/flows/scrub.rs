//! The scrub of a store against the ledger: by construction it finds nothing.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::blobs::Store;
use crate::blobs::list::{Listed, Objects};
use crate::catalog::Catalog;
use crate::catalog::blobs::{Blob, BlobState};
use crate::error::{Error, Result};

use super::Flows;

/// Rows read at a time.
const PAGE: i64 = 1000;
/// Objects younger than this are never deleted: their row may have been written after the ledger was read.
const YOUNGEST_ORPHAN: Duration = Duration::days(1);

/// What the scrub of one store found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ScrubReport {
    /// Store id.
    pub store: String,
    /// Objects in the bucket below our prefix.
    pub objects: u64,
    /// Rows of the ledger.
    pub rows: u64,
    /// Keys of objects without a row.
    pub orphans: Vec<String>,
    /// Keys of live rows without an object, or with one of another size.
    pub missing: Vec<String>,
    /// Keys of unfinished multipart uploads without a row.
    pub stale_uploads: Vec<String>,
    /// How many orphans and stale uploads were deleted.
    pub deleted: u64,
}

impl ScrubReport {
    /// Whether bucket and ledger agree.
    pub fn is_clean(&self) -> bool {
        self.orphans.is_empty() && self.missing.is_empty() && self.stale_uploads.is_empty()
    }
}

impl Flows {
    /// Compares every store with the ledger. With `delete`, objects and uploads that nobody owns are removed once
    /// they are older than a day.
    pub async fn scrub(&self, delete: bool) -> Result<Vec<ScrubReport>> {
        let mut reports = Vec::new();
        for store in self.stores.iter() {
            let report = self.scrub_store(store, delete).await?;
            let orphans = report.orphans.len() + report.stale_uploads.len();
            self.metrics.set_scrub_orphans(&store.id, orphans as u64);
            reports.push(report);
        }
        Ok(reports)
    }

    async fn scrub_store(&self, store: &Store, delete: bool) -> Result<ScrubReport> {
        let mut report = ScrubReport { store: store.id.to_string(), ..ScrubReport::default() };
        let now = self.catalog.now().await?;
        let mut objects = ObjectCursor { pages: store.objects(), page: VecDeque::new() };
        let mut rows =
            RowCursor { catalog: &self.catalog, store: &store.id, after: None, page: VecDeque::new() };
        let (mut object, mut row) = (objects.next().await?, rows.next().await?);
        loop {
            let order = match (&object, &row) {
                (Some(object), Some(row)) => object.key.cmp(&row.key),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            if order != Ordering::Greater {
                report.objects += 1;
            }
            if order != Ordering::Less {
                report.rows += 1;
            }
            match (order, &object, &row) {
                (Ordering::Less, Some(object), _) => {
                    self.judge_orphan(store, object, now, delete, &mut report).await?;
                }
                (Ordering::Greater, _, Some(row)) => self.judge_missing(store, row, &mut report).await?,
                (Ordering::Equal, Some(object), Some(row)) if differs(object, row) => {
                    self.judge_missing(store, row, &mut report).await?;
                }
                _ => {}
            }
            if order != Ordering::Greater {
                object = objects.next().await?;
            }
            if order != Ordering::Less {
                row = rows.next().await?;
            }
        }
        self.scrub_uploads(store, now, delete, &mut report).await?;
        Ok(report)
    }

    /// An object without a row where the walk passed; its row may have been written since.
    async fn judge_orphan(
        &self,
        store: &Store,
        object: &Listed,
        now: OffsetDateTime,
        delete: bool,
        report: &mut ScrubReport,
    ) -> Result<()> {
        if self.catalog.blob_at(&store.id, &object.key).await?.is_some() {
            return Ok(());
        }
        report.orphans.push(object.key.clone());
        if delete && object.modified_at.is_some_and(|written| now - written > YOUNGEST_ORPHAN) {
            store.remove(&object.key, None).await.map_err(Error::internal)?;
            report.deleted += 1;
        }
        Ok(())
    }

    /// A row without its object where the walk passed; either may have come or gone since.
    async fn judge_missing(&self, store: &Store, row: &Blob, report: &mut ScrubReport) -> Result<()> {
        if !matches!(row.state, BlobState::Live | BlobState::Staged) {
            return Ok(());
        }
        let present = self.catalog.blob_at(&row.store, &row.key).await?;
        let stands = present.is_some_and(|present| present.state == row.state);
        let size = store.size_of(&row.key).await.map_err(Error::internal)?;
        if stands && size != row.size.and_then(|size| u64::try_from(size).ok()) {
            report.missing.push(row.key.clone());
        }
        Ok(())
    }

    async fn scrub_uploads(
        &self,
        store: &Store,
        now: OffsetDateTime,
        delete: bool,
        report: &mut ScrubReport,
    ) -> Result<()> {
        let mut pages = store.open_uploads();
        while let Some(page) = pages.next_page().await.map_err(Error::internal)? {
            for upload in page {
                let owner = self.catalog.blob_at(&store.id, &upload.key).await?;
                if owner.is_some_and(|blob| {
                    matches!(blob.state, BlobState::Writing | BlobState::Garbage | BlobState::Deleted)
                }) {
                    continue;
                }
                report.stale_uploads.push(upload.key.clone());
                if delete && upload.begun_at.is_some_and(|begun| now - begun > YOUNGEST_ORPHAN) {
                    store.abort_upload(&upload.key, &upload.upload_id).await.map_err(Error::internal)?;
                    report.deleted += 1;
                }
            }
        }
        Ok(())
    }
}

fn differs(object: &Listed, row: &Blob) -> bool {
    matches!(row.state, BlobState::Live | BlobState::Staged)
        && row.size.and_then(|size| u64::try_from(size).ok()) != Some(object.size)
}

/// Walks the objects of a store in order of key.
struct ObjectCursor {
    pages: Objects,
    page: VecDeque<Listed>,
}

impl ObjectCursor {
    async fn next(&mut self) -> Result<Option<Listed>> {
        while self.page.is_empty() {
            match self.pages.next_page().await.map_err(Error::internal)? {
                Some(page) => self.page = page.into(),
                None => return Ok(None),
            }
        }
        Ok(self.page.pop_front())
    }
}

/// Walks the ledger of a store in order of key.
struct RowCursor<'a> {
    catalog: &'a Catalog,
    store: &'a str,
    after: Option<String>,
    page: VecDeque<Blob>,
}

impl RowCursor<'_> {
    async fn next(&mut self) -> Result<Option<Blob>> {
        if self.page.is_empty() {
            let after = self.after.as_deref().unwrap_or_default();
            self.page = self.catalog.ledger_page(self.store, after, PAGE).await?.into();
        }
        let next = self.page.pop_front();
        if let Some(row) = &next {
            self.after = Some(row.key.clone());
        }
        Ok(next)
    }
}
