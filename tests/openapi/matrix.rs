//! The authorisation matrix: every operation of the document by every persona (hardening A20–A30).
//!
//! What is expected stands in [`super::table`]. A refused request must leave the record of the image as it was, and
//! every answer must be one that the document describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vitrine::config::{Config, IdentityMode};

use super::described::assert_described;
use super::table::{Body, Fixture, Row, TABLE};
use super::{Operation, document, operations};
use crate::support::api::{Request, Service};
use crate::support::s3::TestBucket;
use crate::support::v2::V21;

/// Somebody who asks: user, project and roles as a trusted proxy reports them.
struct Persona {
    name: &'static str,
    project: Option<&'static str>,
    roles: Option<&'static str>,
    system: bool,
}

const fn persona(name: &'static str, project: Option<&'static str>, roles: &'static str) -> Persona {
    Persona { name, project, roles: Some(roles), system: false }
}

/// The columns of the table. The image belongs to `alpha` and is shared with `gamma`.
const PERSONAS: [Persona; 7] = [
    Persona { name: "anonymous", project: None, roles: None, system: false },
    persona("other project", Some("beta"), "member,reader"),
    persona("shared member", Some("gamma"), "member,reader"),
    persona("reader", Some("alpha"), "reader"),
    OWNER,
    ADMIN,
    Persona { name: "system admin", project: None, roles: Some("admin,member,reader"), system: true },
];
const OWNER: Persona = persona("owner", Some("alpha"), "member,reader");
const ADMIN: Persona = persona("admin", Some("delta"), "admin,member,reader");

impl Persona {
    fn asks(&self, mut request: Request) -> Request {
        let Some(roles) = self.roles else { return request };
        request = request.header("X-Identity-Status", "Confirmed").header("X-User-Id", self.name);
        request = request.header("X-Roles", roles);
        if let Some(project) = self.project {
            request = request.header("X-Project-Id", project);
        }
        if self.system {
            request = request.header("OpenStack-System-Scope", "all");
        }
        request
    }
}

fn behind_proxy(config: &mut Config) {
    config.identity.mode = IdentityMode::Header;
    config.identity.header.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
    // a location is accepted; the task that looks for the data stays where it is
    config.import.allow_http_locations = true;
    config.jobs.enabled = false;
    // high enough to stay out of the way, so that there is something to tell of usage
    config.limits.image_count_total = 10_000;
}

/// Operations without a row. This list may only shrink, and its length stands in its type.
const EXEMPT: [&str; 0] = [];

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let document = document();
    let known: BTreeSet<&str> = operations(&document).iter().map(|operation| operation.id).collect();
    let rows: Vec<&str> = TABLE.iter().map(|row| row.operation).collect();
    let distinct: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(rows.len(), distinct.len(), "an operation has two rows");
    let covered: BTreeSet<&str> = distinct.iter().copied().chain(EXEMPT).collect();
    let without: Vec<_> = known.difference(&covered).collect();
    assert!(without.is_empty(), "operations without a row: {without:?}");
    let stale: Vec<_> = covered.difference(&known).collect();
    assert!(stale.is_empty(), "rows without an operation: {stale:?}");
}

#[test]
fn an_administrator_is_served_by_every_operation() {
    for row in TABLE {
        // a document that lists what is not there would be a lie
        let served = !matches!(row.expected[5], 404 | 405 | 501);
        assert!(served || row.absent, "{} is not served", row.operation);
    }
}

#[test]
fn nobody_without_an_identity_gets_past_the_door() {
    let document = document();
    for operation in operations(&document) {
        let row = TABLE.iter().find(|row| row.operation == operation.id).unwrap();
        let open = operation.object.get("security").is_some();
        assert_eq!(row.expected[0] == 401, !open, "{}", row.operation);
    }
}

#[tokio::test]
async fn v1_answers_as_the_table_says() {
    run(|path| path.starts_with("/v1")).await;
}

#[tokio::test]
async fn v2_answers_as_the_table_says() {
    run(|path| path.starts_with("/v2")).await;
}

#[tokio::test]
async fn what_is_open_answers_as_the_table_says() {
    run(|path| !path.starts_with("/v1") && !path.starts_with("/v2")).await;
}

/// Runs all rows of some paths, and reports everything that is not as it should be at once.
async fn run(wanted: impl Fn(&str) -> bool) {
    let stage = Service::start_with_two_stores(behind_proxy).await;
    let document = document();
    let mut wrong = Vec::new();
    for operation in operations(&document).iter().filter(|operation| wanted(operation.path)) {
        let row = TABLE.iter().find(|row| row.operation == operation.id).unwrap();
        let got = answers(&stage, &document, operation, row).await;
        if got != row.expected {
            wrong.push(format!("{}: expected {:?}, got {got:?}", row.operation, row.expected));
        }
    }
    assert!(wrong.is_empty(), "columns are {:?}\n{}", PERSONAS.map(|p| p.name), wrong.join("\n"));
}

/// A service with two stores, the second in a bucket of its own.
type Stage = (Service, TestBucket);

async fn answers(stage: &Stage, document: &Value, operation: &Operation<'_>, row: &Row) -> [u16; 7] {
    let service = &stage.0;
    let mut got = [0; 7];
    let mut fixture = None;
    for (persona, status) in PERSONAS.iter().zip(&mut got) {
        let (id, before) = match fixture.take() {
            Some(kept) => kept,
            None => {
                let id = prepare(stage, row.fixture).await;
                let state = everything(service, &id).await;
                (id, state)
            }
        };
        let answer = persona.asks(request(service, operation, row, &id)).send().await;
        assert_described(document, operation, &answer);
        *status = answer.status;
        let reads = ["GET", "HEAD"].contains(&operation.method.as_str());
        if answer.status >= 400 || reads {
            let after = everything(service, &id).await;
            assert_eq!(after, before, "{} changed something for {}", operation.id, persona.name);
            fixture = Some((id, after));
        }
    }
    got
}

/// What a refused request must leave as it is: the record with its members, how many images and data there are, and all
/// metadata definitions.
async fn everything(service: &Service, id: &str) -> (Value, i64, Vec<String>) {
    let held = "SELECT (SELECT count(*) FROM images) + (SELECT count(*) FROM blobs WHERE state = 'live')";
    (service.record(id).await, service.count(held).await, definitions(service).await)
}

/// The rows of every table of metadata definitions.
async fn definitions(service: &Service) -> Vec<String> {
    let database = service.database.client().await;
    let tables =
        "SELECT table_name::text FROM information_schema.tables WHERE table_name LIKE 'metadef%' ORDER BY 1";
    let tables = database.query(tables, &[]).await.unwrap();
    assert_eq!(tables.len(), 6);
    let mut rows = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let all = format!(
            "SELECT '{table}' || coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)), '[]')::text FROM {table} AS t"
        );
        rows.push(database.query_one(&all, &[]).await.unwrap().get(0));
    }
    rows
}

fn request(service: &Service, operation: &Operation<'_>, row: &Row, id: &str) -> Request {
    let path = operation.path.replace("{id}", id).replace("{member}", "gamma");
    let tag = if operation.id == "createMetadefTag" { "new" } else { "present" };
    let path = path.replace("{tag}", tag).replace("{store}", "main").replace("{namespace}", id);
    let path = ["{object}", "{property}", "{resource_type}"]
        .iter()
        .fold(path, |path, template| path.replace(template, "present"));
    let request = service.request(&operation.method, &path);
    match row.body {
        Body::None => request,
        Body::Json(text) => request.header("Content-Type", "application/json").body(text),
        Body::Patch(text) => request.header("Content-Type", V21).body(text),
        Body::Data => request.data("data"),
        Body::Meta => request.meta("name", "new"),
    }
}

/// An image of `alpha` that is shared with `gamma`, in the state that the row asks for; its id.
async fn prepare((service, second): &Stage, fixture: Fixture) -> String {
    let mut request = OWNER.asks(service.post("/v1/images")).formats();
    if matches!(fixture, Fixture::Active | Fixture::Copied) {
        request = request.data("data");
    }
    let id = request.send().await.expect(201).image()["id"].as_str().unwrap().to_owned();
    let member = OWNER.asks(service.put(&format!("/v1/images/{id}/members/gamma")));
    member.json(&json!({ "member": { "can_share": false } })).send().await.expect(204);
    match fixture {
        Fixture::Queued | Fixture::Active => {}
        Fixture::Listed => {
            let task = "INSERT INTO tasks (id, kind, status, owner, image_id, input, due_at, created_at, updated_at) \
                        VALUES ('{id}', 'import', 'success', 'alpha', '{id}', '{}', now(), now(), now())";
            service.sql(&task.replace("{id}", &id)).await;
        }
        Fixture::Copied => service.copy_to_second(second, &id).await,
        Fixture::Defined => define(service, &id, "private").await,
        Fixture::Published => define(service, &id, "public").await,
        Fixture::Tagged => {
            let tag = service.put(&format!("/v2/images/{id}/tags/present"));
            OWNER.asks(tag).send().await.expect(204);
        }
    }
    id
}

/// A namespace of `alpha` with one of everything in it.
async fn define(service: &Service, name: &str, visibility: &str) {
    // a row may have given another one the name it asks for
    service.sql("DELETE FROM metadef_namespaces").await;
    let document = json!({
        "namespace": name,
        "visibility": visibility,
        "owner": "alpha",
        "description": "With all there is",
        "resource_type_associations": [{ "name": "present", "prefix": "p_", "properties_target": "image" }],
        "objects": [{ "name": "present", "required": ["a"], "properties": { "a": { "title": "A", "type": "string" } } }],
        "properties": { "present": { "title": "P", "type": "array", "items": { "type": "string" }, "default": 1 } },
        "tags": [{ "name": "present" }],
    });
    ADMIN.asks(service.post("/v2/metadefs/namespaces")).json(&document).send().await.expect(201);
}
