//! Which paths a state records, whatever version of natsync wrote it.

use std::io;

use rusqlite::{Connection, OptionalExtension};

use super::schema;
use crate::dest::Dest;

/// The paths that the states of a destination record: the state in use, and older ones that were set
/// aside. A file may be recorded by an older one alone: if natsync has no longer declared it, or could
/// not confirm it, since then.
#[derive(Debug)]
pub(crate) struct RecordedPaths(Vec<(Connection, &'static str)>);

const RECORDED: &str = "SELECT 1 FROM files WHERE path = ?1";
/// Older versions have no announcements.
const ANNOUNCED: &str =
    "SELECT 1 FROM files WHERE path = ?1 UNION ALL SELECT 1 FROM announced WHERE path = ?1";

impl RecordedPaths {
    /// Opens the states of a destination to read their paths. None if there is none. Every version
    /// has had the column that this needs.
    ///
    /// # Errors
    /// When the state in use is damaged or is not a state of natsync.
    pub(crate) fn open(dest: &Dest) -> io::Result<Option<Self>> {
        let states: Vec<_> = schema::open_all_versions(dest)?
            .into_iter()
            .map(|state| {
                let query = if state.prepare(ANNOUNCED).is_ok() { ANNOUNCED } else { RECORDED };
                (state, query)
            })
            .collect();
        Ok((!states.is_empty()).then_some(Self(states)))
    }

    /// Whether a state has a record of the path below its destination, or natsync was about to
    /// download a file to it.
    ///
    /// # Errors
    /// When a state is damaged.
    pub(crate) fn has(&self, path: &str) -> io::Result<bool> {
        for (state, query) in &self.0 {
            let mut statement = state.prepare_cached(query).map_err(io::Error::other)?;
            let found = statement.query_row([path], |_| Ok(())).optional();
            if found.map_err(io::Error::other)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dest::state::{Claim, State};

    #[test]
    fn paths_are_read_from_a_state_of_any_version() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        assert!(RecordedPaths::open(&dest).unwrap().is_none());
        let file = super::super::file_of(&dest);
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
        // The next run sets it aside.
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        state.announce(&["b"]).unwrap();
        state.announce(&["b"]).unwrap();
        state.close();
        let paths = RecordedPaths::open(&dest).unwrap().unwrap();
        assert!(paths.has("a").unwrap() && paths.has("b").unwrap() && !paths.has("c").unwrap());
        std::fs::write(&file, "not a database, but long enough to look at").unwrap();
        assert!(RecordedPaths::open(&dest).is_err());
    }
}
