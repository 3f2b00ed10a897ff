//! Limits on projects: what they are, what is used of them, and how a refusal is put (images-v2.md §21).

use std::error::Error as _;

use crate::catalog;
use crate::config::Limits;
use crate::domain::quota::{self, Overrun, Resource};
use crate::error::{Error, Result};

use super::{Call, Flows};

/// A limited resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What is limited.
    pub resource: Resource,
    /// How much of it there is.
    pub usage: i64,
    /// How much there may be; -1: no limit.
    pub limit: i64,
}

impl Flows {
    /// What the caller's project uses of its limits; nothing where no limit is set at all.
    pub async fn project_usage(&self, call: &Call) -> Result<Vec<Usage>> {
        let limits = &self.config.limits;
        if Resource::ALL.into_iter().all(|resource| limit_of(limits, resource) < 0) {
            return Ok(Vec::new());
        }
        let used = match call.caller.project.as_deref() {
            Some(project) => self.catalog.project_usage(project).await?,
            None => Resource::ALL.map(|resource| (resource, 0)),
        };
        let with_limit =
            |(resource, usage)| Usage { resource, usage, limit: limit_of(limits, resource).max(-1) };
        Ok(used.map(with_limit).to_vec())
    }
}

impl Flows {
    /// Judges a request of a project for so many more bytes, where known, before anything is known of the image
    /// (images-v2.md §21.1). What the owner of the image has is judged again when they come.
    ///
    /// # Errors
    /// `LimitExceeded`.
    pub(super) async fn check_limit(
        &self,
        call: &Call,
        resource: Resource,
        bytes: Option<u64>,
    ) -> Result<()> {
        let Some(project) = call.caller.project.as_deref() else { return Ok(()) };
        let limit = limit_of(&self.config.limits, resource);
        let delta = quota::mib(bytes.unwrap_or_default());
        let checked = self.catalog.check_limit(project, resource, limit, delta).await;
        checked.map_err(|error| name_limit(error.into(), Some(project)))
    }
}

fn limit_of(limits: &Limits, resource: Resource) -> i64 {
    match resource {
        Resource::SizeTotal => limits.image_size_total,
        Resource::StageTotal => limits.image_stage_total,
        Resource::CountTotal => limits.image_count_total,
        Resource::CountUploading => limits.image_count_uploading,
    }
}

/// A refusal in words for both APIs.
pub(crate) fn refusal(over: Overrun) -> &'static str {
    match over.resource {
        Resource::CountTotal | Resource::CountUploading => {
            "The limit has been exceeded on the number of images or uploads of this project."
        }
        Resource::SizeTotal | Resource::StageTotal => "The storage quota of the project has been exceeded.",
    }
}

/// Puts the refusal of a limit in the words of v2, which name the limit and its numbers; other errors pass.
pub(crate) fn name_limit(error: Error, project: Option<&str>) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<catalog::Error>());
    match cause.map(|cause| cause.kind) {
        Some(catalog::ErrorKind::OverLimit(over)) => {
            let project = project.unwrap_or_default();
            Error::limit_exceeded(format!("Project {project} is over a limit for [{over}]"))
                .with_source(error)
        }
        _ => error,
    }
}
