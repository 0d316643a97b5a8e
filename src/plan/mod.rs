//! Decides which action brings each entry of the destination in line with the manifest.
//!
//! Pure: the same pin, state row, disk, policy and instant always give the same action. Nothing
//! here may read the clock, the disk or the network; `dest` inspects the destination and `transfer`
//! carries the plan out.

mod counts;
mod decide;
mod judge;
mod share;
mod table;

pub use counts::Counts;
pub use decide::{Found, Obstacle, OnDisk, Policy, Record, Verdict, decide};
pub use judge::{PinMatch, StatMatch, compare_with_pin};
pub use share::{Share, Shares};
pub use table::{Plan, Prune, Step};

/// The planned action for an entry or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// No file is on disk: download it.
    Fetch,
    /// The file on disk is wrong: download it again.
    Replace,
    /// Ask upstream whether the file on disk is still current.
    Revalidate,
    /// The file on disk is correct; no request is made.
    Keep,
    /// Upstream is known not to have the file; no request is made.
    Absent,
    /// Delete the file, because it is no longer declared or no longer exists upstream.
    Prune,
}

impl Action {
    /// All actions, in display order.
    pub const ALL: [Self; 6] =
        [Self::Fetch, Self::Replace, Self::Revalidate, Self::Keep, Self::Absent, Self::Prune];

    /// The stable name in JSON.
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

    /// True if the action makes a request.
    #[must_use]
    pub fn asks_upstream(self) -> bool {
        matches!(self, Self::Fetch | Self::Replace | Self::Revalidate)
    }
}

/// The reason for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No file is on disk.
    NotOnDisk,
    /// The file does not meet `expect`.
    Unexpected,
    /// The size of the file differs from its pin.
    SizeDiffers,
    /// A digest of the file differs from its pin.
    DigestDiffers,
    /// The file was changed locally since natsync recorded it.
    ModifiedLocally,
    /// The file was downloaded from another URL than the manifest declares now.
    UrlChanged,
    /// `--force` was given.
    Forced,
    /// The last check is too old, or upstream was never asked.
    Stale,
    /// The last check is recent enough.
    Fresh,
    /// The file matches its pin.
    Pinned,
    /// A file that natsync did not write matches the pin, or upstream.
    Adopted,
    /// Upstream answered that the file does not exist, or the lock pins it as missing.
    MissingUpstream,
    /// The manifest does not declare the file.
    NotInManifest,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::NotOnDisk,
        Self::Unexpected,
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

    /// The stable name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOnDisk => "not_on_disk",
            Self::Unexpected => "unexpected",
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
    /// The action.
    pub action: Action,
    /// The reason for the action.
    pub reason: Reason,
}

impl Decision {
    /// Combines an action with its reason.
    #[must_use]
    pub const fn new(action: Action, reason: Reason) -> Self {
        Self { action, reason }
    }
}
