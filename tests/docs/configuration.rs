//! `docs/reference/configuration.md`: every key with its kind, its default, and what the code says of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use syn::{
    Attribute, Expr, Fields, GenericArgument, Item, ItemEnum, ItemStruct, Lit, Meta, PathArguments, Type,
};
use toml::{Table, Value};
use vitrine::config::{Config, Store, load};

use super::{assert_current, cell};

/// The files that the tree is declared in.
const SOURCES: [&str; 5] = ["mod.rs", "identity.rs", "import.rs", "notifications.rs", "units.rs"];

#[derive(Default)]
struct Declared {
    structs: BTreeMap<String, ItemStruct>,
    enums: BTreeMap<String, ItemEnum>,
}

fn declared() -> Declared {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let mut declared = Declared::default();
    for source in SOURCES {
        let text = fs::read_to_string(folder.join(source)).unwrap();
        for item in syn::parse_file(&text).unwrap().items {
            match item {
                Item::Struct(item) => drop(declared.structs.insert(item.ident.to_string(), item)),
                Item::Enum(item) => drop(declared.enums.insert(item.ident.to_string(), item)),
                _ => {}
            }
        }
    }
    declared
}

/// The doc comment.
fn doc(attributes: &[Attribute]) -> String {
    let lines =
        attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
            let Meta::NameValue(pair) = &attribute.meta else { return None };
            let Expr::Lit(literal) = &pair.value else { return None };
            let Lit::Str(text) = &literal.lit else { return None };
            Some(text.value())
        });
    cell(&lines.collect::<Vec<_>>().join(" "))
}

/// The doc comment of a section, which begins with its name.
fn about(attributes: &[Attribute]) -> String {
    let text = doc(attributes);
    let rest = text.split_once("`: ").map_or(text.as_str(), |(_, rest)| rest);
    let mut letters = rest.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Name of a type, and its last parameter.
fn named(of: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = of else { panic!("a key of an unexpected kind") };
    let last = path.path.segments.last().unwrap();
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.last() {
            Some(GenericArgument::Type(inner)) => Some(inner),
            _ => None,
        },
        _ => None,
    };
    (last.ident.to_string(), inner)
}

impl Declared {
    /// What values a key takes, in words.
    fn kind(&self, of: &Type) -> String {
        let (name, inner) = named(of);
        match (name.as_str(), inner) {
            ("Option", Some(inner)) => self.kind(inner),
            ("Vec", Some(inner)) => format!("list of {}", self.kind(inner)),
            ("BTreeMap", Some(inner)) => format!("table of {}", self.kind(inner)),
            ("bool", _) => "boolean".to_owned(),
            ("usize" | "u16" | "u32" | "i32" | "i64", _) => "integer".to_owned(),
            ("String", _) => "text".to_owned(),
            ("SecretString", _) => "secret text".to_owned(),
            ("PathBuf", _) => "file".to_owned(),
            ("Duration", _) => "duration".to_owned(),
            ("ByteSize", _) => "size".to_owned(),
            ("SocketAddr", _) => "address".to_owned(),
            ("IpNet", _) => "network".to_owned(),
            _ => self.words(&name),
        }
    }

    /// The words of an enumeration.
    fn words(&self, name: &str) -> String {
        let item = self.enums.get(name).unwrap_or_else(|| panic!("nothing is known of type {name}"));
        let snake = item.attrs.iter().any(|attribute| {
            matches!(&attribute.meta, Meta::List(list) if list.tokens.to_string().contains("snake_case"))
        });
        let word = |variant: &syn::Variant| {
            let mut word = String::new();
            for c in variant.ident.to_string().chars() {
                if snake && c.is_uppercase() && !word.is_empty() {
                    word.push('_');
                }
                word.extend(c.to_lowercase());
            }
            format!("`{word}` ({})", doc(&variant.attrs).trim_end_matches('.'))
        };
        item.variants.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    /// Rows of one section, and the sections in it.
    fn section(&self, name: &str, path: &str, defaults: &Table, page: &mut String) {
        let item = &self.structs[name];
        let Fields::Named(fields) = &item.fields else { panic!("{name} has no named fields") };
        let heading = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
        writeln!(page, "\n## {heading}\n\n{}\n", about(&item.attrs)).unwrap();
        page.push_str("| key | kind | default | is |\n|---|---|---|---|\n");
        let mut sections = Vec::new();
        for field in &fields.named {
            let key = field.ident.as_ref().unwrap().to_string();
            let (kind, inner) = named(&field.ty);
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if self.structs.contains_key(&kind) && kind != "ByteSize" {
                sections.push((kind, below, table(defaults.get(&key))));
                continue;
            }
            if let Some(inner) = inner.map(|inner| named(inner).0).filter(|_| kind == "BTreeMap")
                && self.structs.contains_key(&inner)
            {
                sections.push((inner, format!("{below}.<id>"), store_defaults()));
                continue;
            }
            let default = defaults.get(&key).map_or_else(String::new, |value| format!("`{}`", shown(value)));
            writeln!(
                page,
                "| `{key}` | {} | {} | {} |",
                self.kind(&field.ty),
                cell(&default),
                doc(&field.attrs)
            )
            .unwrap();
        }
        for (kind, path, defaults) in sections {
            self.section(&kind, &path, &defaults, page);
        }
    }
}

fn table(value: Option<&Value>) -> Table {
    value.and_then(Value::as_table).cloned().unwrap_or_default()
}

fn store_defaults() -> Table {
    Table::try_from(Store::default()).unwrap()
}

fn shown(value: &Value) -> String {
    value.to_string()
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    let mut page = "# Configuration\n\nBuilt-in defaults < the TOML file named by `--config` or `VITRINE_CONFIG` < environment \
        `VITRINE__SECTION__KEY`. An unknown key is an error that names the nearest known one. `vitrine config print` shows what is in \
        force, secrets left out. Durations are written `90s`, `15m`, `48h`, `30d`; sizes `512MiB` or in bytes.\n"
        .to_owned();
    let defaults: Table = load::print(&Config::default()).parse().unwrap();
    declared().section("Config", "", &defaults, &mut page);
    assert_current("configuration.md", &page);
}
