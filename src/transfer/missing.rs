//! Counts the entries that upstream does not have, which `max_missing` may bound.

use std::sync::Mutex;

use crate::failure::{ErrorKind, Failure};
use crate::manifest::Manifest;
use crate::manifest::entry::EntryIndex;
use crate::threads::lock;

/// The missing entries of each source. Whether those of a source with `max_missing` are absent or
/// failed is known only at the end of the run, so they are held back until then.
#[derive(Debug)]
pub(super) struct Missing(Vec<Mutex<Tally>>);

#[derive(Debug)]
struct Tally {
    entries: u64,
    limit: Option<u64>,
    held: Vec<(EntryIndex, u32)>,
    count: u64,
    told: bool,
}

/// The selected entries of a source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chosen {
    pub(super) entries: u64,
    /// Those among them that are known to be missing and cause no request.
    pub(super) absent: u64,
}

/// What to do with a missing entry.
#[derive(Debug, PartialEq)]
pub(super) enum Ruling {
    Absent,
    /// Not known before the end of the run.
    Held,
    /// There are too many: this entry and those held so far fail.
    TooMany(Vec<(EntryIndex, u32)>, Failure),
}

impl Missing {
    pub(super) fn new(manifest: &Manifest, chosen: &[Chosen]) -> Self {
        let tallies = manifest.sources().iter().zip(chosen).map(|(source, chosen)| {
            let Chosen { entries, absent } = *chosen;
            let limit = source.max_missing.map(|quota| quota.of(entries));
            Mutex::new(Tally { entries, limit, held: Vec::new(), count: absent, told: false })
        });
        Self(tallies.collect())
    }

    /// Adds a missing entry of a source, found after that many attempts.
    pub(super) fn add(&self, source: usize, entry: EntryIndex, attempts: u32) -> Ruling {
        let mut tally = lock(&self.0[source]);
        tally.count += 1;
        let Some(limit) = tally.limit else {
            return Ruling::Absent;
        };
        tally.held.push((entry, attempts));
        if tally.count <= limit {
            return Ruling::Held;
        }
        let message = format!(
            "missing upstream, and with it more of the source's {} entries than `max_missing` allows ({limit})",
            tally.entries
        );
        Ruling::TooMany(
            std::mem::take(&mut tally.held),
            Failure::new(ErrorKind::HttpStatus, message),
        )
    }

    /// Whether this is the first failure of a source. The next call says no.
    pub(super) fn is_first_failure(&self, source: usize) -> bool {
        let mut tally = lock(&self.0[source]);
        !std::mem::replace(&mut tally.told, true)
    }

    /// At the end of the run: the held entries, which are absent.
    pub(super) fn settle(&self) -> Vec<(EntryIndex, u32)> {
        let held = self.0.iter().map(|tally| std::mem::take(&mut lock(tally).held));
        held.flatten().collect()
    }
}
