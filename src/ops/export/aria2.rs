//! Exports an input file for `aria2c --input-file`.

use std::fmt::Write as _;

use super::{Export, Exported, registered};
use crate::digest::Algorithm;

/// One paragraph for each entry: a line with its URLs, then its options. Paths are relative to the
/// destination, which `aria2c --dir` names: a `dir` in the file would take precedence over it.
pub(crate) struct Aria2;

impl Export for Aria2 {
    fn entry(&self, file: &Exported) -> Option<String> {
        // White space and control characters separate URLs and lines in this format.
        if file.urls.iter().any(|url| url.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return None;
        }
        let mut text = file.urls.join("\t");
        let _ = write!(text, "\n  out={}\n", file.path);
        let strongest = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1, Algorithm::Md5];
        if let Some(checksum) = file.checksum(&strongest)
            && let Some(name) = registered(checksum.algorithm())
        {
            let _ = writeln!(text, "  checksum={name}={}", checksum.hex());
        }
        Some(text)
    }
}
