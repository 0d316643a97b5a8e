//! Which paths a state records, whatever version of natsync wrote it.

use std::io;

use rusqlite::{Connection, OptionalExtension};

use super::schema;
use crate::dest::Dest;

/// The paths that a state records.
#[derive(Debug)]
pub(crate) struct RecordedPaths(Connection);

impl RecordedPaths {
    /// Opens the state of a destination to read its paths. None if there is no state. Every version
    /// has had the column that this needs.
    ///
    /// # Errors
    /// When the state is damaged or is not a state of natsync.
    pub(crate) fn open(dest: &Dest) -> io::Result<Option<Self>> {
        let connection = schema::open_any_version(dest)?;
        Ok(connection.map(Self))
    }

    /// Whether the state has a record of the path below its destination.
    ///
    /// # Errors
    /// When the state is damaged.
    pub(crate) fn has(&self, path: &str) -> io::Result<bool> {
        let mut statement = self
            .0
            .prepare_cached("SELECT 1 FROM files WHERE path = ?1")
            .map_err(io::Error::other)?;
        let found = statement.query_row([path], |_| Ok(())).optional();
        found.map(|found| found.is_some()).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_a_state_of_any_version() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        assert!(RecordedPaths::open(&dest).unwrap().is_none());
        let file = super::super::file_of(folder.path());
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE files (path TEXT, other BLOB); INSERT INTO files VALUES ('a', NULL);
                 PRAGMA application_id = 1851880563; PRAGMA user_version = 1;",
            )
            .unwrap();
        drop(connection);
        let paths = RecordedPaths::open(&dest).unwrap().unwrap();
        assert!(paths.has("a").unwrap() && !paths.has("b").unwrap());
        std::fs::write(&file, "not a database, but long enough to look at").unwrap();
        assert!(RecordedPaths::open(&dest).is_err());
    }
}
