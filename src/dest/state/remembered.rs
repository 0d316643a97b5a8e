//! All that the state knows of one path, for people to look at.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::{State, instant, read_others};
use crate::digest::{Checksum, Digest};

/// A file as it was noted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remembered {
    /// The manifest that it belongs to.
    pub(crate) manifest: String,
    /// The declared URL.
    pub(crate) url: String,
    /// The URL that served it.
    pub(crate) served: String,
    /// Bytes.
    pub(crate) size: u64,
    /// [`Stat::stamp`](crate::dest::Stat::stamp) when it was noted.
    pub(crate) stamp: u64,
    /// Whether it was noted so soon after its last change that its stat proves nothing.
    pub(crate) racy: bool,
    /// Its digest.
    pub(crate) sha256: Digest,
    /// Its digests under other algorithms, as far as they were needed.
    pub(crate) others: Vec<Checksum>,
    /// Whether these bytes came from upstream, rather than were taken for what it has.
    pub(crate) witnessed: bool,
    /// Whether natsync put the file there.
    pub(crate) written: bool,
    /// When upstream last served or confirmed it.
    pub(crate) checked: Timestamp,
    /// `ETag`, as it was sent.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub(crate) last_modified: Option<String>,
}

impl State {
    /// What is noted of a file. A damaged state answers as if it did not know it.
    #[must_use]
    pub(crate) fn remembered(&self, path: &str) -> Option<Remembered> {
        let connection = self.lock();
        let mut statement = connection
            .prepare(
                "SELECT manifest, url, served, size, stamp, racy, sha256, others, witnessed, written, checked, etag, last_modified
                 FROM files WHERE path = ?1",
            )
            .ok()?;
        let found = statement.query_row([path], |row| {
            Ok(Remembered {
                manifest: row.get(0)?,
                url: row.get(1)?,
                served: row.get(2)?,
                size: row.get(3)?,
                stamp: row.get::<_, i64>(4)?.cast_unsigned(),
                racy: row.get(5)?,
                sha256: Digest::from_bytes(row.get(6)?),
                others: read_others(row.get_ref(7)?.as_str_or_null()?),
                witnessed: row.get(8)?,
                written: row.get(9)?,
                checked: instant(row.get(10)?),
                etag: row.get(11)?,
                last_modified: row.get(12)?,
            })
        });
        found.optional().ok().flatten()
    }

    /// When upstream last said that it has no file for a path, and for which URL.
    #[must_use]
    pub(crate) fn missing_since(&self, path: &str) -> Option<(String, Timestamp)> {
        let connection = self.lock();
        let mut statement =
            connection.prepare("SELECT url, since FROM missing WHERE path = ?1").ok()?;
        let found = statement.query_row([path], |row| Ok((row.get(0)?, instant(row.get(1)?))));
        found.optional().ok().flatten()
    }
}
