//! Vitrine: the OpenStack Image service on PostgreSQL and S3-compatible storage.
//!
//! Layers, dependencies pointing down only: `http` and `jobs` → `flows` → `catalog`, `blobs`, `fetch`, `notify` → `domain`.

pub mod app;
pub mod blobs;
pub mod catalog;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod domain;
pub mod error;
pub mod faultpoint;
pub mod fetch;
pub mod flows;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod notify;
pub mod policy;
pub mod telemetry;
