//! When an origin is spared: it answers, but with nothing except failures.
//!
//! Two bounds, both of them pure counting. A budget of retries for each origin, so that one that fails everything is
//! asked about each entry hardly more than once. And a breaker: after many failures in a row it opens, only one
//! request at a time probes whether the origin has recovered, and if none of these succeeds, the origin is given up.

/// So many retries an origin gets whatever happens; each success earns it another.
const FREE: u64 = 100;
/// So many failures in a row open the breaker.
const ROW: u32 = 40;

/// What is counted of one origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    retried: u64,
    succeeded: u64,
    row: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    probes: u32,
    /// Requests that were under way when it opened: they say nothing new.
    stragglers: usize,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// Nothing.
    Closed,
    /// From now on one request at a time, after a pause; so many probes have failed.
    Open { probes: u32 },
    /// All probes failed.
    GivenUp,
}

impl Breaker {
    /// Whether only one request at a time may be made.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many failures came in a row.
    pub(super) fn row(&self) -> u32 {
        self.row
    }

    /// Whether a failed request may be made again, which is counted.
    pub(super) fn may_retry(&mut self) -> bool {
        let may = self.retried < FREE + self.succeeded;
        self.retried += u64::from(may);
        may
    }

    /// A request succeeded. Answers whether the breaker closed.
    pub(super) fn succeeded(&mut self) -> bool {
        self.succeeded += 1;
        self.row = 0;
        self.open.take().is_some()
    }

    /// The origin answered something that is no failure of its own.
    pub(super) fn answered(&mut self) {
        self.row = 0;
    }

    /// A request failed as it may fail of a sick server, while so many were under way. `patience` probes may
    /// fail.
    pub(super) fn failed(&mut self, under_way: usize, patience: u32) -> Trip {
        self.row = self.row.saturating_add(1);
        match &mut self.open {
            None if self.row < ROW => Trip::Closed,
            None => {
                self.open = Some(Open { probes: 0, stragglers: under_way });
                Trip::Open { probes: 0 }
            }
            Some(open) if 0 < open.stragglers => {
                open.stragglers -= 1;
                Trip::Closed
            }
            Some(open) => {
                open.probes += 1;
                if patience < open.probes {
                    Trip::GivenUp
                } else {
                    Trip::Open { probes: open.probes }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_earned() {
        let mut breaker = Breaker::default();
        let retries = (0..1000).filter(|_| breaker.may_retry()).count();
        assert_eq!(retries as u64, FREE);
        breaker.succeeded();
        assert!(breaker.may_retry() && !breaker.may_retry());
    }

    #[test]
    fn it_opens_after_many_failures_in_a_row_and_closes_with_a_success() {
        let mut breaker = Breaker::default();
        for _ in 1..ROW {
            assert_eq!(breaker.failed(3, 2), Trip::Closed);
        }
        breaker.succeeded();
        for _ in 1..ROW {
            assert_eq!(breaker.failed(3, 2), Trip::Closed);
        }
        assert_eq!(breaker.failed(2, 2), Trip::Open { probes: 0 });
        assert!(breaker.is_open());
        // The two that were under way.
        assert_eq!(breaker.failed(2, 2), Trip::Closed);
        assert_eq!(breaker.failed(1, 2), Trip::Closed);
        assert_eq!(breaker.failed(1, 2), Trip::Open { probes: 1 });
        assert!(breaker.succeeded());
        assert!(!breaker.is_open());
    }

    #[test]
    fn it_gives_up_when_no_probe_succeeds() {
        let mut breaker = Breaker::default();
        for _ in 0..ROW {
            breaker.failed(0, 2);
        }
        assert_eq!(breaker.failed(0, 2), Trip::Open { probes: 1 });
        assert_eq!(breaker.failed(0, 2), Trip::Open { probes: 2 });
        assert_eq!(breaker.failed(0, 2), Trip::GivenUp);
    }
}
