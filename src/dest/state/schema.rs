//! The schema of the state, and opening its file whatever its condition.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::migrations::{
    FILE_COLUMNS, VERSION, can_migrate, create, migrate, place_digest, set, setting,
};
use super::{file_of, parts};
use crate::dest::Dest;

/// The file's name in the control directory.
pub(crate) const FILE: &str = "state.db";

/// The name of a state that is being created.
const NEW: &str = "state.db.new";

/// What follows [`FILE`] in the name of a state that was set aside; then comes the time.
const ASIDE: &str = ".corrupt-";

/// The `application_id` of `SQLite`: "nats" in ASCII.
const APPLICATION: i32 = 0x6e61_7473;

/// An opened state, with a warning for the user.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    pub(crate) value: T,
    pub(crate) warning: Option<String>,
}

/// Why the file of a state cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
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
    let open = || {
        let connection = open_to_read(dest)?;
        match version(&connection)? {
            VERSION => check(&connection).map(|()| connection),
            older if can_migrate(older) => migrated_copy(&connection, older),
            other => Err(Unusable::Version(other)),
        }
    };
    // A run that begins or ends at this moment creates or removes the log between two steps.
    let opened = open().or_else(|why| match why {
        Unusable::Damaged(_) => open(),
        why => Err(why),
    });
    match opened {
        Ok(connection) => Opened { value: Some(connection), warning: None },
        Err(why) => Opened { value: None, warning: Some(unused(&why)) },
    }
}

/// The warning about a state that cannot be read.
pub(super) fn unused(why: &Unusable) -> String {
    format!("the state is not used: {}; files are read instead", why.describe())
}

/// A private copy of an older state with the tables of this version, in memory as far as it fits
/// there.
fn migrated_copy(connection: &Connection, version: i32) -> Result<Connection, Unusable> {
    let mut copy = Connection::open("")?;
    Backup::new(connection, &mut copy)?.run_to_completion(4096, Duration::ZERO, None)?;
    migrate(&mut copy, version)?;
    check(&copy)?;
    Ok(copy)
}

/// Renames a state that is damaged inside, and creates a new one.
pub(super) fn renew(dest: &Dest) -> rusqlite::Result<Opened<Connection>> {
    begin_anew(dest, "it is damaged inside").map(|(opened, _)| opened)
}

pub(super) fn open(dest: &Dest) -> rusqlite::Result<Opened<Connection>> {
    let why = match dest.control_stat(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove_log(dest, FILE);
            return begin(dest);
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
    let (opened, aside) = begin_anew(dest, &why.describe())?;
    if let (Unusable::Version(_), Some(aside)) = (why, aside) {
        // Without these rows, files of earlier runs are never pruned, and are checked once more.
        let _ = take_over(&opened.value, &file_of(dest).with_file_name(aside));
    }
    Ok(opened)
}

fn begin_anew(dest: &Dest, why: &str) -> rusqlite::Result<(Opened<Connection>, Option<String>)> {
    let aside = format!("{FILE}{ASIDE}{}", Timestamp::now().as_second());
    let aside = dest.set_aside(FILE, &aside).is_ok().then_some(aside);
    remove_log(dest, FILE);
    let Opened { value, .. } = begin(dest)?;
    let place = match &aside {
        Some(aside) => format!(" and was kept as `{}`", dest.shown_control(aside)),
        None => String::new(),
    };
    let warning = Some(format!("the state is begun anew: {why}{place}"));
    Ok((Opened { value, warning }, aside))
}

/// Copies owners and files of a state of a later version, if it has the tables that this version
/// knows.
fn take_over(connection: &Connection, from: &std::path::Path) -> rusqlite::Result<()> {
    connection.execute("ATTACH DATABASE ?1 AS aside", [from.to_string_lossy()])?;
    let copied = connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         INSERT INTO owners (id, name, path, first, last)
            SELECT id, name, path, first, last FROM aside.owners;
         INSERT INTO claims (owner, piece, hashes) SELECT owner, piece, hashes FROM aside.claims;
         INSERT OR REPLACE INTO settings (name, value)
            SELECT name, value FROM aside.settings
            WHERE name IN ('key', 'place') AND length(value) = 32;
         INSERT INTO files ({FILE_COLUMNS})
            SELECT {FILE_COLUMNS} FROM aside.files WHERE provenance BETWEEN 0 AND 3;
         COMMIT;"
    ));
    if copied.is_err() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.execute_batch("DETACH DATABASE aside")
}

/// An error of `SQLite` without its message, which may name the file and so the destination.
pub(crate) fn state_error(error: &rusqlite::Error) -> io::Error {
    let Some(code) = error.sqlite_error() else {
        return io::Error::other("the state has unexpected content");
    };
    let kind = match code.code {
        rusqlite::ErrorCode::DiskFull => io::ErrorKind::StorageFull,
        rusqlite::ErrorCode::PermissionDenied | rusqlite::ErrorCode::ReadOnly => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, rusqlite::ffi::code_to_str(code.extended_code))
}

/// Whether the cause is not the file itself.
pub(super) fn is_transient(error: &rusqlite::Error) -> bool {
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
fn remove_log(dest: &Dest, name: &str) {
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(dest, &format!("{name}{suffix}"));
    }
}

fn remove(dest: &Dest, name: &str) {
    let aside = format!("{name}.stale");
    if dest.set_aside(name, &aside).is_ok() {
        let _ = std::fs::remove_file(file_of(dest).with_file_name(aside));
    }
}

/// Creates a state under another name and renames it, so that a reader sees all of it or none.
fn begin(dest: &Dest) -> rusqlite::Result<Opened<Connection>> {
    remove(dest, NEW);
    remove_log(dest, NEW);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let new = file_of(dest).with_file_name(NEW);
    let mut connection = Connection::open_with_flags(new, flags)?;
    prepare_to_write(dest, &connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    create(&transaction)?;
    let mut warning = None;
    let damage = parts::begin(&transaction, dest, |whole| {
        let looked = look(whole);
        warning = looked.warning;
        looked.value
    })?;
    let warning = warning.or(damage.map(|error| unused(&error.into())));
    if let Some(key) = setting(&transaction, "key")? {
        set(&transaction, "place", &place_digest(&key, &dest.place()))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    dest.set_aside(NEW, FILE).map_err(|error| {
        let text = format!("the new state cannot be renamed: {error}");
        rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(text),
        )
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let value = Connection::open_with_flags(file_of(dest), flags)?;
    prepare_to_write(dest, &value)?;
    Ok(Opened { value, warning })
}

fn open_to_write(dest: &Dest) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file_of(dest), flags)?;
    prepare_to_write(dest, &connection)?;
    check_application(&connection)?;
    let version = version(&connection)?;
    if can_migrate(version) {
        migrate(&mut connection, version)?;
    } else if version != VERSION {
        return Err(Unusable::Version(version));
    }
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
    let has_log = ["-wal", "-journal"]
        .iter()
        .any(|log| dest.control_stat(&format!("{name}{log}")).is_ok_and(|stat| 0 < stat.size));
    open_path(&file_of(dest).with_file_name(name), !has_log)
}

/// Opens a file for reading; as immutable if no other process writes to it.
fn open_path(path: &std::path::Path, is_immutable: bool) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let text = path.to_str().map(|path| {
        percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC)
    });
    let connection = match text {
        Some(encoded) if is_immutable => {
            Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags)?
        }
        _ => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
    };
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

/// Opens a state for reading the columns that all versions have, and then the older states that were
/// set aside, and then those of shards that are not merged. None if there is no state. A state that
/// was set aside because it is damaged is left out.
///
/// # Errors
/// When a file cannot be read, or another program wrote it.
pub(super) fn open_all_versions(dest: &Dest) -> io::Result<Vec<Connection>> {
    let open = |name: &str| {
        let connection = open_file_to_read(dest, name)?;
        check_application(&connection)?;
        Ok(connection)
    };
    let unusable = |why: Unusable| io::Error::other(why.describe());
    let mut states = Vec::new();
    match dest.control_stat(FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => states.push(open(FILE).map_err(unusable)?),
    }
    for name in set_aside(dest)? {
        states.extend(open(&name));
    }
    for shard in dest.shards()? {
        let file = dest.folder_of_shard(shard)?.join(FILE);
        // A run that begins has no state yet, and has put no file in place.
        if file.exists() {
            states.push(open_shard(&file).map_err(unusable)?);
        }
    }
    Ok(states)
}

/// Opens the state of a shard to read its paths. While the shard runs, it holds its state alone, and
/// changes it page by page: then a record may be missed, but not one of an earlier run.
fn open_shard(file: &std::path::Path) -> Result<Connection, Unusable> {
    let connection = open_path(file, false)?;
    connection.busy_timeout(Duration::ZERO)?;
    match check_application(&connection) {
        Err(Unusable::Damaged(_)) => {
            let connection = open_path(file, true)?;
            check_application(&connection).map(|()| connection)
        }
        checked => checked.map(|()| connection),
    }
}

/// The names of the states that were set aside.
fn set_aside(dest: &Dest) -> io::Result<Vec<String>> {
    let path = file_of(dest);
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

fn prepare_to_write(dest: &Dest, connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    if dest.shard().is_some() {
        // Many machines may share the destination over a network file system, on which a write-ahead
        // log does not work. A shard's state has one user at a time.
        return connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE;
             PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;",
        );
    }
    // A commit need not reach the disk at once: losing the last ones costs requests. The log stays
    // consistent, which is enough for a cache.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384;",
    )
}

/// The version of a state of natsync.
fn version(connection: &Connection) -> Result<i32, Unusable> {
    check_application(connection)?;
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Whether the tables of this version are there.
fn check(connection: &Connection) -> Result<(), Unusable> {
    for query in [
        "SELECT name, value FROM settings",
        "SELECT id, name, path, first, last FROM owners",
        "SELECT owner, piece, hashes FROM claims",
        &format!("SELECT {FILE_COLUMNS} FROM files"),
        "SELECT path, owner, url, identity, since FROM missing",
        "SELECT path FROM announced",
        "SELECT identity, url, etag, last_modified, content FROM lists",
        "SELECT id, owner, record FROM runs",
    ] {
        connection.prepare(query)?;
    }
    Ok(())
}

fn check_application(connection: &Connection) -> Result<(), Unusable> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application == APPLICATION { Ok(()) } else { Err(Unusable::Foreign) }
}
