//! Putting data that lie in one store into another, or where they lie.

use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::blobs::{self, ObjectCopy, ObjectWriter, Store, Written};
use crate::catalog::import_tasks::{Held, NewCopy, NewWrite, Placed};
use crate::catalog::uploads::Begin;
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::faultpoint;
use crate::flows::Flows;
use crate::flows::sources::{ByteStream, quota_error};
use crate::flows::transfer::{Content, Expected, Passed, Transfer, lease_lost, store_error};

use super::run::{JUDGEMENTS, Run, changing, gone, read_only, transfer_error, unknown};

impl Flows {
    /// Makes the data in `source` data of the image in `store`, and with `activate` the image `active`, once
    /// they are judged by its record.
    ///
    /// # Errors
    /// Those of the stores; `Gone` when the image or the task was lost, `Concurrent` while there is no memory.
    pub(super) async fn place(
        &self,
        run: &Run<'_>,
        image: &Image,
        source: &Held,
        store: &str,
        activate: bool,
    ) -> Result<()> {
        let blob = &source.blob;
        if blob.store == store {
            // staged or placed here: no byte moves
            let copy = copy_of(source, blob.id, store, blob.etag.clone());
            return self
                .place_copy(run.task, &copy, activate.then_some(source))
                .await
                .map_err(transfer_error);
        }
        let target = self.stores.get(store).ok_or_else(|| unknown(store))?.clone();
        if target.read_only() {
            return Err(read_only(store));
        }
        let order = Order {
            task: run.task.clone(),
            image: image.id,
            source: source.clone(),
            target,
            activate,
            passed: run.passed.clone(),
        };
        let copied = self.detached(|flows, cancel| async move { flows.copy_into(&order, &cancel).await });
        copied.await.map_err(transfer_error)
    }

    /// Copies inside the object store, where both stores lie in one that can, else through this process.
    async fn copy_into(&self, order: &Order, cancel: &CancellationToken) -> Result<()> {
        let _active = self.metrics.upload_active("copy");
        // an attempt may have failed for a store that copies badly
        let within =
            order.task.failures == 0 && order.target.can_copy_from(self.source_store(&order.source)?);
        if within && self.copy_by(Way::Within, order, cancel).await? {
            return Ok(());
        }
        match self.copy_by(Way::Through, order, cancel).await? {
            true => Ok(()),
            false => Err(Error::internal("a copy was neither made nor refused")),
        }
    }

    /// Copies into an object of its own. False: the object store refuses to.
    async fn copy_by(&self, way: Way, order: &Order, cancel: &CancellationToken) -> Result<bool> {
        let transfer = order.transfer();
        self.start_write(&order.task, &transfer).await?;
        faultpoint::pass("copy.started");
        let written = match way {
            Way::Within => Box::pin(self.copy_within(&transfer, &order.source, cancel)).await,
            Way::Through => Box::pin(self.copy_through(&transfer, &order.source, cancel)).await.map(Some),
        };
        faultpoint::pass("copy.written");
        let placed = match written {
            Ok(Some(written)) => {
                let store = &transfer.store.id;
                let placed = copy_of(&order.source, transfer.blob, store, Some(written.etag));
                let activate = order.activate.then_some(&order.source);
                self.place_copy(&order.task, &placed, activate).await.map(|()| true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        if !matches!(placed, Ok(true)) {
            self.give_up(&transfer, std::future::ready(())).await;
        }
        placed
    }

    /// A ledger row for an object of this task.
    pub(super) async fn start_write(&self, task: &Task, transfer: &Transfer) -> Result<()> {
        let limits = &self.config.limits;
        let write = NewWrite {
            blob_id: transfer.blob,
            store: transfer.store.id.to_string(),
            key: transfer.key.clone(),
            reserve: transfer.expected.length.unwrap_or_default(),
            lease: self.config.jobs.lease,
            quota: limits.user_storage_quota.0,
        };
        let started = self.catalog.start_write(task, &write).await;
        match started.map_err(|error| quota_error(error, limits))? {
            true => Ok(()),
            false => Err(gone()),
        }
    }

    async fn place_copy(&self, task: &Task, copy: &NewCopy, activate: Option<&Held>) -> Result<()> {
        let id = task.image_id.ok_or_else(gone)?;
        for _ in 0..JUDGEMENTS {
            let data = match activate {
                Some(source) => self.judge_now(id, source).await?,
                None => None,
            };
            match self.catalog.place_copy(task, copy, data.as_ref()).await? {
                Placed::Done => {
                    faultpoint::pass("copy.placed");
                    return Ok(());
                }
                Placed::Twice(garbage) => {
                    self.remove_soon(garbage).await;
                    return Ok(());
                }
                Placed::Outdated => {}
                Placed::Lost => return Err(gone()),
            }
        }
        Err(changing())
    }

    /// Copies inside the object store; none where it refuses to.
    async fn copy_within(
        &self,
        transfer: &Transfer,
        source: &Held,
        cancel: &CancellationToken,
    ) -> Result<Option<Written>> {
        let broken = |error| store_error(error, transfer);
        let from = self.source_store(source)?;
        let blob = &source.blob;
        let size = transfer.expected.length.unwrap_or_default();
        let mut copy =
            ObjectCopy::new(&transfer.store, &transfer.key, from, &blob.key, blob.etag.as_deref(), size);
        let copied = self.under_lease(transfer, cancel, Box::pin(self.drive(transfer, &mut copy))).await;
        match copied {
            Ok(Ok(written)) => Ok(Some(written)),
            Ok(Err(error)) => {
                Box::pin(copy.abort()).await;
                if error.kind == blobs::ErrorKind::Unsupported { Ok(None) } else { Err(broken(error)) }
            }
            Err(error) => {
                Box::pin(copy.abort()).await;
                Err(error)
            }
        }
    }

    /// The whole copy; the inner failure is the object store's.
    async fn drive(&self, transfer: &Transfer, copy: &mut ObjectCopy) -> Result<blobs::Result<Written>> {
        match copy.begin().await {
            Ok(Some(upload_id)) => {
                if !self.catalog.record_upload_id(transfer.blob, &upload_id).await? {
                    return Err(lease_lost(transfer));
                }
                faultpoint::pass("copy.multipart_recorded");
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
        let mut before = 0;
        loop {
            match copy.next_part().await {
                Ok(true) => {
                    transfer.passed.add(copy.copied() - before);
                    before = copy.copied();
                    faultpoint::pass("copy.part_copied");
                }
                Ok(false) => return Ok(Box::pin(copy.finish()).await),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Copies by reading and writing, and compares the digests.
    async fn copy_through(
        &self,
        transfer: &Transfer,
        source: &Held,
        cancel: &CancellationToken,
    ) -> Result<Written> {
        let broken = |error| store_error(error, transfer);
        let size = transfer.expected.length.unwrap_or_default();
        let from = self.source_store(source)?;
        let admission = self.admit(&transfer.store, Some(size)).await.map_err(broken)?;
        let blob = &source.blob;
        let reader = from.read(&blob.key, blob.etag.as_deref(), size, 0..size).await.map_err(broken)?;
        let mut stream: ByteStream = reader.into_stream().map_err(Into::into).boxed();
        let mut writer = ObjectWriter::new(&transfer.store, &transfer.key, admission);
        let received = Box::pin(self.receive(transfer, Content::Unseen, &mut stream, &mut writer));
        match self.under_lease(transfer, cancel, received).await {
            Ok(received) if is_same(source, &received.stored.digests()) => {
                Ok(Written { etag: received.stored.etag, size })
            }
            Ok(_) => Err(Error::internal("a copy differs from what it was made of")),
            Err(error) => {
                Box::pin(writer.abort()).await;
                Err(error)
            }
        }
    }

    fn source_store(&self, source: &Held) -> Result<&Store> {
        let store = &source.blob.store;
        self.stores.get(store).ok_or_else(|| Error::internal(format!("store {store} is not configured")))
    }
}

/// A copy that is to be made.
struct Order {
    task: Task,
    image: ImageId,
    source: Held,
    target: Store,
    activate: bool,
    passed: Passed,
}

impl Order {
    fn transfer(&self) -> Transfer {
        let size = self.source.blob.size.unwrap_or_default();
        let expected = Expected {
            length: u64::try_from(size).ok(),
            size: Some(size),
            checksum: None,
            on_failure: Status::Queued,
            if_deleted: ErrorKind::Gone,
            bounds_itself: true,
        };
        Transfer::new(self.image, self.target.clone(), Begin::Uploading, expected, self.passed.clone())
    }
}

/// How bytes come from one store to another.
#[derive(Clone, Copy)]
enum Way {
    /// The object store copies them.
    Within,
    /// They are read and written here.
    Through,
}

/// Whether the digests that both know agree, and there is one.
fn is_same(source: &Held, found: &serde_json::Value) -> bool {
    let known = source.digests.as_object().into_iter().flatten();
    let mut compared =
        known.filter_map(|(name, digest)| Some((digest.as_str()?, found.get(name)?.as_str()?)));
    let mut any = false;
    compared.all(|(known, found)| {
        any = true;
        known == found
    }) && any
}

fn copy_of(source: &Held, blob: uuid::Uuid, store: &str, etag: Option<String>) -> NewCopy {
    NewCopy {
        blob,
        store: store.to_owned(),
        size: u64::try_from(source.blob.size.unwrap_or_default()).unwrap_or_default(),
        etag,
        digests: source.digests.clone(),
    }
}
