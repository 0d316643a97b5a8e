//! Finding a hash among many that are in order, without a search through all of them, which would wait for
//! memory at every step.

use std::ops::Range;

/// Where hashes with each of the first bits begin, in a list that is in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    starts: Vec<u32>,
    /// How many bits those are; none where a part could not be numbered.
    bits: u32,
    count: usize,
}

impl Parts {
    /// Those of so many hashes, of which these are the first 64 bits.
    pub(crate) fn new(count: usize, hashes: impl Iterator<Item = u64>) -> Self {
        if u32::try_from(count).is_err() {
            return Self { count, ..Self::default() };
        }
        // Four to eight in each part.
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

    /// Where a hash is, if it is there.
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
