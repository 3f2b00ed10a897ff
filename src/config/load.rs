//! Reading and printing the configuration: a base < TOML file < environment `VITRINE__SECTION__KEY`.
//!
//! Environment values arrive as text. What they become is decided by the key they are for, never by how they
//! look, so that a bucket or a password of digits stays text. Every problem is one line that names the key and
//! where it came from; no message repeats the value of a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use secrecy::SecretString;
use url::Url;

use super::Config;
use super::secret_files;
use super::shape::Shape;
use super::validate::validate;

const PREFIX: &str = "VITRINE__";

/// Why a configuration cannot be used: every problem found, each one line.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<String>) -> Self {
        Self { problems }
    }

    fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }

    /// The problems, in the order they were found.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks the configuration of `file` and the environment over the built-in defaults.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    load_over(&Config::default(), file)
}

/// As [`load`], with `base` in place of the built-in defaults. Secrets of the base hold until file or environment
/// set them, and `DATABASE_URL` replaces its database.
pub fn load_over(base: &Config, file: Option<&Path>) -> Result<Config, ConfigError> {
    let config = read_over(base, file)?;
    validate(&config)?;
    Ok(config)
}

/// As [`load_over`] without the checks, for subcommands that show the configuration or need little of it.
pub fn read_over(base: &Config, file: Option<&Path>) -> Result<Config, ConfigError> {
    let text = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| ConfigError::one(format!("cannot read {}: {e}", path.display())))?;
            Some((path, text))
        }
        None => None,
    };
    read(base, text.as_ref().map(|(path, text)| (*path, text.as_str())), environment()?)
}

/// The variables that concern us.
fn environment() -> Result<BTreeMap<String, String>, ConfigError> {
    let mut ours = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|n| n.starts_with(PREFIX) || *n == "DATABASE_URL") else {
            continue;
        };
        let value = value
            .into_string()
            .map_err(|_| ConfigError::one(format!("environment variable {name} is not valid UTF-8")))?;
        ours.insert(name.to_owned(), value);
    }
    Ok(ours)
}

fn read(
    base: &Config,
    file: Option<(&Path, &str)>,
    mut env: BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let shape = Shape::new();
    let database_url = env.remove("DATABASE_URL").filter(|url| !url.is_empty());
    let mut problems = Vec::new();
    let mut figment = Figment::from(Source { name: "default".to_owned(), dict: without_secrets(base)? });
    if let Some((path, text)) = file {
        figment = figment.merge(file_source(&shape, path, text, &mut problems));
    }
    figment = figment.merge(env_source(&shape, &env, &mut problems));
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let mut config: Config = figment.extract().map_err(|e| type_errors(&e))?;
    resolve_secrets(&mut config, base, database_url)?;
    if config.default_store.is_none() && config.stores.len() == 1 {
        config.default_store = config.stores.keys().next().cloned();
    }
    Ok(config)
}

/// One layer of values and what to call it.
struct Source {
    name: String,
    dict: Dict,
}

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

const ENVIRONMENT: &str = "environment";

fn type_errors(error: &figment::Error) -> ConfigError {
    let line = |e: &figment::Error| {
        let origin = match &e.metadata {
            Some(m) if m.name == ENVIRONMENT => format!("environment variable {}", variable(&e.path)),
            Some(m) => m.name.to_string(),
            None => "default".to_owned(),
        };
        format!("`{}`: {} ({origin})", e.path.join("."), e.kind)
    };
    ConfigError { problems: error.clone().into_iter().map(|e| line(&e)).collect() }
}

fn variable(path: &[String]) -> String {
    let keys: Vec<_> = path.iter().map(|key| key.to_uppercase()).collect();
    format!("{PREFIX}{}", keys.join("__"))
}

fn file_source(shape: &Shape, path: &Path, text: &str, problems: &mut Vec<String>) -> Source {
    let name = path.display().to_string();
    let dict = match toml::from_str::<toml::Table>(text) {
        Ok(table) => Value::serialize(table).ok().and_then(Value::into_dict).unwrap_or_default(),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            problems.push(format!("{name}, line {line}: {}", error.message().replace('\n', " ")));
            Dict::new()
        }
    };
    for key in shape.unknown_keys(&dict) {
        problems.push(shape.unknown(&key, &name));
    }
    Source { name, dict }
}

/// Variables that are set but empty count as unset: templates of deployments leave such behind.
fn env_source(shape: &Shape, env: &BTreeMap<String, String>, problems: &mut Vec<String>) -> Source {
    let mut dict = Dict::new();
    for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let origin = format!("environment variable {name}");
        match shape.find(&path) {
            None => problems.push(shape.unknown(&path, &origin)),
            Some(kind) => match typed(kind, text) {
                Ok(value) => insert(&mut dict, &path, value),
                Err(problem) => problems.push(format!("`{}`: {problem} ({origin})", path.join("."))),
            },
        }
    }
    Source { name: ENVIRONMENT.to_owned(), dict }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let section = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = section {
                insert(inner, rest, value);
            }
        }
    }
}

/// `text` as the kind of value that `sample` is.
fn typed(sample: &Value, text: &str) -> Result<Value, String> {
    match sample {
        Value::Bool(..) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true.into()),
            "false" | "no" | "off" | "0" => Ok(false.into()),
            _ => Err("expected true or false".to_owned()),
        },
        Value::Num(..) => {
            text.trim().parse::<i64>().map(Value::from).map_err(|_| "expected a whole number".to_owned())
        }
        Value::Array(_, samples) => {
            let sample = samples.first().ok_or("a list without a kind")?;
            let items = items(text)?;
            let items: Result<Vec<Value>, String> = items.iter().map(|item| typed(sample, item)).collect();
            Ok(items?.into())
        }
        Value::Dict(..) => Err("this is a section, set its keys one by one".to_owned()),
        _ => Ok(text.into()),
    }
}

/// The items of a list: a TOML array, or words between commas.
fn items(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    if !text.starts_with('[') {
        return Ok(text.split(',').map(str::trim).filter(|i| !i.is_empty()).map(str::to_owned).collect());
    }
    let parsed: Result<BTreeMap<String, Vec<toml::Value>>, _> = toml::from_str(&format!("list = {text}"));
    let list = parsed.ok().and_then(|mut table| table.remove("list"));
    let list = list.ok_or("expected a list: [\"a\", \"b\"] or a,b")?;
    Ok(list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect())
}

/// One secret of the tree with its twin.
struct Secret<'a> {
    key: String,
    value: &'a mut Option<SecretString>,
    file: Option<&'a PathBuf>,
}

fn secrets(config: &mut Config) -> Vec<Secret<'_>> {
    let mut all = vec![
        Secret {
            key: "database.url".to_owned(),
            value: &mut config.database.url,
            file: config.database.url_file.as_ref(),
        },
        Secret {
            key: "identity.keystone.password".to_owned(),
            value: &mut config.identity.keystone.password,
            file: config.identity.keystone.password_file.as_ref(),
        },
        Secret {
            key: "notifications.webhook.secret".to_owned(),
            value: &mut config.notifications.webhook.secret,
            file: config.notifications.webhook.secret_file.as_ref(),
        },
        Secret {
            key: "notifications.amqp.url".to_owned(),
            value: &mut config.notifications.amqp.url,
            file: config.notifications.amqp.url_file.as_ref(),
        },
    ];
    for (id, store) in &mut config.stores {
        all.push(Secret {
            key: format!("stores.{id}.access_key"),
            value: &mut store.access_key,
            file: store.access_key_file.as_ref(),
        });
        all.push(Secret {
            key: format!("stores.{id}.secret_key"),
            value: &mut store.secret_key,
            file: store.secret_key_file.as_ref(),
        });
    }
    all
}

/// The base as a layer. Secrets never pass through serialisation; [`resolve_secrets`] carries them over.
fn without_secrets(base: &Config) -> Result<Dict, ConfigError> {
    let mut base = base.clone();
    for secret in secrets(&mut base) {
        *secret.value = None;
    }
    let value = Value::serialize(base).map_err(|e| type_errors(&e))?;
    Ok(value.into_dict().unwrap_or_default())
}

fn resolve_secrets(
    config: &mut Config,
    base: &Config,
    database_url: Option<String>,
) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    for Secret { key, value, file } in secrets(config) {
        match (&value, file) {
            (Some(_), Some(_)) => problems.push(format!("both `{key}` and `{key}_file` are set")),
            (None, Some(path)) => match secret_files::read(path) {
                Ok(secret) => *value = Some(secret),
                Err(e) => problems.push(format!("`{key}_file`: cannot read {}: {e}", path.display())),
            },
            _ => {}
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    if config.database.url.is_none() {
        config.database.url = database_url.map(SecretString::from);
    }
    let mut base = base.clone();
    let known: BTreeMap<_, _> = secrets(&mut base).into_iter().map(|s| (s.key, s.value.take())).collect();
    for Secret { key, value, .. } in secrets(config) {
        if value.is_none() {
            *value = known.get(&key).cloned().flatten();
        }
    }
    Ok(())
}

const REDACTED: &str = "[redacted]";

/// The configuration as TOML. Secrets read `[redacted]`, also passwords inside URLs.
pub fn print(config: &Config) -> String {
    use secrecy::ExposeSecret;

    let Ok(mut table) = toml::Table::try_from(config) else {
        return String::new();
    };
    table.iter_mut().for_each(|(_, value)| redact_urls(value));
    let database = table.get_mut("database").and_then(|section| section.get_mut("url"));
    if let (Some(shown), Some(url)) = (database, &config.database.url) {
        *shown = toml::Value::String(database_url(url.expose_secret()));
    }
    toml::to_string(&table).unwrap_or_default()
}

/// A connection string that shows where it leads. What is not a plain URL is not shown at all.
fn database_url(text: &str) -> String {
    match without_password(text) {
        Some(url) if !url.query().unwrap_or_default().contains("password") => {
            url.as_str().replace("%5Bredacted%5D", REDACTED)
        }
        _ => REDACTED.to_owned(),
    }
}

fn without_password(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok().filter(Url::has_host)?;
    if url.password().is_some() {
        url.set_password(Some(REDACTED)).ok()?;
    }
    Some(url)
}

fn redact_urls(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, v)| redact_urls(v)),
        toml::Value::Array(list) => list.iter_mut().for_each(redact_urls),
        toml::Value::String(text) if text.contains("://") && text.contains('@') => *text = database_url(text),
        _ => {}
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
