//! Digests of content, and the hasher that computes several as bytes arrive.
//!
//! A file is known by its SHA-256, a [`Digest`]. What a publisher says about it, under whichever
//! algorithm, is a [`Checksum`].

mod checksum;
pub(crate) mod checksums;
mod hasher;

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

pub use checksum::{Algorithm, Checksum};
pub use hasher::{Algorithms, Buffer, Digests, Hasher};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with those bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of a whole content in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Reads to the end and returns the digest with the number of bytes.
    ///
    /// # Errors
    /// When reading fails, or `go_on` says no (as `Interrupted`), which is asked once a block.
    pub fn of_reader(reader: impl Read, go_on: impl Fn() -> bool) -> io::Result<(Self, u64)> {
        let (digests, length) = Digests::of_reader(reader, Algorithms::default(), go_on)?;
        Ok((digests.sha256(), length))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        checksum::write_hex(&self.0, f)
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
    fn the_published_vector() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        let (digest, length) = Digest::of_reader(&b"abc"[..], || true).unwrap();
        assert_eq!((digest.to_string().as_str(), length), (abc, 3));
    }

    #[test]
    fn a_read_can_be_called_off() {
        assert!(Digest::of_reader(&b"abc"[..], || false).is_err());
    }
}
