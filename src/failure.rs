//! Why one entry failed.
//!
//! A [`Failure`] ends one entry and is an outcome; the error that ends a whole run is
//! [`RunError`](crate::RunError). Texts are built from natsync's own fields: a library's message
//! might hold a URL with a secret, so none is quoted.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// Why an entry failed; the names are the `kind` of the JSON output and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Something that is not a regular file is at the path.
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

    /// Whether the failure says something about the origin of the file. The others are about the
    /// local disk or about the run itself.
    fn is_about_an_origin(self) -> bool {
        !matches!(
            self,
            Self::PathConflict
                | Self::Io
                | Self::NoSpace
                | Self::Offline
                | Self::PruneRefused
                | Self::Interrupted
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The beginning of the message of an entry that was not requested.
const NOT_REQUESTED: &str = "was not requested, because its host fails: ";

/// Why one entry failed. It prints as a lowercase fragment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure.
    pub kind: ErrorKind,
    /// The HTTP status, if the failure is about one.
    pub status: Option<u16>,
    /// The message. It holds no secret, but may quote text from outside: print it escaped.
    pub message: String,
    /// What the user can do next.
    pub hint: Option<String>,
    /// The origin that failed (`http://host:port`), which failures are grouped by.
    pub origin: Option<String>,
    /// The failure is permanent, although its kind is usually transient.
    pub(crate) lasting: bool,
    /// The entry was not requested, because its host fails.
    pub(crate) not_requested: bool,
}

impl Failure {
    /// A failure of that kind, with a message that holds no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            hint: None,
            origin: None,
            lasting: false,
            not_requested: false,
        }
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks the failure as permanent.
    #[must_use]
    pub(crate) fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// The same for an entry that was not requested, because its host fails.
    #[must_use]
    pub(crate) fn not_requested(mut self) -> Self {
        self.message.insert_str(0, NOT_REQUESTED);
        self.not_requested = true;
        self
    }

    /// The message without the remark that the entry was not requested.
    pub(crate) fn cause(&self) -> &str {
        let begins = if self.not_requested { NOT_REQUESTED } else { "" };
        self.message.strip_prefix(begins).unwrap_or(&self.message)
    }

    /// Adds the origin, unless there is one already, or the failure is not about an origin.
    #[must_use]
    pub fn at_origin(mut self, origin: &str) -> Self {
        if self.kind.is_about_an_origin() {
            self.origin.get_or_insert_with(|| origin.to_owned());
        }
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

/// `KIND: MESSAGE`, with the hint: this is what a `main` that returns the failure prints.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Failure {}
