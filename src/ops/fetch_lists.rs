//! Checksum lists: fetched before anything is decided, and read again where they contradict the bytes.

use std::collections::HashSet;

use super::{settings, work};
use crate::dest::state::State;
use crate::event::{Event, Outcome, Phase, Reporter};
use crate::manifest::ListPlace;
use crate::manifest::entry::{EntryIndex, Form};
use crate::ops::error::RunError;
use crate::ops::scope::Scope;
use crate::pin::checksum_lists::{Lists, Lost};
use crate::plan::{Plan, Step};
use crate::transfer::{Disputed, Executed, Purpose, Work, execute};

/// Fetches the lists that decide on a chosen entry, on condition that they changed. Answers those that
/// cannot be had.
///
/// # Errors
/// When the lock cannot be read.
pub(super) fn fetch_all(
    scope: Scope<'_>,
    state: &State,
    reporter: &mut dyn Reporter,
) -> Result<Lost, RunError> {
    let wanted = wanted(scope)?;
    Ok(fetch(scope, state, &wanted, false, reporter))
}

/// Chosen entries that name a list, one for each.
fn wanted(scope: Scope<'_>) -> Result<Vec<EntryIndex>, RunError> {
    let Scope { manifest, options, pins, stop, .. } = scope;
    let mut wanted = Vec::new();
    let mut seen = HashSet::new();
    let mut path = String::new();
    for (number, source) in manifest.sources().iter().enumerate() {
        let Some(published) = &source.published else { continue };
        let Some(template) = published.place.template() else { continue };
        let is_sidecar = matches!(published.place, ListPlace::Sidecar(_));
        let is_one = template.is_constant();
        for entry in manifest.entries().within(manifest.entries().source_range(number)) {
            if stop.is_requested() {
                return Ok(Vec::new());
            }
            path.clear();
            entry.write_path(&mut path);
            let is_chosen = options.selection.matches(source, &path);
            if !is_chosen || !pins.wants_list(&entry, &path)? {
                continue;
            }
            let url = entry.list_url(Form::Sent).unwrap_or_default();
            if is_sidecar || seen.insert((number, url)) {
                wanted.push(entry.index());
            }
            // Whoever comes next names the same.
            if is_one && !is_sidecar {
                break;
            }
        }
    }
    Ok(wanted)
}

fn fetch(
    scope: Scope<'_>,
    state: &State,
    wanted: &[EntryIndex],
    anew: bool,
    reporter: &mut dyn Reporter,
) -> Lost {
    if wanted.is_empty() || scope.stop.is_requested() {
        return Lost::new();
    }
    reporter.event(&Event::Phase { phase: Phase::Lists, total: Some(wanted.len() as u64) });
    let settings = settings(scope.manifest, scope.options);
    let nothing = Plan::with_bound(scope.manifest.entries().bound());
    let purpose = Purpose::Lists { of: wanted, anew };
    let work = Work { state: Some(state), purpose, ..work(scope, &nothing, &settings) };
    execute(&work, reporter).lists
}

/// Settles entries whose bytes are not those of their list. The list may be older than the file, as
/// on a mirror in the middle of an update: it is read once more, and where it says something else then,
/// the entry is tried again.
///
/// # Errors
/// When the lock cannot be read.
pub(super) fn settle(
    scope: Scope<'_>,
    state: &State,
    plan: &Plan,
    executed: Executed,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    let Executed { disputed, halted, .. } = executed;
    if disputed.is_empty() {
        return Ok(());
    }
    if halted || scope.stop.is_requested() {
        for disputed in disputed {
            fail(disputed, reporter);
        }
        return Ok(());
    }
    let entries = scope.manifest.entries();
    let mut seen = HashSet::new();
    let named: Vec<_> =
        disputed.iter().filter_map(|disputed| entries.get(disputed.entry)).collect();
    let wanted: Vec<_> = named
        .iter()
        .filter(|entry| seen.insert((entry.source_index(), entry.list_url(Form::Sent))))
        .map(crate::manifest::entry::Entry::index)
        .collect();
    let lost = fetch(scope, state, &wanted, true, reporter);
    let pins = scope.pins.with_lists(Lists::fetched(state, lost));
    let mut again = Plan::with_bound(plan.bound());
    for disputed in disputed {
        let index = disputed.entry;
        let Some(entry) = entries.get(index) else { continue };
        let path = entry.path();
        let (before, now) =
            (scope.pins.of(&entry, path.as_str())?, pins.of(&entry, path.as_str())?);
        if before != now && matches!(now, crate::pin::Pinned::To(_)) && !scope.stop.is_requested() {
            again.set(index, plan.step(index));
            continue;
        }
        fail(disputed, reporter);
    }
    if again.steps().any(|(_, step)| step != Step::None) {
        let total = again.counts().entries();
        reporter.event(&Event::Phase { phase: Phase::Transferring, total: Some(total) });
        let scope = Scope { pins: &pins, ..scope };
        let settings = settings(scope.manifest, scope.options);
        execute(&Work { state: Some(state), ..work(scope, &again, &settings) }, reporter);
    }
    Ok(())
}

fn fail(disputed: Disputed, reporter: &mut dyn Reporter) {
    let Disputed { entry, failure, attempts } = disputed;
    let hint = "the mirror may be in the middle of an update; try again later";
    let outcome = Outcome::Failed(failure.with_hint(hint));
    reporter.event(&Event::Finished { entry, outcome, attempts });
}
