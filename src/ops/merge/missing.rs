//! Which shards of a job are complete, and which must run again.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::Hash;
use std::io;

use crate::dest::Dest;
use crate::manifest::{Manifest, PathHashes, Shard, ranges};
use crate::ops::error::RunError;
use crate::ops::shards::{self, Foreign, Left};

/// The shards of a job.
pub(super) struct Job {
    pub(super) total: u32,
    pub(super) complete: Vec<Left>,
    /// The numbers of those that did not run or were interrupted, and of those whose results are of
    /// another job.
    pub(super) missing: Vec<u32>,
    foreign: Vec<(u32, Foreign)>,
}

/// Finds the results of a job. `total` is the number of its shards, if the caller knows it.
///
/// # Errors
/// When the number of shards is unknown, or a result cannot be read.
pub(super) fn find(
    dest: &Dest,
    manifest: &Manifest,
    hashes: &PathHashes,
    total: Option<u32>,
) -> Result<Job, RunError> {
    let unreadable = |below: &str, source| dest.error("read the results in", below, source);
    let folders = dest.shards().map_err(|error| unreadable(".natsync/shards", error))?;
    let total = match total {
        Some(total) => total,
        None => total_of(&folders, manifest)?,
    };
    let mut job = Job { total, complete: Vec::new(), missing: Vec::new(), foreign: Vec::new() };
    for shard in folders.into_iter().filter(|shard| shard.total() == total) {
        let found = match shards::left(dest, shard) {
            Ok(Some(left)) => left.result.compare(manifest, hashes).map(|()| left),
            Ok(None) => continue,
            Err(error) if is_damage(&error) => Err(Foreign::Damaged),
            Err(error) => {
                let below = dest.folder_of_shard(shard).unwrap_or_default();
                let below = below.strip_prefix(dest.path()).unwrap_or(&below).to_owned();
                return Err(unreadable(&below.to_string_lossy(), error).into());
            }
        };
        match found {
            Ok(left) => job.complete.push(left),
            Err(why) => job.foreign.push((shard.number(), why)),
        }
    }
    job.exclude_other_commands();
    let present: Vec<_> = job.complete.iter().map(|left| left.shard.number()).collect();
    job.missing = (1..=total).filter(|number| present.binary_search(number).is_err()).collect();
    job.foreign.sort_unstable();
    Ok(job)
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The number of shards, from the folders that they left.
fn total_of(folders: &[Shard], manifest: &Manifest) -> Result<u32, RunError> {
    let mut totals: Vec<_> = folders.iter().map(|shard| shard.total()).collect();
    totals.sort_unstable();
    totals.dedup();
    match totals.as_slice() {
        [total] => Ok(*total),
        [] => Err(none_has_run(manifest)),
        totals => {
            let totals: Vec<_> = totals.iter().map(u32::to_string).collect();
            Err(RunError::Usage {
                message: format!(
                    "there are results of jobs of {} shards",
                    totals.join(" shards and of ")
                ),
                hint: Some("say which job to merge: `--shards N`".to_owned()),
            })
        }
    }
}

/// The error of a destination without results.
fn none_has_run(manifest: &Manifest) -> RunError {
    RunError::Usage {
        message: format!(
            "no shard has run for `{}`: there is no result in `{}/.natsync/shards`",
            manifest.name(),
            manifest.shown_dest()
        ),
        hint: Some("run `natsync apply --shard K/N` for each K from 1 to N first".to_owned()),
    }
}

impl Job {
    /// The job of a destination that does not exist.
    pub(super) fn without_dest(manifest: &Manifest, total: Option<u32>) -> Result<Self, RunError> {
        let total = total.ok_or_else(|| none_has_run(manifest))?;
        let missing = (1..=total).collect();
        Ok(Self { total, complete: Vec::new(), missing, foreign: Vec::new() })
    }

    /// Sets the results aside whose command or choice of entries differs from that of most shards.
    fn exclude_other_commands(&mut self) {
        let jobs: Vec<_> = self.complete.iter().map(|left| left.result.job()).collect();
        let Some(common) = most_common(jobs.iter().copied()) else { return };
        let is_common: Vec<_> = jobs.iter().map(|job| *job == common).collect();
        let mut is_common = is_common.into_iter();
        let foreign = &mut self.foreign;
        self.complete.retain(|left| {
            let stays = is_common.next().unwrap_or(true);
            if !stays {
                foreign.push((left.shard.number(), Foreign::Command));
            }
            stays
        });
    }

    /// The numbers of the shards with failed entries.
    pub(super) fn failed(&self) -> impl Iterator<Item = u32> {
        let failed = self.complete.iter().filter(|left| !left.result.summary.is_success());
        failed.map(|left| left.shard.number())
    }

    /// The error of shards that are missing; none if all are complete.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<(), RunError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let mut message = format!(
            "`{}` is not complete: missing: {} of {}",
            manifest.name(),
            ranges(&self.missing),
            self.total
        );
        for (why, text) in [
            (Foreign::Manifest, "ran with another version of the manifest"),
            (Foreign::Paths, "ran with another date or other values of --set"),
            (Foreign::Command, "ran with another command or --only"),
            (Foreign::Damaged, "left damaged results"),
        ] {
            let of = self.foreign.iter().filter(|(_, found)| *found == why);
            let numbers: Vec<_> = of.map(|(number, _)| *number).collect();
            if !numbers.is_empty() {
                let _ = write!(message, "; {} {text}", ranges(&numbers));
            }
        }
        Err(RunError::ShardsMissing { message })
    }
}

/// The value that occurs most often; of several, the greatest one.
pub(super) fn most_common<T: Copy + Ord + Hash>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(value, count)| (count, value)).map(|(value, _)| value)
}

/// The error of a shard whose results turned out to be damaged.
pub(super) fn damaged(left: &Left, manifest: &Manifest, why: &dyn fmt::Display) -> RunError {
    let (shard, name) = (left.shard, manifest.name());
    let message = format!("the results of shard {shard} of `{name}` are damaged: {why}");
    RunError::ShardsMissing { message }
}
