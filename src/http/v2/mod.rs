//! The Images API v2.

pub mod document;
pub mod query;
