//! Errors in a checksum list.

/// An error in a list. `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListProblem {
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl ListProblem {
    /// What a manifest can say about a list that cannot be read.
    pub(crate) const HINT: &'static str = "in `checksums`, `pattern` is a regular expression for lists of other formats, and `algorithm` names the algorithm";
}

impl std::fmt::Display for ListProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
