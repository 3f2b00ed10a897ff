//! Background work: claims rows through the catalog and runs flows.

pub mod events;
pub mod reconcile;
pub mod runner;
