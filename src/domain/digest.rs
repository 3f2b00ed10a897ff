//! Digests of image data, computed in one pass.
//!
//! The data may arrive in any pieces; the result depends on their concatenation alone.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::config::HashAlgorithm;

/// What is known of data once all of it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Bytes.
    pub size: u64,
    /// MD5 in lower-case hex; none when it was not asked for.
    pub checksum: Option<String>,
    /// Algorithm of `value`.
    pub algorithm: HashAlgorithm,
    /// Secure hash in lower-case hex.
    pub value: String,
}

/// An MD5 in the making. It identifies data for old clients; it protects nothing.
#[derive(Debug, Clone, Default)]
pub struct Checksum(Md5);

impl Checksum {
    /// Adds the next piece of data.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Lower-case hex.
    pub fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// A secure hash in the making.
#[derive(Debug, Clone)]
pub struct SecureHash(Sha);

/// Digests that clients may name when they say what data must be, with their length in hex (images-v2.md §16.1).
/// The first two identify data and prove nothing.
const CLAIMABLE: [(&str, usize); 4] = [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha512", 128)];

/// Length in hex of a digest that clients may name; none for others.
pub fn claimable(algorithm: &str) -> Option<usize> {
    CLAIMABLE.into_iter().find_map(|(name, length)| (name == algorithm).then_some(length))
}

#[derive(Debug, Clone)]
enum Sha {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl SecureHash {
    /// The hash of no data yet.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm {
            HashAlgorithm::Sha256 => Sha::Sha256(Sha256::new()),
            HashAlgorithm::Sha512 => Sha::Sha512(Sha512::new()),
        })
    }

    /// The hash of no data yet, by an algorithm that clients may name; see [`claimable`].
    pub fn claimed(algorithm: &str) -> Option<Self> {
        Some(Self(match algorithm {
            "md5" => Sha::Md5(Md5::default()),
            "sha1" => Sha::Sha1(Sha1::default()),
            "sha256" => Sha::Sha256(Sha256::new()),
            "sha512" => Sha::Sha512(Sha512::new()),
            _ => return None,
        }))
    }

    /// Adds the next piece of data.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Sha::Md5(hash) => hash.update(data),
            Sha::Sha1(hash) => hash.update(data),
            Sha::Sha256(hash) => hash.update(data),
            Sha::Sha512(hash) => hash.update(data),
        }
    }

    /// Lower-case hex.
    pub fn finish(self) -> String {
        match self.0 {
            Sha::Md5(hash) => hex::encode(hash.finalize()),
            Sha::Sha1(hash) => hex::encode(hash.finalize()),
            Sha::Sha256(hash) => hex::encode(hash.finalize()),
            Sha::Sha512(hash) => hex::encode(hash.finalize()),
        }
    }
}

/// All digests in the making, on one thread.
#[derive(Debug, Clone)]
pub struct Digester {
    size: u64,
    checksum: Option<Checksum>,
    algorithm: HashAlgorithm,
    hash: SecureHash,
}

impl Digester {
    /// No data yet; with `checksum` the MD5 is computed as well.
    pub fn new(checksum: bool, algorithm: HashAlgorithm) -> Self {
        Self {
            size: 0,
            checksum: checksum.then(Checksum::default),
            algorithm,
            hash: SecureHash::new(algorithm),
        }
    }

    /// Adds the next piece of data.
    pub fn update(&mut self, data: &[u8]) {
        self.size += data.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
        self.hash.update(data);
    }

    /// The digests of everything added.
    pub fn finish(self) -> Digests {
        Digests {
            size: self.size,
            checksum: self.checksum.map(Checksum::finish),
            algorithm: self.algorithm,
            value: self.hash.finish(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn digests(pieces: &[&[u8]], checksum: bool, algorithm: HashAlgorithm) -> Digests {
        let mut digester = Digester::new(checksum, algorithm);
        pieces.iter().for_each(|piece| digester.update(piece));
        digester.finish()
    }

    #[test]
    fn published_vectors() {
        // RFC 1321 A.5 and FIPS 180-4 examples
        let abc = digests(&[b"abc"], true, HashAlgorithm::Sha256);
        assert_eq!(abc.size, 3);
        assert_eq!(abc.checksum.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(abc.value, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let empty = digests(&[], true, HashAlgorithm::Sha512);
        assert_eq!(empty.checksum.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
        assert!(empty.value.starts_with("cf83e1357eefb8bdf1542850d66d8007"));
        assert_eq!(digests(&[b"abc"], false, HashAlgorithm::Sha512).checksum, None);
    }

    #[test]
    fn claimed_digests_have_the_length_that_is_told() {
        let of = |name: &str| {
            let mut hash = SecureHash::claimed(name).unwrap();
            hash.update(b"abc");
            hash.finish()
        };
        for (name, length) in CLAIMABLE {
            assert_eq!((of(name).len(), claimable(name)), (length, Some(length)), "{name}");
        }
        assert_eq!(of("sha1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(of("md5"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(claimable("sha3"), None);
    }

    proptest! {
        #[test]
        fn independent_of_chunking(pieces in vec(vec(any::<u8>(), 0..300), 0..8)) {
            let whole = pieces.concat();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
                prop_assert_eq!(
                    digests(&pieces, true, algorithm),
                    digests(&[&whole], true, algorithm)
                );
            }
        }
    }
}
