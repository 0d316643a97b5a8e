//! Digests of content, and the hasher that computes them as bytes arrive.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
    pub fn of_reader(mut reader: impl Read, go_on: impl Fn() -> bool) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::default();
        let mut block = vec![0; 256 * 1024];
        let mut total = 0;
        loop {
            if !go_on() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            match reader.read(&mut block) {
                Ok(0) => return Ok((hasher.finish(), total)),
                Ok(read) => {
                    hasher.update(&block[..read]);
                    total += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// Computes a digest of bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
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
