//! The states of shards: each begins with the rows of its entries from the state of the destination,
//! and `merge` puts its rows back there.

use std::io::{self, Write as _};

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::migrations::{self, FILE_COLUMNS};
use super::schema::{self, Opened};
use crate::dest::{CONTROL, Dest, SHARDS};
use crate::manifest::{IdentityKey, Shard};
use crate::rel_path::path_hash;

/// The file with the key of the states of all shards of a destination that has no state yet.
const KEY: &str = "key";

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

/// Fills the new state of a shard. Returns the warning of a state of the destination that cannot be
/// used.
///
/// # Errors
/// When that state is damaged inside, or the disk fails.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    dest: &Dest,
    shard: Shard,
) -> rusqlite::Result<Option<String>> {
    let whole = dest.of_all().map_err(unreadable)?;
    let Opened { value, warning } = schema::look(&whole);
    let Some(from) = value else {
        let key = shared_key(dest).map_err(unreadable)?;
        migrations::set(transaction, "key", &key)?;
        return Ok(warning);
    };
    for name in ["key", "place"] {
        if let Some(value) = migrations::setting::<32>(&from, name)? {
            migrations::set(transaction, name, &value)?;
        }
    }
    for (table, columns) in WHOLE {
        copy(&from, transaction, table, columns, |_| true)?;
    }
    for (table, columns) in BY_PATH {
        copy(&from, transaction, table, columns, |path| shard.has_hash(path_hash(path)))?;
    }
    Ok(warning)
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
    let folder = dest.path().join(CONTROL).join(SHARDS);
    let file = folder.join(KEY);
    let read = || -> io::Result<[u8; 32]> {
        let bytes = std::fs::read(&file)?;
        bytes.try_into().map_err(|_| io::Error::other("the key of the shards is damaged"))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let mut new = tempfile::NamedTempFile::new_in(&folder)?;
    new.write_all(IdentityKey::random().as_bytes())?;
    match new.persist_noclobber(&file) {
        Ok(_) => read(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read(),
        Err(error) => Err(error.error),
    }
}

fn unreadable(error: io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        io::ErrorKind::PermissionDenied => rusqlite::ffi::SQLITE_PERM,
        _ => rusqlite::ffi::SQLITE_CANTOPEN,
    };
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string()))
}
