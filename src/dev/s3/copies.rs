//! What a copy names: its source and a range of it.

use std::ops::Range as Span;

use s3s::dto::{CopySource, Range};
use s3s::{S3Result, s3_error};

/// Bucket and key of the source.
pub(super) fn source(source: &CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, version_id: None } => Ok((bucket.to_string(), key.to_string())),
        _ => Err(s3_error!(NotImplemented)),
    }
}

/// The range a header names, of an object whose size is found out later; all of it without a header.
pub(super) fn copy_range(header: Option<&str>) -> S3Result<impl FnOnce(u64) -> S3Result<Span<u64>> + use<>> {
    let range = header.map(Range::parse).transpose().map_err(|_| s3_error!(InvalidArgument))?;
    Ok(move |size| match range {
        None => Ok(0..size),
        // unlike a read, a copy must not ask for more than there is
        Some(Range::Int { first, last: Some(last) }) if first <= last && last < size => Ok(first..last + 1),
        Some(_) => Err(s3_error!(InvalidRange)),
    })
}
