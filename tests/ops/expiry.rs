//! When that ends on which a replica depends (hardening.md §4: certificate and credential expiry).

use serde_json::{Value, json};
use url::Url;
use vitrine::config::{Config, IdentityMode};
use vitrine::telemetry::certificates::{Certificates, Server as Watched};
use vitrine::telemetry::metrics::local;
use vitrine::telemetry::peer::Kind;

use crate::support::api::Request;
use crate::support::db::test_database;
use crate::support::hook::Hook;
use crate::support::s3::test_bucket;
use crate::support::server::Server;
use crate::support::tls::{Certificate, TlsServer};
use crate::support::{config, eventually};

const CERTIFICATE: &str = "vitrine_certificate_expiration_timestamp_seconds";
const CREDENTIAL: &str = "vitrine_credential_expiration_timestamp_seconds";

/// Values of a metric, by its labels.
fn values<'a>(exposition: &'a str, name: &str) -> Vec<(&'a str, f64)> {
    let samples = exposition.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let sample = |line: &'a str| {
        let (labels, value) = line.rsplit_once("} ").unwrap();
        (labels, value.parse().unwrap())
    };
    samples.map(sample).collect()
}

fn end(certificate: Certificate) -> f64 {
    certificate.end() as f64
}

fn refusal(_: &str) -> String {
    "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
}

#[tokio::test]
async fn the_last_certificate_that_a_server_showed_counts() {
    let server = TlsServer::start(Certificate::Ended, refusal);
    let (metrics, exposition) = local();
    let at =
        |url: &str| Watched { kind: Kind::Store, store: Some("main".into()), url: Url::parse(url).unwrap() };
    let certificates = Certificates::new(vec![at(&server.url("/bucket"))], &metrics);
    let labels = r#"service_peer_name="s3",store="main""#;

    // nobody vouches for it, and it has ended
    certificates.look().await;
    assert_eq!(values(&exposition.text(), CERTIFICATE), [(labels, end(Certificate::Ended))]);
    // a session that is resumed would show the old one
    server.renew(Certificate::Valid);
    certificates.look().await;
    assert_eq!(values(&exposition.text(), CERTIFICATE), [(labels, end(Certificate::Valid))]);
    // away, it leaves what was known
    drop(server);
    certificates.look().await;
    assert_eq!(values(&exposition.text(), CERTIFICATE), [(labels, end(Certificate::Valid))]);
}

/// A Keystone that lets every account in and knows every token.
fn keystone(request: &str) -> String {
    let token: Value = json!({"token": {
        "methods": ["password"],
        "user": {"domain": {"id": "default"}, "id": "u", "name": "vitrine",
            "password_expires_at": "2030-01-01T00:00:00.000000"},
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "project": {"domain": {"id": "default"}, "id": "p", "name": "service"},
        "roles": [{"id": "service", "name": "service"}],
    }});
    let (status, body) = match request.split_once(' ') {
        Some(("POST", _)) => ("201 Created", token.to_string()),
        Some(("GET", _)) => ("200 OK", token.to_string()),
        _ => ("300 Multiple Choices", String::new()),
    };
    format!(
        "HTTP/1.1 {status}\r\nX-Subject-Token: own\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn with_keystone(config: &mut Config, server: &TlsServer) {
    config.identity.mode = IdentityMode::Keystone;
    config.identity.keystone.auth_url = server.url("/v3");
    config.identity.keystone.ca_file = Some(Certificate::Valid.file());
    config.identity.keystone.username = "vitrine".to_owned();
    config.identity.keystone.password = Some("secret".into());
}

#[tokio::test]
async fn a_replica_tells_when_what_it_depends_on_ends() {
    let (database, bucket) = (test_database().await, test_bucket().await);
    let (keystone, webhook) =
        (TlsServer::start(Certificate::Valid, keystone), TlsServer::start(Certificate::Ended, refusal));
    let mut config = config(&database, &bucket);
    with_keystone(&mut config, &keystone);
    Hook::start().await.listen(&mut config);
    config.notifications.webhook.url = Some(webhook.url("/events?token=canary"));
    let server = Server::start(&config).await;
    let metrics = async || Request::to(server.ops, "GET", "/metrics").send().await.expect(200).text();

    // the store of this service is spoken to without TLS
    let text = eventually("both certificates are read", async || {
        let text = metrics().await;
        (values(&text, CERTIFICATE).len() == 2).then_some(text)
    });
    let expected = [
        (r#"service_peer_name="keystone""#, end(Certificate::Valid)),
        (r#"service_peer_name="webhook""#, end(Certificate::Ended)),
    ];
    let text = text.await;
    assert_eq!(values(&text, CERTIFICATE), expected);
    assert_eq!(values(&text, CREDENTIAL), [], "nobody has asked Keystone yet");

    Request::to(server.api, "GET", "/v1/images").by("token").send().await.expect(200);
    // 2030-01-01, which Keystone writes without a zone
    let text = metrics().await;
    assert_eq!(values(&text, CREDENTIAL), [(r#"service_peer_name="keystone""#, 1_893_456_000.0)]);
    let requests = "http_client_request_duration_seconds_count";
    let labels: Vec<_> = values(&text, requests).into_iter().map(|(labels, _)| labels).collect();
    assert!(!labels.is_empty());
    for labels in labels {
        assert!(labels.contains(r#"service_peer_name="keystone""#), "{labels}");
    }
    assert!(!server.log().contains("canary"), "{}", server.log());
}
