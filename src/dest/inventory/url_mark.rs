//! What is kept in memory of the URL of a record: 8 bytes tell two URLs of one path apart.

use crate::manifest::identity::public_text;
use crate::manifest::{Identity, IdentityKey, UrlDigest};
use crate::rel_path::path_hash;

/// The mark of a recorded URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlMark {
    /// The identity is unknown, so it equals none.
    Unknown,
    /// A hash of an identity that the shown form determines.
    Public(u64),
    /// The beginning of the keyed digest of the identity.
    Keyed(u64),
}

impl UrlMark {
    /// The mark of a URL in its shown form and the digest beside it.
    pub(super) fn of(shown: &str, digest: Option<UrlDigest>) -> Self {
        match (digest, public_text(shown)) {
            (Some(digest), _) => Self::Keyed(beginning(digest)),
            (None, Some(text)) => Self::Public(hash(&text)),
            (None, None) => Self::Unknown,
        }
    }

    /// Whether it is the mark of that identity. `key` is the key of the digests.
    pub(super) fn is(self, identity: &Identity, key: &IdentityKey) -> bool {
        match self {
            Self::Unknown => false,
            Self::Public(mark) => mark == hash(identity.expose()),
            Self::Keyed(mark) => mark == beginning(key.digest(identity.expose())),
        }
    }

    pub(super) fn to_parts(self) -> (u8, u64) {
        match self {
            Self::Unknown => (0, 0),
            Self::Public(mark) => (1, mark),
            Self::Keyed(mark) => (2, mark),
        }
    }

    pub(super) fn from_parts(kind: u8, mark: u64) -> Self {
        match kind {
            1 => Self::Public(mark),
            2 => Self::Keyed(mark),
            _ => Self::Unknown,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough")]
fn hash(text: &str) -> u64 {
    path_hash(text) as u64
}

fn beginning(digest: UrlDigest) -> u64 {
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest.0[..8]);
    u64::from_ne_bytes(mark)
}
