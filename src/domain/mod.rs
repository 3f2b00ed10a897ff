//! Pure rules of the Image service: no I/O, no clock, nothing of the other layers.

pub mod adoption;
pub mod attributes;
pub mod caller;
pub mod digest;
pub mod document;
pub mod event;
pub mod image;
pub mod import;
pub mod inherited;
pub mod inspect;
pub mod json_lines;
pub mod member;
pub mod metadef;
pub mod patch;
pub mod peers;
pub mod policy;
pub mod protection;
pub mod query;
pub mod quota;
#[cfg(test)]
pub(crate) mod samples;
pub mod schema;
pub mod task;
pub mod text;
pub mod timestamp;
