//! The plan for all entries, with one byte for each entry.

use std::ops::Range;

use super::{Action, Counts, Decision, Obstacle, Reason, Shares};
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;

/// The step of a plan for one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry does not exist, or was not selected.
    None,
    /// Carry out this decision.
    Do(Decision),
    /// An obstacle: the entry fails without a request.
    Obstructed(Obstacle),
}

/// A file to delete. natsync wrote it, and either the manifest no longer declares it, or upstream
/// no longer has it and the manifest asks to delete missing files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// The path below the destination.
    pub path: String,
    /// The reason for the deletion.
    pub reason: Reason,
    /// The stamp of the file when it was found to be unchanged since natsync wrote it.
    pub stamp: u64,
}

/// A step for each selected entry, and the files that the manifest no longer declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    codes: Vec<u8>,
    counts: Counts,
    orphans: Vec<String>,
    prunes: Vec<Prune>,
    managed: u64,
    refusal: Option<Failure>,
    told: Vec<Told>,
    shares: Option<Shares>,
}

/// The answer of upstream about an entry (`plan --refresh`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    entry: EntryIndex,
    /// The action before upstream was asked.
    unasked: Action,
    /// The size upstream in bytes, if the answer had it.
    size: Option<u64>,
}

impl Plan {
    /// Makes a plan for the entry indices below `bound`, each with [`Step::None`].
    ///
    /// # Panics
    /// When `bound` exceeds the address space.
    #[must_use]
    pub fn with_bound(bound: u64) -> Self {
        let bound =
            usize::try_from(bound).expect("the limit on entries is far below the address space");
        Self { codes: vec![NONE; bound], ..Self::default() }
    }

    /// Sets the step of an entry and updates the counts.
    ///
    /// # Panics
    /// When the index is not below the bound. That cannot happen for an entry of the manifest.
    pub fn set(&mut self, entry: EntryIndex, step: Step) {
        let code = &mut self.codes[position(entry)];
        if let Some(action) = counted(decode(*code)) {
            *self.counts.slot(action) -= 1;
        }
        *code = encode(step);
        if let Some(action) = counted(step) {
            *self.counts.slot(action) += 1;
        }
    }

    /// Records the answers of upstream, with the decisions that follow from them.
    pub(crate) fn tell(
        &mut self,
        told: impl IntoIterator<Item = (EntryIndex, Decision, Option<u64>)>,
    ) {
        for (entry, decision, size) in told {
            if let Step::Do(Decision { action: unasked, .. }) = self.step(entry) {
                self.told.push(Told { entry, unasked, size });
                self.set(entry, Step::Do(decision));
            }
        }
        self.told.sort_unstable_by_key(|told| told.entry);
    }

    fn told(&self, entry: EntryIndex) -> Option<&Told> {
        let place = self.told.binary_search_by_key(&entry, |told| told.entry).ok()?;
        Some(&self.told[place])
    }

    /// The action of an entry before upstream was asked about it. `None` if upstream was not asked.
    #[must_use]
    pub fn unasked(&self, entry: EntryIndex) -> Option<Action> {
        Some(self.told(entry)?.unasked)
    }

    /// The size of an entry upstream in bytes, if upstream was asked and the answer had it.
    #[must_use]
    pub fn size_told(&self, entry: EntryIndex) -> Option<u64> {
        self.told(entry)?.size
    }

    /// True if an answer of upstream had a size.
    pub(crate) fn has_sizes(&self) -> bool {
        self.told.iter().any(|told| told.size.is_some())
    }

    /// The step of an entry; [`Step::None`] beyond the bound.
    #[must_use]
    pub fn step(&self, entry: EntryIndex) -> Step {
        self.codes.get(position(entry)).map_or(Step::None, |&code| decode(code))
    }

    /// The exclusive upper bound of the entry indices.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.codes.len() as u64
    }

    /// The number of entries for each action. Entries with an obstacle are counted as fetches.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The sorted paths of files that natsync wrote for this manifest and that are no longer
    /// declared. Files in [`Plan::prunes`] are not among them.
    #[must_use]
    pub fn orphans(&self) -> &[String] {
        &self.orphans
    }

    /// The files to delete, sorted by path.
    #[must_use]
    pub fn prunes(&self) -> &[Prune] {
        &self.prunes
    }

    /// The counts by source and by host, if the caller asked for each action.
    #[must_use]
    pub fn shares(&self) -> Option<&Shares> {
        self.shares.as_ref()
    }

    pub(crate) fn set_shares(&mut self, shares: Shares) {
        self.shares = Some(shares);
    }

    /// Why some orphans are not deleted although pruning is on: it is unclear whose files they are.
    pub(crate) fn refusal(&self) -> Option<&Failure> {
        self.refusal.as_ref()
    }

    pub(crate) fn set_refusal(&mut self, refusal: Option<Failure>) {
        self.refusal = refusal;
    }

    /// The number of files on disk that natsync wrote for this manifest.
    pub(crate) fn managed(&self) -> u64 {
        self.managed
    }

    pub(crate) fn set_managed(&mut self, managed: u64) {
        self.managed = managed;
    }

    /// Adds files to delete; keeps them sorted and updates the counts.
    pub(crate) fn add_prunes(&mut self, prunes: Vec<Prune>) {
        self.prunes.extend(prunes);
        self.prunes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        self.counts.prune = self.prunes.len() as u64;
    }

    /// Sets the orphans, which must be sorted.
    pub fn set_orphans(&mut self, orphans: Vec<String>) {
        self.orphans = orphans;
    }

    /// The selected entries with their steps, in order, whose indices are in a range.
    pub fn steps_in(&self, range: Range<u64>) -> impl Iterator<Item = (EntryIndex, Step)> {
        let at = |index| position(EntryIndex(index)).min(self.codes.len());
        self.codes[at(range.start)..at(range.end.max(range.start))]
            .iter()
            .zip(range.start..)
            .filter(|&(&code, _)| code != NONE)
            .map(|(&code, index)| (EntryIndex(index), decode(code)))
    }

    /// All selected entries with their steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = (EntryIndex, Step)> {
        self.steps_in(0..self.codes.len() as u64)
    }
}

const NONE: u8 = 0;
const OBSTRUCTED: u8 = 0xf0;
const OBSTACLES: [Obstacle; 8] = [
    Obstacle::Symlink,
    Obstacle::Directory,
    Obstacle::Special,
    Obstacle::Parent,
    Obstacle::Unreadable,
    Obstacle::Unlisted,
    Obstacle::Ambiguous,
    Obstacle::NoList,
];

#[expect(
    clippy::cast_possible_truncation,
    reason = "an index beyond the address space is beyond the plan"
)]
fn position(entry: EntryIndex) -> usize {
    entry.0 as usize
}

fn counted(step: Step) -> Option<Action> {
    match step {
        Step::None => None,
        Step::Do(decision) => Some(decision.action),
        Step::Obstructed(_) => Some(Action::Fetch),
    }
}

/// Encodes a step as a byte. 6 actions times 12 reasons, counted from 1, stay below [`OBSTRUCTED`].
#[expect(clippy::cast_possible_truncation, reason = "both numbers are below 16")]
fn encode(step: Step) -> u8 {
    match step {
        Step::None => NONE,
        Step::Do(Decision { action, reason }) => {
            1 + action as u8 * Reason::ALL.len() as u8 + reason as u8
        }
        Step::Obstructed(obstacle) => OBSTRUCTED + obstacle as u8,
    }
}

fn decode(code: u8) -> Step {
    match code {
        NONE => Step::None,
        OBSTRUCTED.. => Step::Obstructed(OBSTACLES[usize::from(code - OBSTRUCTED)]),
        _ => {
            let number = usize::from(code - 1);
            Step::Do(Decision {
                action: Action::ALL[number / Reason::ALL.len()],
                reason: Reason::ALL[number % Reason::ALL.len()],
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_its_byte() {
        let mut steps = vec![Step::None];
        steps.extend(OBSTACLES.map(Step::Obstructed));
        for action in Action::ALL {
            steps.extend(Reason::ALL.map(|reason| Step::Do(Decision { action, reason })));
        }
        for step in steps {
            assert_eq!(decode(encode(step)), step);
        }
    }

    #[test]
    fn counts_follow_what_is_set() {
        let mut plan = Plan::with_bound(3);
        let keep = Step::Do(Decision::new(Action::Keep, Reason::Fresh));
        plan.set(EntryIndex(0), Step::Do(Decision::new(Action::Revalidate, Reason::Stale)));
        plan.set(EntryIndex(2), Step::Obstructed(Obstacle::Symlink));
        plan.set(EntryIndex(0), keep);
        assert_eq!(plan.counts(), Counts { keep: 1, fetch: 1, ..Counts::default() });
        assert_eq!(plan.counts().entries(), 2);
        let steps: Vec<_> = plan.steps().collect();
        assert_eq!(
            steps,
            [(EntryIndex(0), keep), (EntryIndex(2), Step::Obstructed(Obstacle::Symlink))]
        );
        assert_eq!(plan.steps_in(1..100).count(), 1);
    }
}
