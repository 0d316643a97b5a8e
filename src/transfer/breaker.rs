//! Spares an origin that answers, but only with failures.
//!
//! Two bounds, both of them pure counting. A budget of retries, so that an origin which fails
//! everything gets hardly more than one request an entry. And a circuit breaker: after many
//! entries in a row failed it opens, and one request at a time probes whether the origin has
//! recovered. Every second probe is for an entry that has not failed yet, from anywhere among those
//! that are left, so that a stretch of broken files does not condemn the others; the ones between
//! are retries. If no probe succeeds, the origin is given up.

/// Retries beyond the first one of each entry that an origin gets in any case.
const FREE: u64 = 100;
/// This many entries that fail in a row open the breaker.
const ROW: u32 = 40;
/// The row doubles each time that a probe shows a working origin, at most this often.
const DOUBLINGS: u32 = 20;
/// More failed probes than this condemn an origin of which nothing came in this run.
const PROBES: u32 = 19;
/// Each success adds a probe, up to this many.
const MORE_PROBES: u64 = 24;
/// A failure that took a whole timeout counts as this many in a row ..
const SLOW: u32 = 4;
/// .. and as this many probes.
const SLOW_PROBE: u32 = 6;

/// The counters of one origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    /// First retries of entries.
    firsts: u64,
    /// Further retries of entries.
    further: u64,
    succeeded: u64,
    /// Retries of entries that succeeded in the end.
    repaid: u64,
    row: u32,
    /// How often it opened although the origin works.
    in_vain: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Failed probes.
    failed: u32,
    /// The same, with slow ones counted several times.
    weight: u32,
    /// Jobs chosen for probes: that had not failed, and that had.
    drawn: (u32, u32),
}

/// A failure that suggests a sick server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symptom {
    /// The first failure of its entry at this origin.
    pub(super) is_first: bool,
    /// Its request was a probe.
    pub(super) is_probe: bool,
    /// It took a whole timeout.
    pub(super) is_slow: bool,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// The breaker stays as it is.
    Unchanged,
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

    /// The number of entries that failed in a row.
    pub(super) fn row(&self) -> u32 {
        self.row
    }

    /// Whether it has seen no sign of illness, apart from failures before a success.
    pub(super) fn is_at_rest(&self) -> bool {
        self.row == 0 && self.open.is_none() && !self.was_wrong()
    }

    /// Whether a long row of failures was no sign of illness.
    pub(super) fn was_wrong(&self) -> bool {
        0 < self.in_vain
    }

    /// Takes a retry from the budget, if there is one. The first retry of an entry is always
    /// allowed, since a single failure does not show that the entry is broken; but it is charged.
    pub(super) fn may_retry(&mut self, is_first: bool) -> bool {
        if is_first {
            self.firsts += 1;
            return true;
        }
        let earned = (self.succeeded / 2 + self.repaid).saturating_sub(self.firsts);
        let may = self.further < FREE + earned;
        self.further += u64::from(may);
        may
    }

    /// Records a success after that many retries of its entry. Reports whether the breaker closed.
    pub(super) fn succeeded(&mut self, retries: u32) -> bool {
        self.succeeded += 1;
        self.repaid += u64::from(retries);
        self.answered()
    }

    /// Records a response that is not a failure of the origin itself. Reports whether the breaker
    /// closed.
    pub(super) fn answered(&mut self) -> bool {
        self.row = 0;
        let was_open = self.open.take().is_some();
        if was_open {
            self.in_vain = (self.in_vain + 1).min(DOUBLINGS);
        }
        was_open
    }

    /// Records a failure.
    pub(super) fn failed(&mut self, symptom: Symptom) -> Trip {
        let weight = if symptom.is_slow { SLOW } else { 1 };
        let patience = PROBES + u32::try_from(self.succeeded.min(MORE_PROBES)).unwrap_or(0);
        match &mut self.open {
            None => {
                // Retries of a few broken entries say nothing about the others.
                self.row = self.row.saturating_add(if symptom.is_first { weight } else { 0 });
                if !symptom.is_first || self.row < ROW << self.in_vain {
                    return Trip::Unchanged;
                }
                self.open = Some(Open::default());
                Trip::Open { probes: 0 }
            }
            // Requests that were in progress when it opened prove nothing new.
            Some(_) if !symptom.is_probe => Trip::Unchanged,
            Some(open) => {
                open.failed += 1;
                open.weight += if symptom.is_slow { SLOW_PROBE } else { 1 };
                if patience < open.weight {
                    Trip::GivenUp
                } else {
                    Trip::Open { probes: open.failed }
                }
            }
        }
    }

    /// The job of the next probe; none while the breaker is closed.
    pub(super) fn draw(&mut self) -> Option<Draw> {
        let (untried, tried) = &mut self.open.as_mut()?.drawn;
        // One more that is untried among the first ones, since slow probes are few.
        let is_untried = *untried == *tried || (*untried, *tried) == (2, 1);
        if is_untried {
            *untried += 1;
            Some(Draw::Untried(spread(*untried - 1)))
        } else {
            *tried += 1;
            Some(Draw::Tried)
        }
    }
}

/// Which job is requested to probe an origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Draw {
    /// One that has not failed at this origin yet, at that share of those that are left, in 0..=1.
    Untried(f64),
    /// One that has.
    Tried,
}

/// Numbers that soon come near to each one in 0..1 (a van der Corput sequence): the last job, the
/// middle one, then halves of what is between.
pub(super) fn spread(number: u32) -> f64 {
    1.0 - f64::from(number.reverse_bits()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Symptom = Symptom { is_first: true, is_probe: true, is_slow: false };
    const SLOWLY: Symptom = Symptom { is_first: true, is_probe: true, is_slow: true };
    const AGAIN: Symptom = Symptom { is_first: false, is_probe: true, is_slow: false };

    /// A breaker that has just opened.
    fn open(symptom: Symptom) -> Breaker {
        let mut breaker = Breaker::default();
        while breaker.failed(symptom) == Trip::Unchanged {}
        assert!(breaker.is_open());
        breaker
    }

    /// Failures until it gives up.
    fn probes(breaker: &mut Breaker, symptom: Symptom) -> usize {
        1 + (0..1000).take_while(|_| breaker.failed(symptom) != Trip::GivenUp).count()
    }

    #[test]
    fn the_budget_of_retries_is_bounded_where_nothing_succeeds() {
        let mut breaker = Breaker::default();
        assert_eq!((0..1000).filter(|_| breaker.may_retry(false)).count() as u64, FREE);
        assert!(breaker.may_retry(true), "the first retry of an entry is always allowed");
    }

    #[test]
    fn broken_entries_do_not_eat_the_retries_of_good_ones() {
        // Every second entry is broken; each good one needs one retry.
        let mut breaker = Breaker::default();
        let mut further = 0;
        for _ in 0..1000 {
            assert!(breaker.may_retry(true), "of the good entry");
            breaker.succeeded(1);
            assert!(breaker.may_retry(true), "of the broken entry");
            further += (1..4).filter(|_| breaker.may_retry(false)).count();
        }
        assert!(further <= 100, "{further} further retries of broken entries");
    }

    #[test]
    fn retries_that_lead_to_a_success_are_given_back() {
        let mut breaker = Breaker::default();
        for _ in 0..1000 {
            assert!(breaker.may_retry(true));
            assert!((0..3).all(|_| breaker.may_retry(false)));
            breaker.succeeded(4);
        }
    }

    #[test]
    fn it_opens_after_many_failures_in_a_row_and_closes_with_a_success() {
        let mut breaker = Breaker::default();
        for _ in 1..ROW {
            assert_eq!(breaker.failed(QUICK), Trip::Unchanged);
        }
        breaker.succeeded(0);
        for _ in 1..ROW {
            assert_eq!(breaker.failed(QUICK), Trip::Unchanged);
        }
        assert_eq!(breaker.failed(QUICK), Trip::Open { probes: 0 });
        // Those that were in progress.
        let straggler = Symptom { is_probe: false, ..QUICK };
        assert!((0..9).all(|_| breaker.failed(straggler) == Trip::Unchanged));
        assert_eq!(breaker.failed(QUICK), Trip::Open { probes: 1 });
        assert!(breaker.succeeded(0));
        assert!(!breaker.is_open());
    }

    #[test]
    fn retries_of_broken_entries_do_not_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..1000 {
            assert_eq!(breaker.failed(AGAIN), Trip::Unchanged);
        }
    }

    #[test]
    fn a_row_that_was_no_sign_of_illness_is_longer_the_next_time() {
        let mut breaker = Breaker::default();
        let mut rows = Vec::new();
        for _ in 0..4 {
            let before = (0..1000).take_while(|_| breaker.failed(QUICK) == Trip::Unchanged);
            rows.push(1 + before.count());
            assert!(breaker.answered(), "any answer shows that the origin works");
        }
        assert_eq!(rows, [40, 80, 160, 320]);
    }

    #[test]
    fn it_gives_up_when_no_probe_succeeds() {
        assert_eq!(probes(&mut open(QUICK), QUICK), 20);
        // A whole timeout each.
        assert_eq!(probes(&mut open(SLOWLY), SLOWLY), 4);
    }

    #[test]
    fn an_origin_that_served_files_gets_more_probes() {
        let mut breaker = Breaker::default();
        for _ in 0..1000 {
            breaker.succeeded(0);
        }
        while breaker.failed(QUICK) == Trip::Unchanged {}
        assert_eq!(probes(&mut breaker, QUICK), 44);
    }

    #[test]
    fn slow_failures_open_it_sooner() {
        let mut breaker = Breaker::default();
        let before = (0..1000).take_while(|_| breaker.failed(SLOWLY) == Trip::Unchanged).count();
        assert_eq!(before + 1, 10);
    }

    #[test]
    fn probes_take_turns_between_jobs_that_failed_and_jobs_that_did_not() {
        let mut breaker = open(QUICK);
        let order: String = (0..9)
            .filter_map(|_| breaker.draw())
            .map(|draw| if draw == Draw::Tried { 't' } else { 'u' })
            .collect();
        assert_eq!(order, "utuuttutu");
    }

    /// Whatever part of the jobs is good, a probe meets it if the part is large enough.
    #[test]
    fn probes_are_spread_over_all_jobs() {
        let mut breaker = open(QUICK);
        let drawn = (0..PROBES).filter_map(|_| breaker.draw());
        let share = |draw| if let Draw::Untried(share) = draw { Some(share) } else { None };
        let probes: Vec<_> = drawn.filter_map(share).collect();
        assert!((0.0..=1.0).contains(&spread(u32::MAX)) && probes.contains(&1.0));
        for begin in 0..80 {
            let good = f64::from(begin) / 100.0..f64::from(begin + 20) / 100.0;
            assert!(probes.iter().any(|at| good.contains(at)), "{good:?} of {probes:?}");
        }
    }
}
