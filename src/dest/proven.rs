//! A file whose digests are confirmed, wherever its bytes are.

use std::io;

use super::Dest;
use super::small::Small;
use super::stage::Verified;
use crate::digest::Digests;

/// A file that may be published.
#[derive(Debug)]
pub(crate) enum Proven {
    Staged(Verified),
    Small(Small),
}

impl Proven {
    #[must_use]
    pub(crate) fn digests(&self) -> &Digests {
        match self {
            Self::Staged(verified) => verified.digests(),
            Self::Small(small) => &small.digests,
        }
    }
}

impl Dest {
    /// Writes a proven file into the staging area, unless it is there already.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn put_on_disk(&self, proven: Proven) -> io::Result<Verified> {
        match proven {
            Proven::Staged(verified) => Ok(verified),
            Proven::Small(small) => Verified::write(self.staging(), self.run, small),
        }
    }
}
