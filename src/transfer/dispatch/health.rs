//! What responses and failures tell about an origin: whether it can be reached, and whether it is
//! ill.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{ErrorKind, Failure};
use crate::http::pause;
use crate::transfer::breaker::Trip;
use crate::transfer::dispatch::Dispatch;
use crate::transfer::lane::{Failed, Health, Reach};
use crate::transfer::slot::{LaneId, Slot};

/// Pauses between probes stop growing after this many.
const LONGEST_PAUSE: u32 = 4;

impl Dispatch<'_> {
    /// Records that an origin sent a response.
    pub(in crate::transfer) fn reached(&self, slot: &mut Slot<'_>) {
        let mut inner = self.lock();
        let Some(lane) = inner.lanes.get_mut(slot.lane) else { return };
        lane.serving += usize::from(!slot.served);
        slot.served = true;
        lane.answers = true;
        if !matches!(lane.health, Health::Up) {
            lane.health = Health::Up;
            self.opened_up(inner, slot.lane);
        }
    }

    /// Whether an origin ever sent a response in this run.
    pub(in crate::transfer) fn answers(&self, lane: LaneId) -> bool {
        self.lock().lanes.get(lane).is_some_and(|lane| lane.answers)
    }

    /// Records a successful transfer of that many bytes.
    pub(in crate::transfer) fn succeeded(&self, lane: LaneId, bytes: u64) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else { return };
        let closed = there.breaker.succeeded();
        there.succeeded();
        let doubted = matches!(there.health, Health::Doubtful { .. });
        if doubted {
            there.health = Health::Up;
        }
        // The rate shows the effect of the limit only if the limit is what bounds the transfers.
        let is_wanted = there.limit.get() <= there.in_use || !there.is_idle();
        let grew = is_wanted && there.limit.succeeded(bytes, now);
        if doubted || grew || closed {
            self.opened_up(inner, lane);
        }
    }

    /// Records how long the head of a response took.
    pub(in crate::transfer) fn took(&self, lane: LaneId, time: Duration) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let grew = inner.lanes.get_mut(lane).is_some_and(|lane| lane.limit.took(time, now));
        if grew {
            self.opened_up(inner, lane);
        }
    }

    /// Records a response that is not a failure of the origin itself.
    pub(in crate::transfer) fn answered(&self, lane: LaneId) {
        if let Some(lane) = self.lock().lanes.get_mut(lane) {
            lane.breaker.answered();
        }
    }

    /// Records a failed request. Decides whether the origin is given up for it, and whether the
    /// request may be repeated.
    pub(in crate::transfer) fn failed(
        &self,
        lane: LaneId,
        failure: &Failure,
        retries: u32,
        chance: f64,
    ) -> Failed {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else {
            return Failed { went_down: false, may_retry: true, row: 0 };
        };
        if matches!(there.health, Health::Down(_)) {
            return Failed { went_down: false, may_retry: false, row: 0 };
        }
        // A cut body tells more about the network than about the origin, and the next attempt has
        // less to transfer.
        let is_sick = failure.status.is_some()
            || matches!(failure.kind, ErrorKind::Connect | ErrorKind::Timeout);
        let under_way = there.in_use.saturating_sub(1);
        let trip = if is_sick { there.breaker.failed(under_way, retries) } else { Trip::Closed };
        match trip {
            Trip::Closed => {}
            Trip::Open { probes } => {
                there.hold(now, pause((probes + 1).min(LONGEST_PAUSE), chance));
            }
            Trip::GivenUp => {
                there.health = Health::Down(failure.clone());
                inner.lanes.close_idle(lane);
                self.opened_up(inner, lane);
                return Failed { went_down: true, may_retry: false, row: 0 };
            }
        }
        let may_retry = there.breaker.may_retry();
        Failed { went_down: false, may_retry, row: there.breaker.row() }
    }

    /// Records an attempt, begun at `began`, that could not connect. Decides whether the origin is
    /// given up; otherwise one job tries again after a pause, for all of them.
    pub(in crate::transfer) fn unreachable(
        &self,
        lane: LaneId,
        began: Instant,
        failure: &Failure,
        retries: u32,
        chance: f64,
    ) -> Reach {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else { return Reach::Doubtful };
        let failures = match there.health {
            Health::Down(_) => return Reach::Down,
            // Concurrent attempts prove the same thing: count them once.
            Health::Doubtful { last, .. } if began < last => return Reach::Doubtful,
            Health::Doubtful { failures, .. } => failures + 1,
            Health::Up => 1,
        };
        // An origin that serves other transfers is not given up, even if it refuses new
        // connections.
        if patience(failure, now - began, retries) < failures && there.serving == 0 {
            there.health = Health::Down(failure.clone());
            inner.lanes.close_idle(lane);
            self.opened_up(inner, lane);
            return Reach::WentDown;
        }
        there.health = Health::Doubtful { failures, last: now };
        there.hold(now, pause(failures, chance));
        inner.lanes.touch(lane, now);
        Reach::Doubtful
    }
}

/// A name server that takes longer than this to fail is asked only once more.
const SLOW: Duration = Duration::from_secs(2);

/// How many further attempts an origin gets before it is given up. A failure that took a whole
/// timeout is tried only once more; a refused certificate and a name that does not exist will not
/// change.
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
    fn the_number_of_attempts_depends_on_the_failure() {
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
