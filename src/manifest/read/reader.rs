//! The state of reading one manifest, shared by all files of this module.

use std::io::Read as _;
use std::path::PathBuf;

use super::node::Node;
use super::options::LoadOptions;
use crate::digest::Digest;
use crate::manifest::problem::{Problem, Span, Text};
use crate::manifest::types::Input;

/// The hint for a manifest with too many entries.
pub(super) const LIMIT_HINT: &str = "if this is intended, raise `limits: {entries: ...}`";

/// The state of reading one manifest. It collects problems instead of stopping at the first one.
pub(super) struct Reader<'a> {
    pub(super) text: Text<'a>,
    /// The directory of the manifest, against which relative paths are resolved.
    pub(super) folder: PathBuf,
    pub(super) options: &'a LoadOptions<'a>,
    pub(super) problems: Vec<Problem>,
    /// The largest number of entries that the manifest may expand to.
    pub(super) limit: u64,
    /// The files that the manifest names, such as lists and CSV files, and that were read so far.
    pub(super) beside: Vec<Input>,
}

impl Reader<'_> {
    /// Records a problem.
    pub(super) fn problem(&mut self, at: Span, message: impl Into<String>, hint: Option<String>) {
        let problem = self.text.problem(at, message);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    /// Reads a file that the manifest names. A file that cannot be read or has more than `most`
    /// bytes is recorded as a problem.
    pub(super) fn read_beside(&mut self, node: &Node, key: &str, most: u64) -> Option<Vec<u8>> {
        let name = self.text(node, key)?.to_owned();
        let file = self.folder.join(&name);
        let read = || -> std::io::Result<Vec<u8>> {
            if !std::fs::metadata(&file)?.is_file() {
                return Err(std::io::Error::other("it is not a regular file"));
            }
            let mut content = Vec::new();
            std::fs::File::open(&file)?.take(most + 1).read_to_end(&mut content)?;
            Ok(content)
        };
        match read() {
            Ok(content) if content.len() as u64 <= most => {
                self.beside.push(Input { sha256: Digest::of(&content), file });
                Some(content)
            }
            Ok(_) => {
                self.problem(node.at, format!("`{name}` has more than {most} bytes"), None);
                None
            }
            Err(error) => {
                let hint = "the path is relative to the manifest";
                let message = format!("cannot read `{name}`: {error}");
                self.problem(node.at, message, Some(hint.to_owned()));
                None
            }
        }
    }
}
