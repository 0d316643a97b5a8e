//! Parser for publishers' checksum lists, in the formats of coreutils, BSD, `OpenSSL` and `GnuPG`.
//!
//! It is strict: a line that it cannot parse is an error, because a skipped line could leave a file
//! unchecked. Names in a list only select a digest for an entry of the manifest. They are never
//! used as paths.

mod foreign;
mod labelled;
mod line;
mod lines;
mod list;
mod problem;

/// Largest accepted list, in bytes.
pub(crate) const LARGEST: u64 = 256 << 20;

#[cfg(feature = "cli")]
pub(crate) use labelled::is_digest;
pub(crate) use list::{List, Lookup, Rules};
pub(crate) use problem::ListProblem;
