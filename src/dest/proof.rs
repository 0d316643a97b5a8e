//! The comparison of computed digests with expected ones, which makes a file publishable.

use std::io;

use crate::digest::{Checksum, Digests};

/// A digest that a file must have, and the one that it has.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) expected: Checksum,
    /// None if it was not computed.
    pub(crate) got: Option<Checksum>,
}

/// Why a staged file is not what it should be.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// A digest differs.
    Mismatch(Box<Mismatch>),
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for VerifyError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Compares computed digests with those that the bytes must have.
///
/// # Errors
/// The first expected digest that differs or was not computed.
pub(super) fn confirm(digests: &Digests, expected: &[Checksum]) -> Result<(), VerifyError> {
    for &expected in expected {
        let got = digests.get(expected.algorithm());
        if got != Some(expected) {
            return Err(VerifyError::Mismatch(Box::new(Mismatch { expected, got })));
        }
    }
    Ok(())
}
