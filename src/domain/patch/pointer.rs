//! JSON pointers as the Images API writes them (images-v2.md §9.1 row 4).

use super::{Position, SHOWN};
use crate::domain::text::clip;
use crate::error::{Error, Result};

/// The tokens of a pointer: at least one, none of them blank, blanks around them trimmed, escapes undone.
///
/// # Errors
/// `Invalid` for everything else.
pub(super) fn tokens(pointer: &str) -> Result<Vec<String>> {
    let wrong = |why: &str| Error::invalid(format!("Pointer `{}` {why}.", clip(pointer, SHOWN)));
    let rest = pointer.strip_prefix('/').ok_or_else(|| wrong("does not start with \"/\""))?;
    // `/` alone is the empty name, which the reference takes for a property; nothing could show it
    if rest.split('/').any(|token| token.trim().is_empty()) {
        return Err(wrong("contains an empty token: \"/\" at its end, or next to another \"/\""));
    }
    rest.split('/')
        .map(|token| unescape(token.trim()))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("contains \"~\" not part of a recognized escape sequence"))
}

/// `~1` → `/`, `~0` → `~`, in one pass, so that `~01` is `~1`. None when `~` stands before anything else.
fn unescape(token: &str) -> Option<String> {
    let mut plain = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

/// A place in a list: digits or `-` (§10).
pub(super) fn position(token: &str) -> Option<Position> {
    if token == "-" {
        return Some(Position::End);
    }
    // `parse` alone would take a sign
    let is_number = !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| Position::Index(token.parse().unwrap_or(usize::MAX)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pointers_that_are_none() {
        // V2-147, V2-148, V2-149, V2-150, §9.1 row 4
        for bad in [
            "", "name", "a/b", " /name", "/", "//", "/name/", "/name/ ", "/a//b", "//a", "/a/ /b", "/ ",
            "/ /a", "/a~2", "/a~", "/~", "/a~/b", "/~~0",
        ] {
            assert!(tokens(bad).is_err(), "{bad:?}");
        }
        for (fine, expected) in [
            ("/name", vec!["name"]),
            ("/ a b ", vec!["a b"]),
            ("/a/b", vec!["a", "b"]),
            ("/a / b", vec!["a", "b"]),
            ("/locations/-", vec!["locations", "-"]),
        ] {
            assert_eq!(tokens(fine).unwrap(), expected);
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        // V2-151
        for (pointer, name) in [("/a~1b", "a/b"), ("/a~0b", "a~b"), ("/a~01b", "a~1b"), ("/~0~1", "~/")] {
            assert_eq!(tokens(pointer).unwrap(), [name]);
        }
    }

    #[test]
    fn positions_are_digits_or_a_dash() {
        assert_eq!(position("-"), Some(Position::End));
        assert_eq!(position("007"), Some(Position::Index(7)));
        assert_eq!(position(&"9".repeat(50)), Some(Position::Index(usize::MAX)));
        for bad in ["", "+1", "-1", "x", "1x", "1.0", "٣"] {
            assert_eq!(position(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn escaping_comes_back(names in prop::collection::vec("[~/01a-c é]{1,12}", 1..4)) {
            prop_assume!(names.iter().all(|name| name.trim() == name && !name.is_empty()));
            let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let pointer: String = names.iter().map(escaped).collect();
            prop_assert_eq!(tokens(&pointer).unwrap(), names);
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC*") {
            let _ = tokens(&text);
            let _ = position(&text);
        }
    }
}
