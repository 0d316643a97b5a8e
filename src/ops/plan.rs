//! `plan`: what `apply` would do.

use std::io::Write;

use super::{
    Looked, Means, Options, lacked_lists, look, needs_network, obstructed, with_pins, work,
};
use crate::dest::Dest;
use crate::dest::state::State;
use crate::event::{Event, Outcome, Phase, Reporter, warn};
use crate::manifest::entry::{Entries, Entry, EntryIndex, Form};
use crate::manifest::{Manifest, Source, host_of};
use crate::ops::decide_all::{make_plan, scan};
use crate::ops::error::RunError;
use crate::ops::saved_plan::{self, Details, Recipe};
use crate::ops::scope::Scope;
use crate::plan::{Action, Decision, Plan, Reason, Share, Shares, Step};
use crate::stop::Stop;
use crate::transfer::{self, Questions};

/// Plans what [`apply`](super::apply()) would do. Writes nothing, and makes no request unless
/// `refresh` is set.
///
/// # Errors
/// When entries of the manifest collide, the options select no entry, or the destination cannot be
/// read.
pub fn plan(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Plan, RunError> {
    let looked = look(manifest, options, reporter)?;
    let pins = looked.pins(manifest);
    let Looked { hashes, lock, dest, state } = &looked;
    super::lock_drift::check_locked(manifest, options, lock.as_ref())?;
    let scope = Scope { manifest, options, pins: &pins, dest: dest.as_ref(), stop };
    let scan = scan(scope, state.as_ref(), hashes, reporter);
    let damaged = scan.damaged;
    let mut plan = make_plan(scope, scan, &|_| {}, reporter)?;
    if let Some(state) = state.as_ref().filter(|_| !damaged) {
        super::ownership::warn_of_shared_paths(manifest, state, hashes, reporter);
    }
    warn(reporter, lacked_lists(&pins));
    if damaged {
        warn(reporter, Some(super::DAMAGED.to_owned()));
    }
    if options.refresh && !options.offline && !stop.is_requested() {
        let state = state.as_ref().filter(|_| !damaged);
        refresh(scope, state, &mut plan, reporter);
    }
    if let (Some(dest), Some(state)) = (dest.as_ref(), state.as_ref().filter(|_| !damaged)) {
        let is_absent = |step| matches!(step, Step::Do(Decision { action: Action::Absent, .. }));
        let absent = plan.steps().filter_map(|(entry, step)| is_absent(step).then_some(entry));
        let gone = super::prune::gone(scope, dest, state, absent);
        plan.add_prunes(gone);
    }
    if let Some(refusal) = plan.refusal() {
        let hint = refusal.hint.as_deref().unwrap_or_default();
        warn(reporter, Some(format!("{}; {hint}", refusal.message)));
    }
    // Do not report an interrupted plan.
    if !stop.is_requested() {
        tell_plan(scope, &mut plan, reporter);
    }
    Ok(plan)
}

/// Saves a plan that was made with this recipe, for [`apply_saved`](super::apply_saved()).
///
/// # Errors
/// When the lock or the destination cannot be read, or nothing can be written.
pub fn save_plan(
    recipe: &Recipe,
    manifest: &Manifest,
    plan: &Plan,
    to: &mut dyn Write,
) -> Result<(), RunError> {
    let dest = Dest::open(manifest)?;
    let stamp = |entry: &Entry<'_>| Some(dest.as_ref()?.stat(&entry.path()).ok()?.stamp());
    let written = with_pins(manifest, |pinned| {
        let size = |entry: &Entry<'_>| pinned(entry).ok()?.pin()?.size;
        saved_plan::write(recipe, manifest, plan, &Details { stamp: &stamp, size: &size }, to)
    })?;
    written.map_err(|source| RunError::Unwritable { what: "the plan", source })
}

/// Asks upstream about each entry that needs it, and puts the answers into the plan.
fn refresh(scope: Scope<'_>, state: Option<&State>, plan: &mut Plan, reporter: &mut dyn Reporter) {
    if !needs_network(plan) {
        return;
    }
    let total = plan.counts().fetch + plan.counts().replace + plan.counts().revalidate;
    reporter.event(&Event::Phase { phase: Phase::Refreshing, total: Some(total) });
    let means = Means::new(scope);
    let questions = Questions { plan, dest: scope.dest, state };
    let probes = transfer::probe(&work(scope, &means), questions, reporter);
    plan.tell(probes.into_iter().map(|(entry, probed)| (entry, probed.decision, probed.size)));
}

/// Reports the plan: each action if the options ask for that, then the counts.
pub(super) fn tell_plan(scope: Scope<'_>, plan: &mut Plan, reporter: &mut dyn Reporter) {
    let Scope { manifest, options, pins, .. } = scope;
    let entries = manifest.entries();
    let size_of = |index: EntryIndex| {
        let pinned = || entries.get(index).and_then(|entry| pins.size(&entry));
        plan.size_told(index).or_else(pinned)
    };
    let mut known_bytes = 0u64;
    let mut unknown_sizes = 0;
    let mut shares = None;
    let sizes_matter =
        plan.has_sizes() || pins.has_lock() || manifest.sources().iter().any(Source::has_sizes);
    if options.report_actions || sizes_matter {
        let mut parts = Parts::new(manifest);
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
            if options.report_actions {
                parts.add(index, step, size);
            }
            if options.report_actions && (decision.action != Action::Keep || options.report_kept) {
                reporter.event(&Event::Action { entry: index, decision, size });
                if let (Step::Obstructed(obstacle), Some(entry)) = (step, entries.get(index)) {
                    reporter.event(&Event::Finished {
                        entry: index,
                        outcome: Outcome::Failed(obstructed(obstacle, &entry, pins)),
                        attempts: 0,
                        received: 0,
                    });
                }
            }
        }
        shares = options.report_actions.then(|| parts.finish());
    } else {
        unknown_sizes = plan.counts().fetch + plan.counts().replace;
    }
    for prune in plan.prunes() {
        reporter.event(&Event::Prune { path: prune.path.clone(), reason: prune.reason });
    }
    for path in plan.orphans() {
        reporter.event(&Event::Orphan { path: path.clone() });
    }
    reporter.event(&Event::Planned { counts: plan.counts(), known_bytes, unknown_sizes });
    if let Some(event) = lacking_space(manifest, known_bytes) {
        reporter.event(&event);
    }
    if let Some(shares) = shares {
        plan.set_shares(shares);
    }
}

/// The event of a plan that does not fit the disk. The run goes on all the same: replaced files may
/// make room, and some file systems compress.
fn lacking_space(manifest: &Manifest, needed: u64) -> Option<Event> {
    if needed == 0 {
        return None;
    }
    let free = Dest::space_at(manifest.dest())?;
    let dest = || manifest.shown_dest().to_owned();
    (free < needed).then(|| Event::LackingSpace { dest: dest(), needed, free })
}

/// The host of a URL in its shown form, which may begin with an environment variable that holds the
/// host: then the variable stands for it.
fn shown_host(url: &str) -> &str {
    let variable = || url.starts_with("${").then(|| url.split_inclusive('}').next()).flatten();
    let start = || url.split(['/', '?', '#']).next();
    host_of(url).or_else(variable).or_else(start).unwrap_or(url)
}

/// Counts a plan by source and by host.
struct Parts<'a> {
    entries: Entries<'a>,
    shares: Shares,
    /// For each source whose entries have one host: that host, and the share of the plan that needs
    /// it.
    hosts: Vec<Option<(String, Share)>>,
}

impl<'a> Parts<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let sources = manifest.sources();
        let host = |source: &Source| Some((source.host()?, Share::default()));
        let hosts = sources.iter().map(host).collect();
        Self { entries: manifest.entries(), shares: Shares::new(sources.len()), hosts }
    }

    fn add(&mut self, index: EntryIndex, step: Step, size: Option<u64>) {
        let (action, obstructed) = match step {
            Step::None => return,
            Step::Do(decision) => (decision.action, false),
            Step::Obstructed(_) => (Action::Fetch, true),
        };
        let source = self.entries.source_of(index);
        self.shares.sources[source].add(action, obstructed, size);
        if obstructed || !action.asks_upstream() {
            return;
        }
        if let Some((_, share)) = &mut self.hosts[source] {
            return share.add(action, false, size);
        }
        if let Some(entry) = self.entries.get(index) {
            let url = entry.url(Form::Shown);
            self.shares.host(shown_host(&url)).add(action, false, size);
        }
    }

    fn finish(mut self) -> Shares {
        for (host, share) in self.hosts.into_iter().flatten() {
            if share.counts.entries() != 0 {
                self.shares.host(&host).merge(&share);
            }
        }
        self.shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_stands_for_the_host_that_it_holds() {
        for (url, host) in [
            ("${BASE}/1?k=${K}", "${BASE}"),
            ("${BASE}1.txt", "${BASE}"),
            ("${URL}", "${URL}"),
            ("http://${HOST}/1", "${HOST}"),
            ("http://u@h:8/1", "h:8"),
        ] {
            assert_eq!(shown_host(url), host);
        }
    }
}
