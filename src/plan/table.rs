//! A whole plan: one byte an entry, whatever their number.

use super::{Action, Decision, Obstacle, Reason, Shares};
use crate::manifest::entry::EntryIndex;

/// What a plan holds for one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry does not exist, or was not chosen.
    None,
    /// It is to be done.
    Do(Decision),
    /// Something stands in the way: it fails without being tried.
    Obstructed(Obstacle),
}

/// How many entries have which action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be fetched.
    pub fetch: u64,
    /// To be replaced.
    pub replace: u64,
    /// To be asked about.
    pub revalidate: u64,
    /// To be left as they are.
    pub keep: u64,
    /// Known not to exist upstream.
    pub absent: u64,
    /// To be deleted.
    pub prune: u64,
}

impl Counts {
    /// The count of one action.
    #[must_use]
    pub fn of(&self, action: Action) -> u64 {
        match action {
            Action::Fetch => self.fetch,
            Action::Replace => self.replace,
            Action::Revalidate => self.revalidate,
            Action::Keep => self.keep,
            Action::Absent => self.absent,
            Action::Prune => self.prune,
        }
    }

    /// All entries; files to prune are none.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.fetch + self.replace + self.revalidate + self.keep + self.absent
    }

    /// Whether `plan --exit-code` has something to tell: a question that nobody has asked yet is no
    /// difference.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        0 < self.fetch + self.replace + self.prune
    }

    pub(super) fn add(&mut self, action: Action) {
        *self.slot(action) += 1;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for action in Action::ALL {
            *self.slot(action) += other.of(action);
        }
    }

    fn slot(&mut self, action: Action) -> &mut u64 {
        match action {
            Action::Fetch => &mut self.fetch,
            Action::Replace => &mut self.replace,
            Action::Revalidate => &mut self.revalidate,
            Action::Keep => &mut self.keep,
            Action::Absent => &mut self.absent,
            Action::Prune => &mut self.prune,
        }
    }
}

/// A file that is to be deleted: natsync wrote it, and the manifest no longer declares it, or upstream no longer has it
/// and the manifest says that it goes then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Below the destination.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// A stamp of how it looked when it was found to be what natsync wrote.
    pub stamp: u64,
}

/// One action for each chosen entry, and the files that the manifest no longer declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    codes: Vec<u8>,
    counts: Counts,
    orphans: Vec<String>,
    prunes: Vec<Prune>,
    managed: u64,
    told: Vec<Told>,
    shares: Option<Shares>,
}

/// What upstream said of an entry when it was asked for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    entry: EntryIndex,
    /// What was to be done before.
    unasked: Action,
    /// Bytes upstream, where it said so.
    size: Option<u64>,
}

impl Plan {
    /// A plan with a place for each index below `bound`, and nothing to do.
    ///
    /// # Panics
    /// When `bound` is beyond the address space.
    #[must_use]
    pub fn with_bound(bound: u64) -> Self {
        let bound =
            usize::try_from(bound).expect("the limit on entries is far below the address space");
        Self { codes: vec![NONE; bound], ..Self::default() }
    }

    /// Sets what holds for an entry, in place of what was there.
    ///
    /// # Panics
    /// When the index is not below the bound, which no entry of the manifest is.
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

    /// Sets what upstream said, for all entries that it was asked about.
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

    /// What was to be done with an entry before upstream was asked about it; none where it was not asked.
    #[must_use]
    pub fn unasked(&self, entry: EntryIndex) -> Option<Action> {
        Some(self.told(entry)?.unasked)
    }

    /// How many bytes of an entry upstream has, where it was asked and said so.
    #[must_use]
    pub fn size_told(&self, entry: EntryIndex) -> Option<u64> {
        self.told(entry)?.size
    }

    /// Whether upstream told any size.
    pub(crate) fn has_sizes(&self) -> bool {
        self.told.iter().any(|told| told.size.is_some())
    }

    /// What holds for an entry.
    #[must_use]
    pub fn step(&self, entry: EntryIndex) -> Step {
        self.codes.get(position(entry)).map_or(Step::None, |&code| decode(code))
    }

    /// The indexes below which every entry lies.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.codes.len() as u64
    }

    /// How many entries have which action. What is obstructed counts as what was to be done with
    /// it: as a fetch.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Paths that natsync wrote for this manifest and that it no longer declares, sorted.
    #[must_use]
    pub fn orphans(&self) -> &[String] {
        &self.orphans
    }

    /// Files that are to be deleted, sorted. They are not among the orphans.
    #[must_use]
    pub fn prunes(&self) -> &[Prune] {
        &self.prunes
    }

    /// The plan by source and by host, where its actions were told.
    #[must_use]
    pub fn shares(&self) -> Option<&Shares> {
        self.shares.as_ref()
    }

    pub(crate) fn set_shares(&mut self, shares: Shares) {
        self.shares = Some(shares);
    }

    /// How many files natsync wrote for this manifest, whatever became of them.
    pub(crate) fn managed(&self) -> u64 {
        self.managed
    }

    /// Takes note of how many files natsync wrote.
    pub(crate) fn set_managed(&mut self, managed: u64) {
        self.managed = managed;
    }

    /// Takes note of more that is to be deleted.
    pub(crate) fn add_prunes(&mut self, prunes: Vec<Prune>) {
        self.prunes.extend(prunes);
        self.prunes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        self.counts.prune = self.prunes.len() as u64;
    }

    /// Takes note of the orphans.
    pub fn set_orphans(&mut self, orphans: Vec<String>) {
        self.orphans = orphans;
    }

    /// Chosen entries with what holds for them, in order, from that index on.
    pub fn steps_from(&self, first: EntryIndex) -> impl Iterator<Item = (EntryIndex, Step)> {
        let skipped = position(first).min(self.codes.len());
        self.codes[skipped..]
            .iter()
            .zip(first.0..)
            .filter(|&(&code, _)| code != NONE)
            .map(|(&code, index)| (EntryIndex(index), decode(code)))
    }

    /// All chosen entries with what holds for them, in order.
    pub fn steps(&self) -> impl Iterator<Item = (EntryIndex, Step)> {
        self.steps_from(EntryIndex(0))
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

/// Action and reason fit a byte: one of 6 times one of 12, counted from 1.
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
        assert_eq!(plan.steps_from(EntryIndex(1)).count(), 1);
    }
}
