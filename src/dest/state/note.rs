//! What a run writes into the state.

use std::io;

use jiff::Timestamp;
use rusqlite::{ErrorCode, TransactionBehavior, params};

use super::State;
use super::migrations::{place_digest, set};
use super::record::{FileRecord, write_others};
use crate::dest::Stat;
use crate::digest::Digests;
use crate::manifest::{KeptUrl, UrlDigest};
use crate::pin::Validators;

/// At most this many lists of one shown form are kept: a value from the environment in the URL may
/// change with every run.
const LISTS: u32 = 64;

/// Deletes the oldest lists beyond that number. One pass over the table, so it is done once for many
/// lists.
const FEWER_LISTS: &str = "DELETE FROM lists WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY url ORDER BY rowid DESC) AS age FROM lists
    ) WHERE ?1 < age
 )";

/// A file has the owner that put its bytes in place, however often they are confirmed later. Other
/// bytes that were there already are not natsync's.
const FILE: &str = "
    INSERT INTO files
        (path, owner, url, served, size, stamp, racy, sha256, others, provenance, checked, etag,
         last_modified, identity, served_identity, changed, written)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT (path) DO UPDATE SET
        owner = iif(excluded.written OR sha256 <> excluded.sha256, excluded.owner, owner),
        written = excluded.written OR (written AND sha256 = excluded.sha256),
        changed = coalesce(excluded.changed, iif(sha256 = excluded.sha256, changed, NULL)),
        url = excluded.url, identity = excluded.identity, served = excluded.served,
        served_identity = excluded.served_identity, size = excluded.size, stamp = excluded.stamp,
        racy = excluded.racy, sha256 = excluded.sha256, others = excluded.others,
        provenance = excluded.provenance, checked = excluded.checked, etag = excluded.etag,
        last_modified = excluded.last_modified";

/// One change of the state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Note {
    /// A file is in place.
    File { path: String, record: Box<FileRecord> },
    /// A recorded file was read again and has the recorded bytes.
    Read { path: String, stat: Stat, digests: Digests },
    /// Upstream confirmed a recorded file.
    Checked {
        path: String,
        at: Timestamp,
        /// New validators of the URL that served the file, where the answer had some.
        validators: Option<Validators>,
    },
    /// A checksum list, or (without content) that there is none.
    List {
        /// In its shown form.
        url: String,
        /// The digest of its identity under the key of the state.
        identity: UrlDigest,
        validators: Validators,
        content: Option<Vec<u8>>,
    },
    /// natsync deleted the file.
    Forget { path: String },
    /// The absolute path of the destination.
    Place { path: String },
    /// Upstream has no such file.
    Missing {
        path: String,
        /// The declared URL.
        url: KeptUrl,
        since: Timestamp,
    },
}

impl State {
    /// Records that natsync is about to put files in place at these paths. A file whose record is
    /// lost, because the process was killed in between, is then still known as a download.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn announce(&self, paths: &[&str]) -> io::Result<()> {
        self.try_announce(paths).map_err(|error| {
            let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
            let kind = if is_full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
            io::Error::new(kind, "the state cannot be written")
        })
    }

    fn try_announce(&self, paths: &[&str]) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO announced (path) VALUES (?1)")?;
            for path in paths {
                insert.execute([path])?;
            }
        }
        transaction.commit()
    }

    /// Writes all notes in one transaction. Call it only for what is durable on the disk.
    ///
    /// # Errors
    /// When the disk fails; then none is written.
    pub(crate) fn note(&self, notes: &[Note]) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut file = transaction.prepare_cached(FILE)?;
            let mut read = transaction.prepare_cached(
                "UPDATE files SET size = ?2, stamp = ?3, racy = ?4, sha256 = ?5, others = ?6 WHERE path = ?1",
            )?;
            let mut confirm =
                transaction.prepare_cached("UPDATE files SET checked = ?2 WHERE path = ?1")?;
            let mut validate = transaction
                .prepare_cached("UPDATE files SET etag = ?2, last_modified = ?3 WHERE path = ?1")?;
            let mut forget = transaction.prepare_cached("DELETE FROM missing WHERE path = ?1")?;
            let mut missing = transaction.prepare_cached(
                "INSERT OR REPLACE INTO missing (path, owner, url, identity, since) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut list = transaction.prepare_cached(
                "INSERT OR REPLACE INTO lists (identity, url, etag, last_modified, content) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut has_listed = false;
            let now = Timestamp::now();
            for note in notes {
                match note {
                    Note::File { path, record } => {
                        file.execute(params![
                            path,
                            self.own,
                            record.url.shown(),
                            record.served.shown(),
                            record.size,
                            record.stamp.cast_signed(),
                            record.racy,
                            record.digests.sha256().as_bytes(),
                            write_others(record.digests.others()),
                            record.provenance.code(),
                            record.checked.map(Timestamp::as_second),
                            record.validators.etag,
                            record.validators.last_modified,
                            record.url.digest_bytes(),
                            record.served.digest_bytes(),
                            record.changed.map(Timestamp::as_millisecond),
                            record.changed.is_some(),
                        ])?;
                        forget.execute([path])?;
                    }
                    Note::Read { path, stat, digests } => {
                        read.execute(params![
                            path,
                            stat.size,
                            stat.stamp().cast_signed(),
                            stat.is_racy(now),
                            digests.sha256().as_bytes(),
                            write_others(digests.others()),
                        ])?;
                    }
                    Note::Checked { path, at, validators } => {
                        confirm.execute(params![path, at.as_second()])?;
                        if let Some(Validators { etag, last_modified }) = validators {
                            validate.execute(params![path, etag, last_modified])?;
                        }
                    }
                    Note::Forget { path } => {
                        transaction.execute("DELETE FROM files WHERE path = ?1", [path])?;
                        transaction.execute("DELETE FROM announced WHERE path = ?1", [path])?;
                    }
                    Note::Place { path } => {
                        set(&transaction, "place", &place_digest(self.key.as_bytes(), path))?;
                    }
                    Note::List { url, identity, validators, content } => {
                        let Validators { etag, last_modified } = validators;
                        list.execute(params![identity.0, url, etag, last_modified, content])?;
                        has_listed |= url.contains("${");
                    }
                    Note::Missing { path, url, since } => {
                        missing.execute(params![
                            path,
                            self.own,
                            url.shown(),
                            url.digest_bytes(),
                            since.as_second(),
                        ])?;
                    }
                }
            }
            if has_listed {
                transaction.execute(FEWER_LISTS, [LISTS])?;
            }
        }
        transaction.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dest::Dest;
    use crate::dest::state::Claim;

    #[test]
    fn lists_of_former_values_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        let list = |url: String, n: u32| Note::List {
            identity: state.key().digest(&n.to_string()),
            url,
            validators: Validators::default(),
            content: Some(Vec::new()),
        };
        let plain = (0..100).map(|n| list(format!("http://h/{n}"), n));
        let signed = (100..200).map(|n| list("http://h/?${SIG}".to_owned(), n));
        let notes: Vec<_> = plain.chain(signed).collect();
        state.note(&notes).unwrap();
        let count =
            |sql: &str| -> u32 { state.lock().query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(count("SELECT count(*) FROM lists"), 100 + LISTS);
        assert_eq!(count("SELECT count(*) FROM lists WHERE rowid > 200 - 64"), LISTS, "the newest");
    }
}
