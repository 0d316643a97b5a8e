//! What was learned of origins whose lanes were forgotten: that they are down, fail, or object.

use std::collections::{BTreeMap, HashMap};

use crate::http::Origin;
use crate::transfer::lane::Remembered;

/// Beyond this number of origins, what was learned first is forgotten, so that memory stays bounded.
const MOST: usize = 16_384;

/// An origin and the number of the dialer that reaches it.
type Way = (usize, Origin);

#[derive(Default)]
pub(super) struct Memory {
    /// What was learned of each, and its number in `order`.
    origins: HashMap<Way, (u64, Remembered)>,
    /// In the order in which they were learned.
    order: BTreeMap<u64, Way>,
    numbers: u64,
}

impl Memory {
    pub(super) fn keep(&mut self, way: Way, remembered: Remembered) {
        self.recall(&way);
        while MOST <= self.order.len()
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.origins.remove(&oldest);
        }
        self.numbers += 1;
        self.order.insert(self.numbers, way.clone());
        self.origins.insert(way, (self.numbers, remembered));
    }

    pub(super) fn recall(&mut self, way: &Way) -> Option<Remembered> {
        let (number, remembered) = self.origins.remove(way)?;
        self.order.remove(&number);
        Some(remembered)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::http::Target;
    use crate::manifest::PerHost;
    use crate::transfer::lane::Lane;
    use crate::transfer::limit::Limit;

    /// The way to an origin, and an objection of it.
    fn objected(number: usize) -> (Way, Remembered) {
        let origin = Target::parse(&format!("http://h{number}/")).unwrap().origin;
        let limit = Limit::new(PerHost::Fixed(4), 4);
        let mut lane = Lane::new(origin.clone(), limit, Some(Duration::ZERO));
        lane.objected(Instant::now());
        ((0, origin), lane.remembered().expect("it objected"))
    }

    #[test]
    fn origins_that_come_again_and_again_push_no_other_out() {
        let mut memory = Memory::default();
        let (other, remembered) = objected(1);
        memory.keep(other.clone(), remembered);
        for _ in 0..2 * MOST {
            let (again, remembered) = objected(0);
            memory.keep(again.clone(), remembered);
            assert!(memory.recall(&again).is_some());
        }
        assert!(memory.recall(&other).is_some());
    }

    #[test]
    fn what_was_learned_last_of_an_origin_is_kept() {
        let mut memory = Memory::default();
        let (first, remembered) = objected(0);
        memory.keep(first.clone(), remembered);
        for number in 1..MOST {
            let (way, remembered) = objected(number);
            memory.keep(way, remembered);
        }
        let remembered = memory.recall(&first).expect("there is room for it");
        memory.keep(first.clone(), remembered);
        let (way, remembered) = objected(MOST);
        memory.keep(way, remembered);
        assert!(memory.recall(&first).is_some(), "others were learned before");
    }
}
