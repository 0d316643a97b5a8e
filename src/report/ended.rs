//! How a command ended with one manifest: the last word for reports that are about the whole of it.

use std::time::Duration;

use crate::event::Summary;
use crate::ops::Findings;
use crate::ops::error::{ExitStatus, RunError};
use crate::plan::Counts;

/// How a command ended with one manifest.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// What the process would end with if there were no other manifest.
    pub status: ExitStatus,
    /// From the beginning to the end.
    pub elapsed: Duration,
    /// With what.
    pub with: EndedWith<'a>,
}

/// What a command ended with.
#[derive(Clone, Copy, Debug)]
pub enum EndedWith<'a> {
    /// All entries are accounted for.
    Account(Account),
    /// It could not go on.
    Error(&'a RunError),
    /// It had not begun when a signal came.
    NotBegun,
}

/// How many entries are how.
#[derive(Clone, Copy, Debug)]
pub enum Account {
    /// Of `apply` and `lock`.
    Applied(Summary),
    /// Of `verify`.
    Verified(Findings),
    /// Of `plan`.
    Planned(Counts),
}

impl Account {
    /// All chosen entries.
    pub(super) fn entries(&self) -> u64 {
        match self {
            Self::Applied(summary) => summary.entries,
            Self::Verified(found) => {
                found.ok + found.modified + found.gone + found.unknown + found.absent
            }
            Self::Planned(counts) => counts.entries(),
        }
    }

    /// The stable name of each outcome, finding or action, with its count. They sum to the entries.
    pub(super) fn parts(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Applied(summary) => vec![
                ("downloaded", summary.downloaded),
                ("updated", summary.updated),
                ("unchanged", summary.unchanged),
                ("kept", summary.kept),
                ("absent", summary.absent),
                ("failed", summary.failed),
                ("skipped", summary.skipped),
            ],
            Self::Verified(findings) => vec![
                ("ok", findings.ok),
                ("modified", findings.modified),
                ("gone", findings.gone),
                ("unknown", findings.unknown),
                ("absent", findings.absent),
            ],
            Self::Planned(counts) => vec![
                ("fetch", counts.fetch),
                ("replace", counts.replace),
                ("revalidate", counts.revalidate),
                ("keep", counts.keep),
                ("absent", counts.absent),
            ],
        }
    }

    /// Files that were deleted, or that are to be.
    pub(super) fn pruned(&self) -> u64 {
        match self {
            Self::Applied(summary) => summary.pruned,
            Self::Verified(_) => 0,
            Self::Planned(counts) => counts.prune,
        }
    }

    /// Bytes that were received, or read.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Applied(summary) => summary.bytes,
            Self::Verified(findings) => findings.bytes,
            Self::Planned(_) => 0,
        }
    }
}
