//! Digests of content, a hasher that computes several digests in one pass, and the grammars of
//! checksum lists.
//!
//! natsync itself identifies content by SHA-256, a [`Digest`]. A digest that a publisher states, of
//! any algorithm, is a [`Checksum`].

mod checksum;
pub(crate) mod checksums;
mod hasher;
mod hex;

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

pub use checksum::{Algorithm, Checksum};
pub use hasher::{Algorithms, Digests};
pub(crate) use hasher::{Buffer, Hasher};
pub(crate) use hex::{read_hex, write_hex};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps the bytes of a digest. Nothing is computed.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Computes the digest of content in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Computes the digest of all bytes of a reader, and counts them.
    ///
    /// # Errors
    /// When reading fails, or with kind `Interrupted` when `go_on` returns false. It is called
    /// before each read.
    pub fn of_reader(reader: impl Read, go_on: impl Fn() -> bool) -> io::Result<(Self, u64)> {
        let (digests, length) = Digests::of_reader(reader, Algorithms::default(), go_on)?;
        Ok((digests.sha256(), length))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_that_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        let (digest, length) = Digest::of_reader(&b"abc"[..], || true).unwrap();
        assert_eq!((digest.to_string().as_str(), length), (abc, 3));
    }

    #[test]
    fn reading_stops_when_go_on_returns_false() {
        assert!(Digest::of_reader(&b"abc"[..], || false).is_err());
    }
}
