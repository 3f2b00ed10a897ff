//! `x-image-meta-*` headers ⇄ domain (images-v1.md §3).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::config::PercentDecode;
use crate::domain::attributes::{self, Attributes};
use crate::domain::image::{Image, Properties, Visibility};
use crate::domain::timestamp;
use crate::error::{Error, Result};

/// Prefix of every metadata header.
const META: &str = "x-image-meta-";

/// Metadata headers of one request: attributes, and where the data comes from.
#[derive(Debug, Default, PartialEq)]
pub struct Metadata {
    /// Attributes of the image.
    pub attributes: Attributes,
    /// `x-image-meta-location`; empty text where sent empty.
    pub location: Option<String>,
    /// `x-glance-api-copy-from`; empty text where sent empty.
    pub copy_from: Option<String>,
    /// `x-image-meta-store`.
    pub store: Option<String>,
}

/// Reads the metadata headers. Names fold `-` and `_` together in their whole length, as they did when servers
/// saw them as CGI variables.
///
/// # Errors
/// `Invalid` for unknown names and values out of their type.
pub fn parse(headers: &HeaderMap, decode: PercentDecode) -> Result<Metadata> {
    let decode = decode == PercentDecode::Auto && sent_by_glanceclient(headers);
    let mut metadata = Metadata::default();
    for (folded, Sent { name, values }) in folded(headers) {
        if folded == "x-glance-api-copy-from" {
            metadata.copy_from = Some(text(name, &values, decode)?);
        } else if let Some(rest) = folded.strip_prefix(META) {
            let value = text(name, &values, decode)?;
            let field = rest.replace('-', "_");
            match field.strip_prefix("property_") {
                Some(property) if !property.is_empty() => {
                    let property = if decode { percent_decoded(property) } else { property.to_owned() };
                    // decoding makes characters that no name of a header can have
                    check_characters(name, &property)?;
                    // the service's own, which no protection covers (A27)
                    if property.starts_with("os_glance") {
                        return Err(attributes::reserved(&property));
                    }
                    let value = Some(value).filter(|v| !v.is_empty());
                    metadata.attributes.properties.insert(property, value);
                }
                _ => set(&mut metadata, &field, name, value)?,
            }
        }
    }
    Ok(metadata)
}

/// Whether a boolean header is true: `1 t true on y yes` in any case; everything else is false.
pub fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "t" | "true" | "on" | "y" | "yes")
}

/// A metadata header as it was sent.
struct Sent<'a> {
    /// In its first spelling.
    name: &'a HeaderName,
    /// Of all spellings.
    values: Vec<&'a HeaderValue>,
}

/// The metadata headers under their folded names: spellings of one name are one header.
fn folded(headers: &HeaderMap) -> BTreeMap<String, Sent<'_>> {
    let mut all = BTreeMap::new();
    for (name, value) in headers {
        let folded = name.as_str().replace('_', "-");
        if folded.starts_with(META) || folded == "x-glance-api-copy-from" {
            all.entry(folded).or_insert_with(|| Sent { name, values: Vec::new() }).values.push(value);
        }
    }
    all
}

// newer clients encode header values, and only they do (images-v1.md §13)
fn sent_by_glanceclient(headers: &HeaderMap) -> bool {
    let agent = headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok());
    agent.is_some_and(|a| a.starts_with("python-glanceclient"))
}

/// Text without its percent-encoding, or as it is where that is not what it has.
fn percent_decoded(text: &str) -> String {
    let encoded = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if encoded => decoded.into_owned(),
        _ => text.to_owned(),
    }
}

/// All values of a header, joined by commas, as text.
fn text(name: &HeaderName, values: &[&HeaderValue], decode: bool) -> Result<String> {
    let mut joined = String::new();
    for (n, value) in values.iter().enumerate() {
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::invalid(format!("Bad header: {name} is not UTF-8")))?;
        if n > 0 {
            joined.push(',');
        }
        joined.push_str(value);
    }
    let value = if decode { percent_decoded(&joined) } else { joined };
    check_characters(name, &value)?;
    Ok(value)
}

/// Refuses what cannot be stored: NUL, and characters above U+FFFF (images-v1.md §3.2 rule 9).
fn check_characters(name: &HeaderName, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("Bad header: {name} has a null character")));
    }
    if text.chars().any(|c| u32::from(c) > 0xFFFF) {
        let field = name.as_str().strip_prefix(META).unwrap_or(name.as_str());
        return Err(Error::invalid(format!(
            "{} can't contain 4 byte unicode characters.",
            capitalized(field)
        )));
    }
    Ok(())
}

fn set(metadata: &mut Metadata, field: &str, name: &HeaderName, value: String) -> Result<()> {
    let attributes = &mut metadata.attributes;
    match field {
        "id" => attributes.id = Some(value),
        "name" => attributes.name = Some(nullable(value)),
        "status" => attributes.status = Some(nullable(value)),
        "is_public" => {
            let visibility = if is_true(&value) { Visibility::Public } else { Visibility::Shared };
            attributes.visibility = Some(visibility);
        }
        "protected" => attributes.protected = Some(is_true(&value)),
        "owner" => attributes.owner = Some(nullable(value)),
        "disk_format" => attributes.disk_format = Some(nullable(value)),
        "container_format" => attributes.container_format = Some(nullable(value)),
        "min_disk" => attributes.min_disk = integer(&value, field)?,
        "min_ram" => attributes.min_ram = integer(&value, field)?,
        "size" => attributes.size = integer(&value, field)?,
        "virtual_size" if value.trim() == "None" => attributes.virtual_size = Some(None),
        "virtual_size" => attributes.virtual_size = integer(&value, field)?.map(Some),
        "checksum" => attributes.checksum = Some(nullable(value)),
        "created_at" | "updated_at" | "deleted_at" => check_time(&value, field)?,
        "location" => metadata.location = Some(value),
        "store" => metadata.store = nullable(value),
        "deleted" | "copy_from" | "uri" => {}
        _ => return Err(Error::invalid(format!("Bad header: {name}"))),
    }
    Ok(())
}

fn nullable(value: String) -> Option<String> {
    Some(value).filter(|v| !v.is_empty())
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn integer(value: &str, field: &str) -> Result<Option<i64>> {
    let trimmed = value.trim();
    // API parity is waived: an empty integer crashed the reference, here it counts as not sent (V1-224)
    if trimmed.is_empty() {
        return Ok(None);
    }
    let wrong =
        |why: String| Error::invalid(format!("Invalid value '{value}' for parameter '{field}': {why}"));
    let number: i128 = trimmed
        .parse()
        .map_err(|_| wrong(format!("Cannot convert image {field} '{value}' to an integer.")))?;
    if number < 0 {
        return Err(wrong("Cannot be a negative value.".to_owned()));
    }
    i64::try_from(number).map(Some).map_err(|_| wrong(format!("Must not exceed {}.", i64::MAX)))
}

fn check_time(value: &str, field: &str) -> Result<()> {
    if !value.is_empty() && timestamp::parse(value).is_none() {
        return Err(Error::invalid(format!("Invalid time format for {field}.")));
    }
    Ok(())
}

/// The headers of HEAD and GET: every attribute that is not null, and the readable properties.
pub fn render(image: &Image, properties: &Properties) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: Option<String>| {
        let Some(value) = value else { return };
        let name = HeaderName::try_from(format!("{META}{name}"));
        // names that no header can carry (possible through v2) cannot be shown in v1
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(printable(&value).as_bytes())) {
            headers.insert(name, value);
        }
    };
    put("id", Some(image.id.to_string()));
    put("name", image.name.clone());
    put("status", Some(image.status.as_str().to_owned()));
    put("size", image.size.map(|n| n.to_string()));
    put("virtual_size", image.virtual_size.map(|n| n.to_string()));
    put("disk_format", image.disk_format.clone());
    put("container_format", image.container_format.clone());
    put("checksum", image.checksum.clone());
    put("min_disk", Some(image.min_disk.to_string()));
    put("min_ram", Some(image.min_ram.to_string()));
    put("is_public", Some(python_bool(image.visibility == Visibility::Public)));
    put("protected", Some(python_bool(image.protected)));
    put("owner", image.owner.clone());
    put("created_at", Some(timestamp::render_v1(image.created_at)));
    put("updated_at", Some(timestamp::render_v1(image.updated_at)));
    put("deleted_at", image.deleted_at.map(timestamp::render_v1));
    put("deleted", Some(python_bool(image.is_deleted())));
    for (name, value) in properties {
        put(&format!("property-{}", name.to_lowercase()), value.clone());
    }
    headers
}

fn python_bool(value: bool) -> String {
    if value { "True".to_owned() } else { "False".to_owned() }
}

/// Control characters would let a value stored through v2 start a header of its own (V1-247).
fn printable(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::parse;
    use crate::config::PercentDecode;

    fn is_refused(property: &str, agent: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let name = HeaderName::try_from(format!("x-image-meta-property-{property}")).expect("a name");
        headers.insert(name, HeaderValue::from_static("x"));
        parse(&headers, PercentDecode::Auto).is_err()
    }

    /// V1-049, A44. Decoded names used to go unseen: NUL as far as the database, the rest into it.
    #[test]
    fn names_of_properties_are_checked_once_decoded() {
        for bad in ["a%00", "%00", "a%f0%9f%98%80"] {
            assert!(is_refused(bad, "python-glanceclient"), "{bad}");
            assert!(!is_refused(bad, "curl"), "{bad} is a literal name");
        }
        for fine in ["a%c3%a9", "%e6%97%a5", "a%ff", "%zz"] {
            assert!(!is_refused(fine, "python-glanceclient"), "{fine}");
        }
    }
}
