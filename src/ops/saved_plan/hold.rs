//! Checks that a saved plan still applies: compares it with the inputs, a new plan and the files on
//! disk.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Saved, SavedPlan, dest_digest, digest_of, lock_of, refused};
use crate::dest::Dest;
use crate::manifest::Manifest;
use crate::manifest::entry::EntryIndex;
use crate::ops::error::RunError;
use crate::plan::{Action, Decision, Plan, Prune, Reason, Step};
use crate::rel_path::RelPath;

/// The message names at most this many differences.
const NAMED: usize = 3;

/// The differences between the saved plan and the present state.
#[derive(Default)]
struct Differences {
    first: Vec<String>,
    count: usize,
}

impl Differences {
    fn add(&mut self, path: &str, what: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(format!("`{path}` {what}"));
        }
    }

    fn into_result(self, name: &str) -> Result<(), RunError> {
        if self.count == 0 {
            return Ok(());
        }
        let mut message = format!("the saved plan of `{name}` no longer applies: ");
        message.push_str(&self.first.join(", "));
        match self.count - self.first.len() {
            0 => {}
            more => {
                let _ = write!(message, ", and {more} more differ");
            }
        }
        Err(refused(message))
    }
}

impl SavedPlan {
    /// Checks that the manifest, its inputs and its lock have not changed since the plan was saved.
    ///
    /// # Errors
    /// When one of these files has changed, or cannot be read.
    pub fn check_inputs(&self) -> Result<(), RunError> {
        let lock = lock_of(&self.recipe);
        let inputs = self.inputs.iter().map(|input| (input.file.as_path(), Some(input.sha256)));
        for (file, then) in inputs.chain([(lock.as_path(), self.lock)]) {
            let name = file.display();
            let now = digest_of(file).map_err(|error| {
                RunError::usage(format!(
                    "cannot read `{name}`, an input of the saved plan: {error}"
                ))
            })?;
            let what = match (then, now) {
                (then, now) if then == now => continue,
                (None, _) => "did not exist when the plan was made",
                (_, None) => "has been deleted since the plan was made",
                _ => "has changed since the plan was made",
            };
            return Err(refused(format!("`{name}` {what}")));
        }
        Ok(())
    }

    /// Checks that each `${..}` in the manifest still has the value with which the plan was made,
    /// unless the value is a credential.
    ///
    /// # Errors
    /// When the destination or a planned URL differs.
    pub(crate) fn check_values(&self, manifest: &Manifest) -> Result<(), RunError> {
        if self.dest != dest_digest(manifest, &self.key) {
            let name = manifest.name();
            let message = format!(
                "the saved plan of `{name}` no longer applies: it is for a destination with other values of `${{..}}`"
            );
            return Err(refused(message));
        }
        let mut differences = Differences::default();
        for saved in &self.steps {
            if let Some(entry) = manifest.entries().get(saved.entry)
                && entry.places_digest(&self.key) != saved.places
            {
                // The paths of the manifest are not checked yet.
                let mut path = String::new();
                entry.write_path(&mut path);
                differences.add(&path, "was planned with other values of `${..}`");
            }
        }
        differences.into_result(manifest.name())
    }

    /// Compares it with `plan`, which was just made from the same recipe, and copies the actions
    /// that upstream decided (`plan --refresh`) into `plan`. A file that already is what the plan wants
    /// is no difference, so a run may be repeated: `wrote` tells whether natsync put the file in place
    /// since the plan was made.
    ///
    /// A shard may have been killed after it had put files in place, and its engine runs it again. So
    /// entries of a shard that differ on disk are decided anew.
    ///
    /// # Errors
    /// When an action differs now, or a file on disk has changed since the plan was saved.
    pub(crate) fn hold_against(
        &self,
        manifest: &Manifest,
        dest: &Dest,
        wrote: &dyn Fn(&str) -> bool,
        plan: &mut Plan,
    ) -> Result<(), RunError> {
        let mut differences = Differences::default();
        let entries = manifest.entries();
        let path_of = |index: EntryIndex| {
            entries.get(index).map(|entry| entry.path().as_str().to_owned()).unwrap_or_default()
        };
        let mut saved = self.steps.iter().peekable();
        let mut settled = Vec::new();
        for (index, step) in plan.steps() {
            while let Some(lost) = saved.next_if(|saved| saved.entry < index) {
                differences.add(&path_of(lost.entry), "is no longer among the entries");
            }
            let is_kept = matches!(step, Step::Do(Decision { action: Action::Keep, .. }));
            let Some(then) = saved.next_if(|saved| saved.entry == index) else {
                if !is_kept {
                    differences.add(&path_of(index), &would(step, "kept"));
                }
                continue;
            };
            let is_done = || {
                let transfers = then.decision.action != Action::Absent && !then.obstructed;
                let asks = Decision::new(Action::Revalidate, Reason::Stale);
                transfers && (is_kept || step == Step::Do(asks) && wrote(&path_of(index)))
            };
            if !then.is_same(step) {
                if !is_done() {
                    differences.add(&path_of(index), &would(step, done_to(then.unasked)));
                }
            } else if !then.obstructed && stamp_of(dest, manifest, index) != then.stamp {
                if !is_done() {
                    differences.add(&path_of(index), "has changed on disk since the plan was made");
                }
            } else if then.decision.action != then.unasked {
                settled.push((index, then.decision));
            }
        }
        for lost in saved {
            differences.add(&path_of(lost.entry), "is no longer among the entries");
        }
        if dest.shard().is_none() {
            hold_prunes(dest, &self.prunes, plan.prunes(), &mut differences);
            differences.into_result(manifest.name())?;
        }
        for (index, decision) in settled {
            plan.set(index, Step::Do(decision));
        }
        Ok(())
    }

    /// True if the saved plan deletes the file at this path.
    pub(crate) fn prunes(&self, path: &str) -> bool {
        self.prunes.binary_search_by(|prune| prune.path.as_str().cmp(path)).is_ok()
    }
}

impl Saved {
    fn is_same(&self, step: Step) -> bool {
        match step {
            Step::Do(decision) => !self.obstructed && decision.action == self.unasked,
            Step::Obstructed(_) => self.obstructed,
            Step::None => false,
        }
    }
}

/// Compares the files to delete that the manifest no longer declares. Files that upstream no longer
/// has are not compared, because they are known only after the transfers.
fn hold_prunes(dest: &Dest, then: &[Prune], now: &[Prune], differences: &mut Differences) {
    let undeclared = |prune: &&Prune| prune.reason == Reason::NotInManifest;
    let mut left: HashMap<&str, u64> =
        then.iter().filter(undeclared).map(|prune| (prune.path.as_str(), prune.stamp)).collect();
    for prune in now {
        match left.remove(prune.path.as_str()) {
            Some(stamp) if stamp == prune.stamp => {}
            Some(_) => differences.add(&prune.path, "has changed on disk since the plan was made"),
            None => differences.add(&prune.path, "would now be pruned"),
        }
    }
    let is_there = |path: &&str| RelPath::parse(path).is_ok_and(|path| dest.stat(&path).is_ok());
    let mut left: Vec<_> = left.into_keys().filter(is_there).collect();
    left.sort_unstable();
    for path in left {
        differences.add(path, "would no longer be pruned");
    }
}

fn stamp_of(dest: &Dest, manifest: &Manifest, index: EntryIndex) -> Option<u64> {
    let entry = manifest.entries().get(index)?;
    dest.stat(&entry.path()).ok().map(|stat| stat.stamp())
}

fn would(step: Step, then: &str) -> String {
    let now = match step {
        Step::Do(decision) => done_to(decision.action),
        Step::Obstructed(obstacle) => {
            return format!("was to be {then}, and now {}", obstacle.describe());
        }
        Step::None => "left out",
    };
    format!("was to be {then}, and would now be {now}")
}

fn done_to(action: Action) -> &'static str {
    match action {
        Action::Fetch => "fetched",
        Action::Replace => "replaced",
        Action::Revalidate => "revalidated",
        Action::Keep => "kept",
        Action::Absent => "left absent",
        Action::Prune => "pruned",
    }
}
