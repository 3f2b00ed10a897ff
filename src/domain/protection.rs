//! Property protections: who may create, read, update and delete which additional properties
//! (operations.md §4, images-v1.md §10.5).
//!
//! The file is the reference's: INI as Python's `configparser` reads it. Section headers are regular expressions
//! searched in the property name; the first that matches decides and what no section matches is denied to everybody,
//! administrators included. Expressions run in linear time, so look-around and back references are refused.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};

use super::caller::Caller;
use super::policy::{Dialect, Rules};
use crate::config::RuleFormat;

/// The properties of the service itself. Users cannot name them in requests at all.
pub const RESERVED: &str = "os_glance";
/// Most bytes one compiled expression may take.
const REGEX_SIZE: usize = 1 << 20;

/// What is done to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A property that was not there.
    Create,
    /// Showing a property.
    Read,
    /// Another value for a property.
    Update,
    /// Removing a property.
    Delete,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    fn key(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The protections in force.
#[derive(Debug, Clone, Default)]
pub struct Protections {
    /// None: nothing is protected.
    sections: Option<Vec<Section>>,
}

#[derive(Debug, Clone)]
struct Section {
    name: Regex,
    /// In the order of [`Operation::ALL`].
    permissions: [Permission; 4],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Permission {
    Everybody,
    Nobody,
    Roles(Vec<String>),
    Rule(String),
}

impl Protections {
    /// No protection: everybody may do everything to every property.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a protection file. Returns warnings beside it, or what is wrong with the file.
    pub fn parse(text: &str, format: RuleFormat) -> Result<(Self, Vec<String>), String> {
        let mut sections = Vec::new();
        let mut warnings = Vec::new();
        for (header, options) in parse_ini(text)? {
            if header.trim_start_matches('^').starts_with(RESERVED) {
                warnings.push(format!("section [{header}] is ignored: its properties belong to the service"));
                continue;
            }
            sections.push(parse_section(&header, &options, format, &mut warnings)?);
        }
        if sections.is_empty() {
            warnings.push("there are no sections, so every property is denied to everybody".to_owned());
        }
        Ok((Self { sections: Some(sections) }, warnings))
    }

    /// Whether `caller` may do `operation` to `property`. Roles of a service token count like the user's.
    pub fn allows(
        &self,
        operation: Operation,
        property: &str,
        caller: &Caller,
        rules: &Rules,
        dialect: Dialect,
    ) -> bool {
        let Some(sections) = &self.sections else { return true };
        // Ahead of every section, so that no expression of the operator's can stop the service itself.
        if property.starts_with(RESERVED) {
            return true;
        }
        let Some(section) = sections.iter().find(|section| section.name.is_match(property)) else {
            return false;
        };
        let [create, read, update, delete] = &section.permissions;
        let permission = match operation {
            Operation::Create => create,
            Operation::Read => read,
            Operation::Update => update,
            Operation::Delete => delete,
        };
        match permission {
            Permission::Everybody => true,
            Permission::Nobody => false,
            Permission::Roles(roles) => {
                roles.iter().any(|role| caller.has_role(role) || caller.service_roles.contains(role))
            }
            Permission::Rule(name) => rules.passes(dialect, name, caller, true),
        }
    }

    /// Names of the policy rules the file refers to.
    pub fn rule_names(&self) -> BTreeSet<&str> {
        let permissions = self.sections.iter().flatten().flat_map(|section| &section.permissions);
        permissions
            .filter_map(|permission| match permission {
                Permission::Rule(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

fn parse_section(
    header: &str,
    options: &Options,
    format: RuleFormat,
    warnings: &mut Vec<String>,
) -> Result<Section, String> {
    let name = RegexBuilder::new(header)
        .size_limit(REGEX_SIZE)
        .build()
        .map_err(|error| format!("section [{header}] is not a regular expression: {error}"))?;
    let mut permission = |operation: Operation| {
        let key = operation.key();
        let value = options.get(key).ok_or_else(|| format!("section [{header}] has no key '{key}'"))?;
        let value = unescape(value.trim())
            .ok_or_else(|| format!("section [{header}], key '{key}': '%' must be written '%%'"))?;
        if value.is_empty() {
            warnings.push(format!("section [{header}], key '{key}' is empty, so nobody may {key}"));
        }
        parse_permission(&value, format)
            .map_err(|reason| format!("section [{header}], key '{key}': {reason}"))
    };
    let [create, read, update, delete] = Operation::ALL;
    let permissions = [permission(create)?, permission(read)?, permission(update)?, permission(delete)?];
    Ok(Section { name, permissions })
}

fn parse_permission(value: &str, format: RuleFormat) -> Result<Permission, String> {
    if format == RuleFormat::Policies && value.contains(',') {
        return Err("only one policy rule can be named".to_owned());
    }
    let words: Vec<&str> = value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    Ok(match (words.contains(&"@"), words.contains(&"!")) {
        (true, true) => return Err("'@' and '!' exclude each other".to_owned()),
        (_, true) => Permission::Nobody,
        (true, _) => Permission::Everybody,
        _ if words.is_empty() => Permission::Nobody,
        _ if format == RuleFormat::Policies => Permission::Rule(value.to_owned()),
        _ => Permission::Roles(words.into_iter().map(str::to_lowercase).collect()),
    })
}

/// `%` starts an interpolation in these files; nothing but the escaped sign itself is of use here.
fn unescape(value: &str) -> Option<String> {
    let plain = value.replace("%%", "\0");
    (!plain.contains('%')).then(|| plain.replace('\0', "%"))
}

type Options = BTreeMap<String, String>;

/// The section whose options count in every other one.
const SHARED: &str = "DEFAULT";

#[derive(Default)]
struct Ini {
    sections: Vec<(String, Options)>,
    /// Index of the section that is being read.
    section: Option<usize>,
    /// Key and indentation of the option that is being read; deeper lines continue it.
    option: Option<(String, usize)>,
}

/// Sections in file order, as strict as `configparser`: nothing twice, nothing before the first section.
fn parse_ini(text: &str) -> Result<Vec<(String, Options)>, String> {
    let mut ini = Ini::default();
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.trim();
        if !words.is_empty() && !words.starts_with(['#', ';']) {
            let indent = line.len() - line.trim_start().len();
            ini.read(words, indent).map_err(|reason| format!("line {number}: {reason}"))?;
        }
    }
    let (shared, mut sections): (Vec<_>, Vec<_>) =
        ini.sections.into_iter().partition(|(header, _)| header == SHARED);
    for (_, options) in &mut sections {
        for (key, value) in shared.iter().flat_map(|(_, options)| options) {
            options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(sections)
}

impl Ini {
    fn read(&mut self, words: &str, indent: usize) -> Result<(), String> {
        let options = self.section.and_then(|at| self.sections.get_mut(at)).map(|(_, options)| options);
        if let (Some(options), Some((key, level))) = (options, &self.option)
            && indent > *level
        {
            let value = options.entry(key.clone()).or_default();
            value.push('\n');
            value.push_str(words);
            return Ok(());
        }
        if let Some((header, _)) = words.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            return self.start_section(header);
        }
        self.start_option(words, indent)
    }

    fn start_section(&mut self, header: &str) -> Result<(), String> {
        let known = self.sections.iter().position(|(name, _)| name == header);
        if header.is_empty() || (known.is_some() && header != SHARED) {
            return Err(format!("section [{header}] has no name or is there twice"));
        }
        self.option = None;
        self.section = known.or(Some(self.sections.len()));
        if known.is_none() {
            self.sections.push((header.to_owned(), Options::new()));
        }
        Ok(())
    }

    fn start_option(&mut self, words: &str, indent: usize) -> Result<(), String> {
        let Some((header, options)) = self.section.and_then(|at| self.sections.get_mut(at)) else {
            return Err("there is no section yet".to_owned());
        };
        let (key, value) = words
            .split_once(['=', ':'])
            .ok_or_else(|| format!("section [{header}]: neither a section nor 'key = value'"))?;
        let key = key.trim().to_lowercase();
        if options.insert(key.clone(), value.trim().to_owned()).is_some() {
            return Err(format!("section [{header}]: key '{key}' is there twice"));
        }
        self.option = Some((key, indent));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
