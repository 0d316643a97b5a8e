//! The states of shards: each begins with the rows of its entries from the state of the destination.

use std::io::{self, Write as _};
use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::migrations::{self, FILE_COLUMNS};
use crate::dest::{CONTROL, Dest, SHARDS};
use crate::manifest::{IdentityKey, Shard};
use crate::rel_path::path_hash;

/// The file with the key of the states of all shards of a destination that has no state yet.
const KEY: &str = "key";

/// The setting of a shard's state with the last row of `lists` that it began with.
pub(super) const LISTS: &str = "lists";

/// The setting of a shard's state with the next turn of the destination's state when it began: see
/// `Owner::last`.
pub(super) const TURN: &str = "turn";

pub(super) const MISSING_COLUMNS: &str = "path, owner, url, identity, since";

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
/// key that its shards have. `look` opens the state of the destination. Returns the error of a state
/// that is damaged inside: the rows before the damage are there.
///
/// # Errors
/// When the disk fails.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    dest: &Dest,
    look: impl FnOnce(&Dest) -> Option<Connection>,
) -> rusqlite::Result<Option<rusqlite::Error>> {
    let Some(shard) = dest.shard() else {
        // Without it the digests in the states of the shards would say nothing here.
        if let Ok(key) = read_key(dest) {
            migrations::set(transaction, "key", &key)?;
        }
        return Ok(None);
    };
    let whole = dest.of_all().map_err(|error| unreadable(&error))?;
    let value = look(&whole);
    let mut damage = None;
    let key = match value.as_ref().map(|from| migrations::setting::<32>(from, "key")) {
        Some(Ok(Some(key))) => key,
        _ => shared_key(dest).map_err(|error| unreadable(&error))?,
    };
    migrations::set(transaction, "key", &key)?;
    if let Some(from) = value {
        let copied = copy_all(&from, transaction, shard);
        // Each row that was copied is complete; without the others, files are read.
        damage = copied.err();
    }
    let last: i64 =
        transaction.query_row("SELECT coalesce(max(rowid), 0) FROM lists", [], |row| row.get(0))?;
    migrations::set(transaction, LISTS, &last.to_be_bytes())?;
    let turn: i64 =
        transaction
            .query_row("SELECT coalesce(max(last), 0) + 1 FROM owners", [], |row| row.get(0))?;
    migrations::set(transaction, TURN, &turn.to_be_bytes())?;
    Ok(damage)
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

fn unreadable(error: &io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        io::ErrorKind::PermissionDenied => rusqlite::ffi::SQLITE_PERM,
        _ => rusqlite::ffi::SQLITE_CANTOPEN,
    };
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string()))
}
