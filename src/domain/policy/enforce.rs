//! The rules in force and the question whether a caller may do something.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::check::{Check, SyntaxError};
use super::defaults::DEFAULTS;
use super::{Dialect, Target};
use crate::domain::caller::Caller;
use crate::error::{Error, Result};

/// The rule of actions that have none.
const FALLBACK: &str = "default";
/// Actions for which the roles of a service token count like those of the user (images-v2.md §23.2).
const SERVICE_ACTIONS: [&str; 2] = ["add_image_location", "fetch_image_location"];

/// An immutable set of rules: the operator's over the defaults.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    overrides: BTreeMap<String, Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    text: String,
    check: Check,
}

struct BuiltIn {
    v1: Check,
    v2: Check,
}

/// Parsed once; a test sees to it that none is broken.
static BUILT_IN: LazyLock<BTreeMap<&'static str, BuiltIn>> = LazyLock::new(|| {
    let parse = |text| Check::parse(text).unwrap_or(Check::Broken);
    DEFAULTS.iter().map(|d| (d.name, BuiltIn { v1: parse(d.v1), v2: parse(d.v2) })).collect()
});

/// Something in a policy file that the operator should look at. None of it stops the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The rule has no meaning; it denies.
    #[error("rule '{rule}' denies everybody, because it cannot be parsed: {error}")]
    Unparsable {
        /// Name of the rule.
        rule: String,
        /// What is wrong.
        error: SyntaxError,
    },
    /// Probably a misspelt action: no action has the name and no other rule refers to it.
    #[error("rule '{rule}' is neither a known action nor referred to by another rule")]
    Unknown {
        /// Name of the rule.
        rule: String,
    },
    /// The rule refers to one that does not exist; that part of it denies.
    #[error("rule '{rule}' refers to '{missing}', which does not exist")]
    Missing {
        /// Name of the rule.
        rule: String,
        /// The name it refers to.
        missing: String,
    },
    /// The rule refers to itself, if only by way of others; that part of it denies.
    #[error("rule '{rule}' refers to itself")]
    Cyclic {
        /// Name of the rule.
        rule: String,
    },
}

/// One line of `vitrine policy list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRule<'a> {
    /// Name of the action or rule.
    pub action: &'a str,
    /// What it governs; empty for rules that only the policy file has.
    pub description: &'static str,
    /// Rule in force for v2.
    pub v2: &'a str,
    /// Rule in force for v1.
    pub v1: &'a str,
    /// Whether the rule comes from the policy file.
    pub overridden: bool,
}

impl Rules {
    /// The default rules alone.
    pub fn defaults() -> Self {
        Self::default()
    }

    /// The default rules with some replaced or added: name → text. An action's text counts for both dialects.
    pub fn with_overrides(texts: &BTreeMap<String, String>) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut overrides = BTreeMap::new();
        for (name, text) in texts {
            let check = Check::parse(text).unwrap_or_else(|error| {
                problems.push(Problem::Unparsable { rule: name.clone(), error });
                Check::Broken
            });
            overrides.insert(name.clone(), Rule { text: text.clone(), check });
        }
        let rules = Self { overrides };
        problems.extend(rules.doubtful_names());
        (rules, problems)
    }

    /// Whether `caller` may do `action` to `target`.
    pub fn allows(&self, dialect: Dialect, action: &str, caller: &Caller, target: &Target<'_>) -> bool {
        // Every action has project scope: a role on the system or on a domain grants nothing here.
        if caller.system_scope.is_some() || (caller.domain.is_some() && caller.project.is_none()) {
            return false;
        }
        let service_roles = SERVICE_ACTIONS.contains(&action);
        let facts = Facts { rules: self, dialect, caller, target, service_roles };
        facts.rule(action).or_else(|| facts.rule(FALLBACK)).is_some_and(|check| check.allows(&facts))
    }

    /// As [`allows`](Self::allows); a refusal is `Forbidden` with the standard text.
    pub fn check(&self, dialect: Dialect, action: &str, caller: &Caller, target: &Target<'_>) -> Result<()> {
        if self.allows(dialect, action, caller, target) {
            return Ok(());
        }
        Err(Error::forbidden("Access was denied to this resource."))
    }

    /// Whether `caller` counts as administrator: by rule `context_is_admin`, in v1 also by role (images-v1.md §10.4).
    pub fn is_admin(&self, dialect: Dialect, caller: &Caller) -> bool {
        let by_role = dialect == Dialect::V1 && caller.has_role("admin");
        by_role || self.passes(dialect, "context_is_admin", caller, false)
    }

    /// Whether `caller` passes the rule `name` itself, which need not be an action. An unknown rule denies.
    pub(in crate::domain) fn passes(
        &self,
        dialect: Dialect,
        name: &str,
        caller: &Caller,
        service_roles: bool,
    ) -> bool {
        let facts = Facts { rules: self, dialect, caller, target: &Target::none(), service_roles };
        facts.rule(name).is_some_and(|check| check.allows(&facts))
    }

    /// Whether there is a rule of that name.
    pub fn has(&self, name: &str) -> bool {
        self.overrides.contains_key(name) || BUILT_IN.contains_key(name)
    }

    /// Every action and rule with its text in force, known ones first.
    pub fn list(&self) -> impl Iterator<Item = ActionRule<'_>> {
        let known = DEFAULTS.iter().map(|d| {
            let text = self.overrides.get(d.name).map(|rule| rule.text.as_str());
            ActionRule {
                action: d.name,
                description: d.description,
                v2: text.unwrap_or(d.v2),
                v1: text.unwrap_or(d.v1),
                overridden: text.is_some(),
            }
        });
        let added = self.overrides.iter().filter(|(name, _)| !BUILT_IN.contains_key(name.as_str()));
        known.chain(added.map(|(name, rule)| ActionRule {
            action: name,
            description: "",
            v2: &rule.text,
            v1: &rule.text,
            overridden: true,
        }))
    }

    fn doubtful_names(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let referred: BTreeSet<&str> = self.overrides.values().flat_map(|r| r.check.references()).collect();
        for (name, rule) in &self.overrides {
            if !BUILT_IN.contains_key(name.as_str()) && !referred.contains(name.as_str()) {
                problems.push(Problem::Unknown { rule: name.clone() });
            }
            for missing in rule.check.references().into_iter().filter(|reference| !self.has(reference)) {
                problems.push(Problem::Missing { rule: name.clone(), missing: missing.to_owned() });
            }
            if self.reaches_itself(name) {
                problems.push(Problem::Cyclic { rule: name.clone() });
            }
        }
        problems
    }

    fn reaches_itself(&self, start: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = self.references(start);
        while let Some(name) = todo.pop() {
            if name == start {
                return true;
            }
            if seen.insert(name) {
                todo.extend(self.references(name));
            }
        }
        false
    }

    fn references(&self, name: &str) -> Vec<&str> {
        match (self.overrides.get(name), BUILT_IN.get(name)) {
            (Some(rule), _) => rule.check.references(),
            (None, Some(rule)) => rule.v1.references().into_iter().chain(rule.v2.references()).collect(),
            (None, None) => Vec::new(),
        }
    }
}

/// Everything one evaluation may ask about.
pub(super) struct Facts<'a> {
    rules: &'a Rules,
    dialect: Dialect,
    caller: &'a Caller,
    target: &'a Target<'a>,
    service_roles: bool,
}

impl Facts<'_> {
    /// The check of rule `name`.
    pub(super) fn rule(&self, name: &str) -> Option<&Check> {
        if let Some(rule) = self.rules.overrides.get(name) {
            return Some(&rule.check);
        }
        let rule = BUILT_IN.get(name)?;
        Some(match self.dialect {
            Dialect::V1 => &rule.v1,
            Dialect::V2 => &rule.v2,
        })
    }

    /// Whether the caller holds `role`, given in lower case.
    pub(super) fn has_role(&self, role: &str) -> bool {
        self.caller.has_role(role)
            || (self.service_roles && self.caller.service_roles.iter().any(|r| r == role))
    }

    /// Attribute `name` of the target.
    pub(super) fn target(&self, name: &str) -> Option<Cow<'_, str>> {
        self.target.get(name)
    }

    /// Whether attribute `name` of the caller is `value`, or is a list with `value` in it.
    pub(super) fn caller_is(&self, name: &str, value: &str) -> bool {
        let caller = self.caller;
        let is = |attribute: &Option<String>| attribute.as_deref() == Some(value);
        match name {
            "user_id" | "user" => is(&caller.user),
            "project_id" | "project" | "tenant" | "tenant_id" => is(&caller.project),
            "user_domain_id" | "user_domain" => is(&caller.user_domain),
            "project_domain_id" | "project_domain" => is(&caller.project_domain),
            "domain_id" | "domain" => is(&caller.domain),
            "system_scope" => is(&caller.system_scope),
            "roles" => self.has_role(&value.to_lowercase()),
            "service_roles" => caller.service_roles.contains(&value.to_lowercase()),
            "is_admin" => value == flag(caller.is_admin),
            "read_only" => value == flag(caller.read_only),
            // Identity services without an admin project say so of every token.
            "is_admin_project" => value == flag(true),
            _ => false,
        }
    }
}

fn flag(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
