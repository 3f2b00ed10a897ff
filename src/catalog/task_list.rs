//! The tasks API: one task, and lists of them, by keyset like lists of images (see [`super::list`]).

use uuid::Uuid;

use crate::domain::query::SortDirection;
use crate::domain::task::{TaskQuery, TaskRecord, TaskScope, TaskSortKey};

use super::list::{Statement, Value, after, word};
use super::retry::ONCE;
use super::row::{self, sql};
use super::tasks::NewTask;
use super::{Catalog, Error, ErrorKind, Result};

impl Catalog {
    /// As [`Catalog::insert_task`], and gives the record as it is before anybody claims it.
    ///
    /// # Errors
    /// `Duplicate` when the image has an open task already.
    pub async fn create_task(&self, task: &NewTask) -> Result<TaskRecord> {
        let (image, secret) = (task.image_id.map(|id| id.0), super::tasks::exposed(task));
        let statement = sql!("insert_task" returning "task");
        let created = self.change(ONCE, statement, &task.values(&image, &secret)).await?;
        row::task_record(&created.ok_or_else(|| Error::plain(ErrorKind::Internal))?)
    }

    /// A task that has not expired, if it is one of these.
    pub async fn task(&self, id: Uuid, scope: &TaskScope) -> Result<Option<TaskRecord>> {
        let (all, project) = match scope {
            TaskScope::All => (true, None),
            TaskScope::Project(project) => (false, Some(project)),
        };
        let found = self.row(sql!(select "task" "task_by_id"), &[&id, &all, &project]).await?;
        found.as_ref().map(row::task_record).transpose()
    }

    /// One page of tasks that have not expired. None: there is no such marker among them.
    pub async fn list_tasks(&self, query: &TaskQuery) -> Result<Option<Vec<TaskRecord>>> {
        let marker = match query.marker {
            None => None,
            Some(id) => match self.task(id, &query.scope).await? {
                None => return Ok(None),
                found => found,
            },
        };
        if query.limit == 0 {
            return Ok(Some(Vec::new()));
        }
        let rows = self.list_rows(&statement(query, marker.as_ref())).await?;
        row::task_records(&rows).map(Some)
    }

    /// How the database answers a list; see [`Catalog::explain_list`]. For tests.
    #[cfg(feature = "dev")]
    pub async fn explain_tasks(&self, query: &TaskQuery) -> Result<Option<serde_json::Value>> {
        let marker = match query.marker {
            None => None,
            Some(id) => self.task(id, &query.scope).await?,
        };
        self.explain(&statement(query, marker.as_ref())).await
    }
}

fn statement(query: &TaskQuery, marker: Option<&TaskRecord>) -> Statement {
    let mut statement = Statement::default();
    let mut conditions =
        vec!["(tasks.expires_at IS NULL OR tasks.expires_at > statement_timestamp())".to_owned()];
    let owner = match &query.scope {
        TaskScope::All => None,
        TaskScope::Project(project) => Some(statement.bind(Value::Text(project.clone()))),
    };
    conditions.extend(owner.as_ref().map(|owner| format!("tasks.owner = {owner}")));
    if let Some(status) = query.status {
        conditions.push(format!("tasks.status = '{}'::task_status", status.as_str()));
    }
    if let Some(kind) = &query.kind {
        conditions.push(format!("tasks.kind = {}", statement.bind(Value::Text(kind.clone()))));
    }
    let keys = keys(query.sort);
    if let Some(marker) = marker {
        // with the owner in it the comparison is a range of one index; without, the planner may walk everybody's tasks
        let values = keys.iter().map(|key| marker_value(*key, marker, &mut statement));
        let values: Vec<String> = owner.clone().into_iter().chain(values).collect();
        let expressions = keys.iter().map(|key| expression(*key));
        let expressions: Vec<&str> = owner.iter().map(|_| "tasks.owner").chain(expressions).collect();
        let operator = after(query.direction);
        conditions.push(format!("({}) {operator} ({})", expressions.join(", "), values.join(", ")));
    }
    statement.text = format!(
        "SELECT\n{}FROM tasks\nWHERE {}\nORDER BY {}\nLIMIT {}",
        include_str!("sql/task_columns.sql"),
        conditions.join("\n  AND "),
        order(&keys, query.direction),
        query.limit
    );
    statement
}

/// The sort key with what makes the order unambiguous. What follows the id cannot matter.
fn keys(sort: TaskSortKey) -> Vec<TaskSortKey> {
    use TaskSortKey::{CreatedAt, Id};
    match sort {
        Id => vec![Id],
        CreatedAt => vec![CreatedAt, Id],
        other => vec![other, CreatedAt, Id],
    }
}

fn order(keys: &[TaskSortKey], direction: SortDirection) -> String {
    let by = keys.iter().map(|key| format!("{} {}", expression(*key), word(direction)));
    by.collect::<Vec<_>>().join(", ")
}

fn expression(key: TaskSortKey) -> &'static str {
    match key {
        TaskSortKey::Id => "tasks.id",
        TaskSortKey::Kind => "tasks.kind",
        TaskSortKey::Status => "tasks.status::text COLLATE \"C\"",
        TaskSortKey::Owner => "coalesce(tasks.owner, '')",
        TaskSortKey::CreatedAt => "tasks.created_at",
        TaskSortKey::UpdatedAt => "tasks.updated_at",
        TaskSortKey::ExpiresAt => "coalesce(tasks.expires_at, 'infinity'::timestamptz)",
    }
}

fn marker_value(key: TaskSortKey, task: &TaskRecord, statement: &mut Statement) -> String {
    let value = match key {
        TaskSortKey::Id => Value::Id(task.id),
        TaskSortKey::Kind => Value::Text(task.kind.clone()),
        TaskSortKey::Status => Value::Text(task.status.as_str().to_owned()),
        TaskSortKey::Owner => Value::Text(task.owner.clone().unwrap_or_default()),
        TaskSortKey::CreatedAt => Value::Time(task.created_at),
        TaskSortKey::UpdatedAt => Value::Time(task.updated_at),
        TaskSortKey::ExpiresAt => match task.expires_at {
            Some(instant) => Value::Time(instant),
            None => return "'infinity'::timestamptz".to_owned(),
        },
    };
    statement.bind(value)
}
