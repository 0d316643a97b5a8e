//! The state: what this machine has recorded of its files, in `DEST/.natsync/state.db`.
//!
//! It is a cache, but for one thing: which files natsync wrote, and for which manifest. A record is
//! trusted only while the file still has the recorded stat. So a state that is missing, damaged or of
//! another destination costs requests and reads, and never makes a run wrong; only the files that it
//! knew are not pruned any more. Of URLs it stores the shown form, and a keyed digest of the identity
//! where that form does not determine it, so it holds no secret.

mod absorb;
mod migrations;
mod note;
mod owners;
mod parts;
#[cfg(feature = "cli")]
mod paths;
mod record;
mod runs;
mod schema;

use std::path::PathBuf;
use std::sync::Mutex;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use crate::dest::Dest;
use crate::manifest::{Identity, IdentityKey, KeptUrl, UrlDigest};
use crate::pin::Validators;
use crate::pin::checksum_lists::{KeptList, KeptLists};
use crate::threads::{into_inner, lock};
pub(crate) use absorb::{NotTaken, ShardState};
pub(crate) use note::Note;
use owners::Recognised;
pub(crate) use owners::{Claim, Owner};
#[cfg(feature = "cli")]
pub(crate) use paths::RecordedPaths;
pub(crate) use record::{Answered, Fingerprint, RecordRef};
use record::{COLUMNS, NO_RECORD, RecordRow, SEEN_COLUMNS, digest_of, second};
pub use record::{FileRecord, Provenance};
pub(crate) use schema::{FILE, Opened, state_error};

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
    /// The random key of the digests in the state.
    key: IdentityKey,
    /// The id of the owner that this run is; 0 for a manifest that has not written here yet.
    own: i64,
    /// Further owners whose files this run treats as its own, although it may not write that down.
    taken: Vec<i64>,
    unclear: Vec<Owner>,
}

impl State {
    /// Opens the state of a destination for reading. Writes nothing. A state that cannot be used
    /// counts as none, with a warning.
    #[must_use]
    pub(crate) fn look(dest: &Dest, claim: &Claim<'_>) -> Opened<Option<Self>> {
        let Opened { value, warning } = schema::look(dest);
        let Some(connection) = value else { return Opened { value: None, warning } };
        let recognised = owners::look(&connection, dest.path(), claim);
        match recognised.and_then(|recognised| Self::new(connection, recognised)) {
            Ok(state) => Opened { value: Some(state), warning },
            Err(error) => Opened { value: None, warning: Some(schema::unused(&error.into())) },
        }
    }

    /// Opens the state of a destination for reading, for no manifest in particular.
    #[must_use]
    pub(crate) fn look_only(dest: &Dest) -> Opened<Option<Self>> {
        let Opened { value, warning } = schema::look(dest);
        let state = value.map(|connection| Self::new(connection, Recognised::default()));
        Opened { value: state.and_then(Result::ok), warning }
    }

    /// Opens the state of a destination for writing, and records that the manifest uses it. An older
    /// state is migrated. A state that cannot be used is renamed, and a new one is created, with a
    /// warning. Only the holder of the run guard may call this.
    ///
    /// # Errors
    /// When a new state cannot be created either: then the disk is unusable.
    pub(crate) fn open(dest: &Dest, claim: &Claim<'_>) -> rusqlite::Result<Opened<Self>> {
        let Opened { value, warning } = schema::open(dest)?;
        match Self::enter(value, dest, claim) {
            Ok(value) => Ok(Opened { value, warning }),
            Err(error) if schema::is_transient(&error) => Err(error),
            Err(_) => Self::begin_anew(dest, claim),
        }
    }

    /// Renames a state that is damaged inside, and creates a new one, with a warning.
    ///
    /// # Errors
    /// When a new state cannot be created.
    pub(crate) fn renew(self, dest: &Dest, claim: &Claim<'_>) -> rusqlite::Result<Opened<Self>> {
        drop(self.connection);
        Self::begin_anew(dest, claim)
    }

    fn begin_anew(dest: &Dest, claim: &Claim<'_>) -> rusqlite::Result<Opened<Self>> {
        let Opened { value, warning } = schema::renew(dest)?;
        Ok(Opened { value: Self::enter(value, dest, claim)?, warning })
    }

    fn enter(mut connection: Connection, dest: &Dest, claim: &Claim<'_>) -> rusqlite::Result<Self> {
        let recognised = owners::enter(&mut connection, dest.path(), claim)?;
        Self::new(connection, recognised)
    }

    fn new(connection: Connection, recognised: Recognised) -> rusqlite::Result<Self> {
        let key = migrations::setting(&connection, "key")?;
        let key = key.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let Recognised { own, taken, unclear } = recognised;
        let (key, own) = (IdentityKey::from_bytes(key), own.unwrap_or_default());
        Ok(Self { connection: Mutex::new(connection), key, own, taken, unclear })
    }

    /// Whether this run is the owner with that id.
    fn owns(&self, owner: i64) -> bool {
        self.own == owner || self.taken.contains(&owner)
    }

    /// Owners that the manifest of this run probably was under another name or at another path.
    pub(crate) fn unclear(&self) -> &[Owner] {
        &self.unclear
    }

    /// Whether the owner with that number is known, and another manifest than that of this run.
    #[must_use]
    pub(crate) fn is_other(&self, owner: i64) -> bool {
        let connection = self.lock();
        let found = connection.query_row("SELECT 1 FROM owners WHERE id = ?1", [owner], |_| Ok(()));
        !self.owns(owner) && found.is_ok()
    }

    /// The number of the owner that this run is, for notes beside the state.
    pub(crate) fn owner(&self) -> i64 {
        self.own
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

    /// The record of a path, whatever manifest recorded it. A damaged state answers none.
    #[must_use]
    pub(crate) fn record(&self, path: &str) -> Option<FileRecord> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM files WHERE path = ?1"))
            .ok()?;
        statement
            .query_row([path], |row| FileRecord::read(row, &self.key))
            .optional()
            .ok()
            .flatten()
    }

    /// The record of a file whose bytes natsync put in place for the manifest of this run. A damaged
    /// state answers none.
    #[must_use]
    pub(crate) fn written(&self, path: &str) -> Option<Fingerprint> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(&format!("SELECT {SEEN_COLUMNS} FROM files WHERE path = ?1"))
            .ok()?;
        let found = statement.query_row([path], |row| {
            let record = RecordRef::read(row)?;
            Ok(record.is_written_by(self).then_some(record.fingerprint))
        });
        found.optional().ok().flatten().flatten()
    }

    /// Whether natsync put the file at a path in place at that time or later.
    #[must_use]
    pub(crate) fn wrote_since(&self, path: &str, time: Timestamp) -> bool {
        self.record(path).and_then(|record| record.changed).is_some_and(|changed| time <= changed)
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

    /// Whether the destination is at the path where its files were written.
    #[must_use]
    pub(crate) fn is_at(&self, place: &str) -> bool {
        let noted = migrations::setting(&self.lock(), "place").ok().flatten();
        noted == Some(migrations::place_digest(self.key.as_bytes(), place))
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
pub(crate) fn file_of(dest: &Dest) -> PathBuf {
    dest.control_path(schema::FILE)
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
            changed: Timestamp::from_millisecond(3).ok(),
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
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        let missing = |path: &str| Note::Missing {
            path: path.to_owned(),
            url: KeptUrl::of_shown("http://h/y".to_owned()),
            since: Timestamp::now(),
        };
        state.note(&[missing("a"), missing("b"), row(&dest, "a")]).unwrap();
        state.close();
        let opened = State::open(&dest, &Claim::named("m")).unwrap();
        assert_eq!(opened.warning, None);
        assert_eq!(paths(&opened.value), ["a", "missing b"]);
        let answered = opened.value.answered("a").unwrap();
        assert_eq!((answered.sha256, answered.served.shown()), (Digest::of(b"x"), "http://h/x"));
        let record = opened.value.record("a").unwrap();
        let Note::File { record: noted, .. } = row(&dest, "a") else { unreachable!() };
        assert_eq!(FileRecord { stamp: noted.stamp, racy: noted.racy, ..record }, *noted);
        assert!(opened.value.record("b").is_none() && opened.value.answered("b").is_none());
        assert_eq!(opened.value.written("a").unwrap().sha256, Digest::of(b"x"));
        opened.value.close();
        let other = State::open(&dest, &Claim::named("n")).unwrap().value;
        assert!(other.record("a").is_some() && other.written("a").is_none());
    }

    #[test]
    fn when_bytes_came_is_kept_as_long_as_they_stay() {
        let (_folder, dest) = fresh();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
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
    fn a_state_that_is_being_created_is_seen_whole_or_not_at_all() {
        let claim = Claim::named("m");
        for _ in 0..20 {
            let (_folder, dest) = fresh();
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| State::open(&dest, &claim).unwrap().value.close());
                while !writer.is_finished() {
                    assert_eq!(State::look(&dest, &claim).warning, None);
                }
            });
            assert!(State::look(&dest, &claim).value.is_some());
        }
    }

    #[test]
    fn looking_writes_nothing() {
        let (_folder, dest) = fresh();
        assert!(State::look(&dest, &Claim::named("m")).value.is_none());
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
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
        let looked = State::look(&dest, &Claim::named("m")).value.unwrap();
        assert_eq!(paths(&looked), ["a"]);
        assert_eq!(names(), before);
    }

    #[test]
    fn a_state_that_cannot_be_used_is_begun_anew_and_kept_aside() {
        type Damage = fn(&std::path::Path);
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
            let state = State::open(&dest, &Claim::named("m")).unwrap().value;
            state.note(&[row(&dest, "a")]).unwrap();
            state.close();
            damage(&file_of(&dest));
            let looked = State::look(&dest, &Claim::named("m"));
            let readable = looked.value.and_then(|state| state.read(|_| {}, |_, _, _| {}).ok());
            assert!(readable.is_none() || looked.warning.is_some(), "{name}");
            let opened = State::open(&dest, &Claim::named("m")).unwrap();
            assert!(opened.warning.is_some() || name == "cut", "{name}");
            let _ = opened.value.read(|_| {}, |_, _, _| {});
        }
    }
}
