//! The tasks of one image, as its users see them (images-v2.md §15.1).

use serde_json::{Value, json};

use crate::domain::task::TaskRecord;
use crate::error::Result;

use super::copy_from::{COPY_FROM, CopyFrom};
use super::{Call, Flows};

/// A task in the words of v2.
pub struct ShownTask {
    /// The row.
    pub record: TaskRecord,
    /// Its type among those that the schema of tasks knows.
    pub kind: String,
    /// Its parameters in the form of that type.
    pub input: Value,
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
            ShownTask { record, kind: "api_image_import".to_owned(), input }
        }
        None => ShownTask { kind: record.kind.clone(), input: record.input.clone(), record },
    }
}
