//! New jobs, made on demand, source by source.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use super::job::Job;
use super::slot::LaneId;
use crate::failure::Failure;
use crate::http::Origin;
use crate::manifest::entry::EntryIndex;

/// When this many jobs wait for the origin that a source used last, the next source has its turn: a
/// pause of one origin must not delay the others.
pub(super) const BACKLOG: usize = 512;

/// A new job, or why its URL cannot be used.
pub(super) type Supplied = Result<Job, (EntryIndex, Failure)>;

/// Finds the first job of a source in a range of positions, and that job's position.
pub(super) type Find<'a> = Box<dyn FnMut(Range<u64>) -> Option<(u64, Supplied)> + Send + 'a>;

/// A look ahead for a job of one origin takes at most this many others in hand ..
pub(super) const MOST_OTHERS: usize = 16;
/// .. and passes over at most this many positions.
const MOST_POSITIONS: u64 = 1024;

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
            let (at, job) = (self.find)(self.left.clone())?;
            self.left.start = at + 1;
            if !self.taken.remove(&at) {
                return Some(job);
            }
        }
    }

    /// Takes a job of an origin out of turn, at that number of the positions that are left or soon
    /// after it. All others stay where they are.
    fn sample(&mut self, number: u64, origin: &Origin) -> Option<Job> {
        let from = self.left.start + number;
        let mut among = from..self.left.end.min(from + MOST_POSITIONS);
        for _ in 0..MOST_OTHERS {
            let (at, job) = (self.find)(among.clone())?;
            if let Ok(job) = job
                && job.target.origin == *origin
                && self.taken.insert(at)
            {
                return Some(job);
            }
            among.start = at + 1;
        }
        None
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

    /// Takes a job of an origin out of turn: of the source that uses its lane, at that number of the
    /// positions that are left or soon after it, if there is one.
    pub(super) fn sample(&mut self, lane: LaneId, number: u64, origin: &Origin) -> Option<Job> {
        let source = self.sources.iter_mut().find(|source| source.lane == Some(lane))?;
        source.jobs.sample(number, origin)
    }

    /// Records the lane of the job that the source at a position supplied last.
    pub(super) fn went_to(&mut self, position: usize, lane: LaneId) {
        if let Some(source) = self.sources.get_mut(position) {
            source.lane = Some(lane);
        }
    }

    /// Counts the looks for jobs.
    #[cfg(test)]
    pub(super) fn counted(self, looks: &'a std::sync::atomic::AtomicUsize) -> Self {
        let counted = |mut source: Source<'a>| {
            let mut find = source.jobs.find;
            source.jobs.find = Box::new(move |among| {
                looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                find(among)
            });
            source
        };
        Self { sources: self.sources.into_iter().map(counted).collect() }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.sources.is_empty()
    }
}
