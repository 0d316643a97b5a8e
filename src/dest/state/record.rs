//! A file as natsync recorded it: the one type for a row of the state's `files` table.
//!
//! Queries that stream over many rows use borrowed forms: [`RecordRef`] has what the inventory needs
//! and costs nothing for the columns that it does not read; [`RecordRow`] reads the record on demand.

use std::io;

use jiff::Timestamp;
use rusqlite::Row;

use super::State;
use super::owners::Owner;
use crate::dest::Stat;
use crate::digest::{Algorithm, Checksum, Digest, Digests};
use crate::manifest::identity::Hex;
use crate::manifest::{IdentityKey, KeptUrl, UrlDigest};
use crate::pin::Validators;
use crate::plan::StatMatch;

/// The columns of [`RecordRef`], in its order.
macro_rules! seen_columns {
    () => {
        "path, owner, url, identity, size, stamp, racy, sha256, others, provenance, checked, written"
    };
}
pub(super) const SEEN_COLUMNS: &str = seen_columns!();
/// The columns of a whole record.
pub(super) const COLUMNS: &str =
    concat!(seen_columns!(), ", served, served_identity, changed, etag, last_modified");

/// As many nulls as there are columns after the path, for a union with paths that have no record.
pub(super) const NO_RECORD: &str = "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

/// Where the bytes of a recorded file come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// natsync received them from upstream and put the file in place.
    Downloaded,
    /// The file was here already, and upstream served the same bytes (or the lock says that it did).
    Confirmed,
    /// The file was here already, and its length and age allow that it is what upstream has.
    Adopted,
    /// The file was here already, and its digest is the pinned one.
    MatchedPin,
}

impl Provenance {
    const ALL: [Self; 4] = [Self::Downloaded, Self::Confirmed, Self::Adopted, Self::MatchedPin];

    /// The number that the state stores.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Downloaded => 0,
            Self::Confirmed => 1,
            Self::Adopted => 2,
            Self::MatchedPin => 3,
        }
    }

    fn of_code(code: u8) -> rusqlite::Result<Self> {
        let found = Self::ALL.into_iter().find(|provenance| provenance.code() == code);
        found.ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Whether natsync put the file in place.
    #[must_use]
    pub fn is_downloaded(self) -> bool {
        self == Self::Downloaded
    }

    /// Whether upstream is known to have served exactly these bytes.
    #[must_use]
    pub fn is_witnessed(self) -> bool {
        matches!(self, Self::Downloaded | Self::Confirmed)
    }
}

/// A file as natsync recorded it when it wrote or confirmed it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRecord {
    /// The URL that the manifest declared.
    pub url: KeptUrl,
    /// The URL that served the bytes. The validators are worth nothing at another.
    pub served: KeptUrl,
    /// Bytes.
    pub size: u64,
    /// A hash of size, mtime, ctime and inode.
    pub stamp: u64,
    /// The file changed less than two seconds before it was recorded, so its stat proves nothing.
    pub racy: bool,
    /// SHA-256, and the digests under other algorithms that pins needed.
    pub digests: Digests,
    /// Where the bytes come from.
    pub provenance: Provenance,
    /// When upstream last served or confirmed the bytes, in whole seconds; none if it was never asked.
    pub checked: Option<Timestamp>,
    /// When natsync put these bytes in place; none where they were there already. Recording the same
    /// bytes again with none keeps the time that is stored.
    pub changed: Option<Timestamp>,
    /// What upstream answered with the bytes.
    pub validators: Validators,
}

/// The part of a record by which a file is recognised; it is kept for many files at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) size: u64,
    pub(crate) stamp: u64,
    pub(crate) racy: bool,
    pub(crate) sha256: Digest,
}

impl Fingerprint {
    /// How a file compares with the recorded one.
    pub(crate) fn compare(&self, stat: &Stat) -> StatMatch {
        StatMatch::of(self.stamp == stat.stamp(), self.racy)
    }
}

/// The part of a record that a conditional request needs. The engine reads one for each revalidated
/// entry, so it has no further column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    /// The URL that served the bytes. The validators are worth nothing at another.
    pub(crate) served: KeptUrl,
    pub(crate) validators: Validators,
    pub(crate) sha256: Digest,
    pub(crate) stamp: u64,
    pub(crate) provenance: Provenance,
}

impl Answered {
    pub(super) const SELECT: &str = "SELECT served, served_identity, etag, last_modified, sha256, stamp, provenance FROM files WHERE path = ?1";

    /// Reads a row of [`Self::SELECT`].
    pub(super) fn read(row: &Row<'_>, key: &IdentityKey) -> rusqlite::Result<Self> {
        Ok(Self {
            served: key.kept(row.get(0)?, digest_of(row, 1)?),
            validators: Validators { etag: row.get(2)?, last_modified: row.get(3)? },
            sha256: Digest::from_bytes(row.get(4)?),
            stamp: row.get::<_, i64>(5)?.cast_unsigned(),
            provenance: Provenance::of_code(row.get(6)?)?,
        })
    }
}

/// The part of a record that the inventory needs. Its texts borrow from the row of a running query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRef<'a> {
    pub(crate) path: &'a str,
    /// The id of the owner.
    pub(super) owner: i64,
    /// natsync put these bytes in place, so that it may prune the file.
    written: bool,
    pub(crate) url: &'a str,
    /// See [`KeptUrl::digest`].
    pub(crate) identity: Option<UrlDigest>,
    pub(crate) fingerprint: Fingerprint,
    others: Option<&'a str>,
    pub(crate) provenance: Provenance,
    /// In whole seconds since 1970.
    pub(crate) checked: Option<i64>,
}

impl<'a> RecordRef<'a> {
    /// Reads a row of [`SEEN_COLUMNS`] or [`COLUMNS`].
    ///
    /// # Errors
    /// When a column holds what the schema does not allow: the state is damaged.
    pub(super) fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            path: row.get_ref(0)?.as_str()?,
            owner: row.get(1)?,
            written: row.get(11)?,
            url: row.get_ref(2)?.as_str()?,
            identity: digest_of(row, 3)?,
            fingerprint: Fingerprint {
                size: row.get(4)?,
                stamp: row.get::<_, i64>(5)?.cast_unsigned(),
                racy: row.get(6)?,
                sha256: Digest::from_bytes(row.get(7)?),
            },
            others: row.get_ref(8)?.as_str_or_null()?,
            provenance: Provenance::of_code(row.get(9)?)?,
            checked: row.get(10)?,
        })
    }

    /// Whether natsync put the bytes in place for one of the owners that this run is.
    pub(crate) fn is_written_by(&self, state: &State) -> bool {
        self.written && state.owns(self.owner)
    }

    /// The manifest that wrote the file, if it is unclear whether it is the one of this run.
    pub(crate) fn unclear_owner<'s>(&self, state: &'s State) -> Option<&'s Owner> {
        state.unclear().iter().find(|owner| self.written && owner.id == self.owner)
    }

    /// The digests under other algorithms than SHA-256.
    pub(crate) fn others(&self) -> Vec<Checksum> {
        read_others(self.others)
    }
}

/// A row of [`COLUMNS`] in a running query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRow<'a> {
    pub(crate) path: &'a str,
    row: &'a Row<'a>,
    key: IdentityKey,
}

impl<'a> RecordRow<'a> {
    /// # Errors
    /// When the path is not a text: the state is damaged.
    pub(super) fn new(row: &'a Row<'a>, key: IdentityKey) -> rusqlite::Result<Self> {
        Ok(Self { path: row.get_ref(0)?.as_str()?, row, key })
    }

    /// # Errors
    /// When a column holds what the schema does not allow: the state is damaged.
    pub(crate) fn record(&self) -> io::Result<FileRecord> {
        FileRecord::read(self.row, &self.key).map_err(io::Error::other)
    }
}

impl FileRecord {
    /// Reads a row of [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>, key: &IdentityKey) -> rusqlite::Result<Self> {
        let seen = RecordRef::read(row)?;
        let Fingerprint { size, stamp, racy, sha256 } = seen.fingerprint;
        Ok(Self {
            url: key.kept(seen.url.to_owned(), seen.identity),
            served: key.kept(row.get(12)?, digest_of(row, 13)?),
            size,
            stamp,
            racy,
            digests: Digests::new(sha256, seen.others()),
            provenance: seen.provenance,
            checked: seen.checked.and_then(second),
            changed: row.get::<_, Option<i64>>(14)?.and_then(millisecond),
            validators: Validators { etag: row.get(15)?, last_modified: row.get(16)? },
        })
    }
}

/// The digest of an identity in that column.
pub(super) fn digest_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UrlDigest>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Hex))
}

/// A time that is out of range comes from a damaged file, and counts as none.
pub(super) fn second(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

fn millisecond(milliseconds: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(milliseconds).ok()
}

/// Digests under other algorithms as the state stores them: `md5:90015..,sha1:a9993..`.
pub(super) fn write_others(others: &[Checksum]) -> Option<String> {
    let texts: Vec<_> = others.iter().map(Checksum::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// A digest that cannot be read counts as unknown: the file is read again where the digest matters.
fn read_others(text: Option<&str>) -> Vec<Checksum> {
    let read = |text: &str| {
        let (name, hex) = text.split_once(':')?;
        Checksum::from_hex(Algorithm::named(name)?, hex)
    };
    text.into_iter().flat_map(|text| text.split(',')).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provenance_is_stored_as_a_number_of_its_own() {
        for provenance in Provenance::ALL {
            assert_eq!(Provenance::of_code(provenance.code()).unwrap(), provenance);
        }
        assert!(Provenance::of_code(9).is_err());
    }

    #[test]
    fn digests_under_other_algorithms_are_read_back() {
        let md5 = Checksum::from_hex(Algorithm::Md5, &"a".repeat(32)).unwrap();
        let sha1 = Checksum::from_hex(Algorithm::Sha1, &"b".repeat(40)).unwrap();
        let text = write_others(&[md5, sha1]).unwrap();
        assert_eq!(read_others(Some(&text)), [md5, sha1]);
        assert_eq!(read_others(Some("md5:zz,nothing")), []);
        assert_eq!(write_others(&[]), None);
    }
}
