//! Lines for `sha256sum --check`, run in the destination.

use super::{Export, Exported};
use crate::digest::Algorithm;

/// The list of all SHA-256 digests that are known.
pub(crate) struct Sha256Sums;

impl Export for Sha256Sums {
    fn entry(&self, file: &Exported) -> Option<String> {
        let digest = file.checksum(&[Algorithm::Sha256])?.hex();
        // No path has a newline; so a backslash is all that coreutils wants escaped.
        let escaped = file.path.replace('\\', "\\\\");
        let mark = if escaped == file.path { "" } else { "\\" };
        Some(format!("{mark}{digest}  {escaped}\n"))
    }
}
