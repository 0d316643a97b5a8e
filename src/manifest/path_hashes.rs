//! A compact set of all paths that a manifest declares.

use crate::digest::{Algorithms, Digest, Hasher};
use crate::manifest::hash_index::HashIndex;

/// The sorted hashes of all paths that a manifest declares, 16 bytes each.
#[derive(Clone, Debug)]
pub struct PathHashes {
    hashes: Vec<u128>,
    index: HashIndex,
}

impl PathHashes {
    /// `hashes` must be sorted.
    pub(crate) fn new(hashes: Vec<u128>) -> Self {
        let index = HashIndex::new(hashes.len(), hashes.iter().map(|&hash| first_half(hash)));
        Self { hashes, index }
    }

    /// Whether the path with that hash is declared.
    #[must_use]
    pub fn contains(&self, hash: u128) -> bool {
        self.rank(hash).is_some()
    }

    /// The position of a path's hash in the sorted list.
    pub(crate) fn rank(&self, hash: u128) -> Option<usize> {
        let part = self.index.of(first_half(hash));
        let first = part.start;
        self.hashes[part].binary_search(&hash).ok().map(|place| first + place)
    }

    /// The first halves of all hashes, in order.
    pub(crate) fn halves(&self) -> impl ExactSizeIterator<Item = u64> {
        self.hashes.iter().map(|&hash| first_half(hash))
    }

    /// Whether a path whose hash has that first half is declared.
    pub(crate) fn has_half(&self, half: u64) -> bool {
        self.hashes[self.index.of(half)]
            .binary_search_by_key(&half, |&hash| first_half(hash))
            .is_ok()
    }

    /// A digest of all of them, which tells whether two manifests declare the same paths.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(Algorithms::default());
        let mut bytes = Vec::with_capacity(16 * 4096);
        for hashes in self.hashes.chunks(4096) {
            bytes.clear();
            bytes.extend(hashes.iter().flat_map(|hash| hash.to_be_bytes()));
            hasher.update(&bytes);
        }
        hasher.finish().sha256()
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The half of a path's hash that is enough to tell paths apart where an error does no harm.
pub(crate) fn first_half(hash: u128) -> u64 {
    (hash >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rel_path::path_hash;

    #[test]
    fn declared_hashes_have_their_rank_and_others_have_none() {
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
