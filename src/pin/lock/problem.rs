//! Errors in a lock file.

use std::fmt;
use std::path::{Path, PathBuf};

/// An error in a lock file.
#[derive(Clone, PartialEq, Eq)]
pub struct LockProblem {
    /// The path of the lock.
    pub file: PathBuf,
    /// The number of the line, counted from 1, if the error is about one.
    pub line: Option<usize>,
    /// The description of the error.
    pub message: String,
    /// How the user can repair the lock.
    pub hint: Option<&'static str>,
}

impl LockProblem {
    pub(super) fn new(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, message: message.into(), hint: None }
    }

    pub(super) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl fmt::Display for LockProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// As [`Display`](fmt::Display), with the hint: this is what a `main` that returns the error prints.
impl fmt::Debug for LockProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for LockProblem {}
