//! The upstream policy rule language, its default rules, and their enforcement.
//!
//! An action is a name such as `modify_image`. Its rule is the operator's, if the policy file has one, or else the
//! default of the API the request came by ([`Dialect`]). Policy answers only "may this caller do this to this
//! target"; that a caller may not know of an image at all is decided elsewhere and comes first.

mod check;
mod defaults;
mod enforce;
mod target;

pub use check::SyntaxError;
pub use enforce::{ActionRule, Problem, Rules};
pub use target::Target;

/// Which API a request came by. The two have different default rules and different targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Images API v1: asked before the image is looked up, so without a target (images-v1.md §10.4).
    V1,
    /// Images API v2 and metadata definitions: asked with the target's attributes (images-v2.md §23).
    V2,
}

#[cfg(test)]
mod tests;
