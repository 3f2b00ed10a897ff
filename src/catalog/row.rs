//! Rows to domain types. The column lists are those of `sql/*_columns.sql`.

use std::collections::HashMap;
use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Json};
use uuid::Uuid;

use crate::domain::event::Event;
use crate::domain::image::{Image, ImageId, Status};
use crate::domain::member::Member;
use crate::domain::task::{Task, TaskRecord, TaskStatus};

use super::blobs::{Blob, BlobState};
use super::error::{Error, ErrorKind, Result};
use super::events::{ExpiredEvent, SinkBacklog};
use super::locations::{Location, Place, Placement};
use super::sweep::LedgerBacklog;

/// The text of one of `sql/*.sql`, with the columns of a record after it where named.
macro_rules! sql {
    ($file:literal) => {
        include_str!(concat!("sql/", $file, ".sql"))
    };
    ($file:literal returning $columns:literal) => {
        concat!(
            include_str!(concat!("sql/", $file, ".sql")),
            "RETURNING\n",
            include_str!(concat!("sql/", $columns, "_columns.sql"))
        )
    };
    (select $columns:literal $file:literal) => {
        concat!(
            "SELECT\n",
            include_str!(concat!("sql/", $columns, "_columns.sql")),
            include_str!(concat!("sql/", $file, ".sql"))
        )
    };
}
pub(super) use sql;

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(|e| Error::caused(ErrorKind::Internal, e))
}

/// A word of an enumeration. The database refuses others, so an unknown one comes from a newer release.
fn word<T: FromStr>(row: &Row, column: &str) -> Result<T> {
    let text: &str = get(row, column)?;
    text.parse().map_err(|_| Error::caused(ErrorKind::Internal, format!("unknown word `{text}` in {column}")))
}

pub(super) fn image(row: &Row) -> Result<Image> {
    Ok(Image {
        id: ImageId(get(row, "id")?),
        owner: get(row, "owner")?,
        name: get(row, "name")?,
        status: word(row, "status")?,
        visibility: word(row, "visibility")?,
        os_hidden: get(row, "os_hidden")?,
        protected: get(row, "protected")?,
        disk_format: get(row, "disk_format")?,
        container_format: get(row, "container_format")?,
        min_disk: get(row, "min_disk")?,
        min_ram: get(row, "min_ram")?,
        size: get(row, "size")?,
        virtual_size: get(row, "virtual_size")?,
        checksum: get(row, "checksum")?,
        os_hash_algo: get(row, "os_hash_algo")?,
        os_hash_value: get(row, "os_hash_value")?,
        tags: get(row, "tags")?,
        properties: get::<Json<_>>(row, "properties")?.0,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        deleted_at: get(row, "deleted_at")?,
        revision: get(row, "revision")?,
        importing_to: get(row, "importing_to")?,
        failed_import: get(row, "failed_import")?,
    })
}

/// Ids of images.
pub(super) fn ids(rows: &[Row]) -> Result<Vec<ImageId>> {
    rows.iter().map(|row| Ok(ImageId(get(row, "id")?))).collect()
}

/// Ids of purged images, and whether each was taken over.
pub(super) fn purged_ids(rows: &[Row]) -> Result<Vec<(ImageId, bool)>> {
    rows.iter().map(|row| Ok((ImageId(get(row, "id")?), get(row, "adopted")?))).collect()
}

/// The status of a row that holds little else.
pub(super) fn status(row: &Row) -> Result<Status> {
    word(row, "status")
}

pub(super) fn images(rows: &[Row]) -> Result<Vec<Image>> {
    rows.iter().map(image).collect()
}

pub(super) fn member(row: &Row) -> Result<Member> {
    Ok(Member {
        image_id: ImageId(get(row, "image_id")?),
        member: get(row, "member")?,
        can_share: get(row, "can_share")?,
        status: word(row, "member_status")?,
        created_at: get(row, "member_created_at")?,
        updated_at: get(row, "member_updated_at")?,
    })
}

/// The member of an outer join, if there is one.
pub(super) fn member_if_any(row: &Row) -> Result<Option<Member>> {
    let id: Option<Uuid> = get(row, "image_id")?;
    id.map(|_| member(row)).transpose()
}

pub(super) fn members(rows: &[Row]) -> Result<Vec<Member>> {
    rows.iter().map(member).collect()
}

pub(super) fn blob(row: &Row) -> Result<Blob> {
    Ok(Blob {
        id: get(row, "id")?,
        image_id: ImageId(get(row, "image_id")?),
        store: get(row, "store")?,
        key: get(row, "key")?,
        state: word::<BlobState>(row, "state")?,
        size: get(row, "size")?,
        etag: get(row, "etag")?,
        upload_id: get(row, "upload_id")?,
        abandoned: get(row, "abandoned")?,
        created_at: get(row, "created_at")?,
    })
}

pub(super) fn blobs(rows: &[Row]) -> Result<Vec<Blob>> {
    rows.iter().map(blob).collect()
}

pub(super) fn locations(rows: &[Row]) -> Result<Vec<Location>> {
    rows.iter()
        .map(|row| {
            Ok(Location { id: get(row, "id")?, url: get(row, "url")?, metadata: get(row, "metadata")? })
        })
        .collect()
}

pub(super) fn placements(rows: &[Row]) -> Result<Vec<Placement>> {
    let placement = |row| {
        let place = match get(row, "url")? {
            Some(url) => Place::Url(url),
            None => Place::Object { store: get(row, "store")?, key: get(row, "key")? },
        };
        let image_id = ImageId(get(row, "image_id")?);
        Ok(Placement { id: get(row, "id")?, image_id, place, metadata: get(row, "metadata")? })
    };
    rows.iter().map(placement).collect()
}

pub(super) fn task_record(row: &Row) -> Result<TaskRecord> {
    Ok(TaskRecord {
        id: get(row, "id")?,
        kind: get(row, "kind")?,
        status: word(row, "status")?,
        owner: get(row, "owner")?,
        user_id: get(row, "user_id")?,
        request_id: get(row, "request_id")?,
        image_id: get::<Option<Uuid>>(row, "image_id")?.map(ImageId),
        input: get(row, "input")?,
        result: get(row, "result")?,
        message: get(row, "message")?,
        progress: get(row, "progress")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        expires_at: get(row, "expires_at")?,
    })
}

pub(super) fn task_records(rows: &[Row]) -> Result<Vec<TaskRecord>> {
    rows.iter().map(task_record).collect()
}

/// Open tasks by the image they work on.
pub(super) fn open_tasks(rows: &[Row]) -> Result<HashMap<ImageId, Uuid>> {
    rows.iter().map(|row| Ok((ImageId(get(row, "image_id")?), get(row, "id")?))).collect()
}

pub(super) fn task(row: &Row) -> Result<Task> {
    Ok(Task {
        id: get(row, "id")?,
        kind: get(row, "kind")?,
        status: TaskStatus::Processing,
        owner: get(row, "owner")?,
        user_id: get(row, "user_id")?,
        request_id: get(row, "request_id")?,
        image_id: get::<Option<Uuid>>(row, "image_id")?.map(ImageId),
        input: get(row, "input")?,
        secret: get::<Option<String>>(row, "secret")?.map(Into::into),
        message: get(row, "message")?,
        attempt: get(row, "attempt")?,
        failures: get(row, "failures")?,
        losses: get(row, "losses")?,
        created_at: get(row, "created_at")?,
    })
}

pub(super) fn backlog(row: &Row) -> Result<LedgerBacklog> {
    Ok(LedgerBacklog {
        garbage: get(row, "garbage")?,
        garbage_oldest_secs: get(row, "garbage_age")?,
        writing_expired: get(row, "writing_expired")?,
        tasks_pending: get(row, "pending")?,
        tasks_processing: get(row, "processing")?,
        tasks_oldest_due_secs: get(row, "overdue")?,
    })
}

pub(super) fn events(rows: &[Row]) -> Result<Vec<Event>> {
    let event = |row| {
        Ok(Event {
            id: get(row, "id")?,
            message_id: get(row, "message_id")?,
            sink: get(row, "sink")?,
            subject: get(row, "subject")?,
            event_type: get(row, "event_type")?,
            priority: get(row, "priority")?,
            payload: get(row, "payload")?,
            attempts: get(row, "attempts")?,
            created_at: get(row, "created_at")?,
            claimed_at: get(row, "claimed_at")?,
        })
    };
    rows.iter().map(event).collect()
}

pub(super) fn expired_events(rows: &[Row]) -> Result<Vec<ExpiredEvent>> {
    let expired = |row| {
        Ok(ExpiredEvent {
            message_id: get(row, "message_id")?,
            sink: get(row, "sink")?,
            subject: get(row, "subject")?,
            event_type: get(row, "event_type")?,
        })
    };
    rows.iter().map(expired).collect()
}

pub(super) fn sink_backlogs(rows: &[Row]) -> Result<Vec<SinkBacklog>> {
    let backlog = |row| {
        let (sink, pending) = (get(row, "sink")?, get(row, "pending")?);
        Ok(SinkBacklog { sink, pending, oldest_secs: get(row, "oldest")? })
    };
    rows.iter().map(backlog).collect()
}
