//! What a line of a lock is worth under the manifest of today.

use super::{Content, DigestFrom, LockLine};
use crate::digest::{Algorithm, Checksum};
use crate::manifest::OnMissing;
use crate::manifest::entry::{Entry, Form};
use crate::pin::Validators;

/// How a line and its entry go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The line is as `natsync lock` would leave it.
    Stands,
    /// It pins what the manifest declares, and `natsync lock` would write it so.
    Edited {
        /// The new line.
        line: LockLine,
        /// Whether that is because the URL is another one now.
        has_moved: bool,
    },
    /// The manifest states something else, and stands above.
    Contradicted,
}

impl LockLine {
    /// Whether the manifest states something else at its path.
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

    /// Holds it against what the manifest declares at its path.
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
                // They are worth something only where they came from.
                (*served, *validators) = (None, Validators::default());
            }
            if stated(entry).is_some() {
                *from = DigestFrom::Publisher;
            }
        }
        if line == *self { Standing::Stands } else { Standing::Edited { line, has_moved } }
    }

    /// Of a new line for the same bytes at the same URL only who vouches for them is taken over: what
    /// upstream calls them is history, and a lock is the same whatever history it has.
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

/// The digest of the kind that a line has, where the manifest states it.
fn stated(entry: &Entry<'_>) -> Option<Checksum> {
    let is_sha256 = |checksum: &&Checksum| checksum.algorithm() == Algorithm::Sha256;
    entry.checksums().iter().find(is_sha256).copied()
}
