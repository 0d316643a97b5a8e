//! What a run was, in short, as it is kept for whoever looks at it later.
//!
//! A [`Recorder`] listens to a run in bounded memory and gives a [`Past`] at its end, which the state
//! keeps. Nothing depends on it: a history that is lost makes no run wrong.

mod flow;
mod recorder;
pub(crate) mod sample;
mod standing;

use serde::{Deserialize, Serialize};

pub(crate) use flow::Flow;
pub(crate) use recorder::{Recorder, Setting};
pub(crate) use standing::{Standing, standing};

use crate::event::Summary;

/// So many runs of a manifest are kept.
pub(crate) const KEPT: usize = 20;

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// When it began, in milliseconds since 1970.
    pub(crate) began: i64,
    /// How long it took, in milliseconds.
    pub(crate) elapsed: u64,
    /// `apply` or `lock`.
    pub(crate) command: String,
    /// What `--only` chose; empty for a run over everything.
    pub(crate) only: Vec<String>,
    /// The bound of entry indices: another one is another manifest, or another `--set`.
    pub(crate) bound: u64,
    /// How it ended.
    pub(crate) exit: Exit,
    /// Its account.
    pub(crate) counts: Counts,
    /// How many entries and sources failed.
    pub(crate) failed: u64,
    /// The first of them.
    pub(crate) failures: Vec<Failed>,
    /// Its transfers; none where nobody was asked.
    pub(crate) timeline: Option<Timeline>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// All was as declared.
    Ok,
    /// Something failed.
    Failed,
    /// Its end was asked for first.
    Stopped,
}

impl Exit {
    /// What people read.
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

/// Why an entry or a whole source failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// The entry's path; none for a source.
    pub(crate) path: Option<String>,
    /// The source's name.
    pub(crate) source: String,
    /// The stable name of the kind.
    pub(crate) kind: String,
    /// The HTTP status, where it is about one.
    pub(crate) status: Option<u16>,
    /// What happened, with no secret in it.
    pub(crate) message: String,
    /// What to do next, where that is known.
    pub(crate) hint: Option<String>,
    /// The origin that failed (`http://host:port`).
    pub(crate) origin: Option<String>,
}

/// The transfers of a run over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// How many there were.
    pub(crate) total: u64,
    /// Some of them: the longest, and of the others every so many-th; in the order in which they began.
    pub(crate) transfers: Vec<Transfer>,
    /// Bytes and files over time, of all of them.
    pub(crate) flow: Flow,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// The entry's path.
    pub(crate) path: String,
    /// When its first request began, in milliseconds since the run began.
    pub(crate) start: u32,
    /// When it had its outcome.
    pub(crate) end: u32,
    /// Body bytes.
    pub(crate) bytes: u64,
    /// The stable name of its outcome.
    pub(crate) outcome: String,
}
