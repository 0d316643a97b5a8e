//! A place at an origin: the right to one request at a time there.

use std::fmt;

use tokio::sync::SemaphorePermit;

use crate::http::Connection;

/// The number of a lane. A lane that was forgotten leaves its number to another one, of a later
/// generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId {
    pub(super) number: usize,
    pub(super) generation: u32,
}

/// Takes places back.
pub(super) trait Places {
    fn leave(&self, slot: &mut Slot<'_>);
}

/// A place at an origin. It is given back when it is dropped, with the connection that it holds.
pub(super) struct Slot<'r> {
    pub(super) places: &'r dyn Places,
    pub(super) lane: LaneId,
    pub(super) connection: Option<Connection>,
    /// Its part in the number of transfers that its thread may have in progress.
    pub(super) share: Option<SemaphorePermit<'r>>,
    /// A request in it probes the origin.
    pub(super) is_probe: bool,
    /// A response came.
    pub(super) served: bool,
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.places.leave(self);
    }
}
