//! The history of runs, and the times of downloads. Only reports use them.

use rusqlite::{TransactionBehavior, params};

use super::State;
use crate::event::history::{KEPT, Past};

impl State {
    /// Adds a run to the history, and deletes all but the last [`KEPT`] runs of the manifest.
    ///
    /// # Errors
    /// When the disk fails; then the history is unchanged.
    pub(crate) fn note_run(&self, past: &Past) -> rusqlite::Result<()> {
        let Ok(record) = serde_json::to_string(past) else { return Ok(()) };
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO runs (owner, record) VALUES (?1, ?2)",
            params![self.own, record],
        )?;
        transaction.execute(
            "DELETE FROM runs WHERE owner = ?1 AND id NOT IN
             (SELECT id FROM runs WHERE owner = ?1 ORDER BY id DESC LIMIT ?2)",
            params![self.own, KEPT as u64],
        )?;
        transaction.commit()
    }

    /// The last runs of the manifest, newest first. Unreadable ones are skipped.
    #[must_use]
    pub(crate) fn runs(&self) -> Vec<Past> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection
                .prepare("SELECT record FROM runs WHERE owner = ?1 ORDER BY id DESC LIMIT ?2")?;
            statement.query_map(params![self.own, KEPT as u64], |row| row.get(0))?.collect()
        };
        let records = read().unwrap_or_default();
        records.iter().filter_map(|record| serde_json::from_str(record).ok()).collect()
    }

    /// Calls `visit` with each path and the time when natsync put its bytes there, in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// When the state is damaged. The rows handed over so far are valid.
    pub(crate) fn changes(&self, mut visit: impl FnMut(&str, i64)) -> rusqlite::Result<()> {
        let connection = self.lock();
        let mut statement =
            connection.prepare("SELECT path, changed FROM files WHERE changed IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(0)?.as_str()?, row.get(1)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::dest::Dest;
    use crate::dest::state::{Claim, State};
    use crate::event::history::{Counts, Exit, KEPT, Past};

    #[test]
    fn the_last_runs_of_each_manifest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let run = |began| Past {
            began,
            elapsed: 1,
            command: "apply".to_owned(),
            only: Vec::new(),
            bound: 1,
            exit: Exit::Ok,
            counts: Counts::default(),
            failed: 0,
            failures: Vec::new(),
            timeline: None,
            shards: Vec::new(),
        };
        let other = State::open(&dest, &Claim::named("other")).unwrap().value;
        other.note_run(&run(0)).unwrap();
        other.close();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        let kept = i64::try_from(KEPT).unwrap();
        for began in 1..=kept + 5 {
            state.note_run(&run(began)).unwrap();
        }
        let began: Vec<_> = state.runs().iter().map(|past| past.began).collect();
        assert_eq!(began, (6..=kept + 5).rev().collect::<Vec<_>>());
        state.close();
        let other = State::look(&dest, &Claim::named("other")).value.unwrap();
        assert_eq!(other.runs(), [run(0)]);
    }
}
