//! How many entries have which action.

use super::Action;

/// The number of entries for each action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Action::Fetch`]. Includes the entries with an obstacle.
    pub fetch: u64,
    /// See [`Action::Replace`].
    pub replace: u64,
    /// See [`Action::Revalidate`].
    pub revalidate: u64,
    /// See [`Action::Keep`].
    pub keep: u64,
    /// See [`Action::Absent`].
    pub absent: u64,
    /// See [`Action::Prune`].
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

    /// The number of entries. Files to prune are not entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.fetch + self.replace + self.revalidate + self.keep + self.absent
    }

    /// True if `plan --exit-code` must report a difference. A revalidation does not count, because
    /// it may find the file unchanged.
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

    pub(super) fn slot(&mut self, action: Action) -> &mut u64 {
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
