//! The state of reading one manifest, shared by all files of this module.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::PathBuf;

use super::node::Node;
use super::options::LoadOptions;
use crate::digest::Digest;
use crate::manifest::problem::{Found, Span, Text};
use crate::manifest::secret::Hidden;
use crate::manifest::types::Input;

/// The hint for a manifest with too many entries.
pub(super) const LIMIT_HINT: &str = "if this is intended, raise `limits: {entries: ...}`";

/// The state of reading one manifest. It collects problems instead of stopping at the first one.
pub(super) struct Reader<'a> {
    pub(super) text: Text<'a>,
    /// The directory of the manifest, against which relative paths are resolved.
    pub(super) folder: PathBuf,
    pub(super) options: &'a LoadOptions<'a>,
    pub(super) problems: Found,
    /// The largest number of entries that the manifest may expand to.
    pub(super) limit: u64,
    /// The files that the manifest names, such as lists and CSV files, and that were read so far.
    pub(super) beside: Vec<Input>,
    /// The values that must not be printed.
    pub(super) hidden: Hidden,
    /// The variables of the source that is being read that a template formats as dates.
    pub(super) dated: HashSet<String>,
    pub(super) warnings: Found,
}

impl Reader<'_> {
    /// Records a problem.
    pub(super) fn problem(&mut self, at: Span, message: impl Into<String>, hint: Option<String>) {
        self.problems.add(at, message.into(), hint);
    }

    /// Whether a hint that takes time to find is worth it: after many problems, another one is never
    /// shown.
    pub(super) fn wants_hints(&self) -> bool {
        !self.problems.is_full()
    }

    /// The path that a text names, relative to the manifest. `~/` is the home directory.
    pub(super) fn path_of(&mut self, node: &Node, text: &str) -> Option<PathBuf> {
        if text.starts_with("~/") {
            return self.below_home(node.at, text);
        }
        if text.starts_with('~') && text != "~" {
            let user = text.split('/').next().unwrap_or(text);
            let hint = "`~/` is the home directory; a name that begins with `~` is written `./~..`";
            let message = format!("`{user}` is not supported");
            self.problem(node.at, message, Some(hint.to_owned()));
            return None;
        }
        Some(self.folder.join(text))
    }

    pub(super) fn below_home(&mut self, at: Span, text: &str) -> Option<PathBuf> {
        let named = |name| (self.options.env)(name).filter(|value| !value.is_empty());
        let home = named("HOME").or_else(|| named("USERPROFILE"));
        if home.is_none() {
            let hint = "set `HOME`, or write the path without `~`";
            self.problem(
                at,
                "`~/` is the home directory, but `HOME` is not set",
                Some(hint.to_owned()),
            );
        }
        Some(PathBuf::from(home?).join(text.trim_start_matches("~/")))
    }

    /// Reads a file that the manifest names. A file that cannot be read or has more than `most`
    /// bytes is recorded as a problem.
    pub(super) fn read_beside(&mut self, node: &Node, key: &str, most: u64) -> Option<Vec<u8>> {
        let name = self.text(node, key)?.to_owned();
        let file = self.path_of(node, &name)?;
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
                // As for the manifest, without a byte order mark.
                let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
                self.beside.push(Input { sha256: Digest::of(text), file });
                Some(content)
            }
            Ok(_) => {
                self.problem(node.at, format!("`{name}` has more than {most} bytes"), None);
                None
            }
            Err(error) => {
                self.unreadable(node, &name, &error);
                None
            }
        }
    }

    pub(super) fn unreadable(&mut self, node: &Node, name: &str, error: &std::io::Error) {
        let hint = "the path is relative to the manifest";
        let message = format!("cannot read `{name}`: {error}");
        self.problem(node.at, message, Some(hint.to_owned()));
    }
}
