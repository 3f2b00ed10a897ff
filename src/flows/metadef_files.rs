//! Metadata definitions in files: loading and exporting them (metadefs.md §13). Neither policy nor protection applies;
//! who can run these commands has the database.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::catalog::metadefs::{Loaded, MergeMode};
use crate::catalog::{self, Catalog};
use crate::domain::json_lines::line_of;
use crate::domain::metadef::document::{of_file, to_file};
use crate::domain::metadef::{
    Contents, Definitions, Namespace, NamespaceQuery, NamespaceScope, NamespaceSortKey,
};
use crate::domain::query::SortDirection;

/// Largest file of definitions that is read.
const LARGEST: u64 = 8 * 1024 * 1024;
/// Namespaces that are looked up at a time.
const PAGE: u32 = 500;
/// Longest name of an exported file in bytes, without what makes it unique; file systems allow 255.
const LONGEST_NAME: usize = 200;

/// Why a file, or a part of it, was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Line of the file, from 1, where the reason has one.
    pub line: Option<usize>,
    /// Why, for the operator.
    pub reason: String,
}

impl Refused {
    fn new(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into() }
    }

    fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
}

/// What became of one file: the name of its namespace and what loading did, or why nothing of it was loaded.
pub type FileOutcome = Result<(String, Loaded), Refused>;

/// The files of definitions at `path`: itself, or everything called `*.json` in the directory, in the order of the bytes
/// of the names.
///
/// # Errors
/// When there is nothing at `path`, or no file in it.
pub fn files_at(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "there is no *.json file in {}", path.display());
    files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(files)
}

/// Loads files one by one, each in a transaction of its own, and tells `report` what became of each. Gives the number of
/// those that were refused.
///
/// # Errors
/// When the database fails; what was reported before is loaded.
pub async fn load_files(
    catalog: &Catalog,
    files: &[PathBuf],
    mode: MergeMode,
    mut report: impl FnMut(&Path, &FileOutcome),
) -> anyhow::Result<usize> {
    let mut refused = 0;
    let mut seen: HashMap<String, &Path> = HashMap::new();
    for file in files {
        let outcome = match read(file).and_then(|text| Ok((definitions(&text)?, text))) {
            Err(reason) => Err(reason),
            Ok((definitions, text)) => {
                let name = &definitions.namespace.namespace;
                match seen.get(name) {
                    Some(other) => Err(Refused::at(
                        line_of(&text, "/namespace"),
                        format!("namespace {name} is in {} already", other.display()),
                    )),
                    None => {
                        seen.insert(name.clone(), file);
                        load(catalog, &definitions, mode)
                            .await
                            .with_context(|| format!("cannot load {}", file.display()))?
                    }
                }
            }
        };
        refused += usize::from(outcome.is_err());
        report(file, &outcome);
    }
    Ok(refused)
}

/// Loads the text of a file that is part of the program.
///
/// # Errors
/// When the database fails, or the text does not fit.
pub async fn load_text(catalog: &Catalog, text: &str, mode: MergeMode) -> anyhow::Result<Loaded> {
    let (_, loaded) = load(catalog, &definitions(text)?, mode).await??;
    Ok(loaded)
}

async fn load(catalog: &Catalog, definitions: &Definitions, mode: MergeMode) -> catalog::Result<FileOutcome> {
    match catalog.load_definitions(definitions, mode).await {
        Ok(loaded) => Ok(Ok((definitions.namespace.namespace.clone(), loaded))),
        Err(error) => match error.kind {
            catalog::ErrorKind::Duplicate => {
                Ok(Err(Refused::new("two resource types, objects or tags in it have the same name")))
            }
            catalog::ErrorKind::OutOfRange => Ok(Err(Refused::new("a value in it cannot be stored"))),
            _ => Err(error),
        },
    }
}

/// The text of a file. Nothing but a file is opened: a pipe could keep the command waiting for ever.
fn read(file: &Path) -> Result<String, Refused> {
    let failed = |error: io::Error| Refused::new(format!("cannot be read: {error}"));
    if !fs::metadata(file).map_err(failed)?.is_file() {
        return Err(Refused::new("is no file"));
    }
    let mut bytes = Vec::new();
    File::open(file).and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Refused::new(format!("is larger than {} MiB", LARGEST / (1024 * 1024))));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Refused::at(line, "is not UTF-8")
    })
}

fn definitions(text: &str) -> Result<Definitions, Refused> {
    let document: Value = serde_json::from_str(text)
        .map_err(|error| Refused::at(error.line(), format!("is not JSON: {error}")))?;
    let refused = |pointer: &str, reason: &str| {
        let place = if pointer.is_empty() { "the document" } else { pointer };
        Refused::at(line_of(text, pointer), format!("{place}: {reason}"))
    };
    of_file(&document).map_err(|misfit| refused(&misfit.pointer, &misfit.reason))
}

/// Writes every namespace to a file of its own in `directory`, which is made where it does not exist, and tells `report`
/// of each. Nothing that exists is overwritten: then nothing is written at all.
///
/// # Errors
/// When a file of that name exists or cannot be written, or the database fails.
pub async fn export(
    catalog: &Catalog,
    directory: &Path,
    mut report: impl FnMut(&Namespace, &Path),
) -> anyhow::Result<()> {
    let namespaces = all_namespaces(catalog).await?;
    let files: Vec<PathBuf> = file_names(&namespaces).iter().map(|name| directory.join(name)).collect();
    fs::create_dir_all(directory).with_context(|| format!("cannot write to {}", directory.display()))?;
    if let Some(file) = files.iter().find(|file| file.symlink_metadata().is_ok()) {
        bail!("{} exists already; nothing was exported", file.display());
    }
    for (namespace, file) in namespaces.iter().zip(&files) {
        let whole = catalog.whole_namespace(namespace.id).await.context("database")?;
        let whole = whole.filter(|(now, _)| now.fields.namespace == namespace.fields.namespace);
        let whole = whole.with_context(|| {
            format!("namespace {} was taken away meanwhile: export again", namespace.fields.namespace)
        })?;
        let document = to_file(&definitions_of(whole));
        let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
        write(file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))?;
        report(namespace, file);
    }
    Ok(())
}

async fn all_namespaces(catalog: &Catalog) -> anyhow::Result<Vec<Namespace>> {
    let mut all: Vec<Namespace> = Vec::new();
    let mut query = NamespaceQuery {
        scope: NamespaceScope::All,
        visibility: None,
        resource_types: Vec::new(),
        sort: NamespaceSortKey::Namespace,
        direction: SortDirection::Ascending,
        marker: None,
        limit: PAGE,
    };
    loop {
        let page = catalog.namespaces(&query).await.context("database")?;
        let page = page.context("a namespace was deleted meanwhile: export again")?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        query.marker = Some(last.fields.namespace.clone());
        all.extend(page.into_iter().map(|(namespace, _)| namespace));
    }
}

fn definitions_of((namespace, contents): (Namespace, Contents)) -> Definitions {
    Definitions {
        namespace: namespace.fields,
        associations: contents.associations.into_iter().map(|one| one.fields).collect(),
        objects: contents.objects.into_iter().map(|one| one.fields).collect(),
        tags: contents.tags.into_iter().map(|one| one.name).collect(),
        properties: contents.properties,
    }
}

/// A name for the file of each: the word characters of its display name, or else of its name, and a number where others
/// have the same. Names that differ in case alone count as the same.
fn file_names(namespaces: &[Namespace]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut names = Vec::new();
    for namespace in namespaces {
        let display_name = namespace.fields.display_name.as_deref().unwrap_or_default();
        let stem = [display_name, &namespace.fields.namespace]
            .into_iter()
            .map(word_characters)
            .find(|stem| !stem.is_empty())
            .unwrap_or_else(|| "namespace".to_owned());
        let mut name = stem.clone();
        let mut number = 1;
        while !taken.insert(name.to_lowercase()) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        names.push(format!("{name}.json"));
    }
    names
}

fn word_characters(text: &str) -> String {
    let mut word = String::new();
    for c in text.chars().filter(|c| c.is_alphanumeric() || *c == '_') {
        if word.len() + c.len_utf8() > LONGEST_NAME {
            break;
        }
        word.push(c);
    }
    word
}

/// Writes a new file in one step; neither it nor its beginnings take the place of anything.
fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let mut new = File::create_new(&part)?;
    let written = new.write_all(text).and_then(|()| new.sync_all()).and_then(|()| fs::hard_link(&part, file));
    let _ = fs::remove_file(&part);
    written
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::domain::metadef::NamespaceFields;

    fn named(namespace: &str, display_name: Option<&str>) -> Namespace {
        Namespace {
            id: 1,
            fields: NamespaceFields {
                namespace: namespace.to_owned(),
                display_name: display_name.map(str::to_owned),
                description: None,
                visibility: None,
                protected: None,
                owner: "admin".to_owned(),
            },
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: None,
        }
    }

    #[test]
    fn files_are_named_after_what_users_read() {
        let namespaces = [
            named("OS::A", Some("Guest Memory (RAM)")),
            named("OS::B::Köln", None),
            named("OS::C", Some("../../etc/passwd")),
            named("OS::D", Some("guest_memory")),
            named("OS::E", Some("Guest_Memory")),
            named("OS::F", Some("guest memory ram")),
            named("..", Some("/")),
            named("::", None),
            named("x", Some(&"ß".repeat(150))),
        ];
        let names = file_names(&namespaces);
        let long = format!("{}.json", "ß".repeat(100));
        assert_eq!(
            names,
            [
                "GuestMemoryRAM.json",
                "OSBKöln.json",
                "etcpasswd.json",
                "guest_memory.json",
                "Guest_Memory-2.json",
                "guestmemoryram-2.json",
                "namespace.json",
                "namespace-2.json",
                &long
            ]
        );
    }

    #[test]
    fn refusals_name_the_line() {
        let refused = |text: &str| definitions(text).map(drop).map_err(|refused| refused.line);
        assert_eq!(refused("{\n \"namespace\": \"n\",\n}"), Err(Some(3)));
        assert_eq!(refused("{\n \"namespace\": \"n\",\n \"colour\": 1}"), Err(Some(3)));
        assert_eq!(refused("\n\n{}"), Err(Some(3)));
        let twice = "{\"namespace\": \"n\", \"objects\": [\n{\"name\": \"o\"},\n{\"name\": \"o\"}]}";
        assert_eq!(refused(twice), Err(Some(3)));
        assert_eq!(refused("{\"namespace\": \"n\"}"), Ok(()));
    }
}
