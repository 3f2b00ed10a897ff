//! Query parameters of lists by v2, and the links made of them (images-v2.md §8, hardening.md A29, A43).

use vitrine::domain::caller::Caller;
use vitrine::domain::image::ImageId;
use vitrine::domain::query::{Filter, ImageQuery};
use vitrine::http::v2::query::{Listing, parse};

use super::{CALLERS, LIMITS, check_query, check_refusal};

/// Parameters of a request, values of each, and the conditions of every list.
const FILTERS_MAX: usize = 2 * 200 + 2;
const VALUES_MAX: usize = 1000;

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let Ok(raw) = str::from_utf8(data) else { return };
    let last = ImageId("5b1faf51-237a-4893-b5a3-6b4c931efba0".parse().expect("a constant"));
    let mut outcomes = Vec::new();
    // links do not depend on the caller, so one of them follows them
    let follower = raw.len() % CALLERS.len();
    for (number, caller) in CALLERS.iter().enumerate() {
        let listing = match parse(raw, caller, &LIMITS) {
            Ok(listing) => listing,
            Err(error) => {
                check_refusal(&error);
                outcomes.push(false);
                continue;
            }
        };
        outcomes.push(true);
        check_query(&listing.query, caller);
        check_size(&listing.query);
        if number != follower {
            continue;
        }

        let first = ImageQuery { marker: None, ..listing.query.clone() };
        assert_eq!(follow(&listing.first(), caller).query, first, "the first page is one of another list");
        let next = follow(&listing.next(last), caller);
        assert_eq!(
            next.query,
            ImageQuery { marker: Some(last), ..first },
            "the next page is one of another list"
        );
        assert_eq!((next.first(), next.next(last)), (listing.first(), listing.next(last)), "links drift");
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "syntax depends on the caller");
}

fn follow(link: &str, caller: &Caller) -> Listing {
    assert!(link.is_ascii() && !link.contains(|c: char| c.is_ascii_control() || c == ' '), "{link:?}");
    let rest = link.strip_prefix("/v2/images").expect("a link to the collection");
    let raw = rest.strip_prefix('?').unwrap_or(rest);
    assert!(raw.is_empty() == rest.is_empty(), "{link:?}");
    parse(raw, caller, &LIMITS).unwrap_or_else(|error| panic!("{link} is refused: {error:?}"))
}

fn check_size(query: &ImageQuery) {
    assert!(query.filters.len() <= FILTERS_MAX, "{} filters", query.filters.len());
    for filter in &query.filters {
        let values = match filter {
            Filter::Text(_, texts) => texts.len(),
            Filter::Id(ids) => ids.len(),
            Filter::Status(words) | Filter::StatusNot(words) => words.len(),
            _ => 1,
        };
        assert!(values <= VALUES_MAX, "{values} values");
    }
}
