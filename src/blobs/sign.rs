//! Signing of request bodies.
//!
//! Over TLS the body is not signed: TLS protects it and the hash would cost another pass. Over plain HTTP it is; its
//! hash is computed once per part and off the async threads, where the SDK would do it in place for every attempt.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{Error, ErrorKind, Result, Store};

/// Below this many bytes hashing takes less time than moving it to another thread.
const INLINE: usize = 64 << 10;

/// What the signature of a request says about its body.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Unsigned,
    Sha256(String),
}

impl Payload {
    /// For a request that sends `body` to `store`.
    pub(super) async fn of(store: &Store, body: &Bytes) -> Result<Self> {
        if !store.sign_payload() {
            return Ok(Self::Unsigned);
        }
        if body.len() < INLINE {
            return Ok(Self::Sha256(hex::encode(Sha256::digest(body))));
        }
        let body = body.clone();
        let hash = spawn_blocking(move || hex::encode(Sha256::digest(&body))).await;
        hash.map(Self::Sha256).map_err(|error| Error::new(ErrorKind::Internal, "sign").with_source(error))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Payload {
    fn name(&self) -> &'static str {
        "Payload"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), aws_smithy_runtime_api::box_error::BoxError> {
        config.interceptor_state().store_put(match self {
            Self::Unsigned => PayloadSigningOverride::UnsignedPayload,
            Self::Sha256(hash) => PayloadSigningOverride::Precomputed(hash.clone()),
        });
        Ok(())
    }
}
