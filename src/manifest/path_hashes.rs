//! The hashes of all paths that a manifest declares.

/// The hashes of all paths that a manifest declares, in order, 16 bytes each.
#[derive(Clone, Debug)]
pub struct PathHashes {
    hashes: Vec<u128>,
    /// Where hashes with each of the first bits begin: a search through all of them would wait for
    /// memory at every step.
    starts: Vec<u32>,
    /// How many bits those are.
    bits: u32,
}

impl PathHashes {
    /// Those, which are in order.
    pub(crate) fn new(hashes: Vec<u128>) -> Self {
        // Four to eight in each part, as far as a part can be numbered.
        let bits =
            if u32::try_from(hashes.len()).is_ok() { hashes.len().max(8).ilog2() - 2 } else { 0 };
        let mut starts = vec![0u32; (1 << bits) + 1];
        for &hash in &hashes {
            let start = &mut starts[part(hash, bits) + 1];
            *start = start.wrapping_add(1);
        }
        let mut sum = 0u32;
        for start in &mut starts {
            sum = sum.wrapping_add(*start);
            *start = sum;
        }
        Self { hashes, starts, bits }
    }

    /// Whether the path with that hash is declared.
    #[must_use]
    pub fn contains(&self, hash: u128) -> bool {
        self.rank(hash).is_some()
    }

    /// The place of a path's hash among all of them.
    pub(crate) fn rank(&self, hash: u128) -> Option<usize> {
        let part = part(hash, self.bits);
        let (first, end) = if self.bits == 0 {
            (0, self.hashes.len())
        } else {
            (self.starts[part] as usize, self.starts[part + 1] as usize)
        };
        self.hashes[first..end].binary_search(&hash).ok().map(|place| first + place)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

fn part(hash: u128, bits: u32) -> usize {
    // Shifting by all bits is no shift at all.
    usize::try_from(hash.checked_shr(u128::BITS - bits).unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rel_path::path_hash;

    #[test]
    fn each_has_its_rank() {
        for count in [0, 1, 2, 7, 8, 9, 100, 5000] {
            let mut hashes: Vec<_> = (0..count).map(|n: u32| path_hash(&n.to_string())).collect();
            hashes.extend([u128::MAX, 0]);
            hashes.sort_unstable();
            let all = PathHashes::new(hashes.clone());
            for (rank, &hash) in hashes.iter().enumerate() {
                assert_eq!(all.rank(hash), Some(rank), "{count}");
            }
            for n in count..2 * count + 10 {
                assert!(!all.contains(path_hash(&n.to_string())));
            }
        }
    }
}
