//! Deleting what the manifest no longer declares: last of all, and not when in doubt.

use crate::dest::Dest;
use crate::error::{ErrorKind, Failure};
use crate::event::{Event, Reporter, Summary, warn};
use crate::plan::{Plan, Prune};
use crate::prune::check_limit;
use crate::rel_path::RelPath;
use crate::state::{Note, State};
use crate::survey::Scope;

/// Deletes the files that the plan names, if everything else is as declared.
pub(super) fn prune(
    scope: Scope<'_>,
    dest: &Dest,
    state: &State,
    plan: &Plan,
    so_far: &Summary,
    reporter: &mut dyn Reporter,
) {
    let prunes = plan.prunes();
    if prunes.is_empty() || scope.stop.is_requested() {
        return;
    }
    if !so_far.is_success() || so_far.entries == 0 {
        let message =
            "files that are no longer declared stay for now, since not all is as declared";
        return warn(reporter, Some(message.to_owned()));
    }
    let allowed = scope.options.max_delete.or(scope.manifest.max_delete());
    let refused = check_limit(prunes.len() as u64, plan.managed(), allowed).err();
    let refused = refused.or_else(|| moved(dest, state));
    if let Some(failure) = refused {
        return reporter.event(&Event::Unpruned { path: None, failure });
    }
    let mut notes = Vec::new();
    for Prune { path, stamp } in prunes {
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
    // Rows of files that are gone only cost a look.
    let _ = dest.sync().map(|()| state.note(&notes));
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
