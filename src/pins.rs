//! Gathers what is said about each entry: by the manifest, the lock and checksum lists.

use crate::entry::Entry;
use crate::error::RunError;
use crate::pin::{Pin, PinFrom, Pinned};
use crate::state::Validators;

/// Where pins come from in this run.
#[derive(Debug, Default)]
pub(crate) struct Pins<'a> {
    lock: std::marker::PhantomData<&'a ()>,
}

impl Pins<'_> {
    /// What is said about an entry. The manifest stands above the lock, and the lock above lists.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn of(&self, entry: &Entry<'_>, _path: &str) -> Result<Pinned, RunError> {
        let size = entry.size();
        let checksums = entry.checksums();
        if !checksums.is_empty() || size.is_some() {
            let pin = Pin { size, checksums: checksums.to_vec(), from: PinFrom::Manifest };
            return Ok(Pinned::To(pin));
        }
        Ok(Pinned::Free)
    }

    /// What the lock knows of how upstream names the pinned bytes.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn validators(&self, _path: &str) -> Result<Option<Validators>, RunError> {
        Ok(None)
    }
}
