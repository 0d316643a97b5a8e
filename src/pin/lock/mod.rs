//! The lock, `NAME.lock` beside `NAME.yaml`: what each entry must be, one line an entry.
//!
//! JSON Lines, sorted by path, under version control: so a change is a change of single lines, and two
//! of them merge line by line. It is read in one pass that keeps 16 bytes a line, and written whole or
//! not at all. Nothing in it depends on when or where it was made.

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

/// Raised with every change of what a line means.
const VERSION: u64 = 1;

/// The lock's place beside its manifest.
#[must_use]
pub(crate) fn file_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}
