//! Query parameters of lists by v1 (images-v1.md §4, hardening.md A43).

use vitrine::domain::query::Filter;
use vitrine::http::v1::query::parse;

use super::{CALLERS, LIMITS, check_query, check_refusal};

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let Ok(raw) = str::from_utf8(data) else { return };
    let mut outcomes = Vec::new();
    for caller in CALLERS.iter() {
        let outcome = parse(raw, caller, &LIMITS);
        outcomes.push(outcome.is_ok());
        match outcome {
            Ok(query) => {
                check_query(&query, caller);
                for filter in &query.filters {
                    let texts = match filter {
                        Filter::Text(_, texts) => texts.clone(),
                        Filter::Property(name, value) => vec![name.clone(), value.clone()],
                        _ => vec![],
                    };
                    assert!(texts.iter().all(|text| !text.contains('\0')), "a null character in {filter:?}");
                }
            }
            Err(error) => check_refusal(&error),
        }
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "syntax depends on the caller");
}
