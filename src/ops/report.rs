//! `report`: gathers the overview of a destination and its last runs.

use jiff::Timestamp;

use super::{Prepared, lacked_lists, ownership, prepare};
use crate::dest::Dest;
use crate::dest::state::State;
use crate::event::Reporter;
use crate::manifest::{Manifest, PathHashes};
use crate::ops::decide_all::scan;
use crate::ops::error::RunError;
use crate::ops::failures::{end_of_second, failures};
use crate::ops::options::Options;
use crate::ops::overview::{Look, Overview, Survey, judge};
use crate::ops::scope::Scope;
use crate::pin::checksum_lists::Lists;
use crate::pin::lookup::Pins;
use crate::rel_path::path_hash;
use crate::stop::Stop;

/// Compares what a manifest declares with the disk and the state. Reads no file of the destination,
/// makes no request and changes nothing.
///
/// # Errors
/// When entries of the manifest collide, the options select no entry, the lock is wrong, or the
/// destination cannot be read.
pub(crate) fn overview(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Overview, RunError> {
    let Prepared { hashes, lock, .. } = prepare(manifest, options, reporter)?;
    let dest = Dest::open(manifest)?;
    let opened =
        dest.as_ref().map(|dest| State::look(dest, &ownership::claim(manifest, options, &hashes)));
    let (state, warning) = opened.map_or((None, None), |opened| (opened.value, opened.warning));
    let state = state.as_ref();
    let pins =
        Pins::new(manifest, lock.as_ref()).with_lists(Lists::kept(state.map(|state| state as _)));
    let scope = Scope { manifest, options, pins: &pins, dest: dest.as_ref(), stop };
    let scan = scan(scope, state, &hashes, reporter);
    let inventory = scan.inventory;
    let state = state.filter(|_| !scan.damaged);
    let changes = changes(state, &hashes);
    let runs = state.map(State::runs).unwrap_or_default();
    // In the first run every file is new, so marking new files would say nothing.
    let newest = runs.first().filter(|_| 1 < runs.len());
    let newest = newest.and_then(|run| Timestamp::from_millisecond(run.began).ok());
    let failures = failures(manifest, &runs);
    let mut survey = Survey::new(manifest, failures, runs, Timestamp::now());
    let damage =
        scan.damaged.then(|| "the state is damaged; the next run begins it anew".to_owned());
    for warning in warning.into_iter().chain(damage) {
        survey.warn(warning);
    }
    let mut path = String::new();
    for entry in manifest.entries().iter() {
        path.clear();
        entry.write_path(&mut path);
        if !options.selection.matches(entry.source(), &path) {
            continue;
        }
        let hash = path_hash(&path);
        let disk = inventory.look(&path, hash, false, || entry.identity());
        let changed = hashes.rank(hash).and_then(|rank| changes.get(rank)).copied();
        let changed = changed.filter(|&at| at != 0);
        let checked = disk.record.as_ref().and_then(|record| record.checked);
        let seconds = checked.max(disk.missing_since);
        let noted = seconds.map(end_of_second).max(changed);
        let failure = survey.claim(&path, noted);
        let look = Look {
            disk: &disk,
            pinned: &pins.of(&entry, &path)?,
            changed: changed.and_then(|at| Timestamp::from_millisecond(at).ok()),
            failure: failure.as_deref(),
            newest,
        };
        survey.see(&entry, &path, judge(look));
    }
    if let Some(warning) = lacked_lists(&pins) {
        survey.warn(warning);
    }
    Ok(survey.finish())
}

/// For each declared path, by its rank, when natsync put its bytes there: milliseconds since 1970,
/// or 0 if it never did.
fn changes(state: Option<&State>, hashes: &PathHashes) -> Vec<i64> {
    let mut changes = vec![0; hashes.len()];
    let read = state.map(|state| {
        state.changes(|path, at| {
            if let Some(change) =
                hashes.rank(path_hash(path)).and_then(|rank| changes.get_mut(rank))
            {
                *change = at;
            }
        })
    });
    // A damaged state gives only a part of the times; the others count as unknown.
    drop(read);
    changes
}
