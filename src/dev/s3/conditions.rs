//! What a request demands of an object before anything happens.

use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Result, s3_error};

use super::files::{Condition, Object};

/// The condition of a write.
pub(super) fn condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    let absent = match if_none_match {
        None => false,
        Some(ETagCondition::Any) => true,
        Some(ETagCondition::ETag(_)) => return Err(s3_error!(NotImplemented)),
    };
    let etag = if_match.map(|wanted| match wanted {
        ETagCondition::Any => String::new(),
        ETagCondition::ETag(etag) => etag.into_value(),
    });
    Ok(Condition { absent, etag })
}

/// RFC 9110 §13.1: what a conditional read answers instead of the object.
pub(super) fn check_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let own = ETag::Strong(object.etag.clone());
    let matches = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.weak_cmp(&own),
    };
    if if_match.is_some_and(|condition| !matches(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(matches) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}
