//! `/v2/tasks`, and the tasks of one image (images-v2.md §15).

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Path, RawQuery, Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::config::Limits;
use crate::domain::query::SortDirection;
use crate::domain::task::{TaskQuery, TaskScope, TaskSortKey};
use crate::error::{Error, Result};
use crate::flows::Call;
use crate::flows::tasks::{IMPORT, task_scope};
use crate::http::document::{Document, NoBody};
use crate::http::fault::Fault;
use crate::http::front::Api;
use crate::http::link::LinkBase;
use crate::http::openapi::faults::{Forbidden, Invalid, MethodNotAllowed, NotFound, TooLarge};
use crate::http::openapi::schemas;
use crate::http::{paging, route};

use super::query::{decode, link};
use super::shapes::{ImageTasks, NewTask, OfImage, OfTask, TaskListParameters};
use super::{json, view};

/// The collection, as links of its pages name it.
const COLLECTION: &str = "/v2/tasks";

/// List the tasks of an image.
#[utoipa::path(
    get, path = "/v2/images/{id}/tasks", operation_id = "listImageTasks", tag = "tasks", params(OfImage),
    responses((status = 200, description = "The tasks", body = ImageTasks), Invalid, NotFound),
)]
pub async fn of_image(
    State(api): State<Api>,
    _: NoBody,
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let tasks = api.flows.image_tasks(&call, &id).await?;
    let tasks: Vec<Value> = tasks.iter().map(view::image_task).collect();
    Ok(json(StatusCode::OK, &json!({ "tasks": tasks })))
}

/// List tasks.
///
/// For administrators.
#[utoipa::path(
    get, path = "/v2/tasks", operation_id = "listTasks", tag = "tasks", params(TaskListParameters),
    responses((status = 200, description = "A page of the list", body = schemas::Tasks), Invalid, Forbidden),
)]
pub async fn list(State(api): State<Api>, call: Call, RawQuery(raw): RawQuery) -> Result<Response, Fault> {
    // API parity: the policy answers before the parameters are looked at
    api.flows.allow_tasks(&call, "get_tasks")?;
    let mut parameters = decode(raw.as_deref().unwrap_or_default())?;
    let query = parse(&parameters, task_scope(&call), &api.flows.config.limits)?;
    let tasks = api.flows.list_tasks(&call, &query).await?;
    let full = query.limit > 0 && tasks.len() == query.limit as usize;
    let entries: Vec<Value> = tasks.iter().map(view::listed_task).collect();
    parameters.retain(|(name, _)| name != "marker");
    let first = link(COLLECTION, &parameters, None);
    let mut body = json!({ "tasks": entries, "first": first, "schema": "/v2/schemas/tasks" });
    if let Some(last) = tasks.last().filter(|_| full) {
        body["next"] = link(COLLECTION, &parameters, Some(&last.record.id.to_string())).into();
    }
    Ok(json(StatusCode::OK, &body))
}

/// Make an image of data at a URL.
///
/// For administrators. A task downloads the data.
#[utoipa::path(
    post, path = "/v2/tasks", operation_id = "createTask", tag = "tasks", request_body = NewTask,
    responses(
        (status = 201, description = "The new task", body = schemas::Task, headers(
            ("Location" = String, description = "URL of the task"),
        )),
        Invalid, Forbidden, TooLarge,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    call: Call,
    base: LinkBase,
    request: Request,
) -> Result<Response, Fault> {
    // API parity: the policy answers before the body is looked at
    api.flows.allow_tasks(&call, "add_task")?;
    let Document(body) = Document::from_request(request, &api).await?;
    let task = api.flows.create_task(&call, &body).await?;
    let location = HeaderValue::try_from(format!("{}{COLLECTION}/{}", base.origin(), task.record.id));
    let mut response = json(StatusCode::CREATED, &view::task(&task));
    response.headers_mut().insert(header::LOCATION, location.map_err(Error::internal)?);
    Ok(response)
}

/// Show a task.
///
/// For administrators.
#[utoipa::path(
    get, path = "/v2/tasks/{id}", operation_id = "showTask", tag = "tasks", params(OfTask),
    responses((status = 200, description = "The task", body = schemas::Task), Forbidden, NotFound),
)]
pub async fn show(State(api): State<Api>, call: Call, Path(id): Path<String>) -> Result<Response, Fault> {
    let task = api.flows.show_task(&call, &id).await?;
    Ok(json(StatusCode::OK, &view::task(&task)))
}

/// Delete a task.
///
/// Tasks go by themselves some time after they have ended: administrators get 405.
#[utoipa::path(
    delete,
    path = "/v2/tasks/{id}",
    operation_id = "deleteTask",
    tag = "tasks",
    params(OfTask),
    responses(Forbidden, MethodNotAllowed)
)]
pub async fn delete(State(api): State<Api>, call: Call) -> Result<Response, Fault> {
    api.flows.allow_tasks(&call, "get_task")?;
    Ok(route::not_allowed("GET").await)
}

/// Reads the parameters of a list (images-v2.md §15.2). Of a repeated one the last counts; others are ignored.
fn parse(parameters: &[(String, String)], scope: TaskScope, limits: &Limits) -> Result<TaskQuery> {
    let given: BTreeMap<&str, &str> = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let parameter = |name: &str| given.get(name).copied();
    let status = parameter("status").map(|word| word.parse().map_err(|()| bad("status", word)));
    let kind = match parameter("type") {
        None => None,
        Some(IMPORT) => Some(IMPORT.to_owned()),
        Some(other) => return Err(bad("type", other)),
    };
    Ok(TaskQuery {
        scope,
        status: status.transpose()?,
        kind,
        sort: parameter("sort_key").map_or(Ok(TaskSortKey::CreatedAt), sort_key)?,
        direction: parameter("sort_dir").map_or(Ok(SortDirection::Descending), paging::sort_direction)?,
        limit: paging::limit(parameter("limit"), limits)?,
        marker: parameter("marker").map(marker).transpose()?,
    })
}

fn bad(name: &str, value: &str) -> Error {
    Error::invalid(format!("Invalid value for {name}: {value}"))
}

fn sort_key(word: &str) -> Result<TaskSortKey> {
    let known = TaskSortKey::WORDS.into_iter().find(|(known, _)| *known == word);
    known.map(|(_, key)| key).ok_or_else(|| {
        let known = TaskSortKey::WORDS.map(|(word, _)| word).join(", ");
        Error::invalid(format!("Unsupported sort_key. Acceptable values: {known}"))
    })
}

fn marker(text: &str) -> Result<uuid::Uuid> {
    text.parse().map_err(|_| Error::invalid("Invalid marker format"))
}
