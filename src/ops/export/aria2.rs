//! An input file for `aria2c --input-file`.

use std::fmt::Write as _;

use super::{Export, Exported, registered};
use crate::digest::Algorithm;

/// One download a paragraph: its URLs, then its options.
pub(crate) struct Aria2 {
    /// Where the files go.
    pub(crate) folder: String,
}

impl Export for Aria2 {
    fn entry(&self, file: &Exported) -> Option<String> {
        // A URL with a blank or a control character in it would be read as something else.
        if file.urls.iter().any(|url| url.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return None;
        }
        let mut text = file.urls.join("\t");
        let _ = write!(text, "\n  dir={}\n  out={}\n", self.folder, file.path);
        let strongest = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1, Algorithm::Md5];
        if let Some(checksum) = file.checksum(&strongest)
            && let Some(name) = registered(checksum.algorithm())
        {
            let _ = writeln!(text, "  checksum={name}={}", checksum.hex());
        }
        Some(text)
    }
}
