//! The part of the data that a download asks for (images-v2.md §13.1).

use http::{HeaderMap, header};

use crate::flows::download::Wanted;

/// What `Range`, or else the legacy request header `Content-Range`, asks for. What cannot be understood is
/// [`Wanted::Impossible`]; that and several ranges are errors only where there is an image with data to read.
pub fn parse(headers: &HeaderMap) -> Wanted {
    if let Some(value) = headers.get(header::RANGE) {
        let text = value.to_str().unwrap_or_default();
        if text.contains(',') {
            return Wanted::Several;
        }
        return range(text).unwrap_or(Wanted::Impossible);
    }
    match headers.get(header::CONTENT_RANGE) {
        Some(value) => content_range(value.to_str().unwrap_or_default()).unwrap_or(Wanted::Impossible),
        None => Wanted::Whole,
    }
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n`
fn range(text: &str) -> Option<Wanted> {
    let (unit, span) = text.trim().split_once('=')?;
    // RFC 9110 §14.1
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = span.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", "") => None,
        ("", count) => Some(Wanted::Last(most(count)?)),
        (first, "") => Some(Wanted::From(number(first)?)),
        (first, last) => between(number(first)?, most(last)?),
    }
}

/// `bytes a-b/S`, `bytes a-b/*`
fn content_range(text: &str) -> Option<Wanted> {
    let (span, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    match size.trim() {
        "*" => {}
        size if last < number(size)? => {}
        _ => return None,
    }
    match between(first, last)? {
        // the reference takes a stop beyond the end for an error here
        Wanted::Between(first, last) => Some(Wanted::Exactly(first, last)),
        other => Some(other),
    }
}

fn between(first: u64, last: u64) -> Option<Wanted> {
    (first <= last).then_some(Wanted::Between(first, last))
}

/// Digits alone: no sign, no blanks inside.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// As [`number`]; what is beyond all numbers is beyond the end of all data.
fn most(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::{Wanted, parse};

    fn asked(name: HeaderName, value: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        parse(&headers)
    }

    #[test]
    fn v2_228_to_235_every_form_of_a_range() {
        let range = |text| asked(header::RANGE, text);
        assert_eq!(range("bytes=0-0"), Wanted::Between(0, 0));
        assert_eq!(range("bytes=5-"), Wanted::From(5));
        assert_eq!(range("bytes=-3"), Wanted::Last(3));
        assert_eq!(range("bytes=0-999999"), Wanted::Between(0, 999_999));
        // V2-233, V2-234 and A49
        for junk in [
            "bytes=5-2",
            "bytes=1",
            "bytes=",
            "bytes=-",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
        ] {
            assert_eq!(range(junk), Wanted::Impossible, "{junk}");
        }
        assert_eq!(range("bytes=0-1,3-4"), Wanted::Several);
        assert_eq!(range("bytes=2-99999999999999999999999"), Wanted::Between(2, u64::MAX));
        assert_eq!(range("bytes=-99999999999999999999999"), Wanted::Last(u64::MAX));
        assert_eq!(range("Bytes=0-1"), Wanted::Between(0, 1));
        assert_eq!(range("bytes=99999999999999999999999-"), Wanted::Impossible);
        // V2-235
        let legacy = |text| asked(header::CONTENT_RANGE, text);
        assert_eq!(legacy("bytes 1-2/10"), Wanted::Exactly(1, 2));
        assert_eq!(legacy("bytes 1-2/*"), Wanted::Exactly(1, 2));
        for junk in ["bytes 1-10/10", "bytes 3-2/10", "1-2/10", "bytes 1-2"] {
            assert_eq!(legacy(junk), Wanted::Impossible, "{junk}");
        }
        assert_eq!(parse(&HeaderMap::new()), Wanted::Whole);
    }

    #[test]
    fn ranges_fit_into_the_data_or_are_refused() {
        assert_eq!(Wanted::Whole.within(0).ok(), Some(None));
        assert_eq!(Wanted::Between(0, 99).within(10).ok(), Some(Some(0..10)));
        assert_eq!(Wanted::From(9).within(10).ok(), Some(Some(9..10)));
        assert_eq!(Wanted::Last(3).within(10).ok(), Some(Some(7..10)));
        assert_eq!(Wanted::Last(30).within(10).ok(), Some(Some(0..10)));
        assert_eq!(Wanted::Exactly(1, 2).within(10).ok(), Some(Some(1..3)));
        // V2-232
        for refused in [
            Wanted::From(10),
            Wanted::Between(10, 11),
            Wanted::Last(0),
            Wanted::Impossible,
            Wanted::Several,
            Wanted::Exactly(0, 10),
        ] {
            assert!(refused.within(10).is_err(), "{refused:?}");
        }
        assert!(Wanted::From(0).within(0).is_err());
        assert!(Wanted::Between(u64::MAX, u64::MAX).within(10).is_err());
        assert_eq!(Wanted::Between(0, u64::MAX).within(10).ok(), Some(Some(0..10)));
    }
}
