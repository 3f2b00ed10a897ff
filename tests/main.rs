//! Tests of the running service against real PostgreSQL and the in-process S3 server.

#![expect(clippy::unwrap_used, reason = "tests")]

mod catalog;
mod docs;
mod events;
mod faults;
mod fuzz;
mod openapi;
mod ops;
mod plans;
mod support;
mod v1;
mod v2;
