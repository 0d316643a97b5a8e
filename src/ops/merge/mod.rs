//! `merge`: puts the results of the shards of a job together, so that the destination, its state and
//! the lock are as after a single run.
//!
//! It makes no request. Every step may be repeated: a merge that was killed is simply run again.

mod lines;
mod missing;
mod too_many;

use std::io;

use jiff::civil::Date;

use super::{Options, acquire, ownership, prepare};
use crate::dest::state::{NotTaken, ShardState, State, state_error};
use crate::dest::{Dest, RunGuard};
use crate::event::history::merged;
use crate::event::{Event, Outcome, Reporter, Summary, warn};
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;
use crate::manifest::{Manifest, PathHashes, ranges};
use crate::ops::decide_all::{make_plan, scan};
use crate::ops::error::RunError;
use crate::ops::scope::Scope;
use crate::ops::shards::{Left, replay};
use crate::pin::checksum_lists::Lists;
use crate::pin::lookup::Pins;
use crate::stop::Stop;
use missing::{Job, damaged};
use too_many::{TooMany, source_of};

/// The result of `merge`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// The sums over all shards.
    pub summary: Summary,
    /// The number of shards of the job.
    pub shards: u32,
    /// The shards that are missing, as ranges of their numbers (`3,7-9`); empty unless a part of the
    /// job was merged.
    pub missing: String,
    /// Lines that were added to the lock.
    pub pinned: u64,
    /// The runs of the shards: their numbers, and how long they took in milliseconds.
    pub runs: Vec<(u32, u64)>,
}

/// What [`merge`] is to do beside the options of every run.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeOptions {
    /// The number of shards of the job; by default that of the folders that they left.
    pub shards: Option<u32>,
    /// Merge the shards that are complete although others are missing.
    pub partial: bool,
}

/// The date with which most shards of a job ran, if they left results. `total` is the number of its
/// shards, if the caller knows it.
#[must_use]
pub(crate) fn date(manifest: &Manifest, total: Option<u32>) -> Option<Date> {
    let dest = Dest::open(manifest).ok()??;
    let shards = dest.shards().ok()?.into_iter();
    let of_job = shards.filter(|shard| total.is_none_or(|total| shard.total() == total));
    let results = of_job.filter_map(|shard| {
        super::shards::left(&dest, shard)
            .ok()?
            .filter(|left| left.result.manifest == manifest.name())
    });
    missing::most_common(results.map(|left| left.result.today))
}

/// The numbers of the shards that are missing, as ranges; with `failed` those with failed entries,
/// too.
///
/// # Errors
/// When the manifest is wrong, or it is unknown how many shards the job has.
pub fn missing_shards(
    manifest: &Manifest,
    merge: MergeOptions,
    failed: bool,
) -> Result<String, RunError> {
    let hashes = manifest.check()?;
    let job = match Dest::open(manifest)? {
        Some(dest) => missing::find(&dest, manifest, &hashes, merge.shards)?,
        None => Job::without_dest(manifest, merge.shards)?,
    };
    let mut numbers = job.missing.clone();
    if failed {
        numbers.extend(job.failed());
        numbers.sort_unstable();
    }
    Ok(ranges(&numbers))
}

/// Puts the results of the shards of a job together: state, lock, history, and the outcomes of all
/// entries as events. Prunes if that is wanted and all shards succeeded.
///
/// # Errors
/// [`RunError::ShardsMissing`] when a shard is missing, and then nothing was changed.
/// [`RunError::Busy`] when a run or a shard holds the destination. When a result cannot be read, or
/// the state or the lock cannot be written.
pub fn merge(
    manifest: &Manifest,
    options: &Options,
    merge: MergeOptions,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<MergeReport, RunError> {
    let prepared = prepare(manifest, options, reporter)?;
    let hashes = &prepared.hashes;
    if Dest::open(manifest)?.is_none() {
        Job::without_dest(manifest, merge.shards)?.check(manifest)?;
    }
    let dest = Dest::create(manifest)?;
    let guard = acquire(&dest, options.wait, stop)?;
    let job = missing::find(&dest, manifest, hashes, merge.shards)?;
    if !merge.partial {
        job.check(manifest)?;
    }
    let mut sums = Sums::new(manifest, too_many::too_many(manifest, &job)?, reporter);
    for left in &job.complete {
        sums.add(left)?;
    }
    let claim = ownership::claim(manifest, options, hashes);
    let unwritable =
        |error| RunError::from(dest.error("write the state", ".natsync/state.db", error));
    let opened = State::open(&dest, &claim).map_err(|error| unwritable(state_error(&error)))?;
    warn(&mut sums, opened.warning);
    let mut state = opened.value;
    if let Err(NotTaken::Whole(_)) = absorb(&state, &job, manifest, &unwritable)? {
        let renewed =
            state.renew(&dest, &claim).map_err(|error| unwritable(state_error(&error)))?;
        warn(&mut sums, renewed.warning);
        state = renewed.value;
        if let Err(NotTaken::Whole(error)) = absorb(&state, &job, manifest, &unwritable)? {
            return Err(unwritable(error));
        }
    }
    if !sums.unsure.is_empty() {
        // Otherwise these files are not requested again for `missing_ttl`.
        let forgotten = state.forget_missing(&sums.unsure);
        forgotten.map_err(|error| unwritable(state_error(&error)))?;
    }
    let drops = job.drops();
    let lock = lines::merge(manifest, &job.complete, drops.then_some(hashes), stop)?;
    warn(&mut sums, overtaken(lock.overtaken));
    // `lock` deletes nothing.
    if job.is_all() && !job.locks() && !stop.is_requested() {
        prune(manifest, options, (&dest, &state), hashes, stop, &mut sums)?;
    }
    let pasts: Vec<_> = job.complete.iter().map(|left| (left.shard, &left.result.past)).collect();
    let past = merged(&pasts);
    let mut summary = sums.summary;
    if let Some(mut past) = past {
        past.amend(&summary);
        summary.elapsed = std::time::Duration::from_millis(past.elapsed);
        if !stop.is_requested() && state.note_run(&past).is_err() {
            let message = "the state cannot be written; `natsync report` will not know of this job";
            warn(&mut sums, Some(message.to_owned()));
        }
    }
    state.close();
    // Without the rest of the work, the results are needed once more.
    if job.missing.is_empty() && !stop.is_requested() {
        let shards = job.complete.iter().map(|left| left.shard);
        if let Err(error) = dest.remove_shards(job.total) {
            let message = format!("the folders of the shards cannot be removed: {error}");
            warn(&mut sums, Some(message));
        }
        RunGuard::clear(&guard, &dest, shards);
    }
    let runs = job.complete.iter().map(|left| (left.shard.number(), left.result.past.elapsed));
    Ok(MergeReport {
        summary,
        shards: job.total,
        missing: ranges(&job.missing),
        pinned: lock.added,
        runs: runs.collect(),
    })
}

impl Job {
    /// Whether all entries of the manifest were among those of the job.
    fn is_all(&self) -> bool {
        self.missing.is_empty() && self.complete.iter().all(|left| left.result.covers_all())
    }

    /// Whether lines of the lock are dropped whose path is not declared, as `natsync lock` does.
    fn drops(&self) -> bool {
        self.is_all() && self.locks()
    }

    fn locks(&self) -> bool {
        self.complete.iter().all(|left| left.result.command == "lock")
    }
}

/// Takes over the rows of all shards. The inner error is that of a damaged state of the destination.
fn absorb(
    state: &State,
    job: &Job,
    manifest: &Manifest,
    unwritable: &dyn Fn(io::Error) -> RunError,
) -> Result<Result<(), NotTaken>, RunError> {
    let state_of = |left: &Left| ShardState { file: left.state(), own: left.result.owner };
    let parts: Vec<_> = job.complete.iter().map(state_of).collect();
    match state.absorb(&parts) {
        Ok(()) => Ok(Ok(())),
        Err(NotTaken::Part(place, error)) => Err(damaged(&job.complete[place], manifest, &error)),
        Err(NotTaken::Disk(error)) => Err(unwritable(error)),
        Err(whole) => Ok(Err(whole)),
    }
}

/// Adds the shards up, and hands their events on.
struct Sums<'a> {
    manifest: &'a Manifest,
    /// The missing entries of these sources fail.
    too_many: TooMany,
    reporter: &'a mut dyn Reporter,
    summary: Summary,
    absent: Vec<EntryIndex>,
    /// The paths of missing entries that failed.
    unsure: Vec<String>,
}

impl<'a> Sums<'a> {
    fn new(manifest: &'a Manifest, too_many: TooMany, reporter: &'a mut dyn Reporter) -> Self {
        for (source, failure) in &too_many {
            reporter.event(&Event::SourceFailed { source: *source, failure: failure.clone() });
        }
        let (summary, absent, unsure) = (Summary::default(), Vec::new(), Vec::new());
        Self { manifest, too_many, reporter, summary, absent, unsure }
    }

    fn add(&mut self, left: &Left) -> Result<(), RunError> {
        self.summary.add(&left.result.summary);
        let read = replay(&left.outcomes(), self);
        read.map_err(|error| damaged(left, self.manifest, &error))
    }

    /// The failure of a missing entry, if there are too many of its source.
    fn fail(&mut self, entry: EntryIndex) -> Option<Failure> {
        if self.too_many.is_empty() {
            return None;
        }
        let failure = self.too_many.get(&source_of(self.manifest, entry))?.clone();
        let path = self.manifest.entries().get(entry)?.path().as_str().to_owned();
        self.unsure.push(path);
        self.summary.absent = self.summary.absent.saturating_sub(1);
        self.summary.failed += 1;
        Some(failure)
    }
}

impl Reporter for Sums<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            &Event::Finished { entry, outcome: Outcome::Absent, attempts, received } => {
                if let Some(failure) = self.fail(entry) {
                    let outcome = Outcome::Failed(failure);
                    let failed = Event::Finished { entry, outcome, attempts, received };
                    return self.reporter.event(&failed);
                }
                self.absent.push(entry);
            }
            Event::Pruned { .. } => self.summary.pruned += 1,
            _ => {}
        }
        self.reporter.event(event);
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }
}

/// Deletes what a single run would delete now.
fn prune(
    manifest: &Manifest,
    options: &Options,
    (dest, state): (&Dest, &State),
    hashes: &PathHashes,
    stop: &Stop,
    sums: &mut Sums<'_>,
) -> Result<(), RunError> {
    let lock = super::read_lock(manifest)?;
    let pins = Pins::new(manifest, lock.as_ref()).with_lists(Lists::kept(Some(state)));
    let scope = Scope { manifest, options, pins: &pins, dest: Some(dest), stop };
    if !super::prune::is_wanted(scope) {
        return Ok(());
    }
    let found = scan(scope, Some(state), hashes, sums);
    let plan = make_plan(scope, found, &|_| {}, sums)?;
    let gone = super::prune::gone(scope, dest, state, sums.absent.iter().copied());
    let so_far = sums.summary;
    super::prune::prune(scope, dest, state, &plan, &so_far, &gone, sums);
    Ok(())
}

fn overtaken(count: u64) -> Option<String> {
    (count != 0).then(|| {
        format!(
            "{count} files were pinned to other content by another run meanwhile; these pins stay, and the next `natsync apply` brings the files to them"
        )
    })
}
