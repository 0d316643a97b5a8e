//! The state: what this machine has recorded of its files, in `DEST/.natsync/state.db`.
//!
//! It is a cache. A record is trusted only while the file still has the recorded stat. So a state
//! that is missing, damaged, of another version or of another destination costs requests and reads,
//! and never makes a run wrong. Of URLs it stores the shown form, and a keyed digest of the identity
//! where that form does not determine it, so it holds no secret.

mod note;
#[cfg(feature = "cli")]
mod paths;
mod record;
mod runs;
mod schema;

use std::path::Path;
use std::sync::Mutex;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use crate::dest::Dest;
use crate::manifest::{Identity, IdentityKey, KeptUrl, UrlDigest};
use crate::pin::Validators;
use crate::pin::checksum_lists::{KeptList, KeptLists};
use crate::threads::{into_inner, lock};
pub(crate) use note::Note;
#[cfg(feature = "cli")]
pub(crate) use paths::RecordedPaths;
pub(crate) use record::{Answered, Fingerprint, RecordRef};
use record::{COLUMNS, NO_RECORD, RecordRow, SEEN_COLUMNS, digest_of, second};
pub use record::{FileRecord, Provenance};
pub(crate) use schema::Opened;

/// What the state has of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recorded<'a> {
    File(RecordRow<'a>),
    /// Upstream has no such file.
    Missing {
        path: &'a str,
    },
}

impl<'a> Recorded<'a> {
    /// Below the destination.
    pub(crate) fn path(&self) -> &'a str {
        match self {
            Self::File(record) => record.path,
            Self::Missing { path } => path,
        }
    }
}

/// An open state.
#[derive(Debug)]
pub(crate) struct State {
    connection: Mutex<Connection>,
    manifest: String,
    key: IdentityKey,
}

impl State {
    /// Opens the state of a destination for reading, for a manifest of that name. Writes nothing. A
    /// state that cannot be used counts as none, with a warning.
    #[must_use]
    pub(crate) fn look(dest: &Dest, manifest: &str) -> Opened<Option<Self>> {
        schema::look(dest)
            .map(|connection| connection.map(|connection| Self::new(connection, manifest)))
    }

    /// Opens the state of a destination for writing. A state that cannot be used is renamed, and a
    /// new one is created, with a warning. Only the holder of the run guard may call this.
    ///
    /// # Errors
    /// When a new state cannot be created either: then the disk is unusable.
    pub(crate) fn open(dest: &Dest, manifest: &str) -> rusqlite::Result<Opened<Self>> {
        Ok(schema::open(dest)?.map(|connection| Self::new(connection, manifest)))
    }

    /// Renames a state that is damaged inside, and creates a new one, with a warning.
    ///
    /// # Errors
    /// When a new state cannot be created.
    pub(crate) fn renew(self, dest: &Dest) -> rusqlite::Result<Opened<Self>> {
        let manifest = self.manifest;
        drop(self.connection);
        Ok(schema::renew(dest)?.map(|connection| Self::new(connection, &manifest)))
    }

    fn new(connection: Connection, manifest: &str) -> Self {
        let key = schema::key(&connection);
        Self { connection: Mutex::new(connection), manifest: manifest.to_owned(), key }
    }

    /// The key of the digests of identities in it.
    #[must_use]
    pub(crate) fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// Hands every recorded file to `visit`, and then every missing one to `missing` with its declared
    /// URL, the digest of that, and the time of the answer.
    ///
    /// # Errors
    /// When the state is damaged. The rows handed over so far are valid.
    pub(crate) fn read(
        &self,
        mut visit: impl FnMut(RecordRef<'_>),
        mut missing: impl FnMut(&str, (&str, Option<UrlDigest>), Timestamp),
    ) -> rusqlite::Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare(&format!("SELECT {SEEN_COLUMNS} FROM files"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(RecordRef::read(row)?);
        }
        let mut statement = connection.prepare("SELECT path, url, identity, since FROM missing")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(since) = second(row.get(3)?) {
                let url = (row.get_ref(1)?.as_str()?, digest_of(row, 2)?);
                missing(row.get_ref(0)?.as_str()?, url, since);
            }
        }
        Ok(())
    }

    /// Hands over all files and all missing ones in the order of their paths, until `visit` answers
    /// false.
    ///
    /// # Errors
    /// When the state is damaged.
    pub(crate) fn in_order(
        &self,
        mut visit: impl FnMut(Recorded<'_>) -> bool,
    ) -> rusqlite::Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM files UNION ALL SELECT path, {NO_RECORD} FROM missing ORDER BY path"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let recorded = match row.get_ref(1)? {
                ValueRef::Null => Recorded::Missing { path: row.get_ref(0)?.as_str()? },
                _ => Recorded::File(RecordRow::new(row, self.key)?),
            };
            if !visit(recorded) {
                break;
            }
        }
        Ok(())
    }

    /// What a conditional request for a path needs, whatever manifest recorded it. A damaged state
    /// answers none.
    #[must_use]
    pub(crate) fn answered(&self, path: &str) -> Option<Answered> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(Answered::SELECT).ok()?;
        statement.query_row([path], |row| Answered::read(row, &self.key)).optional().ok().flatten()
    }

    /// The record of a path that this manifest recorded. A damaged state answers none.
    #[must_use]
    pub(crate) fn own_record(&self, path: &str) -> Option<FileRecord> {
        let manifest = &self.manifest;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM files WHERE path = ?1 AND manifest = ?2"
            ))
            .ok()?;
        let read = |row: &rusqlite::Row<'_>| FileRecord::read(row, &self.key);
        statement.query_row([path, manifest], read).optional().ok().flatten()
    }

    /// When upstream last answered that it has no file for a path, and the URL that was declared then.
    #[must_use]
    pub(crate) fn missing_since(&self, path: &str) -> Option<(KeptUrl, Timestamp)> {
        let connection = self.lock();
        let mut statement =
            connection.prepare("SELECT url, identity, since FROM missing WHERE path = ?1").ok()?;
        let found = statement.query_row([path], |row| {
            Ok((self.key.kept(row.get(0)?, digest_of(row, 1)?), second(row.get(2)?)))
        });
        let (url, since) = found.optional().ok().flatten()?;
        Some((url, since?))
    }

    /// The validators of a checksum list whose content is kept.
    #[must_use]
    pub(crate) fn list_validators(&self, url: &Identity) -> Option<Validators> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT etag, last_modified FROM lists WHERE identity = ?1 AND content IS NOT NULL",
            )
            .ok()?;
        let found = statement.query_row([self.key.digest(url.expose()).0], |row| {
            Ok(Validators { etag: row.get(0)?, last_modified: row.get(1)? })
        });
        found.optional().ok().flatten()
    }

    /// The path of the destination when its files were written.
    #[must_use]
    pub(crate) fn place(&self) -> Option<String> {
        let connection = self.lock();
        connection.query_row("SELECT path FROM place", [], |row| row.get(0)).ok()
    }

    /// Moves the log into the database file, so that the next reader need not recover it.
    pub(crate) fn close(self) {
        let connection = into_inner(self.connection);
        // If this fails, the next run recovers the log.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        lock(&self.connection)
    }
}

impl KeptLists for State {
    fn kept_list(&self, url: &Identity) -> KeptList {
        let identity = self.key.digest(url.expose()).0;
        let connection = self.lock();
        let content = connection
            .prepare_cached("SELECT content FROM lists WHERE identity = ?1")
            .and_then(|mut found| found.query_row([identity], |row| row.get(0)).optional());
        match content {
            Ok(Some(Some(content))) => KeptList::Content(content),
            Ok(Some(None)) => KeptList::Missing,
            Ok(None) | Err(_) => KeptList::Unknown,
        }
    }
}

/// The state's file below a destination.
#[must_use]
pub(crate) fn file_of(dest: &Path) -> std::path::PathBuf {
    dest.join(crate::dest::CONTROL).join(schema::FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Digests};

    fn fresh() -> (tempfile::TempDir, Dest) {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        (folder, dest)
    }

    fn row(dest: &Dest, path: &str) -> Note {
        std::fs::write(dest.path().join(path), "x").unwrap();
        let stat = dest.stat(&crate::rel_path::RelPath::parse(path).unwrap()).unwrap();
        let record = FileRecord {
            url: KeptUrl::of_shown("http://h/x".to_owned()),
            served: KeptUrl::of_shown("http://h/x".to_owned()),
            size: stat.size,
            stamp: stat.stamp(),
            racy: stat.is_racy(Timestamp::now()),
            digests: Digests::new(Digest::of(b"x"), Vec::new()),
            provenance: Provenance::Downloaded,
            checked: Timestamp::from_second(7).ok(),
            changed: None,
            validators: Validators { etag: Some("\"a\"".to_owned()), last_modified: None },
        };
        Note::File { path: path.to_owned(), record: Box::new(record) }
    }

    fn paths(state: &State) -> Vec<String> {
        let (mut paths, mut missing) = (Vec::new(), Vec::new());
        state
            .read(
                |known| paths.push(known.path.to_owned()),
                |path, _, _| missing.push(format!("missing {path}")),
            )
            .unwrap();
        paths.append(&mut missing);
        paths
    }

    #[test]
    fn what_is_noted_is_there_the_next_time() {
        let (_folder, dest) = fresh();
        let state = State::open(&dest, "m").unwrap().value;
        let missing = |path: &str| Note::Missing {
            path: path.to_owned(),
            url: KeptUrl::of_shown("http://h/y".to_owned()),
            since: Timestamp::now(),
        };
        state.note(&[missing("a"), missing("b"), row(&dest, "a")]).unwrap();
        state.close();
        let opened = State::open(&dest, "m").unwrap();
        assert_eq!(opened.warning, None);
        assert_eq!(paths(&opened.value), ["a", "missing b"]);
        let answered = opened.value.answered("a").unwrap();
        assert_eq!((answered.sha256, answered.served.shown()), (Digest::of(b"x"), "http://h/x"));
        let record = opened.value.own_record("a").unwrap();
        let Note::File { record: noted, .. } = row(&dest, "a") else { unreachable!() };
        assert_eq!(FileRecord { stamp: noted.stamp, racy: noted.racy, ..record }, *noted);
        assert!(opened.value.own_record("b").is_none() && opened.value.answered("b").is_none());
        opened.value.close();
        assert!(State::open(&dest, "n").unwrap().value.own_record("a").is_none());
    }

    #[test]
    fn when_bytes_came_is_kept_as_long_as_they_stay() {
        let (_folder, dest) = fresh();
        let state = State::open(&dest, "m").unwrap().value;
        let note = |changed: Option<i64>, content: &[u8]| {
            let Note::File { path, record } = row(&dest, "a") else { unreachable!() };
            let changed = changed.map(|at| Timestamp::from_millisecond(at).unwrap());
            let digests = Digests::new(Digest::of(content), Vec::new());
            let record = Box::new(FileRecord { digests, changed, ..*record });
            state.note(&[Note::File { path, record }]).unwrap();
            let mut noted = None;
            state.changes(|_, at| noted = Some(at)).unwrap();
            noted
        };
        assert_eq!(note(None, b"x"), None, "it was there already");
        assert_eq!(note(Some(5), b"x"), Some(5));
        assert_eq!(note(None, b"x"), Some(5), "it was confirmed");
        assert_eq!(note(Some(9), b"y"), Some(9));
        assert_eq!(note(None, b"z"), None, "somebody else put other bytes there");
    }

    #[test]
    fn looking_writes_nothing() {
        let (_folder, dest) = fresh();
        assert!(State::look(&dest, "m").value.is_none());
        let state = State::open(&dest, "m").unwrap().value;
        state.note(&[row(&dest, "a")]).unwrap();
        state.close();
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(dest.path().join(crate::dest::CONTROL))
                .unwrap()
                .map(|item| item.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        let before = names();
        assert_eq!(before, ["partial", "state.db"]);
        let looked = State::look(&dest, "m").value.unwrap();
        assert_eq!(paths(&looked), ["a"]);
        assert_eq!(names(), before);
    }

    #[test]
    fn a_state_that_cannot_be_used_is_begun_anew_and_kept_aside() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 6] = [
            ("empty", |file| std::fs::write(file, "").unwrap()),
            ("garbage", |file| {
                std::fs::write(file, "not a database, but long enough to look at").unwrap();
            }),
            ("a directory", |file| {
                std::fs::remove_file(file).unwrap();
                std::fs::create_dir(file).unwrap();
            }),
            ("cut", |file| {
                let bytes = std::fs::read(file).unwrap();
                std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            }),
            ("newer", |file| {
                let mut bytes = std::fs::read(file).unwrap();
                bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
                std::fs::write(file, bytes).unwrap();
            }),
            ("foreign", |file| {
                std::fs::remove_file(file).unwrap();
                Connection::open(file)
                    .unwrap()
                    .execute_batch("CREATE TABLE files (path TEXT)")
                    .unwrap();
            }),
        ];
        for (name, damage) in damages {
            let (_folder, dest) = fresh();
            let state = State::open(&dest, "m").unwrap().value;
            state.note(&[row(&dest, "a")]).unwrap();
            state.close();
            damage(&file_of(dest.path()));
            let looked = State::look(&dest, "m");
            let readable = looked.value.and_then(|state| state.read(|_| {}, |_, _, _| {}).ok());
            assert!(readable.is_none() || looked.warning.is_some(), "{name}");
            let opened = State::open(&dest, "m").unwrap();
            assert!(opened.warning.is_some() || name == "cut", "{name}");
            let _ = opened.value.read(|_| {}, |_, _, _| {});
        }
    }
}
