//! Query parameters of `GET /v2/images` → [`ImageQuery`], and the links of the reply (images-v2.md §8).
//!
//! Of a repeated parameter the last counts, as in the reference; `tag`, `sort_key` and `sort_dir` count each time.
//! Work is bounded by the constants below, whatever the caller sends (hardening.md A43).

use std::collections::BTreeMap;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use time::{Duration, OffsetDateTime};

use crate::config::Limits;
use crate::domain::caller::Caller;
use crate::domain::image::{ImageId, Status, Visibility};
use crate::domain::member::MemberStatus;
use crate::domain::query::{
    Branch, Comparison, Filter, ImageQuery, IntAttribute, OwnerIs, SortDirection, SortKey, TextAttribute,
    TimeAttribute,
};
use crate::domain::timestamp;
use crate::error::{Error, Result};
use crate::http::paging;

/// Most parameters of one request beside the marker.
const MOST_PARAMETERS: usize = 200;
/// Most values of one `in:` filter.
const MOST_VALUES: usize = 1000;
/// Most sort keys; there are no more different ones.
const MOST_SORT_KEYS: usize = SortKey::WORDS.len();
/// The collection; links are relative to the root whatever prefix or minor version was called (§2.5).
const COLLECTION: &str = "/v2/images";

/// A list request, with what the links of its reply need.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// What to list.
    pub query: ImageQuery,
    /// The request's parameters in its order, without the marker.
    parameters: Vec<(String, String)>,
}

impl Listing {
    /// Link to the first page.
    pub fn first(&self) -> String {
        link(COLLECTION, &self.parameters, None)
    }

    /// Link to the page after the image `last`.
    pub fn next(&self, last: ImageId) -> String {
        link(COLLECTION, &self.parameters, Some(&last.to_string()))
    }
}

/// Link to a page: the request's own parameters in form style, the marker at the end. Repeated ones are all kept: the
/// reference loses all but the last, so its second page is one of another list (§8.1).
pub(super) fn link(collection: &str, parameters: &[(String, String)], marker: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    if let Some(marker) = marker {
        form.append_pair("marker", marker);
    }
    let query = form.finish();
    if query.is_empty() { collection.to_owned() } else { format!("{collection}?{query}") }
}

/// Parses the query string for `caller`. Whether the caller may see the marker is checked by the flow.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn parse(raw: &str, caller: &Caller, limits: &Limits) -> Result<Listing> {
    let mut parameters = decode(raw)?;
    let sort = sort(&parameters)?;
    let given: BTreeMap<&str, &str> = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let parameter = |name: &str| given.get(name).copied();
    let answer = member_status(parameter("member_status"))?;
    let mut branches = branches(caller, wanted(parameter("visibility"))?, answer);
    if let Some(owner) = parameter("owner") {
        branches = branches.into_iter().filter_map(|branch| narrowed(branch, owner)).collect();
    }
    let query = ImageQuery {
        branches,
        filters: filters(&parameters, &given)?,
        include_deleted: false,
        sort: sort.keys,
        ties: sort.ties,
        limit: paging::limit(parameter("limit"), limits)?,
        marker: parameter("marker").map(paging::marker).transpose()?,
    };
    parameters.retain(|(name, _)| name != "marker");
    Ok(Listing { query, parameters })
}

/// Form decoding that refuses what is not UTF-8 (§2.4) instead of replacing it.
pub(super) fn decode(raw: &str) -> Result<Vec<(String, String)>> {
    let text = |part: &str| -> Result<String> {
        let spaced = part.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        Ok(decoded.map_err(|e| Error::invalid("The query string is not UTF-8.").with_source(e))?.into_owned())
    };
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    // The link to the next page has a marker more than the request it answers, and must not fail for it.
    let is_marker = |pair: &str| pair.starts_with("marker=");
    let markers = usize::from(pairs.clone().any(is_marker));
    if pairs.clone().count() > MOST_PARAMETERS + markers {
        return Err(Error::invalid(format!("More than {MOST_PARAMETERS} query parameters")));
    }
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((text(name)?, text(value)?))
        })
        .collect()
}

fn bad(name: &str, value: &str) -> Error {
    Error::invalid(format!("Invalid value for {name}: {value}"))
}

/// What parameter `visibility` asks for.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Default,
    All,
    One(Visibility),
    /// The empty text is a visibility that no image has.
    None,
}

fn wanted(value: Option<&str>) -> Result<Wanted> {
    Ok(match value {
        None => Wanted::Default,
        Some("") => Wanted::None,
        Some("all") => Wanted::All,
        Some(word) => Wanted::One(word.parse().map_err(|()| bad("visibility", word))?),
    })
}

/// The answer that shared images are listed with; none for any.
fn member_status(value: Option<&str>) -> Result<Option<MemberStatus>> {
    match value {
        None => Ok(Some(MemberStatus::Accepted)),
        Some("all") => Ok(None),
        Some(word) => word.parse().map(Some).map_err(|()| bad("member_status", word)),
    }
}

/// What the caller's list is made of, as disjoint sets (§8.5).
fn branches(caller: &Caller, wanted: Wanted, answer: Option<MemberStatus>) -> Vec<Branch> {
    use Visibility::{Community, Private, Public, Shared};
    let of = |visibility: &[Visibility], owner| Branch {
        visibility: visibility.to_vec(),
        owner,
        shared_with: None,
    };
    let any = |visibility: &[Visibility]| of(visibility, OwnerIs::Any);
    if caller.is_admin {
        let own = |project: &String| of(&[Community], OwnerIs::Project(project.clone()));
        return match wanted {
            Wanted::None => vec![],
            Wanted::All => vec![any(&[])],
            Wanted::One(visibility) => vec![any(&[visibility])],
            Wanted::Default => std::iter::once(any(&[Public, Shared, Private]))
                .chain(caller.project.as_ref().map(own))
                .collect(),
        };
    }
    let Some(project) = &caller.project else {
        return match wanted {
            Wanted::Default | Wanted::One(Public) => vec![any(&[Public])],
            Wanted::All => vec![any(&[Public, Community])],
            Wanted::One(Community) => vec![any(&[Community])],
            Wanted::One(Shared | Private) | Wanted::None => vec![],
        };
    };
    let own = |visibility: &[Visibility]| of(visibility, OwnerIs::Project(project.clone()));
    let others = |visibility: &[Visibility]| of(visibility, OwnerIs::Not(project.clone()));
    // Nobody but an administrator finds an image without an owner unless it is public or community (§18.1), whoever
    // is its member.
    let shared = Branch {
        visibility: vec![Shared],
        owner: OwnerIs::Another(project.clone()),
        shared_with: Some((project.clone(), answer)),
    };
    match wanted {
        Wanted::Default => vec![own(&[]), others(&[Public]), shared],
        Wanted::All => vec![own(&[]), others(&[Public, Community]), shared],
        Wanted::One(Shared) => vec![own(&[Shared]), shared],
        Wanted::One(Private) => vec![own(&[Private])],
        Wanted::One(open) => vec![any(&[open])],
        Wanted::None => vec![],
    }
}

/// The part of a branch that `owner` owns, if any. As a condition of the branch and not as a filter it is a walk
/// over that project's images, and it can only narrow (hardening.md A29).
fn narrowed(branch: Branch, owner: &str) -> Option<Branch> {
    let meets = match &branch.owner {
        OwnerIs::Any => true,
        OwnerIs::Project(project) => project == owner,
        OwnerIs::Not(project) | OwnerIs::Another(project) => project != owner,
    };
    meets.then(|| Branch { owner: OwnerIs::Project(owner.to_owned()), ..branch })
}

struct Sort {
    keys: Vec<(SortKey, SortDirection)>,
    ties: SortDirection,
}

/// §8.2: `sort`, or `sort_key` and `sort_dir`. What is appended for an unambiguous order follows the direction that
/// was given, if it was one, and else comes newest first.
fn sort(parameters: &[(String, String)]) -> Result<Sort> {
    let all = |wanted: &str| -> Vec<&str> {
        parameters.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    let (combined, mut keys, directions) = (all("sort"), all("sort_key"), all("sort_dir"));
    if let Some(combined) = combined.last() {
        if !keys.is_empty() || !directions.is_empty() {
            return Err(Error::invalid("sort cannot be combined with sort_key or sort_dir"));
        }
        let keys = combined.split(',').take(MOST_SORT_KEYS + 1).map(sort_item).collect::<Result<Vec<_>>>()?;
        check_sort_keys(keys.len())?;
        let ties = match keys.as_slice() {
            [(_, direction)] => *direction,
            _ => SortDirection::Descending,
        };
        return Ok(Sort { keys, ties });
    }
    if keys.is_empty() {
        keys.push("created_at");
    }
    check_sort_keys(keys.len())?;
    if directions.len() > 1 && directions.len() != keys.len() {
        return Err(Error::invalid("There must be one sort_dir, or as many as there are of sort_key"));
    }
    let keys: Vec<SortKey> = keys.into_iter().map(paging::sort_key).collect::<Result<_>>()?;
    let directions: Vec<SortDirection> =
        directions.into_iter().map(paging::sort_direction).collect::<Result<_>>()?;
    let one = match directions.as_slice() {
        [one] => *one,
        _ => SortDirection::Descending,
    };
    let directions = directions.iter().copied().chain(std::iter::repeat(one));
    Ok(Sort { keys: keys.into_iter().zip(directions).collect(), ties: one })
}

fn check_sort_keys(number: usize) -> Result<()> {
    if number > MOST_SORT_KEYS {
        return Err(Error::invalid(format!("More than {MOST_SORT_KEYS} sort keys")));
    }
    Ok(())
}

/// `key[:direction]`
fn sort_item(item: &str) -> Result<(SortKey, SortDirection)> {
    let (key, direction) = item.split_once(':').unwrap_or((item, ""));
    let direction = match direction.trim() {
        "" => SortDirection::Descending,
        word => paging::sort_direction(word)?,
    };
    Ok((paging::sort_key(key.trim())?, direction))
}

/// All conditions (§8.3), also those that hold unless the request says otherwise.
fn filters(parameters: &[(String, String)], given: &BTreeMap<&str, &str>) -> Result<Vec<Filter>> {
    let mut filters = Vec::new();
    if !given.contains_key("os_hidden") {
        filters.push(Filter::Hidden(false));
    }
    if !given.contains_key("status") {
        filters.push(Filter::StatusNot(vec![Status::Killed]));
    }
    for (name, value) in given {
        filters.extend(filter(name, value)?);
    }
    for (name, value) in parameters {
        if name == "tag" {
            let tag = Filter::Tag(value.trim().to_owned());
            if !filters.contains(&tag) {
                filters.push(tag);
            }
        }
    }
    Ok(filters)
}

fn filter(name: &str, value: &str) -> Result<Vec<Filter>> {
    let one = |attribute| Filter::Text(attribute, vec![value.to_owned()]);
    let several = |attribute| Ok::<_, Error>(Filter::Text(attribute, alternatives(name, value)?));
    let number = |attribute| match value.trim().parse() {
        Ok(number) => Filter::Int(attribute, Comparison::Eq, number),
        Err(_) => Filter::Nothing,
    };
    Ok(vec![match name {
        // read elsewhere; `deleted` is taken for false whatever it says
        "deleted" | "limit" | "marker" | "member_status" | "owner" | "sort" | "sort_dir" | "sort_key"
        | "tag" | "visibility" => return Ok(vec![]),
        "changes-since" => {
            return Err(Error::invalid("The parameter changes-since was removed from this API"));
        }
        "os_hidden" if value.eq_ignore_ascii_case("true") => Filter::Hidden(true),
        "os_hidden" if value.eq_ignore_ascii_case("false") => Filter::Hidden(false),
        "protected" if value == "true" => Filter::Protected(true),
        "protected" if value == "false" => Filter::Protected(false),
        "os_hidden" | "protected" => return Err(bad(name, value)),
        "name" => several(TextAttribute::Name)?,
        "disk_format" => several(TextAttribute::DiskFormat)?,
        "container_format" => several(TextAttribute::ContainerFormat)?,
        "id" => match parsed(name, value)? {
            ids if ids.is_empty() => Filter::Nothing,
            ids => Filter::Id(ids),
        },
        "status" => {
            let listed = |s: &Status| !matches!(s, Status::Killed | Status::Deleted | Status::PendingDelete);
            Filter::Status(parsed(name, value)?.into_iter().filter(listed).collect())
        }
        "created_at" => return instants(name, TimeAttribute::CreatedAt, value),
        "updated_at" => return instants(name, TimeAttribute::UpdatedAt, value),
        "checksum" => one(TextAttribute::Checksum),
        "os_hash_algo" => one(TextAttribute::OsHashAlgo),
        "os_hash_value" => one(TextAttribute::OsHashValue),
        "size" => number(IntAttribute::Size),
        "virtual_size" => number(IntAttribute::VirtualSize),
        "min_ram" => number(IntAttribute::MinRam),
        "min_disk" => number(IntAttribute::MinDisk),
        _ => match bound(name) {
            Some((attribute, comparison)) => Filter::Int(attribute, comparison, integer(name, value)?),
            // A null is shown as the empty text (§4.3), so the filter finds it as such. It does so for properties
            // that the schema declares too, whose null is shown as null: which are declared is not known here.
            None if value.is_empty() => Filter::EmptyProperty(name.to_owned()),
            None => Filter::Property(name.to_owned(), value.to_owned()),
        },
    }])
}

/// What `<attribute>_min` and `<attribute>_max` compare; none for properties that happen to be called so.
fn bound(name: &str) -> Option<(IntAttribute, Comparison)> {
    let (attribute, end) = name.rsplit_once('_')?;
    let comparison = match end {
        "min" => Comparison::Ge,
        "max" => Comparison::Le,
        _ => return None,
    };
    let attribute = match attribute {
        "size" => IntAttribute::Size,
        "virtual_size" => IntAttribute::VirtualSize,
        "min_ram" => IntAttribute::MinRam,
        "min_disk" => IntAttribute::MinDisk,
        _ => return None,
    };
    Some((attribute, comparison))
}

fn integer(name: &str, value: &str) -> Result<i64> {
    let number: i128 = value.trim().parse().map_err(|_| bad(name, value))?;
    // no stored number is beyond these, so the comparison means the same
    Ok(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }))
}

/// The operator of a value and what it applies to. What stands before the first colon is one, unless the whole is an
/// instant.
fn operator(value: &str) -> (&str, &str) {
    match value.split_once(':') {
        Some(split) if timestamp::parse(value).is_none() => split,
        _ => ("eq", value),
    }
}

/// The texts that a value stands for: itself, `eq:` one, or `in:` several.
fn alternatives(name: &str, value: &str) -> Result<Vec<String>> {
    match operator(value) {
        ("eq", text) => Ok(vec![text.to_owned()]),
        ("in", set) => items(set).map_err(|fault| Error::invalid(format!("Filter {name}: {fault}"))),
        (unknown, _) => Err(Error::invalid(format!("Unable to filter {name} by operator {unknown}"))),
    }
}

/// The alternatives that can be a value at all. The others are no error: no image has them.
fn parsed<T: FromStr>(name: &str, value: &str) -> Result<Vec<T>> {
    Ok(alternatives(name, value)?.iter().filter_map(|text| text.parse().ok()).collect())
}

/// Splits `a,"b,c","d\"e"`. A quote begins and ends an item; nothing else may hold one.
fn items(set: &str) -> Result<Vec<String>, String> {
    const UNBALANCED: &str = "the quotes are not balanced";
    let mut items = Vec::new();
    let mut rest = Some(set);
    while let Some(text) = rest {
        if items.len() == MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        let (item, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_item(quoted).ok_or(UNBALANCED)?,
            None => {
                let end = text.find(',').unwrap_or(text.len());
                (text[..end].to_owned(), &text[end..])
            }
        };
        if !text.starts_with('"') && item.contains('"') {
            return Err(UNBALANCED.to_owned());
        }
        rest = match after.strip_prefix(',') {
            Some(more) => Some(more),
            None if after.is_empty() => None,
            None => return Err("a comma must follow a quoted value".to_owned()),
        };
        items.push(item);
    }
    Ok(items)
}

/// The item up to its closing quote, and what follows that.
fn quoted_item(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((item, &text[at + 1..])),
            '\\' if characters.next_if(|(_, next)| *next == '"').is_some() => item.push('"'),
            other => item.push(other),
        }
    }
    None
}

/// Conditions on a time. The API shows whole seconds and compares them too: an image that is shown with an instant is
/// equal to it, and not later, whatever fraction of a second is stored.
fn instants(name: &str, attribute: TimeAttribute, value: &str) -> Result<Vec<Filter>> {
    let (operator, text) = operator(value);
    let instant = timestamp::parse(text).and_then(|instant| instant.replace_nanosecond(0).ok());
    let from = instant.ok_or_else(|| bad(name, value))?;
    let until = from
        .checked_add(Duration::SECOND)
        .unwrap_or(OffsetDateTime::new_utc(time::Date::MAX, time::Time::MAX));
    let is = |comparison, instant| Filter::Time(attribute, comparison, instant);
    Ok(match operator {
        "eq" => vec![is(Comparison::Ge, from), is(Comparison::Lt, until)],
        "neq" => vec![Filter::TimeOutside(attribute, from, until)],
        "gt" => vec![is(Comparison::Ge, until)],
        "gte" => vec![is(Comparison::Ge, from)],
        "lt" => vec![is(Comparison::Lt, from)],
        "lte" => vec![is(Comparison::Lt, until)],
        unknown => return Err(Error::invalid(format!("Unable to filter {name} by operator {unknown}"))),
    })
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
