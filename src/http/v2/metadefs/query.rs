//! Query parameters of metadata definitions (metadefs.md §4.3, §4.4, §5, §8). Of a repeated one the last counts; those
//! that are not known are ignored.

use std::collections::BTreeMap;

use crate::config::Limits;
use crate::domain::metadef::{
    NamespaceQuery, NamespaceScope, NamespaceSortKey, TagQuery, TagSortKey, Visibility,
};
use crate::domain::query::SortDirection;
use crate::error::{Error, Result};
use crate::http::paging;
use crate::http::v2::query::decode;

/// Most resource types of one request.
const MOST_RESOURCE_TYPES: usize = 1000;
/// What lists within a namespace take for a visibility; it has no effect there.
const LISTED_VISIBILITIES: [&str; 3] = ["public", "private", "shared"];

/// The parameters of a request.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of a query string.
    ///
    /// # Errors
    /// `Invalid` for what is no text, and for too many.
    pub fn of(raw: Option<&str>) -> Result<Self> {
        Ok(Self(decode(raw.unwrap_or_default())?))
    }

    /// All but the marker, for links to other pages.
    pub fn without_marker(mut self) -> Vec<(String, String)> {
        self.0.retain(|(name, _)| name != "marker");
        self.0
    }

    fn by_name(&self) -> BTreeMap<&str, &str> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// A list of namespaces.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn namespaces(parameters: &Parameters, scope: NamespaceScope, limits: &Limits) -> Result<NamespaceQuery> {
    let given = parameters.by_name();
    let parameter = |name: &str| given.get(name).copied();
    // an empty one is a name that no resource type has
    let resource_types: Vec<String> = parameter("resource_types")
        .map(|names| names.split(',').take(MOST_RESOURCE_TYPES + 1).map(str::to_owned).collect())
        .unwrap_or_default();
    if resource_types.len() > MOST_RESOURCE_TYPES {
        return Err(Error::invalid(format!("More than {MOST_RESOURCE_TYPES} resource types")));
    }
    Ok(NamespaceQuery {
        scope,
        visibility: parameter("visibility").map(visibility).transpose()?,
        resource_types,
        sort: parameter("sort_key").map_or(Ok(NamespaceSortKey::CreatedAt), namespace_sort_key)?,
        direction: direction(parameter("sort_dir"))?,
        marker: parameter("marker").map(str::to_owned),
        limit: paging::limit(parameter("limit"), limits)?,
    })
}

/// The resource type that a namespace is shown for.
///
/// # Errors
/// `Invalid` for a visibility that there is not.
pub fn show(parameters: &Parameters) -> Result<Option<String>> {
    if let Some(word) = parameters.by_name().get("visibility") {
        visibility(word)?;
    }
    Ok(resource_type(parameters))
}

/// The resource type that a name is meant for.
pub fn resource_type(parameters: &Parameters) -> Option<String> {
    let given = parameters.by_name();
    given.get("resource_type").filter(|name| !name.is_empty()).map(|name| (*name).to_owned())
}

/// Checks what a list of objects does not heed (§5).
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn check_objects(parameters: &Parameters) -> Result<()> {
    let given = parameters.by_name();
    if let Some(limit) = given.get("limit") {
        // API parity: unlike elsewhere, 0 is wrong here
        match limit.trim().parse::<i128>() {
            Ok(limit) if limit > 0 => {}
            _ => return Err(Error::invalid("limit param must be a positive integer")),
        }
    }
    direction(given.get("sort_dir").copied())?;
    check_listed_visibility(&given)
}

/// A list of tags.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn tags(parameters: &Parameters) -> Result<TagQuery> {
    let given = parameters.by_name();
    let parameter = |name: &str| given.get(name).copied();
    let filled = |name: &str| parameter(name).filter(|value| !value.is_empty());
    check_listed_visibility(&given)?;
    let limit = filled("limit").map(|limit| match limit.trim().parse::<i128>() {
        Ok(limit) if limit >= 0 => Ok(u32::try_from(limit).unwrap_or(u32::MAX)),
        _ => Err(Error::invalid("limit param must be a natural number")),
    });
    Ok(TagQuery {
        sort: parameter("sort_key").map_or(Ok(TagSortKey::CreatedAt), tag_sort_key)?,
        direction: direction(parameter("sort_dir"))?,
        marker: filled("marker").map(str::to_owned),
        limit: limit.transpose()?,
    })
}

fn direction(word: Option<&str>) -> Result<SortDirection> {
    word.map_or(Ok(SortDirection::Descending), paging::sort_direction)
}

fn visibility(word: &str) -> Result<Visibility> {
    word.parse().map_err(|()| Error::invalid("Unsupported visibility. Acceptable values: public, private"))
}

fn check_listed_visibility(given: &BTreeMap<&str, &str>) -> Result<()> {
    match given.get("visibility") {
        Some(word) if !LISTED_VISIBILITIES.contains(word) => {
            let known = LISTED_VISIBILITIES.join(", ");
            Err(Error::invalid(format!("Unsupported visibility. Acceptable values: {known}")))
        }
        _ => Ok(()),
    }
}

fn namespace_sort_key(word: &str) -> Result<NamespaceSortKey> {
    use NamespaceSortKey::{
        CreatedAt, Description, DisplayName, Id, Namespace, Owner, Protected, UpdatedAt, Visibility,
    };
    const WORDS: [(&str, NamespaceSortKey); 9] = [
        ("namespace", Namespace),
        ("created_at", CreatedAt),
        ("updated_at", UpdatedAt),
        ("display_name", DisplayName),
        ("description", Description),
        ("visibility", Visibility),
        ("protected", Protected),
        ("owner", Owner),
        ("id", Id),
    ];
    known(&WORDS, word)
}

fn tag_sort_key(word: &str) -> Result<TagSortKey> {
    const WORDS: [(&str, TagSortKey); 3] = [
        ("name", TagSortKey::Name),
        ("created_at", TagSortKey::CreatedAt),
        ("updated_at", TagSortKey::UpdatedAt),
    ];
    known(&WORDS, word)
}

fn known<T: Copy>(words: &[(&str, T)], word: &str) -> Result<T> {
    let found = words.iter().find(|(known, _)| *known == word).map(|(_, key)| *key);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Error::invalid(format!("Unsupported sort_key. Acceptable values: {}", words.join(", ")))
    })
}
