//! `apply`: the destination is made to hold what the manifest declares.

use std::collections::HashSet;
use std::time::Instant;

use super::plan::tell_plan;
use super::{Options, acquire, expand, needs_network, obstructed, read_lock, settings, work};
use crate::dest::Dest;
use crate::entry::EntryIndex;
use crate::error::{ErrorKind, Failure, RunError};
use crate::event::{Event, Outcome, Phase, Reporter, Summary, warn};
use crate::execute::{Purpose, Work, execute};
use crate::lists::Lists;
use crate::manifest::{Manifest, PathHashes};
use crate::pins::Pins;
use crate::plan::{Action, Decision, Plan, Step};
use crate::state::State;
use crate::stop::Stop;
use crate::survey::{Scope, Survey, scan};

/// Makes the destination hold what the manifest declares.
///
/// Failed entries are outcomes: look at [`Summary::is_success`].
///
/// # Errors
/// When the manifest's entries collide, the options choose nothing, another run holds the
/// destination, or it cannot be written to.
pub fn apply(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Summary, RunError> {
    let lock = read_lock(manifest)?;
    super::lock::check_locked(manifest, options, lock.as_ref())?;
    let pins = Pins::new(manifest, lock.as_ref());
    let done = run(manifest, options, &pins, stop, reporter)?;
    if let Some(lock) = &lock
        && !stop.is_requested()
    {
        super::lock::extend(lock, &done, manifest, reporter)?;
    }
    done.state.close();
    Ok(done.summary)
}

/// A run that came to its end, with what its lock is made of.
pub(super) struct Done {
    pub(super) summary: Summary,
    pub(super) plan: Plan,
    /// Entries without the outcome that they should have.
    pub(super) failed: HashSet<EntryIndex>,
    /// Entries that upstream does not have.
    pub(super) absent: HashSet<EntryIndex>,
    /// The paths of all entries.
    pub(super) hashes: PathHashes,
    pub(super) state: State,
    /// Nobody else may begin before the lock is written.
    _guard: crate::dest::RunGuard,
}

/// Plans and makes it so.
pub(super) fn run(
    manifest: &Manifest,
    options: &Options,
    pins: &Pins<'_>,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Done, RunError> {
    let began = Instant::now();
    let mut reporter = Account::new(reporter);
    let hashes = expand(manifest, options, &mut reporter)?;
    let dest = Dest::create(manifest.dest())?;
    let guard = acquire(&dest, options.wait, stop)?;
    let storage = |doing, source| RunError::Storage { doing, path: dest.path().to_owned(), source };
    dest.clear_staging().map_err(|source| storage("clear the staging area of", source))?;
    let unwritable = |error| RunError::Storage {
        doing: "write the state",
        path: crate::state::file_of(dest.path()),
        source: std::io::Error::other(error),
    };
    let opened = State::open(&dest, manifest.name()).map_err(unwritable)?;
    warn(&mut reporter, opened.warning);
    let mut state = opened.value;
    let scope = Scope { manifest, options, pins, dest: Some(&dest), stop };
    let scan = scan(scope, Some(&state), &mut reporter);
    if scan.damaged {
        let renewed = state.renew(&dest).map_err(unwritable)?;
        warn(&mut reporter, renewed.warning);
        state = renewed.value;
    }
    let lists = super::lists::fetch_all(scope, &state, &mut reporter)?;
    let listed = pins.with_lists(Lists::new(Some(&state), lists));
    let scope = Scope { pins: &listed, ..scope };
    let survey = Survey::make(scope, scan, &hashes, &mut reporter)?;
    tell_plan(scope, &survey.plan, &[], &mut reporter);
    // A file that was read is not read the next time.
    if !survey.notes.is_empty() {
        let _ = state.note(&survey.notes);
    }
    let plan = survey.plan;
    reporter.summary.entries = plan.counts().entries();
    settle_without_network(scope, &plan, &mut reporter);
    if !options.offline && needs_network(&plan) {
        let total = plan.counts().fetch + plan.counts().replace + plan.counts().revalidate;
        reporter.event(&Event::Phase { phase: Phase::Transferring, total: Some(total) });
        let settings = settings(manifest, options);
        let purpose = Purpose::Transfer { disputing: true };
        let work = Work { state: Some(&state), purpose, ..work(scope, &plan, &settings) };
        let executed = execute(&work, &mut reporter);
        super::lists::settle(scope, &state, &plan, executed.disputed, &mut reporter)?;
    }
    let Account { mut summary, failed, absent, .. } = reporter;
    summary.elapsed = began.elapsed();
    Ok(Done { summary, plan, failed, absent, hashes, state, _guard: guard })
}

/// Gives their outcome to all entries that nobody need be asked about.
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
            Step::Do(Decision { action: Action::Fetch | Action::Replace, .. })
                if options.offline =>
            {
                Outcome::Failed(Failure::new(
                    ErrorKind::Offline,
                    "it must be fetched, and `--offline` forbids that",
                ))
            }
            _ => continue,
        };
        reporter.event(&Event::Finished { entry: index, outcome, attempts: 0 });
    }
}

/// Counts outcomes on their way to the reporter. What is kept is counted from the plan.
struct Account<'a> {
    reporter: &'a mut dyn Reporter,
    summary: Summary,
    failed: HashSet<EntryIndex>,
    absent: HashSet<EntryIndex>,
}

impl<'a> Account<'a> {
    fn new(reporter: &'a mut dyn Reporter) -> Self {
        Self {
            reporter,
            summary: Summary::default(),
            failed: HashSet::new(),
            absent: HashSet::new(),
        }
    }
}

impl Reporter for Account<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Finished { entry, outcome, .. } = event
            && *outcome != Outcome::Kept
        {
            self.summary.count(outcome);
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
        self.reporter.event(event);
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }
}
