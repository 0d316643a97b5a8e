//! What is known of the declared paths: 64 bytes for each of which anything is known.
//!
//! A row is found by the rank of its path's hash. Who reads the state and who walks over the directory fill it at the
//! same time, in any order.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::digest::Digest;

/// Rows are made in so large pieces, once one of them is wanted.
const PIECE: usize = 512;

/// The state tells of it.
const KNOWN: u8 = 1;
/// A regular file is there.
const FOUND: u8 = 2;
/// It was noted so soon after its last change that its stat proves nothing.
const RACY: u8 = 4;

/// Rows by rank.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<OnceLock<Box<[Row]>>>);

/// What is known of one path. It is complete when all who fill it are done.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The stamp that the state noted, and the one that was seen, one over the other: nothing is left where they
    /// are the same.
    stamp: AtomicU64,
    size: AtomicU64,
    url: AtomicU64,
    digest: [AtomicU64; 4],
    /// Seconds since 1970.
    checked: AtomicU32,
    flags: AtomicU8,
}

/// What the state tells of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) stamp: u64,
    /// Bytes. What the walk saw stands above it.
    pub(super) size: u64,
    pub(super) url: u64,
    pub(super) checked: i64,
    pub(super) digest: Digest,
    pub(super) racy: bool,
}

impl Rows {
    /// Rows for so many paths.
    pub(super) fn new(count: usize) -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(count.div_ceil(PIECE)).collect())
    }

    /// The row of that rank, to be filled.
    pub(super) fn make(&self, rank: usize) -> &Row {
        let make = || std::iter::repeat_with(Row::default).take(PIECE).collect();
        &self.0[rank / PIECE].get_or_init(make)[rank % PIECE]
    }

    /// The row of that rank, if anything was noted near it.
    pub(super) fn get(&self, rank: usize) -> Option<&Row> {
        Some(&self.0.get(rank / PIECE)?.get()?[rank % PIECE])
    }
}

impl Row {
    /// The state tells this of it. Where nobody walks, its size is the only one.
    pub(super) fn note(&self, noted: &Noted, alone: bool) {
        if alone {
            self.size.store(noted.size, Ordering::Relaxed);
        }
        self.stamp.fetch_xor(noted.stamp, Ordering::Relaxed);
        self.url.store(noted.url, Ordering::Relaxed);
        let checked = u32::try_from(noted.checked.max(0)).unwrap_or(u32::MAX);
        self.checked.store(checked, Ordering::Relaxed);
        for (slot, part) in self.digest.iter().zip(noted.digest.as_bytes().chunks_exact(8)) {
            let part = part.try_into().map_or(0, u64::from_ne_bytes);
            slot.store(part, Ordering::Relaxed);
        }
        let racy = if noted.racy { RACY } else { 0 };
        self.flags.fetch_or(KNOWN | racy, Ordering::Relaxed);
    }

    /// A regular file was seen there.
    pub(super) fn see(&self, stamp: u64, size: u64) {
        self.stamp.fetch_xor(stamp, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
        self.flags.fetch_or(FOUND, Ordering::Relaxed);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// The bytes of the file that was seen.
    pub(super) fn found(&self) -> Option<u64> {
        self.has(FOUND).then(|| self.size.load(Ordering::Relaxed))
    }

    /// What the state tells. Its stamp is right as long as nothing was seen.
    pub(super) fn noted(&self) -> Option<Noted> {
        if !self.has(KNOWN) {
            return None;
        }
        let mut digest = [0; 32];
        for (part, slot) in digest.chunks_exact_mut(8).zip(&self.digest) {
            part.copy_from_slice(&slot.load(Ordering::Relaxed).to_ne_bytes());
        }
        Some(Noted {
            stamp: self.stamp.load(Ordering::Relaxed),
            size: self.size.load(Ordering::Relaxed),
            url: self.url.load(Ordering::Relaxed),
            checked: i64::from(self.checked.load(Ordering::Relaxed)),
            digest: Digest::from_bytes(digest),
            racy: self.has(RACY),
        })
    }

    /// Whether what was seen looks as it did when it was noted.
    pub(super) fn matches(&self) -> bool {
        self.has(KNOWN) && self.has(FOUND) && self.stamp.load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_64_bytes() {
        assert_eq!(size_of::<Row>(), 64);
    }

    #[test]
    fn the_order_in_which_it_is_filled_does_not_matter() {
        let digest = Digest::of(b"x");
        let noted = Noted { stamp: 7, size: 5, url: 8, checked: 9, digest, racy: true };
        let rows = Rows::new(2 * PIECE);
        rows.make(1).note(&noted, false);
        rows.make(1).see(7, 10);
        rows.make(PIECE).see(7, 10);
        rows.make(PIECE).note(&Noted { stamp: 6, ..noted }, false);
        let row = rows.get(1).unwrap();
        let read = row.noted().unwrap();
        assert!(row.matches() && row.found() == Some(10));
        assert!((read.url, read.checked, read.digest, read.racy) == (8, 9, digest, true));
        assert!(!rows.get(PIECE).unwrap().matches());
        assert!(rows.get(2).unwrap().noted().is_none() && rows.get(2).unwrap().found().is_none());
        assert!(Rows::new(10_000).get(9000).is_none());
    }
}
