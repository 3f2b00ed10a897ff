//! Metadata definitions (metadefs.md).
//!
//! Every change locks its namespace first, so that neither its deletion nor its protection comes in between. A name
//! that is taken is [`ErrorKind::Duplicate`](super::ErrorKind::Duplicate).

mod associations;
mod files;
mod list;
mod lock;
mod namespaces;
mod objects;
mod properties;
mod row;
mod tags;

/// What became of a change within a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed<T> {
    /// Done.
    Done(T),
    /// The namespace is gone.
    NoNamespace,
    /// There is none of that name in it.
    NotFound,
    /// The namespace is protected; nothing was deleted (§9.4).
    Protected,
}

/// How a file is loaded over a namespace that exists (§13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMode {
    /// Not at all.
    Skip,
    /// What is missing in it is added.
    Merge,
    /// The same, and what exists takes the values of the file.
    PreferNew,
    /// It is deleted with all that is in it, and loaded afresh.
    Overwrite,
}

/// What loading a file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// The namespace is new, or was overwritten.
    Created,
    /// Something was added or changed.
    Merged,
    /// All was there already, or the mode leaves it alone.
    Unchanged,
}

impl Loaded {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Merged => "merged",
            Self::Unchanged => "unchanged",
        }
    }
}
