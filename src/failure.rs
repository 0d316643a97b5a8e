//! What can go wrong, and what the process answers with.
//!
//! A [`Failure`] ends one entry and is an outcome; a [`RunError`] ends the run. Their texts are
//! built from our own fields: no library's message, which might hold a URL with a secret, gets in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::manifest::Problems;
use crate::manifest::select::SelectError;
use crate::pin::lock::LockProblem;

/// Why an entry failed; the names are the `kind` of the JSON output and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The host's name could not be resolved.
    Dns,
    /// No connection could be made, or it was lost before an answer.
    Connect,
    /// The TLS handshake or a certificate failed.
    Tls,
    /// No answer began within the allowed time.
    Timeout,
    /// Bytes stopped, or came more slowly than `min_rate`.
    Stalled,
    /// The body ended before its declared length.
    Truncated,
    /// The answer broke HTTP.
    Protocol,
    /// The status was neither success nor "missing".
    HttpStatus,
    /// A redirect was refused or led nowhere.
    Redirect,
    /// The bytes are not those of the pin.
    ChecksumMismatch,
    /// The content is not what the manifest expects.
    UnexpectedContent,
    /// The content is larger than `max_size`.
    TooLarge,
    /// Something that is no regular file stands where the file goes.
    PathConflict,
    /// The local disk failed.
    Io,
    /// The local disk is full.
    NoSpace,
    /// A checksum list does not name the entry.
    Unlisted,
    /// The network was needed and `--offline` forbids it.
    Offline,
    /// More files would be pruned than is allowed.
    PruneRefused,
    /// A signal ended the run first.
    Interrupted,
}

impl ErrorKind {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::HttpStatus => "http_status",
            Self::Redirect => "redirect",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::UnexpectedContent => "unexpected_content",
            Self::TooLarge => "too_large",
            Self::PathConflict => "path_conflict",
            Self::Io => "io",
            Self::NoSpace => "no_space",
            Self::Unlisted => "unlisted",
            Self::Offline => "offline",
            Self::PruneRefused => "prune_refused",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one entry failed. It prints as a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What class of failure it is.
    pub kind: ErrorKind,
    /// The HTTP status, where the failure is about one.
    pub status: Option<u16>,
    /// What happened, with no secret in it. It may quote text from outside: print it escaped.
    pub message: String,
    /// What to do next, where there is something better than reading the message.
    pub hint: Option<String>,
    /// The origin that failed (`http://host:port`), which failures are grouped by.
    pub origin: Option<String>,
    /// Whether asking again cannot help, of kinds that may pass.
    pub(crate) lasting: bool,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            hint: None,
            origin: None,
            lasting: false,
        }
    }

    /// The same with the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same with what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, of which asking again changes nothing.
    #[must_use]
    pub(crate) fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// The same with the origin that it is about, unless one is named already.
    #[must_use]
    pub fn at_origin(mut self, origin: &str) -> Self {
        self.origin.get_or_insert_with(|| origin.to_owned());
        self
    }

    /// A failure of the local disk: `no_space` where the disk or quota is full, else `io`.
    #[must_use]
    pub fn disk(doing: &str, error: &io::Error) -> Self {
        let full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { ErrorKind::NoSpace } else { ErrorKind::Io };
        Self::new(kind, format!("cannot {doing}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Why a run could not go on. [`RunError::exit_status`] says how the process ends.
#[derive(Debug, thiserror::Error)]
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

impl From<LockProblem> for RunError {
    fn from(problem: LockProblem) -> Self {
        Self::Lock(problem)
    }
}

impl From<SelectError> for RunError {
    fn from(error: SelectError) -> Self {
        Self::Usage { message: error.message, hint: Some(error.hint) }
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
