//! A manifest with its destination: looked at, planned, and brought in line.
//!
//! This is where the stages meet, and the only place that knows all of them. Each hands the next a
//! plain value.

use std::time::{Duration, Instant};

use crate::background::in_background;
use crate::dest::{Dest, RunGuard};
use crate::entry::EntryIndex;
use crate::error::{ErrorKind, Failure, RunError};
use crate::event::{Event, Outcome, Phase, Reporter, Summary, warn};
use crate::execute::{Work, execute};
use crate::manifest::{Http, Manifest, PathHashes, PerHost, Source};
pub use crate::options::Options;
use crate::plan::{Action, Decision, Obstacle, Plan, Reason, Step};
use crate::state::State;
use crate::stop::Stop;
use crate::survey::Survey;

/// How often another run's end is looked for.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// Says what [`apply`] would do. Writes nothing; asks nobody unless `refresh` says so.
///
/// # Errors
/// When the manifest's entries collide, the options choose nothing, or the destination cannot be read.
pub fn plan(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Plan, RunError> {
    let hashes = expand(manifest, options, reporter)?;
    let dest = Dest::open(manifest.dest())?;
    let state = dest.as_ref().and_then(|dest| {
        let opened = State::look(dest, manifest.name());
        warn(reporter, opened.warning);
        opened.value
    });
    let mut survey =
        Survey::make(manifest, options, dest.as_ref(), state.as_ref(), &hashes, stop, reporter);
    let mut sizes = Vec::new();
    if options.refresh && !options.offline && !stop.is_requested() {
        let state = state.as_ref().filter(|_| !survey.damaged);
        sizes = refresh(manifest, options, dest.as_ref(), state, &mut survey.plan, stop, reporter);
    }
    // What was cut short is no plan to tell.
    if !stop.is_requested() {
        tell_plan(manifest, options, &survey.plan, &sizes, reporter);
    }
    Ok(survey.plan)
}

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
    let began = Instant::now();
    let mut reporter = Counting { reporter, summary: Summary::default() };
    let hashes = expand(manifest, options, &mut reporter)?;
    let dest = Dest::create(manifest.dest())?;
    let _guard = acquire(&dest, options.wait, stop)?;
    let storage = |doing, source| RunError::Storage { doing, path: dest.path().to_owned(), source };
    dest.clear_staging().map_err(|source| storage("clear the staging area of", source))?;
    let opened = State::open(&dest, manifest.name()).map_err(|error| RunError::Storage {
        doing: "write the state",
        path: crate::state::file_of(dest.path()),
        source: std::io::Error::other(error),
    })?;
    warn(&mut reporter, opened.warning);
    let state = opened.value;
    let survey =
        Survey::make(manifest, options, Some(&dest), Some(&state), &hashes, stop, &mut reporter);
    drop(hashes);
    tell_plan(manifest, options, &survey.plan, &[], &mut reporter);
    // A file that was read again and found unchanged is not read the next time.
    if !survey.touched.is_empty() {
        let _ = state.note(&survey.touched);
    }
    let plan = &survey.plan;
    reporter.summary.entries = plan.counts().entries();
    settle_without_network(options, plan, &mut reporter);
    if !options.offline && needs_network(plan) {
        let total = plan.counts().fetch + plan.counts().replace + plan.counts().revalidate;
        reporter.event(&Event::Phase { phase: Phase::Transferring, total: Some(total) });
        let settings = settings(manifest, options);
        let work = work(manifest, options, plan, stop, &settings);
        let damaged = survey.damaged;
        let work = Work { dest: Some(&dest), state: Some(&state), damaged, ..work };
        execute(&work, &mut reporter);
    }
    state.close();
    let mut summary = reporter.summary;
    summary.elapsed = began.elapsed();
    Ok(summary)
}

/// Looks at every path once, and makes sure that the options choose something.
fn expand(
    manifest: &Manifest,
    options: &Options,
    reporter: &mut dyn Reporter,
) -> Result<PathHashes, RunError> {
    reporter.event(&Event::Phase { phase: Phase::Expanding, total: None });
    let hashes = in_background(reporter, |_| manifest.check())?;
    // Before anything is touched: a slip in a pattern must not look like a run with nothing to do.
    options.selection.look_at(manifest);
    if let Some(error) = options.selection.unmatched(manifest) {
        return Err(error);
    }
    Ok(hashes)
}

fn acquire(dest: &Dest, wait: bool, stop: &Stop) -> Result<RunGuard, RunError> {
    loop {
        match RunGuard::acquire(dest.path()) {
            Err(RunError::Busy { .. }) if wait && !stop.is_requested() => {
                std::thread::sleep(WAIT_STEP);
            }
            acquired => return acquired,
        }
    }
}

/// Asks upstream about each entry that needs it, and puts what it says into the plan. Answers the
/// sizes that were told.
fn refresh(
    manifest: &Manifest,
    options: &Options,
    dest: Option<&Dest>,
    state: Option<&State>,
    plan: &mut Plan,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Vec<(EntryIndex, u64)> {
    if !needs_network(plan) {
        return Vec::new();
    }
    let total = plan.counts().fetch + plan.counts().replace + plan.counts().revalidate;
    reporter.event(&Event::Phase { phase: Phase::Refreshing, total: Some(total) });
    let settings = settings(manifest, options);
    let work = work(manifest, options, plan, stop, &settings);
    let probes = execute(&Work { dest, state, probing: true, ..work }, reporter);
    let mut sizes = Vec::new();
    for (entry, probed) in probes {
        plan.set(entry, Step::Do(probed.decision));
        sizes.extend(probed.size.map(|size| (entry, size)));
    }
    sizes.sort_unstable();
    sizes
}

fn work<'a>(
    manifest: &'a Manifest,
    options: &'a Options,
    plan: &'a Plan,
    stop: &'a Stop,
    settings: &'a [Http],
) -> Work<'a> {
    Work {
        manifest,
        plan,
        dest: None,
        state: None,
        rewrites: &options.rewrites,
        stop,
        settings,
        connections: options.jobs.unwrap_or(manifest.http().connections),
        rate_limit: options.limit_rate,
        fail_fast: options.fail_fast,
        damaged: false,
        probing: false,
    }
}

/// Each source's transport settings, with what the command line says.
fn settings(manifest: &Manifest, options: &Options) -> Vec<Http> {
    let with_options = |source: &Source| {
        let mut http = source.http.clone();
        if let Some(retries) = options.retries {
            http.retries = retries;
        }
        if let Some(jobs) = options.jobs {
            // Who names a number means it also for a single host, unless the manifest bounds that.
            http.connections_per_host = match http.connections_per_host {
                PerHost::Auto => PerHost::Fixed(jobs),
                PerHost::Fixed(bound) => PerHost::Fixed(bound.min(jobs)),
            };
        }
        http
    };
    manifest.sources().iter().map(with_options).collect()
}

fn needs_network(plan: &Plan) -> bool {
    plan.steps()
        .any(|(_, step)| matches!(step, Step::Do(decision) if decision.action.asks_upstream()))
}

/// Tells the plan: each action where that is asked for, then the counts.
fn tell_plan(
    manifest: &Manifest,
    options: &Options,
    plan: &Plan,
    sizes: &[(EntryIndex, u64)],
    reporter: &mut dyn Reporter,
) {
    let entries = manifest.entries();
    let size_of = |index: EntryIndex| match sizes.binary_search_by_key(&index, |&(entry, _)| entry)
    {
        Ok(place) => Some(sizes[place].1),
        Err(_) => entries.get(index).and_then(|entry| entry.size()),
    };
    let mut known_bytes = 0u64;
    let mut unknown_sizes = 0;
    let sizes_matter = !sizes.is_empty() || manifest.sources().iter().any(Source::has_sizes);
    if options.report_actions || sizes_matter {
        for (index, step) in plan.steps() {
            let decision = match step {
                Step::None => continue,
                Step::Do(decision) => decision,
                Step::Obstructed(_) => Decision::new(Action::Fetch, Reason::NotOnDisk),
            };
            let transfers = matches!(decision.action, Action::Fetch | Action::Replace);
            let size = if transfers { size_of(index) } else { None };
            if transfers {
                match size {
                    Some(size) => known_bytes = known_bytes.saturating_add(size),
                    None => unknown_sizes += 1,
                }
            }
            if options.report_actions && (decision.action != Action::Keep || options.report_kept) {
                reporter.event(&Event::Action { entry: index, decision, size });
                if let Step::Obstructed(obstacle) = step {
                    reporter.event(&Event::Finished {
                        entry: index,
                        outcome: Outcome::Failed(obstructed(obstacle)),
                        attempts: 0,
                    });
                }
            }
        }
    } else {
        unknown_sizes = plan.counts().fetch + plan.counts().replace;
    }
    for path in plan.orphans() {
        reporter.event(&Event::Orphan { path: path.clone() });
    }
    reporter.event(&Event::Planned { counts: plan.counts(), known_bytes, unknown_sizes });
}

/// Gives their outcome to all entries that nobody need be asked about.
fn settle_without_network(options: &Options, plan: &Plan, reporter: &mut Counting<'_>) {
    reporter.summary.kept = plan.counts().keep;
    for (entry, step) in plan.steps() {
        let outcome = match step {
            Step::Obstructed(obstacle) => Outcome::Failed(obstructed(obstacle)),
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
        reporter.event(&Event::Finished { entry, outcome, attempts: 0 });
    }
}

fn obstructed(obstacle: Obstacle) -> Failure {
    let kind =
        if obstacle == Obstacle::Unreadable { ErrorKind::Io } else { ErrorKind::PathConflict };
    Failure::new(kind, obstacle.describe())
        .with_hint("natsync replaces only regular files; move it away")
}

/// Counts outcomes on their way to the reporter. What is kept is counted from the plan.
struct Counting<'a> {
    reporter: &'a mut dyn Reporter,
    summary: Summary,
}

impl Reporter for Counting<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Finished { outcome, .. } = event
            && *outcome != Outcome::Kept
        {
            self.summary.count(outcome);
        }
        self.reporter.event(event);
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }
}
