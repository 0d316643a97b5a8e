//! New jobs, made on demand, source by source.

use std::collections::VecDeque;

use super::job::Job;
use super::slot::LaneId;
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;

/// When this many jobs wait for the origin that a source used last, the next source has its turn: a
/// pause of one origin must not delay the others.
pub(super) const BACKLOG: usize = 512;

/// A new job, or why its URL cannot be used.
pub(super) type Supplied = Result<Job, (EntryIndex, Failure)>;

/// The jobs of one source, in order.
pub(super) type Jobs<'a> = Box<dyn Iterator<Item = Supplied> + Send + 'a>;

/// The jobs of a run.
pub(super) struct Supply<'a> {
    sources: VecDeque<Source<'a>>,
}

struct Source<'a> {
    jobs: Jobs<'a>,
    /// The lane of its last job.
    lane: Option<LaneId>,
}

impl<'a> Supply<'a> {
    pub(super) fn new(sources: impl IntoIterator<Item = Jobs<'a>>) -> Self {
        let sources = sources.into_iter().map(|jobs| Source { jobs, lane: None });
        Self { sources: sources.collect() }
    }

    /// The next job of the first source that is not far ahead of its origin, and the position of
    /// that source here. `waiting` tells how many jobs wait in a lane.
    pub(super) fn next(&mut self, waiting: impl Fn(LaneId) -> usize) -> Option<(usize, Supplied)> {
        let mut position = 0;
        while let Some(source) = self.sources.get_mut(position) {
            if source.lane.is_some_and(|lane| BACKLOG <= waiting(lane)) {
                position += 1;
                continue;
            }
            match source.jobs.next() {
                Some(job) => return Some((position, job)),
                None => {
                    self.sources.remove(position);
                }
            }
        }
        None
    }

    /// Records the lane of the job that the source at a position supplied last.
    pub(super) fn went_to(&mut self, position: usize, lane: LaneId) {
        if let Some(source) = self.sources.get_mut(position) {
            source.lane = Some(lane);
        }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.sources.is_empty()
    }
}
