//! Small files: their digests are confirmed in memory, and they are written when they are published.
//!
//! So the workers do not wait for the disk, and one thread alone creates files in the staging area.

use super::proof::{VerifyError, confirm};
use crate::digest::{Algorithms, Checksum, Digests, Hasher};

/// The largest size of a small file, in bytes.
pub(crate) const SMALL: usize = 16 * 1024;

/// A whole file in memory, whose digests were confirmed.
#[derive(Debug)]
pub(crate) struct Small {
    pub(super) bytes: Vec<u8>,
    pub(super) digests: Digests,
    pub(super) modified: Option<i64>,
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
