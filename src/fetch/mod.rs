//! The one guarded fetcher for every address a user names (hardening.md §1.1).
//!
//! No other HTTP client may be used for such addresses. [`Target::parse`] judges what can be seen in the text of a
//! URL; [`Fetcher`] judges what its host resolves to, connects to exactly the judged addresses, and repeats both
//! for every redirect and every resumption. Neither an error nor a log line ever holds more of a URL than its host.

pub mod address;
pub mod body;
pub mod client;
pub mod error;
mod resolve;
pub mod target;
#[cfg(test)]
mod tests;
mod validator;

pub use body::Source;
pub use client::{Fetcher, Limits};
pub use error::{FetchError, FetchErrorKind};
pub use target::{Part, Refusal, Target};
