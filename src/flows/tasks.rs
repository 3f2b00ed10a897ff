//! Tasks as their users see them: those of one image, and the tasks API (images-v2.md §15).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::document::{self, Document};
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::policy::Target;
use crate::domain::schema::{self, ImageSchema};
use crate::domain::task::{Task, TaskQuery, TaskRecord, TaskScope};
use crate::error::{Error, Result};

use super::copy_from::{COPY_FROM, CopyFrom};
use super::images::record;
use super::import::IMAGE_IMPORT;
use super::sources::require_formats;
use super::{Call, Flows, may_write};

/// Kind of a task that makes an image of data at a URL.
pub const IMPORT: &str = "import";

/// A task in the words of v2.
pub struct ShownTask {
    /// The row.
    pub record: TaskRecord,
    /// Its type among those that the schema of tasks knows.
    pub kind: String,
    /// Its parameters in the form of that type.
    pub input: Value,
}

/// Parameters of an [`IMPORT`] task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportTask {
    /// URL of the data.
    pub import_from: String,
    /// What the data are, in the words of the caller; the image says what they are held against.
    pub import_from_format: String,
    /// Document of the image, as `POST /v2/images` takes it; has both formats.
    pub image_properties: Value,
}

impl Flows {
    /// Tasks of an image that have not expired: for an administrator all, for others those of their project and of
    /// nobody.
    ///
    /// # Errors
    /// `NotFound` where policy `get_image` denies the image.
    pub async fn image_tasks(&self, call: &Call, id: &str) -> Result<Vec<ShownTask>> {
        let image = self.find_for(call, id, "get_image").await?.image;
        let project = call.caller.project.as_deref();
        let tasks = self.catalog.tasks_of(image.id, call.caller.is_admin, project).await?;
        Ok(tasks.into_iter().map(shown).collect())
    }

    /// Whether the caller may use the tasks API, and do this with it; asked before anything else is looked at.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn allow_tasks(&self, call: &Call, action: &str) -> Result<()> {
        let own = Target::of_project(call.caller.project.as_deref());
        self.allow_on(call, "tasks_api_access", &own)?;
        self.allow_on(call, action, &own)
    }

    /// Enqueues a task. What its image will be is judged now, as for `POST /v2/images` of the same caller, and so is
    /// where its data come from (A07).
    ///
    /// # Errors
    /// `Forbidden`; `Invalid`; `LimitExceeded` for too many tags or properties.
    pub async fn create_task(&self, call: &Call, body: &Value) -> Result<ShownTask> {
        self.allow_tasks(call, "add_task")?;
        may_write(&call.caller)?;
        let task = ImportTask::parse(body)?;
        let Document { attributes, refused } = document::parse(&task.image_properties, &self.schema)?;
        require_formats(&self.judge_new(call, attributes, refused)?)?;
        self.check_import_source(&task.import_from).await?;
        let input = serde_json::to_value(task).map_err(Error::internal)?;
        let record = self.catalog.create_task(&call.task(IMPORT, None, input)).await?;
        self.task_added.notify_one();
        Ok(shown(record))
    }

    /// One page of the tasks that the caller may see.
    ///
    /// # Errors
    /// `Invalid` for a marker that is not among them.
    pub async fn list_tasks(&self, call: &Call, query: &TaskQuery) -> Result<Vec<ShownTask>> {
        self.allow_tasks(call, "get_tasks")?;
        let page = self.catalog.list_tasks(query).await?;
        let page = page.ok_or_else(|| Error::invalid("Invalid marker. Task could not be found."))?;
        Ok(page.into_iter().map(shown).collect())
    }

    /// One task that the caller may see.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub async fn show_task(&self, call: &Call, id: &str) -> Result<ShownTask> {
        self.allow_tasks(call, "get_task")?;
        let unknown = || Error::not_found(format!("No task found with ID {id}"));
        let id = id.parse().map_err(|_| unknown())?;
        let found = self.catalog.task(id, &task_scope(call)).await?;
        found.map(shown).ok_or_else(unknown)
    }
}

/// Whose tasks a caller sees whom the policy lets in: an administrator all, others those of their project.
pub fn task_scope(call: &Call) -> TaskScope {
    match &call.caller.project {
        _ if call.caller.is_admin => TaskScope::All,
        project => TaskScope::Project(project.clone().unwrap_or_default()),
    }
}

impl ImportTask {
    /// The record of the image that `task` makes. Its id is that of the task unless the document names one, so that a
    /// second attempt finds what the first has made.
    ///
    /// # Errors
    /// `Invalid` where the configuration takes the document no more.
    pub fn image(&self, task: &Task, schema: &ImageSchema) -> Result<Image> {
        let attributes = document::parse(&self.image_properties, schema)?.attributes;
        let wanted = attributes.id.as_deref().map(|id| id.parse().map_err(Error::internal)).transpose()?;
        record(wanted.unwrap_or(ImageId(task.id)), attributes, task.owner.clone(), Status::Queued)
    }

    /// Reads the body of `POST /v2/tasks` (images-v2.md §15.2).
    fn parse(body: &Value) -> Result<Self> {
        let object =
            body.as_object().ok_or_else(|| Error::invalid("The request body must be a JSON object."))?;
        if let Some(missing) = ["type", "input"].into_iter().find(|name| !object.contains_key(*name)) {
            return Err(Error::invalid(format!("A task needs '{missing}'.")));
        }
        schema::validate_task(object)?;
        if object["type"] != IMPORT {
            return Err(Error::invalid("Only tasks of type 'import' can be made by this call."));
        }
        let text = |name: &str| {
            let text = object["input"].get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let needed =
                || Error::invalid(format!("The input of a task needs '{name}', which must be a string."));
            text.map(str::to_owned).ok_or_else(needed)
        };
        let properties = object["input"].get("image_properties").filter(|properties| properties.is_object());
        let needed =
            || Error::invalid("The input of a task needs 'image_properties', which must be an object.");
        Ok(Self {
            import_from: text("import_from")?,
            import_from_format: text("import_from_format")?,
            image_properties: properties.cloned().ok_or_else(needed)?,
        })
    }
}

/// A copy that v1 began has no type of its own in v2. It does what `web-download` does, so it is shown as one.
fn shown(record: TaskRecord) -> ShownTask {
    let copy =
        (record.kind == COPY_FROM).then(|| serde_json::from_value(record.input.clone()).ok()).flatten();
    match copy {
        Some(CopyFrom { url, store }) => {
            let image_id = record.image_id.map(|id| id.to_string());
            let import = json!({ "method": { "name": "web-download", "uri": url } });
            let input = json!({ "image_id": image_id, "import_req": import, "backend": [store] });
            ShownTask { record, kind: IMAGE_IMPORT.to_owned(), input }
        }
        None => ShownTask { kind: record.kind.clone(), input: record.input.clone(), record },
    }
}
