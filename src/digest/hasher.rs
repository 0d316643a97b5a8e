//! Computes several digests in one pass over the content.

use std::io::{self, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{Algorithm, Checksum, Digest};

/// A set of algorithms that are computed in addition to SHA-256, which always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Algorithms(u8);

impl Algorithms {
    /// Adds an algorithm.
    #[must_use]
    pub fn with(self, algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => self,
            other => Self(self.0 | 1 << other as u8),
        }
    }

    fn has(self, algorithm: Algorithm) -> bool {
        self.0 & 1 << algorithm as u8 != 0
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<T: IntoIterator<Item = Algorithm>>(algorithms: T) -> Self {
        algorithms.into_iter().fold(Self::default(), Self::with)
    }
}

/// A reusable read buffer of 256 KiB.
#[derive(Clone, Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; 256 * 1024])
    }
}

/// The digests of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    sha256: Digest,
    others: Vec<Checksum>,
}

impl Digests {
    /// Combines digests that were computed earlier. `others` must not contain a SHA-256.
    #[must_use]
    pub fn new(sha256: Digest, others: Vec<Checksum>) -> Self {
        Self { sha256, others }
    }

    /// The SHA-256 digest.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The digests of the other algorithms.
    #[must_use]
    pub fn others(&self) -> &[Checksum] {
        &self.others
    }

    /// The digest of an algorithm, if it was computed.
    #[must_use]
    pub fn get(&self, algorithm: Algorithm) -> Option<Checksum> {
        if algorithm == Algorithm::Sha256 {
            return Some(self.sha256.into());
        }
        self.others.iter().find(|other| other.algorithm() == algorithm).copied()
    }

    /// Computes the digests of all bytes of a reader, and counts them.
    ///
    /// # Errors
    /// When reading fails, or with kind `Interrupted` when `go_on` returns false. It is called
    /// before each read.
    pub fn of_reader(
        reader: impl Read,
        algorithms: Algorithms,
        go_on: impl Fn() -> bool,
    ) -> io::Result<(Self, u64)> {
        Self::read(reader, algorithms, &mut Buffer::default(), go_on)
    }

    /// As [`Self::of_reader`], with a buffer that can be reused.
    ///
    /// # Errors
    /// As [`Self::of_reader`].
    pub fn read(
        mut reader: impl Read,
        algorithms: Algorithms,
        buffer: &mut Buffer,
        go_on: impl Fn() -> bool,
    ) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::new(algorithms);
        let block = &mut buffer.0;
        let mut total = 0;
        loop {
            if !go_on() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            match reader.read(block) {
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

/// Computes digests of content that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    others: Vec<Other>,
}

#[derive(Clone, Debug)]
enum Other {
    Sha512(Sha512),
    Sha1(Sha1),
    Md5(Md5),
    Blake3(Box<blake3::Hasher>),
    Crc32c(u32),
}

impl Hasher {
    /// Makes a hasher for SHA-256 and the given algorithms.
    #[must_use]
    pub(crate) fn new(algorithms: Algorithms) -> Self {
        let mut hasher = Self::default();
        let wanted = |algorithm| algorithms.has(algorithm);
        if wanted(Algorithm::Sha512) {
            hasher.others.push(Other::Sha512(Sha512::new()));
        }
        if wanted(Algorithm::Sha1) {
            hasher.others.push(Other::Sha1(Sha1::new()));
        }
        if wanted(Algorithm::Md5) {
            hasher.others.push(Other::Md5(Md5::new()));
        }
        if wanted(Algorithm::Blake3) {
            hasher.others.push(Other::Blake3(Box::default()));
        }
        if wanted(Algorithm::Crc32c) {
            hasher.others.push(Other::Crc32c(0));
        }
        hasher
    }

    /// Adds the next piece of the content.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        for other in &mut self.others {
            match other {
                Other::Sha512(state) => state.update(piece),
                Other::Sha1(state) => state.update(piece),
                Other::Md5(state) => state.update(piece),
                Other::Blake3(state) => {
                    state.update(piece);
                }
                Other::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, piece),
            }
        }
    }

    /// The digests of the concatenated pieces.
    #[must_use]
    pub(crate) fn finish(self) -> Digests {
        let others = self.others.into_iter().filter_map(Other::finish).collect();
        Digests { sha256: Digest::from_bytes(self.sha256.finalize().into()), others }
    }
}

impl Other {
    fn finish(self) -> Option<Checksum> {
        match self {
            Self::Sha512(state) => Checksum::from_bytes(Algorithm::Sha512, &state.finalize()),
            Self::Sha1(state) => Checksum::from_bytes(Algorithm::Sha1, &state.finalize()),
            Self::Md5(state) => Checksum::from_bytes(Algorithm::Md5, &state.finalize()),
            Self::Blake3(state) => {
                Checksum::from_bytes(Algorithm::Blake3, state.finalize().as_bytes())
            }
            Self::Crc32c(crc) => Checksum::from_bytes(Algorithm::Crc32c, &crc.to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests of "abc" from the standards and the reference implementations.
    const ABC: [(Algorithm, &str); 5] = [
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        (Algorithm::Crc32c, "364b3fb7"),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    #[test]
    fn pieces_have_the_digests_of_their_concatenation() {
        let mut hasher = Hasher::new(ABC.iter().map(|(algorithm, _)| *algorithm).collect());
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        let digests = hasher.finish();
        assert_eq!(digests.sha256(), Digest::of(b"abc"));
        for (algorithm, hex) in ABC {
            assert_eq!(digests.get(algorithm).unwrap().hex(), hex, "{algorithm}");
        }
    }

    #[test]
    fn only_the_given_algorithms_are_computed() {
        let digests = Hasher::new(Algorithms::default().with(Algorithm::Md5)).finish();
        assert!(digests.get(Algorithm::Md5).is_some() && digests.get(Algorithm::Sha1).is_none());
        assert!(digests.get(Algorithm::Sha256).is_some());
    }
}
