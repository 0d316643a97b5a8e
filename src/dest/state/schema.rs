//! The schema of the state, and opening its file whatever its condition.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::file_of;
use super::record::COLUMNS;
use crate::dest::Dest;
use crate::manifest::IdentityKey;

/// The file's name in the control directory.
pub(super) const FILE: &str = "state.db";

/// What follows [`FILE`] in the name of a state that was set aside; then comes the time.
const ASIDE: &str = ".corrupt-";

/// The `application_id` of `SQLite`: "nats" in ASCII.
const APPLICATION: i32 = 0x6e61_7473;

/// Raised with every change of the tables. A state of another version is replaced: it is a cache.
const VERSION: i32 = 7;

const TABLES: &str = "
    CREATE TABLE files (
        path TEXT PRIMARY KEY NOT NULL,
        manifest TEXT NOT NULL,
        url TEXT NOT NULL,
        identity BLOB CHECK (length(identity) = 16),
        served TEXT NOT NULL,
        served_identity BLOB CHECK (length(served_identity) = 16),
        size INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        racy INTEGER NOT NULL,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        others TEXT,
        provenance INTEGER NOT NULL,
        checked INTEGER,
        changed INTEGER,
        etag TEXT,
        last_modified TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE missing (
        path TEXT PRIMARY KEY NOT NULL,
        manifest TEXT NOT NULL,
        url TEXT NOT NULL,
        identity BLOB CHECK (length(identity) = 16),
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE announced (path TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE place (path TEXT NOT NULL) STRICT;
    CREATE TABLE lists (
        identity BLOB PRIMARY KEY NOT NULL,
        url TEXT NOT NULL,
        etag TEXT,
        last_modified TEXT,
        content BLOB
    ) STRICT;
    CREATE TABLE settings (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY NOT NULL,
        manifest TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
";

/// An opened state, with a warning for the user.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    pub(crate) value: T,
    pub(crate) warning: Option<String>,
}

impl<T> Opened<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Opened<U> {
        Opened { value: change(self.value), warning: self.warning }
    }
}

/// Why the file of a state cannot be used.
#[derive(Debug)]
enum Unusable {
    Kind,
    Foreign,
    Version(i32),
    Damaged(rusqlite::Error),
}

impl Unusable {
    fn describe(&self) -> String {
        match self {
            Self::Kind => "it is no regular file".to_owned(),
            Self::Foreign => "it is not natsync's".to_owned(),
            Self::Version(found) if VERSION < *found => {
                format!("a newer natsync wrote it (version {found}, this one knows {VERSION})")
            }
            Self::Version(found) => {
                format!("an older natsync wrote it (version {found}, now {VERSION})")
            }
            Self::Damaged(error) => match error.sqlite_error_code() {
                Some(code) => format!("it is damaged or cannot be read ({code:?})"),
                None => "it is damaged".to_owned(),
            },
        }
    }
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Damaged(error)
    }
}

pub(super) fn look(dest: &Dest) -> Opened<Option<Connection>> {
    match dest.control_stat(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Opened { value: None, warning: None };
        }
        _ => {}
    }
    let opened = open_to_read(dest).and_then(|connection| {
        check(&connection)?;
        Ok(connection)
    });
    match opened {
        Ok(connection) => Opened { value: Some(connection), warning: None },
        Err(why) => Opened {
            value: None,
            warning: Some(format!(
                "the state is not used: {}; files are read instead",
                why.describe()
            )),
        },
    }
}

/// Renames a state that is damaged inside, and creates a new one.
pub(super) fn renew(dest: &Dest) -> rusqlite::Result<Opened<Connection>> {
    begin_anew(dest, "it is damaged inside")
}

pub(super) fn open(dest: &Dest) -> rusqlite::Result<Opened<Connection>> {
    let why = match dest.control_stat(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove_log(dest);
            return begin(dest).map(|value| Opened { value, warning: None });
        }
        Ok(stat) if !stat.is_file() => Unusable::Kind,
        _ => match open_to_write(dest) {
            Ok(value) => {
                return Ok(Opened { value, warning: None });
            }
            // This run holds the run guard, so the error is temporary; a new state would not help.
            Err(Unusable::Damaged(error)) if is_transient(&error) => return Err(error),
            Err(why) => why,
        },
    };
    begin_anew(dest, &why.describe())
}

fn begin_anew(dest: &Dest, why: &str) -> rusqlite::Result<Opened<Connection>> {
    let aside = format!("{FILE}{ASIDE}{}", Timestamp::now().as_second());
    let kept = dest.set_aside(FILE, &aside).is_ok();
    remove_log(dest);
    let value = begin(dest)?;
    let place = if kept { format!(" and was kept as `.natsync/{aside}`") } else { String::new() };
    Ok(Opened { value, warning: Some(format!("the state is begun anew: {why}{place}")) })
}

/// Whether the cause is not the file itself.
fn is_transient(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        DatabaseBusy, DiskFull, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    use rusqlite::ffi::{SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    let is_unreadable = || {
        let code = error.sqlite_error().map(|error| error.extended_code);
        [SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_CORRUPTFS]
            .iter()
            .any(|unreadable| code == Some(*unreadable))
    };
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DiskFull | OutOfMemory | PermissionDenied | ReadOnly) => true,
        Some(SystemIoFailure) => !is_unreadable(),
        _ => false,
    }
}

/// `SQLite` would apply a log without its database to the next database.
fn remove_log(dest: &Dest) {
    for suffix in ["-wal", "-shm"] {
        let name = format!("{FILE}{suffix}");
        let aside = format!("{name}.stale");
        if dest.set_aside(&name, &aside).is_ok() {
            let _ = std::fs::remove_file(file_of(dest.path()).with_file_name(aside));
        }
    }
}

fn begin(dest: &Dest) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file_of(dest.path()), flags)?;
    prepare_to_write(&connection)?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    connection.execute("INSERT INTO place (path) VALUES (?1)", [dest.place()])?;
    let key = IdentityKey::random();
    connection
        .execute("INSERT INTO settings (name, value) VALUES ('key', ?1)", [key.as_bytes()])?;
    Ok(connection)
}

/// The key of the digests in a state. A state without one is damaged; its digests match nothing.
pub(super) fn key(connection: &Connection) -> IdentityKey {
    let read = |row: &rusqlite::Row<'_>| row.get(0).map(IdentityKey::from_bytes);
    connection
        .query_row("SELECT value FROM settings WHERE name = 'key'", [], read)
        .unwrap_or_else(|_| IdentityKey::random())
}

fn open_to_write(dest: &Dest) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file_of(dest.path()), flags)?;
    prepare_to_write(&connection)?;
    check(&connection)?;
    Ok(connection)
}

/// Without a log the file is complete, and no other process writes to it. It is opened as
/// immutable, so that `SQLite` creates no file beside it. With a log (a run is active or was
/// killed) `SQLite` must read both.
fn open_to_read(dest: &Dest) -> Result<Connection, Unusable> {
    open_file_to_read(dest, FILE)
}

fn open_file_to_read(dest: &Dest, name: &str) -> Result<Connection, Unusable> {
    if !dest.control_stat(name).is_ok_and(|stat| stat.is_file()) {
        return Err(Unusable::Kind);
    }
    let has_log = dest.control_stat(format!("{name}-wal").as_str()).is_ok_and(|stat| 0 < stat.size);
    let path = file_of(dest.path()).with_file_name(name);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let text = path.to_str().map(|path| {
        percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC)
    });
    let connection = match text {
        Some(encoded) if !has_log => {
            Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags)?
        }
        _ => Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
    };
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

/// Opens a state for reading the columns that all versions have, and then the older states that were
/// set aside. None if there is no state. A state that was set aside because it is damaged is left
/// out.
///
/// # Errors
/// When the file cannot be read, or another program wrote it.
pub(super) fn open_all_versions(dest: &Dest) -> io::Result<Vec<Connection>> {
    let open = |name: &str| {
        let connection = open_file_to_read(dest, name)?;
        check_application(&connection)?;
        Ok(connection)
    };
    let mut states = Vec::new();
    match dest.control_stat(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => states.push(open(FILE).map_err(|why: Unusable| io::Error::other(why.describe()))?),
    }
    for name in set_aside(dest)? {
        states.extend(open(&name));
    }
    Ok(states)
}

/// The names of the states that were set aside.
fn set_aside(dest: &Dest) -> io::Result<Vec<String>> {
    let path = file_of(dest.path());
    let names = match path.parent().unwrap_or(&path).read_dir() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if let Ok(name) = name?.file_name().into_string()
            && name.starts_with(&format!("{FILE}{ASIDE}"))
        {
            found.push(name);
        }
    }
    Ok(found)
}

fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    // A commit need not reach the disk at once: losing the last ones costs requests. The log stays
    // consistent, which is enough for a cache.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;",
    )
}

fn check(connection: &Connection) -> Result<(), Unusable> {
    check_application(connection)?;
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        return Err(Unusable::Version(version));
    }
    connection.prepare(&format!("SELECT {COLUMNS} FROM files"))?;
    connection.prepare("SELECT url, identity, etag, last_modified, content FROM lists")?;
    connection.prepare("SELECT path, url, identity, since FROM missing")?;
    connection.prepare("SELECT path FROM announced")?;
    connection.prepare("SELECT path FROM place")?;
    connection.prepare("SELECT id, manifest, record FROM runs")?;
    Ok(())
}

fn check_application(connection: &Connection) -> Result<(), Unusable> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application == APPLICATION { Ok(()) } else { Err(Unusable::Foreign) }
}
