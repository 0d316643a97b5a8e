//! Where a destination is, and how that may be printed.

use std::path::{Path, PathBuf};

use super::DestError;

/// The path of a destination. It may contain a value from the environment, which is printed as
/// `${NAME}`: every error is made through [`Self::error`].
#[derive(Clone, Debug)]
pub(crate) struct Location {
    path: PathBuf,
    shown: PathBuf,
}

impl Location {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The destination as it may be printed.
    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    /// The error of an operation on the destination, or on one of natsync's own files below it.
    pub(super) fn error(
        &self,
        doing: &'static str,
        below: &str,
        source: std::io::Error,
    ) -> DestError {
        let path = if below.is_empty() { self.shown.clone() } else { self.shown.join(below) };
        DestError::Unusable { doing, path, source }
    }
}

impl From<&crate::manifest::Manifest> for Location {
    fn from(manifest: &crate::manifest::Manifest) -> Self {
        Self { path: manifest.dest().to_owned(), shown: manifest.shown_dest().into() }
    }
}

/// A path that has no value from the environment.
impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), shown: path.to_owned() }
    }
}

#[cfg(test)]
impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}
