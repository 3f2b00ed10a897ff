//! The Images API v2, assertion by assertion (images-v2.md §29). A number such as V2-038 names the row of the
//! specification that a test stands for.

mod actions;
mod beside_v1;
mod create;
mod delete;
mod downloads;
mod filters;
mod front;
mod glance_download;
mod hostile;
mod import_requests;
mod imports;
mod info;
mod inspection;
mod lists;
mod location_tasks;
mod locations;
mod members;
mod metadefs;
mod paging;
mod patch;
mod patch_guards;
mod protections;
mod qemu;
mod quotas;
mod schemas;
mod show;
mod sources;
mod stores;
mod tags;
mod tasks;
mod uploads;
mod versions;
mod visibility;

use uuid::Uuid;
use vitrine::domain::caller::Caller;
use vitrine::domain::policy::Dialect;
use vitrine::flows::Call;

use crate::support::api::{Answer, Service};

/// Owner of most images, in project `alpha`, with the roles that Keystone implies.
pub const OWNER: &str = "olga:alpha:member,reader";
/// A reader in the owner's project.
pub const READER: &str = "rita:alpha:reader";
/// A user of another project, `beta`.
pub const ALIEN: &str = "otto:beta:member,reader";
/// A user of a third project, `gamma`.
pub const THIRD: &str = "thea:gamma:member,reader";
/// An administrator in a project of its own, `delta`.
pub const ADMIN: &str = "adam:delta:admin,member,reader";
/// A character that must not be stored, as it stands in a path.
pub const EMOJI: &str = "%F0%9F%98%80";

/// An administrator whose token is scoped to the system, which no token of identity mode `none` can be.
pub fn system_admin() -> Call {
    let roles = ["admin", "member", "reader"].map(str::to_owned).to_vec();
    let user = Some("sara".to_owned());
    let system_scope = Some("all".to_owned());
    call(Caller { user, roles, system_scope, is_admin: true, ..Caller::default() })
}

/// Somebody without identity.
pub fn anonymous() -> Call {
    call(Caller::anonymous())
}

fn call(caller: Caller) -> Call {
    Call { caller, dialect: Dialect::V2, request_id: "req-test".to_owned() }
}

/// Gives an image of v1 a visibility that v1 does not know.
pub async fn set_visibility(service: &Service, id: &str, visibility: &str) {
    service.sql(&format!("UPDATE images SET visibility = '{visibility}' WHERE id = '{id}'")).await;
}

/// A queued image of the owner with this visibility.
pub async fn image(service: &Service, visibility: &str) -> String {
    let id = service.image_id(OWNER, None, &[]).await;
    set_visibility(service, &id, visibility).await;
    id
}

/// A request without a body, by `caller`.
pub async fn send(service: &Service, caller: &str, method: &str, path: &str) -> Answer {
    service.request(method, path).by(caller).send().await
}

/// Names of the tags of an image, in order of their names.
pub async fn tags(service: &Service, id: &str) -> Vec<String> {
    let sql = "SELECT coalesce(array_agg(t ORDER BY t), '{}') FROM images, unnest(tags) AS t WHERE id = $1";
    let id: Uuid = id.parse().unwrap();
    service.database.client().await.query_one(sql, &[&id]).await.unwrap().get(0)
}

/// Asserts that nothing but the listed methods is known at `path`, and that `HEAD` is not.
pub async fn assert_allow(service: &Service, path: &str, allow: &str) {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        if allow.split(", ").any(|known| known == method) {
            continue;
        }
        let answer = send(service, ADMIN, method, path).await.expect(405);
        assert_eq!(answer.header("allow").as_deref(), Some(allow), "{method} {path}");
    }
}
