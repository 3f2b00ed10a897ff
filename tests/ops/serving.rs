//! `serve` and `worker` as processes: draining, the operators' port, and who does background work.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use vitrine::config::Config;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::api::{ADMIN, Answer, OCTETS, OWNER, Request, new_id};
use crate::support::db::{TestDatabase, test_database};
use crate::support::file::ScratchFile;
use crate::support::s3::{TestBucket, test_bucket};
use crate::support::server::{Running, Server, Signal, vitrine};
use crate::support::{config, eventually};

async fn parts() -> (TestDatabase, TestBucket, Config) {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let config = config(&database, &bucket);
    (database, bucket, config)
}

async fn status(server: &Server, id: &str) -> Option<String> {
    let answer = Request::to(server.api, "HEAD", &format!("/v1/images/{id}")).by(ADMIN).send().await;
    answer.meta("status")
}

async fn ops(server: &Server, path: &str) -> Answer {
    Request::to(server.ops, "GET", path).send().await
}

#[tokio::test]
async fn ops_041_sigterm_lets_an_upload_finish() {
    let (database, bucket, mut config) = parts().await;
    config.server.drain_timeout = Duration::from_secs(40);
    let mut server = Server::start(&config).await;
    let id = new_id();
    let request = Request::to(server.api, "POST", "/v1/images").by(OWNER).meta("id", &id);
    let request = request.meta("disk_format", "raw").meta("container_format", "bare");
    let request = request.header("Content-Type", OCTETS).header("Content-Length", "10");
    let mut upload = request.body(b"01234").open().await;
    eventually("the upload has begun", async || (status(&server, &id).await? == "saving").then_some(()))
        .await;
    server.signal(Signal::Term);
    eventually("no connection is accepted", async || {
        TcpStream::connect(server.api).await.is_err().then_some(())
    })
    .await;
    let unready = ops(&server, "/readyz").await.expect(503).json();
    assert_eq!(unready["failing"], serde_json::json!(["draining"]));
    ops(&server, "/livez").await.expect(200);
    assert!(!server.has_ended());
    upload.write(b"56789").await;
    let image = upload.answer().await.expect(201).image();
    assert_eq!((image["status"].as_str(), image["size"].as_u64()), (Some("active"), Some(10)));
    assert!(server.wait().await.success());
    let [key] = &bucket.keys().await[..] else { panic!("one object") };
    assert_eq!(bucket.content(key).await.unwrap(), b"0123456789");
    let live = "SELECT count(*) FROM blobs WHERE state = 'live'";
    assert_eq!(database.client().await.query_one(live, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn probes_and_metrics_have_a_port_of_their_own() {
    let (_database, _bucket, config) = parts().await;
    let server = Server::start(&config).await;
    assert_eq!(ops(&server, "/livez").await.expect(200).body, b"OK");
    let ready = ops(&server, "/readyz").await.expect(200).json();
    assert_eq!(ready, serde_json::json!({"status": "ready", "failing": []}));
    // tenants reach none of it
    for path in ["/livez", "/readyz", "/metrics"] {
        Request::to(server.api, "GET", path).by(ADMIN).send().await.expect(300);
        Request::to(server.api, "GET", &format!("/v1{path}")).by(ADMIN).send().await.expect(404);
    }

    let post = Request::to(server.api, "POST", "/v1/images").by(OWNER).meta("disk_format", "raw");
    let post = post.meta("container_format", "bare").meta("name", "canary-name").data(b"abc");
    let image = post.send().await.expect(201).image();
    let id = image["id"].as_str().unwrap().to_owned();
    Request::to(server.api, "GET", &format!("/v1/images/{id}")).by(OWNER).send().await.expect(200);
    let denied = Request::to(server.api, "POST", "/v1/images").by(OWNER).meta("is_public", "True");
    denied.send().await.expect(403);
    let copy = Request::to(server.api, "POST", "/v1/images").by(OWNER);
    copy.header("x-glance-api-copy-from", "http://169.254.169.254/latest").send().await.expect(400);

    let metrics = ops(&server, "/metrics").await.expect(200).text();
    let names = [
        "http_server_request_duration_seconds_count",
        "http_server_active_requests",
        "db_client_operation_duration_seconds_count",
        "db_client_connection_wait_time_seconds_count",
        "db_client_connection_use_time_seconds_count",
        "db_client_connection_count",
        "db_client_connection_max",
        "db_client_connection_pending_requests",
        "http_server_request_body_size_bytes_count",
        "http_server_response_body_size_bytes_count",
        "vitrine_s3_request_duration_seconds_count",
        "vitrine_parts_in_flight",
        "vitrine_ssrf_refused",
        "vitrine_token_cache_hits",
        "vitrine_hash_duration_seconds_count",
        "vitrine_upload_bytes",
        "vitrine_download_bytes",
        "vitrine_upload_active",
        "vitrine_memory_permits_free",
        "vitrine_policy_denied",
    ];
    let missing: Vec<_> =
        names.iter().filter(|name| !metrics.lines().any(|line| line.starts_with(**name))).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{metrics}");
    assert!(metrics.contains("http_route=\"/v1/images/{id}\""), "{metrics}");
    let of_table = |line: &str| {
        line.starts_with("db_client_operation_duration_seconds_count{")
            && line.contains("db_collection_name=\"images\"")
            && line.contains("db_operation_name=\"SELECT\"")
    };
    assert!(metrics.lines().any(of_table), "{metrics}");
    for text in [&id, "canary-name", "olga", "alpha"] {
        assert!(!metrics.contains(text), "{text} is a label");
    }
    // what the sweep and the runner report from time to time
    let later = ["vitrine_tasks", "vitrine_ledger_garbage", "vitrine_ledger_writing_expired"];
    eventually("the gauges of the ledger", async || {
        let metrics = ops(&server, "/metrics").await.text();
        later.iter().all(|name| metrics.contains(name)).then_some(())
    })
    .await;
}

/// `vitrine worker`.
fn start_worker(config: &Config, scratch: &ScratchFile) -> Running {
    let mut config = config.clone();
    // any free port: nobody asks this one
    config.server.ops_bind = "127.0.0.1:0".parse().unwrap();
    let mut command = vitrine(&config, scratch.dir());
    Running(command.arg("worker").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[tokio::test]
async fn a_worker_runs_tasks_where_serve_runs_none() {
    let (database, _bucket, mut config) = parts().await;
    let source = MockServer::start().await;
    let data = ResponseTemplate::new(200).set_body_bytes(b"far away".to_vec());
    Mock::given(any()).respond_with(data).mount(&source).await;
    config.jobs.enabled = false;
    config.import.allow_private_networks = true;
    config.import.allowed_ports = Vec::new();
    let server = Server::start(&config).await;
    let request = Request::to(server.api, "POST", "/v1/images").by(OWNER);
    let image = request.header("x-glance-api-copy-from", source.uri()).send().await.expect(201).image();
    let id = image["id"].as_str().unwrap().to_owned();
    assert_eq!(image["status"].as_str(), Some("queued"));
    // the server is stopped where it is, so that what follows can only be the worker's
    let untouched = "SELECT count(*) FROM tasks WHERE status = 'pending' AND attempt = 0";
    server.signal(Signal::Stop);
    let client = database.client().await;
    assert_eq!(client.query_one(untouched, &[]).await.unwrap().get::<_, i64>(0), 1);
    let scratch = ScratchFile::new("unused", "");
    let mut worker = start_worker(&config, &scratch);
    let active = "SELECT count(*) FROM images WHERE status = 'active'";
    eventually("the copy is made", async || {
        (client.query_one(active, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    server.signal(Signal::Cont);
    let answer = Request::to(server.api, "GET", &format!("/v1/images/{id}")).by(OWNER).send().await;
    assert_eq!(answer.expect(200).body, b"far away");
    assert!(Command::new("kill").args(["-TERM", &worker.0.id().to_string()]).status().unwrap().success());
    let ended = eventually("the worker ends", async || worker.0.try_wait().unwrap()).await;
    assert!(ended.success());
}
