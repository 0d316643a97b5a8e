//! Why a destination cannot be used.

use std::io;
use std::path::PathBuf;

use crate::manifest::Shard;

/// Why a destination cannot be used.
#[derive(Debug)]
pub(crate) enum DestError {
    /// Another run holds its run guard.
    Busy {
        dest: PathBuf,
        /// The shard, if the other run works on the same one.
        shard: Option<Shard>,
        /// What that run wrote about itself.
        holder: Option<String>,
    },
    /// The file system refused.
    Unusable {
        /// The verb and its object, to stand between "cannot" and the path.
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}
