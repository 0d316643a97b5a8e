//! Exports a checksum list for `sha256sum --check`, to be run in the destination.

use super::{Export, Exported};
use crate::digest::Algorithm;

/// One line for each entry with a known SHA-256 digest.
pub(crate) struct Sha256Sums;

impl Export for Sha256Sums {
    fn entry(&self, file: &Exported) -> Option<String> {
        let digest = file.checksum(&[Algorithm::Sha256])?.hex();
        // Paths never contain a newline, so the backslash is the only character that coreutils
        // escapes.
        let escaped = file.path.replace('\\', "\\\\");
        let mark = if escaped == file.path { "" } else { "\\" };
        Some(format!("{mark}{digest}  {escaped}\n"))
    }
}
