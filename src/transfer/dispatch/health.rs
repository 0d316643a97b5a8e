//! Whether an origin can be reached: what answers and failures tell of it.

use std::time::{Duration, Instant};

use super::{Dispatch, Slot};
use crate::failure::{ErrorKind, Failure};
use crate::http::pause;
use crate::transfer::breaker::Trip;
use crate::transfer::lane::Health;

/// How an origin stands after a failed attempt to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transfer) enum Reach {
    /// It is tried again.
    Doubtful,
    /// It was given up just now.
    WentDown,
    /// It had been given up already.
    Down,
}

/// Pauses between probes do not grow beyond that after so many.
const LONGEST_PAUSE: u32 = 4;

/// What follows from a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transfer) struct Failed {
    pub(in crate::transfer) went_down: bool,
    pub(in crate::transfer) may_retry: bool,
    /// How many failures came in a row.
    pub(in crate::transfer) row: u32,
}

impl Dispatch<'_> {
    /// An origin answered.
    pub(in crate::transfer) fn reached(&self, slot: &mut Slot<'_>) {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[slot.lane];
        lane.serving += usize::from(!slot.served);
        slot.served = true;
        lane.answers = true;
        if !matches!(lane.health, Health::Up) {
            lane.health = Health::Up;
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// Whether an origin ever answered.
    pub(in crate::transfer) fn answers(&self, lane: usize) -> bool {
        self.lock().lanes[lane].answers
    }

    /// A transfer of so many bytes succeeded.
    pub(in crate::transfer) fn succeeded(&self, lane: usize, bytes: u64) {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[lane];
        let closed = lane.breaker.succeeded();
        lane.succeeded();
        let doubted = matches!(lane.health, Health::Doubtful { .. });
        if doubted {
            lane.health = Health::Up;
        }
        // Only a lane that would use it tells what another place would bring.
        let is_wanted = lane.limit.get() <= lane.in_use || !lane.is_idle();
        let grew = is_wanted && lane.limit.succeeded(bytes, Instant::now());
        if doubted || grew || closed {
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// The head of an answer took so long.
    pub(in crate::transfer) fn took(&self, lane: usize, time: Duration) {
        let mut inner = self.lock();
        let grew = inner.lanes[lane].limit.took(time, Instant::now());
        if grew {
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// An origin answered with something that is no failure of its own.
    pub(in crate::transfer) fn answered(&self, lane: usize) {
        self.lock().lanes[lane].breaker.answered();
    }

    /// An origin failed a request as a sick server does. Answers whether it is given up for that, and
    /// whether the request may be made again.
    pub(in crate::transfer) fn failed(
        &self,
        lane: usize,
        failure: &Failure,
        retries: u32,
        chance: f64,
    ) -> Failed {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[lane];
        if matches!(lane.health, Health::Down(_)) {
            return Failed { went_down: false, may_retry: false, row: 0 };
        }
        // A body that was cut says more of the way than of the origin, and less of it is left to get.
        let is_sick = failure.status.is_some()
            || matches!(failure.kind, ErrorKind::Connect | ErrorKind::Timeout);
        let under_way = lane.in_use.saturating_sub(1);
        let trip = if is_sick { lane.breaker.failed(under_way, retries) } else { Trip::Closed };
        match trip {
            Trip::Closed => {}
            Trip::Open { probes } => {
                lane.hold(Instant::now(), pause((probes + 1).min(LONGEST_PAUSE), chance));
            }
            Trip::GivenUp => {
                lane.health = Health::Down(failure.clone());
                lane.idle.clear();
                drop(inner);
                self.idle_workers.notify_waiters();
                return Failed { went_down: true, may_retry: false, row: 0 };
            }
        }
        let may_retry = lane.breaker.may_retry();
        Failed { went_down: false, may_retry, row: lane.breaker.row() }
    }

    /// No connection could be made, in an attempt that began then. Answers whether the origin has to
    /// be given up; else it is tried again after a pause, by one job for all.
    pub(in crate::transfer) fn unreachable(
        &self,
        lane: usize,
        began: Instant,
        failure: &Failure,
        retries: u32,
        chance: f64,
    ) -> Reach {
        let now = Instant::now();
        let mut inner = self.lock();
        let lane = &mut inner.lanes[lane];
        let failures = match lane.health {
            Health::Down(_) => return Reach::Down,
            // Attempts that were under way together tell the same thing once.
            Health::Doubtful { last, .. } if began < last => return Reach::Doubtful,
            Health::Doubtful { failures, .. } => failures + 1,
            Health::Up => 1,
        };
        // An origin that serves somebody is not given up, even if it lets nobody else in.
        if patience(failure, now - began, retries) < failures && lane.serving == 0 {
            lane.health = Health::Down(failure.clone());
            lane.idle.clear();
            drop(inner);
            self.idle_workers.notify_waiters();
            return Reach::WentDown;
        }
        lane.health = Health::Doubtful { failures, last: now };
        lane.hold(now, pause(failures, chance));
        Reach::Doubtful
    }
}

/// A name server that takes longer to fail is waited for once more, and not again and again.
const SLOW: Duration = Duration::from_secs(2);

/// How many further attempts an origin gets before it is given up. What takes a whole timeout each is
/// not waited for again and again; a certificate that is refused, or a name that does not exist, is
/// the same the next time.
fn patience(failure: &Failure, took: Duration, retries: u32) -> u32 {
    match failure.kind {
        _ if failure.lasting => 0,
        ErrorKind::Tls => 0,
        ErrorKind::Timeout => retries.min(1),
        ErrorKind::Dns if SLOW < took => retries.min(1),
        _ => retries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_gets_as_much_patience_as_its_failure_is_worth() {
        let failure = |kind| Failure::new(kind, "no");
        for (failure, seconds, attempts) in [
            (failure(ErrorKind::Connect), 0, 4),
            (failure(ErrorKind::Connect).lasting(), 0, 0),
            (failure(ErrorKind::Tls), 0, 0),
            (failure(ErrorKind::Timeout), 10, 1),
            (failure(ErrorKind::Dns), 0, 4),
            (failure(ErrorKind::Dns), 10, 1),
            (failure(ErrorKind::Dns).lasting(), 0, 0),
        ] {
            let took = Duration::from_secs(seconds);
            assert_eq!(patience(&failure, took, 4), attempts, "{failure:?}");
        }
    }
}
