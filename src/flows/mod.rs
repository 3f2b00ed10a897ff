//! Use cases: the only layer that works with catalog and stores at once.
//!
//! Each flow authorises before any effect and leaves the dialects nothing but parsing and rendering. Where the two
//! APIs follow different rules, the rule is a field of the command.

pub mod activation;
pub mod adoption;
pub mod copy_from;
pub mod delete;
pub mod download;
pub mod events;
pub mod images;
pub mod import;
mod inspection;
pub mod location_import;
pub mod locations;
pub mod members;
pub mod metadef_files;
pub mod metadefs;
pub mod patch;
mod patch_locations;
pub mod present;
pub mod quotas;
pub mod scrub;
pub mod sharing;
pub mod sources;
pub mod stage;
pub mod stores;
pub mod sweep;
pub mod tags;
pub mod tasks;
pub mod transfer;
pub mod upload;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::blobs::Stores;
use crate::blobs::budget::Budget;
use crate::catalog::tasks::NewTask;
use crate::catalog::{self, Catalog};
use crate::config::Config;
use crate::domain::caller::Caller;
use crate::domain::image::{Access, Image, ImageId, access, is_visible};
use crate::domain::member::Member;
use crate::domain::policy::{Dialect, Target};
use crate::domain::schema::ImageSchema;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Fetcher;
use crate::notify::Sink;
use crate::policy::PolicyHandle;
use crate::telemetry::metrics::Metrics;

/// What a client should wait before it tries again while a dependency is away.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often a change is judged anew when somebody else changed the record meanwhile. Clients write in parallel, and each
/// round lets at least one of them pass.
const CHANGE_TRIES: usize = 64;

/// One request on behalf of somebody.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// Whose default rules apply.
    pub dialect: Dialect,
    /// Id of the request, `req-…`.
    pub request_id: String,
}

impl Call {
    /// What the rules of this API see of `target`: those of v1 are asked before it is known (images-v1.md §10.4).
    pub(crate) fn target<'a>(&self, target: Target<'a>) -> Target<'a> {
        match self.dialect {
            Dialect::V1 => Target::none(),
            Dialect::V2 => target,
        }
    }

    /// A task that works for the caller.
    fn task(&self, kind: &'static str, image_id: Option<ImageId>, input: Value) -> NewTask {
        NewTask {
            id: Uuid::new_v4(),
            kind,
            owner: self.caller.project.clone(),
            user_id: self.caller.user.clone(),
            request_id: Some(self.request_id.clone()),
            image_id,
            input,
            secret: None,
        }
    }
}

/// What the flows work with.
pub struct Parts {
    /// Effective configuration.
    pub config: Arc<Config>,
    /// Metadata.
    pub catalog: Catalog,
    /// Image data.
    pub stores: Stores,
    /// Memory for parts of uploads.
    pub budget: Budget,
    /// Rules in force.
    pub policy: PolicyHandle,
    /// Schemas that v2 serves and holds documents against.
    pub schema: ImageSchema,
    /// Access to what users name.
    pub fetcher: Fetcher,
    /// Access to what callers' catalogues name.
    pub peers: Fetcher,
    /// Who is told of events.
    pub sinks: Vec<Sink>,
    /// Instruments.
    pub metrics: Metrics,
    /// Work that must finish before the process ends.
    pub tracker: TaskTracker,
    /// Fires when what still runs after the drain must stop.
    pub abort: CancellationToken,
    /// Wakes the task runner of this replica.
    pub task_added: Notify,
}

/// The use cases of the service.
#[derive(Clone)]
pub struct Flows(Arc<Parts>);

impl Deref for Flows {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// An image the caller may know about.
pub(crate) struct Found {
    pub image: Image,
    pub access: Access,
    pub membership: Option<Member>,
}

impl Flows {
    /// Puts the use cases on top of `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Asks the policy for an action that is judged without an image.
    pub(crate) fn allow(&self, call: &Call, action: &str) -> Result<()> {
        self.allow_on(call, action, &Target::none())
    }

    /// Asks the policy for an action on something.
    pub(crate) fn allow_on(&self, call: &Call, action: &str, target: &Target<'_>) -> Result<()> {
        let allowed = self.policy.rules().check(call.dialect, action, &call.caller, target);
        if allowed.is_err() {
            self.metrics.policy_denied();
        }
        allowed
    }

    /// The image, if the caller may know about it under v2.
    pub(crate) async fn find_visible(&self, call: &Call, id: &str) -> Result<Found> {
        let parsed: ImageId = id.parse().map_err(|_| no_image(id))?;
        let found = self.catalog.image(parsed, call.caller.project.as_deref()).await?;
        let row = found.ok_or_else(|| no_image(parsed))?;
        if !is_visible(&call.caller, &row.image, row.membership.as_ref()) {
            return Err(no_image(parsed));
        }
        // v2 leaves what may be written to the policy
        Ok(Found { image: row.image, access: Access::Read, membership: row.membership })
    }

    /// The image, if the caller may know about it and the policy lets them do `action` to it: v1 asks before it looks
    /// the image up (images-v1.md §10.4), v2 afterwards (images-v2.md §23.2).
    pub(crate) async fn find_for(&self, call: &Call, id: &str, action: &str) -> Result<Found> {
        match call.dialect {
            Dialect::V1 => {
                self.allow(call, action)?;
                self.find(call, id).await
            }
            Dialect::V2 => {
                let found = self.find_visible(call, id).await?;
                self.allow_found(call, &found, action)?;
                Ok(found)
            }
        }
    }

    /// Asks the policy for an action on an image that was found. Who may not even see it is told that there is none.
    pub(crate) fn allow_found(&self, call: &Call, found: &Found, action: &str) -> Result<()> {
        let target = target_of(&found.image, found.membership.as_ref());
        self.allow_on(call, action, &target).map_err(|refusal| {
            match self.allow_on(call, "get_image", &target) {
                Ok(()) => refusal,
                Err(_) => no_image(found.image.id),
            }
        })
    }

    /// The image, if the caller may know about it.
    pub(crate) async fn find(&self, call: &Call, id: &str) -> Result<Found> {
        let unknown = || Error::not_found(format!("Image with identifier {id} not found"));
        let parsed: ImageId = id.parse().map_err(|_| unknown())?;
        let row = self.catalog.image(parsed, call.caller.project.as_deref()).await?.ok_or_else(unknown)?;
        match access(&call.caller, &row.image, row.membership.as_ref()) {
            Access::None => Err(unknown()),
            access => Ok(Found { image: row.image, access, membership: row.membership }),
        }
    }
}

/// The refusal of a change that others forestalled again and again.
fn lost_race(call: &Call) -> Error {
    match call.dialect {
        Dialect::V1 => Error::new(ErrorKind::Concurrent, "Image operation conflicts"),
        Dialect::V2 => Error::conflict("The image was changed by others again and again."),
    }
}

/// One text for what does not exist, is deleted, or may not be known (A38).
fn no_image(id: impl fmt::Display) -> Error {
    Error::not_found(format!("No image found with ID {id}"))
}

/// An image as rules see it for one caller.
pub(crate) fn target_of<'a>(image: &'a Image, membership: Option<&'a Member>) -> Target<'a> {
    Target::of_image(image).with_member(membership.map(|member| member.member.as_str()))
}

/// Anonymous callers change nothing.
pub(crate) fn may_write(caller: &Caller) -> Result<()> {
    if caller.read_only { Err(Error::forbidden("Read-only access")) } else { Ok(()) }
}

/// For a caller who can see the image but has no say in it: 403 where its existence is public, else 404.
pub(crate) fn refuse_stranger(image: &Image, action: &str) -> Error {
    use crate::domain::image::Visibility::{Community, Public};
    if matches!(image.visibility, Public | Community) {
        Error::forbidden(format!("Forbidden to {action} image: {}", image.id))
    } else {
        Error::not_found(format!("Image with identifier {} not found", image.id))
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        match error.kind {
            catalog::ErrorKind::Unavailable => {
                Self::unavailable("The service is temporarily unable to reach its database.", RETRY_AFTER)
                    .with_source(error)
            }
            catalog::ErrorKind::OutOfRange => {
                Self::invalid("A value is too long or has characters that cannot be stored.")
                    .with_source(error)
            }
            catalog::ErrorKind::QuotaExceeded => {
                Self::limit_exceeded("The storage quota of the project has been exceeded.").with_source(error)
            }
            catalog::ErrorKind::OverLimit(over) => {
                Self::limit_exceeded(quotas::refusal(over)).with_source(error)
            }
            catalog::ErrorKind::TooManyProperties => {
                Self::limit_exceeded("The image would have more properties than it may.").with_source(error)
            }
            _ => Self::internal(error),
        }
    }
}
