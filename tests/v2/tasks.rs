//! The tasks API (images-v2.md §15.2). No task runs here.

use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::config::Config;
use vitrine::error::ErrorKind;

use super::{ADMIN, ALIEN, OWNER, READER, anonymous, assert_allow, send, system_admin};
use crate::support::api::{Answer, Service, new_id};
use crate::support::file::ScratchFile;

const URL: &str = "https://8.8.8.8/disk";

fn idle(settings: &mut Config) {
    settings.jobs.enabled = false;
}

async fn service() -> Service {
    Service::start_with(idle).await
}

/// A service whose tasks API is open to members.
async fn open_service() -> Service {
    let rules = ScratchFile::new("policy.json", r#"{"tasks_api_access": "role:member"}"#);
    Service::start_with(|settings| {
        idle(settings);
        settings.policy.file = Some(rules.path.clone());
    })
    .await
}

fn document(properties: Value) -> Value {
    let mut properties = properties;
    for (name, format) in [("disk_format", "raw"), ("container_format", "bare")] {
        if properties.get(name).is_none() {
            properties[name] = json!(format);
        }
    }
    let input = json!({ "import_from": URL, "import_from_format": "raw", "image_properties": properties });
    json!({ "type": "import", "input": input })
}

async fn post(service: &Service, caller: &str, body: &Value) -> Answer {
    service.post("/v2/tasks").by(caller).json(body).send().await
}

async fn list(service: &Service, caller: &str, query: &str) -> Value {
    send(service, caller, "GET", &format!("/v2/tasks?{query}")).await.expect(200).json()
}

fn ids(list: &Value) -> Vec<String> {
    list["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

/// Follows `next` to the end; all ids in their order.
async fn walk(service: &Service, caller: &str, query: &str) -> Vec<String> {
    let mut page = list(service, caller, query).await;
    let mut found = ids(&page);
    while let Some(next) = page["next"].as_str() {
        page = send(service, caller, "GET", next).await.expect(200).json();
        found.extend(ids(&page));
    }
    found
}

/// Ten tasks of two projects and of none, in several states, two of them made in the same instant; ids by age.
async fn seed(service: &Service) -> Vec<String> {
    let ids: Vec<String> = (0..10).map(|n| Uuid::from_u128(7 * (10 - n) + 1).to_string()).collect();
    for (n, id) in ids.iter().enumerate() {
        let status = ["pending", "success", "failure"][n % 3];
        let owner = ["'alpha'", "'beta'", "NULL"][n % 3];
        let kind = ["import", "location_import"][n % 2];
        let expires = if n % 3 == 0 { "NULL" } else { "now() + interval '1 hour'" };
        let age = if n == 4 { 5 } else { n };
        service
            .sql(&format!(
                "INSERT INTO tasks (id, kind, status, owner, input, due_at, created_at, updated_at, expires_at) \
                 VALUES ('{id}', '{kind}', '{status}', {owner}, '{{}}', now(), \
                 now() - interval '{age} minutes', now(), {expires})"
            ))
            .await;
    }
    ids
}

#[tokio::test]
async fn v2_285_the_tasks_api_is_for_administrators() {
    let service = service().await;
    for caller in [OWNER, READER, ALIEN] {
        send(&service, caller, "GET", "/v2/tasks").await.expect(403);
        // the policy answers first
        send(&service, caller, "GET", "/v2/tasks?limit=x").await.expect(403);
        send(&service, caller, "GET", "/v2/tasks/x").await.expect(403);
    }
    let empty = send(&service, ADMIN, "GET", "/v2/tasks").await.expect(200).json();
    assert_eq!(empty, json!({ "tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks" }));
    let query = json!({ "type": "import" });
    for call in [anonymous(), system_admin()] {
        let refused = service.flows.create_task(&call, &query).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Forbidden);
        let refused = service.flows.show_task(&call, &new_id()).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Forbidden);
    }
    let seeded = seed(&service).await;
    let page = list(&service, ADMIN, "limit=1").await;
    assert_eq!((&page["first"], page["tasks"].as_array().unwrap().len()), (&json!("/v2/tasks?limit=1"), 1));
    assert_eq!(page["next"], format!("/v2/tasks?limit=1&marker={}", seeded[0]));
    let task = &page["tasks"][0];
    let expected = json!({
        "id": seeded[0], "type": "import", "status": "pending", "owner": "alpha",
        "created_at": task["created_at"], "updated_at": task["updated_at"],
        "self": format!("/v2/tasks/{}", seeded[0]), "schema": "/v2/schemas/task",
    });
    assert_eq!(*task, expected);
    assert!(task["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(task["created_at"].as_str().unwrap().len(), 20);
    assert!(list(&service, ADMIN, "sort_dir=asc").await["tasks"][1]["expires_at"].is_string());
}

#[tokio::test]
async fn v2_286_malformed_tasks_are_refused() {
    let service = service().await;
    let input = || document(json!({}))["input"].clone();
    let without = |name: &str| {
        let mut input = input();
        input.as_object_mut().unwrap().remove(name);
        json!({ "type": "import", "input": input })
    };
    let changed = |name: &str, value: Value| {
        let mut input = input();
        input[name] = value;
        json!({ "type": "import", "input": input })
    };
    for body in [
        json!([]),
        json!({}),
        json!({ "type": "import" }),
        json!({ "input": {} }),
        json!({ "type": "import", "input": {} }),
        json!({ "type": "import", "input": null }),
        json!({ "type": "import", "input": [] }),
        json!({ "type": "foo", "input": input() }),
        json!({ "type": 5, "input": input() }),
        json!({ "type": "api_image_import", "input": input() }),
        json!({ "type": "location_import", "input": input() }),
        json!({ "type": "import", "input": input(), "status": "done" }),
        json!({ "type": "import", "input": input(), "owner": 5 }),
        without("import_from"),
        without("import_from_format"),
        without("image_properties"),
        changed("import_from", json!(5)),
        changed("import_from_format", json!("")),
        changed("image_properties", json!([])),
        changed("image_properties", json!({})),
        document(json!({ "disk_format": "magic" })),
        document(json!({ "disk_format": null })),
        document(json!({ "name": 5 })),
        document(json!({ "min_disk": -1 })),
        document(json!({ "custom": 5 })),
        document(json!({ "id": "x" })),
    ] {
        post(&service, ADMIN, &body).await.expect(400);
        post(&service, OWNER, &body).await.expect(403);
    }
    service.post("/v2/tasks").by(ADMIN).body("{").send().await.expect(400);
    send(&service, ADMIN, "POST", "/v2/tasks").await.expect(400);
    service.post("/v2/tasks").by(OWNER).body("junk").send().await.expect(403);
    for properties in [json!({ "status": "active" }), json!({ "os_glance_x": "y" }), json!({ "self": "x" })] {
        post(&service, ADMIN, &document(properties)).await.expect(403);
    }
    let tags: Vec<String> = (0..129).map(|n| format!("t{n}")).collect();
    post(&service, ADMIN, &document(json!({ "tags": tags }))).await.expect(413);
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
}

/// A07: the same as `web-download`, with the same text.
#[tokio::test]
async fn a07_forbidden_sources() {
    let service = service().await;
    for uri in super::locations::ATTACKS {
        let mut body = document(json!({}));
        body["input"]["import_from"] = json!(uri);
        let answer = post(&service, ADMIN, &body).await.expect(400);
        assert!(answer.text().contains("does not pass filtering") && !answer.text().contains(uri), "{uri}");
    }
    assert_eq!(service.count("SELECT count(*) FROM tasks").await, 0);
}

#[tokio::test]
async fn a_task_is_made_and_shown() {
    let service = service().await;
    let properties = json!({ "name": "new", "visibility": "public", "custom": "x" });
    let answer = post(&service, ADMIN, &document(properties.clone())).await.expect(201);
    let task = answer.json();
    let id = task["id"].as_str().unwrap();
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("http://") && location.ends_with(&format!("/v2/tasks/{id}")), "{location}");
    let expected = json!({
        "id": id, "type": "import", "status": "pending", "owner": "delta", "user_id": "adam",
        "request_id": answer.header("x-openstack-request-id").unwrap(),
        "input": document(properties)["input"], "result": null, "message": "",
        "created_at": task["created_at"], "updated_at": task["created_at"],
        "self": format!("/v2/tasks/{id}"), "schema": "/v2/schemas/task",
    });
    assert_eq!(task, expected);
    let path = format!("/v2/tasks/{id}");
    assert_eq!(send(&service, ADMIN, "GET", &path).await.expect(200).json(), task);
    service
        .sql(&format!(
            "UPDATE tasks SET status = 'success', result = '{{\"image_id\": \"{id}\"}}', image_id = id, \
             progress = '{{\"copied_bytes\": 1048576}}', expires_at = '2100-01-01T00:00:00Z'"
        ))
        .await;
    let ended = send(&service, ADMIN, "GET", &path).await.expect(200).json();
    assert_eq!((&ended["result"], &ended["image_id"]), (&json!({ "image_id": id }), &json!(id)));
    assert_eq!(
        (&ended["message"], &ended["expires_at"]),
        (&json!("Copied 1 MiB"), &json!("2100-01-01T00:00:00Z"))
    );
    service.sql("UPDATE tasks SET expires_at = now()").await;
    send(&service, ADMIN, "GET", &path).await.expect(404);
    assert!(ids(&list(&service, ADMIN, "").await).is_empty());
}

#[tokio::test]
async fn v2_287_parameters_of_lists() {
    let service = service().await;
    let seeded = seed(&service).await;
    for query in [
        "type=foo",
        "type=location_import",
        "type=",
        "status=foo",
        "status=",
        "sort_dir=up",
        "sort_key=foo",
        "sort_key=",
        "marker=x",
        "marker=",
        "limit=-1",
        "limit=x",
        "limit=",
        "a=%ff",
    ] {
        send(&service, ADMIN, "GET", &format!("/v2/tasks?{query}")).await.expect(400);
    }
    send(&service, ADMIN, "GET", &format!("/v2/tasks?marker={}", new_id())).await.expect(400);
    assert_eq!(ids(&list(&service, ADMIN, "type=import").await).len(), 5);
    assert_eq!(ids(&list(&service, ADMIN, "status=pending").await).len(), 4);
    assert_eq!(ids(&list(&service, ADMIN, "status=success&type=import").await).len(), 1);
    assert_eq!(ids(&list(&service, ADMIN, "foo=bar&status=foo&status=failure").await).len(), 3);
    let none = list(&service, ADMIN, "limit=0").await;
    assert!(ids(&none).is_empty() && none.get("next").is_none());
    let page = list(&service, ADMIN, &format!("limit=2&marker={}&type=import", seeded[2])).await;
    assert_eq!(page["first"], "/v2/tasks?limit=2&type=import");
    // an expired marker is none
    service.sql(&format!("UPDATE tasks SET expires_at = now() WHERE id = '{}'", seeded[2])).await;
    send(&service, ADMIN, "GET", &format!("/v2/tasks?marker={}", seeded[2])).await.expect(400);
}

#[tokio::test]
async fn pages_are_complete_in_every_order() {
    let service = service().await;
    let seeded = seed(&service).await;
    let newest_first = walk(&service, ADMIN, "limit=3").await;
    assert_eq!(newest_first[..4], seeded[..4]);
    let mut oldest_first = walk(&service, ADMIN, "limit=3&sort_dir=asc").await;
    oldest_first.reverse();
    assert_eq!(oldest_first, newest_first);
    for key in ["created_at", "updated_at", "expires_at", "id", "type", "status", "owner"] {
        for direction in ["asc", "desc"] {
            let query = format!("sort_key={key}&sort_dir={direction}");
            let whole = ids(&list(&service, ADMIN, &query).await);
            assert_eq!(whole.len(), 10);
            for limit in [1, 3, 5] {
                assert_eq!(walk(&service, ADMIN, &format!("limit={limit}&{query}")).await, whole, "{query}");
            }
        }
    }
    let by = async |key: &str, column: &str| -> Vec<String> {
        let page = list(&service, ADMIN, &format!("sort_key={key}&sort_dir=asc")).await;
        let tasks = page["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| task[column].as_str().unwrap_or_default().to_owned()).collect()
    };
    for (key, column) in [("type", "type"), ("status", "status"), ("owner", "owner"), ("id", "id")] {
        let values = by(key, column).await;
        assert!(values.is_sorted(), "{key}: {values:?}");
    }
}

/// Whom a policy lets in who is no administrator sees what works for the own project.
#[tokio::test]
async fn tasks_of_other_projects_are_hidden() {
    let service = open_service().await;
    let seeded = seed(&service).await;
    let own: Vec<String> = [0, 3, 6, 9].map(|n: usize| seeded[n].clone()).into();
    for query in ["limit=2", "limit=25", "limit=2&sort_key=updated_at"] {
        let mut found = walk(&service, OWNER, query).await;
        found.sort_unstable();
        let mut expected = own.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    send(&service, OWNER, "GET", &format!("/v2/tasks/{}", seeded[0])).await.expect(200);
    for foreign in [&seeded[1], &seeded[2]] {
        send(&service, OWNER, "GET", &format!("/v2/tasks/{foreign}")).await.expect(404);
        send(&service, OWNER, "GET", &format!("/v2/tasks?marker={foreign}")).await.expect(400);
    }
    assert!(walk(&service, "luis:none:member", "").await.is_empty());
    send(&service, READER, "GET", "/v2/tasks").await.expect(403);
    // their images are judged as if they made them
    post(&service, OWNER, &document(json!({ "visibility": "public" }))).await.expect(403);
    post(&service, OWNER, &document(json!({ "owner": "beta" }))).await.expect(403);
    let task = post(&service, OWNER, &document(json!({}))).await.expect(201).json();
    assert_eq!(task["owner"], "alpha");
}

#[tokio::test]
async fn v2_288_tasks_are_not_deleted() {
    let service = service().await;
    let seeded = seed(&service).await;
    for id in [&seeded[0], &new_id(), &"x".to_owned()] {
        let answer = send(&service, ADMIN, "DELETE", &format!("/v2/tasks/{id}")).await.expect(405);
        assert_eq!(answer.header("allow").as_deref(), Some("GET"));
        send(&service, OWNER, "DELETE", &format!("/v2/tasks/{id}")).await.expect(403);
    }
    for unknown in [&new_id(), &"x".to_owned()] {
        send(&service, ADMIN, "GET", &format!("/v2/tasks/{unknown}")).await.expect(404);
    }
    send(&service, ADMIN, "GET", &format!("/v2/tasks/{}", seeded[0])).await.expect(200);
    assert_allow(&service, "/v2/tasks", "GET, POST").await;
    assert_allow(&service, &format!("/v2/tasks/{}", seeded[0]), "GET, DELETE").await;
}
