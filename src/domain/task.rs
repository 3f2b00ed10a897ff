//! Background work: one row that is both the queue entry and what the tasks API shows.

use std::str::FromStr;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::image::ImageId;

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
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it disappears; none until it has ended.
    pub expires_at: Option<OffsetDateTime>,
}

/// A task as claimed by a runner. `attempt` is its fence: every later update names it.
#[derive(Debug, Clone, PartialEq)]
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
    /// Why it failed, in words the tenant may read.
    pub message: Option<String>,
    /// How often it was claimed.
    pub attempt: i32,
    /// When it was made.
    pub created_at: OffsetDateTime,
}
