//! The authenticated call as an extractor for handlers.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use crate::flows::Call;

use super::fault::Fault;

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        // the front authenticates every request before it is routed; without it nobody gets in
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Fault::status(StatusCode::UNAUTHORIZED))
    }
}
