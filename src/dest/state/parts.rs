//! The states of shards: each begins with the rows of its entries from the state of the destination,
//! and `merge` puts its rows back there.

use std::io::{self, Write as _};
use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::State;
use super::migrations::{self, FILE_COLUMNS};
use crate::dest::{CONTROL, Dest, SHARDS};
use crate::manifest::IdentityKey;
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

/// Fills a new state: that of a shard with the rows of its entries, that of a destination with the
/// key that its shards have. `look` opens the state of the destination. Returns the warning of a state
/// that cannot be used.
///
/// # Errors
/// When that state is damaged inside, or the disk fails.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    dest: &Dest,
    look: impl FnOnce(&Dest) -> (Option<Connection>, Option<String>),
) -> rusqlite::Result<Option<String>> {
    let Some(shard) = dest.shard() else {
        // Without it the digests in the states of the shards would say nothing here.
        if let Ok(key) = read_key(dest) {
            migrations::set(transaction, "key", &key)?;
        }
        return Ok(None);
    };
    let whole = dest.of_all().map_err(|error| unreadable(&error))?;
    let (from, warning) = look(&whole);
    let Some(from) = from else {
        let key = shared_key(dest).map_err(|error| unreadable(&error))?;
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

impl State {
    /// Takes over the rows of a shard's state. `own` is the number of this run's manifest there.
    ///
    /// # Errors
    /// When a state is damaged, or the disk fails. Then nothing of the shard is taken over.
    pub(crate) fn absorb(&self, part: &Dest, own: i64) -> rusqlite::Result<()> {
        let file = super::file_of(part);
        let connection = self.lock();
        connection.execute("ATTACH DATABASE ?1 AS part", [file.to_string_lossy()])?;
        let taken = absorb(&connection, self.own, own, self.key.as_bytes());
        if taken.is_err() {
            // An error may have ended the transaction already.
            let _ = connection.execute_batch("ROLLBACK");
        }
        let detached = connection.execute_batch("DETACH DATABASE part");
        taken.and(detached)
    }
}

/// Copies the rows of the attached state. Digests of identities under another key are replaced by one
/// that nothing has: those files are checked once more.
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
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (table, all) in [("files", FILE_COLUMNS), ("missing", MISSING_COLUMNS)] {
        connection.execute(
            &format!(
                "INSERT OR REPLACE INTO main.{table} ({all}) SELECT {} FROM part.{table}
                 WHERE owner = ?1 OR owner IN (SELECT id FROM main.owners)",
                columns(all)
            ),
            [own_in_part, own],
        )?;
    }
    connection.execute_batch(
        "DELETE FROM main.missing WHERE path IN (SELECT path FROM part.files)
            AND path NOT IN (SELECT path FROM part.missing);
         INSERT OR IGNORE INTO main.announced (path) SELECT path FROM part.announced;",
    )?;
    if is_same_key {
        connection.execute_batch(
            "INSERT OR REPLACE INTO main.lists (identity, url, etag, last_modified, content)
             SELECT identity, url, etag, last_modified, content FROM part.lists;",
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
