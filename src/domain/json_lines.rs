//! Lines of a JSON text, for those who have to find in an editor what a JSON pointer names.

/// The line, counted from 1, of what `pointer` (RFC 6901) names in `text`, which has been read without error: of a
/// member, the line of its name. Where there is no such thing, the line of the innermost thing around it that there is.
/// Of members with the same name the last counts, as it does for the reader.
pub fn line_of(text: &str, pointer: &str) -> usize {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.skip_blanks();
    let (mut shown, mut value) = (scanner.at, scanner.at);
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        scanner.at = value;
        let Some(found) = scanner.find(text, &token) else { break };
        (shown, value) = found;
    }
    let before = text.as_bytes().get(..shown).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// A place in a text that is known to be JSON. What it is not leads to some other place, and never beyond the end.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space, and what separates values from each other.
    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')) {
            self.at += 1;
        }
    }

    /// Skips a string, from its opening quote to behind its closing one.
    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
    }

    /// Skips a value, however deep.
    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => self.at += 1,
                _ => self.skip_word(),
            }
            if depth == 0 {
                break;
            }
        }
    }

    /// Skips a number, `true`, `false` or `null`.
    fn skip_word(&mut self) {
        while self.peek().is_some_and(|byte| !b" \t\r\n,:]}".contains(&byte)) {
            self.at += 1;
        }
    }

    /// Finds what `token` names in the object or list here: where it is shown, and where its value begins.
    fn find(&mut self, text: &str, token: &str) -> Option<(usize, usize)> {
        let open = self.peek()?;
        self.at += 1;
        let mut found = None;
        for index in 0_usize.. {
            self.skip_blanks();
            let begin = self.at;
            match self.peek()? {
                b'}' | b']' => break,
                b'"' if open == b'{' => {
                    self.skip_string();
                    let name: Option<String> =
                        text.get(begin..self.at).and_then(|name| serde_json::from_str(name).ok());
                    self.skip_blanks();
                    if name.as_deref() == Some(token) {
                        found = Some((begin, self.at));
                    }
                }
                _ if open == b'[' => {
                    if token.parse() == Ok(index) {
                        return Some((begin, begin));
                    }
                }
                _ => return None,
            }
            self.skip_value();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::Value;

    use super::line_of;

    const TEXT: &str = r#"
{
  "a": 1, "b": [true,
    {"c": "x]}\"\\",
     "d/e~": [
       [], {}, null ]
    }, -1.5e3],
  "\u0061b":
    "name written otherwise",
  "twice": {"x": 1},
  "twice": {
    "x": 2, "y": [1, 2]},
  "": {"": 0
  }
}
"#;

    #[test]
    fn things_are_found_on_their_lines() {
        for (pointer, line) in [
            ("", 2),
            ("/a", 3),
            ("/b", 3),
            ("/b/0", 3),
            ("/b/1", 4),
            ("/b/1/c", 4),
            ("/b/1/d~1e~0", 5),
            ("/b/1/d~1e~0/0", 6),
            ("/b/1/d~1e~0/2", 6),
            ("/b/2", 7),
            ("/ab", 8),
            ("/twice", 11),
            ("/twice/x", 12),
            ("/twice/y/1", 12),
            ("/", 13),
            ("//", 13),
        ] {
            assert_eq!(line_of(TEXT, pointer), line, "{pointer}");
        }
    }

    #[test]
    fn what_is_missing_is_where_it_should_be() {
        for (pointer, line) in
            [("/none", 2), ("/b/7", 3), ("/b/x", 3), ("/b/1/none/deeper", 4), ("/a/b", 3), ("/twice/z", 11)]
        {
            assert_eq!(line_of(TEXT, pointer), line, "{pointer}");
        }
    }

    #[test]
    fn texts_that_are_no_json_lead_nowhere() {
        for text in ["", "{", "[", "{\"a", "{\"a\\", "[1,,", "{1:2}", "}", "\u{feff}{}", "{\"é\":é"] {
            for pointer in ["", "/a", "/0", "/é/x", "no pointer"] {
                assert!(line_of(text, pointer) >= 1);
            }
        }
    }

    /// Every thing in a value, with its pointer.
    fn pointers(value: &Value, pointer: &str, all: &mut Vec<String>) {
        all.push(pointer.to_owned());
        match value {
            Value::Array(entries) => {
                for (at, entry) in entries.iter().enumerate() {
                    pointers(entry, &format!("{pointer}/{at}"), all);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    pointers(member, &format!("{pointer}/{name}"), all);
                }
            }
            _ => {}
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/\"\\\\\n]{0,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Written with a line for each thing, things come in the order of their lines, one a line.
        #[test]
        fn every_thing_of_a_pretty_text_has_a_line_of_its_own(value in json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let mut all = Vec::new();
            pointers(&value, "", &mut all);
            let lines: Vec<usize> = all.iter().map(|pointer| line_of(&text, pointer)).collect();
            prop_assert!(lines.is_sorted_by(|a, b| a < b), "{:?} {:?}\n{}", all, lines, text);
        }

        #[test]
        fn nothing_panics(text in ".{0,60}", pointer in "(/[a-z0-9~]{0,3}){0,4}") {
            prop_assert!(line_of(&text, &pointer) <= text.lines().count() + 1);
        }
    }
}
