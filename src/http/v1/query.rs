//! Query parameters of the lists → [`ImageQuery`] (images-v1.md §4).

use std::collections::BTreeMap;

use crate::config::Limits;
use crate::domain::caller::Caller;
use crate::domain::image::{Status, Visibility};
use crate::domain::query::{
    Branch, Comparison, Filter, ImageQuery, IntAttribute, OwnerIs, SortDirection, SortKey, TextAttribute,
    TimeAttribute,
};
use crate::domain::timestamp;
use crate::error::{Error, Result};
use crate::http::paging;

/// Parses the query string for `caller`. Unknown parameters are ignored; of repeated ones the last counts.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn parse(query: &str, caller: &Caller, limits: &Limits) -> Result<ImageQuery> {
    let given: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if given.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Error::invalid("Query parameters must not contain null characters."));
    }
    let parameter = |name: &str| given.get(name).map(String::as_str);
    let mut filters = vec![Filter::Hidden(false)];
    for (name, value) in &given {
        filters.extend(filter(name, value)?);
    }
    let changes_since = parameter("changes-since").map(instant).transpose()?;
    match changes_since {
        Some(since) => filters.push(Filter::Time(TimeAttribute::UpdatedAt, Comparison::Gt, since)),
        None => filters.push(Filter::StatusNot(vec![Status::Killed])),
    }
    let (key, direction) = sort(parameter("sort_key"), parameter("sort_dir"))?;
    Ok(ImageQuery {
        branches: branches(caller, publicity(parameter("is_public"))?),
        filters,
        include_deleted: changes_since.is_some(),
        sort: vec![(key, direction)],
        ties: direction,
        limit: paging::limit(parameter("limit"), limits)?,
        marker: parameter("marker").map(paging::marker).transpose()?,
    })
}

fn bad_filter(name: &str, value: &str) -> Error {
    Error::invalid(format!("Bad value passed to filter {name} got {value}"))
}

fn filter(name: &str, value: &str) -> Result<Option<Filter>> {
    let filter = match name {
        "name" => Filter::Text(TextAttribute::Name, alternatives(value)),
        "disk_format" => Filter::Text(TextAttribute::DiskFormat, alternatives(value)),
        "container_format" => Filter::Text(TextAttribute::ContainerFormat, alternatives(value)),
        "status" => Filter::Status(alternatives(value).iter().filter_map(|s| s.parse().ok()).collect()),
        "min_ram" => Filter::Int(IntAttribute::MinRam, Comparison::Eq, natural(name, value)?),
        "size_min" => Filter::Int(IntAttribute::Size, Comparison::Ge, natural(name, value)?),
        "size_max" => Filter::Int(IntAttribute::Size, Comparison::Le, natural(name, value)?),
        "min_disk" => match value.trim().parse() {
            Ok(number) => Filter::Int(IntAttribute::MinDisk, Comparison::Eq, number),
            Err(_) => Filter::Nothing,
        },
        "protected" => match boolean(value) {
            Some(protected) => Filter::Protected(protected),
            None => return Err(bad_filter(name, value)),
        },
        _ => match name.strip_prefix("property-") {
            Some(property) => Filter::Property(property.to_owned(), value.to_owned()),
            None => return Ok(None),
        },
    };
    Ok(Some(filter))
}

/// `in:a,b` is a set and `eq:x` a value; any other text, also one with another `word:` before it, is literal.
fn alternatives(value: &str) -> Vec<String> {
    if let Some(set) = value.strip_prefix("in:") {
        return set.split(',').map(|v| v.trim_matches('"').to_owned()).collect();
    }
    vec![value.strip_prefix("eq:").unwrap_or(value).to_owned()]
}

fn natural(name: &str, value: &str) -> Result<i64> {
    let number: i128 = value.trim().parse().map_err(|_| bad_filter(name, value))?;
    if number < 0 {
        return Err(bad_filter(name, value));
    }
    // no stored number is larger, so the comparison means the same
    Ok(i64::try_from(number).unwrap_or(i64::MAX))
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn instant(value: &str) -> Result<time::OffsetDateTime> {
    timestamp::parse(value)
        .ok_or_else(|| Error::invalid(format!("Unrecognized changes-since value: {value}")))
}

/// Which images an administrator asks for.
#[derive(Clone, Copy, PartialEq)]
enum Publicity {
    Public,
    NotPublic,
    All,
}

fn publicity(value: Option<&str>) -> Result<Publicity> {
    match value {
        None => Ok(Publicity::Public),
        Some(word) if word.eq_ignore_ascii_case("none") => Ok(Publicity::All),
        Some(word) => match boolean(word) {
            Some(true) => Ok(Publicity::Public),
            Some(false) => Ok(Publicity::NotPublic),
            None => Err(bad_filter("is_public", word)),
        },
    }
}

/// What the caller's list is made of (images-v1.md §4.4). Community images appear for their owner only.
fn branches(caller: &Caller, wanted: Publicity) -> Vec<Branch> {
    let of = |visibility: &[Visibility], owner| Branch {
        visibility: visibility.to_vec(),
        owner,
        shared_with: None,
    };
    let own = |visibility: &[Visibility]| {
        caller.project.clone().map(|project| of(visibility, OwnerIs::Project(project)))
    };
    use Visibility::{Community, Private, Public, Shared};
    match wanted {
        Publicity::All if caller.is_admin => {
            std::iter::once(of(&[Public, Shared, Private], OwnerIs::Any)).chain(own(&[Community])).collect()
        }
        Publicity::NotPublic if caller.is_admin => {
            std::iter::once(of(&[Shared, Private], OwnerIs::Any)).chain(own(&[Community])).collect()
        }
        _ => match &caller.project {
            None => vec![of(&[Public], OwnerIs::Any)],
            Some(project) => vec![
                of(&[], OwnerIs::Project(project.clone())),
                of(&[Public], OwnerIs::Not(project.clone())),
                Branch {
                    visibility: vec![Shared],
                    owner: OwnerIs::Not(project.clone()),
                    shared_with: Some((project.clone(), None)),
                },
            ],
        },
    }
}

fn sort(key: Option<&str>, direction: Option<&str>) -> Result<(SortKey, SortDirection)> {
    let key = key.map_or(Ok(SortKey::CreatedAt), paging::sort_key)?;
    let direction = direction.map_or(Ok(SortDirection::Descending), paging::sort_direction)?;
    Ok((key, direction))
}
