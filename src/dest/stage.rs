//! Private files for bytes that are not yet proven, and the proof.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use super::folder::Shared;
use crate::digest::{Algorithms, Checksum, Digests, Hasher};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file that only this transfer writes to. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    name: Name,
    hasher: Hasher,
    length: u64,
}

/// A staged file whose length and digest are known and were confirmed; the only thing that can be
/// published. Dropped unpublished, it is removed.
#[derive(Debug)]
pub(crate) struct Verified {
    name: Name,
    length: u64,
    digests: Digests,
    permissions: u32,
    modified: i64,
}

/// A digest that a file should have, and the one that it has.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) expected: Checksum,
    /// None where it was not computed.
    pub(crate) got: Option<Checksum>,
}

/// Why a staged file is not what it should be.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// Its bytes have another digest.
    Mismatch(Box<Mismatch>),
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for VerifyError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Staged {
    pub(super) fn create(staging: &Shared, run: u64, algorithms: Algorithms) -> io::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let text = format!("{run:016x}-{number:x}");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            File::from(rustix::fs::openat(&**staging, &text, flags, Mode::from_raw_mode(0o666))?);
        Ok(Self {
            file,
            name: Name { folder: Shared::clone(staging), text, armed: Cell::new(true) },
            hasher: Hasher::new(algorithms),
            length: 0,
        })
    }

    /// Writes and hashes the next bytes.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Ends the file and proves it: the disk holds as many bytes as were hashed, and they have all of
    /// these digests. `modified` becomes its modification time, in seconds since 1970, where the system
    /// takes it.
    ///
    /// # Errors
    /// When a digest differs, the lengths differ or the disk fails.
    pub(crate) fn verify(
        self,
        expected: &[Checksum],
        modified: Option<i64>,
    ) -> Result<Verified, VerifyError> {
        if let Some(seconds) = modified {
            let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
            // A time that the file system cannot hold is no reason to refuse the bytes.
            let _ = rustix::fs::futimens(
                &self.file,
                &Timestamps { last_access: time, last_modification: time },
            );
        }
        let stat = super::Stat::from(rustix::fs::fstat(&self.file).map_err(io::Error::from)?);
        if stat.size != self.length {
            let message = format!(
                "the staged file has {} bytes after {} were written",
                stat.size, self.length
            );
            return Err(VerifyError::Disk(io::Error::other(message)));
        }
        let digests = self.hasher.finish();
        for &expected in expected {
            let got = digests.get(expected.algorithm());
            if got != Some(expected) {
                return Err(VerifyError::Mismatch(Box::new(Mismatch { expected, got })));
            }
        }
        Ok(Verified {
            name: self.name,
            length: self.length,
            digests,
            permissions: stat.permissions(),
            modified: stat.modified,
        })
    }
}

impl Verified {
    /// Bytes.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The digests of the bytes that were written.
    #[must_use]
    pub(crate) fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Whether a published file still is the one that was staged.
    #[must_use]
    pub(crate) fn is_still(&self, stat: &super::Stat) -> bool {
        stat.size == self.length && stat.modified == self.modified
    }

    pub(super) fn name(&self) -> &str {
        &self.name.text
    }

    pub(super) fn permissions(&self) -> u32 {
        self.permissions
    }

    /// It has its final name: there is nothing left to remove.
    pub(super) fn disarm(&self) {
        self.name.armed.set(false);
    }
}

/// A name in the staging area, removed with its owner unless that was published.
#[derive(Debug)]
struct Name {
    folder: Shared,
    text: String,
    armed: Cell<bool>,
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.armed.get() {
            let _ = rustix::fs::unlinkat(&*self.folder, &self.text, AtFlags::empty());
        }
    }
}
