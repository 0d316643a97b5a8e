//! Whether an origin can be reached: what answers and failures tell of it.

use std::time::{Duration, Instant};

use super::{Dispatch, Slot};
use crate::error::{ErrorKind, Failure};
use crate::execute::lane::Health;
use crate::fetch::pause;

/// How an origin stands after a failed attempt to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Reach {
    /// It is tried again.
    Doubtful,
    /// It was given up just now.
    WentDown,
    /// It had been given up already.
    Down,
}

impl Dispatch<'_> {
    /// An origin answered.
    pub(in crate::execute) fn reached(&self, slot: &mut Slot<'_>) {
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
    pub(in crate::execute) fn answers(&self, lane: usize) -> bool {
        self.lock().lanes[lane].answers
    }

    /// A transfer of so many bytes succeeded.
    pub(in crate::execute) fn succeeded(&self, lane: usize, bytes: u64) {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[lane];
        let doubted = matches!(lane.health, Health::Doubtful { .. });
        if doubted {
            lane.health = Health::Up;
        }
        // Only a full lane tells what another place would bring.
        let grew = lane.limit.get() <= lane.in_use && lane.limit.succeeded(bytes, Instant::now());
        if doubted || grew {
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// No connection could be made, in an attempt that began then. Answers whether the origin has to
    /// be given up; else it is tried again after a pause, by one job for all.
    pub(in crate::execute) fn unreachable(
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
