//! What an entry must be, as far as somebody has said it: a pin.

pub(crate) mod checksum_lists;
pub mod lock;
pub(crate) mod lookup;
mod validators;

use std::fmt;

use crate::digest::{Algorithm, Algorithms, Checksum, Digests};
pub use validators::Validators;

/// Digests and size that an entry must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Bytes, where they are known.
    pub size: Option<u64>,
    /// All of them must hold. Where there is none, the size alone is known.
    pub checksums: Vec<Checksum>,
    /// Who says so.
    pub from: PinFrom,
    /// Whether a publisher vouches for the digests, rather than a first download.
    pub published: bool,
}

/// Where a pin comes from; the first that has one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinFrom {
    /// The manifest itself.
    Manifest,
    /// The lock.
    Lock,
    /// A checksum list or a sidecar.
    List,
}

/// What is said about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// Nothing: it is what upstream has.
    Free,
    /// It must be this.
    To(Pin),
    /// Upstream does not have it, says the lock.
    Missing,
    /// No list names it, and one should.
    Unlisted,
    /// It has no sidecar, and should have one, unless upstream does not have the file either.
    Unvouched,
    /// Its list names several files that it could be.
    Ambiguous,
    /// The list that should name it cannot be used.
    NoList,
}

impl Pinned {
    /// What the entry must be, where that is said.
    #[must_use]
    pub fn pin(&self) -> Option<&Pin> {
        match self {
            Self::To(pin) => Some(pin),
            _ => None,
        }
    }
}

impl Pin {
    /// Whether a publisher says so, rather than a first download.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.published && !self.checksums.is_empty()
    }

    /// The algorithms that comparing needs.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.checksums.iter().map(Checksum::algorithm).collect()
    }

    /// The digest under that algorithm, where it is pinned.
    #[must_use]
    pub fn checksum(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.checksums.iter().find(|checksum| checksum.algorithm() == algorithm).copied()
    }

    /// Whether a content with these digests is the pinned one; none where they do not tell.
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

    /// The first digest that a content with these does not have, and what it has instead.
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
    fn all_digests_must_hold() {
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
