//! The events of a run, as plain data.
//!
//! The engine emits events and never prints. An event names its entry by index; a reporter that
//! needs the path or the URL gets the entry from the manifest. A single loop passes the events to
//! the reporters in order.

pub(crate) mod history;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::EntryIndex;
use crate::plan::{Counts, Decision, Reason};

/// A stage of a run. Progress is shown for each stage, because each may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Renders every path once, to find collisions.
    Expanding,
    /// Walks the destination.
    Scanning,
    /// Reads local files whose digest decides the action.
    Hashing,
    /// Sends conditional requests without fetching bodies (`plan --refresh`).
    Refreshing,
    /// Transfers files.
    Transferring,
    /// Fetches checksum lists.
    Lists,
    /// Reads every file (`verify`).
    Verifying,
}

/// One fact about a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage begins.
    Phase {
        /// The stage.
        phase: Phase,
        /// The number of steps (entries or files), if it is known.
        total: Option<u64>,
    },
    /// Progress within the current stage.
    Advanced {
        /// Steps done since the stage began.
        done: u64,
    },
    /// The plan is complete: every entry has its action.
    Planned {
        /// The number of entries for each action.
        counts: Counts,
        /// Bytes to transfer, as far as sizes are known.
        known_bytes: u64,
        /// The number of entries to transfer whose size is unknown.
        unknown_sizes: u64,
    },
    /// One planned action. Emitted only if the caller asked for each action.
    Action {
        /// The entry.
        entry: EntryIndex,
        /// The action and its reason.
        decision: Decision,
        /// The size upstream in bytes, if known.
        size: Option<u64>,
    },
    /// A file that natsync wrote for this manifest and that is no longer declared.
    Orphan {
        /// Its path below the destination.
        path: String,
    },
    /// The plan deletes this file.
    Prune {
        /// Its path below the destination.
        path: String,
        /// The reason of the deletion.
        reason: Reason,
    },
    /// A file was deleted, because it is no longer declared or no longer exists upstream.
    Pruned {
        /// Its path below the destination.
        path: String,
    },
    /// A planned deletion was refused or failed.
    Unpruned {
        /// The path of the file below the destination, or `None` if no file was deleted at all.
        path: Option<String>,
        /// The cause.
        failure: Failure,
    },
    /// A transfer has a connection and sends its request.
    Started {
        /// The entry.
        entry: EntryIndex,
    },
    /// Further bytes of a body arrived.
    Received {
        /// The entry.
        entry: EntryIndex,
        /// Bytes since the previous `Received` event of this entry.
        bytes: u64,
    },
    /// The response header announced the size of the file.
    Sized {
        /// The entry.
        entry: EntryIndex,
        /// The size of the whole file in bytes.
        size: u64,
        /// The part of `size` that an earlier attempt or run received; it is not received again.
        here: u64,
    },
    /// An attempt failed and will be retried after `wait`.
    Retrying {
        /// The entry.
        entry: EntryIndex,
        /// Attempts so far.
        attempts: u32,
        /// The number of retries of this request, the next one included. A transfer that gets
        /// further begins to count anew.
        retry: u32,
        /// At most this many retries follow each other (`retries`).
        retries: u32,
        /// Time until the next attempt.
        wait: Duration,
        /// The cause of the failed attempt.
        failure: Failure,
    },
    /// The entry has its outcome. Emitted exactly once for every planned entry.
    Finished {
        /// The entry.
        entry: EntryIndex,
        /// The outcome.
        outcome: Outcome,
        /// Requests made for the entry, without redirects.
        attempts: u32,
        /// Body bytes received for the entry in this run, by all its attempts.
        received: u64,
    },
    /// An origin cannot be reached; its remaining entries fail at once with the same failure.
    OriginDown {
        /// `http://host:port`.
        origin: String,
        /// The cause.
        failure: Failure,
    },
    /// An origin asked for a pause (`Retry-After`). All transfers from this origin wait.
    OriginHeld {
        /// `http://host:port`.
        origin: String,
        /// The length of the pause.
        wait: Duration,
    },
    /// A whole source failed: more of its entries are missing upstream than `max_missing` allows.
    SourceFailed {
        /// Its position in the manifest.
        source: usize,
        /// The cause.
        failure: Failure,
    },
    /// A file was compared with its pin or its state row (`verify`).
    Verified {
        /// The entry.
        entry: EntryIndex,
        /// The result.
        verified: Verified,
    },
    /// Entries were added to the lock.
    LockExtended {
        /// The number of entries added.
        added: u64,
    },
    /// The known bytes of the plan exceed the free space of the file system.
    LackingSpace {
        /// The shown form of the destination.
        dest: String,
        /// Bytes to transfer, as far as sizes are known.
        needed: u64,
        /// Free bytes in the file system.
        free: u64,
    },
    /// A warning for the user; no entry fails because of it.
    Warning {
        /// The text, without secrets.
        message: String,
    },
    /// The run was asked to stop: no new transfer starts.
    Stopping,
}

/// The result of verifying one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The verdict.
    pub finding: Finding,
    /// The digest of the file, if it was read.
    pub sha256: Option<Digest>,
    /// The error, if the file could not be read.
    pub failure: Option<Failure>,
}

/// The verdict of `verify` about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The file matches its pin or its state row.
    Ok,
    /// The file differs from its pin or its state row.
    Modified,
    /// The file is not on disk.
    Gone,
    /// There is no digest to compare with, or the file could not be read.
    Unknown,
    /// The file is not on disk, and upstream has no such file.
    Absent,
}

impl Finding {
    /// The stable name in JSON.
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

/// The outcome of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The file was not on disk and has been downloaded.
    Downloaded(Delivery),
    /// The file on disk had other content and has been replaced.
    Updated(Delivery),
    /// Upstream confirmed that the file on disk is current.
    Unchanged,
    /// The file on disk is correct; no request was made.
    Kept,
    /// Upstream has no such file, and the manifest allows that.
    Absent,
    /// The entry failed; a file already on disk is unchanged.
    Failed(Failure),
    /// The entry was not tried, because the run ended early.
    Skipped,
}

impl Outcome {
    /// The stable name in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Downloaded(_) => "downloaded",
            Self::Updated(_) => "updated",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Absent => "absent",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Bytes of the file that this run put in place and that an earlier run had received.
    /// `received` are those of this run.
    #[must_use]
    pub(crate) fn resumed(&self, received: u64) -> u64 {
        match self {
            Self::Downloaded(delivery) | Self::Updated(delivery) => {
                delivery.size.saturating_sub(received)
            }
            _ => 0,
        }
    }
}

/// A file that was put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    pub sha256: Digest,
}

/// The counts of a run. The outcomes sum to `entries`; pruned files are counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Selected entries.
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
    /// Files deleted because they are no longer declared or no longer exist upstream.
    pub pruned: u64,
    /// See [`Outcome::Failed`].
    pub failed: u64,
    /// Those of `failed` that the end of the run interrupted ([`ErrorKind::Interrupted`]).
    pub interrupted: u64,
    /// See [`Outcome::Skipped`].
    pub skipped: u64,
    /// Body bytes received in this run, those of failed entries included.
    pub bytes: u64,
    /// Bytes of the downloaded files that earlier runs had received.
    pub resumed: u64,
    /// Wall-clock time of the run.
    pub elapsed: Duration,
}

impl Summary {
    /// Counts the outcome of an entry for which this run received that many bytes.
    pub fn count(&mut self, outcome: &Outcome, received: u64) {
        self.bytes += received;
        self.resumed += outcome.resumed(received);
        match outcome {
            Outcome::Downloaded(_) => self.downloaded += 1,
            Outcome::Updated(_) => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Kept => self.kept += 1,
            Outcome::Absent => self.absent += 1,
            Outcome::Failed(failure) => {
                self.failed += 1;
                self.interrupted += u64::from(failure.kind == ErrorKind::Interrupted);
            }
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// Adds the counts of another part of the same job, but not its time.
    pub(crate) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.downloaded += other.downloaded;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.kept += other.kept;
        self.absent += other.absent;
        self.pruned += other.pruned;
        self.failed += other.failed;
        self.interrupted += other.interrupted;
        self.skipped += other.skipped;
        self.bytes += other.bytes;
        self.resumed += other.resumed;
    }

    /// True if the outcomes sum to `entries`.
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

    /// True if every entry has an outcome and none failed or was skipped.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.is_complete() && self.failed == 0 && self.skipped == 0
    }
}

/// Receives each event of a run once, in order, and a tick several times a second.
pub trait Reporter {
    /// Handles an event.
    fn event(&mut self, event: &Event);

    /// Called several times a second, so that a display can redraw.
    fn tick(&mut self) {}
}

/// Ignores all events, for a caller that needs only the [`Summary`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

/// Emits a warning if there is a message.
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
