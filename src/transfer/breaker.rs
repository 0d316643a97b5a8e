//! Spares an origin that answers, but only with failures.
//!
//! Two bounds, both of them pure counting. A budget of retries, so that an origin which fails
//! everything gets hardly more than one request an entry. And a circuit breaker: after many
//! failures in a row it opens, and one request at a time probes whether the origin has recovered.
//! If no probe succeeds, the origin is given up.

/// The retry budget of an origin; each success adds one.
const FREE: u64 = 100;
/// This many failures in a row open the breaker.
const ROW: u32 = 40;

/// The counters of one origin.
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
    /// Requests that were in progress when it opened: their failures prove nothing new.
    stragglers: usize,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// The breaker stays as it is.
    Closed,
    /// One request at a time, after a pause; `probes` of them have failed.
    Open { probes: u32 },
    /// All probes failed.
    GivenUp,
}

impl Breaker {
    /// Whether only one request at a time may be made.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The number of failures in a row.
    pub(super) fn row(&self) -> u32 {
        self.row
    }

    /// Takes a retry from the budget, if there is one.
    pub(super) fn may_retry(&mut self) -> bool {
        let may = self.retried < FREE + self.succeeded;
        self.retried += u64::from(may);
        may
    }

    /// Records a success. Reports whether the breaker closed.
    pub(super) fn succeeded(&mut self) -> bool {
        self.succeeded += 1;
        self.row = 0;
        self.open.take().is_some()
    }

    /// Records a response that is not a failure of the origin itself.
    pub(super) fn answered(&mut self) {
        self.row = 0;
    }

    /// Records a failure that suggests a sick server, while `under_way` other requests were in
    /// progress. `patience` probes may fail.
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
    fn successes_add_to_the_budget() {
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
        // The two that were in progress.
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
