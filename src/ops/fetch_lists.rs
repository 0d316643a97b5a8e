//! Fetches checksum lists before anything is decided, and once more if they contradict downloaded
//! bytes.

use std::collections::HashSet;

use super::{Means, work};
use crate::dest::Dest;
use crate::dest::state::State;
use crate::event::{Event, Outcome, Phase, Reporter};
use crate::manifest::ListPlace;
use crate::manifest::entry::{EntryIndex, Form};
use crate::ops::error::RunError;
use crate::ops::scope::Scope;
use crate::pin::checksum_lists::{Lists, Lost};
use crate::plan::{Plan, Step};
use crate::transfer::{self, Disputed, Fetched, Files};

/// Fetches the lists that pin a selected entry, by conditional requests. Returns those that cannot
/// be fetched.
///
/// # Errors
/// When the lock cannot be read.
pub(super) fn fetch_all(
    scope: Scope<'_>,
    (dest, state): (&Dest, &State),
    reporter: &mut dyn Reporter,
) -> Result<Lost, RunError> {
    let wanted = wanted(scope)?;
    Ok(fetch(scope, (dest, state), &wanted, false, reporter))
}

/// One selected entry for each list.
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
            // All further entries of this source have the same list.
            if is_one && !is_sidecar {
                break;
            }
        }
    }
    Ok(wanted)
}

fn fetch(
    scope: Scope<'_>,
    (dest, state): (&Dest, &State),
    wanted: &[EntryIndex],
    anew: bool,
    reporter: &mut dyn Reporter,
) -> Lost {
    if wanted.is_empty() || scope.stop.is_requested() {
        return Lost::new();
    }
    reporter.event(&Event::Phase { phase: Phase::Lists, total: Some(wanted.len() as u64) });
    let means = Means::new(scope);
    let lists = transfer::Lists { dest, state, of: wanted, anew };
    transfer::fetch_lists(&work(scope, &means), lists, reporter)
}

/// Settles entries whose bytes contradict their list. The list may be older than the file, as on a
/// mirror in the middle of an update: it is fetched once more, and if the pin of the entry changed,
/// the entry is fetched again.
///
/// # Errors
/// When the lock cannot be read.
pub(super) fn settle(
    scope: Scope<'_>,
    (dest, state): (&Dest, &State),
    plan: &Plan,
    fetched: Fetched,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    let Fetched { disputed, halted } = fetched;
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
    let lost = fetch(scope, (dest, state), &wanted, true, reporter);
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
        let means = Means::new(scope);
        let files = Files { plan: &again, dest, state, parts: None, disputing: false };
        transfer::fetch(&work(scope, &means), files, reporter);
    }
    Ok(())
}

fn fail(disputed: Disputed, reporter: &mut dyn Reporter) {
    let Disputed { entry, failure, attempts, received } = disputed;
    let hint = "the mirror may be in the middle of an update; try again later";
    let outcome = Outcome::Failed(failure.with_hint(hint));
    reporter.event(&Event::Finished { entry, outcome, attempts, received });
}
