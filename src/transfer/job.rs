//! One entry on its way through a run.

use super::resume::Kept;
use crate::failure::Failure;
use crate::http::{Hop, Method, Target};
use crate::manifest::entry::EntryIndex;

/// One entry on its way.
#[derive(Debug)]
pub(super) struct Job {
    /// The entry.
    pub(super) entry: EntryIndex,
    /// Which of its names is asked for: 0 is `url`, then the alternates.
    pub(super) name: usize,
    /// Where it is asked for: 0 is the origin itself, then the mirrors.
    pub(super) place: usize,
    /// Attempts there.
    pub(super) tries: u32,
    /// Requests made for the entry in all.
    pub(super) attempts: u32,
    /// Whether the file changed on disk since the plan was made, so that nothing held counts.
    pub(super) outdated: bool,
    /// Whether somebody sent other bytes than the expected ones.
    pub(super) mismatched: bool,
    /// Whether it is asked for once more from the start, past all caches, because of that.
    pub(super) anew: bool,
    /// What arrived of it in an attempt that failed.
    pub(super) kept: Option<Box<Kept>>,
    /// The farthest that any attempt came, in bytes, as far as that was counted.
    pub(super) reached: u64,
    /// Whether it is got over one connection: its server sends no ranges.
    pub(super) whole: bool,
    /// What is asked for.
    pub(super) target: Target,
    /// Why it failed at the origin itself, once it is asked for elsewhere.
    pub(super) failure: Option<Failure>,
    /// Where the attempt goes on that had to wait for a place.
    pub(super) on_the_way: Option<Box<OnTheWay>>,
}

/// An attempt that waits for a place in the middle: at an origin that a redirect leads to, or for
/// another question at its own.
#[derive(Debug)]
pub(super) struct OnTheWay {
    /// What is asked for next.
    pub(super) target: Target,
    /// The redirects so far.
    pub(super) hops: Hop,
    /// How it is asked.
    pub(super) method: Method,
}

impl Job {
    /// For a request beside its own, about the same file at the same place.
    pub(super) fn beside(&self) -> Self {
        Self {
            entry: self.entry,
            name: self.name,
            place: self.place,
            tries: 0,
            attempts: 0,
            outdated: self.outdated,
            mismatched: false,
            anew: self.anew,
            kept: None,
            reached: 0,
            whole: true,
            target: self.target.clone(),
            failure: None,
            on_the_way: None,
        }
    }

    /// Gives up what arrived of it so far.
    pub(super) fn forget(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.begun.staged.discard();
        }
    }

    /// Whether it waited, and goes on with a request of that kind.
    pub(super) fn goes_on_with(&self, method: Method) -> bool {
        self.on_the_way.as_ref().is_some_and(|way| way.method == method)
    }
}
