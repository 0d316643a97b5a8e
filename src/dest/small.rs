//! Small files: proven in memory, they see the disk only when they are published.
//!
//! So who receives them does not wait for the disk, and one thread alone makes files in the staging area.

use std::io;

use super::Dest;
use super::stage::{Verified, VerifyError, confirm};
use crate::digest::{Algorithms, Checksum, Digests, Hasher};

/// A file of at most so many bytes is small.
pub(crate) const SMALL: usize = 16 * 1024;

/// A whole file in memory, whose digests were confirmed.
#[derive(Debug)]
pub(crate) struct Small {
    pub(super) bytes: Vec<u8>,
    pub(super) digests: Digests,
    pub(super) modified: Option<i64>,
}

/// A file that may be published.
#[derive(Debug)]
pub(crate) enum Proven {
    Staged(Verified),
    Small(Small),
}

impl Small {
    /// Proves a file: its bytes have all of these digests. `modified` becomes its modification time, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// When a digest differs.
    pub(crate) fn prove(
        bytes: Vec<u8>,
        algorithms: Algorithms,
        expected: &[Checksum],
        modified: Option<i64>,
    ) -> Result<Self, VerifyError> {
        let mut hasher = Hasher::new(algorithms);
        hasher.update(&bytes);
        let digests = hasher.finish();
        confirm(&digests, expected)?;
        Ok(Self { bytes, digests, modified })
    }

    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Proven {
    /// Bytes.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Staged(verified) => verified.length(),
            Self::Small(small) => small.bytes.len() as u64,
        }
    }

    /// The digests of its bytes.
    #[must_use]
    pub(crate) fn digests(&self) -> &Digests {
        match self {
            Self::Staged(verified) => verified.digests(),
            Self::Small(small) => &small.digests,
        }
    }
}

impl Dest {
    /// Sees to it that a proven file is in the staging area.
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
