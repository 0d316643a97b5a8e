//! The operations: one file for each command.
//!
//! This is the only room that knows all stages; each stage hands the next one a plain value.
//! Nothing here prints or reads the environment.

mod apply;
mod background;
mod decide_all;
pub(crate) mod error;
mod explain;
#[cfg(feature = "cli")]
pub(crate) mod export;
pub(crate) mod failures;
mod fetch_lists;
#[cfg(feature = "cli")]
pub(crate) mod find_manifests;
#[cfg(feature = "cli")]
pub(crate) mod init;
mod limits;
mod lock;
mod lock_drift;
mod merge;
mod options;
#[cfg(feature = "cli")]
pub(crate) mod overview;
mod ownership;
mod plan;
mod prune;
#[cfg(feature = "cli")]
mod report;
mod run;
pub mod saved_plan;
mod scope;
mod shards;
mod verify;

use std::time::{Duration, Instant};

use crate::dest::Dest;
use crate::dest::state::State;
pub use crate::dest::state::{FileRecord, Provenance};
use crate::dest::{DestError, RunGuard};
use crate::event::{Event, Phase, Reporter, warn};
use crate::failure::{ErrorKind, Failure};
pub use crate::http::rewrite::{Rewrite, RewriteError, Rewrites};
use crate::http::{Clock, Internet};
use crate::manifest::entry::Entry;
use crate::manifest::{Http, Input, Manifest, PathHashes};
use crate::ops::background::in_background;
use crate::ops::scope::Scope;
use crate::pin::Pinned;
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::Lock;
use crate::pin::lookup::Pins;
use crate::plan::{Obstacle, Plan, Step};
use crate::stop::Stop;
use crate::transfer::Work;
pub use apply::{apply, apply_saved};
pub use error::{ExitStatus, RunError};
pub use explain::{Explanation, Listed, Locked, Noted, NotedFailure, explain};
pub use lock::{LockReport, lock};
pub use lock_drift::{Drift, Named, lock_drift};
#[cfg(feature = "cli")]
pub(crate) use merge::date;
pub use merge::{MergeOptions, MergeReport, merge, missing_shards};
pub use options::{Environment, Options};
pub use plan::{plan, save_plan};
#[cfg(feature = "cli")]
pub(crate) use report::overview;
pub use verify::{Findings, verify};

/// The warning of a command that only looks.
const DAMAGED: &str = "the state is damaged; files are read instead";

/// The interval at which `wait` tries to take the run guard.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// Reads the lock beside a manifest, if there is one.
fn read_lock(manifest: &Manifest) -> Result<Option<Lock>, RunError> {
    Ok(Lock::read(&crate::pin::lock::file_of(manifest.file()), manifest.name())?)
}

/// What a command has before it looks at the destination or makes a request.
struct Prepared {
    began: Instant,
    /// Hashes of the paths of all entries.
    hashes: PathHashes,
    lock: Option<Lock>,
}

impl Prepared {
    /// Reads again what may have changed while the run waited for the destination. Call it under the
    /// run guard.
    ///
    /// # Errors
    /// When the manifest or a file that it names has changed, or the lock is wrong now.
    fn refresh(&mut self, manifest: &Manifest) -> Result<(), RunError> {
        // The first input is the manifest, whose text may come from a pipe or from the caller.
        let skipped = usize::from(!manifest.is_loaded());
        for Input { file, sha256 } in manifest.inputs().into_iter().skip(skipped) {
            if !matches!(saved_plan::digest_of(&file), Ok(Some(now)) if now == sha256) {
                return Err(RunError::Usage {
                    message: format!("`{}` has changed since this run began", file.display()),
                    hint: Some("nothing was touched; run it again".to_owned()),
                });
            }
        }
        let is_current = match &self.lock {
            Some(lock) => lock.is_current(),
            None => !crate::pin::lock::file_of(manifest.file()).exists(),
        };
        if !is_current {
            self.lock = read_lock(manifest)?;
        }
        Ok(())
    }
}

/// Checks every path once, reads the lock in parallel, and makes sure that the options select an
/// entry.
#[expect(clippy::disallowed_methods, reason = "the time that a run takes")]
fn prepare(
    manifest: &Manifest,
    options: &Options,
    reporter: &mut dyn Reporter,
) -> Result<Prepared, RunError> {
    let began = Instant::now();
    reporter.event(&Event::Phase { phase: Phase::Expanding, total: None });
    let (checked, lock) = in_background(reporter, |_| {
        std::thread::scope(|scope| {
            let lock = scope.spawn(|| read_lock(manifest));
            let checked = manifest.check();
            (checked, lock.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    });
    let hashes = checked?;
    // A typing error in a pattern must not look like a run with nothing to do.
    options.selection.look_at(manifest);
    if let Some(error) = options.selection.unmatched(manifest) {
        return Err(error.into());
    }
    Ok(Prepared { began, hashes, lock: lock? })
}

/// What a command that only looks works with.
struct Looked {
    hashes: PathHashes,
    lock: Option<Lock>,
    /// None if the destination does not exist yet.
    dest: Option<Dest>,
    /// None if there is no state that can be used.
    state: Option<State>,
}

/// Prepares a command that only looks: opens the destination and its state without writing.
fn look(
    manifest: &Manifest,
    options: &Options,
    reporter: &mut dyn Reporter,
) -> Result<Looked, RunError> {
    let Prepared { hashes, lock, .. } = prepare(manifest, options, reporter)?;
    let dest = Dest::open_as(manifest, options.selection.shard())?;
    let claim = ownership::claim(manifest, options, &hashes);
    let opened = dest.as_ref().map(|dest| State::look(dest, &claim));
    let state = opened.and_then(|opened| {
        warn(reporter, opened.warning);
        opened.value
    });
    Ok(Looked { hashes, lock, dest, state })
}

impl Looked {
    /// The pins, with the checksum lists of the last run.
    fn pins<'a>(&'a self, manifest: &'a Manifest) -> Pins<'a> {
        let lists = Lists::kept(self.state.as_ref().map(|state| state as _));
        Pins::new(manifest, self.lock.as_ref()).with_lists(lists)
    }
}

fn acquire(dest: &Dest, wait: bool, stop: &Stop) -> Result<RunGuard, RunError> {
    loop {
        match RunGuard::acquire(dest) {
            Err(DestError::Busy { .. }) if wait && !stop.is_requested() => {
                std::thread::sleep(WAIT_STEP);
            }
            acquired => return Ok(acquired?),
        }
    }
}

/// What transfers need beside the scope of a command.
struct Means<'a> {
    /// The transport settings of each source.
    settings: Vec<Http>,
    network: Internet<'a>,
}

impl<'a> Means<'a> {
    fn new(scope: Scope<'a>) -> Self {
        let settings = limits::settings(scope.manifest, scope.options);
        Self { settings, network: Internet::new(scope.options.environment.lookup()) }
    }
}

fn work<'a>(scope: Scope<'a>, means: &'a Means<'a>) -> Work<'a> {
    let Scope { manifest, options, pins, stop, .. } = scope;
    Work {
        manifest,
        pins,
        rewrites: &options.rewrites,
        stop,
        settings: &means.settings,
        connections: options.jobs.unwrap_or(manifest.http().connections),
        rate_limit: limits::rate(manifest, options),
        is_shard: options.selection.shard().is_some(),
        fail_fast: options.fail_fast,
        network: &means.network,
        clock: Clock::system(),
        seed: fastrand::u64(..),
    }
}

/// The warning for checksum lists that no run has fetched yet.
fn lacked_lists(pins: &Pins<'_>) -> Option<String> {
    let message = "checksum lists that no run has fetched yet are not taken into account";
    pins.lacked_lists().then(|| message.to_owned())
}

fn needs_network(plan: &Plan) -> bool {
    plan.steps()
        .any(|(_, step)| matches!(step, Step::Do(decision) if decision.action.asks_upstream()))
}

/// Calls `look` with a function that looks up the pin of an entry in the manifest, the lock and the
/// checksum lists of the last run. Makes no request and changes nothing.
///
/// # Errors
/// When the lock is wrong or the destination cannot be read.
pub fn with_pins<T>(
    manifest: &Manifest,
    look: impl FnOnce(&dyn Fn(&Entry<'_>) -> Result<Pinned, RunError>) -> T,
) -> Result<T, RunError> {
    let lock = read_lock(manifest)?;
    let has_lists = manifest.sources().iter().any(|source| source.published.is_some());
    let dest = if has_lists { Dest::open(manifest)? } else { None };
    let state = dest.as_ref().and_then(|dest| State::look_only(dest).value);
    let lists = Lists::kept(state.as_ref().map(|state| state as _));
    let pins = Pins::new(manifest, lock.as_ref()).with_lists(lists);
    Ok(look(&|entry| Ok(pins.of(entry, entry.path().as_str())?)))
}

fn obstructed(obstacle: Obstacle, entry: &Entry<'_>, pins: &Pins<'_>) -> Failure {
    if obstacle == Obstacle::NoList
        && let Some(failure) = pins.list_failure(entry)
    {
        return failure;
    }
    let (kind, hint) = match obstacle {
        Obstacle::Unreadable => (ErrorKind::Io, None),
        Obstacle::Unlisted | Obstacle::Ambiguous | Obstacle::NoList => (
            ErrorKind::Unlisted,
            Some(
                "names count by their path relative to the list; `checksums: {match: name}` compares the last component alone, and `checksums: {optional: true}` allows files without a digest",
            ),
        ),
        _ => (ErrorKind::PathConflict, Some("natsync replaces only regular files; move it away")),
    };
    let failure = Failure::new(kind, obstacle.describe());
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
