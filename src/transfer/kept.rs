//! Incomplete files that stay open between two attempts of a run.

use std::sync::Arc;

use crate::dest::Begun;

/// At most this many incomplete files stay open, since each costs a descriptor. Further ones are
/// dropped.
const MOST: usize = 256;

/// The bytes that earlier attempts received.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) begun: Begun,
    _place: Arc<()>,
}

/// Counts the incomplete files that are open.
#[derive(Debug, Default)]
pub(super) struct Shelf(Arc<()>);

impl Shelf {
    /// Keeps an incomplete file for the next attempt, or discards it if too many are open.
    pub(super) fn keep(&self, begun: Begun) -> Option<Box<Kept>> {
        let place = Arc::clone(&self.0);
        if MOST + 1 < Arc::strong_count(&place) {
            begun.staged.discard();
            return None;
        }
        Some(Box::new(Kept { begun, _place: place }))
    }
}
