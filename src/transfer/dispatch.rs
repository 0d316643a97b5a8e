//! Which job runs next, and where: the one owner of what a run knows of its origins.
//!
//! Workers ask for a job and give back their place in the same breath. There is no queue of its own
//! for entries: they are made on demand, and only those wait here that an origin has no place for
//! yet, up to a fixed number.

mod health;
mod shared;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, SemaphorePermit};

pub(super) use health::Reach;
pub(super) use shared::Shared;

use super::job::Job;
use super::lane::{Health, Lane, Readiness};
use super::limit::Limit;
use super::supply::Supply;
use crate::failure::Failure;
use crate::http::{Connection, Origin};
use crate::manifest::Http;
use crate::manifest::entry::EntryIndex;
use crate::stop::Stop;

/// So many jobs are looked at beyond those that run, so that one origin's pause does not keep the
/// others waiting.
const LOOK_AHEAD: usize = 4096;

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Task<'a> {
    /// Ask for it.
    Ask(Job, Slot<'a>),
    /// Its origin cannot be reached.
    Unreachable(Job, Failure),
    /// Its URL cannot be used.
    Unusable(EntryIndex, Failure),
}

/// A new job, or why there can be none.
pub(super) type Supplied = Result<Job, (EntryIndex, Failure)>;

/// What an origin's lane is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) http: &'a Http,
    /// The dialer of the job's source. What another one opened goes another way: over its proxy, to
    /// whom its certificates trust.
    pub(super) dialer: usize,
}

/// Tells the terms of a job.
pub(super) type Settings<'a> = Box<dyn Fn(&Job) -> Terms<'a> + Send + Sync + 'a>;

/// The dispatcher of a run.
pub(super) struct Dispatch<'a> {
    inner: Mutex<Inner<'a>>,
    idle_workers: Notify,
    settings: Settings<'a>,
}

struct Inner<'a> {
    supply: Supply<'a>,
    lanes: Vec<Lane>,
    by_origin: HashMap<(Origin, usize), usize>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// Jobs in lanes and delayed ones.
    waiting: usize,
    /// Jobs in the hands of workers.
    active: usize,
    /// Places taken at all origins, and how many there are.
    in_use: usize,
    connections: usize,
    first_lane: usize,
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

/// Whom a place is given back to.
trait Places {
    fn leave(&self, slot: &mut Slot<'_>);
}

/// A place at an origin: given back when it is dropped.
pub(super) struct Slot<'r> {
    places: &'r dyn Places,
    pub(super) lane: usize,
    pub(super) connection: Option<Connection>,
    /// Its part in what its thread may have under way.
    pub(super) share: Option<SemaphorePermit<'r>>,
    /// Whether it tries for all whether the origin can be reached.
    trying: bool,
    /// Whether an answer came to it.
    served: bool,
}

impl std::fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.places.leave(self);
    }
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart at once and never kept")]
enum Next<'a> {
    Task(Task<'a>),
    Wait(Option<Instant>),
    Done,
}

impl Inner<'_> {
    /// Whether a transfer may begin there: the whole run has so many places.
    fn readiness(&self, lane: usize, now: Instant) -> Readiness {
        let readiness = self.lanes[lane].readiness(now);
        if self.in_use < self.connections { readiness } else { Readiness::Full }
    }

    fn take_place(&mut self, lane: usize, now: Instant) -> Option<Connection> {
        self.in_use += 1;
        let connection = self.lanes[lane].enter(now);
        if connection.is_none() {
            // A new connection is about to be made: the whole run may have so many, and an origin so many.
            let limit = self.lanes[lane].limit.get();
            while limit < self.lanes[lane].connections() && self.lanes[lane].idle.pop().is_some() {}
            while self.connections < self.lanes.iter().map(Lane::connections).sum() {
                let oldest = self
                    .lanes
                    .iter_mut()
                    .filter(|lane| !lane.idle.is_empty())
                    .min_by_key(|lane| lane.idle[0].1);
                let Some(lane) = oldest else { break };
                lane.idle.remove(0);
            }
        }
        connection
    }

    /// Whether enough transfers that began at this origin wait for a place where it leads to. More of
    /// them would only make what they were told grow old: such URLs are often good for minutes.
    fn is_crowded(&self, lane: usize) -> bool {
        self.lanes[lane].leads_to.is_some_and(|next| {
            let next = &self.lanes[next];
            next.limit.get() <= next.arrivals.len()
        })
    }
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(supply: Supply<'a>, settings: Settings<'a>, connections: usize) -> Self {
        let inner = Inner {
            supply,
            lanes: Vec::new(),
            by_origin: HashMap::new(),
            delayed: BinaryHeap::new(),
            waiting: 0,
            active: 0,
            in_use: 0,
            connections,
            first_lane: 0,
            numbers: 0,
        };
        Self { inner: Mutex::new(inner), idle_workers: Notify::new(), settings }
    }

    /// The next task, or nothing when all is done or the end was asked for.
    pub(super) async fn next(&self, stop: &Stop) -> Option<Task<'_>> {
        loop {
            let notified = self.idle_workers.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if stop.is_requested() {
                return None;
            }
            let until = match self.try_next(Instant::now()) {
                Next::Task(task) => {
                    if self.has_more() {
                        self.idle_workers.notify_one();
                    }
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
                        () = notified => {}
                        () = tokio::time::sleep_until(until.into()) => {}
                        () = stop.requested() => {}
                    }
                }
                None => {
                    tokio::select! {
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
                let lane = self.lane(inner, &delayed.job);
                inner.lanes[lane].jobs.push_front(delayed.job);
            }
        }
        let mut soonest = inner.delayed.peek().map(|Reverse(delayed)| delayed.due);
        if let Some(task) = self.take_waiting(inner, now, &mut soonest) {
            return Next::Task(task);
        }
        while inner.waiting < LOOK_AHEAD
            && let Some((source, supplied)) = inner.supply.next(&inner.lanes)
        {
            let job = match supplied {
                Err((entry, failure)) => {
                    inner.active += 1;
                    return Next::Task(Task::Unusable(entry, failure));
                }
                Ok(job) => job,
            };
            let lane = self.lane(inner, &job);
            inner.supply.went_to(source, lane);
            let crowded = inner.is_crowded(lane);
            let there = &inner.lanes[lane];
            if there.is_idle() {
                if let Health::Down(failure) = &there.health {
                    inner.active += 1;
                    return Next::Task(Task::Unreachable(job, failure.clone()));
                }
                match inner.readiness(lane, now) {
                    _ if crowded => {}
                    Readiness::Ready => {
                        return Next::Task(Task::Ask(job, self.enter(inner, lane, now)));
                    }
                    Readiness::Later(until) => soonest = Some(earlier(soonest, until)),
                    Readiness::Full => {}
                }
            }
            inner.lanes[lane].jobs.push_back(job);
            inner.waiting += 1;
        }
        if inner.supply.is_exhausted() && inner.waiting == 0 && inner.active == 0 {
            return Next::Done;
        }
        Next::Wait(soonest)
    }

    /// A job that waits in a lane which has a place for it; the lanes take turns.
    fn take_waiting(
        &self,
        inner: &mut Inner<'a>,
        now: Instant,
        soonest: &mut Option<Instant>,
    ) -> Option<Task<'_>> {
        if inner.waiting == inner.delayed.len() {
            return None;
        }
        let count = inner.lanes.len();
        for step in 0..count {
            let index = (inner.first_lane + step) % count;
            let crowded = inner.is_crowded(index);
            let lane = &mut inner.lanes[index];
            if lane.is_idle() {
                continue;
            }
            if let Health::Down(failure) = &lane.health {
                let failure = failure.clone();
                let job = lane.pop()?;
                inner.waiting -= 1;
                inner.active += 1;
                return Some(Task::Unreachable(job, failure));
            }
            if crowded && lane.arrivals.is_empty() {
                continue;
            }
            match inner.readiness(index, now) {
                Readiness::Ready => {
                    let job = inner.lanes[index].pop()?;
                    inner.waiting -= 1;
                    inner.first_lane = index + 1;
                    return Some(Task::Ask(job, self.enter(inner, index, now)));
                }
                Readiness::Later(until) => *soonest = Some(earlier(*soonest, until)),
                Readiness::Full => {}
            }
        }
        None
    }

    /// Whether a job waits for which there is a place, or will be after some time: somebody must look
    /// at the clock.
    fn has_more(&self) -> bool {
        let inner = self.lock();
        let now = Instant::now();
        inner.waiting != inner.delayed.len()
            && inner.lanes.iter().enumerate().any(|(index, lane)| {
                !lane.is_idle()
                    && (matches!(lane.health, Health::Down(_))
                        || inner.readiness(index, now) != Readiness::Full
                            && !(lane.arrivals.is_empty() && inner.is_crowded(index)))
            })
    }

    fn enter(&self, inner: &mut Inner<'a>, lane: usize, now: Instant) -> Slot<'_> {
        inner.active += 1;
        self.slot(inner, lane, now)
    }

    fn slot(&self, inner: &mut Inner<'a>, lane: usize, now: Instant) -> Slot<'_> {
        let trying = matches!(inner.lanes[lane].health, Health::Doubtful { .. });
        inner.lanes[lane].trying |= trying;
        let connection = inner.take_place(lane, now);
        Slot { places: self, lane, connection, share: None, trying, served: false }
    }

    /// Goes on to where a redirect leads: gives the place back and takes one there, if there is one at
    /// once. Else the job has to wait its turn.
    pub(super) fn go_on(&self, slot: Slot<'_>, origin: &Origin, job: &Job) -> Option<Slot<'_>> {
        let from = slot.lane;
        // First, since the next place may be at the same origin.
        drop(slot);
        let place = self.place(origin, job);
        if place.is_none() {
            let mut inner = self.lock();
            let lane = self.lane_of(&mut inner, origin, job);
            inner.lanes[from].leads_to = Some(lane).filter(|&lane| lane != from);
        }
        if self.has_more() {
            self.idle_workers.notify_one();
        }
        place
    }

    /// A place at an origin for a job in hand, if there is one at once. The caller holds no other.
    pub(super) fn place(&self, origin: &Origin, job: &Job) -> Option<Slot<'_>> {
        let mut inner = self.lock();
        let now = Instant::now();
        let lane = self.lane_of(&mut inner, origin, job);
        let there = &inner.lanes[lane];
        let free = there.arrivals.is_empty()
            && !matches!(there.health, Health::Down(_))
            && inner.readiness(lane, now) == Readiness::Ready;
        free.then(|| self.slot(&mut inner, lane, now))
    }

    /// A place for one more request by who has one already. Where requests have a rate, each takes its
    /// turn.
    pub(super) fn once_more<'s>(&self, slot: Slot<'s>) -> Option<Slot<'s>> {
        let has_rate = self.lock().lanes[slot.lane].spacing.is_some();
        (!has_rate).then_some(slot)
    }

    /// A further place at an origin for the file of a job in hand, if no other job wants it.
    pub(super) fn spare(&self, origin: &Origin, job: &Job) -> Option<Slot<'_>> {
        let mut inner = self.lock();
        let now = Instant::now();
        let lane = self.lane_of(&mut inner, origin, job);
        let there = &inner.lanes[lane];
        let free = there.is_idle()
            && matches!(there.health, Health::Up)
            && inner.readiness(lane, now) == Readiness::Ready;
        free.then(|| self.slot(&mut inner, lane, now))
    }

    /// A place was given back by somebody who does not ask for the next job.
    pub(super) fn wake(&self) {
        if self.has_more() {
            self.idle_workers.notify_one();
        }
    }

    /// A job waits for a place where its attempt goes on. It keeps no worker from other jobs.
    pub(super) fn wait(&self, job: Job) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.active -= 1;
        inner.waiting += 1;
        let origin = job.on_the_way.as_ref().map_or(&job.target, |way| &way.target).origin.clone();
        let lane = self.lane_of(inner, &origin, &job);
        inner.lanes[lane].arrivals.push_back(job);
        drop(guard);
        self.idle_workers.notify_one();
    }

    /// A job came to its end.
    pub(super) fn finish(&self) {
        let mut inner = self.lock();
        inner.active -= 1;
        if inner.supply.is_exhausted() && inner.waiting == 0 && inner.active == 0 {
            drop(inner);
            self.idle_workers.notify_waiters();
        }
    }

    /// A job is to be tried again, or elsewhere, after a pause.
    pub(super) fn put_back(&self, mut job: Job, after: Duration) {
        // Another attempt starts from the beginning.
        job.on_the_way = None;
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.active -= 1;
        inner.waiting += 1;
        if after.is_zero() {
            let lane = self.lane(inner, &job);
            inner.lanes[lane].jobs.push_front(job);
        } else {
            inner.numbers += 1;
            let delayed = Delayed { due: Instant::now() + after, number: inner.numbers, job };
            inner.delayed.push(Reverse(delayed));
        }
        drop(guard);
        self.idle_workers.notify_one();
    }

    /// An origin asked for a pause. Answers how long it lasts from now on.
    pub(super) fn hold(&self, lane: usize, wait: Duration) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.lanes[lane].hold(now, wait);
        inner.lanes[lane].limit.objected(now);
    }

    /// An origin objected to so many requests without asking for a pause.
    pub(super) fn objected(&self, lane: usize) {
        self.lock().lanes[lane].objected(Instant::now());
    }

    /// The name of a lane's origin.
    pub(super) fn origin(&self, lane: usize) -> String {
        self.lock().lanes[lane].origin.to_string()
    }

    pub(super) fn origin_of(&self, lane: usize) -> Origin {
        self.lock().lanes[lane].origin.clone()
    }

    fn lane(&self, inner: &mut Inner<'a>, job: &Job) -> usize {
        self.lane_of(inner, &job.target.origin, job)
    }

    fn lane_of(&self, inner: &mut Inner<'a>, origin: &Origin, job: &Job) -> usize {
        let Terms { http, dialer } = (self.settings)(job);
        let key = (origin.clone(), dialer);
        if let Some(&lane) = inner.by_origin.get(&key) {
            // Sources that share an origin are bound by the strictest of them.
            inner.lanes[lane].narrow(http.connections_per_host, spacing(http));
            return lane;
        }
        let limit = Limit::new(http.connections_per_host, inner.connections);
        inner.lanes.push(Lane::new(origin.clone(), limit, spacing(http)));
        let lane = inner.lanes.len() - 1;
        inner.by_origin.insert(key, lane);
        lane
    }

    fn lock(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places for Dispatch<'_> {
    fn leave(&self, slot: &mut Slot<'_>) {
        let mut inner = self.lock();
        inner.in_use -= 1;
        let lane = &mut inner.lanes[slot.lane];
        lane.in_use -= 1;
        lane.trying &= !slot.trying;
        lane.serving -= usize::from(slot.served);
        if let Some(connection) = slot.connection.take()
            && !connection.is_shared()
            && lane.connections() < lane.limit.get()
        {
            lane.idle.push((connection, Instant::now()));
        }
        // Who gives a place back asks for the next job at once, or wakes somebody who does.
    }
}

/// The time between two requests to one origin.
fn spacing(http: &Http) -> Option<Duration> {
    http.requests_per_second.map(|rate| Duration::from_secs_f64(1.0 / rate))
}

fn earlier(soonest: Option<Instant>, other: Instant) -> Instant {
    soonest.map_or(other, |soonest| soonest.min(other))
}

#[cfg(test)]
mod tests;
