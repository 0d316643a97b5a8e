//! The end of a command's work on one manifest, which closes the reports about it.

use std::time::Duration;

use crate::event::Summary;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::{Findings, MergeReport};
use crate::plan::Counts;

/// The end of a command's work on one manifest.
#[derive(Clone, Debug)]
pub(crate) struct Ended<'a> {
    /// Exit status of the process, if this was its only manifest.
    pub status: ExitStatus,
    /// For a merge, the time of the whole job.
    pub elapsed: Duration,
    pub with: EndedWith<'a>,
}

/// Result of a command's work on one manifest.
#[derive(Clone, Debug)]
pub(crate) enum EndedWith<'a> {
    /// The work was completed, or ended early with an outcome for each entry.
    Account(Account),
    /// An error ended the work.
    Error(&'a RunError),
    /// A signal ended the run before the work began.
    NotBegun,
}

/// Counts of entries by their result.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// Result of `apply` and `lock`.
    Applied(Summary),
    /// Result of `merge`.
    Merged(MergeReport),
    /// Result of `verify`.
    Verified(Findings),
    /// Result of `plan`.
    Planned(Counts),
}

impl Account {
    /// Number of chosen entries.
    pub(super) fn entries(&self) -> u64 {
        match self {
            Self::Applied(summary) | Self::Merged(MergeReport { summary, .. }) => summary.entries,
            Self::Verified(found) => {
                found.ok + found.modified + found.gone + found.unknown + found.absent
            }
            Self::Planned(counts) => counts.entries(),
        }
    }

    /// The stable name of each outcome, finding or action, with its count. The counts add up to
    /// [`Account::entries`].
    pub(super) fn parts(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Applied(summary) | Self::Merged(MergeReport { summary, .. }) => vec![
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

    /// Number of files that were deleted, or would be.
    pub(super) fn pruned(&self) -> u64 {
        match self {
            Self::Applied(summary) | Self::Merged(MergeReport { summary, .. }) => summary.pruned,
            Self::Verified(_) => 0,
            Self::Planned(counts) => counts.prune,
        }
    }

    /// Bytes received, or for `verify` read from disk.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Applied(summary) | Self::Merged(MergeReport { summary, .. }) => summary.bytes,
            Self::Verified(findings) => findings.bytes,
            Self::Planned(_) => 0,
        }
    }
}
