//! Metadata definitions under the rules of metadefs.md §9.
//!
//! Access is decided by the namespace alone. Every call finds it first: one that the caller may not know of is as
//! missing as one that is not there, whatever the policy says. Then the policy is asked, and only then are the rest of
//! the request and the contents looked at (§2.1 steps 8 to 13).

mod associations;
mod namespaces;
mod objects;
mod properties;
mod tags;

pub use namespaces::{NamespacePage, namespace_scope};

use crate::catalog;
use crate::catalog::metadefs::Changed;
use crate::domain::metadef::Namespace;
use crate::domain::policy::Target;
use crate::domain::text::clip;
use crate::error::{Error, Result};

use super::{Call, Flows, may_write};

/// Who is denied this may not know of the namespace.
const SHOW: &str = "get_metadef_namespace";
/// Most characters of a name in a refusal.
const NAME: usize = 80;

impl Flows {
    /// The namespace, if the caller may know of it (§9.1).
    async fn find_namespace(&self, call: &Call, name: &str) -> Result<Namespace> {
        let found = self.catalog.namespace(name).await?;
        found.filter(|namespace| namespace.is_visible(&call.caller)).ok_or_else(|| no_namespace(name))
    }

    /// The namespace, if the caller may read this of it.
    async fn namespace_to_read(&self, call: &Call, name: &str, action: &str) -> Result<Namespace> {
        let found = self.find_namespace(call, name).await?;
        self.allow_in(call, &found, action)?;
        Ok(found)
    }

    /// The namespace, if the caller may change this of it.
    async fn namespace_to_change(&self, call: &Call, name: &str, action: &str) -> Result<Namespace> {
        let found = self.namespace_to_read(call, name, action).await?;
        may_write(&call.caller)?;
        Ok(found)
    }

    /// Asks the policy for an action in a namespace. Who may not even see it is told that there is none (§9.2).
    fn allow_in(&self, call: &Call, namespace: &Namespace, action: &str) -> Result<()> {
        let gone = || no_namespace(&namespace.fields.namespace);
        self.allow_definitions(call, action, &Target::of_namespace(namespace), gone)
    }

    /// Asks the policy for an action that is about no namespace that exists.
    fn allow_at_large(&self, call: &Call, action: &str) -> Result<()> {
        let own = Target::of_project(call.caller.project.as_deref());
        self.allow_definitions(call, action, &own, || Error::not_found(""))
    }

    fn allow_definitions(
        &self,
        call: &Call,
        action: &str,
        target: &Target<'_>,
        unknown: impl FnOnce() -> Error,
    ) -> Result<()> {
        self.allow_on(call, action, target).map_err(|refusal| {
            if action == SHOW || !self.passes(call, SHOW, target) { unknown() } else { refusal }
        })
    }

    /// Whether entries of a list are shown; nobody is refused anything.
    fn passes(&self, call: &Call, action: &str, target: &Target<'_>) -> bool {
        self.policy.rules().allows(call.dialect, action, &call.caller, target)
    }

    /// Whether the caller may see entries of this kind in a list of the namespace.
    fn lists_entries(&self, call: &Call, namespace: &Namespace, action: &str) -> bool {
        self.passes(call, action, &Target::of_namespace(namespace))
    }
}

/// One text for what does not exist and what may not be known.
fn no_namespace(name: &str) -> Error {
    Error::not_found(format!("Metadata definition namespace {} was not found.", clip(name, NAME)))
}

/// There is no such `kind` of thing in the namespace.
fn missing(kind: &str, name: &str, namespace: &Namespace) -> Error {
    let name = clip(name, NAME);
    let namespace = &namespace.fields.namespace;
    Error::not_found(format!("Metadata definition {kind} {name} was not found in namespace {namespace}."))
}

/// What became of a change, as the caller is told.
fn outcome<T>(changed: Changed<T>, namespace: &Namespace, missing: impl FnOnce() -> Error) -> Result<T> {
    let name = &namespace.fields.namespace;
    match changed {
        Changed::Done(value) => Ok(value),
        Changed::NoNamespace => Err(no_namespace(name)),
        Changed::NotFound => Err(missing()),
        Changed::Protected => Err(Error::forbidden(format!(
            "Metadata definition namespace {name} is protected: neither it nor anything in it can be deleted."
        ))),
    }
}

/// What became of a change of the `kind` of thing that is called `name`, and is to be called `new`.
fn settled<T>(
    changed: catalog::Result<Changed<T>>,
    namespace: &Namespace,
    kind: &str,
    name: &str,
    new: &str,
) -> Result<T> {
    let changed = changed.map_err(|error| conflict(error, || exists(kind, new, namespace)))?;
    outcome(changed, namespace, || missing(kind, name, namespace))
}

/// The answer to a change that failed; `taken` says which name there is already.
fn conflict(error: catalog::Error, taken: impl FnOnce() -> String) -> Error {
    match error.kind {
        catalog::ErrorKind::Duplicate => Error::conflict(taken()),
        _ => error.into(),
    }
}

/// There is such a `kind` of thing in the namespace already.
fn exists(kind: &str, name: &str, namespace: &Namespace) -> String {
    let (name, namespace) = (clip(name, NAME), &namespace.fields.namespace);
    format!("Metadata definition {kind} {name} exists already in namespace {namespace}.")
}
