//! An index over sorted hashes: it narrows a binary search to a few items, so that a lookup has one
//! or two cache misses instead of one for each step.

use std::ops::Range;

/// For each value of the first bits: where the hashes with that prefix begin in a sorted list.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashIndex {
    starts: Vec<u32>,
    /// The length of the prefix in bits; 0 if there are too many hashes for `u32` positions.
    bits: u32,
    count: usize,
}

impl HashIndex {
    /// Builds the index of `count` hashes from the first 64 bits of each. Their order is
    /// irrelevant.
    pub(crate) fn new(count: usize, hashes: impl Iterator<Item = u64>) -> Self {
        if u32::try_from(count).is_err() {
            return Self { count, ..Self::default() };
        }
        // Four to eight hashes for each prefix on average.
        let bits = count.max(8).ilog2() - 2;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for hash in hashes {
            starts[part(hash, bits) + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { starts, bits, count }
    }

    /// The range of positions that holds the hash, if the list holds it.
    pub(crate) fn of(&self, hash: u64) -> Range<usize> {
        if self.bits == 0 {
            return 0..self.count;
        }
        let part = part(hash, self.bits);
        self.starts[part] as usize..self.starts[part + 1] as usize
    }
}

fn part(hash: u64, bits: u32) -> usize {
    usize::try_from(hash >> (u64::BITS - bits)).unwrap_or(0)
}
