//! Deleting what the manifest no longer declares or upstream no longer has: last of all, and not when in doubt.

use crate::dest::Dest;
use crate::dest::state::{Note, State};
use crate::event::{Event, Reporter, Summary, warn};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::OnMissing;
use crate::manifest::entry::EntryIndex;
use crate::ops::decide_all::Scope;
use crate::ops::prunable::{check_limit, look};
use crate::plan::{Plan, Prune, Reason};
use crate::rel_path::RelPath;

/// Deletes the files that the plan names, if everything else is as declared.
pub(super) fn prune(
    scope: Scope<'_>,
    dest: &Dest,
    state: &State,
    plan: &Plan,
    so_far: &Summary,
    gone: &[Prune],
    reporter: &mut dyn Reporter,
) {
    let prunes: Vec<_> = plan.prunes().iter().chain(gone).collect();
    if prunes.is_empty() || scope.stop.is_requested() {
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
            // Somebody changed it meanwhile: it is theirs now.
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
    // Rows of files that are gone only cost a look.
    if dest.sync().is_err() || state.note(&notes).is_err() {
        let message = "the state cannot be written; the next run will look for deleted files again";
        warn(reporter, Some(message.to_owned()));
    }
}

/// Files here of entries that upstream does not have, where the manifest says that they go then.
pub(super) fn gone(
    scope: Scope<'_>,
    dest: &Dest,
    state: &State,
    absent: impl IntoIterator<Item = EntryIndex>,
) -> Vec<Prune> {
    let Scope { manifest, options, pins, stop, .. } = scope;
    let goes = |on_missing| on_missing == OnMissing::Prune;
    let is_anywhere = manifest.sources().iter().any(|source| goes(source.on_missing));
    // A lock is no reason to delete.
    if !is_anywhere || pins.is_for_lock() || options.prune == Some(false) {
        return Vec::new();
    }
    let absent = absent.into_iter().filter_map(|index| manifest.entries().get(index));
    let paths = absent.filter(|entry| goes(entry.source().on_missing)).map(|entry| entry.path());
    let found = paths.filter_map(|path| {
        let written = state.written(path.as_str())?;
        look(dest, path.as_str(), &written, Reason::MissingUpstream, stop)
    });
    found.collect()
}

/// A destination that is not the one the state was made for may hold what others put there.
fn moved(dest: &Dest, state: &State) -> Option<Failure> {
    let (here, noted) = (dest.place(), state.place());
    if noted.as_deref() == Some(here.as_str()) {
        return None;
    }
    // From the next run on this is its place.
    let _ = state.note(&[Note::Place { path: here }]);
    let message =
        "the destination is not where it was when its files were written; nothing was deleted";
    Some(
        Failure::new(ErrorKind::PruneRefused, message)
            .with_hint("if that is right, run it again: this is its place from now on"),
    )
}
