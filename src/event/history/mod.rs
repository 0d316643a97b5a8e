//! The history of runs, for `natsync report`.
//!
//! A [`Recorder`] follows the events of a run in bounded memory and returns a [`Past`] at the end,
//! which is stored in the state. The history must not influence what a run does: losing it does no
//! harm.

mod durations;
mod flow;
mod merged;
mod recorder;
pub(crate) mod sample;
mod standing;

use serde::{Deserialize, Serialize};

#[cfg(feature = "cli")]
pub(crate) use durations::Durations;
pub(crate) use flow::Flow;
pub(crate) use merged::{Part, merged};
pub(crate) use recorder::{Recorder, Setting};
pub(crate) use standing::{Standing, standing};

use crate::event::Summary;

/// The number of runs of a manifest that are kept.
pub(crate) const KEPT: usize = 20;

/// The record of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// The start of the run, in milliseconds since 1970.
    pub(crate) began: i64,
    /// The length of the run, in milliseconds.
    pub(crate) elapsed: u64,
    /// `apply` or `lock`.
    pub(crate) command: String,
    /// The patterns of `--only`; empty for a run over all entries.
    pub(crate) only: Vec<String>,
    /// The upper bound of the entry indices. If it differs between two runs, the manifest or
    /// `--set` has changed.
    pub(crate) bound: u64,
    pub(crate) exit: Exit,
    pub(crate) counts: Counts,
    /// The number of failed entries, sources and prunes.
    pub(crate) failed: u64,
    /// The first failures, up to a limit.
    pub(crate) failures: Vec<Failed>,
    /// The transfers of the run; `None` if there were none.
    pub(crate) timeline: Option<Timeline>,
    /// The shards of the job; empty for a single run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shards: Vec<Part>,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// Every entry succeeded.
    Ok,
    /// An entry failed, or an error ended the run.
    Failed,
    /// The run was interrupted before its end.
    Stopped,
}

impl Exit {
    /// The text for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// The counts of a [`Summary`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    pub(crate) downloaded: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) kept: u64,
    pub(crate) absent: u64,
    pub(crate) pruned: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.downloaded += other.downloaded;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.kept += other.kept;
        self.absent += other.absent;
        self.pruned += other.pruned;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.bytes += other.bytes;
    }
}

impl From<&Summary> for Counts {
    fn from(summary: &Summary) -> Self {
        let &Summary { entries, downloaded, updated, unchanged, kept, .. } = summary;
        let &Summary { absent, pruned, failed, skipped, bytes, .. } = summary;
        Self {
            entries,
            downloaded,
            updated,
            unchanged,
            kept,
            absent,
            pruned,
            failed,
            skipped,
            bytes,
        }
    }
}

/// The failure of an entry, of a whole source, or of a prune.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// The path of the entry or of the file to delete; `None` for a whole source.
    pub(crate) path: Option<String>,
    /// The name of the source; empty for a prune.
    pub(crate) source: String,
    /// The stable name of the error kind.
    pub(crate) kind: String,
    /// The HTTP status, for failures of that kind.
    pub(crate) status: Option<u16>,
    /// The message, without secrets.
    pub(crate) message: String,
    /// What the user can do next.
    pub(crate) hint: Option<String>,
    /// The origin that failed (`http://host:port`).
    pub(crate) origin: Option<String>,
}

/// The transfers of a run over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// The number of all transfers.
    pub(crate) total: u64,
    /// The longest transfers and an even sample of the others, in the order of their start.
    pub(crate) transfers: Vec<Transfer>,
    /// Bytes and files over time, of all transfers.
    pub(crate) flow: Flow,
}

/// One transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// The entry's path.
    pub(crate) path: String,
    /// The start of its first request, in milliseconds since the start of the run.
    pub(crate) start: u32,
    /// The time of its outcome, in milliseconds since the start of the run.
    pub(crate) end: u32,
    /// Body bytes received.
    pub(crate) bytes: u64,
    /// The stable name of its outcome.
    pub(crate) outcome: String,
}
