//! What responses and failures tell about an origin: whether it can be reached, and whether it is
//! ill.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{ErrorKind, Failure};
use crate::http::{Origin, pause};
use crate::transfer::breaker::{Symptom, Trip};
use crate::transfer::dispatch::Dispatch;
use crate::transfer::job::Job;
use crate::transfer::lane::{Failed, Health, Reach};
use crate::transfer::slot::{LaneId, Slot};

/// Pauses between probes stop growing after this many.
const LONGEST_PAUSE: u32 = 2;

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
        there.succeeded(now);
        let doubted = matches!(there.health, Health::Doubtful { .. });
        if doubted {
            there.health = Health::Up;
        }
        // The rate shows the effect of the limit only if the limit is what bounds the transfers.
        let is_wanted = there.limit.get() <= there.in_use || !there.is_idle();
        let grew = is_wanted && there.limit.succeeded(bytes, now);
        if doubted || grew {
            self.opened_up(inner, lane);
        }
    }

    /// Records that an attempt succeeded, after that many failed ones.
    pub(in crate::transfer) fn settled(&self, lane: LaneId, tries: u32) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else { return };
        there.last_served = Some(now);
        if there.breaker.succeeded(tries) {
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
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else { return };
        there.last_served = Some(now);
        if there.breaker.answered() {
            self.opened_up(inner, lane);
        }
    }

    /// Records that a request was refused, by a reset or the end of its connection before any
    /// response, or by a status that asks for fewer requests. While the origin serves other
    /// requests, this lowers the number of transfers at a time and is no failure of the job, which
    /// is put back. Otherwise it costs an attempt.
    pub(in crate::transfer) fn refused(&self, lane: LaneId, job: &mut Job, by: Refused) -> Crowded {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Some(there) = inner.lanes.get_mut(lane) else { return Crowded::Costs };
        let others = there.in_use;
        let serves = 0 < others || there.serves(now);
        let is_free = serves && job.refused < by.most_free() && !there.breaker.is_open();
        if !is_free {
            return Crowded::Costs;
        }
        job.refused += 1;
        // A job that is refused again and again may be refused for a reason of its own.
        let tell = 0 < others && job.refused <= MOST_LOWERING && there.limit.refused(others);
        let tell = tell.then(|| (there.origin.clone(), there.limit.get()));
        inner.lanes.close_excess(lane);
        inner.lanes.touch(lane, now);
        Crowded::Free { tell }
    }

    /// Records a failed request, which is the first one of its entry at this origin or a retry, and
    /// perhaps a probe. Decides whether the origin is given up for it, and whether the request may be repeated.
    pub(in crate::transfer) fn failed(
        &self,
        lane: LaneId,
        failure: &Failure,
        is_first: bool,
        is_probe: bool,
        chance: f64,
    ) -> Failed {
        use ErrorKind::{Connect, Protocol, Stalled, Timeout};
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
            || matches!(failure.kind, Connect | Timeout | Stalled | Protocol);
        let is_slow = matches!(failure.kind, Timeout | Stalled);
        let symptom = Symptom { is_first, is_probe, is_slow };
        let trip = if is_sick { there.breaker.failed(symptom) } else { Trip::Unchanged };
        match trip {
            Trip::Unchanged => {}
            Trip::GivenUp if there.give_up(failure) => {
                inner.lanes.close_idle(lane);
                self.opened_up(inner, lane);
                return Failed { went_down: true, may_retry: false, row: 0 };
            }
            Trip::Open { probes } => {
                there.hold(now, pause((probes + 1).min(LONGEST_PAUSE), chance));
                inner.lanes.let_in(lane, now);
            }
            Trip::GivenUp => {
                there.hold(now, pause(LONGEST_PAUSE, chance));
                inner.lanes.let_in(lane, now);
            }
        }
        let Some(there) = inner.lanes.get_mut(lane) else {
            return Failed { went_down: false, may_retry: true, row: 0 };
        };
        let may_retry = there.breaker.may_retry(is_first);
        let counts = is_first && !there.breaker.was_wrong();
        let row = if counts { there.breaker.row() } else { 0 };
        Failed { went_down: false, may_retry, row }
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
        // Some hosts refuse further connections while they serve the ones that they have.
        if 0 < there.in_use && matches!(failure.kind, ErrorKind::Connect | ErrorKind::Timeout) {
            there.limit.refused(there.in_use);
            if 0 < there.serving && failure.kind == ErrorKind::Connect {
                inner.lanes.close_excess(lane);
                return Reach::Doubtful;
            }
        }
        let failures = match there.health {
            Health::Down(_) => return Reach::Down,
            // Concurrent attempts prove the same thing: count them once.
            Health::Doubtful { last, .. } if began < last => return Reach::Doubtful,
            Health::Doubtful { failures, .. } => failures + 1,
            Health::Up => 1,
        };
        let mut patience = patience(failure, now - began, retries);
        if there.answers && 0 < patience + retries.min(1) {
            // It was there in this run, so it may be restarting.
            patience += PATIENCE_IF_KNOWN;
        }
        if patience < failures && there.give_up(failure) {
            inner.lanes.close_idle(lane);
            self.opened_up(inner, lane);
            return Reach::WentDown;
        }
        there.health = Health::Doubtful { failures, last: now };
        there.hold(now, pause(failures, chance));
        inner.lanes.touch(lane, now);
        inner.lanes.let_in(lane, now);
        Reach::Doubtful
    }
}

/// How clearly a request was refused because there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transfer) enum Refused {
    /// No response at all to a plain request, or 429.
    Surely,
    /// 503, or no response to a condition or a range: these have other causes, too.
    Perhaps,
}

impl Refused {
    /// How often a job may be refused at one place before that counts as a failed attempt.
    fn most_free(self) -> u32 {
        match self {
            Self::Surely => 10,
            Self::Perhaps => 3,
        }
    }
}

/// Only the first refusals of a job lower the number of transfers at a time.
const MOST_LOWERING: u32 = 3;
/// Further attempts to connect to an origin that sent a response in this run.
const PATIENCE_IF_KNOWN: u32 = 3;

/// What a refused request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transfer) enum Crowded {
    /// The origin serves nothing else, so the attempt failed.
    Costs,
    /// It is no failed attempt. `tell`: the user is to be told that this origin lets in that many
    /// transfers at a time.
    Free { tell: Option<(Origin, usize)> },
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
