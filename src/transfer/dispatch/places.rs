//! Places for jobs in hand: at the next origin of a redirect, or for a helper.

use crate::http::Origin;
use crate::transfer::dispatch::Dispatch;
use crate::transfer::job::Job;
use crate::transfer::lane::{Condition, Health, Lane};
use crate::transfer::slot::{LaneId, Slot};

/// A further place for a job in hand.
#[derive(Debug)]
pub(in crate::transfer) enum Spare<'a> {
    Place(Slot<'a>),
    /// All places are in use, other jobs wait for them, or a pause has to end.
    Later,
    /// The origin is down, or one request at a time probes it.
    NotUp,
}

impl Dispatch<'_> {
    /// Moves an attempt to the origin that a redirect leads to: gives its place back and takes one
    /// there. None if there is no place at once; then the job has to wait.
    pub(in crate::transfer) fn go_on(
        &self,
        slot: Slot<'_>,
        origin: &Origin,
        job: &Job,
    ) -> Option<Slot<'_>> {
        let from = slot.lane;
        // Before the next place is taken, which may be at the same origin.
        drop(slot);
        let place = self.place(origin, job);
        if place.is_none() {
            let now = self.clock.now();
            let mut inner = self.lock();
            let next = self.lane_of(&mut inner, origin, job, now);
            if let Some(lane) = inner.lanes.get_mut(from) {
                lane.leads_to = Some(next).filter(|&next| next != from);
            }
            inner.lanes.touch(from, now);
        }
        self.wake();
        place
    }

    /// A place at an origin for a job in hand, if there is one at once. The caller holds no other
    /// place.
    pub(in crate::transfer) fn place(&self, origin: &Origin, job: &Job) -> Option<Slot<'_>> {
        self.place_if(origin, job, |lane| {
            lane.arrivals.is_empty() && !matches!(lane.health, Health::Down(_))
        })
    }

    /// A further place for a job in hand, if no other job wants it.
    pub(in crate::transfer) fn spare(&self, origin: &Origin, job: &Job) -> Spare<'_> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let id = self.lane_of(&mut inner, origin, job, now);
        let Some(lane) = inner.lanes.get(id) else { return Spare::Later };
        match lane.condition(now) {
            Condition::Down | Condition::Probing => Spare::NotUp,
            Condition::Up if lane.is_idle() && inner.lanes.has_place(id, now) => {
                Spare::Place(self.slot(&mut inner, id, now))
            }
            Condition::Up | Condition::Held => Spare::Later,
        }
    }

    /// Lets a spare place serve for one more request to `origin`, if no other job wants it by now. A
    /// place at another origin, where a redirect led, is given back.
    pub(in crate::transfer) fn spare_again<'s>(
        &self,
        slot: Slot<'s>,
        origin: &Origin,
    ) -> Option<Slot<'s>> {
        let now = self.clock.now();
        let inner = self.lock();
        let lane = inner.lanes.get(slot.lane).filter(|lane| lane.origin == *origin);
        let again = lane.is_some_and(|lane| lane.is_idle() && lane.lets_go_on(now));
        let again = again && !inner.lanes.are_wanted();
        // Giving a place back takes the lock, too.
        drop(inner);
        if again {
            return Some(slot);
        }
        drop(slot);
        self.wake();
        None
    }

    /// Lets the place of a job serve for one more request to its origin, unless that is not up or
    /// lowered the number of places. If a redirect led elsewhere, another place is taken.
    pub(in crate::transfer) fn own_again<'s>(
        &'s self,
        slot: Slot<'s>,
        job: &Job,
    ) -> Option<Slot<'s>> {
        let now = self.clock.now();
        let origin = &job.target.origin;
        let (is_home, again) = {
            let inner = self.lock();
            let lane = inner.lanes.get(slot.lane);
            let is_home = lane.is_some_and(|lane| lane.origin == *origin);
            (is_home, lane.is_some_and(|lane| lane.lets_go_on(now)))
        };
        if is_home {
            return again.then_some(slot);
        }
        drop(slot);
        let place = self.place(origin, job);
        self.wake();
        place
    }

    /// Whether a lane is that of an origin. A place serves requests for its own origin alone.
    pub(in crate::transfer) fn is_of(&self, lane: LaneId, origin: &Origin) -> bool {
        self.lock().lanes.get(lane).is_none_or(|lane| lane.origin == *origin)
    }

    fn place_if(
        &self,
        origin: &Origin,
        job: &Job,
        is_free: impl FnOnce(&Lane) -> bool,
    ) -> Option<Slot<'_>> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let lane = self.lane_of(&mut inner, origin, job, now);
        let is_free =
            inner.lanes.get(lane).is_some_and(is_free) && inner.lanes.has_place(lane, now);
        is_free.then(|| self.slot(&mut inner, lane, now))
    }
}
