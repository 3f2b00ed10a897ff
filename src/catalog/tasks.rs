//! The queue. `due_at` means "run at" while pending and "lease ends" while processing, so one query finds both new
//! work and work of a runner that died; `attempt` fences every later update.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::Transaction;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::image::{ImageId, Status};
use crate::domain::task::{Task, TaskRecord};

use super::retry::{Attempt, ONCE, REPEATABLE};
use super::row::{self, sql};
use super::{Catalog, Result, commit, seconds};

/// A task to enqueue.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Identifier.
    pub id: Uuid,
    /// What to do.
    pub kind: &'static str,
    /// Project it works for.
    pub owner: Option<String>,
    /// User that started it.
    pub user_id: Option<String>,
    /// Request that started it.
    pub request_id: Option<String>,
    /// Image it works on.
    pub image_id: Option<ImageId>,
    /// Parameters.
    pub input: Value,
    /// What it needs and nobody may read; kept until the task ends.
    pub secret: Option<SecretString>,
}

impl NewTask {
    /// In the order of `insert_task.sql`.
    pub(super) fn values<'a>(
        &'a self,
        image: &'a Option<Uuid>,
        secret: &'a Option<&'a str>,
    ) -> [&'a (dyn ToSql + Sync); 8] {
        let (owner, user, request) = (&self.owner, &self.user_id, &self.request_id);
        [&self.id, &self.kind, owner, user, request, image, &self.input, secret]
    }
}

impl Catalog {
    /// Enqueues a task, due now.
    ///
    /// # Errors
    /// `Duplicate` when the image has an open task already.
    pub async fn insert_task(&self, task: &NewTask) -> Result<()> {
        let (image, secret) = (task.image_id.map(|id| id.0), exposed(task));
        self.execute(ONCE, sql!("insert_task"), &task.values(&image, &secret)).await?;
        Ok(())
    }

    /// Open tasks of these images.
    pub async fn open_tasks(&self, ids: &[ImageId]) -> Result<HashMap<ImageId, Uuid>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        row::open_tasks(&self.rows(sql!("open_tasks"), &[&ids]).await?)
    }

    /// Tasks of an image that have not expired, the newest first: all of them, or those of `project` and of nobody.
    pub async fn tasks_of(&self, id: ImageId, all: bool, project: Option<&str>) -> Result<Vec<TaskRecord>> {
        row::task_records(&self.rows(sql!(select "task" "tasks_of_image"), &[&id.0, &all, &project]).await?)
    }

    /// Claims a due task: `processing`, `attempt + 1`, lease running. Of the projects with tasks that are due comes the
    /// one that the fewest are running for, with its oldest; never one of `passed_over` (the empty text stands for
    /// nobody). None: nothing is due.
    pub async fn claim_task(&self, lease: Duration, passed_over: &[String]) -> Result<Option<Task>> {
        let values: super::Values<'_> = &[&seconds(lease), &passed_over];
        let claimed = self.change(REPEATABLE, sql!("claim_task"), values).await?;
        claimed.as_ref().map(row::task).transpose()
    }

    /// Extends the lease and notes progress. False: the attempt has lost it.
    pub async fn heartbeat_task(
        &self,
        id: Uuid,
        attempt: i32,
        lease: Duration,
        progress: &Value,
    ) -> Result<bool> {
        let values: super::Values<'_> = &[&id, &attempt, &seconds(lease), progress];
        Ok(self.execute(REPEATABLE, sql!("heartbeat_task"), values).await? == 1)
    }

    /// Ends the attempt in `success`, noting how far it came; the row is kept for `ttl`. Repeatable. False: fenced out.
    pub async fn succeed_task(
        &self,
        id: Uuid,
        attempt: i32,
        result: &Value,
        progress: &Value,
        ttl: Duration,
    ) -> Result<bool> {
        let values: super::Values<'_> = &[&id, &attempt, result, &seconds(ttl), progress];
        Ok(self.execute(REPEATABLE, sql!("succeed_task"), values).await? == 1)
    }

    /// Ends the task in `failure` with a message for the tenant and moves its image from `queued` to `image_to`, in
    /// one transaction. An image that is `saving` is being filled by somebody else. Repeatable. False: fenced out.
    pub async fn fail_task(
        &self,
        id: Uuid,
        attempt: i32,
        message: &str,
        image_to: Option<Status>,
        ttl: Duration,
    ) -> Result<bool> {
        let fail = || async {
            let mut connection = self.connection().await?;
            let transaction = connection.transaction().await?;
            // in the order of all locks: first the image
            if let Some(given) = super::row(&transaction, sql!("image_of_task"), &[&id]).await? {
                let image: Option<Uuid> = given.try_get("image_id")?;
                super::execute(&transaction, sql!("lock_image"), &[&image]).await?;
            }
            let values: super::Values<'_> = &[&id, &attempt, &message, &seconds(ttl)];
            let Some(failed) = super::row(&transaction, sql!("fail_task"), values).await? else {
                return Ok(false);
            };
            let image: Option<Uuid> = failed.try_get("image_id")?;
            if let (Some(image), Some(to)) = (image, image_to) {
                super::execute(&transaction, sql!("fail_task_image"), &[&image, &to.as_str()]).await?;
                // a writer that an attempt left behind leaves the image so, too
                super::execute(&transaction, sql!("fail_task_blobs"), &[&image, &to.as_str()]).await?;
            }
            commit(transaction).await?;
            Ok(true)
        };
        self.run(REPEATABLE, fail).await
    }

    /// Gives the task back, due after `delay`; `failed` tells whether the attempt counts as a failure. False: fenced
    /// out.
    pub async fn release_task(&self, id: Uuid, attempt: i32, delay: Duration, failed: bool) -> Result<bool> {
        let values: super::Values<'_> = &[&id, &attempt, &seconds(delay), &failed];
        Ok(self.execute(ONCE, sql!("release_task"), values).await? == 1)
    }
}

/// [`Catalog::insert_task`] as part of a transaction.
pub(super) async fn insert(transaction: &Transaction<'_>, task: &NewTask) -> Attempt<()> {
    let (image, secret) = (task.image_id.map(|id| id.0), exposed(task));
    super::execute(transaction, sql!("insert_task"), &task.values(&image, &secret)).await?;
    Ok(())
}

pub(super) fn exposed(task: &NewTask) -> Option<&str> {
    task.secret.as_ref().map(ExposeSecret::expose_secret)
}
