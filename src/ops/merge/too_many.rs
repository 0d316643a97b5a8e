//! `max_missing` over all shards of a job. A shard sees only a part of a source, so it fails the
//! source only if its own part is beyond the limit.

use std::collections::BTreeMap;

use super::missing::{Job, damaged};
use crate::event::{Event, Outcome, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Manifest;
use crate::manifest::entry::EntryIndex;
use crate::manifest::select::Selection;
use crate::ops::error::RunError;
use crate::ops::shards::replay;

/// The sources of which more entries are missing upstream than `max_missing` allows.
pub(super) type TooMany = BTreeMap<usize, Failure>;

/// Counts the missing entries of the sources that have `max_missing`.
///
/// # Errors
/// When the results of a shard are damaged.
pub(super) fn too_many(manifest: &Manifest, job: &Job) -> Result<TooMany, RunError> {
    let mut found = TooMany::new();
    if manifest.sources().iter().all(|source| source.max_missing.is_none()) {
        return Ok(found);
    }
    let mut counting = Counting { manifest, counts: vec![0; manifest.sources().len()] };
    for left in &job.complete {
        let read = replay(&left.outcomes(), &mut counting);
        read.map_err(|error| damaged(left, manifest, &error))?;
    }
    for (number, (source, count)) in manifest.sources().iter().zip(counting.counts).enumerate() {
        let Some(quota) = source.max_missing.filter(|_| count != 0) else { continue };
        let entries = entries(manifest, job, number)?;
        let limit = quota.of(entries);
        if limit < count {
            let message = format!(
                "{count} of the source's {entries} entries are missing upstream, more than `max_missing` allows ({limit})"
            );
            found.insert(number, Failure::new(ErrorKind::HttpStatus, message));
        }
    }
    Ok(found)
}

/// The number of entries of a source that the job chose.
fn entries(manifest: &Manifest, job: &Job, number: usize) -> Result<u64, RunError> {
    let range = manifest.entries().source_range(number);
    let Some(left) = job.complete.first().filter(|left| !left.result.covers_all()) else {
        return Ok(range.end - range.start);
    };
    let selection = Selection::new(left.result.only(), manifest)?;
    let entries = manifest.entries().within(range);
    let chosen = entries.filter(|entry| selection.matches(entry.source(), entry.path().as_str()));
    Ok(chosen.count() as u64)
}

struct Counting<'a> {
    manifest: &'a Manifest,
    counts: Vec<u64>,
}

impl Reporter for Counting<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Finished { entry, outcome: Outcome::Absent, .. } = event
            && let Some(count) = self.counts.get_mut(source_of(self.manifest, *entry))
        {
            *count += 1;
        }
    }

    fn tick(&mut self) {}
}

/// The source of an entry, whose number may be damaged.
pub(super) fn source_of(manifest: &Manifest, entry: EntryIndex) -> usize {
    manifest.entries().get(entry).map_or(usize::MAX, |entry| entry.source_index())
}
