//! Which shards of a job are complete, and which must run again.

use std::fmt::Write as _;

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
    let unreadable =
        |source| dest.error("read the results of shards in", ".natsync/shards", source);
    let folders = dest.shards().map_err(unreadable)?;
    let total = match total {
        Some(total) => total,
        None => total_of(&folders, manifest)?,
    };
    let mut job = Job { total, complete: Vec::new(), missing: Vec::new(), foreign: Vec::new() };
    for shard in folders.into_iter().filter(|shard| shard.total() == total) {
        let Some(left) = shards::left(dest, shard).map_err(unreadable)? else { continue };
        match left.result.compare(manifest, hashes) {
            Ok(()) => job.complete.push(left),
            Err(why) => job.foreign.push((shard.number(), why)),
        }
    }
    job.exclude_other_commands();
    let present: Vec<_> = job.complete.iter().map(|left| left.shard.number()).collect();
    job.missing = (1..=total).filter(|number| present.binary_search(number).is_err()).collect();
    job.foreign.sort_unstable();
    Ok(job)
}

/// The number of shards, from the folders that they left.
fn total_of(folders: &[Shard], manifest: &Manifest) -> Result<u32, RunError> {
    let mut totals: Vec<_> = folders.iter().map(|shard| shard.total()).collect();
    totals.sort_unstable();
    totals.dedup();
    match totals.as_slice() {
        [total] => Ok(*total),
        [] => Err(RunError::Usage {
            message: format!(
                "no shard has run for `{}`: there is no result in `{}/.natsync/shards`",
                manifest.name(),
                manifest.shown_dest()
            ),
            hint: Some("run `natsync apply --shard K/N` for each K from 1 to N first".to_owned()),
        }),
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

impl Job {
    /// Sets the results aside whose command or choice of entries differs from that of most shards.
    fn exclude_other_commands(&mut self) {
        let jobs: Vec<_> = self.complete.iter().map(|left| left.result.job()).collect();
        let votes = |job: &_| jobs.iter().filter(|other| *other == job).count();
        let Some(common) = jobs.iter().max_by_key(|job| votes(job)) else { return };
        let is_common: Vec<_> = jobs.iter().map(|job| job == common).collect();
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
