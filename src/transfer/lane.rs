//! The state of one origin in a run: its jobs, its connections, and whether requests may be sent.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Draw, spread};
use super::crowd::Crowd;
use super::job::Job;
use super::limit::Limit;
use super::shared::Shared;
use super::slot::LaneId;
use crate::failure::Failure;
use crate::http::{Connection, Origin};
use crate::manifest::PerHost;

/// An origin that answered well within this time serves requests, also if it refused one since.
const RECENT: Duration = Duration::from_secs(10);
/// If this many entries in a row fail, the rate of requests is not the cause.
const MOST_IN_ROW: u32 = 10;

/// The state of one origin.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) origin: Origin,
    pub(super) limit: Limit,
    /// Jobs that wait for a place.
    pub(super) jobs: VecDeque<Job>,
    /// Jobs that wait for a place in the middle of an attempt. They go first: they began earlier.
    pub(super) arrivals: VecDeque<Job>,
    /// Transfers in progress.
    pub(super) in_use: usize,
    /// Idle connections, the oldest first.
    pub(super) idle: Vec<Idle>,
    /// The lane to which a redirect from here led last that had to wait.
    pub(super) leads_to: Option<LaneId>,
    /// Lanes whose jobs wait until this lane has fewer arrivals.
    pub(super) feeders: VecDeque<LaneId>,
    /// The end of a pause.
    pub(super) held_until: Option<Instant>,
    /// The declared time between two requests.
    pub(super) spacing: Option<Duration>,
    /// The time between two requests that objections taught.
    gap: Gap,
    /// The earliest start of the next request, by `spacing` and `gap`.
    pub(super) next_request: Option<Instant>,
    pub(super) health: Health,
    /// A request that probes the origin is in progress.
    pub(super) probing: bool,
    /// Whether any response came in this run.
    pub(super) answers: bool,
    /// When a request succeeded last, or got another answer that is no failure of the origin.
    pub(super) last_served: Option<Instant>,
    /// Transfers in progress to which a response came.
    pub(super) serving: usize,
    pub(super) breaker: Breaker,
    pub(super) shared: Shared,
}

/// An idle connection.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    /// Its position in the order in which the connections of the run became idle.
    pub(super) number: u64,
    pub(super) since: Instant,
}

/// What outlives a lane that is forgotten.
#[derive(Debug)]
pub(super) struct Remembered {
    health: Health,
    breaker: Breaker,
    crowd: Crowd,
    gap: Gap,
    answers: bool,
}

/// Whether an origin can be reached.
#[derive(Clone, Debug)]
pub(super) enum Health {
    /// Nothing speaks against it.
    Up,
    /// The last `failures` attempts to connect failed, the latest one at `last`. One job at a time
    /// tries again, beside the transfers in progress.
    Doubtful { failures: u32, last: Instant },
    /// It cannot: its jobs fail at once.
    Down(Failure),
}

impl Lane {
    pub(super) fn new(origin: Origin, limit: Limit, spacing: Option<Duration>) -> Self {
        Self {
            origin,
            limit,
            jobs: VecDeque::new(),
            arrivals: VecDeque::new(),
            in_use: 0,
            idle: Vec::new(),
            leads_to: None,
            feeders: VecDeque::new(),
            held_until: None,
            spacing,
            gap: Gap::default(),
            next_request: None,
            health: Health::Up,
            probing: false,
            answers: false,
            last_served: None,
            serving: 0,
            breaker: Breaker::default(),
            shared: Shared::default(),
        }
    }

    /// Applies the settings of another source where they are stricter.
    pub(super) fn narrow(&mut self, per_host: PerHost, spacing: Option<Duration>) {
        if let PerHost::Fixed(most) = per_host {
            self.limit.narrow(most);
        }
        self.spacing = self.spacing.max(spacing);
    }

    /// What its origin allows now, apart from the number of places.
    pub(super) fn condition(&self, now: Instant) -> Condition {
        match self.health {
            Health::Down(_) => Condition::Down,
            Health::Doubtful { .. } => Condition::Probing,
            Health::Up if self.breaker.is_open() => Condition::Probing,
            Health::Up if self.pause().is_some_and(|until| now < until) => Condition::Held,
            Health::Up => Condition::Up,
        }
    }

    /// Whether a place may serve for one more request without waiting for its turn.
    pub(super) fn lets_go_on(&self, now: Instant) -> bool {
        self.spacing.is_none()
            && self.in_use <= self.limit.get()
            && self.condition(now) == Condition::Up
    }

    /// Whether no job waits.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.arrivals.is_empty()
    }

    /// The next job.
    pub(super) fn pop(&mut self) -> Option<Job> {
        self.arrivals.pop_front().or_else(|| self.jobs.pop_front())
    }

    /// Which job is requested next, to probe the origin; none if no probe is due.
    pub(super) fn draw(&mut self) -> Option<Draw> {
        match self.health {
            Health::Doubtful { failures, .. } => {
                Some(Draw::Untried(spread(failures.saturating_sub(1))))
            }
            _ => self.breaker.draw(),
        }
    }

    /// The job of the last probe, if that proved nothing and goes on with a plainer request.
    pub(super) fn pop_probe(&mut self) -> Option<Job> {
        if !self.probes() {
            return None;
        }
        match self.arrivals.iter().position(|job| job.is_probe) {
            Some(at) => self.arrivals.remove(at),
            None => self.jobs.pop_front_if(|job| job.is_probe),
        }
    }

    /// Whether the next request probes the origin.
    pub(super) fn probes(&self) -> bool {
        self.breaker.is_open() || matches!(self.health, Health::Doubtful { .. })
    }

    /// The number of waiting jobs that have not failed here yet.
    pub(super) fn untried(&self) -> u64 {
        self.arrivals.iter().chain(&self.jobs).filter(|job| job.is_untried()).count() as u64
    }

    /// That one of the waiting jobs that have not failed here yet, or else the next job.
    pub(super) fn pop_untried(&mut self, number: u64) -> Option<Job> {
        let mut left = number;
        for jobs in [&mut self.arrivals, &mut self.jobs] {
            for at in 0..jobs.len() {
                if !jobs[at].is_untried() {
                    continue;
                }
                if left == 0 {
                    return jobs.remove(at);
                }
                left -= 1;
            }
        }
        self.pop()
    }

    /// A waiting job that failed here, the fewest times and the last time of all; or else the next
    /// job.
    pub(super) fn pop_tried(&mut self) -> Option<Job> {
        let tried = self.jobs.iter().enumerate().filter(|(_, job)| !job.is_untried());
        let least = tried.min_by_key(|(_, job)| job.tries).map(|(at, _)| at);
        match least {
            Some(at) => self.jobs.remove(at),
            None => self.pop(),
        }
    }

    /// Gives the origin up, unless it serves a transfer. Reports whether it did.
    pub(super) fn give_up(&mut self, failure: &Failure) -> bool {
        let may = self.serving == 0;
        if may {
            self.health = Health::Down(failure.clone());
        }
        may
    }

    /// Whether transfers that wait here are served by and by, without a pause of the origin.
    pub(super) fn flows(&self, now: Instant) -> bool {
        let is_held = self.held_until.is_some_and(|until| now < until);
        !is_held && !self.breaker.is_open() && matches!(self.health, Health::Up)
    }

    /// Whether a transfer may begin.
    pub(super) fn readiness(&self, now: Instant) -> Readiness {
        let is_probed = self.probing && self.probes();
        if is_probed || self.limit.get() <= self.in_use {
            return Readiness::Full;
        }
        match self.pause() {
            Some(until) if now < until => Readiness::Later(until),
            _ => Readiness::Ready,
        }
    }

    fn pause(&self) -> Option<Instant> {
        self.held_until.into_iter().chain(self.next_request).max()
    }

    /// Whether the lane can be forgotten: nothing is in progress, and no pause has to be kept.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.in_use == 0 && self.is_idle() && self.pause().is_none_or(|until| until <= now)
    }

    /// What speaks against the origin; none if nothing does.
    pub(super) fn remembered(&self) -> Option<Remembered> {
        let crowd = self.limit.crowd();
        let is_good = matches!(self.health, Health::Up)
            && self.breaker.is_at_rest()
            && crowd.most().is_none()
            && self.gap == Gap::default();
        (!is_good).then(|| Remembered {
            health: self.health.clone(),
            breaker: self.breaker.clone(),
            crowd: crowd.clone(),
            gap: self.gap,
            answers: self.answers,
        })
    }

    pub(super) fn restore(&mut self, remembered: Remembered) {
        let Remembered { health, breaker, crowd, gap, answers } = remembered;
        self.limit.restore(crowd);
        (self.health, self.breaker, self.gap, self.answers) = (health, breaker, gap, answers);
    }

    /// Takes a place, and the idle connection that fits best.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Idle> {
        self.in_use += 1;
        if let Some(spacing) = self.spacing.max(self.gap.0) {
            self.next_request = Some(self.next_request.unwrap_or(now).max(now) + spacing);
        }
        // A connection is driven by the event loop of the thread that opened it; on another thread
        // each of its responses would cost a wake-up across threads.
        let own = self.idle.iter().rposition(|idle| idle.connection.is_at_home());
        let position = own.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(position))
    }

    /// The origin objected to the rate of requests.
    pub(super) fn objected(&mut self, now: Instant) {
        self.limit.objected(now);
        if MOST_IN_ROW <= self.breaker.row() {
            // An origin that accepts a lower rate would have served some.
            self.gap = Gap::default();
        } else if self.next_request.is_none_or(|next| next <= now) {
            // Requests that were in progress together object to the same rate: widen once.
            self.gap.widen();
        }
        if let Some(gap) = self.gap.0 {
            self.next_request = Some(self.next_request.unwrap_or(now).max(now + gap));
        }
    }

    /// A request succeeded.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.gap.narrow();
        self.last_served = Some(now);
    }

    /// Whether a request was served a short time ago.
    pub(super) fn serves(&self, now: Instant) -> bool {
        self.last_served.is_some_and(|last| now < last + RECENT)
    }

    /// Starts no request before `wait` is over.
    pub(super) fn hold(&mut self, now: Instant, wait: Duration) {
        // A wait beyond the range of the clock becomes a year.
        let until = now.checked_add(wait).unwrap_or(now + Duration::from_hours(24 * 365));
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// Connections to this origin, used and idle.
    pub(super) fn connections(&self) -> usize {
        self.in_use + self.idle.len()
    }
}

/// A time between requests that doubles with each objection and shrinks by 3 % with each success.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Gap(Option<Duration>);

impl Gap {
    const LEAST: Duration = Duration::from_millis(2);
    const MOST: Duration = Duration::from_secs(2);

    fn widen(&mut self) {
        self.0 = Some(self.0.map_or(Self::LEAST, |gap| (gap * 2).min(Self::MOST)));
    }

    fn narrow(&mut self) {
        self.0 = self.0.map(|gap| gap.mul_f64(0.97)).filter(|gap| Self::LEAST / 2 < *gap);
    }
}

/// The state of an origin after a failed attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is tried again.
    Doubtful,
    /// This attempt made the difference: it is given up.
    WentDown,
    /// It had been given up before.
    Down,
}

/// What follows from a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// This request made the difference: the origin is given up.
    pub(super) went_down: bool,
    pub(super) may_retry: bool,
    /// How many entries in a row failed. 0 if another row of this origin was no sign of illness, or
    /// if this entry was counted before.
    pub(super) row: u32,
}

/// What an origin allows (docs/transfer.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Requests may be sent.
    Up,
    /// A pause has to end first.
    Held,
    /// One request at a time finds out whether it answers.
    Probing,
    /// Its jobs fail at once.
    Down,
}

/// Whether a transfer may begin at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Not before this instant.
    Later(Instant),
    /// Not before another transfer ends.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_converges_to_the_rate_that_a_server_accepts() {
        // The server accepts one request every ten milliseconds.
        let accepted = Duration::from_millis(10);
        let (mut gap, mut refused) = (Gap::default(), 0);
        for _ in 0..1000 {
            if gap.0.is_some_and(|gap| accepted <= gap) {
                gap.narrow();
            } else {
                gap.widen();
                refused += 1;
            }
        }
        assert!((4..80).contains(&refused), "{refused}");
        for _ in 0..200 {
            gap.narrow();
        }
        assert_eq!(gap, Gap(None));
        for _ in 0..40 {
            gap.widen();
        }
        assert_eq!(gap, Gap(Some(Gap::MOST)));
    }
}
