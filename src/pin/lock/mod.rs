//! The lock, `NAME.lock` beside `NAME.yaml`: pins each entry with one line.
//!
//! The format is JSON Lines, sorted by path, so that version control shows and merges changes line
//! by line. Reading takes one pass and keeps 16 bytes a line in memory; writing replaces the file
//! atomically. The lock must not contain anything that depends on the time or the machine.

mod blocks;
mod line;
mod problem;
mod read;
mod standing;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use line::{Content, DigestFrom, LockLine};
pub use problem::LockProblem;
pub(crate) use read::Lock;
pub(crate) use standing::Standing;
pub(crate) use write::LockWriter;

/// The version of the format; it changes when the meaning of a line changes.
const VERSION: u64 = 1;

/// The path of the lock of a manifest.
#[must_use]
pub(crate) fn file_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}
