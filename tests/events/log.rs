//! Events in the log.

use serde_json::{Value, json};

use crate::faults::World;
use crate::support::api::{OWNER, Request};
use crate::support::eventually;
use crate::support::server::Server;

#[tokio::test]
async fn the_log_has_one_line_for_each_event() {
    let world = World::new().await;
    let mut settings = world.config();
    settings.notifications.log = true;
    settings.notifications.publisher_id = "image.test".to_owned();
    let server = Server::start(&settings).await;
    let created = Request::to(server.api, "POST", "/v2/images").by(OWNER).json(&json!({"name": "logged"}));
    let id = created.send().await.expect(201).json()["id"].clone();
    let line = eventually("the event is in the log", async || {
        let log = server.log();
        log.lines().find(|line| line.contains("vitrine::notification")).map(str::to_owned)
    })
    .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let text = line.to_string();
    for part in ["image.create", "image.test", "INFO", id.as_str().unwrap(), "logged"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
