//! What was learned of origins whose lanes were forgotten: that they are down, fail, or object.

use std::collections::{HashMap, VecDeque};

use crate::http::Origin;
use crate::transfer::lane::Remembered;

/// Beyond this number of origins, what was learned first is forgotten, so that memory stays bounded.
const MOST: usize = 16_384;

/// An origin and the number of the dialer that reaches it.
type Way = (usize, Origin);

#[derive(Default)]
pub(super) struct Memory {
    origins: HashMap<Way, Remembered>,
    /// In the order in which they were learned. An origin that was recalled since has no entry in
    /// `origins`.
    order: VecDeque<Way>,
}

impl Memory {
    pub(super) fn keep(&mut self, way: Way, remembered: Remembered) {
        while MOST <= self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.origins.remove(&oldest);
        }
        self.order.push_back(way.clone());
        self.origins.insert(way, remembered);
    }

    pub(super) fn recall(&mut self, way: &Way) -> Option<Remembered> {
        self.origins.remove(way)
    }
}
