//! New jobs, made on demand, source by source.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use super::job::Job;
use super::slot::LaneId;
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;

/// When this many jobs wait for the origin that a source used last, the next source has its turn: a
/// pause of one origin must not delay the others.
pub(super) const BACKLOG: usize = 512;

/// A new job, or why its URL cannot be used.
pub(super) type Supplied = Result<Job, (EntryIndex, Failure)>;

/// Finds the first job of a source at a position or after it, and that job's position.
pub(super) type Find<'a> = Box<dyn FnMut(u64) -> Option<(u64, Supplied)> + Send + 'a>;

/// The jobs of one source, in order, at these positions.
pub(super) struct Jobs<'a> {
    left: Range<u64>,
    find: Find<'a>,
    /// Positions ahead whose jobs were taken already.
    taken: BTreeSet<u64>,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(positions: Range<u64>, find: Find<'a>) -> Self {
        Self { left: positions, find, taken: BTreeSet::new() }
    }

    fn next(&mut self) -> Option<Supplied> {
        loop {
            let (at, job) = self.find(self.left.start)?;
            self.left.start = at + 1;
            if !self.taken.remove(&at) {
                return Some(job);
            }
        }
    }

    /// Takes a job out of turn, at that share of those that are left or soon after it.
    fn sample(&mut self, share: f64) -> Option<Supplied> {
        let mut from = self.left.start + portion(self.left.end - self.left.start, share);
        loop {
            let (at, job) = self.find(from)?;
            if self.taken.insert(at) {
                return Some(job);
            }
            from = at + 1;
        }
    }

    fn find(&mut self, from: u64) -> Option<(u64, Supplied)> {
        if from < self.left.end { (self.find)(from) } else { None }
    }
}

/// That share of a number, less than the number.
pub(super) fn portion(of: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share need not be exact"
    )]
    let portion = (of as f64 * share) as u64;
    portion.min(of.saturating_sub(1))
}

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

    /// The number of positions that are left in the source that uses a lane.
    pub(super) fn left(&self, lane: LaneId) -> u64 {
        let source = self.sources.iter().find(|source| source.lane == Some(lane));
        source.map_or(0, |source| source.jobs.left.end - source.jobs.left.start)
    }

    /// Takes a job of the source that uses a lane out of turn, at that share of its jobs.
    pub(super) fn sample(&mut self, lane: LaneId, share: f64) -> Option<Supplied> {
        let source = self.sources.iter_mut().find(|source| source.lane == Some(lane))?;
        source.jobs.sample(share)
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
