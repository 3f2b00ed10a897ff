//! The headers that tell whether two answers carry the same bytes (RFC 9110 §8.8, §13.1.5, §14.4).

use reqwest::header::{CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A strong validator: as long as it stays the same, so do the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator {
    name: HeaderName,
    value: HeaderValue,
}

impl Validator {
    /// The strong validator of an answer. `Last-Modified` counts only where there is no `ETag` and the answer was
    /// sent at least a second later (RFC 9110 §8.8.2.2, §13.1.5).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(ETAG) {
            let strong = value.as_bytes().starts_with(b"\"");
            return strong.then(|| Self { name: ETAG, value: value.clone() });
        }
        let modified = date(headers, &LAST_MODIFIED)?;
        let sent = date(headers, &DATE)?;
        let value = headers.get(LAST_MODIFIED)?.clone();
        (sent > modified).then_some(Self { name: LAST_MODIFIED, value })
    }

    /// The value for `If-Range`.
    pub(super) fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Whether an answer repeats this validator.
    pub(super) fn matches(&self, headers: &HeaderMap) -> bool {
        headers.get(&self.name) == Some(&self.value)
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(name)?.to_str().ok()?, &Rfc2822).ok()
}

/// What a 206 answer holds: bytes `first..=last` of `total`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: u64,
}

impl ContentRange {
    /// The range of an answer; `None` also where the total is not told or the numbers contradict each other.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
        let (range, total) = text.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let range = Self { first: number(first)?, last: number(last)?, total: number(total)? };
        (range.first <= range.last && range.last < range.total).then_some(range)
    }
}

/// A decimal number without sign or space.
pub(super) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_strong_validators_count() {
        let old = (LAST_MODIFIED, "Tue, 15 Nov 1994 12:45:26 GMT");
        let now = (DATE, "Tue, 15 Nov 1994 12:45:27 GMT");
        let same = (DATE, "Tue, 15 Nov 1994 12:45:26 GMT");
        let strong = headers(&[(ETAG, "\"x\""), old.clone(), now.clone()]);
        let named = |map: &HeaderMap| Validator::of(map).map(|found| found.name);
        assert_eq!(named(&strong), Some(ETAG));
        assert_eq!(named(&headers(&[(ETAG, "W/\"x\""), old.clone(), now.clone()])), None);
        assert_eq!(named(&headers(&[old.clone(), now])), Some(LAST_MODIFIED));
        assert_eq!(named(&headers(&[old.clone(), same])), None);
        assert_eq!(named(&headers(&[old])), None);
        assert_eq!(named(&headers(&[(LAST_MODIFIED, "yesterday")])), None);
    }

    #[test]
    fn content_ranges() {
        let range = |text: &'static str| ContentRange::of(&headers(&[(CONTENT_RANGE, text)]));
        assert_eq!(range("bytes 5-9/10"), Some(ContentRange { first: 5, last: 9, total: 10 }));
        for text in [
            "bytes 5-9/*",
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "bytes +5-9/10",
            "",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
        assert_eq!(number(""), None);
        assert_eq!(number("99999999999999999999"), None);
    }
}
