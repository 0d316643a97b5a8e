//! What must hold for every run, whatever the origins do.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::scene::{FREE, Scene};
use super::world::World;
use crate::dest::Dest;
use crate::event::{Event, Outcome, Reporter};
use crate::manifest::Manifest;
use crate::manifest::entry::{EntryIndex, Form};
use crate::plan::{Plan, Step};
use crate::transfer::execute::STEP;
use crate::transfer::probe::Probed;

/// The outcomes of a run, by entry.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) by_entry: BTreeMap<EntryIndex, Vec<Outcome>>,
    /// Requests for all of them, as they were reported.
    pub(super) attempts: usize,
    /// Origins that were given up, and when that was reported.
    downs: Vec<(String, Instant)>,
}

impl Reporter for Outcomes {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { entry, outcome, attempts, .. } => {
                self.by_entry.entry(*entry).or_default().push(outcome.clone());
                self.attempts += *attempts as usize;
            }
            Event::OriginDown { origin, .. } => self.downs.push((origin.clone(), Instant::now())),
            _ => {}
        }
    }
}

impl Outcomes {
    /// The outcome of an entry.
    pub(super) fn of(&self, entry: EntryIndex) -> Option<&Outcome> {
        self.by_entry.get(&entry).and_then(|outcomes| outcomes.first())
    }
}

/// What broke a law in a run that got files.
pub(super) fn broken(
    scene: &Scene,
    world: &World,
    manifest: &Manifest,
    dest: &Dest,
    plan: &Plan,
    outcomes: &Outcomes,
) -> Vec<String> {
    let mut broken = world.broken();
    let planned: Vec<_> = planned(plan).collect();
    // The sums of outcomes match the plan: each planned entry has one, and no other entry has any.
    for entry in &planned {
        match outcomes.by_entry.get(entry).map_or(0, Vec::len) {
            1 => {}
            count => broken.push(format!("entry {} has {count} outcomes", entry.0)),
        }
    }
    if outcomes.by_entry.len() != planned.len() {
        broken.push(format!("{} outcomes for {} entries", outcomes.by_entry.len(), planned.len()));
    }
    // A file holds the bytes of one version, whole, whatever the outcome; a success has a file.
    for entry in manifest.entries().iter() {
        let path = entry.path();
        let file = std::fs::read(dest.path().join(path.as_str()));
        let outcome = outcomes.of(entry.index());
        match (file, outcome) {
            (Ok(bytes), _) if !world.has(&format!("/{}", path.as_str()), &bytes) => {
                broken.push(format!("`{}` has bytes that no origin served", path.as_str()));
            }
            (Err(_), Some(Outcome::Downloaded(_) | Outcome::Updated(_) | Outcome::Unchanged)) => {
                broken.push(format!("`{}` is not there: {outcome:?}", path.as_str()));
            }
            _ => {}
        }
    }
    // Only a plain GET proves that a file is missing.
    for entry in manifest.entries().iter() {
        let path = entry.path();
        let is_missing = match outcomes.of(entry.index()) {
            Some(Outcome::Absent) => true,
            Some(Outcome::Failed(failure)) => matches!(failure.status, Some(404 | 410)),
            _ => false,
        };
        if is_missing && !world.is_gone(&format!("/{}", path.as_str())) {
            broken.push(format!("`{}` is missing without a proof", path.as_str()));
        }
    }
    if scene.is_fair {
        broken.extend(lost(scene, manifest, outcomes));
    }
    // Two stages and two rounds, each of a HEAD and a GET, and the hops of redirects to itself.
    let most = 64 * (scene.retries + 1 + FREE);
    let requests = world.most_requests();
    if most < requests {
        broken.push(format!("{requests} requests for one file of one host"));
    }
    broken.extend(condemned(world, outcomes));
    // Skipped entries need a reason.
    let may_skip = scene.stop_after.is_some() || scene.fail_fast;
    let skipped = outcomes.by_entry.values().flatten().any(|outcome| *outcome == Outcome::Skipped);
    if skipped && !may_skip {
        broken.push("entries were skipped without a reason".to_owned());
    }
    broken
}

/// Files that can be had and did not come.
fn lost(scene: &Scene, manifest: &Manifest, outcomes: &Outcomes) -> Vec<String> {
    let mut lost = Vec::new();
    for entry in manifest.entries().iter() {
        let url = entry.url(Form::Shown);
        let host = url.strip_prefix("http://h").and_then(|rest| rest.split('.').next());
        let number = url.rsplit('/').next();
        let (Some(host), Some(number)) = (host, number) else { continue };
        let (host, number) = (host.parse().expect("a host"), number.parse().expect("a number"));
        let outcome = outcomes.of(entry.index());
        let came = matches!(
            outcome,
            Some(Outcome::Downloaded(_) | Outcome::Updated(_) | Outcome::Unchanged)
        );
        if !came && scene.serves(host, number) {
            lost.push(format!("{url} is there, but: {outcome:?}"));
        }
    }
    lost
}

/// Origins that were given up while they served a transfer.
fn condemned(world: &World, outcomes: &Outcomes) -> Vec<String> {
    let mut condemned = Vec::new();
    for (origin, reported) in &outcomes.downs {
        let host = origin.strip_prefix("http://h").and_then(|rest| rest.split('.').next());
        let host = host.and_then(|host| host.parse().ok()).expect("a simulated origin");
        if world.served(host, *reported - 2 * STEP, *reported) {
            condemned.push(format!("{origin} was given up while it served a transfer"));
        }
    }
    condemned
}

/// What broke a law in a run that probed: an entry was probed once, or failed once, or the run was
/// stopped before.
pub(super) fn broken_by_probe(
    scene: &Scene,
    world: &World,
    plan: &Plan,
    probed: &[(EntryIndex, Probed)],
    outcomes: &Outcomes,
) -> Vec<String> {
    let mut broken = world.broken();
    broken.extend(condemned(world, outcomes));
    let may_skip = scene.stop_after.is_some() || scene.fail_fast;
    for entry in planned(plan) {
        let answers = probed.iter().filter(|(other, _)| *other == entry).count();
        match answers + outcomes.by_entry.get(&entry).map_or(0, Vec::len) {
            1 => {}
            0 if may_skip => {}
            count => broken.push(format!("entry {} was probed {count} times", entry.0)),
        }
    }
    broken
}

fn planned(plan: &Plan) -> impl Iterator<Item = EntryIndex> {
    let steps = plan.steps().filter(|(_, step)| matches!(step, Step::Do(_)));
    steps.map(|(entry, _)| entry)
}
