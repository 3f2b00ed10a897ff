//! The import task: one attempt, and its end for good (images-v2.md §14.3).
//!
//! Every step is written down before the next begins, so an attempt goes on where the one before it ended: data that
//! were staged are not fetched again, and stores that have a copy are not written again.

use std::error::Error as _;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::blobs;
use crate::catalog;
use crate::catalog::blobs::BlobState;
use crate::catalog::import_tasks::{Begun, DataAttributes, Finish, Held, ImportLimits};
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::import::{ImportRequest, Method};
use crate::domain::inspect::Findings;
use crate::domain::policy::Dialect;
use crate::domain::task::Task;
use crate::error::{Chain, Error, ErrorKind, Result};
use crate::faultpoint;
use crate::flows::copy_from::attempt_error;
use crate::flows::inspection::Inspection;
use crate::flows::quotas::name_limit;
use crate::flows::tasks::{self, ImportTask};
use crate::flows::transfer::Passed;
use crate::flows::{Flows, RETRY_AFTER};

use super::{ImportInput, no_format};

/// How often data are judged anew because the formats of their image changed meanwhile.
pub(super) const JUDGEMENTS: usize = 4;

/// A task with what it was asked.
pub(super) struct Run<'a> {
    pub task: &'a Task,
    pub method: Method,
    /// Whether the image needs its data in all stores.
    pub all_must_succeed: bool,
    /// Counts the bytes.
    pub passed: &'a Passed,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task, passed: &'a Passed) -> Result<Self> {
        let (method, all_must_succeed) = match task.kind.as_str() {
            tasks::IMPORT => {
                let uri = Some(read::<ImportTask>(task)?.import_from);
                (Method::WebDownload { uri }, true)
            }
            _ => {
                let request = ImportRequest::accepted(&read::<ImportInput>(task)?.import_req)?;
                (request.method, request.all_stores_must_succeed)
            }
        };
        Ok(Self { task, method, all_must_succeed, passed })
    }
}

fn read<T: DeserializeOwned>(task: &Task) -> Result<T> {
    let unreadable = |error| Error::invalid("The task cannot be read.").with_source(error);
    serde_json::from_value(task.input.clone()).map_err(unreadable)
}

/// A store that an import could not put the data into, as the cause of its failure.
#[derive(Debug)]
struct StoreFailed {
    store: String,
    cause: Error,
}

impl fmt::Display for StoreFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {} failed", self.store)
    }
}

impl std::error::Error for StoreFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A limit that let nothing begin, as the cause of a failure: no store was tried.
#[derive(Debug)]
struct NotAdmitted(Error);

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the import was not admitted")
    }
}

impl std::error::Error for NotAdmitted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn not_admitted(error: Error) -> Error {
    Error::new(error.kind(), error.message().to_owned()).with_source(NotAdmitted(error))
}

impl Flows {
    /// One attempt of an import task. Gives the result to be shown.
    ///
    /// # Errors
    /// `kind.retryable()` tells whether another attempt may do better; `Concurrent` that it is not the time for one.
    pub async fn import(&self, task: &Task, passed: &Passed) -> Result<Value> {
        faultpoint::pass("import.claimed");
        let with_image = match task.image_id {
            None if task.kind == tasks::IMPORT => Some(self.create_image_of(task).await?),
            _ => None,
        };
        let task = with_image.as_ref().unwrap_or(task);
        let run = Run::new(task, passed)?;
        let begun = self.catalog.begin_import(task, self.limits_of(&run.method)).await;
        let begun = begun.map_err(|error| match name_limit(error.into(), task.owner.as_deref()) {
            over if over.kind() == ErrorKind::LimitExceeded => not_admitted(over),
            error => error,
        })?;
        let begun = begun.ok_or_else(gone)?;
        faultpoint::pass("import.begun");
        let id = begun.image.id;
        match (&run.method, begun.image.status) {
            (Method::CopyImage, Status::Active | Status::Deactivated) => self.copy_image(&run, begun).await?,
            // an image that is active already may still lack copies
            (_, Status::Importing | Status::Active | Status::Deactivated) => {
                self.import_data(&run, begun).await?;
            }
            _ => return Err(gone()),
        }
        info!(image.id = %id, "import finished");
        Ok(json!({ "image_id": id.to_string() }))
    }

    /// The task with the image that it is to make.
    async fn create_image_of(&self, task: &Task) -> Result<Task> {
        let image = read::<ImportTask>(task)?.image(task, &self.schema)?;
        let store = &self.stores.default_store().id;
        let created =
            self.catalog.create_image_of(task, &image, store, self.config.limits.image_count_total).await;
        let created = created.map_err(|error| match error.kind {
            catalog::ErrorKind::Duplicate => {
                Error::conflict(format!("Image ID {} already exists!", image.id)).with_source(error)
            }
            _ => name_limit(error.into(), task.owner.as_deref()),
        })?;
        faultpoint::pass("import.created");
        if created { Ok(Task { image_id: Some(image.id), ..task.clone() }) } else { Err(gone()) }
    }

    /// Limits of images-v2.md §21.1 that an import is held against when it begins.
    fn limits_of(&self, method: &Method) -> ImportLimits {
        let limits = &self.config.limits;
        match method {
            // the data were admitted when they were staged
            Method::GlanceDirect => ImportLimits { uploading: -1, stage: -1, size: limits.image_size_total },
            _ => ImportLimits {
                uploading: limits.image_count_uploading,
                stage: limits.image_stage_total,
                size: -1,
            },
        }
    }

    /// Gets the data, if they are not staged yet, and puts them into every store.
    async fn import_data(&self, run: &Run<'_>, begun: Begun) -> Result<()> {
        let Begun { image, held } = begun;
        let wanted = image.importing_to.clone().unwrap_or_default();
        if image.status != Status::Importing && wanted.is_empty() {
            return self.finish_import(run, None).await;
        }
        // copies know nothing of what was seen of the data, and less is gained by reading them
        let order = |held: &Held| (held.findings.is_none(), held.blob.state == BlobState::Live);
        let (source, wanted) = match held.into_iter().rev().min_by_key(order) {
            Some(held) => (held, wanted),
            None => self.fetch(run, &image, wanted).await?,
        };
        faultpoint::pass("import.staged");
        // no store is to be written for what will be refused
        self.judge_now(image.id, &source).await?;
        let mut any = image.status != Status::Importing;
        for store in &wanted {
            match self.place(run, &image, &source, store, !run.all_must_succeed).await {
                Ok(()) => any = true,
                Err(error) if run.all_must_succeed || !is_of_store(&error) => {
                    return Err(of_store(store, error));
                }
                Err(error) => self.tolerate(run, store, &error).await?,
            }
        }
        if !any && !run.all_must_succeed {
            return Err(Error::invalid("The image data could not be put into any store."));
        }
        self.finish_import(run, Some(&source)).await
    }

    /// Goes on without a store that failed.
    pub(super) async fn tolerate(&self, run: &Run<'_>, store: &str, error: &Error) -> Result<()> {
        warn!(store, error = %Chain(error), "a store failed, the import goes on without it");
        match self.catalog.note_failed_store(run.task, store).await? {
            true => Ok(()),
            false => Err(gone()),
        }
    }

    /// Ends the import; the image is `active` then with the data in `activate`, if it was not before.
    pub(super) async fn finish_import(&self, run: &Run<'_>, activate: Option<&Held>) -> Result<()> {
        faultpoint::pass("import.placed");
        let id = run.task.image_id.ok_or_else(gone)?;
        for _ in 0..JUDGEMENTS {
            let data = match activate {
                Some(source) => self.judge_now(id, source).await?,
                None => None,
            };
            match self.catalog.finish_import(run.task, data.as_ref()).await? {
                Finish::Done(garbage) => {
                    faultpoint::pass("import.committed");
                    self.remove_soon(garbage).await;
                    return Ok(());
                }
                Finish::Outdated => {}
                Finish::Lost => return Err(gone()),
            }
        }
        Err(changing())
    }

    /// Judges data by the record as it is now: its formats may change while it is `importing` (§9.3). None: the image
    /// has its data already.
    pub(super) async fn judge_now(&self, id: ImageId, source: &Held) -> Result<Option<DataAttributes>> {
        let image = self.catalog.image(id, None).await?.ok_or_else(gone)?.image;
        (image.status == Status::Importing).then(|| self.judge(image, source)).transpose()
    }

    /// What the data make of the image, once they are seen to be what it says it is.
    fn judge(&self, mut image: Image, source: &Held) -> Result<DataAttributes> {
        let judged_by = (image.disk_format.clone(), image.container_format.clone());
        if let Some(inherited) = &source.inherited {
            inherited.apply(&mut image);
        }
        if let Some(name) = image.missing_format() {
            // no conflict, which would be tried again
            return Err(Error::invalid(no_format(name).message().to_owned()));
        }
        let findings = source.findings.clone().filter(|findings| !findings.is_null());
        let findings: Option<Findings> =
            findings.map(serde_json::from_value).transpose().map_err(Error::internal)?;
        let inspection = Inspection::of(&image, &self.config.images, Dialect::V2);
        let virtual_size = match (inspection, findings) {
            (Some(inspection), Some(findings)) => inspection.judge(findings)?,
            _ => None,
        };
        let (size, digests) = (source.blob.size.unwrap_or_default(), &source.digests);
        let (algorithm, value) = os_hash(digests)?;
        Ok(DataAttributes {
            size: u64::try_from(size).map_err(Error::internal)?,
            virtual_size,
            checksum: digests.get("md5").and_then(Value::as_str).map(str::to_owned),
            os_hash_algo: algorithm.to_owned(),
            os_hash_value: value.to_owned(),
            inherited: source.inherited.clone(),
            property_quota: self.config.limits.image_property_quota,
            judged_by,
        })
    }

    /// Ends an import for good, and leaves the image as one finds it where nothing was imported. False: fenced out.
    pub async fn fail_import(&self, task: &Task, error: &Error) -> Result<bool> {
        // perhaps made by this very attempt
        let task = &Task { image_id: self.catalog.image_of_task(task).await?, ..task.clone() };
        let wanted = match task.image_id {
            Some(id) => self.catalog.image(id, None).await?.and_then(|row| row.image.importing_to),
            None => None,
        };
        let failed = match error.source().and_then(|cause| cause.downcast_ref::<StoreFailed>()) {
            Some(failed) => vec![failed.store.clone()],
            None if is_because_of::<NotAdmitted>(error) => Vec::new(),
            None => wanted.unwrap_or_default(),
        };
        let keep_copies = Run::new(task, &Passed::default()).is_ok_and(|run| !run.all_must_succeed);
        let ttl = self.config.jobs.task_ttl;
        let message = match error.message() {
            "" => "The import failed because of an internal error.",
            message => message,
        };
        match self.catalog.fail_import(task, message, &failed, keep_copies, ttl).await? {
            Some(garbage) => {
                self.remove_soon(garbage).await;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Algorithm and value of the digest that becomes `os_hash_value`.
fn os_hash(digests: &Value) -> Result<(&str, &str)> {
    let digests = digests.as_object().into_iter().flatten();
    let hash = digests
        .filter(|(name, _)| *name != "md5")
        .find_map(|(name, hex)| Some((name.as_str(), hex.as_str()?)));
    hash.ok_or_else(|| Error::internal("an object has no digest"))
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Gone, "The image is gone.")
}

/// Somebody else is at work on the image; another attempt is due.
pub(super) fn changing() -> Error {
    Error::new(ErrorKind::Concurrent, "The image is being changed.")
}

/// The failure of one store, which the image will name; what is no store's failure passes.
pub(super) fn of_store(store: &str, error: Error) -> Error {
    if !is_of_store(&error) || is_because_of::<StoreFailed>(&error) {
        return error;
    }
    let (kind, message) = match error.kind() {
        // to who uploads it would mean that the image is gone; here somebody may have ended the upload
        ErrorKind::Gone => {
            let unavailable = ErrorKind::Unavailable { retry_after: RETRY_AFTER };
            (unavailable, format!("The data could not be put into store {store}."))
        }
        kind => (kind, error.message().to_owned()),
    };
    failed_store(store, Error::new(kind, message).with_source(error))
}

fn failed_store(store: &str, cause: Error) -> Error {
    let message = cause.message().to_owned();
    Error::new(cause.kind(), message).with_source(StoreFailed { store: store.to_owned(), cause })
}

/// A store that the configuration does not know any more.
pub(super) fn unknown(store: &str) -> Error {
    failed_store(store, Error::invalid(format!("Store {store} is not known.")))
}

/// A store that takes no new data.
pub(super) fn read_only(store: &str) -> Error {
    failed_store(store, Error::forbidden(format!("Adding images to store {store} is disabled.")))
}

/// Whether it is a store of ours that failed.
pub(super) fn is_of_store(error: &Error) -> bool {
    error.kind() != ErrorKind::Concurrent
        && (is_because_of::<blobs::Error>(error) || is_because_of::<StoreFailed>(error))
}

/// Whether this is the cause of an error.
fn is_because_of<T: std::error::Error + 'static>(error: &Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<T>)
}

/// What the failure of a transfer means for the task behind it. One that lost its object, or finds its image or task
/// changed, may go on from what there is: the next attempt sees whether anything is left to do.
pub(super) fn transfer_error(error: Error) -> Error {
    let is_lost = !is_because_of::<blobs::Error>(&error);
    match attempt_error(error) {
        error if error.kind() == ErrorKind::Gone && is_lost => changing().with_source(error),
        error => error,
    }
}
