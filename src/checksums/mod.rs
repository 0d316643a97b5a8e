//! Checksum lists as publishers write them, read strictly: a line that is not understood is an error,
//! never passed over.
//!
//! Names in a list only select a digest for an entry that the manifest declares; they never make a path.

mod line;
mod list;

pub(crate) use list::{List, ListProblem, Lookup, Rules};
