//! No route without a description, no description without a route.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{document, operations};
use crate::support::api::{ADMIN, Service, new_id};

/// Routes of images-v1.md §2, images-v2.md §3 and metadefs.md §3.
const SPECIFIED: &str = include_str!("specified.txt");

/// Paths that answer every method alike.
const ANY_METHOD: [&str; 5] = ["/", "/versions", "/healthcheck", "/v1", "/v2"];
/// Paths that other methods do not find at all (images-v2.md §3).
const UNKNOWN_OTHERWISE: [&str; 2] = ["/v2/images/{id}/tasks", "/v2/info/usage"];

#[test]
fn everything_specified_is_described() {
    let document = document();
    let described: BTreeSet<String> = operations(&document)
        .iter()
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    let missing: Vec<&str> = SPECIFIED.lines().filter(|line| !described.contains(*line)).collect();
    assert!(missing.is_empty(), "not served: {missing:?}");
}

/// Lines of source files under `dir`, tests and comments left out.
fn lines(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            lines(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.extend(code.map(|line| (path.clone(), line.to_owned())));
        }
    }
}

#[test]
fn no_route_is_registered_past_the_document() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut code = Vec::new();
    lines(&source, &mut code);
    assert!(code.len() > 5_000, "only {} lines were found", code.len());
    // `axum::Router` keeps what it knows to itself: all that is registered with it is asked for here
    let past = [".route(", ".route_service(", ".nest(", ".nest_service(", "fallback_service("];
    let elsewhere: BTreeSet<String> = code
        .iter()
        .filter(|(_, line)| past.iter().any(|call| line.contains(call)))
        .map(|(path, _)| path.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    // the operators' port has an interface of its own
    assert_eq!(elsewhere, BTreeSet::from(["http/ops.rs".to_owned()]));
}

#[tokio::test]
async fn methods_that_are_not_described_are_refused() {
    let service = Service::start().await;
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        if ANY_METHOD.contains(&path.as_str()) {
            continue;
        }
        let known: BTreeSet<String> = item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        let target = path.replace("{id}", &new_id()).replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().filter(|m| !known.contains(**m)) {
            let answer = service.request(method, &target).by(ADMIN).send().await;
            if UNKNOWN_OTHERWISE.contains(&path.as_str()) {
                assert_eq!(answer.status, 404, "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path}");
            let Some(allowed) = answer.header("Allow") else {
                // images-v1.md §2: routed, but not implemented
                assert_eq!((*method, path.as_str()), ("GET", "/v1/images/{id}/members/{member}"));
                continue;
            };
            let mut allowed: BTreeSet<String> = allowed.split(", ").map(str::to_owned).collect();
            // API parity: it is named, though it is not implemented
            if path == "/v1/images/{id}/members/{member}" {
                allowed.remove("GET");
            }
            if !known.contains("HEAD") {
                allowed.remove("HEAD");
            }
            assert_eq!(allowed, known, "{method} {path}");
        }
    }
}
