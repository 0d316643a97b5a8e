//! What was learned of origins whose lanes were forgotten: that they are down, fail, or object.

use std::collections::{HashMap, VecDeque};

use crate::http::Origin;
use crate::transfer::lane::Learned;

/// Beyond this number of origins, what was learned first is forgotten, so that memory stays bounded.
const MOST: usize = 16_384;

/// An origin and the number of the dialer that reaches it.
type Way = (usize, Origin);

#[derive(Default)]
pub(super) struct Memory {
    learned: HashMap<Way, Learned>,
    /// In the order in which they were learned. An origin that was recalled since has no entry in
    /// `learned`.
    order: VecDeque<Way>,
}

impl Memory {
    pub(super) fn keep(&mut self, way: Way, learned: Learned) {
        while MOST <= self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.learned.remove(&oldest);
        }
        self.order.push_back(way.clone());
        self.learned.insert(way, learned);
    }

    pub(super) fn recall(&mut self, way: &Way) -> Option<Learned> {
        self.learned.remove(way)
    }
}
