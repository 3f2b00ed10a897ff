//! HTTP: the only layer that knows status codes.

pub mod body;
pub mod caller;
pub mod fault;
pub mod front;
pub mod healthcheck;
pub mod link;
pub mod ops;
pub mod paging;
pub mod serve;
pub mod v1;
pub mod v2;
pub mod versions;
mod wire;
