//! Background work: one row that is both the queue entry and what the tasks API shows.

use std::str::FromStr;

use secrecy::SecretString;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::image::ImageId;
use super::query::SortDirection;

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// Waits for its time and a runner.
    Pending,
    /// A runner holds the lease.
    Processing,
    /// Ended well.
    Success,
    /// Ended for good without success; `message` says why.
    Failure,
}

impl TaskStatus {
    /// The word used on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl FromStr for TaskStatus {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "pending" => Self::Pending,
            "processing" => Self::Processing,
            "success" => Self::Success,
            "failure" => Self::Failure,
            _ => return Err(()),
        })
    }
}

/// A task as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRecord {
    /// Identifier.
    pub id: Uuid,
    /// What it does.
    pub kind: String,
    /// State.
    pub status: TaskStatus,
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
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed, in words the tenant may read.
    pub message: Option<String>,
    /// How far it has come, as its runner noted it last.
    pub progress: Option<Value>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it disappears; none until it has ended.
    pub expires_at: Option<OffsetDateTime>,
}

impl TaskRecord {
    /// What the task says of itself: why it failed, or how much it has copied (images-v2.md §14.3), in whole MiB of
    /// `copied_bytes` among its progress.
    pub fn shown_message(&self) -> String {
        let copied = self.progress.as_ref().and_then(|progress| progress.get("copied_bytes")?.as_u64());
        let copied = || Some(format!("Copied {} MiB", copied? >> 20));
        self.message.clone().or_else(copied).unwrap_or_default()
    }
}

/// Whose tasks are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskScope {
    /// Everybody's.
    All,
    /// Those of one project.
    Project(String),
}

/// A list of tasks, in one direction by the key, the time of creation and the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskQuery {
    /// Whose.
    pub scope: TaskScope,
    /// In this state alone.
    pub status: Option<TaskStatus>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// By what they are sorted.
    pub sort: TaskSortKey,
    /// In which direction.
    pub direction: SortDirection,
    /// Most tasks of the page.
    pub limit: u32,
    /// The task after which the page starts.
    pub marker: Option<Uuid>,
}

/// What tasks can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskSortKey {
    /// Identifier.
    Id,
    /// What they do.
    Kind,
    /// State, by its word.
    Status,
    /// Project; none comes first.
    Owner,
    /// When they were made.
    CreatedAt,
    /// When they last changed.
    UpdatedAt,
    /// When they disappear; those at work come last.
    ExpiresAt,
}

impl TaskSortKey {
    /// The words of the API.
    pub const WORDS: [(&str, Self); 7] = [
        ("created_at", Self::CreatedAt),
        ("expires_at", Self::ExpiresAt),
        ("id", Self::Id),
        ("owner", Self::Owner),
        ("status", Self::Status),
        ("type", Self::Kind),
        ("updated_at", Self::UpdatedAt),
    ];
}

/// A task as claimed by a runner. `attempt` is its fence: every later update names it.
#[derive(Debug, Clone)]
pub struct Task {
    /// Identifier.
    pub id: Uuid,
    /// What to do, for example `copy_from`.
    pub kind: String,
    /// State.
    pub status: TaskStatus,
    /// Project it works for.
    pub owner: Option<String>,
    /// User that started it.
    pub user_id: Option<String>,
    /// Request that started it.
    pub request_id: Option<String>,
    /// Image it works on; at most one open task per image.
    pub image_id: Option<ImageId>,
    /// Parameters.
    pub input: Value,
    /// What the task needs and nobody may read.
    pub secret: Option<SecretString>,
    /// Why it failed, in words the tenant may read.
    pub message: Option<String>,
    /// How often it was claimed.
    pub attempt: i32,
    /// How many attempts failed.
    pub failures: i32,
    /// How many attempts ended with their runner.
    pub losses: i32,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Attempts that may fail before a task fails for good.
const MOST_FAILURES: i32 = 3;
/// Attempts that may end with their runner. More than failures, as that is seldom the task's doing.
const MOST_LOSSES: i32 = 20;

impl Task {
    /// Whether one more failure is the last.
    pub fn is_last_attempt(&self) -> bool {
        self.failures + 1 >= MOST_FAILURES
    }

    /// Whether so many runners died of it that it gets no more.
    pub fn is_lost(&self) -> bool {
        self.losses > MOST_LOSSES
    }
}
