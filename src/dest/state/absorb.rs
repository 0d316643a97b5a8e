//! `merge` puts the rows of the shards' states back into the state of the destination.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::State;
use super::migrations::FILE_COLUMNS;
use super::parts::{LISTS, MISSING_COLUMNS, TURN};
use super::schema::{is_transient, state_error};

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
            if is_transient(&error) {
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
