//! The clock of a run.

use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time to everything that exchanges messages. Both of its times stand still and jump
/// with tokio's clock where a test pauses that, so that a run in a test needs no real time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Wall);

#[derive(Clone, Copy, Debug)]
enum Wall {
    System,
    #[cfg(test)]
    Since(Instant, Timestamp),
}

impl Clock {
    /// The system's clocks.
    pub(crate) fn system() -> Self {
        Self(Wall::System)
    }

    /// A clock that shows `start` now.
    #[cfg(test)]
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self(Wall::Since(Instant::now(), start))
    }

    /// For durations and deadlines.
    #[expect(clippy::unused_self, reason = "a caller that has no clock must not know the time")]
    pub(crate) fn now(self) -> Instant {
        Instant::now()
    }

    /// For dates of other machines, and for what is recorded.
    pub(crate) fn timestamp(self) -> Timestamp {
        match self.0 {
            Wall::System => Timestamp::now(),
            #[cfg(test)]
            Wall::Since(began, start) => start + began.elapsed(),
        }
    }
}
