//! HTTP: the only layer that knows status codes. How to add a route: see [`openapi`].

pub mod audit;
pub mod body;
pub mod caller;
pub mod client;
pub mod document;
pub mod fault;
pub mod front;
pub mod healthcheck;
pub mod link;
pub mod open;
pub mod openapi;
pub mod ops;
pub mod paging;

pub mod range;
pub mod route;
pub mod serve;
pub mod v1;
pub mod v2;
pub mod versions;
mod wire;
