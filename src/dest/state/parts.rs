//! The states of shards: each begins with the rows of its entries from the state of the destination,
//! and `merge` puts its rows back there.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::State;
use super::migrations::{self, FILE_COLUMNS};
use super::schema::{self, Opened, state_error};
use crate::dest::{CONTROL, Dest, SHARDS};
use crate::manifest::{IdentityKey, Shard};
use crate::rel_path::path_hash;

/// The file with the key of the states of all shards of a destination that has no state yet.
const KEY: &str = "key";

/// The setting of a shard's state with the last row of `lists` that it began with.
const LISTS: &str = "lists";

/// The setting of a shard's state with the next turn of the destination's state when it began: see
/// `Owner::last`.
const TURN: &str = "turn";

const MISSING_COLUMNS: &str = "path, owner, url, identity, since";

/// The tables of which a shard has all rows, with their columns.
const WHOLE: [(&str, &str); 3] = [
    ("owners", "id, name, path, first, last"),
    ("claims", "owner, piece, hashes"),
    ("lists", "identity, url, etag, last_modified, content"),
];

/// The tables of which a shard has the rows of its paths. The path is the first column.
const BY_PATH: [(&str, &str); 3] =
    [("files", FILE_COLUMNS), ("missing", MISSING_COLUMNS), ("announced", "path")];

/// Fills a new state: that of a shard with the rows of its entries, that of a destination with the
/// key that its shards have. Returns the warning of a state of the destination that cannot be used.
///
/// # Errors
/// When that state is damaged inside, or the disk fails.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    dest: &Dest,
) -> rusqlite::Result<Option<String>> {
    let Some(shard) = dest.shard() else {
        // Without it the digests in the states of the shards would say nothing here.
        if let Ok(key) = read_key(dest) {
            migrations::set(transaction, "key", &key)?;
        }
        return Ok(None);
    };
    let whole = dest.of_all().map_err(|error| unreadable(&error))?;
    let Opened { value, mut warning } = schema::look(&whole);
    let key = match value.as_ref().map(|from| migrations::setting::<32>(from, "key")) {
        Some(Ok(Some(key))) => key,
        _ => shared_key(dest).map_err(|error| unreadable(&error))?,
    };
    migrations::set(transaction, "key", &key)?;
    if let Some(from) = value {
        let copied = copy_all(&from, transaction, shard);
        // Each row that was copied is complete; without the others, files are read.
        warning = warning.or(copied.err().map(|error| schema::unused(&error.into())));
    }
    let last: i64 =
        transaction.query_row("SELECT coalesce(max(rowid), 0) FROM lists", [], |row| row.get(0))?;
    migrations::set(transaction, LISTS, &last.to_be_bytes())?;
    let turn: i64 =
        transaction
            .query_row("SELECT coalesce(max(last), 0) + 1 FROM owners", [], |row| row.get(0))?;
    migrations::set(transaction, TURN, &turn.to_be_bytes())?;
    Ok(warning)
}

fn copy_all(from: &Connection, to: &Connection, shard: Shard) -> rusqlite::Result<()> {
    for (table, columns) in WHOLE {
        copy(from, to, table, columns, |_| true)?;
    }
    for (table, columns) in BY_PATH {
        copy(from, to, table, columns, |path| shard.has_hash(path_hash(path)))?;
    }
    Ok(())
}

/// Copies the rows of a table whose first column `takes` accepts if it is a text.
fn copy(
    from: &Connection,
    to: &Connection,
    table: &str,
    columns: &str,
    takes: impl Fn(&str) -> bool,
) -> rusqlite::Result<()> {
    let count = columns.split(',').count();
    let places = vec!["?"; count].join(", ");
    let mut insert =
        to.prepare(&format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"))?;
    let mut select = from.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(0)?.as_str().is_ok_and(|path| !takes(path)) {
            continue;
        }
        let values: Vec<Value> =
            (0..count).map(|place| row.get(place)).collect::<Result<_, _>>()?;
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}

/// The key that all shards of a destination without a state share, so that their digests of
/// identities agree. The first one to ask for it makes it.
fn shared_key(dest: &Dest) -> io::Result<[u8; 32]> {
    match read_key(dest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let file = key_file(dest);
    let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(&file))?;
    new.write_all(IdentityKey::random().as_bytes())?;
    match new.persist_noclobber(&file) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => read_key(dest),
    }
}

fn key_file(dest: &Dest) -> PathBuf {
    dest.path().join(CONTROL).join(SHARDS).join(KEY)
}

fn read_key(dest: &Dest) -> io::Result<[u8; 32]> {
    let bytes = std::fs::read(key_file(dest))?;
    bytes.try_into().map_err(|_| io::Error::other("the key of the shards is damaged"))
}

/// Why the rows of a shard were not taken over.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The state of the shard is damaged.
    Part(io::Error),
    /// The state of the destination is damaged.
    Whole(io::Error),
    /// The disk fails or is full.
    Disk(io::Error),
}

impl State {
    /// Takes over the rows of a shard's state, which is at `part`. `own` is the number of this run's
    /// manifest there.
    ///
    /// # Errors
    /// When a state is damaged, or the disk fails. Then nothing of the shard is taken over.
    pub(crate) fn absorb(&self, part: &Path, own: i64) -> Result<(), NotTaken> {
        let connection = self.lock();
        // Bound as bytes: a path need not be UTF-8.
        let attached =
            connection.execute("ATTACH DATABASE ?1 AS part", [part.as_os_str().as_bytes()]);
        attached.map_err(|error| NotTaken::Part(state_error(&error)))?;
        let taken = absorb(&connection, self.own, own, self.key.as_bytes()).map_err(|error| {
            // An error may have ended the transaction already.
            let _ = connection.execute_batch("ROLLBACK");
            let why = state_error(&error);
            if schema::is_transient(&error) {
                NotTaken::Disk(why)
            } else if is_sound(&connection) {
                NotTaken::Whole(why)
            } else {
                NotTaken::Part(why)
            }
        });
        let detached = connection
            .execute_batch("DETACH DATABASE part")
            .map_err(|error| NotTaken::Disk(state_error(&error)));
        taken.and(detached)
    }
}

impl State {
    /// Forgets that upstream does not have these files.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn forget_missing(&self, paths: &[String]) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for path in paths {
            transaction.execute("DELETE FROM missing WHERE path = ?1", [path])?;
        }
        transaction.commit()
    }
}

/// Whether the attached state has no damage.
fn is_sound(connection: &Connection) -> bool {
    let has_key = "SELECT 1 FROM part.settings WHERE name = 'key'";
    let check = "PRAGMA part.quick_check(1)";
    let found = connection.query_row(check, [], |row| row.get::<_, String>(0));
    found.is_ok_and(|found| found == "ok") && connection.query_row(has_key, [], |_| Ok(())).is_ok()
}

/// Copies the rows of the attached state that are not older than those here.
///
/// A shard changes records of its own manifest, and confirms files that others wrote. The records of
/// a manifest that ran since the shard began are newer here. If none did, no times are compared, since
/// the clocks of the machines may differ.
///
/// Digests of identities under another key are replaced by one that nothing has: those files are
/// checked once more.
fn absorb(connection: &Connection, own: i64, own_in_part: i64, key: &[u8]) -> rusqlite::Result<()> {
    let key_of_part: Vec<u8> =
        connection.query_row("SELECT value FROM part.settings WHERE name = 'key'", [], |row| {
            row.get(0)
        })?;
    let is_same_key = key_of_part == key;
    let columns = |all: &str| {
        let column = |name: &str| match name {
            "owner" => "CASE WHEN owner = ?1 THEN ?2 ELSE owner END".to_owned(),
            "identity" | "served_identity" if !is_same_key => {
                format!("CASE WHEN {name} IS NULL THEN NULL ELSE zeroblob(length({name})) END")
            }
            name => name.to_owned(),
        };
        all.split(", ").map(column).collect::<Vec<_>>().join(", ")
    };
    let number_of = |name: &str| {
        let value = "SELECT value FROM part.settings WHERE name = ?1";
        connection.query_row(value, [name], |row| row.get(0)).map(i64::from_be_bytes)
    };
    let turn: i64 =
        connection
            .query_row("SELECT last FROM main.owners WHERE id = ?1", [own], |row| row.get(0))?;
    let was_used = i32::from(turn != number_of(TURN)?);
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (table, all, time) in
        [("files", FILE_COLUMNS, "checked"), ("missing", MISSING_COLUMNS, "since")]
    {
        connection.execute(
            &format!(
                "INSERT OR REPLACE INTO main.{table} ({all}) SELECT {} FROM part.{table} AS new
                 WHERE (owner = ?1 OR owner IN (
                        SELECT now.id FROM main.owners AS now JOIN part.owners AS then_
                        ON now.id = then_.id AND now.first = then_.first AND now.last = then_.last))
                    AND NOT EXISTS (SELECT 1 FROM main.{table} AS old
                        WHERE {was_used} AND old.path = new.path
                        AND coalesce(new.{time}, 0) < coalesce(old.{time}, 0))",
                columns(all)
            ),
            [own_in_part, own],
        )?;
    }
    connection.execute_batch(&format!(
        "DELETE FROM main.missing AS old WHERE path NOT IN (SELECT path FROM part.missing)
            AND EXISTS (SELECT 1 FROM part.files AS new WHERE new.path = old.path
                AND (NOT {was_used} OR old.since <= coalesce(new.checked, old.since)));
         INSERT OR IGNORE INTO main.announced (path) SELECT path FROM part.announced;"
    ))?;
    if is_same_key {
        // The shard wrote the rows after those that it began with.
        connection.execute(
            "INSERT OR REPLACE INTO main.lists (identity, url, etag, last_modified, content)
             SELECT identity, url, etag, last_modified, content FROM part.lists
             WHERE ?1 < rowid ORDER BY rowid",
            [number_of(LISTS)?],
        )?;
    }
    connection.execute_batch("COMMIT")
}

fn unreadable(error: &io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        io::ErrorKind::PermissionDenied => rusqlite::ffi::SQLITE_PERM,
        _ => rusqlite::ffi::SQLITE_CANTOPEN,
    };
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string()))
}
