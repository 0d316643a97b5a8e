//! Pins: the digests and the size that an entry must have, from the manifest, the lock or a
//! checksum list. Nothing here makes a request or reads the destination.

pub(crate) mod checksum_lists;
mod listed;
pub(crate) mod lock;
pub(crate) mod lookup;
mod validators;

use std::fmt;

use crate::digest::{Algorithm, Algorithms, Checksum, Digests};
pub use validators::Validators;

/// The digests and the size that an entry must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The size in bytes, if it is pinned.
    pub size: Option<u64>,
    /// The file must match all of them. If there are none, only the size is pinned.
    pub checksums: Vec<Checksum>,
    /// The origin of the pin.
    pub from: PinFrom,
    /// True if a publisher stated the digests; false if they were computed from a first download.
    pub published: bool,
}

/// The origin of a pin, in order of precedence: the first origin that has a pin decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinFrom {
    /// The manifest itself.
    Manifest,
    /// The lock.
    Lock,
    /// A checksum list or a sidecar (a checksum file for a single file).
    List,
}

/// The result of looking up the pin of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// There is no pin: the entry follows upstream.
    Free,
    /// The file must match this pin.
    To(Pin),
    /// The lock pins the entry as missing upstream.
    Missing,
    /// The checksum list of the source does not name the entry, although it is required.
    Unlisted,
    /// The required sidecar does not exist. That is allowed only if the file does not exist either
    /// and the source allows missing files.
    Unvouched,
    /// The checksum list has several files that match the entry, with different digests.
    Ambiguous,
    /// The checksum list of the source cannot be used.
    NoList,
}

impl Pinned {
    /// The pin, if there is one.
    #[must_use]
    pub fn pin(&self) -> Option<&Pin> {
        match self {
            Self::To(pin) => Some(pin),
            _ => None,
        }
    }
}

impl Pin {
    /// True if there are digests and a publisher stated them.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.published && !self.checksums.is_empty()
    }

    /// The algorithms that a comparison needs.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.checksums.iter().map(Checksum::algorithm).collect()
    }

    /// The pinned digest of an algorithm.
    #[must_use]
    pub fn checksum(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.checksums.iter().find(|checksum| checksum.algorithm() == algorithm).copied()
    }

    /// Compares digests of a file with the pin. `None` if they agree as far as known, but a digest
    /// that the pin needs is not among them.
    #[must_use]
    pub fn holds(&self, digests: &Digests) -> Option<bool> {
        let mut known = true;
        for checksum in &self.checksums {
            match digests.get(checksum.algorithm()) {
                Some(digest) if digest == *checksum => {}
                Some(_) => return Some(false),
                None => known = false,
            }
        }
        known.then_some(true)
    }

    /// The first pinned digest that differs or is not among `digests`, and the digest of the file
    /// if known.
    #[must_use]
    pub fn difference(&self, digests: &Digests) -> Option<(Checksum, Option<Checksum>)> {
        self.checksums.iter().find_map(|&expected| {
            let got = digests.get(expected.algorithm());
            (got != Some(expected)).then_some((expected, got))
        })
    }
}

impl fmt::Display for PinFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "the manifest",
            Self::Lock => "the lock",
            Self::List => "the checksum list",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Hasher};

    #[test]
    fn all_pinned_digests_must_match() {
        let md5 = |text| Checksum::from_hex(Algorithm::Md5, text).unwrap();
        let abc = md5("900150983cd24fb0d6963f7d28e17f72");
        let other = md5("00000000000000000000000000000000");
        let pin = |checksums: &[Checksum]| Pin {
            size: None,
            checksums: checksums.to_vec(),
            from: PinFrom::Manifest,
            published: true,
        };
        let sha256 = Checksum::from(Digest::of(b"abc"));
        let mut hasher = Hasher::new(Algorithms::default().with(Algorithm::Md5));
        hasher.update(b"abc");
        let both = hasher.finish();
        let one = Digests::new(Digest::of(b"abc"), Vec::new());
        assert_eq!(pin(&[sha256, abc]).holds(&both), Some(true));
        assert_eq!(pin(&[sha256, other]).holds(&both), Some(false));
        assert_eq!(pin(&[sha256, other]).difference(&both), Some((other, Some(abc))));
        assert_eq!(pin(&[sha256, abc]).holds(&one), None);
        assert_eq!(pin(&[sha256]).holds(&one), Some(true));
        assert_eq!(pin(&[sha256]).difference(&one), None);
    }
}
