//! Object keys: `<prefix>/images/<image-id>/<blob-id>`.
//!
//! Made of ids and of configuration, never of what a user wrote (A59). The blob id is new for every attempt, so a
//! key is written by one writer once and a late writer cannot replace the data of another.

use std::fmt;

use uuid::Uuid;

use crate::domain::image::ImageId;

/// What a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKey {
    /// Image the data is for.
    pub image: ImageId,
    /// Ledger row of the object.
    pub blob: Uuid,
}

impl ObjectKey {
    /// The key below `folder`, which ends with a slash.
    pub fn below(self, folder: &str) -> String {
        format!("{folder}{self}")
    }

    /// Reads a key below `folder`; none if it is not one of ours in its one spelling.
    pub fn parse(folder: &str, key: &str) -> Option<Self> {
        let (image, blob) = key.strip_prefix(folder)?.split_once('/')?;
        let parsed = Self { image: image.parse().ok()?, blob: Uuid::parse_str(blob).ok()? };
        (parsed.below(folder) == key).then_some(parsed)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.image, self.blob.hyphenated())
    }
}

/// The folder of all objects of a store: it ends with a slash, so that siblings which share its letters are not
/// listed with it.
pub(super) fn folder(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => "images/".to_owned(),
        prefix => format!("{prefix}/images/"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const IMAGE: &str = "6f2c1a34-0000-4000-8000-00000000000a";
    const BLOB: &str = "6f2c1a34-0000-4000-8000-00000000000b";

    #[test]
    fn a59_keys_hold_ids_only() {
        let key = ObjectKey { image: IMAGE.parse().unwrap(), blob: BLOB.parse().unwrap() };
        assert_eq!(key.below(&folder("")), format!("images/{IMAGE}/{BLOB}"));
        assert_eq!(key.below(&folder("eu/one/")), format!("eu/one/images/{IMAGE}/{BLOB}"));
        assert_eq!(ObjectKey::parse("images/", &format!("images/{IMAGE}/{BLOB}")), Some(key));
    }

    #[test]
    fn foreign_keys_are_not_ours() {
        for key in [
            "".to_owned(),
            format!("images2/{IMAGE}/{BLOB}"),
            format!("images/{IMAGE}"),
            format!("images/{IMAGE}/{BLOB}/x"),
            format!("images/{IMAGE}/../{BLOB}"),
            format!("images/{}/{BLOB}", IMAGE.to_uppercase()),
        ] {
            assert_eq!(ObjectKey::parse("images/", &key), None, "{key}");
        }
    }
}
