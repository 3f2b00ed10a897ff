//! Digests of parts, off the async threads.
//!
//! MD5 and the secure hash run side by side, each in order of the parts. No thread is held between two parts, so
//! slow uploads cannot use up the threads for blocking work.

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::{Error, ErrorKind, Result};
use crate::config::HashAlgorithm;
use crate::domain::digest::{Checksum, Digests, SecureHash};

/// Below this many bytes hashing takes less time than moving it to another thread.
const INLINE: usize = 64 << 10;

/// Digests of one upload in the making.
#[derive(Debug)]
pub struct Hasher {
    size: u64,
    checksum: Option<Lane<Checksum>>,
    algorithm: HashAlgorithm,
    hash: Lane<SecureHash>,
}

impl Hasher {
    /// No data yet; with `checksum` the MD5 is computed as well.
    pub fn new(checksum: bool, algorithm: HashAlgorithm) -> Self {
        Self {
            size: 0,
            checksum: checksum.then(|| Lane::Idle(Checksum::default())),
            algorithm,
            hash: Lane::Idle(SecureHash::new(algorithm)),
        }
    }

    /// Hands over the next part: waits for the one before it, starts this one and returns.
    ///
    /// # Errors
    /// `Internal` when a digest thread failed.
    pub async fn push(&mut self, part: Bytes) -> Result<()> {
        self.size += part.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.push(&part, Checksum::update).await?;
        }
        self.hash.push(&part, SecureHash::update).await
    }

    /// The digests of everything handed over.
    ///
    /// # Errors
    /// `Internal` when a digest thread failed.
    pub async fn finish(self) -> Result<Digests> {
        let checksum = match self.checksum {
            Some(lane) => Some(lane.wait().await?.finish()),
            None => None,
        };
        let value = self.hash.wait().await?.finish();
        Ok(Digests { size: self.size, checksum, algorithm: self.algorithm, value })
    }
}

/// One digest: at rest, or at work on a part. `Lost` lasts only while a part changes hands.
#[derive(Debug)]
enum Lane<T> {
    Idle(T),
    Busy(JoinHandle<T>),
    Lost,
}

impl<T: Send + 'static> Lane<T> {
    async fn push(&mut self, part: &Bytes, update: fn(&mut T, &[u8])) -> Result<()> {
        let mut digest = self.take().await?;
        *self = if part.len() < INLINE {
            update(&mut digest, part);
            Self::Idle(digest)
        } else {
            let part = part.clone();
            Self::Busy(spawn_blocking(move || {
                update(&mut digest, &part);
                digest
            }))
        };
        Ok(())
    }

    /// Takes the digest out, once it is at rest. Awaiting in place keeps a cancelled call harmless.
    async fn take(&mut self) -> Result<T> {
        if let Self::Busy(work) = self {
            let digest = work.await.map_err(failed)?;
            *self = Self::Idle(digest);
        }
        match std::mem::replace(self, Self::Lost) {
            Self::Idle(digest) => Ok(digest),
            Self::Busy(_) | Self::Lost => Err(Error::new(ErrorKind::Internal, "digest")),
        }
    }

    async fn wait(mut self) -> Result<T> {
        self.take().await
    }
}

fn failed(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "digest").with_source(error)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::digest::Digester;

    #[tokio::test]
    async fn equals_the_digests_of_one_thread() {
        let data: Bytes = (0..700_000_u32).map(|n| (n * 7 / 5) as u8).collect::<Vec<_>>().into();
        for piece in [1_000, INLINE - 1, INLINE, 250_000] {
            let mut expected = Digester::new(true, HashAlgorithm::Sha512);
            let mut hasher = Hasher::new(true, HashAlgorithm::Sha512);
            for chunk in data.chunks(piece) {
                expected.update(chunk);
                hasher.push(data.slice_ref(chunk)).await.unwrap();
            }
            assert_eq!(hasher.finish().await.unwrap(), expected.finish());
        }
    }

    #[tokio::test]
    async fn without_checksum_and_without_data() {
        let digests = Hasher::new(false, HashAlgorithm::Sha256).finish().await.unwrap();
        assert_eq!(digests, Digester::new(false, HashAlgorithm::Sha256).finish());
    }
}
