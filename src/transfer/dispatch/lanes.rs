//! All lanes of a run, and an order among those that have something to do.
//!
//! No operation looks at all lanes, so that a run with very many origins takes time linear in their
//! number. A lane whose job may start stands in a queue, one that waits for a point in time in a
//! heap, and one that waits for an event of its own in neither: every change that may end such a
//! wait is followed by [`Lanes::touch`]. Entries of queue and heap are hints, checked when they are
//! used.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::memory::Memory;
use crate::failure::Failure;
use crate::http::{Connection, Origin};
use crate::transfer::job::Job;
use crate::transfer::lane::{Health, Idle, Lane, Readiness};
use crate::transfer::shared::Shared;
use crate::transfer::slot::LaneId;

/// An idle connection is closed after this time: most servers close theirs a little later.
const IDLE: Duration = Duration::from_secs(20);
/// Beyond this number, lanes without work are forgotten, so that memory stays bounded. Only what
/// speaks against their origins is kept.
pub(super) const MOST_LANES: usize = 4096;
/// Beyond this number of transfers that wait for an origin that pauses, the origins that lead there
/// wait, too.
const MOST_PAUSED: usize = 2048;
/// A probe may take a whole timeout, so up to this many lanes that are to be probed let others go
/// first.
const MOST_PASSED_OVER: usize = 8;
/// How many lanes are examined for each further one, to forget some.
const EXAMINED: usize = 4;

/// All lanes of a run.
pub(super) struct Lanes {
    slab: Vec<Entry>,
    /// Numbers of forgotten lanes.
    free: Vec<usize>,
    /// By dialer and origin. Connections that another dialer opened go through another proxy or
    /// trust other certificates.
    by_origin: Vec<HashMap<Origin, LaneId>>,
    /// Lanes whose next job may start, in turns.
    ready: VecDeque<LaneId>,
    /// Lanes that are down and have jobs.
    down: VecDeque<LaneId>,
    /// Lanes whose next job may start at that time.
    timed: BinaryHeap<Reverse<(Instant, LaneId)>>,
    /// Every lane, in the order in which they are examined to be forgotten.
    ring: VecDeque<LaneId>,
    /// What speaks against the origins of forgotten lanes.
    memory: Memory,
    /// The lanes of idle connections, by the number of the connection: the oldest first.
    idle: BTreeMap<u64, LaneId>,
    numbers: u64,
    /// Places taken at all origins.
    in_use: usize,
    /// Bound of connections, used and idle, at all origins.
    connections: usize,
}

struct Entry {
    lane: Lane,
    dialer: usize,
    generation: u32,
    is_in_ready: bool,
    is_in_down: bool,
    /// Its valid entry in `timed`.
    timer: Option<Instant>,
    /// The lane among whose feeders it stands.
    feeds: Option<LaneId>,
    /// Used since it was examined last.
    recent: bool,
}

/// What the next job of a lane waits for.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    Down,
    Later(Instant),
    /// There is no job, or it waits for an event.
    Blocked,
}

impl Lanes {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            slab: Vec::new(),
            free: Vec::new(),
            by_origin: Vec::new(),
            ready: VecDeque::new(),
            down: VecDeque::new(),
            timed: BinaryHeap::new(),
            ring: VecDeque::new(),
            memory: Memory::default(),
            idle: BTreeMap::new(),
            numbers: 0,
            in_use: 0,
            connections,
        }
    }

    /// The bound of connections in all.
    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    pub(super) fn find(&self, origin: &Origin, dialer: usize) -> Option<LaneId> {
        self.by_origin.get(dialer)?.get(origin).copied()
    }

    /// Adds a lane.
    pub(super) fn add(&mut self, mut lane: Lane, dialer: usize, now: Instant) -> LaneId {
        if MOST_LANES <= self.slab.len() - self.free.len() {
            self.forget_some(now);
        }
        let origin = lane.origin.clone();
        if let Some(remembered) = self.memory.recall(&(dialer, origin.clone())) {
            lane.restore(remembered);
        }
        let mut entry = Entry {
            lane,
            dialer,
            generation: 0,
            is_in_ready: false,
            is_in_down: false,
            timer: None,
            feeds: None,
            recent: true,
        };
        let id = match self.free.pop() {
            Some(number) => {
                entry.generation = self.slab[number].generation;
                let generation = entry.generation;
                self.slab[number] = entry;
                LaneId { number, generation }
            }
            None => {
                self.slab.push(entry);
                LaneId { number: self.slab.len() - 1, generation: 0 }
            }
        };
        if self.by_origin.len() <= dialer {
            self.by_origin.resize_with(dialer + 1, HashMap::new);
        }
        self.by_origin[dialer].insert(origin, id);
        self.ring.push_back(id);
        id
    }

    /// A lane, unless it was forgotten.
    pub(super) fn get(&self, id: LaneId) -> Option<&Lane> {
        let entry = self.slab.get(id.number)?;
        (entry.generation == id.generation).then_some(&entry.lane)
    }

    pub(super) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.entry(id).map(|entry| &mut entry.lane)
    }

    fn entry(&mut self, id: LaneId) -> Option<&mut Entry> {
        let entry = self.slab.get_mut(id.number)?;
        (entry.generation == id.generation).then_some(entry)
    }

    /// Whether enough transfers that began at this origin wait for a place where it leads to. More
    /// of them would only let their redirect targets grow old, and such URLs often expire in
    /// minutes. If the next origin pauses, not all transfers may lead there, so they go on; those
    /// that do lead there wait.
    fn is_crowded(&self, lane: &Lane, now: Instant) -> bool {
        lane.leads_to.and_then(|next| self.get(next)).is_some_and(|next| {
            let most = if next.flows(now) { next.limit.get() } else { MOST_PAUSED };
            most <= next.arrivals.len()
        })
    }

    /// Whether a transfer of a new job may begin at an origin.
    pub(super) fn is_open(&self, id: LaneId, now: Instant) -> bool {
        self.get(id).is_some_and(|lane| !self.is_crowded(lane, now)) && self.has_place(id, now)
    }

    /// Whether a request may be sent to an origin.
    pub(super) fn has_place(&self, id: LaneId, now: Instant) -> bool {
        self.in_use < self.connections
            && self.get(id).is_some_and(|lane| lane.readiness(now) == Readiness::Ready)
    }

    /// Whether jobs wait for places that are in use, as far as the hints tell.
    pub(super) fn are_wanted(&self) -> bool {
        self.connections <= self.in_use && !self.ready.is_empty()
    }

    /// Updates what the next job of a lane waits for.
    pub(super) fn touch(&mut self, id: LaneId, now: Instant) {
        let standing = self.standing(id, now);
        let Some(entry) = self.entry(id) else { return };
        match standing {
            Standing::Ready => {
                if !std::mem::replace(&mut entry.is_in_ready, true) {
                    self.ready.push_back(id);
                }
            }
            Standing::Down => {
                if !std::mem::replace(&mut entry.is_in_down, true) {
                    self.down.push_back(id);
                }
            }
            Standing::Later(until) => {
                if entry.timer.is_none_or(|timer| until < timer) {
                    entry.timer = Some(until);
                    self.timed.push(Reverse((until, id)));
                }
            }
            Standing::Blocked => {}
        }
    }

    fn standing(&mut self, id: LaneId, now: Instant) -> Standing {
        let Some(lane) = self.get(id).filter(|lane| !lane.is_idle()) else {
            return Standing::Blocked;
        };
        if matches!(lane.health, Health::Down(_)) {
            return Standing::Down;
        }
        if lane.arrivals.is_empty() && self.is_crowded(lane, now) {
            self.await_room(id, lane.leads_to);
            return Standing::Blocked;
        }
        match lane.readiness(now) {
            Readiness::Ready => Standing::Ready,
            Readiness::Later(until) => Standing::Later(until),
            Readiness::Full => Standing::Blocked,
        }
    }

    /// Lets a lane wait until another one has fewer arrivals.
    fn await_room(&mut self, id: LaneId, next: Option<LaneId>) {
        let Some(entry) = self.entry(id).filter(|entry| entry.feeds != next) else { return };
        entry.feeds = next;
        if let Some(next) = next.and_then(|next| self.get_mut(next)) {
            next.feeders.push_back(id);
        }
    }

    /// Updates the lanes that wait until this one has fewer arrivals: as many as it has room for,
    /// so that each of its events takes constant time. A lane without arrivals and transfers has no
    /// more events, so it lets all of them go, and so does one that pauses.
    pub(super) fn let_in(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.get_mut(id).filter(|lane| !lane.feeders.is_empty()) else { return };
        let room = if lane.arrivals.is_empty() && lane.in_use == 0 || !lane.flows(now) {
            lane.feeders.len()
        } else {
            lane.limit.get().saturating_sub(lane.arrivals.len()).min(lane.feeders.len())
        };
        let let_in: Vec<_> = lane.feeders.drain(..room).collect();
        for feeder in let_in {
            if let Some(entry) = self.entry(feeder).filter(|entry| entry.feeds == Some(id)) {
                entry.feeds = None;
            }
            self.touch(feeder, now);
        }
    }

    /// A job of a lane that is down, and why that is.
    pub(super) fn next_lost(&mut self, now: Instant) -> Option<(Job, Failure)> {
        while let Some(id) = self.down.pop_front() {
            let Some(entry) = self.entry(id) else { continue };
            entry.is_in_down = false;
            let failure = match &entry.lane.health {
                Health::Down(failure) => Some(failure.clone()),
                _ => None,
            };
            let lost = failure.and_then(|failure| Some((entry.lane.pop()?, failure)));
            self.touch(id, now);
            self.let_in(id, now);
            if lost.is_some() {
                return lost;
            }
        }
        None
    }

    /// A lane with a job that waits and a place for it. The lanes take turns.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<LaneId> {
        while let Some(&Reverse((until, id))) = self.timed.peek()
            && until <= now
        {
            self.timed.pop();
            if let Some(entry) = self.entry(id).filter(|entry| entry.timer == Some(until)) {
                entry.timer = None;
                self.touch(id, now);
            }
        }
        if self.connections <= self.in_use {
            return None;
        }
        let mut passed_over = 0;
        while let Some(id) = self.ready.pop_front() {
            let Some(entry) = self.entry(id) else { continue };
            entry.is_in_ready = false;
            let probes = entry.lane.probes();
            if self.standing(id, now) != Standing::Ready {
                self.touch(id, now);
                continue;
            }
            if probes && passed_over < MOST_PASSED_OVER.min(self.ready.len()) {
                passed_over += 1;
                self.touch(id, now);
                continue;
            }
            return Some(id);
        }
        None
    }

    /// When a job that only waits for time may start.
    pub(super) fn next_time(&mut self) -> Option<Instant> {
        if self.connections <= self.in_use {
            return None;
        }
        while let Some(&Reverse((until, id))) = self.timed.peek() {
            if self.entry(id).is_some_and(|entry| entry.timer == Some(until)) {
                return Some(until);
            }
            self.timed.pop();
        }
        None
    }

    /// Whether a job may start now or at a known time, as far as the hints tell: then some worker
    /// has to look.
    pub(super) fn has_more(&self) -> bool {
        let has_places = self.in_use < self.connections;
        !self.down.is_empty() || has_places && !(self.ready.is_empty() && self.timed.is_empty())
    }

    /// Takes a place at an origin, with an idle connection if there is one. If a new connection
    /// will be needed, the oldest idle ones of other origins make room for it.
    pub(super) fn enter(&mut self, id: LaneId, now: Instant) -> Option<Connection> {
        while let Some((&number, &oldest)) = self.idle.first_key_value()
            && self.idle_since(oldest, number).is_none_or(|since| IDLE <= now.duration_since(since))
        {
            self.close(oldest, number);
        }
        self.in_use += 1;
        let entry = self.entry(id)?;
        entry.recent = true;
        let idle = entry.lane.enter(now);
        self.touch(id, now);
        self.let_in(id, now);
        if let Some(Idle { connection, number, .. }) = idle {
            self.idle.remove(&number);
            return Some(connection);
        }
        while self.connections < self.in_use + self.idle.len()
            && let Some((&number, &oldest)) = self.idle.first_key_value()
        {
            self.close(oldest, number);
        }
        None
    }

    /// Gives a place at an origin back, with a connection that can be used again.
    pub(super) fn leave(&mut self, id: LaneId, connection: Option<Connection>, now: Instant) {
        self.in_use -= 1;
        let number = self.numbers;
        let Some(lane) = self.get_mut(id) else { return };
        lane.in_use -= 1;
        if let Some(connection) = connection
            && !connection.is_shared()
            && lane.connections() < lane.limit.get()
        {
            lane.idle.push(Idle { connection, number, since: now });
            self.numbers += 1;
            self.idle.insert(number, id);
        }
        self.touch(id, now);
        self.let_in(id, now);
    }

    /// Closes idle connections of an origin that exceed the number that it lets in.
    pub(super) fn close_excess(&mut self, id: LaneId) {
        while let Some(lane) = self.get_mut(id)
            && lane.limit.get() < lane.connections()
            && !lane.idle.is_empty()
        {
            let idle = lane.idle.remove(0);
            self.idle.remove(&idle.number);
        }
    }

    /// Closes the idle connections of an origin.
    pub(super) fn close_idle(&mut self, id: LaneId) {
        let idle = self.get_mut(id).map(|lane| std::mem::take(&mut lane.idle));
        for idle in idle.into_iter().flatten() {
            self.idle.remove(&idle.number);
        }
    }

    fn idle_since(&self, id: LaneId, number: u64) -> Option<Instant> {
        let idle = self.get(id)?.idle.iter().find(|idle| idle.number == number)?;
        Some(idle.since)
    }

    fn close(&mut self, id: LaneId, number: u64) {
        self.idle.remove(&number);
        if let Some(lane) = self.get_mut(id) {
            lane.idle.retain(|idle| idle.number != number);
        }
    }

    /// Forgets some of the lanes without work that were not used for long.
    fn forget_some(&mut self, now: Instant) {
        for _ in 0..EXAMINED {
            let Some(id) = self.ring.pop_front() else { return };
            let Some(entry) = self.entry(id) else { continue };
            if std::mem::take(&mut entry.recent) || !entry.lane.is_forgettable(now) {
                self.ring.push_back(id);
                continue;
            }
            entry.generation += 1;
            let (origin, dialer) = (entry.lane.origin.clone(), entry.dialer);
            if let Some(remembered) = entry.lane.remembered() {
                self.memory.keep((dialer, origin.clone()), remembered);
            }
            self.close_all(id.number);
            self.by_origin[dialer].remove(&origin);
            self.free.push(id.number);
        }
    }

    /// Drops what a forgotten lane holds open.
    fn close_all(&mut self, number: usize) {
        let lane = &mut self.slab[number].lane;
        lane.shared = Shared::default();
        for idle in std::mem::take(&mut lane.idle) {
            self.idle.remove(&idle.number);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether a job may start now, and when the first one may that waits for time, by a look at
    /// every lane. A lane that waits for room in another one may wait for a further event of that
    /// one.
    #[cfg(test)]
    pub(super) fn scan(&self, now: Instant) -> (bool, Option<Instant>) {
        let has_place = self.in_use < self.connections;
        let (mut is_ready, mut soonest) = (false, None);
        for Entry { lane, feeds, .. } in &self.slab {
            let next = feeds.and_then(|next| self.get(next));
            let waits = next.is_some_and(|next| !next.arrivals.is_empty() || 0 < next.in_use);
            if lane.is_idle() || lane.arrivals.is_empty() && (waits || self.is_crowded(lane, now)) {
                continue;
            }
            match lane.readiness(now) {
                _ if matches!(lane.health, Health::Down(_)) => is_ready = true,
                Readiness::Ready => is_ready |= has_place,
                Readiness::Later(until) if has_place => {
                    soonest = Some(soonest.map_or(until, |soonest: Instant| soonest.min(until)));
                }
                Readiness::Later(_) | Readiness::Full => {}
            }
        }
        (is_ready, soonest)
    }
}
