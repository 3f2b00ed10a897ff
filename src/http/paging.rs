//! Parameters that lists of both dialects read alike: page size, marker, sort keys (images-v1.md §4, images-v2.md §8.2).

use crate::config::Limits;
use crate::domain::image::ImageId;
use crate::domain::query::{SortDirection, SortKey};
use crate::error::{Error, Result};

/// The page size: what is asked for, up to the configured maximum.
///
/// # Errors
/// `Invalid` for anything but a natural number.
pub fn limit(value: Option<&str>, limits: &Limits) -> Result<u32> {
    let Some(value) = value else { return Ok(limits.limit_param_default.min(limits.api_limit_max)) };
    let number: i128 = value.trim().parse().map_err(|_| Error::invalid("limit param must be an integer"))?;
    if number < 0 {
        return Err(Error::invalid("limit param must be positive"));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX).min(limits.api_limit_max))
}

/// The image after which the page starts.
///
/// # Errors
/// `Invalid` for what cannot be the id of an image.
pub fn marker(value: &str) -> Result<ImageId> {
    if value.is_empty() {
        return Err(Error::invalid("Invalid marker. Image could not be found."));
    }
    value.parse().map_err(|_| Error::invalid("Invalid marker format"))
}

/// What to sort by.
///
/// # Errors
/// `Invalid` for an unknown word.
pub fn sort_key(word: &str) -> Result<SortKey> {
    word.parse().map_err(|()| {
        let known = SortKey::WORDS.map(|(word, _)| word).join(", ");
        Error::invalid(format!("Unsupported sort_key. Acceptable values: {known}"))
    })
}

/// In which direction.
///
/// # Errors
/// `Invalid` for an unknown word.
pub fn sort_direction(word: &str) -> Result<SortDirection> {
    word.parse().map_err(|()| Error::invalid("Unsupported sort_dir. Acceptable values: asc, desc"))
}
