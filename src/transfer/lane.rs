//! What is known of one origin in a run: its jobs, its connections, and whether it may be asked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::dispatch::Shared;
use super::job::Job;
use super::limit::Limit;
use crate::failure::Failure;
use crate::http::{Connection, Origin};
use crate::manifest::PerHost;

/// An idle connection is closed after this time: most servers close theirs a little later.
const IDLE: Duration = Duration::from_secs(20);

/// One origin.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) origin: Origin,
    pub(super) limit: Limit,
    /// Jobs that wait for a place.
    pub(super) jobs: VecDeque<Job>,
    /// Transfers under way.
    pub(super) in_use: usize,
    /// Connections that wait for a request, the latest last.
    pub(super) idle: Vec<(Connection, Instant)>,
    /// Jobs that wait for a place in the middle of an attempt; they go first, since they began
    /// earlier.
    pub(super) arrivals: VecDeque<Job>,
    /// The lane where a redirect from here led last that had to wait.
    pub(super) leads_to: Option<usize>,
    /// Nobody asks before this.
    pub(super) held_until: Option<Instant>,
    /// The time between two requests, where the manifest bounds their rate.
    pub(super) spacing: Option<Duration>,
    pub(super) next_request: Option<Instant>,
    /// The same as far as it was learned from objections.
    gap: Gap,
    pub(super) health: Health,
    /// Whether a job tries for all others, while the origin is doubtful.
    pub(super) trying: bool,
    /// Whether it answered anything in this run.
    pub(super) answers: bool,
    /// Transfers under way to which an answer came.
    pub(super) serving: usize,
    /// Whether it answers with failures alone.
    pub(super) breaker: Breaker,
    /// Connections that transfers share.
    pub(super) shared: Shared,
}

/// Whether an origin can be reached.
#[derive(Clone, Debug)]
pub(super) enum Health {
    /// As far as is known.
    Up,
    /// So many attempts in a row failed, the last one then. One at a time tries again, beside the
    /// transfers that run.
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
            in_use: 0,
            idle: Vec::new(),
            arrivals: VecDeque::new(),
            leads_to: None,
            held_until: None,
            spacing,
            next_request: None,
            gap: Gap::default(),
            health: Health::Up,
            trying: false,
            answers: false,
            serving: 0,
            breaker: Breaker::default(),
            shared: Shared::default(),
        }
    }

    /// Takes over what another source says, where that is stricter.
    pub(super) fn narrow(&mut self, per_host: PerHost, spacing: Option<Duration>) {
        if let PerHost::Fixed(most) = per_host {
            self.limit.narrow(most);
        }
        self.spacing = self.spacing.max(spacing);
    }

    /// Whether no job waits.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.arrivals.is_empty()
    }

    /// The job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Job> {
        self.arrivals.pop_front().or_else(|| match self.health {
            // The last is one that did not fail there yet, so it can tell more than the first.
            Health::Doubtful { .. } => self.jobs.pop_back(),
            _ => self.jobs.pop_front(),
        })
    }

    /// Whether a transfer may begin, or else when to look again if only time is wanting.
    pub(super) fn readiness(&self, now: Instant) -> Readiness {
        let tried = self.trying && matches!(self.health, Health::Doubtful { .. });
        let probed = self.breaker.is_open() && 0 < self.in_use;
        if tried || probed || self.limit.get() <= self.in_use {
            return Readiness::Full;
        }
        match self.held_until.into_iter().chain(self.next_request).max() {
            Some(until) if now < until => Readiness::Later(until),
            _ => Readiness::Ready,
        }
    }

    /// Takes a place, with an idle connection if there is one.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Connection> {
        self.in_use += 1;
        if let Some(spacing) = self.spacing.max(self.gap.0) {
            self.next_request = Some(self.next_request.unwrap_or(now).max(now) + spacing);
        }
        self.idle.retain(|(_, since)| now.duration_since(*since) < IDLE);
        // One that another thread opened is tended there, and each of its answers would be handed across.
        let own = self.idle.iter().rposition(|(connection, _)| connection.is_at_home());
        let place = own.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(place).0)
    }

    /// The origin objected to so many requests.
    pub(super) fn objected(&mut self, now: Instant) {
        self.limit.objected(now);
        // Requests that were under way together object to the same rate once.
        if self.next_request.is_none_or(|next| next <= now) {
            self.gap.widen();
        }
        if let Some(gap) = self.gap.0 {
            self.next_request = Some(self.next_request.unwrap_or(now).max(now + gap));
        }
    }

    /// The origin did what it was asked for.
    pub(super) fn succeeded(&mut self) {
        self.gap.narrow();
    }

    /// Nobody asks for so long.
    pub(super) fn hold(&mut self, now: Instant, wait: Duration) {
        // A wait beyond the clock's range is as long as the clock goes.
        let until = now.checked_add(wait).unwrap_or(now + Duration::from_hours(24 * 365));
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// Connections to this origin, used and idle.
    pub(super) fn connections(&self) -> usize {
        self.in_use + self.idle.len()
    }
}

/// A time between requests that doubles with an objection and shrinks a little with each success.
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

/// Whether a transfer may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Now.
    Ready,
    /// Not before then.
    Later(Instant),
    /// When another one ends.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_finds_the_rate_that_is_borne() {
        // A server that takes one request every ten milliseconds.
        let borne = Duration::from_millis(10);
        let (mut gap, mut refused) = (Gap::default(), 0);
        for _ in 0..1000 {
            if gap.0.is_some_and(|gap| borne <= gap) {
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
