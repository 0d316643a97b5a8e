//! What is known of the declared paths: 64 bytes for each path with a record or a file.
//!
//! A row is found by the rank of its path's hash. The thread that reads the state and the threads
//! that walk fill the rows at the same time, in any order.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::url_mark::UrlMark;
use crate::dest::state::Fingerprint;
use crate::digest::Digest;

/// Rows are allocated in pieces of this size, when the first row of a piece is used.
const PIECE: usize = 512;

/// The state has a record.
const KNOWN: u8 = 1;
/// A regular file is there.
const FOUND: u8 = 2;
/// The record is racy: its stat proves nothing.
const RACY: u8 = 4;
/// natsync put the recorded file in place for the manifest of this run.
const OWN: u8 = 8;
/// Two bits with the kind of the URL's mark.
const MARK: u8 = 16;

/// Rows by rank.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<OnceLock<Box<[Row]>>>);

/// What is known of one path. It is complete when the scan has ended.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// XOR of the recorded and the observed stamp; zero means that the file is unchanged.
    stamp: AtomicU64,
    size: AtomicU64,
    url: AtomicU64,
    digest: [AtomicU64; 4],
    /// Seconds since 1970; 0 where upstream was never asked.
    checked: AtomicU32,
    flags: AtomicU8,
}

/// What the state records of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    /// Its size is replaced by the one that the walk saw.
    pub(super) fingerprint: Fingerprint,
    /// The declared URL.
    pub(super) url: UrlMark,
    /// In whole seconds since 1970; none if upstream was never asked.
    pub(super) checked: Option<i64>,
    /// natsync put the file in place for the manifest of this run.
    pub(super) own: bool,
}

impl Rows {
    pub(super) fn new(count: usize) -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(count.div_ceil(PIECE)).collect())
    }

    /// The row of that rank, allocated if needed.
    pub(super) fn make(&self, rank: usize) -> &Row {
        let make = || std::iter::repeat_with(Row::default).take(PIECE).collect();
        &self.0[rank / PIECE].get_or_init(make)[rank % PIECE]
    }

    /// The number of files on disk that natsync put in place for the manifest of this run.
    pub(super) fn count_own(&self) -> u64 {
        let pieces = self.0.iter().filter_map(OnceLock::get);
        pieces.flatten().filter(|row| row.has(OWN) && row.has(FOUND)).count() as u64
    }

    /// The row of that rank, if its piece is allocated.
    pub(super) fn get(&self, rank: usize) -> Option<&Row> {
        Some(&self.0.get(rank / PIECE)?.get()?[rank % PIECE])
    }
}

impl Row {
    /// Adds the record of the state. Without a walk (`alone`), its size is used.
    pub(super) fn note(&self, noted: &Noted, alone: bool) {
        let Fingerprint { size, stamp, racy, sha256 } = noted.fingerprint;
        if alone {
            self.size.store(size, Ordering::Relaxed);
        }
        self.stamp.fetch_xor(stamp, Ordering::Relaxed);
        let (mark, url) = noted.url.to_parts();
        self.url.store(url, Ordering::Relaxed);
        let checked = noted.checked.map_or(0, |checked| checked.max(0));
        let checked = u32::try_from(checked).unwrap_or(u32::MAX);
        self.checked.store(checked, Ordering::Relaxed);
        for (slot, part) in self.digest.iter().zip(sha256.as_bytes().chunks_exact(8)) {
            let part = part.try_into().map_or(0, u64::from_ne_bytes);
            slot.store(part, Ordering::Relaxed);
        }
        let racy = if racy { RACY } else { 0 };
        let own = if noted.own { OWN } else { 0 };
        self.flags.fetch_or(KNOWN | racy | own | (mark * MARK), Ordering::Relaxed);
    }

    /// Adds a regular file that the walk saw.
    pub(super) fn see(&self, stamp: u64, size: u64) {
        self.stamp.fetch_xor(stamp, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
        self.flags.fetch_or(FOUND, Ordering::Relaxed);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// The size of the file that the walk saw.
    pub(super) fn found(&self) -> Option<u64> {
        self.has(FOUND).then(|| self.size.load(Ordering::Relaxed))
    }

    /// The record. Its stamp is right only if the walk saw no file.
    pub(super) fn noted(&self) -> Option<Noted> {
        if !self.has(KNOWN) {
            return None;
        }
        let mut digest = [0; 32];
        for (part, slot) in digest.chunks_exact_mut(8).zip(&self.digest) {
            part.copy_from_slice(&slot.load(Ordering::Relaxed).to_ne_bytes());
        }
        let checked = self.checked.load(Ordering::Relaxed);
        Some(Noted {
            fingerprint: Fingerprint {
                size: self.size.load(Ordering::Relaxed),
                stamp: self.stamp.load(Ordering::Relaxed),
                racy: self.has(RACY),
                sha256: Digest::from_bytes(digest),
            },
            url: UrlMark::from_parts(
                self.flags.load(Ordering::Relaxed) / MARK,
                self.url.load(Ordering::Relaxed),
            ),
            checked: (checked != 0).then_some(checked.into()),
            own: self.has(OWN),
        })
    }

    /// Whether the observed stamp is the recorded one.
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
        let at = Some(9);
        let fingerprint = Fingerprint { size: 5, stamp: 7, racy: true, sha256: digest };
        let noted = Noted { fingerprint, url: UrlMark::Keyed(8), checked: at, own: true };
        let rows = Rows::new(2 * PIECE);
        rows.make(1).note(&noted, false);
        rows.make(1).see(7, 10);
        rows.make(PIECE).see(7, 10);
        let other = Fingerprint { stamp: 6, ..fingerprint };
        rows.make(PIECE).note(&Noted { fingerprint: other, ..noted }, false);
        let row = rows.get(1).unwrap();
        let read = row.noted().unwrap();
        assert!(row.matches() && row.found() == Some(10));
        assert_eq!((read.url, read.checked), (UrlMark::Keyed(8), at));
        assert_eq!((read.fingerprint.sha256, read.fingerprint.racy), (digest, true));
        assert_eq!(rows.count_own(), 2);
        assert!(!rows.get(PIECE).unwrap().matches());
        assert!(rows.get(2).unwrap().noted().is_none() && rows.get(2).unwrap().found().is_none());
        assert!(Rows::new(10_000).get(9000).is_none());
    }
}
