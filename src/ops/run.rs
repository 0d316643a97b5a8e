//! One run of `apply` or `lock`: it holds the destination, decides, transfers, prunes, and records what
//! it was. Failed entries are outcomes; an error means that the run itself could not go on.

use std::collections::HashSet;
use std::sync::Mutex;

use super::lock_drift::check_locked;
use super::plan::tell_plan;
use super::{
    Means, Options, Prepared, acquire, lacked_lists, needs_network, obstructed, ownership, prepare,
    work,
};
use crate::dest::inventory::Scan;
use crate::dest::state::{Note, State, state_error};
use crate::dest::{Dest, Parts};
use crate::event::history::{Recorder, Setting};
use crate::event::{Event, Outcome, Phase, Reporter, Summary, warn};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::EntryIndex;
use crate::manifest::{Manifest, PathHashes};
use crate::ops::decide_all::{make_plan, scan};
use crate::ops::error::RunError;
use crate::ops::saved_plan::SavedPlan;
use crate::ops::scope::Scope;
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::Lock;
use crate::pin::lookup::{Pinning, Pins};
use crate::plan::{Action, Decision, Plan, Step};
use crate::rel_path::path_hash;
use crate::stop::Stop;
use crate::threads;
use crate::transfer::{self, Files};

/// What a run is to do.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) options: &'a Options,
    /// The plan to carry out, if it was saved.
    pub(super) saved: Option<&'a SavedPlan>,
    pub(super) stop: &'a Stop,
    /// `natsync lock`: the lock is what the run is for.
    pub(super) locks: bool,
}

impl Job<'_> {
    fn pinning(self, lock: Option<&Lock>) -> Pinning {
        match (self.locks, self.options.upgrade) {
            (true, true) => Pinning::Upgrading,
            (true, false) => Pinning::Completing,
            // Without the network, upstream cannot confirm what would be pinned.
            (false, _) if lock.is_some() && !self.options.offline => Pinning::Extending,
            (false, _) => Pinning::Nothing,
        }
    }

    fn check_lock(self, lock: Option<&Lock>) -> Result<(), RunError> {
        if self.locks { Ok(()) } else { check_locked(self.manifest, self.options, lock) }
    }
}

/// A completed run, with the data that a lock is made from.
pub(super) struct Done<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pins: &'a Pins<'a>,
    /// The lock that the run began with.
    pub(super) lock: Option<&'a Lock>,
    /// Entries that failed or were skipped.
    pub(super) failed: &'a HashSet<EntryIndex>,
    /// Entries that upstream does not have.
    pub(super) absent: &'a HashSet<EntryIndex>,
    /// Hashes of the paths of all entries.
    pub(super) hashes: &'a PathHashes,
    pub(super) state: &'a State,
}

/// Plans a run and carries it out. Unless the run was stopped, `conclude` is called at the end,
/// while the run guard is still held. The state records the run in its history.
pub(super) fn run(
    job: Job<'_>,
    reporter: &mut dyn Reporter,
    conclude: impl FnOnce(&Done<'_>, &mut dyn Reporter) -> Result<(), RunError>,
) -> Result<Summary, RunError> {
    let Job { manifest, options, saved, stop, locks } = job;
    let mut prepared = prepare(manifest, options, reporter)?;
    job.check_lock(prepared.lock.as_ref())?;
    let mut account = Account::new(reporter, Recorder::new(prepared.began));
    let dest = Dest::create(manifest)?;
    let _guard = acquire(&dest, options.wait, stop)?;
    // Until here another run may have changed what was read.
    prepared.refresh(manifest)?;
    if let Some(saved) = saved {
        saved.check_inputs()?;
    }
    job.check_lock(prepared.lock.as_ref())?;
    let Prepared { began, ref hashes, ref lock } = prepared;
    let lock = lock.as_ref();
    let pins = Pins::new(manifest, lock).pinning(job.pinning(lock));
    let scope = Scope { manifest, options, pins: &pins, dest: Some(&dest), stop };
    let claim = ownership::claim(manifest, options, hashes);
    let notes = match saved {
        Some(saved) => rehearse(scope, &dest, saved, hashes, &mut account)?,
        None => Vec::new(),
    };
    let parts =
        dest.parts().map_err(|source| dest.error("clear the staging area of", "", source))?;
    let unwritable =
        |error| dest.error("write the state", ".natsync/state.db", state_error(&error));
    let opened = State::open(&dest, &claim).map_err(unwritable)?;
    warn(&mut account, opened.warning);
    let mut state = opened.value;
    if !notes.is_empty() {
        // Without them, files are read once more.
        let _ = state.note(&notes);
    }
    let scan = scan(scope, Some(&state), hashes, &mut account);
    if scan.damaged {
        let renewed = state.renew(&dest, &claim).map_err(unwritable)?;
        warn(&mut account, renewed.warning);
        state = renewed.value;
    }
    let place = Place { dest: &dest, parts: &parts, state: &state, saved, lock };
    let ended = carry_out(scope, place, scan, hashes, &mut account, conclude);
    let Account { mut summary, reporter, recorder, .. } = account;
    let setting = Setting {
        manifest,
        command: if locks { "lock" } else { "apply" },
        only: &options.selection.patterns(),
        stopped: stop.is_requested(),
        broken: ended.is_err(),
    };
    // A refused saved plan changed nothing, so it is not part of the history.
    let was_refused = matches!(ended, Err(RunError::StalePlan { .. }));
    if !was_refused && state.note_run(&recorder.finish(setting, &summary)).is_err() {
        let message = "the state cannot be written; `natsync report` will not know of this run";
        warn(reporter, Some(message.to_owned()));
    }
    state.close();
    ended?;
    summary.elapsed = began.elapsed();
    Ok(summary)
}

/// Makes the plan from what is here alone and compares the saved plan with it, so that a plan that is
/// refused leaves the state as it is. Returns the notes about files that were read.
fn rehearse(
    scope: Scope<'_>,
    dest: &Dest,
    saved: &SavedPlan,
    hashes: &PathHashes,
    account: &mut Account<'_>,
) -> Result<Vec<Note>, RunError> {
    let Scope { manifest, options, .. } = scope;
    let state = State::look(dest, &ownership::claim(manifest, options, hashes)).value;
    let listed = scope.pins.with_lists(Lists::kept(state.as_ref().map(|state| state as _)));
    let scope = Scope { pins: &listed, ..scope };
    let scan = scan(scope, state.as_ref(), hashes, account);
    let notes = Mutex::new(Vec::new());
    let keep = |read: &[Note]| threads::lock(&notes).extend_from_slice(read);
    let mut plan = make_plan(scope, scan, &keep, account)?;
    saved.hold_against(manifest, dest, &mut plan)?;
    Ok(threads::into_inner(notes))
}

/// The destination of a run, which holds its run guard.
#[derive(Clone, Copy)]
struct Place<'a> {
    dest: &'a Dest,
    parts: &'a Parts,
    state: &'a State,
    saved: Option<&'a SavedPlan>,
    lock: Option<&'a Lock>,
}

fn carry_out(
    scope: Scope<'_>,
    place: Place<'_>,
    scan: Scan<'_>,
    hashes: &PathHashes,
    account: &mut Account<'_>,
    conclude: impl FnOnce(&Done<'_>, &mut dyn Reporter) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let Scope { manifest, options, pins, stop, .. } = scope;
    let Place { dest, parts, state, saved, lock } = place;
    let lists = if options.offline {
        Lists::kept(Some(state))
    } else {
        Lists::fetched(state, super::fetch_lists::fetch_all(scope, (dest, state), account)?)
    };
    let listed = pins.with_lists(lists);
    let scope = Scope { pins: &listed, ..scope };
    // Record the digests, so that the next run need not read these files again.
    let keep = |notes: &[Note]| drop(state.note(notes));
    let mut plan = make_plan(scope, scan, &keep, account)?;
    if let Some(saved) = saved {
        saved.hold_against(manifest, dest, &mut plan)?;
    }
    ownership::warn_of_shared_paths(manifest, state, hashes, account);
    warn(account, lacked_lists(&listed));
    tell_plan(scope, &mut plan, account);
    account.summary.entries = plan.counts().entries();
    settle_without_network(scope, &plan, account);
    if options.fail_fast && 0 < account.summary.failed {
        skip_all(&plan, account);
    } else if !options.offline && needs_network(&plan) {
        let total = plan.counts().fetch + plan.counts().replace + plan.counts().revalidate;
        account.event(&Event::Phase { phase: Phase::Transferring, total: Some(total) });
        let means = Means::new(scope);
        // `--force` asks for every byte anew.
        let parts = Some(parts).filter(|_| !options.force);
        let files = Files { plan: &plan, dest, state, parts, disputing: true };
        let fetched = transfer::fetch(&work(scope, &means), files, account);
        super::fetch_lists::settle(scope, (dest, state), &plan, fetched, account)?;
    }
    if !dest.is_in_place() {
        let source = std::io::Error::other("it was moved or deleted during the run");
        return Err(dest.error("go on in", "", source).into());
    }
    let mut gone = super::prune::gone(scope, dest, state, account.absent.iter().copied());
    if let Some(saved) = saved {
        gone.retain(|prune| saved.prunes(&prune.path));
    }
    let so_far = account.summary;
    super::prune::prune(scope, dest, state, &plan, &so_far, &gone, account);
    if options.selection.is_all() && !stop.is_requested() && !options.offline && !parts.is_empty() {
        // The part of an entry that failed or was not tried is for the next run. Others are stale,
        // unless the run was limited to some entries.
        let failed = account.failed.iter().filter_map(|&entry| manifest.entries().get(entry));
        let failed: HashSet<_> = failed.map(|entry| path_hash(entry.path().as_str())).collect();
        let wanted = |path: &str| failed.contains(&path_hash(path));
        dest.clear_parts(parts, |owner| state.is_other(owner), wanted);
    }
    if !stop.is_requested() {
        let (failed, absent) = (&account.failed, &account.absent);
        let done = Done { plan: &plan, pins: &listed, lock, failed, absent, hashes, state };
        conclude(&done, account.reporter)?;
    }
    Ok(())
}

/// With `fail_fast`, a failure before the first request: no request is made.
fn skip_all(plan: &Plan, reporter: &mut Account<'_>) {
    for (entry, step) in plan.steps() {
        if matches!(step, Step::Do(decision) if decision.action.asks_upstream()) {
            reporter.event(&Event::Finished {
                entry,
                outcome: Outcome::Skipped,
                attempts: 0,
                received: 0,
            });
        }
    }
}

/// Gives their outcome to all entries that need no request.
fn settle_without_network(scope: Scope<'_>, plan: &Plan, reporter: &mut Account<'_>) {
    let Scope { manifest, options, pins, .. } = scope;
    let entries = manifest.entries();
    reporter.summary.kept = plan.counts().keep;
    for (index, step) in plan.steps() {
        let outcome = match step {
            Step::Obstructed(obstacle) => match entries.get(index) {
                Some(entry) => Outcome::Failed(obstructed(obstacle, &entry, pins)),
                None => continue,
            },
            Step::Do(Decision { action: Action::Absent, .. }) => Outcome::Absent,
            Step::Do(Decision { action: Action::Keep, .. }) if options.report_kept => Outcome::Kept,
            Step::Do(decision) if options.offline && decision.action.asks_upstream() => {
                let what =
                    if decision.action == Action::Revalidate { "asked about" } else { "fetched" };
                let message = format!("it must be {what}, and `--offline` forbids that");
                Outcome::Failed(Failure::new(ErrorKind::Offline, message))
            }
            _ => continue,
        };
        reporter.event(&Event::Finished { entry: index, outcome, attempts: 0, received: 0 });
    }
}

/// Counts and records outcomes on their way to the reporter. Kept files are counted from the plan.
struct Account<'a> {
    reporter: &'a mut dyn Reporter,
    recorder: Recorder,
    summary: Summary,
    failed: HashSet<EntryIndex>,
    absent: HashSet<EntryIndex>,
}

impl<'a> Account<'a> {
    fn new(reporter: &'a mut dyn Reporter, recorder: Recorder) -> Self {
        Self {
            reporter,
            recorder,
            summary: Summary::default(),
            failed: HashSet::new(),
            absent: HashSet::new(),
        }
    }
}

impl Reporter for Account<'_> {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::Pruned { .. }) {
            self.summary.pruned += 1;
        }
        if let Event::Finished { entry, outcome, received, .. } = event
            && *outcome != Outcome::Kept
        {
            self.summary.count(outcome, *received);
            match outcome {
                Outcome::Failed(_) | Outcome::Skipped => {
                    self.failed.insert(*entry);
                }
                Outcome::Absent => {
                    self.absent.insert(*entry);
                }
                _ => {}
            }
        }
        self.recorder.event(event);
        self.reporter.event(event);
    }

    fn tick(&mut self) {
        self.recorder.tick();
        self.reporter.tick();
    }
}
