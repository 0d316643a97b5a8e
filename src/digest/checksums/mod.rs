//! Checksum lists as publishers write them, read strictly: a line that is not understood is an error,
//! never passed over.
//!
//! Names in a list only select a digest for an entry that the manifest declares; they never make a path.

mod line;
mod list;

/// A list with more bytes is not read.
pub(crate) const LARGEST: u64 = 256 << 20;

pub(crate) use list::{List, Lookup, Rules};
