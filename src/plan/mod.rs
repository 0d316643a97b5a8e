//! Decides what must happen so that the destination matches the manifest.
//!
//! Pure: the same entry, record, disk, policy and instant always give the same action. Nothing here
//! reads the clock, the disk or the network; `inventory` looks, `execute` acts.

mod decide;
mod judge;
mod share;
mod table;

pub use decide::{Found, Obstacle, OnDisk, Policy, Record, Verdict, decide};
pub use judge::{PinMatch, StatMatch, compare_with_pin};
pub use share::{Share, Shares};
pub use table::{Counts, Plan, Prune, Step};

/// What is to be done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing is there: get it.
    Fetch,
    /// What is there is wrong: get it anew.
    Replace,
    /// Ask upstream whether what is there is still right.
    Revalidate,
    /// What is there is right; nobody is asked.
    Keep,
    /// Upstream is known not to have it; nobody is asked.
    Absent,
    /// The manifest no longer declares it: delete it.
    Prune,
}

impl Action {
    /// All actions, in the order in which people read them.
    pub const ALL: [Self; 6] =
        [Self::Fetch, Self::Replace, Self::Revalidate, Self::Keep, Self::Absent, Self::Prune];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Replace => "replace",
            Self::Revalidate => "revalidate",
            Self::Keep => "keep",
            Self::Absent => "absent",
            Self::Prune => "prune",
        }
    }

    /// Whether carrying it out needs the network.
    #[must_use]
    pub fn asks_upstream(self) -> bool {
        matches!(self, Self::Fetch | Self::Replace | Self::Revalidate)
    }
}

/// Why an action was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No file is there.
    NotOnDisk,
    /// The length is not the expected one.
    SizeDiffers,
    /// The digest is not the pin's.
    DigestDiffers,
    /// Somebody changed the file since natsync wrote it.
    ModifiedLocally,
    /// The file came from another URL than the manifest declares now.
    UrlChanged,
    /// `--force`.
    Forced,
    /// What is known of it is too old, or nothing is known.
    Stale,
    /// What is known of it is young enough.
    Fresh,
    /// It matches its pin.
    Pinned,
    /// A file that natsync did not write turned out to be right.
    Adopted,
    /// Upstream said that it does not exist.
    MissingUpstream,
    /// The manifest does not declare it.
    NotInManifest,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 12] = [
        Self::NotOnDisk,
        Self::SizeDiffers,
        Self::DigestDiffers,
        Self::ModifiedLocally,
        Self::UrlChanged,
        Self::Forced,
        Self::Stale,
        Self::Fresh,
        Self::Pinned,
        Self::Adopted,
        Self::MissingUpstream,
        Self::NotInManifest,
    ];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOnDisk => "not_on_disk",
            Self::SizeDiffers => "size_differs",
            Self::DigestDiffers => "digest_differs",
            Self::ModifiedLocally => "modified_locally",
            Self::UrlChanged => "url_changed",
            Self::Forced => "forced",
            Self::Stale => "stale",
            Self::Fresh => "fresh",
            Self::Pinned => "pinned",
            Self::Adopted => "adopted",
            Self::MissingUpstream => "missing_upstream",
            Self::NotInManifest => "not_in_manifest",
        }
    }
}

/// An action and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// That action for that reason.
    #[must_use]
    pub const fn new(action: Action, reason: Reason) -> Self {
        Self { action, reason }
    }
}
