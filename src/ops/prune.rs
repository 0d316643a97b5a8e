//! Pruning: deletes files that the manifest no longer declares or that upstream no longer has.
//!
//! It comes last in a run. It deletes only files that natsync downloaded for this manifest and that
//! are unchanged since; a file in doubt stays.

use std::collections::HashSet;

use crate::dest::state::{Fingerprint, Note, State};
use crate::dest::{Dest, Stat};
use crate::digest::Digest;
use crate::event::{Event, Reporter, Summary, warn};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::EntryIndex;
use crate::manifest::{OnMissing, Orphans, Quota, first_half};
use crate::ops::scope::Scope;
use crate::plan::{Plan, Prune, Reason};
use crate::rel_path::{RelPath, path_hash};
use crate::stop::Stop;

/// The default limit of a run, in files.
const COUNT: u64 = 100;
/// The default limit of a run, in percent of the files on disk that natsync wrote. The larger limit
/// counts.
const SHARE: f64 = 20.0;

/// Whether a run over all entries may delete files at all.
pub(super) fn is_wanted(scope: Scope<'_>) -> bool {
    let Scope { manifest, options, .. } = scope;
    let prunes_missing = || {
        manifest.sources().iter().any(|source| source.on_missing == OnMissing::Prune)
            && options.prune != Some(false)
    };
    options.prune.unwrap_or(manifest.orphans() == Orphans::Prune) || prunes_missing()
}

/// Deletes the files that the plan names, if no entry failed.
pub(super) fn prune(
    scope: Scope<'_>,
    dest: &Dest,
    state: &State,
    plan: &Plan,
    so_far: &Summary,
    gone: &[Prune],
    reporter: &mut dyn Reporter,
) {
    if scope.stop.is_requested() {
        return;
    }
    if let Some(failure) = plan.refusal() {
        reporter.event(&Event::Unpruned { path: None, failure: failure.clone() });
    }
    let prunes: Vec<_> = plan.prunes().iter().chain(gone).collect();
    if prunes.is_empty() {
        return;
    }
    if !so_far.is_success() || so_far.entries == 0 {
        let message = "files that would be deleted stay for now, since not all else is as declared";
        return warn(reporter, Some(message.to_owned()));
    }
    let allowed = scope.options.max_delete.or(scope.manifest.max_delete());
    let refused = check_limit(prunes.len() as u64, plan.managed(), allowed).err();
    let refused = refused.or_else(|| moved(dest, state));
    if let Some(failure) = refused {
        return reporter.event(&Event::Unpruned { path: None, failure });
    }
    let mut notes = Vec::new();
    for Prune { path, stamp, .. } in prunes {
        if scope.stop.is_requested() {
            break;
        }
        let Ok(checked) = RelPath::parse(path) else { continue };
        match dest.remove(&checked, *stamp) {
            Ok(true) => {
                notes.push(Note::Forget { path: path.clone() });
                reporter.event(&Event::Pruned { path: path.clone() });
            }
            // The file changed since the plan was made: it stays.
            Ok(false) => {}
            Err(error) => {
                let failure = Failure::disk("delete the file", &error);
                reporter.event(&Event::Unpruned { path: Some(path.clone()), failure });
            }
        }
    }
    if notes.is_empty() {
        return;
    }
    // Stale records of deleted files are harmless: the next run removes them.
    if dest.sync().is_err() || state.note(&notes).is_err() {
        let message = "the state cannot be written; the next run will look for deleted files again";
        warn(reporter, Some(message.to_owned()));
    }
}

/// Local files of entries that upstream does not have, from sources with `on_missing: prune`.
pub(super) fn gone(
    scope: Scope<'_>,
    dest: &Dest,
    state: &State,
    absent: impl IntoIterator<Item = EntryIndex>,
) -> Vec<Prune> {
    let Scope { manifest, options, pins, stop, .. } = scope;
    let goes = |on_missing| on_missing == OnMissing::Prune;
    let is_anywhere = manifest.sources().iter().any(|source| goes(source.on_missing));
    // `lock` deletes nothing.
    if !is_anywhere || pins.is_for_lock() || options.prune == Some(false) {
        return Vec::new();
    }
    let absent = absent.into_iter().filter_map(|index| manifest.entries().get(index));
    let paths = absent.filter(|entry| goes(entry.source().on_missing)).map(|entry| entry.path());
    let found = paths.filter_map(|path| {
        let recorded = state.written(path.as_str())?;
        look(dest, path.as_str(), &recorded, Reason::MissingUpstream, stop)
    });
    let mut found: Vec<_> = found.collect();
    let half = |prune: &Prune| first_half(path_hash(&prune.path));
    let mut free: HashSet<_> = found.iter().map(half).collect();
    if !free.is_empty() {
        // Another manifest may get the file from elsewhere.
        state.claims_of_others(|_, half| {
            free.remove(&half);
        });
    }
    found.retain(|prune| free.contains(&half(prune)));
    found
}

/// Refuses if the destination is not where its state was made: other programs may have put files
/// there.
fn moved(dest: &Dest, state: &State) -> Option<Failure> {
    let here = dest.place();
    if state.is_at(&here) {
        return None;
    }
    // The next run accepts this path.
    let _ = state.note(&[Note::Place { path: here }]);
    let message =
        "the destination is not where it was when its files were written; nothing was deleted";
    Some(
        Failure::new(ErrorKind::PruneRefused, message)
            .with_hint("if that is right, run it again: this is its place from now on"),
    )
}

/// Checks a file that may be deleted. None unless the file certainly is the recorded one.
pub(super) fn look(
    dest: &Dest,
    path: &str,
    recorded: &Fingerprint,
    reason: Reason,
    stop: &Stop,
) -> Option<Prune> {
    let checked = RelPath::parse(path).ok()?;
    let stat = dest.stat(&checked).ok().filter(Stat::is_file)?;
    let reads_the_same = || {
        let file = dest.read(&checked).ok()?;
        let (digest, _) = Digest::of_reader(file, || !stop.is_requested()).ok()?;
        Some(digest == recorded.sha256 && dest.stat(&checked).ok()? == stat)
    };
    let is_same = recorded.compare(&stat).is_proof() || reads_the_same() == Some(true);
    is_same.then(|| Prune { path: path.to_owned(), reason, stamp: stat.stamp() })
}

/// Refuses to delete more files than the limit allows. `managed` is the number of files on disk that
/// natsync wrote.
///
/// # Errors
/// `prune_refused`; then no file is deleted.
fn check_limit(prunes: u64, managed: u64, allowed: Option<Quota>) -> Result<(), Failure> {
    let share = |percent: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of files is no larger than it"
        )]
        let share = (managed as f64 * percent / 100.0).floor() as u64;
        share
    };
    let most = match allowed {
        Some(Quota::Count(count)) => count,
        Some(Quota::Percent(percent)) => share(percent),
        None => COUNT.max(share(SHARE)),
    };
    if prunes <= most {
        return Ok(());
    }
    let message = format!(
        "{prunes} files of {managed} are no longer declared or no longer upstream, and at most {most} may be deleted at a time; none was"
    );
    Err(Failure::new(ErrorKind::PruneRefused, message)
        .with_hint("`--max-delete N` allows more, if that is what you want"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_hundred_or_a_fifth() {
        let allowed = |prunes, managed, quota| check_limit(prunes, managed, quota).is_ok();
        assert!(allowed(100, 100, None) && !allowed(101, 101, None));
        assert!(allowed(200, 1000, None) && !allowed(201, 1000, None));
        assert!(allowed(5, 5, Some(Quota::Count(5))) && !allowed(6, 6, Some(Quota::Count(5))));
        assert!(!allowed(1, 1, Some(Quota::Count(0))));
        assert!(allowed(1, 10, Some(Quota::Percent(10.0))));
        assert!(!allowed(2, 10, Some(Quota::Percent(10.0))));
        assert!(!allowed(1, 9, Some(Quota::Percent(10.0))), "nine tenths are none");
    }
}
