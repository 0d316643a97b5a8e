//! Files with values or rows that a manifest names.

use std::path::PathBuf;

use super::node::Node;
use super::reader::{LIMIT_HINT, Reader};
use crate::manifest::problem::{Problem, Span, Text};
use crate::manifest::vars::{Segment, Texts};

/// Largest accepted file with values or rows, in bytes.
const LARGEST_LIST: u64 = 1 << 30;

/// Values that come from a file.
#[derive(Clone, Debug)]
pub(super) struct FromFile {
    /// The index of the first one.
    pub(super) first: u64,
    pub(super) file: PathBuf,
    pub(super) is_csv: bool,
}

impl Reader<'_> {
    pub(super) fn list_file(&mut self, node: &Node, name: &str) -> Option<Segment> {
        let content = self.read_text(node, "file")?;
        let mut texts = Texts::default();
        for line in lines(&content) {
            texts.push(&self.lone_date(name, line));
            if self.limit < texts.len() as u64 {
                self.problem(
                    node.at,
                    format!("the file of `{name}` has more than {} values", self.limit),
                    Some(LIMIT_HINT.to_owned()),
                );
                return None;
            }
        }
        if texts.len() == 0 {
            self.problem(node.at, format!("the file of `{name}` has no value"), None);
            return None;
        }
        Some(Segment::Texts(texts))
    }

    /// Reads a file with values or rows that the manifest names. It must be UTF-8.
    pub(super) fn read_text(&mut self, node: &Node, key: &str) -> Option<String> {
        const COMPRESSED: [&[u8]; 5] =
            [b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh"];
        let content = self.read_beside(node, key, LARGEST_LIST)?;
        let is_compressed = COMPRESSED.iter().any(|magic| content.starts_with(magic));
        let text = String::from_utf8(content);
        if text.is_err() || is_compressed {
            let name = node.text().unwrap_or_default();
            let (why, hint) = if is_compressed {
                ("it is compressed", "unpack it, and name the unpacked file")
            } else {
                ("it is not UTF-8", "save it as UTF-8")
            };
            self.problem(node.at, format!("cannot read `{name}`: {why}"), Some(hint.to_owned()));
            return None;
        }
        text.ok()
    }

    /// Reports a value that cannot be inserted by a template at `at`. A value from one of `files` is
    /// reported in that file.
    pub(super) fn wrong_value(
        &mut self,
        files: &[FromFile],
        index: u64,
        at: Span,
        message: String,
        hint: String,
    ) {
        let from = files.iter().rev().find(|from| from.first <= index);
        let found = from.and_then(|from| problem_in_file(from, index - from.first, &message));
        match found {
            Some(problem) => self.problems.add_elsewhere(at, problem.hint(hint)),
            None => self.problem(at, message, Some(hint)),
        }
    }
}

/// The values of a file: a trimmed line each, without blank lines and comments.
fn lines(content: &str) -> impl Iterator<Item = &str> {
    let lines = content.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A problem with the value at a position of a file, which is read again for that.
fn problem_in_file(from: &FromFile, position: u64, message: &str) -> Option<Problem> {
    let content = std::fs::read_to_string(&from.file).ok()?;
    let position = usize::try_from(position).ok()?;
    let text = Text::new(&from.file, &content);
    let at = if from.is_csv {
        let mut reader = csv::Reader::from_reader(content.as_bytes());
        let record = reader.records().nth(position)?.ok()?;
        text.at(usize::try_from(record.position()?.line()).ok()?, 1)
    } else {
        let line = lines(&content).nth(position)?;
        // The line is a part of the content, so its address tells its offset.
        let start = line.as_ptr().addr() - content.as_ptr().addr();
        Span { start, end: start + line.len() }
    };
    Some(text.problem(at, message))
}
