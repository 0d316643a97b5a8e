//! Decides which job runs next, and where. Owns everything that a run knows of its origins.
//!
//! A worker asks for a job; when it is done it gives its place back and asks for the next. Entries
//! are made on demand: only jobs for which their origin has no place yet wait here, up to a fixed
//! number.

mod health;
mod lanes;
mod memory;
mod places;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::Draw;
use super::job::Job;
use super::lane::{Health, Lane};
use super::limit::Limit;
use super::shared::Shared;
use super::slot::{LaneId, Places, Slot};
use super::supply::{Supply, portion};
use crate::failure::Failure;
use crate::http::{Clock, Origin};
use crate::manifest::Http;
use crate::manifest::entry::EntryIndex;
use crate::stop::Stop;
use crate::threads::lock;
pub(super) use health::{Crowded, Refused};
use lanes::Lanes;
pub(super) use places::Spare;

/// How many jobs may wait here, so that a pause of one origin does not delay the others.
const LOOK_AHEAD: usize = 4096;

/// What a worker has to do.
#[derive(Debug)]
pub(super) enum Task<'a> {
    Ask(Job, Slot<'a>),
    /// The origin cannot be reached.
    Unreachable(Job, Failure),
    /// The URL cannot be used.
    Unusable(EntryIndex, Failure),
}

/// The settings for the lane of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) http: &'a Http,
    /// The number of the dialer of the job's source.
    pub(super) dialer: usize,
}

/// Finds the terms of a job.
pub(super) type Settings<'a> = Box<dyn Fn(&Job) -> Terms<'a> + Send + Sync + 'a>;

/// The dispatcher of a run.
pub(super) struct Dispatch<'a> {
    inner: Mutex<Inner<'a>>,
    idle_workers: Notify,
    settings: Settings<'a>,
    clock: Clock,
}

struct Inner<'a> {
    supply: Supply<'a>,
    lanes: Lanes,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// Jobs in lanes, and delayed ones.
    waiting: usize,
    /// Jobs that workers have in hand.
    active: usize,
    numbers: u64,
}

struct Delayed {
    due: Instant,
    number: u64,
    job: Job,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart at once and never stored")]
enum Next<'a> {
    Task(Task<'a>),
    Wait(Option<Instant>),
    Done,
}

/// What came of taking new jobs.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once and never stored")]
enum Drawn<'a> {
    Next(Next<'a>),
    /// A job was queued at an origin that is to be probed.
    Queued,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(
        supply: Supply<'a>,
        settings: Settings<'a>,
        connections: usize,
        clock: Clock,
    ) -> Self {
        let inner = Inner {
            supply,
            lanes: Lanes::new(connections),
            delayed: BinaryHeap::new(),
            waiting: 0,
            active: 0,
            numbers: 0,
        };
        Self { inner: Mutex::new(inner), idle_workers: Notify::new(), settings, clock }
    }

    /// The next task, or none when all is done or the run has to stop.
    pub(super) async fn next(&self, stop: &Stop) -> Option<Task<'_>> {
        loop {
            let notified = self.idle_workers.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if stop.is_requested() {
                return None;
            }
            let until = match self.try_next(self.clock.now()) {
                Next::Task(task) => {
                    self.wake();
                    return Some(task);
                }
                Next::Done => {
                    self.idle_workers.notify_waiters();
                    return None;
                }
                Next::Wait(until) => until,
            };
            match until {
                Some(until) => {
                    tokio::select! {
                        biased;
                        () = notified => {}
                        () = tokio::time::sleep_until(until) => {}
                        () = stop.requested() => {}
                    }
                }
                None => {
                    tokio::select! {
                        biased;
                        () = notified => {}
                        () = stop.requested() => {}
                    }
                }
            }
        }
    }

    fn try_next(&self, now: Instant) -> Next<'_> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        while inner.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= now) {
            if let Some(Reverse(delayed)) = inner.delayed.pop() {
                inner.waiting -= 1;
                self.queue(inner, delayed.job, Turn::Next, now);
            }
        }
        if let Some((job, failure)) = inner.lanes.next_lost(now) {
            inner.waiting -= 1;
            inner.active += 1;
            return Next::Task(Task::Unreachable(job, failure));
        }
        loop {
            while let Some(lane) = inner.lanes.next_ready(now) {
                let picked = self.pick(inner, lane, now);
                // The lane may have further jobs.
                inner.lanes.touch(lane, now);
                if let Some(job) = picked {
                    return Next::Task(Task::Ask(job, self.enter(inner, lane, now)));
                }
            }
            match self.draw_in(inner, now) {
                Some(Drawn::Next(next)) => return next,
                // A job waits in a lane that is ready for it.
                Some(Drawn::Queued) => {}
                None => break,
            }
        }
        if inner.supply.is_exhausted() && inner.waiting == 0 && inner.active == 0 {
            return Next::Done;
        }
        let due = inner.delayed.peek().map(|Reverse(delayed)| delayed.due);
        Next::Wait(due.into_iter().chain(inner.lanes.next_time()).min())
    }

    /// Takes new jobs until one can start, while there is room for those that cannot.
    fn draw_in(&self, inner: &mut Inner<'a>, now: Instant) -> Option<Drawn<'_>> {
        while inner.waiting < LOOK_AHEAD
            && let Some((source, supplied)) = {
                let waiting = |lane| inner.lanes.get(lane).map_or(0, |lane| lane.jobs.len());
                inner.supply.next(waiting)
            }
        {
            let job = match supplied {
                Err((entry, failure)) => {
                    inner.active += 1;
                    return Some(Drawn::Next(Next::Task(Task::Unusable(entry, failure))));
                }
                Ok(job) => job,
            };
            let lane = self.lane_of(inner, &job.target.origin, &job, now);
            inner.supply.went_to(source, lane);
            let is_open = inner.lanes.is_open(lane, now);
            if let Some(there) = inner.lanes.get(lane).filter(|there| there.is_idle()) {
                if let Health::Down(failure) = &there.health {
                    inner.active += 1;
                    let task = Task::Unreachable(job, failure.clone());
                    return Some(Drawn::Next(Next::Task(task)));
                }
                if is_open && there.probes() {
                    Self::queue_at(inner, lane, job, Turn::Last, now);
                    return Some(Drawn::Queued);
                }
                if is_open {
                    let slot = self.enter(inner, lane, now);
                    return Some(Drawn::Next(Next::Task(Task::Ask(job, slot))));
                }
            }
            Self::queue_at(inner, lane, job, Turn::Last, now);
        }
        None
    }

    /// Takes the job of the next request at an origin. A probe is for one that waits there, or for one
    /// that a short look finds ahead in the supply. None if the job has to begin anew elsewhere.
    fn pick(&self, inner: &mut Inner<'a>, id: LaneId, now: Instant) -> Option<Job> {
        let lane = inner.lanes.get_mut(id)?;
        let again = lane.pop_probe();
        let drawn = if again.is_none() { lane.draw() } else { None };
        let mut job = match drawn {
            None => again.or_else(|| lane.pop())?,
            Some(Draw::Tried) => lane.pop_tried()?,
            Some(Draw::Untried(share)) => {
                let here = lane.untried();
                let number = portion(here + inner.supply.left(id), share);
                let ahead = number.checked_sub(here);
                if let Some(number) = ahead
                    && let Some(job) = inner.supply.sample(id, number, &lane.origin)
                {
                    return Some(job);
                }
                lane.pop_untried(if ahead.is_some() { portion(here, share) } else { number })?
            }
        };
        inner.waiting -= 1;
        if job.renew(now) {
            self.queue(inner, job, Turn::Next, now);
            return None;
        }
        Some(job)
    }

    /// Lets a job wait in the lane of its target.
    fn queue(&self, inner: &mut Inner<'a>, job: Job, turn: Turn, now: Instant) {
        let target = job.on_the_way.as_ref().map_or(&job.target, |way| &way.target);
        let lane = self.lane_of(inner, &target.origin, &job, now);
        Self::queue_at(inner, lane, job, turn, now);
    }

    fn queue_at(inner: &mut Inner<'a>, id: LaneId, job: Job, turn: Turn, now: Instant) {
        inner.waiting += 1;
        if let Some(lane) = inner.lanes.get_mut(id) {
            match turn {
                Turn::Next => lane.jobs.push_front(job),
                Turn::Last => lane.jobs.push_back(job),
                Turn::Arrival => lane.arrivals.push_back(job),
            }
        }
        inner.lanes.touch(id, now);
    }

    fn enter(&self, inner: &mut Inner<'a>, lane: LaneId, now: Instant) -> Slot<'_> {
        inner.active += 1;
        self.slot(inner, lane, now)
    }

    fn slot(&self, inner: &mut Inner<'a>, id: LaneId, now: Instant) -> Slot<'_> {
        let is_probe = inner.lanes.get_mut(id).is_some_and(|lane| {
            let is_probe = lane.probes();
            lane.probing |= is_probe;
            is_probe
        });
        let connection = inner.lanes.enter(id, now);
        Slot { places: self, lane: id, connection, share: None, is_probe, served: false }
    }

    /// Wakes a worker if there may be something to do. A caller that gives a place back and does
    /// not ask for the next job has to call it.
    pub(super) fn wake(&self) {
        let has_more = self.lock().lanes.has_more();
        if has_more {
            self.idle_workers.notify_one();
        }
    }

    /// Lets a job wait for a place where its attempt goes on.
    pub(super) fn wait(&self, job: Job) {
        self.put(job, Turn::Arrival);
    }

    /// Records that a job is done.
    pub(super) fn finish(&self) {
        let mut inner = self.lock();
        inner.active -= 1;
        if inner.supply.is_exhausted() && inner.waiting == 0 && inner.active == 0 {
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// Lets a job be tried again from the start, after a pause.
    pub(super) fn put_back(&self, mut job: Job, after: Duration) {
        job.on_the_way = None;
        if after.is_zero() {
            return self.put(job, Turn::Next);
        }
        let due = self.clock.now() + after;
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.active -= 1;
        inner.waiting += 1;
        inner.numbers += 1;
        inner.delayed.push(Reverse(Delayed { due, number: inner.numbers, job }));
        drop(guard);
        self.idle_workers.notify_one();
    }

    fn put(&self, job: Job, turn: Turn) {
        let now = self.clock.now();
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.active -= 1;
        self.queue(inner, job, turn, now);
        drop(guard);
        self.idle_workers.notify_one();
    }

    /// Pauses an origin, as it asked for.
    pub(super) fn hold(&self, lane: LaneId, wait: Duration) {
        let now = self.clock.now();
        let mut inner = self.lock();
        if let Some(lane) = inner.lanes.get_mut(lane) {
            lane.hold(now, wait);
            lane.limit.objected(now);
        }
        // Not all transfers of an origin that leads here may lead here.
        inner.lanes.let_in(lane, now);
    }

    /// Records that an origin objected to the rate of requests without asking for a pause.
    pub(super) fn objected(&self, lane: LaneId) {
        let now = self.clock.now();
        if let Some(lane) = self.lock().lanes.get_mut(lane) {
            lane.objected(now);
        }
    }

    /// The origin of a lane; none if it was forgotten.
    pub(super) fn origin_of(&self, lane: LaneId) -> Option<Origin> {
        self.lock().lanes.get(lane).map(|lane| lane.origin.clone())
    }

    /// Looks at the shared connections of an origin.
    pub(super) fn sharing<T: Default>(
        &self,
        lane: LaneId,
        ask: impl FnOnce(&mut Shared) -> T,
    ) -> T {
        self.lock().lanes.get_mut(lane).map(|lane| ask(&mut lane.shared)).unwrap_or_default()
    }

    fn lane_of(&self, inner: &mut Inner<'a>, origin: &Origin, job: &Job, now: Instant) -> LaneId {
        let Terms { http, dialer } = (self.settings)(job);
        let (per_host, spacing) = (http.connections_per_host, spacing(http));
        if let Some(id) = inner.lanes.find(origin, dialer) {
            // Sources that share an origin are bound by the strictest of them.
            if let Some(lane) = inner.lanes.get_mut(id) {
                lane.narrow(per_host, spacing);
            }
            return id;
        }
        let limit = Limit::new(per_host, inner.lanes.connections());
        inner.lanes.add(Lane::new(origin.clone(), limit, spacing), dialer, now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<'a>> {
        lock(&self.inner)
    }

    /// Jobs of a lane may start that could not before, or fail at once.
    fn opened_up(&self, mut inner: MutexGuard<'_, Inner<'a>>, lane: LaneId) {
        inner.lanes.touch(lane, self.clock.now());
        drop(inner);
        self.idle_workers.notify_waiters();
    }
}

impl Places for Dispatch<'_> {
    fn leave(&self, slot: &mut Slot<'_>) {
        let now = self.clock.now();
        let mut inner = self.lock();
        if let Some(lane) = inner.lanes.get_mut(slot.lane) {
            lane.probing &= !slot.is_probe;
            lane.serving -= usize::from(slot.served);
        }
        inner.lanes.leave(slot.lane, slot.connection.take(), now);
        // The caller asks for the next job at once, or calls `wake`.
    }
}

/// Where a job stands among those of its lane.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Next,
    Last,
    /// In the middle of an attempt.
    Arrival,
}

/// The declared time between two requests to one origin.
fn spacing(http: &Http) -> Option<Duration> {
    http.requests_per_second.map(|rate| Duration::from_secs_f64(1.0 / rate))
}

#[cfg(test)]
mod tests;
