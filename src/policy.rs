//! The rules in force: defaults, overrides from files, and their reload when a file changes.
//!
//! The policy file is looked at again at most every 250 ms, by whichever request comes next; nothing runs in
//! the background, but for a look that is asked for. A new file that cannot be read leaves the rules as they were. The
//! protection file is read once.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use tracing::{error, info, warn};

use crate::config;
use crate::domain::policy::{Problem, Rules};
use crate::domain::protection::Protections;

/// Least time between two looks at the policy file; a changed rule counts after this at the latest (OPS-016).
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Rule texts by name.
type Texts = BTreeMap<String, String>;

/// Why the service cannot start with its policy files.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is there but means nothing.
    #[error("{} is not valid: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Shared access to the rules in force. Clones are cheap and see the same rules.
#[derive(Debug, Clone)]
pub struct PolicyHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rules: RwLock<Arc<Rules>>,
    protections: Arc<Protections>,
    /// None: no policy file, so nothing ever changes.
    watch: Option<Mutex<Watch>>,
}

#[derive(Debug)]
struct Watch {
    path: PathBuf,
    /// The rules as last read, to tell a changed file from a touched one.
    texts: Texts,
    /// The file as it was when last read; none where it could not be looked at.
    seen: Option<Stamp>,
    /// Whether the file was read once more after it last changed. Two writes within one tick of the file system's
    /// clock leave the same stamp, so the first reading may be of half a file or of one already replaced.
    settled: bool,
    next_look: Instant,
}

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    len: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            len: file.len(),
            inode: (file.dev(), file.ino()),
        }
    }
}

impl PolicyHandle {
    /// Reads the files that the configuration names. Fails if one of them is missing or malformed (OPS-013).
    pub fn load(config: &config::Policy) -> Result<Self, LoadError> {
        let protections = match &config.property_protection_file {
            Some(path) => read_protections(path, config.property_protection_rule_format)?,
            None => Protections::none(),
        };
        let (rules, watch) = match &config.file {
            Some(path) => {
                let watch = Watch::start(path)?;
                let (rules, problems) = Rules::with_overrides(&watch.texts);
                warn_of_problems(&problems, path, &protections);
                (rules, Some(Mutex::new(watch)))
            }
            None => (Rules::defaults(), None),
        };
        warn_of_missing_rules(&protections, &rules);
        let inner = Inner { rules: RwLock::new(Arc::new(rules)), protections: Arc::new(protections), watch };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The default rules and no protections.
    pub fn defaults() -> Self {
        let inner = Inner {
            rules: RwLock::new(Arc::new(Rules::defaults())),
            protections: Arc::new(Protections::none()),
            watch: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The rules in force now. A request should ask once and keep the answer, so that it is judged by one set.
    pub fn rules(&self) -> Arc<Rules> {
        self.inner.look(Instant::now());
        Arc::clone(&self.inner.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rules of the policy file that cannot be parsed, and so deny everybody.
    pub fn unparsable(&self) -> Vec<Problem> {
        let Some(watch) = &self.inner.watch else { return Vec::new() };
        let watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, mut problems) = Rules::with_overrides(&watch.texts);
        problems.retain(|problem| matches!(problem, Problem::Unparsable { .. }));
        problems
    }

    /// Reads the policy file now, whether or not it looks changed.
    pub fn reread(&self) {
        let Some(watch) = &self.inner.watch else { return };
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.seen = stamp(&watch.path);
        watch.settled = false;
        if watch.read(true) {
            self.inner.take_over(&watch);
        }
    }

    /// The property protections in force.
    pub fn protections(&self) -> Arc<Protections> {
        Arc::clone(&self.inner.protections)
    }
}

impl Watch {
    fn start(path: &Path) -> Result<Self, LoadError> {
        // The stamp first: a change between the two is then seen at the next look.
        let seen = stamp(path);
        let texts = read_texts(path)?;
        let next_look = Instant::now() + LOOK_EVERY;
        Ok(Self { path: path.to_owned(), texts, seen, settled: false, next_look })
    }

    /// Looks at the file and returns whether its rules changed. A file that became unusable is logged once.
    fn look(&mut self, now: Instant) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK_EVERY;
        let current = stamp(&self.path);
        let changed = current != self.seen;
        if !changed && (self.settled || current.is_none()) {
            return false;
        }
        self.seen = current;
        self.settled = !changed;
        self.read(changed)
    }

    /// Reads the file and returns whether its rules changed. One that cannot be used is logged where that is `news`.
    fn read(&mut self, news: bool) -> bool {
        match read_texts(&self.path) {
            Ok(texts) if texts != self.texts => {
                self.texts = texts;
                true
            }
            Ok(_) => false,
            Err(error) => {
                if news {
                    error!("policy file cannot be used, the rules stay as they were: {error}");
                }
                false
            }
        }
    }
}

impl Inner {
    /// Takes over a changed policy file, if it is time to look and nobody else is looking.
    fn look(&self, now: Instant) {
        let mut watch = match self.watch.as_ref().map(Mutex::try_lock) {
            Some(Ok(watch)) => watch,
            Some(Err(TryLockError::Poisoned(poisoned))) => poisoned.into_inner(),
            Some(Err(TryLockError::WouldBlock)) | None => return,
        };
        if watch.look(now) {
            self.take_over(&watch);
        }
    }

    /// Puts the rules in force that a look has found.
    fn take_over(&self, watch: &Watch) {
        let path = &watch.path;
        let (rules, problems) = Rules::with_overrides(&watch.texts);
        info!("policy file {} has changed and was read again", path.display());
        warn_of_problems(&problems, path, &self.protections);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|file| Stamp::of(&file))
}

fn read_protections(path: &Path, format: config::RuleFormat) -> Result<Protections, LoadError> {
    let text = read_file(path)?;
    let (protections, warnings) = Protections::parse(&text, format)
        .map_err(|reason| LoadError::Invalid { path: path.to_owned(), reason })?;
    for warning in warnings {
        warn!("property protection file {}: {warning}", path.display());
    }
    Ok(protections)
}

fn warn_of_problems(problems: &[Problem], path: &Path, protections: &Protections) {
    let named = protections.rule_names();
    for problem in problems {
        match problem {
            Problem::Unknown { rule } if named.contains(rule.as_str()) => {}
            Problem::Unparsable { .. } => error!("policy file {}: {problem}", path.display()),
            _ => warn!("policy file {}: {problem}", path.display()),
        }
    }
}

fn warn_of_missing_rules(protections: &Protections, rules: &Rules) {
    for name in protections.rule_names().into_iter().filter(|name| !rules.has(name)) {
        warn!(
            "property protections refer to policy rule '{name}', which does not exist and so denies everybody"
        );
    }
}

fn read_texts(path: &Path) -> Result<Texts, LoadError> {
    let text = read_file(path)?;
    parse_texts(&text).map_err(|reason| LoadError::Invalid { path: path.to_owned(), reason })
}

fn read_file(path: &Path) -> Result<String, LoadError> {
    let read = || {
        let file = fs::File::open(path)?;
        let mut text = String::new();
        file.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
        }
        Ok(text)
    };
    read().map_err(|source| LoadError::Read { path: path.to_owned(), source })
}

/// Reads a flat map of rules, YAML or JSON. A value of another kind than text becomes its JSON form: lists of lists
/// are the old form of rules, the rest is no rule and is reported as such.
fn parse_texts(text: &str) -> Result<Texts, String> {
    let options =
        serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, with_snippet: false };
    let values: Option<BTreeMap<String, Value>> = match serde_json::from_str(text) {
        Ok(values) => values,
        Err(_) => serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?,
    };
    let text_of = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(values.unwrap_or_default().into_iter().map(|(name, value)| (name, text_of(value))).collect())
}

#[cfg(test)]
mod tests;
