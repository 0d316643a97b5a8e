//! New jobs, source by source, made on demand.

use super::dispatch::Supplied;
use super::lane::Lane;

/// So many jobs of one source may wait for the origin that it asked last. From then on the next
/// source has its turn: one origin's pause does not keep the others waiting.
pub(super) const BACKLOG: usize = 512;

/// The jobs of one source, in order.
pub(super) type Jobs<'a> = Box<dyn Iterator<Item = Supplied> + Send + 'a>;

/// The jobs of a run.
pub(super) struct Supply<'a> {
    sources: Vec<Source<'a>>,
}

struct Source<'a> {
    jobs: Jobs<'a>,
    /// Where its last job went.
    lane: Option<usize>,
}

impl<'a> Supply<'a> {
    pub(super) fn new(sources: impl IntoIterator<Item = Jobs<'a>>) -> Self {
        let sources = sources.into_iter().map(|jobs| Source { jobs, lane: None });
        Self { sources: sources.collect() }
    }

    /// The next job of the first source that is not far ahead of its origin, with that source's place
    /// here.
    pub(super) fn next(&mut self, lanes: &[Lane]) -> Option<(usize, Supplied)> {
        let mut place = 0;
        while let Some(source) = self.sources.get_mut(place) {
            if source.lane.is_some_and(|lane| BACKLOG <= lanes[lane].jobs.len()) {
                place += 1;
                continue;
            }
            match source.jobs.next() {
                Some(job) => return Some((place, job)),
                None => {
                    self.sources.remove(place);
                }
            }
        }
        None
    }

    /// Takes note of where a source's job went.
    pub(super) fn went_to(&mut self, place: usize, lane: usize) {
        if let Some(source) = self.sources.get_mut(place) {
            source.lane = Some(lane);
        }
    }

    /// Whether there is nothing more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.sources.is_empty()
    }
}
