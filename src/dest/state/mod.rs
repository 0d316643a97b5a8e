//! What this machine knows of the files that natsync wrote: `DEST/.natsync/state.db`.
//!
//! A cache. A row is a claim about a file as it was when it was noted, and is believed only while the
//! file still looks the same; so a state that is gone, damaged, too old, too new or of another
//! destination costs requests and reading, and never makes a run wrong. It holds the shown form of
//! URLs alone, so no secret.

mod remembered;
mod runs;
mod schema;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::dest::{Dest, Stat};
use crate::digest::{Algorithm, Checksum, Digest, Digests};
use crate::ops::prunable::Written;
use crate::pin::checksum_lists::{KeptList, KeptLists};
pub(crate) use remembered::Remembered;
pub(crate) use schema::Opened;

/// A file that natsync put in place or confirmed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileRow {
    /// Where it is below the destination.
    pub(crate) path: String,
    /// How it looked when it was noted.
    pub(crate) stat: Stat,
    /// Its digests.
    pub(crate) digests: Digests,
    /// Whether these bytes came from upstream, rather than were taken for what it has.
    pub(crate) witnessed: bool,
    /// Whether natsync put the file there, so that it may also remove it.
    pub(crate) written: bool,
    /// The declared URL.
    pub(crate) url: String,
    /// When upstream last served or confirmed it.
    pub(crate) checked: Timestamp,
    /// When natsync put these bytes there, if that was now; none where they were there already, and what was noted of
    /// them stays.
    pub(crate) changed: Option<Timestamp>,
    /// What upstream said about it.
    pub(crate) validators: Validators,
}

/// What makes a conditional request for a file possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    /// The URL that served it; validators are worth nothing at another.
    pub(crate) served: String,
    /// `ETag`, as it was sent.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub(crate) last_modified: Option<String>,
}

/// A file as the state knows it, for a question about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    /// What upstream said about it.
    pub(crate) validators: Validators,
    /// Its digest.
    pub(crate) digest: Digest,
    /// [`Stat::stamp`] when it was noted.
    pub(crate) stamp: u64,
    /// Whether these bytes came from upstream.
    pub(crate) witnessed: bool,
    /// Whether natsync put the file there.
    pub(crate) written: bool,
}

/// One thing to note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Note {
    /// A file is in place.
    File(Box<FileRow>),
    /// A known file was read again, and has the same bytes.
    Read {
        /// Which.
        path: String,
        /// How it looks now.
        stat: Stat,
        /// Its digests.
        digests: Digests,
    },
    /// Upstream confirmed a file.
    Checked {
        /// Which.
        path: String,
        /// When.
        checked: Timestamp,
        /// What upstream calls it now, where it said so.
        validators: Option<Validators>,
    },
    /// A checksum list, or that there is none.
    List {
        /// Its URL, shown form.
        url: String,
        /// `ETag`, as it was sent.
        etag: Option<String>,
        /// `Last-Modified`, as it was sent.
        last_modified: Option<String>,
        /// Its bytes.
        content: Option<Vec<u8>>,
    },
    /// A file that is gone, by our own hand.
    Forget {
        /// Which.
        path: String,
    },
    /// Where the destination is.
    Place {
        /// In full.
        path: String,
    },
    /// Upstream has no such file.
    Missing {
        /// The entry's path.
        path: String,
        /// The declared URL.
        url: String,
        /// When it said so.
        since: Timestamp,
    },
}

/// A row as the inventory joins it with the walk.
#[derive(Clone, Debug)]
pub(crate) struct Known<'a> {
    /// Where the file is below the destination.
    pub(crate) path: &'a str,
    /// The manifest that it belongs to.
    pub(crate) manifest: &'a str,
    /// The declared URL.
    pub(crate) url: &'a str,
    /// [`Stat::stamp`] when it was noted.
    pub(crate) stamp: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Whether it was noted so soon after its last change that its stat proves nothing.
    pub(crate) racy: bool,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its digests under other algorithms, as far as they were needed.
    pub(crate) others: Vec<Checksum>,
    /// When upstream last served or confirmed it.
    pub(crate) checked: Timestamp,
    /// Whether natsync put it there.
    pub(crate) written: bool,
}

/// What is noted of a path, as the lock is made of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Noted<'a> {
    /// A file.
    File {
        path: &'a str,
        url: &'a str,
        /// The URL that served it.
        served: &'a str,
        size: u64,
        sha256: Digest,
        etag: Option<&'a str>,
        last_modified: Option<&'a str>,
    },
    /// That upstream has none.
    Missing { path: &'a str },
}

impl<'a> Noted<'a> {
    /// Below the destination.
    pub(crate) fn path(&self) -> &'a str {
        match self {
            Self::File { path, .. } | Self::Missing { path } => path,
        }
    }
}

/// A file changed so shortly before it was noted may change again without its times showing it: the
/// racy-timestamp rule of git's index, for clocks that tick every two seconds.
const RACY_NANOSECONDS: u64 = 2_000_000_000;

/// An open state.
#[derive(Debug)]
pub(crate) struct State {
    connection: Mutex<Connection>,
    manifest: String,
}

impl State {
    /// Opens the state of a destination to look at it, for a manifest of that name. Nothing is
    /// written. A state that cannot be used is as good as none, with a warning.
    #[must_use]
    pub(crate) fn look(dest: &Dest, manifest: &str) -> Opened<Option<Self>> {
        schema::look(dest)
            .map(|connection| connection.map(|connection| Self::new(connection, manifest)))
    }

    /// Opens the state of a destination to write to it. A state that cannot be used is set aside and
    /// begun anew, with a warning. Only for the holder of the run guard.
    ///
    /// # Errors
    /// When a new state cannot be made either: then the disk cannot be used.
    pub(crate) fn open(dest: &Dest, manifest: &str) -> rusqlite::Result<Opened<Self>> {
        Ok(schema::open(dest)?.map(|connection| Self::new(connection, manifest)))
    }

    /// Sets aside what turned out to be damaged while it was read, and begins anew, with a warning.
    ///
    /// # Errors
    /// When a new state cannot be made.
    pub(crate) fn renew(self, dest: &Dest) -> rusqlite::Result<Opened<Self>> {
        let manifest = self.manifest;
        drop(self.connection);
        Ok(schema::renew(dest)?.map(|connection| Self::new(connection, &manifest)))
    }

    fn new(connection: Connection, manifest: &str) -> Self {
        Self { connection: Mutex::new(connection), manifest: manifest.to_owned() }
    }

    /// Hands every known file to `visit`, and then every missing one to `missing` with its declared
    /// URL and the time it was noted.
    ///
    /// # Errors
    /// When the state is damaged. What was handed over so far is still true.
    pub(crate) fn read(
        &self,
        mut visit: impl FnMut(Known<'_>),
        mut missing: impl FnMut(&str, &str, Timestamp),
    ) -> rusqlite::Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT path, manifest, url, stamp, racy, sha256, checked, others, size, written FROM files",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(Known {
                path: row.get_ref(0)?.as_str()?,
                manifest: row.get_ref(1)?.as_str()?,
                url: row.get_ref(2)?.as_str()?,
                stamp: row.get::<_, i64>(3)?.cast_unsigned(),
                racy: row.get(4)?,
                digest: Digest::from_bytes(row.get(5)?),
                checked: instant(row.get(6)?),
                others: read_others(row.get_ref(7)?.as_str_or_null()?),
                size: row.get(8)?,
                written: row.get(9)?,
            });
        }
        let mut statement = connection.prepare("SELECT path, url, since FROM missing")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            missing(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, instant(row.get(2)?));
        }
        Ok(())
    }

    /// Hands over all that is noted in the order of paths, as long as `visit` wants more.
    ///
    /// # Errors
    /// When the state is damaged.
    pub(crate) fn in_order(
        &self,
        mut visit: impl FnMut(Noted<'_>) -> bool,
    ) -> rusqlite::Result<()> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT path, url, served, size, sha256, etag, last_modified FROM files
             UNION ALL SELECT path, url, NULL, 0, NULL, NULL, NULL FROM missing ORDER BY path",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (path, url) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            let noted = match row.get_ref(2)?.as_str_or_null()? {
                None => Noted::Missing { path },
                Some(served) => Noted::File {
                    path,
                    url,
                    served,
                    size: row.get(3)?,
                    sha256: Digest::from_bytes(row.get(4)?),
                    etag: row.get_ref(5)?.as_str_or_null()?,
                    last_modified: row.get_ref(6)?.as_str_or_null()?,
                },
            };
            if !visit(noted) {
                break;
            }
        }
        Ok(())
    }

    /// What makes a conditional request for that file possible. A damaged state answers as if it did
    /// not know the file.
    #[must_use]
    pub(crate) fn held(&self, path: &str) -> Option<Held> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT served, etag, last_modified, sha256, stamp, witnessed, written FROM files WHERE path = ?1",
            )
            .ok()?;
        let found = statement.query_row([path], |row| {
            let validators =
                Validators { served: row.get(0)?, etag: row.get(1)?, last_modified: row.get(2)? };
            let digest = Digest::from_bytes(row.get(3)?);
            let stamp = row.get::<_, i64>(4)?.cast_unsigned();
            Ok(Held { validators, digest, stamp, witnessed: row.get(5)?, written: row.get(6)? })
        });
        found.optional().ok().flatten()
    }

    /// What a file must still be to be deleted: only if natsync wrote it, for this manifest. A damaged state answers
    /// as if it did not know the file.
    #[must_use]
    pub(crate) fn written(&self, path: &str) -> Option<Written> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT stamp, racy, sha256 FROM files WHERE path = ?1 AND manifest = ?2 AND written",
            )
            .ok()?;
        let found = statement.query_row([path, &self.manifest], |row| {
            let stamp = row.get::<_, i64>(0)?.cast_unsigned();
            Ok(Written { stamp, racy: row.get(1)?, digest: Digest::from_bytes(row.get(2)?) })
        });
        found.optional().ok().flatten()
    }

    /// What makes a conditional request for a checksum list possible: `ETag` and `Last-Modified`.
    #[must_use]
    pub(crate) fn list_validators(&self, url: &str) -> Option<(Option<String>, Option<String>)> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT etag, last_modified FROM lists WHERE url = ?1 AND content IS NOT NULL",
            )
            .ok()?;
        statement.query_row([url], |row| Ok((row.get(0)?, row.get(1)?))).optional().ok().flatten()
    }

    /// Where the destination was when its files were written.
    #[must_use]
    pub(crate) fn place(&self) -> Option<String> {
        let connection = self.lock();
        connection.query_row("SELECT path FROM place", [], |row| row.get(0)).ok()
    }

    /// Notes all of them in one transaction. Only for what is durable on the disk.
    ///
    /// # Errors
    /// When the disk fails; then none is noted.
    pub(crate) fn note(&self, notes: &[Note]) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut file = transaction.prepare_cached(
                "INSERT OR REPLACE INTO files
                 (path, manifest, url, served, size, stamp, racy, sha256, others, witnessed, checked, etag, last_modified, written, changed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
                         coalesce(?15, (SELECT changed FROM files WHERE path = ?1 AND sha256 = ?8)))",
            )?;
            let mut read = transaction.prepare_cached(
                "UPDATE files SET size = ?2, stamp = ?3, racy = ?4, sha256 = ?5, others = ?6 WHERE path = ?1",
            )?;
            let mut confirm =
                transaction.prepare_cached("UPDATE files SET checked = ?2 WHERE path = ?1")?;
            let mut rename = transaction.prepare_cached(
                "UPDATE files SET served = ?2, etag = ?3, last_modified = ?4 WHERE path = ?1",
            )?;
            let mut forget = transaction.prepare_cached("DELETE FROM missing WHERE path = ?1")?;
            let mut missing = transaction.prepare_cached(
                "INSERT OR REPLACE INTO missing (path, manifest, url, since) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut list = transaction.prepare_cached(
                "INSERT OR REPLACE INTO lists (url, etag, last_modified, content) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let now = Timestamp::now();
            for note in notes {
                match note {
                    Note::File(row) => {
                        file.execute(params![
                            row.path,
                            self.manifest,
                            row.url,
                            row.validators.served,
                            row.stat.size,
                            row.stat.stamp().cast_signed(),
                            is_racy(&row.stat, now),
                            row.digests.sha256().as_bytes(),
                            write_others(row.digests.others()),
                            row.witnessed,
                            row.checked.as_second(),
                            row.validators.etag,
                            row.validators.last_modified,
                            row.written,
                            row.changed.map(Timestamp::as_millisecond),
                        ])?;
                        forget.execute([&row.path])?;
                    }
                    Note::Read { path, stat, digests } => {
                        read.execute(params![
                            path,
                            stat.size,
                            stat.stamp().cast_signed(),
                            is_racy(stat, now),
                            digests.sha256().as_bytes(),
                            write_others(digests.others()),
                        ])?;
                    }
                    Note::Checked { path, checked, validators } => {
                        confirm.execute(params![path, checked.as_second()])?;
                        if let Some(Validators { served, etag, last_modified }) = validators {
                            rename.execute(params![path, served, etag, last_modified])?;
                        }
                    }
                    Note::Forget { path } => {
                        transaction.execute("DELETE FROM files WHERE path = ?1", [path])?;
                    }
                    Note::Place { path } => {
                        transaction.execute("DELETE FROM place", [])?;
                        transaction.execute("INSERT INTO place (path) VALUES (?1)", [path])?;
                    }
                    Note::List { url, etag, last_modified, content } => {
                        list.execute(params![url, etag, last_modified, content])?;
                    }
                    Note::Missing { path, url, since } => {
                        missing.execute(params![path, self.manifest, url, since.as_second()])?;
                    }
                }
            }
        }
        transaction.commit()
    }

    /// Puts all of it into the one file, so that the next reader finds nothing to recover.
    pub(crate) fn close(self) {
        let connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Failing costs the next run a recovery, and loses nothing.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptLists for State {
    fn kept_list(&self, url: &str) -> KeptList {
        let connection = self.lock();
        let content = connection
            .prepare_cached("SELECT content FROM lists WHERE url = ?1")
            .and_then(|mut statement| statement.query_row([url], |row| row.get(0)).optional());
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

/// Digests under other algorithms: `md5:90015..,sha1:a9993..`.
fn write_others(others: &[Checksum]) -> Option<String> {
    let texts: Vec<_> = others.iter().map(Checksum::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// What cannot be read is as good as unknown: the file is read again where it matters.
fn read_others(text: Option<&str>) -> Vec<Checksum> {
    let read = |text: &str| {
        let (name, hex) = text.split_once(':')?;
        Checksum::from_hex(Algorithm::named(name)?, hex)
    };
    text.into_iter().flat_map(|text| text.split(',')).filter_map(read).collect()
}

fn instant(seconds: i64) -> Timestamp {
    // A time out of range comes from a damaged file; as the oldest time it makes nothing fresh.
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

fn is_racy(stat: &Stat, now: Timestamp) -> bool {
    let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    now.abs_diff(stat.modified) < RACY_NANOSECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Dest) {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        (folder, dest)
    }

    fn row(dest: &Dest, path: &str) -> Note {
        std::fs::write(dest.path().join(path), "x").unwrap();
        let stat = dest.stat(&crate::rel_path::RelPath::parse(path).unwrap()).unwrap();
        Note::File(Box::new(FileRow {
            path: path.to_owned(),
            stat,
            digests: Digests::new(Digest::of(b"x"), Vec::new()),
            witnessed: true,
            written: true,
            url: "http://h/x".to_owned(),
            checked: Timestamp::from_second(7).unwrap(),
            changed: None,
            validators: Validators {
                served: "http://h/x".to_owned(),
                etag: Some("\"a\"".to_owned()),
                last_modified: None,
            },
        }))
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
            url: "http://h/y".to_owned(),
            since: Timestamp::now(),
        };
        state.note(&[missing("a"), missing("b"), row(&dest, "a")]).unwrap();
        state.close();
        let opened = State::open(&dest, "m").unwrap();
        assert_eq!(opened.warning, None);
        assert_eq!(paths(&opened.value), ["a", "missing b"]);
        let held = opened.value.held("a").unwrap();
        let etag = held.validators.etag.as_deref();
        assert_eq!((etag, held.digest), (Some("\"a\""), Digest::of(b"x")));
        assert!(opened.value.held("b").is_none());
    }

    #[test]
    fn when_bytes_came_is_kept_as_long_as_they_stay() {
        let (_folder, dest) = fresh();
        let state = State::open(&dest, "m").unwrap().value;
        let note = |changed: Option<i64>, content: &[u8]| {
            let Note::File(row) = row(&dest, "a") else { unreachable!() };
            let changed = changed.map(|at| Timestamp::from_millisecond(at).unwrap());
            let digests = Digests::new(Digest::of(content), Vec::new());
            state.note(&[Note::File(Box::new(FileRow { digests, changed, ..*row }))]).unwrap();
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
