//! What text of clients can be stored, and how much of it is repeated to them.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Most bytes of a property's value (images-v2.md §4.3).
pub const MAX_VALUE: usize = 65_535;
/// Most characters of a name: of an image, a property, a tag, an owner (images-v2.md §4.5).
pub const MAX_NAME: usize = 255;
/// Most characters of a client's text in an answer.
const SHOWN: usize = 255;

/// Checks that text can be stored: no characters above U+FFFF (images-v2.md §2.4), and no NUL, which PostgreSQL cannot
/// hold.
///
/// # Errors
/// `Invalid`.
pub fn check_storable(text: &str) -> Result<()> {
    check_storable_as("Text", text)
}

/// As [`check_storable`]; the error calls the text `what`.
///
/// # Errors
/// `Invalid`, naming the text.
pub fn check_storable_as(what: &str, text: &str) -> Result<()> {
    for c in text.chars() {
        if c == '\0' {
            return Err(Error::invalid(format!("{} can't contain null characters.", clip(what, SHOWN))));
        }
        if u32::from(c) > 0xFFFF {
            let what = clip(what, SHOWN);
            return Err(Error::invalid(format!("{what} can't contain 4 byte unicode characters.")));
        }
    }
    Ok(())
}

/// Checks the length of a property's name (images-v2.md §4.3).
///
/// # Errors
/// `Invalid` above 255 characters.
pub fn check_property_name(name: &str) -> Result<()> {
    if is_longer(name, MAX_NAME) {
        let name = clip(name, 40);
        return Err(Error::invalid(format!(
            "Property name '{name}' too long: it may have at most {MAX_NAME} characters."
        )));
    }
    Ok(())
}

/// Checks name and value of a property for what can be stored (images-v2.md §2.4, §4.3).
///
/// # Errors
/// `Invalid`, naming the property.
pub fn check_property(name: &str, value: Option<&str>) -> Result<()> {
    check_storable_as("Property name", name)?;
    let Some(value) = value else { return Ok(()) };
    if value.len() > MAX_VALUE {
        let name = clip(name, SHOWN);
        return Err(Error::invalid(format!(
            "Value of property '{name}' too long: it may have at most {MAX_VALUE} bytes."
        )));
    }
    check_storable_as(&format!("Property '{name}'"), value)
}

/// The beginning of a text, at most `limit` characters, with dots where something was left out.
pub fn clip(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

// stops at the limit, however long the text is
fn is_longer(text: &str, limit: usize) -> bool {
    text.chars().nth(limit).is_some()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn text_that_cannot_be_stored_is_refused() {
        // V2-091, A44
        for fine in ["", "日本語é", "\u{FFFF}", "\u{FFFD}", "a\nb\u{1}"] {
            assert!(check_storable(fine).is_ok(), "{fine:?}");
        }
        for bad in ["a\0", "\0", "\u{10000}", "x😀y"] {
            assert_eq!(check_storable(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
            assert!(check_property("p", Some(bad)).is_err(), "{bad:?}");
            assert!(check_property(bad, Some("v")).is_err(), "{bad:?}");
            assert!(check_property(bad, None).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_counted_in_characters_and_values_in_bytes() {
        // V2-080
        assert!(check_property_name(&"é".repeat(255)).is_ok());
        assert!(check_property_name(&"é".repeat(256)).is_err());
        assert!(check_property("p", Some(&"v".repeat(65_535))).is_ok());
        assert!(check_property("p", Some(&"v".repeat(65_536))).is_err());
        assert!(check_property("p", Some(&"é".repeat(32_768))).is_err());
    }

    #[test]
    fn clipping_cuts_between_characters() {
        assert_eq!(clip("日本語", 3), "日本語");
        assert_eq!(clip("日本語", 2), "日本…");
        assert_eq!(clip("", 0), "");
        let error = check_property(&"é".repeat(1_000_000), Some("\0")).unwrap_err();
        assert!(error.message().len() < 2000, "{}", error.message().len());
    }
}
