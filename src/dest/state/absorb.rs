//! `merge` puts the rows of the shards' states back into the state of the destination.

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rusqlite::Connection;

use super::State;
use super::migrations::FILE_COLUMNS;
use super::parts::{LISTS, MISSING_COLUMNS, TURN};
use super::schema::{is_transient, state_error};

/// At most this many states are attached at a time: `SQLite` allows ten databases.
const ATTACHED: usize = 8;

/// The state of a shard.
pub(crate) struct ShardState {
    pub(crate) file: PathBuf,
    /// The number of this run's manifest in it.
    pub(crate) own: i64,
}

/// Why the rows of shards were not taken over.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The state of the shard at that place is damaged.
    Part(usize, io::Error),
    /// The state of the destination is damaged.
    Whole(io::Error),
    /// The disk fails or is full.
    Disk(io::Error),
}

impl State {
    /// Takes over the rows of shards' states. Several are read at the same time in the order of their
    /// paths, so that each page of the state is written few times.
    ///
    /// # Errors
    /// When a state is damaged, or the disk fails. What was taken over until then stays.
    pub(crate) fn absorb(&self, parts: &[ShardState]) -> Result<(), NotTaken> {
        let connection = self.lock();
        let disk = |error: &rusqlite::Error| NotTaken::Disk(state_error(error));
        for (number, some) in parts.chunks(ATTACHED).enumerate() {
            let first = number * ATTACHED;
            let mut attached = 0;
            let taken = (0..).zip(some).try_for_each(|(place, part)| {
                // Bound as bytes: a path need not be UTF-8.
                let file = part.file.as_os_str().as_bytes();
                let sql = format!("ATTACH DATABASE ?1 AS {}", name_of(place));
                let done = connection.execute(&sql, [file]);
                done.map_err(|error| NotTaken::Part(first + place, state_error(&error)))?;
                attached += 1;
                Ok(())
            });
            let taken = taken.and_then(|()| {
                absorb(&connection, self.own, self.key.as_bytes(), some).map_err(|error| {
                    // An error may have ended the transaction already.
                    let _ = connection.execute_batch("ROLLBACK");
                    let unsound = (0..some.len()).find(|&place| !is_sound(&connection, place));
                    match unsound {
                        _ if is_transient(&error) => disk(&error),
                        Some(place) => NotTaken::Part(first + place, state_error(&error)),
                        None => NotTaken::Whole(state_error(&error)),
                    }
                })
            });
            for place in 0..attached {
                let detached =
                    connection.execute_batch(&format!("DETACH DATABASE {}", name_of(place)));
                if taken.is_ok() {
                    detached.map_err(|error| disk(&error))?;
                }
            }
            taken?;
        }
        Ok(())
    }

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

/// The name of an attached state.
fn name_of(place: usize) -> String {
    format!("part{place}")
}

/// Whether an attached state has no damage.
fn is_sound(connection: &Connection, place: usize) -> bool {
    let part = name_of(place);
    let has_key = format!("SELECT 1 FROM {part}.settings WHERE name = 'key'");
    let check = format!("PRAGMA {part}.quick_check(1)");
    let found = connection.query_row(&check, [], |row| row.get::<_, String>(0));
    found.is_ok_and(|found| found == "ok") && connection.query_row(&has_key, [], |_| Ok(())).is_ok()
}

/// An attached state, and what of it counts here.
struct Part {
    name: String,
    own: i64,
    /// Digests of identities under another key are replaced by one that nothing has: those files are
    /// checked once more.
    is_same_key: bool,
    /// Another run used the state since the shard began. Then its newer records stay; otherwise no
    /// times are compared, since the clocks of the machines may differ.
    was_used: bool,
    /// The last row of `lists` that the shard began with.
    lists: i64,
}

impl Part {
    fn read(
        connection: &Connection,
        (place, state): (usize, &ShardState),
        turn: i64,
        key: &[u8],
    ) -> rusqlite::Result<Self> {
        let name = name_of(place);
        let setting = |setting: &str| -> rusqlite::Result<Vec<u8>> {
            let sql = format!("SELECT value FROM {name}.settings WHERE name = ?1");
            connection.query_row(&sql, [setting], |row| row.get(0))
        };
        let number = |name: &str| -> rusqlite::Result<i64> {
            let bytes = setting(name)?.try_into().map_err(|_| rusqlite::Error::InvalidQuery)?;
            Ok(i64::from_be_bytes(bytes))
        };
        let is_same_key = setting("key")? == key;
        let (was_used, lists) = (turn != number(TURN)?, number(LISTS)?);
        Ok(Self { own: state.own, is_same_key, was_used, lists, name })
    }

    /// Selects its rows of a table that are not older than those here, with the owners of this state:
    /// a shard changes records of its own manifest, and confirms files that others wrote.
    fn rows(&self, table: &str, all: &str, time: &str, own: i64) -> String {
        let Self { name, own: own_there, .. } = self;
        let column = |column: &str| match column {
            "owner" => format!("CASE WHEN owner = {own_there} THEN {own} ELSE owner END"),
            "identity" | "served_identity" if !self.is_same_key => {
                format!("CASE WHEN {column} IS NULL THEN NULL ELSE zeroblob(length({column})) END")
            }
            column => column.to_owned(),
        };
        let columns = all.split(", ").map(column).collect::<Vec<_>>().join(", ");
        let mut sql = format!(
            "SELECT {columns} FROM {name}.{table} AS new
             WHERE (owner = {own_there} OR owner IN (
                SELECT now.id FROM main.owners AS now JOIN {name}.owners AS before
                ON now.id = before.id AND now.first = before.first AND now.last = before.last))"
        );
        if self.was_used {
            let _ = write!(
                sql,
                " AND NOT EXISTS (SELECT 1 FROM main.{table} AS old WHERE old.path = new.path
                    AND coalesce(new.{time}, 0) < coalesce(old.{time}, 0))"
            );
        }
        sql
    }

    /// The statements that take over what is not in a row of a path.
    fn rest(&self) -> String {
        let Self { name, lists, .. } = self;
        let is_newer =
            if self.was_used { "old.since <= coalesce(new.checked, old.since)" } else { "TRUE" };
        let mut sql = format!(
            "DELETE FROM main.missing AS old WHERE path NOT IN (SELECT path FROM {name}.missing)
                AND EXISTS (SELECT 1 FROM {name}.files AS new
                    WHERE new.path = old.path AND {is_newer});
             INSERT OR IGNORE INTO main.announced (path) SELECT path FROM {name}.announced;"
        );
        if self.is_same_key {
            // The shard wrote the rows after those that it began with.
            let _ = write!(
                sql,
                "INSERT OR REPLACE INTO main.lists (identity, url, etag, last_modified, content)
                 SELECT identity, url, etag, last_modified, content FROM {name}.lists
                 WHERE {lists} < rowid ORDER BY rowid;"
            );
        }
        sql
    }
}

/// Takes over the rows of the attached states in one transaction.
fn absorb(
    connection: &Connection,
    own: i64,
    key: &[u8],
    states: &[ShardState],
) -> rusqlite::Result<()> {
    let turn: i64 =
        connection
            .query_row("SELECT last FROM main.owners WHERE id = ?1", [own], |row| row.get(0))?;
    let parts = states.iter().enumerate();
    let parts: Vec<_> = parts
        .map(|part| Part::read(connection, part, turn, key))
        .collect::<rusqlite::Result<_>>()?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (table, all, time) in
        [("files", FILE_COLUMNS, "checked"), ("missing", MISSING_COLUMNS, "since")]
    {
        let rows: Vec<_> = parts.iter().map(|part| part.rows(table, all, time, own)).collect();
        connection.execute_batch(&format!(
            "INSERT OR REPLACE INTO main.{table} ({all}) {} ORDER BY path",
            rows.join(" UNION ALL ")
        ))?;
    }
    for part in &parts {
        connection.execute_batch(&part.rest())?;
    }
    connection.execute_batch("COMMIT")
}
