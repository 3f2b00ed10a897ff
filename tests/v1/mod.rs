//! The Images API v1, assertion by assertion (images-v1.md §16).

mod create;
mod delete;
mod encoding;
mod errors;
mod filters;
mod front;
mod header_forms;
mod headers;
mod identity;
mod list_forms;
mod lists;
mod members;
mod paging;
mod precedence;
mod protections;
mod read;
mod removal;
mod routing;
mod shared_with_v2;
mod smoke;
mod sources;
mod update;
mod uploads;
mod versions;
