//! What happens in a run, as plain data.
//!
//! Work emits events and never prints. An event names its entry by index; who wants its path or URL
//! makes the entry again from the manifest. One loop hands events to reporters in order.

pub(crate) mod history;

use std::time::Duration;

use crate::digest::Digest;
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;
use crate::plan::{Counts, Decision, Reason};

/// A stage of a run. Each may take long on its own, so each is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Rendering every path once, to find collisions.
    Expanding,
    /// Walking the destination.
    Scanning,
    /// Reading local files whose digest decides.
    Hashing,
    /// Asking upstream without fetching bodies (`plan --refresh`).
    Refreshing,
    /// Transferring.
    Transferring,
    /// Asking for checksum lists.
    Lists,
    /// Reading every file (`verify`).
    Verifying,
}

/// One fact about a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage begins; `total` is its number of steps where that is known.
    Phase {
        /// Which.
        phase: Phase,
        /// Steps: entries or files.
        total: Option<u64>,
    },
    /// So many steps of the current stage are done in all.
    Advanced {
        /// Steps done so far.
        done: u64,
    },
    /// Every entry has its action.
    Planned {
        /// How many entries have which action.
        counts: Counts,
        /// Bytes to transfer, as far as sizes are known.
        known_bytes: u64,
        /// Of how many entries to transfer the size is not known.
        unknown_sizes: u64,
    },
    /// One planned action, where the caller asked for each. `size` in bytes where known.
    Action {
        /// The entry.
        entry: EntryIndex,
        /// What is to be done, and why.
        decision: Decision,
        /// Bytes upstream, where known.
        size: Option<u64>,
    },
    /// A file that natsync wrote for this manifest and that is no longer declared.
    Orphan {
        /// Its path below the destination.
        path: String,
    },
    /// A file of which the plan says that it is to be deleted.
    Prune {
        /// Its path below the destination.
        path: String,
        /// Why.
        reason: Reason,
    },
    /// A file was deleted, since it is no longer declared or no longer upstream.
    Pruned {
        /// Its path below the destination.
        path: String,
    },
    /// A file that was to be deleted stays, or all of them do.
    Unpruned {
        /// Its path below the destination.
        path: Option<String>,
        /// Why.
        failure: Failure,
    },
    /// A transfer has a connection and asks.
    Started {
        /// The entry.
        entry: EntryIndex,
    },
    /// So many further bytes of a body arrived.
    Received {
        /// The entry.
        entry: EntryIndex,
        /// Bytes since the last such event of this entry.
        bytes: u64,
    },
    /// The head of a body told its length in bytes.
    Sized {
        /// The entry.
        entry: EntryIndex,
        /// The whole length.
        size: u64,
    },
    /// An attempt failed and another follows after `wait`.
    Retrying {
        /// The entry.
        entry: EntryIndex,
        /// How many attempts were made so far.
        attempts: u32,
        /// How long until the next.
        wait: Duration,
        /// Why it failed.
        failure: Failure,
    },
    /// The entry has its outcome. Every planned entry gets one, once.
    Finished {
        /// The entry.
        entry: EntryIndex,
        /// How it ended.
        outcome: Outcome,
        /// Requests made for it, redirects not counted.
        attempts: u32,
    },
    /// An origin cannot be reached; its remaining entries fail at once with that failure.
    OriginDown {
        /// `http://host:port`.
        origin: String,
        /// Why.
        failure: Failure,
    },
    /// An origin asked for a pause that all its transfers keep.
    OriginHeld {
        /// `http://host:port`.
        origin: String,
        /// For how long.
        wait: Duration,
    },
    /// A whole source failed after all: more entries are missing than `max_missing` allows.
    SourceFailed {
        /// Its position in the manifest.
        source: usize,
        /// Why.
        failure: Failure,
    },
    /// A file was held against what it should be (`verify`).
    Verified {
        /// The entry.
        entry: EntryIndex,
        /// What was found.
        verified: Verified,
    },
    /// So many entries were added to the lock.
    LockExtended {
        /// Entries.
        added: u64,
    },
    /// The plan's known bytes are more than the file system has room for.
    LackingSpace {
        /// The destination, in its shown form.
        dest: String,
        /// Bytes to transfer, as far as sizes are known.
        needed: u64,
        /// Bytes that the file system has free.
        free: u64,
    },
    /// Something that the user should know and that fails nothing.
    Warning {
        /// What, with no secret in it.
        message: String,
    },
    /// A signal arrived: nothing new is started.
    Stopping,
}

/// How a file on disk is.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// How.
    pub finding: Finding,
    /// Its digest, where it was read.
    pub sha256: Option<Digest>,
    /// Why it could not be read, where that is so.
    pub failure: Option<Failure>,
}

/// What `verify` finds of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// It is what it should be.
    Ok,
    /// It is something else.
    Modified,
    /// It is not there.
    Gone,
    /// Nothing tells what it should be, or it could not be read.
    Unknown,
    /// It is not there, and upstream has none.
    Absent,
}

impl Finding {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Modified => "modified",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
        }
    }
}

/// How an entry ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing was there; now the file is.
    Downloaded(Delivery),
    /// Another content was there; now the new one is.
    Updated(Delivery),
    /// Upstream was asked: the file on disk is what it serves.
    Unchanged {
        /// Body bytes that had to be transferred to know.
        bytes: u64,
    },
    /// Nobody was asked: the file on disk is right.
    Kept,
    /// Upstream has no such file, and the manifest allows that.
    Absent,
    /// It failed; what was on disk is untouched.
    Failed(Failure),
    /// It was never tried, since the run ended early.
    Skipped,
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Downloaded(_) => "downloaded",
            Self::Updated(_) => "updated",
            Self::Unchanged { .. } => "unchanged",
            Self::Kept => "kept",
            Self::Absent => "absent",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Body bytes that were transferred for it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Downloaded(delivery) | Self::Updated(delivery) => delivery.bytes,
            Self::Unchanged { bytes } => *bytes,
            _ => 0,
        }
    }
}

/// What was put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The file's length.
    pub bytes: u64,
    /// The file's digest.
    pub sha256: Digest,
}

/// The account of a run. Outcomes sum to `entries`, pruned files apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Chosen entries.
    pub entries: u64,
    /// See [`Outcome::Downloaded`].
    pub downloaded: u64,
    /// See [`Outcome::Updated`].
    pub updated: u64,
    /// See [`Outcome::Unchanged`].
    pub unchanged: u64,
    /// See [`Outcome::Kept`].
    pub kept: u64,
    /// See [`Outcome::Absent`].
    pub absent: u64,
    /// Files deleted because the manifest no longer declares them.
    pub pruned: u64,
    /// See [`Outcome::Failed`].
    pub failed: u64,
    /// See [`Outcome::Skipped`].
    pub skipped: u64,
    /// Body bytes transferred.
    pub bytes: u64,
    /// How long the run took.
    pub elapsed: Duration,
}

impl Summary {
    /// Adds an entry's outcome to the account.
    pub fn count(&mut self, outcome: &Outcome) {
        self.bytes += outcome.bytes();
        match outcome {
            Outcome::Downloaded(_) => self.downloaded += 1,
            Outcome::Updated(_) => self.updated += 1,
            Outcome::Unchanged { .. } => self.unchanged += 1,
            Outcome::Kept => self.kept += 1,
            Outcome::Absent => self.absent += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// Whether every chosen entry has exactly one outcome.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let outcomes = [
            self.downloaded,
            self.updated,
            self.unchanged,
            self.kept,
            self.absent,
            self.failed,
            self.skipped,
        ];
        outcomes.iter().sum::<u64>() == self.entries
    }

    /// Whether all is as declared.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.is_complete() && self.failed == 0 && self.skipped == 0
    }
}

/// Listens to a run. It gets each event once, in order, and a tick several times a second.
pub trait Reporter {
    /// Takes a fact.
    fn event(&mut self, event: &Event);

    /// Time passes; a display may redraw.
    fn tick(&mut self) {}
}

/// Listens to nothing: for a caller whom the [`Summary`] tells enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

/// Tells of something that fails nothing, if there is something.
pub(crate) fn warn(reporter: &mut dyn Reporter, message: Option<String>) {
    if let Some(message) = message {
        reporter.event(&Event::Warning { message });
    }
}

impl Reporter for Vec<Event> {
    fn event(&mut self, event: &Event) {
        self.push(event.clone());
    }
}
