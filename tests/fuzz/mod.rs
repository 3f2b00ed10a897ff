//! The fuzz targets over their seeds: they follow the interfaces of the service, and no seed breaks them.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

use targets::{create_document, filter, headers, inspect, patch, policy_rule, v1_query};

fn run_seeds(target: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let seeds: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!seeds.is_empty(), "no seeds");
    for seed in seeds {
        // shown if the seed fails
        println!("{}", seed.display());
        run(&fs::read(&seed).unwrap());
    }
}

#[test]
fn inspect_takes_its_seeds() {
    run_seeds("inspect", inspect::run);
}

#[test]
fn patch_takes_its_seeds() {
    run_seeds("patch", patch::run);
}

#[test]
fn create_document_takes_its_seeds() {
    run_seeds("create_document", create_document::run);
}

#[test]
fn filter_takes_its_seeds() {
    run_seeds("filter", filter::run);
}

#[test]
fn v1_query_takes_its_seeds() {
    run_seeds("v1_query", v1_query::run);
}

#[test]
fn headers_take_their_seeds() {
    run_seeds("headers", headers::run);
}

#[test]
fn policy_rule_takes_its_seeds() {
    run_seeds("policy_rule", policy_rule::run);
}

#[test]
fn every_target_has_a_test() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let source = include_str!("mod.rs");
    for target in fs::read_dir(dir).unwrap() {
        let file = target.unwrap().file_name().into_string().unwrap();
        let name = file.trim_end_matches(".rs");
        assert!(source.contains(&format!("run_seeds(\"{name}\", {name}::run)")), "{name} is not tested");
    }
}
