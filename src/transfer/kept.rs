//! Incomplete files that stay open between two attempts of a run.

use std::sync::Arc;

use crate::dest::Begun;
use crate::http::contradict;
use crate::pin::Validators;

/// At most this many incomplete files stay open, since each costs a descriptor. Further ones are
/// closed, and stay on the disk for the next run.
const MOST: usize = 256;

/// The bytes that earlier attempts received.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) begun: Begun,
    _place: Arc<()>,
}

impl Kept {
    pub(super) fn discard(self) {
        self.begun.staged.discard();
    }

    /// Whether a response with these validators is about the file that these bytes begin. `pinned`:
    /// the digest of the whole file decides in the end.
    pub(super) fn is_of(&self, sent: &Validators, pinned: bool) -> bool {
        let Some(note) = self.begun.staged.note() else { return false };
        let tags = note.validators.etag.is_some() && sent.etag.is_some();
        let dates = note.dated && sent.last_modified.is_some();
        !contradict(&note.validators, sent) && (pinned || tags || dates)
    }
}

/// Keeps the longer one of two incomplete files, and discards the other one.
pub(super) fn longest(one: Option<Box<Kept>>, other: Option<Box<Kept>>) -> Option<Box<Kept>> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let is_longer = other.begun.staged.length() <= one.begun.staged.length();
            let (long, short) = if is_longer { (one, other) } else { (other, one) };
            short.discard();
            Some(long)
        }
        (one, other) => one.or(other),
    }
}

/// Counts the incomplete files that are open.
#[derive(Debug, Default)]
pub(super) struct Shelf(Arc<()>);

impl Shelf {
    /// Keeps an incomplete file open for the next attempt, or only on the disk if too many are open.
    pub(super) fn keep(&self, begun: Begun) -> Option<Box<Kept>> {
        let place = Arc::clone(&self.0);
        if MOST + 1 < Arc::strong_count(&place) {
            return None;
        }
        Some(Box::new(Kept { begun, _place: place }))
    }
}
