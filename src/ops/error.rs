//! Why a run could not go on, and what the process ends with.
//!
//! The rooms below have small errors of their own; here they become one. An entry that failed is an
//! outcome and not an error: see [`Failure`](crate::Failure).

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dest::DestError;
use crate::manifest::Problems;
use crate::manifest::select::SelectError;
use crate::pin::lock::LockProblem;
use crate::stop::StopReason;

/// Why a run could not go on. [`RunError::exit_status`] says how the process ends.
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
        /// What is wrong with it.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A saved plan cannot be carried out; nothing was touched.
    #[error("{message}")]
    StalePlan {
        /// Why.
        message: String,
    },
    /// Another run holds the destination.
    #[error("another run holds `{}`{}", dest.display(), holder.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Busy {
        /// The destination.
        dest: PathBuf,
        /// Who holds it, as that run wrote it down.
        holder: Option<String>,
    },
    /// The destination or its state cannot be used.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Storage {
        /// What was being tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report could not be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// A file that was asked for could not be written.
    #[error("cannot write {what}: {source}")]
    Unwritable {
        /// Which.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    /// A command line that cannot be carried out.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// The status that the process ends with.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Manifest(_) | Self::Lock(_) | Self::Usage { .. } | Self::StalePlan { .. } => {
                ExitStatus::Usage
            }
            Self::Busy { .. } => ExitStatus::Busy,
            Self::Storage { .. } | Self::Unwritable { .. } => ExitStatus::Storage,
            Self::Output(_) => ExitStatus::Failed,
        }
    }

    /// The `kind` of its JSON line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "manifest",
            Self::Lock(_) => "lock",
            Self::Usage { .. } => "usage",
            Self::StalePlan { .. } => "stale_plan",
            Self::Busy { .. } => "busy",
            Self::Storage { source, .. } | Self::Unwritable { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no_space",
                _ => "io",
            },
            Self::Output(_) => "io",
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
            DestError::Busy { dest, holder } => Self::Busy { dest, holder },
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

/// How the process ends. Each code is part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitStatus {
    /// All is as declared.
    Ok = 0,
    /// The run finished and at least one entry failed.
    Failed = 1,
    /// Command line or manifest is wrong; nothing was touched.
    Usage = 2,
    /// `plan --exit-code`: there is something to do.
    Drift = 3,
    /// Another run holds the destination.
    Busy = 4,
    /// The destination or its state cannot be used.
    Storage = 5,
    /// A bug in natsync.
    Bug = 70,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
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
