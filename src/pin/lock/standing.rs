//! Compares a line of the lock with the present manifest.

use super::{Content, DigestFrom, LockLine};
use crate::digest::{Algorithm, Checksum};
use crate::manifest::OnMissing;
use crate::manifest::entry::{Entry, Form};
use crate::pin::Validators;

/// The result of comparing a line with its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The line is valid; `natsync lock` would not change it.
    Stands,
    /// The pin is valid, but `natsync lock` would update the line.
    Edited {
        /// The new line.
        line: LockLine,
        /// True if the URL has changed.
        has_moved: bool,
    },
    /// The manifest states another size or digest, and takes precedence.
    Contradicted,
}

impl LockLine {
    /// True if the manifest states another size or digest for the path.
    pub(crate) fn is_contradicted(&self, entry: &Entry<'_>) -> bool {
        match &self.content {
            Content::Missing => {
                !entry.checksums().is_empty() && entry.source().on_missing == OnMissing::Fail
            }
            Content::File { size, sha256, .. } => {
                entry.size().is_some_and(|stated| stated != *size)
                    || stated(entry).is_some_and(|stated| stated != Checksum::from(*sha256))
            }
        }
    }

    /// Compares the line with the entry at its path.
    pub(crate) fn under(&self, entry: &Entry<'_>) -> Standing {
        if self.is_contradicted(entry) {
            return Standing::Contradicted;
        }
        let mut line = self.clone();
        let url = entry.url(Form::Shown);
        let has_moved = url != line.url;
        line.url = url;
        if let Content::File { served, from, validators, .. } = &mut line.content {
            if has_moved {
                // Validators are valid only for the URL whose response had them.
                (*served, *validators) = (None, Validators::default());
            }
            if stated(entry).is_some() {
                *from = DigestFrom::Publisher;
            }
        }
        if line == *self { Standing::Stands } else { Standing::Edited { line, has_moved } }
    }

    /// If `old` pins the same bytes at the same URL, keeps `old` and changes only its
    /// `digest_from`. New validators alone must not change the lock, so that its content does not
    /// depend on when it was written.
    pub(crate) fn settle_into(&mut self, old: &Self) {
        if let (Content::File { sha256, from, .. }, Content::File { sha256: before, .. }) =
            (&self.content, &old.content)
            && (sha256, &self.url) == (before, &old.url)
        {
            let from = *from;
            *self = old.clone();
            if let Content::File { from: kept, .. } = &mut self.content {
                *kept = from;
            }
        }
    }
}

/// The SHA-256 digest that the manifest states, if any.
fn stated(entry: &Entry<'_>) -> Option<Checksum> {
    let is_sha256 = |checksum: &&Checksum| checksum.algorithm() == Algorithm::Sha256;
    entry.checksums().iter().find(is_sha256).copied()
}
