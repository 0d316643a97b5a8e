//! Why a run could not go on, and the exit status of the process.
//!
//! The rooms to the left have small errors of their own, which become a [`RunError`] here. A failed
//! entry is an outcome and not an error: see [`Failure`](crate::Failure).

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dest::DestError;
use crate::manifest::select::SelectError;
use crate::manifest::{Problems, Shard};
use crate::pin::lock::LockProblem;
use crate::stop::StopReason;

/// Why a run could not go on.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The manifest is wrong; nothing was touched.
    #[error("{0}")]
    Manifest(#[from] Problems),
    /// The lock is wrong, or not complete where it must be; nothing was touched.
    #[error("{0}")]
    Lock(LockProblem),
    /// The command line is wrong; nothing was touched.
    #[error("{message}")]
    Usage {
        /// The description of the error.
        message: String,
        /// How the user can mend it.
        hint: Option<String>,
    },
    /// A saved plan cannot be carried out; nothing was touched.
    #[error("{message}")]
    StalePlan {
        /// The reason.
        message: String,
    },
    /// Shards of a job are missing, so their results are not merged; nothing was changed.
    #[error("{message}")]
    ShardsMissing {
        /// Which ones, as ranges of their numbers, and why.
        message: String,
    },
    /// Another run holds the destination.
    #[error("another run holds {}`{}`{}", shard.map(|shard| format!("shard {shard} of ")).unwrap_or_default(), dest.display(), holder.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Busy {
        /// The destination.
        dest: PathBuf,
        /// The shard, if the other run works on the same one.
        shard: Option<Shard>,
        /// What the other run wrote about itself into the guard file.
        holder: Option<String>,
    },
    /// The destination or its state cannot be used.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Storage {
        /// The verb and its object, to stand between "cannot" and the path.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A file that the user asked for could not be written.
    #[error("cannot write {what}: {source}")]
    Unwritable {
        /// Which file.
        what: &'static str,
        /// The error of the system.
        source: io::Error,
    },
}

impl RunError {
    /// An error of the command line, without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// The exit status of the process.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Manifest(_) | Self::Lock(_) | Self::Usage { .. } | Self::StalePlan { .. } => {
                ExitStatus::Usage
            }
            Self::ShardsMissing { .. } => ExitStatus::Failed,
            Self::Busy { .. } => ExitStatus::Busy,
            Self::Storage { .. } | Self::Unwritable { .. } | Self::Output(_) => ExitStatus::Storage,
        }
    }

    /// The `kind` in its JSON line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "manifest",
            Self::Lock(_) => "lock",
            Self::Usage { .. } => "usage",
            Self::StalePlan { .. } => "stale_plan",
            Self::ShardsMissing { .. } => "shards_missing",
            Self::Busy { .. } => "busy",
            Self::Storage { source, .. }
            | Self::Unwritable { source, .. }
            | Self::Output(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no_space",
                _ => "io",
            },
        }
    }
}

/// As [`Display`](fmt::Display), with the hint: this is what a `main` that returns the error prints.
impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(problems) => write!(f, "{problems:?}"),
            Self::Lock(problem) => write!(f, "{problem:?}"),
            Self::Usage { message, hint: Some(hint) } => write!(f, "{message}\nhint: {hint}"),
            _ => write!(f, "{self}"),
        }
    }
}

impl From<DestError> for RunError {
    fn from(error: DestError) -> Self {
        match error {
            DestError::Busy { dest, shard, holder } => Self::Busy { dest, shard, holder },
            DestError::Unusable { doing, path, source } => Self::Storage { doing, path, source },
        }
    }
}

impl From<SelectError> for RunError {
    fn from(error: SelectError) -> Self {
        Self::Usage { message: error.message, hint: Some(error.hint) }
    }
}

impl From<LockProblem> for RunError {
    fn from(problem: LockProblem) -> Self {
        Self::Lock(problem)
    }
}

/// The exit status of the process. The numbers are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitStatus {
    /// The directory is as declared.
    Ok = 0,
    /// The run finished and at least one entry failed.
    Failed = 1,
    /// Command line or manifest is wrong; nothing was touched.
    Usage = 2,
    /// `plan --exit-code` and `lock --check`: something would change.
    Drift = 3,
    /// Another run holds the destination.
    Busy = 4,
    /// The destination or its state cannot be used, or output cannot be written.
    Storage = 5,
    /// A bug in natsync.
    Bug = 70,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM or SIGHUP.
    Terminated = 143,
}

impl From<StopReason> for ExitStatus {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Interrupted => Self::Interrupted,
            StopReason::Terminated => Self::Terminated,
            StopReason::Halted => Self::Failed,
        }
    }
}
